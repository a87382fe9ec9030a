//! What many clients together make the server hold: what the table in docs/running.md says, measured. The bounds are some
//! times larger than what was seen, and far smaller than what comes without them.

use crate::support::witness::streams;
use crate::support::{Browser, Program, Raw, get, until};

/// How much more is resident after an act than before, for each of so many.
fn bytes_each<T>(program: &Program, count: usize, act: impl FnOnce() -> T) -> (T, usize) {
    let before = program.resident_bytes();
    let done = act();
    let each = usize::try_from(program.resident_bytes().saturating_sub(before)).unwrap() / count;
    println!("{each} bytes each");
    (done, each)
}

#[test]
fn a_connection_that_never_finishes_its_request_holds_what_it_has_sent() {
    const CONNECTIONS: usize = 300;
    let program = Program::serve(&["--log", "warn"]);
    // The first threads take what all share.
    let first: Vec<Raw> = (0..20).map(|_| Raw::connect(program.address)).collect();
    for (begin, filler_bytes, most) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ", 15_000, 100_000),
        ("POST /topics/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n", 59_000, 250_000),
    ] {
        let (connections, each) = bytes_each(&program, CONNECTIONS, || {
            let send = |_| {
                let mut raw = Raw::connect(program.address);
                raw.send(format!("{begin}{}", "x".repeat(filler_bytes)));
                raw
            };
            let connections: Vec<Raw> = (0..CONNECTIONS).map(send).collect();
            // Served after all that came before it.
            assert_eq!(get(program.address, "/healthz").status, 200);
            connections
        });
        assert!(each < most, "{each} bytes each");
        drop(connections);
    }
    drop(first);
}

#[test]
fn a_stream_of_a_hundred_topics_holds_their_names_a_few_times() {
    const STREAMS: usize = 100;
    let program = Program::serve(&["--log", "warn"]);
    let topics = |stream: usize| -> String {
        let topic = |number: usize| format!("topic={stream}-{number:0250}&");
        (0..100).map(topic).collect()
    };
    let (browsers, each) = bytes_each(&program, STREAMS, || {
        let open = |stream| Browser::open(program.address, &format!("/topics?{}", topics(stream)));
        (0..STREAMS).map(open).collect::<Vec<_>>()
    });
    // The names are 25 KB.
    assert!(each < 200_000, "{each} bytes each");
    drop(browsers);
    until("they have left", || streams(program.address) == 0);
}

#[test]
fn a_topic_with_one_event_holds_its_name_a_few_times() {
    const TOPICS: usize = 10_000;
    let program = Program::serve(&["--log", "warn"]);
    let mut raw = Raw::connect(program.address);
    let ((), each) = bytes_each(&program, TOPICS, || {
        for number in 0..TOPICS {
            raw.send(format!(
                "POST /topics/{number:0246} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
            ));
            assert_eq!(raw.answer().status, 200);
        }
    });
    assert!(each < 2_000, "{each} bytes each");
}

#[test]
fn a_user_who_is_present_holds_a_stream_and_little_more() {
    const USERS: usize = 300;
    let program = Program::serve(&["--log", "warn"]);
    let first: Vec<Browser> = (0..20).map(|_| Browser::open(program.address, "/sse?user=first")).collect();
    let (users, each) = bytes_each(&program, USERS, || {
        let open = |user| Browser::open(program.address, &format!("/sse?user={user}"));
        (0..USERS).map(open).collect::<Vec<_>>()
    });
    assert!(each < 120_000, "{each} bytes each");
    drop((first, users));
}
