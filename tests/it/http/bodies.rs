//! What a body is said to be, and is: JSON under any name, UTF-8, of a known length, and no form.

use crate::support::hostile::{HIDDEN, exchange, responses};
use crate::support::witness::Witness;
use crate::support::{Browser, Program, get, post, publish, request, said, server, status};
use serde_json::json;

#[test]
fn json_is_known_by_itself_unless_it_is_said_to_be_something_else() {
    let server = server();
    let at = server.address();
    let body = r#"{"data":"hello"}"#;
    for (content_type, expected) in [
        ("text/plain;charset=UTF-8", 200),
        ("application/octet-stream", 200),
        ("application/vnd.api+json", 200),
        ("text/json", 200),
        ("text/html", 415),
        ("image/png", 415),
        ("application/xml", 415),
    ] {
        for path in ["/notify/ann", "/sse/message", "/messages", "/api/posts"] {
            let head = format!("POST {path} HTTP/1.1\r\nContent-Type: {content_type}");
            let answer = request(at, &head, body);
            // The others miss something in the body, but have read it.
            let expected = if expected == 200 && path != "/notify/ann" { 400 } else { expected };
            assert_eq!(answer.status, expected, "{path} {content_type}: {answer:?}");
        }
    }
}

#[test]
fn a_multipart_form_is_refused_with_what_to_do_and_not_published() {
    let server = server();
    let at = server.address();
    let form = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n";
    for path in ["/topics/t", "/topics?topic=t", "/notify/ann", "/subscribe"] {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x");
        let answer = request(at, &head, form);
        let text = said(&answer);
        assert!(answer.status == 415 && text.contains("send the text"), "{path}: {answer:?}");
    }
    assert_eq!(get(at, "/history").json()["topics"], json!([]));
    // What `curl -d` calls a form is text as any other.
    let mut browser = Browser::open(at, "/topics/t");
    let head = "POST /topics/t HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded";
    assert_eq!(request(at, head, "a=b&c=%20").status, 200);
    assert_eq!(browser.next().data, "a=b&c=%20");
}

#[test]
fn text_in_another_charset_is_refused_and_nothing_is_kept() {
    let server = server();
    let at = server.address();
    for charset in ["utf-16le", "UTF-16", "\"iso-8859-1\"", "windows-1252", ""] {
        for (path, body) in [("/topics/t", &b"h\0i\0"[..]), ("/notify/ann", br#"{"data":"x"}"#)] {
            let head = format!("POST {path} HTTP/1.1\r\nContent-Type: text/plain; charset={charset}");
            let answer = request(at, &head, body);
            let text = said(&answer);
            assert!(answer.status == 415 && text.contains("UTF-8"), "{path} {charset}: {answer:?}");
        }
    }
    assert_eq!(get(at, "/history").json()["topics"], json!([]));
    for charset in ["utf-8", "UTF-8", "\"utf8\"", "us-ascii"] {
        let head = format!("POST /topics/t HTTP/1.1\r\nContent-Type: text/plain; charset={charset}");
        assert_eq!(request(at, &head, "hi").status, 200, "{charset}");
    }
}

#[test]
fn a_body_of_unknown_length_is_refused_and_nothing_is_smuggled_in_it() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for (path, version) in [
        ("/topics/attacked", "1.1"),
        ("/topics/attacked", "1.0"),
        ("/topics?topic=attacked", "1.1"),
        ("/notify", "1.1"),
        ("/subscribe", "1.1"),
    ] {
        for body in ["", "hello", HIDDEN] {
            let head = format!("POST {path} HTTP/{version}\r\nHost: localhost\r\n\r\n{body}");
            let everything = exchange(program.address, head);
            assert_eq!(
                (status(&everything), responses(&everything)),
                (411, 1),
                "{path} {body}: {everything}"
            );
            assert!(everything.contains("Content-Length"), "{everything}");
        }
    }
    witness.assert_calm();
    // What reads no body needs no length.
    for path in ["/time", "/api/generate/post", "/check/x"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert!(matches!(status(&exchange(program.address, head)), 200 | 201), "{path}");
    }
    publish(program.address, "/topics/t", "");
}

#[test]
fn what_cannot_stand_in_a_target_is_refused_with_how_it_is_written() {
    let program = Program::serve(&[]);
    for (target, hint) in [
        ("/topics/irc#general", "%23"),
        ("/topics?topic=irc#general", "%23"),
        ("/topics/living room", "%20"),
        ("/topics/the living room", "%20"),
        ("/sse?user=John Smith", "%20"),
    ] {
        for (method, version) in [("POST", "1.1"), ("GET", "1.0")] {
            let head =
                format!("{method} {target} HTTP/{version}\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
            let everything = exchange(program.address, head);
            assert_eq!(status(&everything), 400, "{target}: {everything}");
            assert!(everything.contains(hint), "{target}: {everything}");
        }
    }
    assert_eq!(get(program.address, "/history").json()["topics"], json!([]));
    assert_eq!(post(program.address, "/topics/irc%23general", "hi").status, 200);
}
