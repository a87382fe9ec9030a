//! Whose request it is: the client's address in the access log, also behind a proxy that is trusted.

use crate::support::{Browser, Program, Raw};

/// Ends the program, and gives what its access log says: each line from the client's address up to the
/// status.
fn access_log(program: Program) -> Vec<String> {
    program.signal("TERM");
    let (code, log) = program.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.chars().all(|char| char == '\n' || matches!(char, ' '..='~')), "{log:?}");
    // Behind the status stand the bytes and the time: `120B 0.3ms`; and behind those, for a stream, why it ended.
    let is_access = |line: &&str| {
        let end = ["hung-up", "drained"].iter().find_map(|why| line.strip_suffix(&format!(" {why}")));
        let line = end.unwrap_or(line);
        line.ends_with("ms") && line.rsplit(' ').nth(1).is_some_and(|b| b.ends_with('B'))
    };
    let lines = log.lines().filter(is_access).filter_map(|line| line.split_once("INFO  "));
    lines.map(|(_, line)| line.splitn(5, ' ').take(4).collect::<Vec<_>>().join(" ")).collect()
}

/// Sends each of these on a connection of its own, and waits until it is answered, or its connection closed.
fn exchange_all(program: &Program, heads: &[&[u8]]) {
    for head in heads {
        let mut raw = Raw::connect(program.address);
        raw.send(head);
        raw.head();
    }
}

#[test]
fn each_line_of_the_access_log_begins_with_the_clients_address() {
    let program = Program::serve(&["--log", "info"]);
    exchange_all(
        &program,
        &[
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n",
            b"GET /nowhere?secret HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST /topics/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
            b"what?\r\n\r\n",
        ],
    );
    drop(Browser::open(program.address, "/topics/t"));
    let mut log = access_log(program);
    // A refused connection lingers, and a stream is logged when it ends, so the order is not given.
    log.sort();
    assert_eq!(
        log,
        [
            "127.0.0.1 - - 400",
            "127.0.0.1 GET /healthz 200",
            "127.0.0.1 GET /nowhere 404",
            "127.0.0.1 GET /topics/t 200",
            "127.0.0.1 POST /topics/t 413",
        ]
    );
}

#[test]
fn a_trusted_proxy_says_which_client_it_speaks_for() {
    for listener in ["direct", "tiny_http"] {
        let flags = ["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "127.0.0.1,192.0.2.0/24"];
        let program = Program::serve(&[&["--log", "info", "--listener", listener], &flags[..]].concat());
        exchange_all(
            &program,
            &[
                b"GET /a HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9, 198.51.100.1, 192.0.2.5\r\n\r\n",
                b"GET /b HTTP/1.1\r\nHost: localhost\r\nForwarded: for=\"[2001:db8::1]:4711\"\r\n\r\n",
                b"GET /c HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: \x1b[2J\r\n\r\n",
                b"GET /d HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: spam 10.0.0.1\r\n\r\n",
                b"GET /e HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"POST /topics/t HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.2\r\nContent-Length: 70000\r\n\r\n",
            ],
        );
        drop(Browser::open_with(program.address, "/topics/t", "X-Forwarded-For: 198.51.100.3\r\n"));
        let mut log = access_log(program);
        log.sort();
        let expected = [
            "127.0.0.1 GET /d 404",
            "127.0.0.1 GET /e 404",
            "198.51.100.1 GET /a 404",
            "198.51.100.2 POST /topics/t 413",
            "198.51.100.3 GET /topics/t 200",
            "2001:db8::1 GET /b 404",
        ];
        // The one listener refuses a control character in a header, the other takes it for no address.
        let rest: Vec<_> = log.iter().filter(|line| !expected.contains(&line.as_str())).collect();
        assert_eq!(log.len(), expected.len() + 1, "{listener}: {log:?}");
        assert!(matches!(rest[0].as_str(), "127.0.0.1 - - 400" | "127.0.0.1 GET /c 404"), "{rest:?}");
    }
}

#[test]
fn what_a_client_sends_never_enters_the_log_raw() {
    for listener in ["direct", "tiny_http"] {
        let program = Program::serve(&["--log", "debug", "--listener", listener]);
        exchange_all(
            &program,
            &[
                "GET /\u{9b}2J/\u{202e}/é HTTP/1.1\r\nHost: localhost\r\n\r\n".as_bytes(),
                b"GET /\x1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"G\x1bT / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            ],
        );
        let log = access_log(program);
        assert!(!log.is_empty(), "{listener}");
    }
}

#[test]
fn a_line_of_the_log_is_cut_and_holds_no_control_or_direction_characters() {
    for listener in ["direct", "tiny_http"] {
        let program = Program::serve(&["--log", "debug", "--listener", listener]);
        let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(12_000));
        let method = format!("{} /topics/t HTTP/1.1\r\nHost: localhost\r\n\r\n", "M".repeat(12_000));
        let chars =
            "POST /topics/\u{202e}\u{2066}\u{9b}31m HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
        exchange_all(&program, &[long.as_bytes(), method.as_bytes(), chars.as_bytes()]);
        program.signal("TERM");
        let (_, log) = program.wait();
        assert!(log.chars().all(|char| char == '\n' || matches!(char, ' '..='~')), "{listener}: {log:?}");
        let longest = log.lines().map(str::len).max().unwrap_or_default();
        assert!((256..400).contains(&longest), "{listener}: {longest} {log}");
        assert!(log.contains(&format!("/{}... ", "x".repeat(252))), "{listener}: {log}");
    }
}
