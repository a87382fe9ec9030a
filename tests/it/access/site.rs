//! Pages of other sites: what they make a browser send is refused before anything happens, unless their origin is listed.

use super::origins::GOOD;
use crate::support::witness::Witness;
use crate::support::{Browser, Program, Raw, joined, post, request, said, server};

#[test]
fn a_page_of_another_site_takes_no_permit_and_publishes_nothing() {
    let program = Program::serve(&["--cors", GOOD]);
    let mut witness = Witness::of_program(&program);
    for origin in ["", "Origin: https://evil.example\r\n", "Origin: null\r\n"] {
        for head in [
            "GET /topics/attacked HTTP/1.1",
            "GET /topics?topic=attacked HTTP/1.1",
            "GET /sse?user=eve HTTP/1.1",
            "POST /topics/attacked HTTP/1.1",
            "POST /sse/message HTTP/1.1",
        ] {
            // `same-site` is another port or name of the same host: other people's pages too.
            for site in ["cross-site", "same-site"] {
                let asks = format!("{head}\r\n{origin}Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: no-cors");
                let answer = request(program.address, &asks, r#"{"user":"eve","message":"hi"}"#);
                assert_eq!(answer.status, 403, "{asks}: {answer:?}");
            }
            if !origin.is_empty() {
                // Over plain HTTP a browser says no more than this.
                let asks = format!("{head}\r\n{}", origin.trim_end());
                let answer = request(program.address, &asks, r#"{"user":"eve","message":"hi"}"#);
                assert_eq!(answer.status, 403, "{asks}: {answer:?}");
            }
        }
    }
    // A form of another site posts by navigating.
    let form = "POST /topics/attacked HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate";
    assert_eq!(request(program.address, form, "x=y").status, 403);
    witness.assert_calm();
}

#[test]
fn a_link_of_another_site_and_requests_from_no_other_site_are_served() {
    let program = Program::serve(&["--cors", GOOD]);
    let link = "GET / HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate";
    assert_eq!(request(program.address, link, "").status, 200);
    let to_posts = link.replace("GET /", "GET /api/posts");
    assert_eq!(request(program.address, &to_posts, "").status, 200, "it is JSON");
    let to_stream = format!("{to_posts}\r\nAccept: text/event-stream");
    assert_eq!(request(program.address, &to_stream, "").status, 403);
    for fields in [
        "Sec-Fetch-Site: same-origin".to_owned(),
        "Sec-Fetch-Site: none".into(),
        format!("Sec-Fetch-Site: cross-site\r\nOrigin: {GOOD}"),
        format!("Origin: {GOOD}"),
        // The host that it asks, over plain HTTP and, where a proxy did the rest, over HTTPS.
        "Origin: http://localhost".into(),
        "Origin: https://localhost".into(),
    ] {
        let browser = Browser::open_with(program.address, "/topics/a", &format!("{fields}\r\n"));
        assert!(browser.head.contains("text/event-stream"));
        let publish = format!("POST /topics/a HTTP/1.1\r\n{fields}");
        assert_eq!(request(program.address, &publish, "hi").status, 200, "{fields}");
    }
    assert_eq!(post(program.address, "/topics/a", "from no browser").status, 200);
}

#[test]
fn a_proxy_that_drops_the_port_is_told_what_to_pass_on() {
    let program = Program::serve(&["--host", "lan.example"]);
    let ask = |host: &str, origin: &str| {
        let mut raw = Raw::connect(program.address);
        raw.send(format!(
            "POST /topics/t HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n"
        ));
        raw.answer()
    };
    assert_eq!(ask("lan.example:8081", "http://lan.example:8081").status, 200);
    assert_eq!(ask("LAN.example", "https://lan.example").status, 200);
    let refused = ask("lan.example", "http://lan.example:8081");
    let text = said(&refused);
    assert_eq!(refused.status, 403);
    for part in ["http://lan.example:8081", "host is lan.example", "$http_host"] {
        assert!(text.contains(part), "{text}");
    }
}

/// What browsers send where the page of another site makes them load an address.
const LOADED: &[&str] = &[
    // To this machine and over HTTPS browsers say where they come from: a frame, an image, a script, a link.
    "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe",
    "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document",
    "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image",
    "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script",
    // Over plain HTTP they do not say it, but name the page.
    "Accept: */*\r\nReferer: http://evil.example/",
    "Accept: */*\r\nReferer: http://localhost.evil.example/localhost/",
    "Accept: text/event-stream\r\nReferer: http://evil.example/",
    // The page may keep its address to itself.
    "Accept: image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8",
    "Accept: text/css,*/*;q=0.1",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept: */*\r\nUpgrade-Insecure-Requests: 1",
    "Accept: */*\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept-Language: en",
];

#[test]
fn loading_an_address_from_another_site_publishes_nothing_and_lets_nobody_in() {
    let server = server();
    let mut ann = Browser::open(server.address(), "/sse/ann");
    let mut room = Browser::open(server.address(), "/sse?user=bob");
    joined(&server, 2);
    for fields in LOADED {
        for path in
            ["/time/ann", "/time", "/sse?user=framed", "/sse/ann", "/topics/t", "/messages", "/check/x"]
        {
            let answer = request(server.address(), &format!("GET {path} HTTP/1.1\r\n{fields}"), "");
            assert_eq!(answer.status, 403, "{path} {fields}: {answer:?}");
        }
    }
    let cat = Browser::open(server.address(), "/sse?user=cat");
    let users = |browser: &mut Browser| browser.next_named("presence").json()["users"].to_string();
    loop {
        let users = users(&mut room);
        assert!(!users.contains("framed"), "{users}");
        if users.contains("cat") {
            break;
        }
    }
    drop(cat);
    assert_eq!(post(server.address(), "/notify/ann", r#"{"data":"probe"}"#).status, 200);
    assert_eq!(ann.next().data, "probe", "no time came");
}

#[test]
fn curl_callouts_own_pages_and_listed_origins_publish_and_subscribe_by_a_get() {
    let program = Program::serve(&["--cors", GOOD]);
    for fields in [
        "Accept: */*\r\nUser-Agent: curl/8.5.0".to_owned(),
        // `fetch` of Node, and PowerShell.
        "Accept: */*\r\nAccept-Language: *\r\nSec-Fetch-Mode: cors\r\nUser-Agent: node".into(),
        "User-Agent: Mozilla/5.0 (Windows NT 10.0; en-US) WindowsPowerShell/5.1".into(),
        // Own pages, over HTTPS or on this machine, and over plain HTTP.
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nUser-Agent: Mozilla/5.0\r\nAccept-Language: en".into(),
        "Accept: text/event-stream\r\nReferer: http://localhost/sse.html\r\nUser-Agent: Mozilla/5.0".into(),
        "Referer: https://LOCALHOST:443/notifications.html\r\nUser-Agent: Mozilla/5.0\r\nAccept-Language: en".into(),
        // The address bar.
        "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nUpgrade-Insecure-Requests: 1".into(),
        format!("Sec-Fetch-Site: cross-site\r\nOrigin: {GOOD}\r\nAccept: text/event-stream"),
        format!("Origin: {GOOD}\r\nReferer: {GOOD}/page\r\nUser-Agent: Mozilla/5.0\r\nAccept-Language: en"),
    ] {
        let answer = request(program.address, &format!("GET /time/ann HTTP/1.1\r\n{fields}"), "");
        assert_eq!(answer.status, 200, "{fields}: {answer:?}");
        drop(Browser::open_with(program.address, "/sse?user=ann", &format!("{fields}\r\n")));
    }
    // An EventSource whose browser keeps the page's address to itself.
    let quiet = "User-Agent: Mozilla/5.0\r\nAccept-Language: en\r\n";
    drop(Browser::open_with(program.address, "/topics/t", quiet));
}
