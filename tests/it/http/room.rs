//! Where all connections are taken, the one that has been silent longest makes room for a newcomer.

use crate::support::witness::{AT_ONCE, Witness};
use crate::support::{Browser, Program, Raw, publish, server_with};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// The silence itself: enough to tell who has been silent longer.
const SILENCE: Duration = Duration::from_millis(150);

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn asked(raw: &mut Raw) -> u16 {
    raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
    raw.send(HEALTH);
    raw.answer().status
}

#[test]
fn a_newcomer_is_served_at_once_although_silent_connections_take_all_room() {
    let mut command = Command::new("bash");
    command.args(["-c", r#"ulimit -n 64; exec "$0" "$@""#, env!("CARGO_BIN_EXE_callout"), "serve"]);
    command.args(["--listen", "127.0.0.1:0", "--log", "warn"]);
    let program = Program::start(command);
    let mut witness = Witness::of_program(&program);
    let silent: Vec<Raw> = (0..100).map(|_| Raw::connect(program.address)).collect();
    assert_eq!(asked(&mut Raw::connect(program.address)), 200);
    drop(silent);
    witness.assert_calm();
}

#[test]
fn the_connection_that_has_been_silent_longest_makes_room_and_no_other() {
    let server = server_with(|config| (config.limits.connections_max, config.streams_max) = (5, 5));
    let address = server.address();
    let mut stream = Browser::open(address, "/topics/t");
    let [mut first, mut second, mut third] = [(); 3].map(|()| Raw::connect(address));
    // In another order than that in which they came; a half of a head counts as well.
    for raw in [&mut second, &mut first] {
        assert_eq!(asked(raw), 200);
        thread::sleep(SILENCE);
    }
    third.send("GET /healthz HTTP/1.1\r\nHos");
    thread::sleep(SILENCE);
    let publishers = [(); 2].map(|()| {
        let mut raw = Raw::connect(address);
        assert_eq!(asked(&mut raw), 200);
        raw
    });
    assert_eq!(second.everything(), "", "it made room for the second publisher");
    third.send("t: localhost\r\n\r\n");
    assert_eq!(third.answer().status, 200);
    assert_eq!(asked(&mut first), 200, "it stays");
    publish(address, "/topics/t", "still here");
    assert_eq!(stream.next().data, "still here");
    drop(publishers);
}
