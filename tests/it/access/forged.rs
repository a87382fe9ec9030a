//! What the page of another site makes a browser send that has the victim's cookie: it neither publishes nor opens a stream
//! that the page can read, it makes and takes back no ticket, and it changes nobody's cookie.

use super::origins::GOOD;
use super::tickets::{shop, ticket_of};
use crate::support::{Answer, Browser, Raw, joined, request, server_with};
use callout::Server;
use serde_json::json;
use std::net::SocketAddr;

/// What the page wants, and with which body.
fn wanted(evils_ticket: &str) -> Vec<(&'static str, String)> {
    let ticket = json!({ "ticket": evils_ticket }).to_string();
    vec![
        ("POST /topics/users/ann/1", "x".into()),
        ("POST /topics?topic=users/ann/1", "x".into()),
        ("POST /publish", "{\"topic\":\"users/ann/1\"}\n".into()),
        ("DELETE /topics/users/ann/1", String::new()),
        ("POST /notify/ann", r#"{"data":"x"}"#.into()),
        ("GET /time/ann", String::new()),
        ("GET /topics/users/ann/1", String::new()),
        ("GET /topics/users/ann/1?last=9", String::new()),
        ("GET /topics?topic=users/ann/*", String::new()),
        ("QUERY /topics", "topic=users/ann/1".into()),
        ("POST /subscribe", "topic=users/ann/1".into()),
        ("POST /tickets", r#"{"user":"ann"}"#.into()),
        ("POST /revoke", r#"{"user":"ann"}"#.into()),
        // To be taken for the page's own user, so that what the victim writes from then on is that user's.
        ("POST /tickets/cookie", ticket),
        ("DELETE /tickets/cookie", String::new()),
    ]
}

/// What a browser adds for such a page, whatever the page does about it.
const BY_OTHERS: [&str; 9] = [
    "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors",
    "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors",
    // A form, whose answer is the new page.
    "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nContent-Type: text/plain",
    // A frame without an origin.
    "Origin: null\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate",
    // Other names and ports of the same site have the browser send cookies that are `SameSite=Strict`.
    "Origin: http://localhost:1\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors",
    "Origin: https://www.localhost\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors",
    // Over plain HTTP to another machine it says no more than this.
    "Origin: http://evil.example",
    "Origin: null",
    "Origin: http://localhost:1",
];

/// A server whose cookies are worth something: each user publishes and subscribes to topics of their own.
fn serve(cors: &[&str]) -> Server {
    server_with(|config| {
        shop(config);
        config.rules[1].publish.push("users/{user}/*".parse().unwrap());
        config.rules[1].publish.push("users/{user}".parse().unwrap());
        config.origins = cors.iter().map(|origin| origin.parse().unwrap()).collect();
    })
}

fn ask(at: SocketAddr, head: &str, cookie: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    let mut raw = Raw::connect(at);
    raw.send(format!(
        "{head} HTTP/1.1\r\nHost: localhost\r\nCookie: a=b; callout_ticket={cookie}\r\n{fields}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    ));
    raw.answer()
}

#[test]
fn a_page_of_another_site_does_nothing_with_the_victims_cookie() {
    for cors in [&[][..], &[GOOD], &["*"], &["*", GOOD]] {
        let server = serve(cors);
        let at = server.address();
        let (anns, evils) = (ticket_of(at, "ann"), ticket_of(at, "evil"));
        let mut ann =
            Browser::open_with(at, "/topics/users/ann/1", &format!("Cookie: callout_ticket={anns}\r\n"));
        joined(&server, 1);
        for fields in BY_OTHERS {
            for (head, body) in wanted(&evils) {
                let answer = ask(at, head, &anns, fields, &body);
                let case = format!("{cors:?}: {head}\n{fields}\n{answer:?}");
                // Where all sites are admitted the cookie does not count, and their pages are nobody.
                assert!(answer.status == 403 || cors.contains(&"*") && answer.status == 401, "{case}");
                assert!(answer.header("set-cookie").is_none(), "{case}");
                assert!(answer.header("access-control-allow-credentials").is_none(), "{case}");
            }
        }
        // The ticket is as good as before, and the first that comes is ann's own.
        let own = "Origin: http://localhost\r\nSec-Fetch-Site: same-origin";
        assert_eq!(ask(at, "POST /topics/users/ann/1", &anns, own, "from ann").status, 200);
        assert_eq!(ann.next().data, "from ann");
        let traded =
            ask(at, "POST /tickets/cookie", "ct1.a.b.c", own, &json!({ "ticket": anns }).to_string());
        assert_eq!(traded.status, 204, "{traded:?}");
        // A site that is listed by its name may.
        let good = format!("Origin: {GOOD}\r\nSec-Fetch-Site: cross-site");
        let status = if cors.contains(&GOOD) {
            200
        } else if cors.is_empty() {
            403
        } else {
            401
        };
        let answer = ask(at, "POST /topics/users/ann/1", &anns, &good, "by the other page");
        assert_eq!(answer.status, status, "{cors:?} {answer:?}");
    }
}

#[test]
fn what_a_page_of_another_site_loads_is_no_stream_and_publishes_nothing() {
    let server = serve(&["*"]);
    let at = server.address();
    let anns = ticket_of(at, "ann");
    for fields in [
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image",
        "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script",
        "Accept: */*\r\nReferer: http://evil.example/",
        "Accept: text/html,application/xhtml+xml,*/*;q=0.8",
    ] {
        for path in ["/topics/users/ann/1", "/time/ann", "/sse/ann"] {
            let answer = ask(at, &format!("GET {path}"), &anns, fields, "");
            // A page that names itself is admitted here, and is nobody.
            assert!(matches!(answer.status, 401 | 403), "{path} {fields}: {answer:?}");
        }
    }
}

#[test]
fn under_a_rebound_name_the_cookie_is_worth_nothing() {
    let server = serve(&[]);
    let at = server.address();
    let anns = ticket_of(at, "ann");
    for (head, body) in wanted(&anns) {
        let mut raw = Raw::connect(at);
        // To the browser it is a page of callout's own.
        raw.send(format!(
            "{head} HTTP/1.1\r\nHost: evil.example:8080\r\nOrigin: http://evil.example:8080\r\n\
             Sec-Fetch-Site: same-origin\r\nCookie: callout_ticket={anns}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = raw.answer();
        assert_eq!(answer.status, 421, "{head}: {answer:?}");
        assert!(answer.header("set-cookie").is_none(), "{head}: {answer:?}");
    }
    let still =
        request(at, &format!("POST /topics/users/ann/1 HTTP/1.1\r\nCookie: callout_ticket={anns}"), "x");
    assert_eq!(still.status, 200, "{still:?}");
}
