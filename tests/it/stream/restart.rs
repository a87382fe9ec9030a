//! A server that is killed and started again on its port, and one whose port is taken.

use crate::support::{Browser, Program, publish};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;

/// Browsers that one thread opens; so many threads.
const BROWSERS: usize = 250;
const THREADS: usize = 8;

/// A free port outside of those that systems give to others who ask for any.
fn quiet_port() -> SocketAddr {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut addresses = (first..).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    addresses.find(|&address| TcpListener::bind(address).is_ok()).expect("a free port")
}

fn serve_on(address: SocketAddr) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callout"));
    command.args(["serve", "--listen", &address.to_string(), "--log", "warn"]);
    Program::start(command)
}

/// Does this on all the threads and puts the browsers together.
fn together<T: Send>(work: impl Fn() -> Vec<T> + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(&work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn two_thousand_streams_are_all_back_after_the_server_was_killed_and_started_again() {
    let address = quiet_port();
    let program = serve_on(address);
    let open = || (0..BROWSERS).map(|_| Browser::open(address, "/topics/news")).collect();
    let mut browsers: Vec<Browser> = together(open);
    let last_event_id = publish(address, "/topics/news", "before");
    for browser in &mut browsers {
        assert_eq!(browser.next().data, "before");
    }
    program.signal("KILL");
    program.wait();
    for browser in &mut browsers {
        assert_eq!((browser.rest(), &browser.parser.last_event_id), (vec![], &last_event_id));
    }
    // They go all at once and in an instant, worse than real ones, which `retry` spreads.
    drop(browsers);
    let program = serve_on(address);
    assert_eq!(program.address, address);
    let resume = || (0..BROWSERS).map(|_| Browser::resume(address, "/topics/news", &last_event_id)).collect();
    let mut browsers: Vec<Browser> = together(resume);
    assert_eq!(browsers.len(), BROWSERS * THREADS);
    for data in ["first", "second", "last"] {
        publish(address, "/topics/news", data);
    }
    for browser in &mut browsers {
        let reset = browser.next();
        assert_eq!(reset.event, "reset");
        assert_eq!(reset.json()["requested"], *last_event_id);
        for data in ["first", "second", "last"] {
            assert_eq!(browser.next().data, data);
        }
    }
}

#[test]
fn a_port_that_is_taken_is_one_clear_line_and_a_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for listener in ["direct", "tiny_http"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callout"));
        command.args(["serve", "--data", "memory", "--listener", listener, "--listen", &address.to_string()]);
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]), "{listener}: {stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(&address.to_string()), "{listener}: {stderr}");
    }
    let refused = callout::Server::builder().listen(address).start();
    assert!(matches!(refused, Err(callout::StartError::Listen { .. })));
}
