//! Bodies in chunks: decoded, held to the same limit, and refused where they could be read in two ways.

use crate::support::hostile::{BODY_BYTES_MAX, HIDDEN, chunked, exchange, responses};
use crate::support::witness::Witness;
use crate::support::{Program, Raw, server, status};

#[test]
fn a_body_in_chunks_is_decoded_and_the_next_request_is_found_behind_it() {
    let server = server();
    let mut witness = Witness::of_server(&server);
    let publish = "POST /topics/witness HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n";
    for (chunks, data) in [
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", "hello"),
        ("0005;name=value\r\nhello\r\n0;last\r\n\r\n", "hello"),
        ("A\r\nhello, you\r\n000\r\nX-Trailer: x\r\nY: y\r\n\r\n", "hello, you"),
        ("9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "\n0\n\n\n"),
        ("0\r\n\r\n", ""),
    ] {
        let mut raw = Raw::connect(server.address());
        // One byte at a time, so that the server has to wait at every position in the chunks.
        publish.bytes().chain(chunks.bytes()).for_each(|byte| raw.send([byte]));
        assert_eq!(raw.answer().status, 200, "{chunks:?}");
        assert_eq!(witness.next_data(), data);
        raw.send(format!("{publish}{chunks}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!((raw.answer().status, raw.answer().status), (200, 200), "{chunks:?}");
        assert_eq!(witness.next_data(), data);
    }
    let most = format!("{:x}\r\n{}\r\n0\r\n\r\n", BODY_BYTES_MAX, "x".repeat(BODY_BYTES_MAX));
    let mut raw = Raw::connect(server.address());
    raw.send(format!("{publish}{most}"));
    assert_eq!(raw.answer().status, 200);
    assert_eq!(witness.next_data().len(), BODY_BYTES_MAX);
    drop(raw);
    witness.assert_calm();
}

#[test]
fn broken_chunks_are_refused_and_not_published() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for chunks in [
        "zz\r\nhello\r\n0\r\n\r\n".to_owned(),
        "\r\nhello\r\n0\r\n\r\n".into(),
        ";x\r\nhello\r\n0\r\n\r\n".into(),
        " 5\r\nhello\r\n0\r\n\r\n".into(),
        "5\r\r\nhello\r\n0\r\n\r\n".into(),
        "5;\rx\r\nhello\r\n0\r\n\r\n".into(),
        "-5\r\nhello\r\n0\r\n\r\n".into(),
        "+5\r\nhello\r\n0\r\n\r\n".into(),
        "0x5\r\nhello\r\n0\r\n\r\n".into(),
        "5 5\r\nhello\r\n0\r\n\r\n".into(),
        "10000000000000005\r\nhello\r\n0\r\n\r\n".into(),
        "4\r\nhello\r\n0\r\n\r\n".into(),
        "5\r\nhelloo\r\n0\r\n\r\n".into(),
        "5\nhello\r\n0\r\n\r\n".into(),
        "5\r\nhello\n0\r\n\r\n".into(),
        "5;\n\r\nhello\r\n0\r\n\r\n".into(),
        "5\r\nhello\r\n0\r\nX: y\n\r\n".into(),
        format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(1_000)),
        format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(1_000)),
        format!("5\r\nhello\r\n0\r\n{}\r\n", "X: y\r\n".repeat(2_000)),
    ] {
        let everything = exchange(program.address, chunked(&chunks) + HIDDEN);
        let case = chunks.get(..40).unwrap_or(&chunks);
        assert_eq!((status(&everything), responses(&everything)), (400, 1), "{case:?}: {everything}");
    }
    witness.assert_calm();
}

#[test]
fn chunks_are_held_to_the_same_limit() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for chunks in [
        "10001\r\n".to_owned(),
        "ffffffffffffffff\r\n".into(),
        format!("10000\r\n{}\r\n1\r\nx\r\n0\r\n\r\n", "x".repeat(BODY_BYTES_MAX)),
        "1\r\nx\r\n".repeat(BODY_BYTES_MAX + 1),
    ] {
        let everything = exchange(program.address, chunked(&chunks));
        assert_eq!((status(&everything), responses(&everything)), (413, 1), "{:?}", chunks.get(..20));
    }
    witness.assert_calm();
}
