//! Connections that are silent, drip, are reset, vanish or never read: they hold nothing and disturb nobody.

use crate::support::hostile::{assert_dripping_is_refused, sip_while};
use crate::support::strace::{has_strace, under_strace};
use crate::support::witness::{AT_ONCE, Witness, streams};
use crate::support::{Browser, Program, Raw, narrow_socket, post, publish, server, server_with, status};
use callout::server::Server;
use socket2::SockRef;
use std::net::Shutdown;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

/// Longer than any test: what is noticed in this time was noticed without writing a heartbeat.
const NO_HEARTBEAT: Duration = Duration::from_secs(3_600);

/// Makes closing a socket a reset.
fn reset_on_close(raw: &Raw) {
    SockRef::from(raw.socket()).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_silent_connection_is_closed_at_the_head_deadline() {
    let server = server_with(|config| config.limits.head_deadline = Duration::from_secs(1));
    let mut witness = Witness::of_server(&server);
    let mut silent: Vec<Raw> = (0..20).map(|_| Raw::connect(server.address())).collect();
    for raw in &mut silent {
        raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
        assert_eq!(raw.everything(), "", "closed without an answer");
    }
    witness.assert_calm();
}

#[test]
fn a_head_that_drips_is_refused_at_the_same_deadline() {
    let server = server_with(|config| config.limits.head_deadline = Duration::from_secs(1));
    let mut witness = Witness::of_server(&server);
    let heads = [
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(99)),
        "\r\n".repeat(500),
    ];
    assert_dripping_is_refused(server.address(), heads.map(|head| (String::new(), head)).into());
    witness.assert_calm();
}

#[test]
fn a_hundred_streams_opened_at_the_same_instant_are_all_served() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    let start = Arc::new(Barrier::new(100));
    let threads: Vec<_> = (0..100)
        .map(|_| {
            let (start, address) = (start.clone(), program.address);
            thread::spawn(move || {
                start.wait();
                Browser::open(address, "/topics/crowd")
            })
        })
        .collect();
    let mut crowd: Vec<Browser> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    publish(program.address, "/topics/crowd", "for all");
    for browser in &mut crowd {
        assert_eq!(browser.next().data, "for all");
    }
    drop(crowd);
    witness.assert_calm();
}

#[test]
fn a_refused_connection_that_stays_open_is_cut_after_a_while() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    let mut refused: Vec<Raw> = (0..20).map(|_| Raw::connect(program.address)).collect();
    for raw in &mut refused {
        raw.send("GET / HTTP/2.0\r\n\r\n");
        assert_eq!(raw.answer().status, 505);
    }
    witness.assert_calm();
}

#[test]
fn a_reset_before_the_first_byte_leaves_nothing() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for begun in ["", "GET /topics/attacked HT"] {
        for _ in 0..100 {
            let mut raw = Raw::connect(program.address);
            raw.send(begun);
            reset_on_close(&raw);
        }
        witness.assert_calm();
    }
}

/// Three users are in the chat, and one leaves in this way: the others are told, and its permit is free.
fn assert_leaving_is_noticed(leave: impl Fn(Raw) -> Option<Raw>) {
    let server = server_with(|config| config.limits.pace.heartbeat = NO_HEARTBEAT);
    let mut witness = Witness::of_server(&server);
    let mut ann = Browser::open(server.address(), "/sse?user=ann");
    let bob = Browser::open(server.address(), "/sse?user=bob");
    // With cat, the list that is waited for is unmistakable: ann and cat alone were never there before.
    let cat = Browser::open(server.address(), "/sse?user=cat");
    let users = |browser: &mut Browser| browser.next_named("presence").json()["users"].to_string();
    ann.raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
    while users(&mut ann) != r#"["ann","bob","cat"]"# {}
    let left = leave(bob.raw);
    while users(&mut ann) != r#"["ann","cat"]"# {}
    assert_eq!(streams(server.address()), 3, "ann, cat and the witness");
    if let Some(mut bob) = left {
        bob.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
        bob.everything();
    }
    drop((ann, cat));
    witness.assert_calm();
}

#[test]
fn a_browser_that_hangs_up_is_gone_at_once_although_nothing_is_written() {
    assert_leaving_is_noticed(|raw| {
        drop(raw);
        None
    });
}

#[test]
fn a_browser_that_resets_is_gone_at_once_although_nothing_is_written() {
    assert_leaving_is_noticed(|raw| {
        reset_on_close(&raw);
        None
    });
}

#[test]
fn closing_half_of_the_connection_is_hanging_up() {
    assert_leaving_is_noticed(|raw| {
        raw.socket().shutdown(Shutdown::Write).unwrap();
        Some(raw)
    });
}

#[test]
fn closing_half_right_behind_the_request_is_hanging_up_too() {
    let server = server_with(|config| config.limits.pace.heartbeat = NO_HEARTBEAT);
    let mut witness = Witness::of_server(&server);
    for _ in 0..50 {
        let mut raw = Raw::connect(server.address());
        raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
        raw.send("GET /topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
        raw.socket().shutdown(Shutdown::Write).unwrap();
        raw.everything();
    }
    witness.assert_calm();
}

#[test]
fn a_thousand_who_join_and_leave_at_once_leave_nothing() {
    let program = Program::serve(&["--heartbeat", "1h"]);
    let mut witness = Witness::of_program(&program);
    for round in 0..1_000 {
        let mut raw = Raw::connect(program.address);
        raw.send("GET /sse?user=ann HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if round % 2 == 0 {
            reset_on_close(&raw);
        }
    }
    witness.assert_calm();
}

#[test]
fn what_a_browser_says_after_its_request_is_ignored() {
    let program = Program::serve(&["--heartbeat", "1h"]);
    let mut witness = Witness::of_program(&program);
    let mut chatty = Browser::open(program.address, "/topics/witness");
    chatty.raw.send("x".repeat(16 * 1024));
    assert_eq!(post(program.address, "/topics/witness", "hello").status, 200);
    assert_eq!((chatty.next().data, witness.next_data()), ("hello".into(), "hello".into()));
    drop(chatty);
    witness.assert_calm();
}

/// Publishes until the server has hung up on a browser for reading too slowly; the others receive each
/// event before the next one is published.
fn flood_until_too_slow(server: &Server, other: &mut Browser, data: &str) {
    let counters = server.app().hub.counters();
    let mut published = 0;
    while counters.too_slow.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        publish(server.address(), "/topics/flood", format!("{published} {data}"));
        assert_eq!(other.next().data, format!("{published} {data}"));
        published += 1;
        assert!(published < 10_000, "it never reads and is still connected");
    }
}

#[test]
fn a_browser_that_never_reads_is_gone_and_the_others_are_undisturbed() {
    let server = server_with(|config| config.limits.pace.heartbeat = NO_HEARTBEAT);
    let mut witness = Witness::of_server(&server);
    let mut other = Browser::open(server.address(), "/topics/flood");
    other.raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
    let mut deaf = Raw::over(narrow_socket(server.address()));
    deaf.send("GET /topics/flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(status(&deaf.head()), 200);
    flood_until_too_slow(&server, &mut other, &"x".repeat(4 * 1024));
    drop(other);
    // The deaf browser still holds its end open, and yet the server has freed what it held for it.
    witness.assert_calm();
}

#[test]
fn a_browser_that_takes_nothing_or_sips_is_gone_at_the_write_deadline() {
    const EVENT_BYTES: usize = 16 * 1024 * 1024;
    let server = server_with(|config| {
        config.limits.pace.heartbeat = NO_HEARTBEAT;
        config.limits.pace.write_deadline = Duration::from_secs(1);
        config.limits.body_bytes_max = EVENT_BYTES;
    });
    let mut witness = Witness::of_server(&server);
    let _deaf = Browser::open(server.address(), "/topics/flood");
    let mut sipping = Browser::open(server.address(), "/topics/flood");
    // One event: too little to fill a queue, but more than the sockets take and than is sipped in time.
    publish(server.address(), "/topics/flood", vec![b'x'; EVENT_BYTES]);
    sip_while(&mut sipping.raw, || streams(server.address()) > 1);
    witness.assert_calm();
}

#[test]
fn the_kernel_is_told_to_give_up_on_a_browser_whose_cable_is_pulled() {
    if !has_strace() {
        return;
    }
    let trace =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cable-{}", std::process::id()));
    let program = under_strace(&["-e", "trace=setsockopt", "-o", trace.to_str().unwrap()], &[]);
    drop(Browser::open(program.address, "/topics/a"));
    program.signal("TERM");
    program.wait();
    let calls = std::fs::read_to_string(&trace).unwrap();
    std::fs::remove_file(&trace).unwrap();
    let millis = calls.lines().find_map(|call| call.split_once("TCP_USER_TIMEOUT, [")?.1.split_once(']'));
    let millis: u64 = millis.expect("the option is set").0.parse().unwrap();
    // Later than the write deadline, for the kernel gives up on a browser that has no room too.
    assert!((30_001..=60_000).contains(&millis), "{millis}");
}

#[test]
fn a_server_that_is_dropped_by_its_clients_all_at_once_is_calm_again() {
    let server = server();
    let mut witness = Witness::of_server(&server);
    let crowd: Vec<Browser> = (0..200).map(|_| Browser::open(server.address(), "/sse?user=ann")).collect();
    drop(crowd);
    witness.assert_calm();
}
