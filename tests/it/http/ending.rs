//! What a listener leaves behind when it ends: no thread and no descriptor.

use crate::support::alone::is_alone;
use crate::support::witness::AT_ONCE;
use crate::support::{Browser, Raw, get, server, server_with, until};
use callout::server::{ListenerKind, Server};
use std::fs;
use std::time::Duration;

const ROUNDS: usize = 10;

/// How many threads and descriptors this process has.
fn held() -> (usize, usize) {
    let count = |directory| fs::read_dir(directory).expect("Linux").count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// How many threads of these names there are.
fn threads_named(names: &[&str]) -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    // A thread may end between being listed and being read.
    let comms = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    comms.filter(|comm| names.contains(&comm.trim_end())).count()
}

/// Opens connections that would all stay, each in another state: silent, in the middle of a head, of a body
/// and of a chunk, between two requests, refused, and with a stream.
fn connections(server: &Server) -> (Vec<Raw>, Browser) {
    let publish = "POST /topics/t HTTP/1.1\r\nHost: localhost\r\n";
    let mut raws = vec![Raw::connect(server.address())];
    for begun in [
        "GET /top".to_owned(),
        format!("{publish}Content-Length: 5\r\n\r\nhe"),
        format!("{publish}Transfer-Encoding: chunked\r\n\r\n5\r\nhe"),
    ] {
        let mut raw = Raw::connect(server.address());
        raw.send(begun);
        raws.push(raw);
    }
    for (request, status) in [("GET /healthz HTTP/1.1", 200), ("GET /healthz HTTP/3.0", 505)] {
        let mut raw = Raw::connect(server.address());
        raw.send(format!("{request}\r\nHost: localhost\r\n\r\n"));
        assert_eq!(raw.answer().status, status);
        raws.push(raw);
    }
    (raws, Browser::open(server.address(), "/topics/t"))
}

#[test]
fn a_server_that_was_stopped_and_dropped_leaves_no_thread_and_no_descriptor() {
    if !is_alone("http::ending::a_server_that_was_stopped_and_dropped_leaves_no_thread_and_no_descriptor") {
        return;
    }
    let before = held();
    for _ in 0..ROUNDS {
        let server = server();
        let open = connections(&server);
        // The two requests whose bodies never come are still under way, and are hung up on.
        assert!(!server.stop(Duration::from_millis(100)));
        drop((server, open));
        until("nothing is left", || held() == before);
    }
}

#[test]
fn a_server_that_is_dropped_hangs_up_on_everybody() {
    if !is_alone("http::ending::a_server_that_is_dropped_hangs_up_on_everybody") {
        return;
    }
    let before = held();
    for _ in 0..ROUNDS {
        let server = server();
        let (mut raws, mut stream) = connections(&server);
        drop(server);
        raws.iter_mut().for_each(|raw| assert!(raw.is_closed()));
        stream.rest();
        drop((raws, stream));
        until("nothing is left", || held() == before);
    }
}

#[test]
fn a_listener_of_tiny_http_ends_its_own_threads() {
    if !is_alone("http::ending::a_listener_of_tiny_http_ends_its_own_threads") {
        return;
    }
    for _ in 0..ROUNDS {
        let server = server_with(|config| config.listener = ListenerKind::TinyHttp);
        let stream = Browser::open(server.address(), "/topics/t");
        assert_eq!(get(server.address(), "/healthz").status, 200);
        assert!(server.stop(AT_ONCE));
        drop((server, stream));
        // The library's threads have no names of their own, and end some seconds later.
        until("its threads are gone", || threads_named(&["tiny_http", "stream"]) == 0);
    }
}
