//! What the log says when many are refused: little.

use crate::support::{Program, Raw};
use std::io::Read;

const MANY: usize = 10_000;

/// How many refusals the log tells of: those that have a line, and those that were counted.
fn told(log: &str, line: &str) -> (usize, usize) {
    let lines = log.lines().filter(|text| text.contains(line)).count();
    let counted = log.lines().filter_map(|text| text.split(" more were refused").next()?.rsplit(' ').next());
    let counted: usize = counted.filter_map(|count| count.parse::<usize>().ok()).sum();
    (log.lines().count(), lines + counted)
}

#[test]
fn ten_thousand_refusals_are_few_lines_that_count_all_of_them() {
    for (name, flags, head) in [
        (
            "a token that is missing",
            &["--publish-token", "sesame"][..],
            "POST /topics/t HTTP/1.1\r\nContent-Length: 1\r\n",
        ),
        (
            "a limit",
            &["--trusted-proxy", "127.0.0.1", "--limit-publish", "1/s 1"],
            "POST /topics/t HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1\r\nContent-Length: 1\r\n",
        ),
        (
            "another site",
            &[],
            "POST /topics/t HTTP/1.1\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 1\r\n",
        ),
    ] {
        let program = Program::serve(&[&["--log", "info"], flags].concat());
        let mut raw = Raw::connect(program.address);
        let mut sender = raw.socket().try_clone().unwrap();
        let requests = format!("{head}Host: localhost\r\n\r\nx").repeat(MANY);
        let sent = std::thread::spawn(move || std::io::Write::write_all(&mut sender, requests.as_bytes()));
        let refused = (0..MANY).filter(|_| matches!(raw.answer().status, 401 | 403 | 429)).count();
        sent.join().unwrap().expect("all is taken");
        // With a limit some come through while it goes on.
        assert!(refused > MANY - 1_000, "{name}: {refused}");
        drop(raw);
        program.signal("TERM");
        let (_, log) = program.wait();
        let accepted = log.lines().filter(|line| line.contains("POST /topics/t 200")).count();
        let (lines, told) = told(&log, "POST /topics/t 4");
        // A second for each hundred of them is slower than any machine.
        assert!(lines - accepted < 250, "{name}: {lines} lines: {log}");
        assert!(told >= refused, "{name}: {told} of {refused}: {log}");
    }
}

#[test]
fn heads_that_are_none_are_few_lines_too() {
    let program = Program::serve(&["--log", "info"]);
    const HEADS: usize = 500;
    for _ in 0..HEADS {
        let mut raw = Raw::connect(program.address);
        raw.send("what?\r\n\r\n");
        let mut answer = String::new();
        let _ = raw.reader.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    program.signal("TERM");
    let (_, log) = program.wait();
    let (lines, told) = told(&log, "- - 400");
    assert!(lines < 200 && told == HEADS, "{lines} lines, {told} told: {log}");
}
