//! Bodies that are compressed, or begin with a byte order mark.

use crate::support::{Browser, get, post, request, said, server};

#[test]
fn json_is_taken_without_its_byte_order_mark() {
    let server = server();
    let mut browser = Browser::open(server.address(), "/sse/ann");
    let answer = post(server.address(), "/notify/ann", "\u{feff}{\"data\":\"hello\"}");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(browser.next().data.contains("hello"));
}

#[test]
fn a_body_that_is_compressed_is_refused_and_nothing_is_kept() {
    let server = server();
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00";
    for path in ["/topics/t", "/notify/ann"] {
        for coding in ["gzip", "br", "zstd", "identity, gzip"] {
            let head = format!("POST {path} HTTP/1.1\r\nContent-Encoding: {coding}");
            let answer = request(server.address(), &head, gzip);
            assert_eq!(answer.status, 415, "{path} {coding}: {answer:?}");
            assert!(said(&answer).contains("Content-Encoding"), "{answer:?}");
        }
    }
    assert_eq!(get(server.address(), "/history").json()["topics"], serde_json::json!([]));
    let head = "POST /topics/t HTTP/1.1\r\nContent-Encoding: identity";
    assert_eq!(request(server.address(), head, "hello").status, 200);
}
