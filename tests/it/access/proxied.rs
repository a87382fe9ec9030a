//! The PROXY protocol: a trusted proxy announces the client before the first request of a connection.

use super::limits::own_address;
use crate::support::{Browser, PATIENCE, Program, Raw, said, server_with};
use callout::{Limit, Server};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn server(trusts: &str) -> Server {
    server_with(|config| {
        config.trusted_proxies = [trusts.parse().unwrap()].into_iter().collect();
        config.client_limits.streams = Limit::At(1);
    })
}

/// The second version, as haproxy sends it with `send-proxy-v2`.
fn binary(client: [u8; 4]) -> Vec<u8> {
    [SIGNATURE, &[0x21, 0x11, 0, 12], &client, &[127, 0, 0, 1, 0x9c, 0x40, 0x1f, 0x90]].concat()
}

/// Whether a stream that begins like this is opened.
fn is_opened(at: SocketAddr, first: &[u8]) -> (Raw, bool) {
    let mut raw = Raw::connect(at);
    raw.send(first);
    raw.send("GET /topics/t HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    let head = raw.head();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    (raw, head.contains("transfer-encoding"))
}

#[test]
fn a_trusted_proxy_announces_whose_connection_it_is_in_either_version() {
    let server = server("127.0.0.1");
    let at = server.address();
    let line = b"PROXY TCP4 198.51.100.1 127.0.0.1 40000 8080\r\n";
    let (_held, opened) = is_opened(at, line);
    assert!(opened);
    assert!(!is_opened(at, line).1, "it has its one stream");
    assert!(!is_opened(at, &binary([198, 51, 100, 1])).1);
    let (_other, opened) = is_opened(at, &binary([198, 51, 100, 2]));
    assert!(opened);
    let six = b"PROXY TCP6 2001:db8:0:7::1 ::1 1 2\r\n";
    let (_six, opened) = is_opened(at, six);
    assert!(opened && !is_opened(at, b"PROXY TCP6 2001:db8:0:7::2 ::1 1 2\r\n").1);
    // The proxy itself, as it asks whether callout is well.
    for first in [&b"PROXY UNKNOWN\r\n"[..], &[SIGNATURE, &[0x20, 0, 0, 0]].concat()] {
        let held: Vec<_> = (0..3).map(|_| is_opened(at, first)).collect();
        assert!(held.iter().all(|(_, opened)| *opened));
    }
}

#[test]
fn an_announcement_may_come_byte_by_byte_and_holds_for_all_requests_of_the_connection() {
    let program = Program::serve(&["--log", "info", "--trusted-proxy", "127.0.0.1"]);
    let mut raw = Raw::connect(program.address);
    for byte in binary([198, 51, 100, 1]) {
        raw.send([byte]);
    }
    for path in ["/a", "/b"] {
        // The client is not trusted, so what it says of itself has no effect.
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"));
        assert_eq!(raw.answer().status, 404);
    }
    program.signal("TERM");
    let (_, log) = program.wait();
    assert!(log.contains("198.51.100.1 GET /a 404") && log.contains("198.51.100.1 GET /b 404"), "{log}");
}

#[test]
fn an_announcement_of_anybody_else_is_refused_and_so_is_a_malformed_one() {
    let (trusting, other) = (server("127.0.0.1"), server("192.0.2.0/24"));
    let line = b"PROXY TCP4 198.51.100.1 127.0.0.1 40000 8080\r\n";
    let mut long = binary([198, 51, 100, 1]);
    long[14] = 0x7f;
    for (at, first, why) in [
        (other.address(), &line[..], "--trusted-proxy"),
        (other.address(), &binary([198, 51, 100, 1]), "--trusted-proxy"),
        (trusting.address(), b"PROXY TCP4 198.51.100.1\r\n", "malformed"),
        (trusting.address(), b"PROXY TCP4 198.51.100.999 127.0.0.1 1 2\r\n", "malformed"),
        (trusting.address(), &[b"PROXY TCP4 ", &[b'1'; 200][..]].concat(), "malformed"),
        (trusting.address(), &long, "malformed"),
        // Only the first bytes of a connection announce anything.
        (trusting.address(), &[&line[..], line].concat(), "HTTP"),
    ] {
        let mut raw = Raw::connect(at);
        raw.send(first);
        raw.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = raw.answer();
        assert!((400..=505).contains(&answer.status), "{answer:?}");
        assert!(said(&answer).contains(why), "{}", said(&answer));
        if why != "HTTP" {
            assert_eq!(answer.status, 400);
        }
        assert!(raw.is_closed());
    }
    // The servers go on.
    let _still =
        (Browser::open(trusting.address(), "/topics/t"), Browser::open(other.address(), "/topics/t"));
}

/// haproxy in front of a server, on a port of its own. It ends when it is dropped.
struct Haproxy {
    child: Child,
    port: u16,
}

impl Haproxy {
    /// None, and a word about it, where haproxy is not installed.
    fn start(server: SocketAddr, option: &str) -> Option<Haproxy> {
        // Nobody else is given this port meanwhile, unless all others have been given away.
        let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let file = std::env::temp_dir().join(format!("callout-haproxy-{}-{port}", std::process::id()));
        let times = "timeout connect 9s\n timeout client 99s\n timeout server 99s";
        let config = format!(
            "defaults\n mode tcp\n {times}\nlisten all\n bind :{port}\n server callout {server} {option}\n"
        );
        fs::write(&file, config).unwrap();
        let mut command = Command::new("haproxy");
        let child =
            command.arg("-db").arg("-f").arg(&file).stderr(Stdio::null()).stdout(Stdio::null()).spawn();
        let Ok(child) = child else {
            println!("skipped: haproxy is not installed");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI has it");
            return None;
        };
        let give_up = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < give_up, "haproxy does not listen");
            std::thread::yield_now();
        }
        let _ = fs::remove_file(file);
        Some(Haproxy { child, port })
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn haproxy_announces_the_client_in_both_versions() {
    let Some(own) = own_address() else { return };
    for option in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn", "send-proxy check check-send-proxy"]
    {
        let program = Program::serve(&["--log", "info", "--trusted-proxy", "127.0.0.1"]);
        let Some(haproxy) = Haproxy::start(program.address, option) else { return };
        let mut raw = Raw::connect((own, haproxy.port).into());
        for _ in 0..2 {
            raw.send("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
            assert_eq!(raw.answer().status, 404, "{option}");
        }
        drop((raw, haproxy));
        program.signal("TERM");
        let (_, log) = program.wait();
        let lines = log.matches(&format!(" {own} GET /nowhere 404 ")).count();
        assert!(lines == 2 && !log.contains(" 400 "), "{option}: {log}");
    }
}
