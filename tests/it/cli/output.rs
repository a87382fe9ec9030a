//! Standard output that is a terminal, is full, or is closed.

use super::commands::{Listening, callout, complaint, output, text, url};
use crate::support::{get, publish, server, server_with, until};
use callout::Server;
use std::fs::File;
use std::process::{Command, Stdio};

/// A server that keeps an event on the topic `t`.
fn server_with_an_event() -> Server {
    let server = server();
    publish(server.address(), "/topics/t", "x");
    until("it is kept", || get(server.address(), "/history/t").json()["events"][0]["data"] == "x");
    server
}

/// Output of this command on a terminal; none if none can be had here.
fn on_a_terminal(command: &str) -> Option<String> {
    let mut script = Command::new("script");
    script.args(["-qec", command, "/dev/null"]).stdin(Stdio::null()).env("CALLOUT_DATA", "memory");
    match script.output() {
        Ok(output) => Some(text(&output.stdout).to_owned()),
        Err(_) => {
            println!("skipped: script is not installed");
            None
        }
    }
}

#[test]
fn an_event_cannot_act_on_a_terminal_and_goes_into_a_pipe_as_it_is() {
    let server = server();
    let data = "\x1b]0;title\x07\x1b[2J\u{9b}31m";
    publish(server.address(), "/topics/t", data);
    until("it is kept", || get(server.address(), "/history/t").json()["events"][0]["data"] == data);
    let url = url(server.address());
    let options = ["t", "--since", "earliest", "--count", "1"];
    assert_eq!(Listening::start(&options, &url).line(), data);
    let callout = env!("CARGO_BIN_EXE_callout");
    for flag in ["", "--json"] {
        let command = format!("{callout} listen {} {flag} --url {url}", options.join(" "));
        let Some(shown) = on_a_terminal(&command) else { return };
        assert!(shown.contains(r"\u001b]0;title\u0007\u001b[2J\u009b31m"), "{shown:?}");
        assert!(!shown.contains(['\x1b', '\x07', '\u{9b}']), "{shown:?}");
    }
    let Some(shown) = on_a_terminal(&format!("{callout} history t --url {url}")) else { return };
    assert!(shown.contains(r"\u009b31m") && !shown.contains('\u{9b}'), "{shown:?}");
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let server = server_with_an_event();
    let url = url(server.address());
    for args in [
        &["publish", "t", "x", "--url", &url][..],
        &["listen", "t", "--since", "earliest", "--url", &url],
        &["history", "--url", &url],
        &["history", "t", "--url", &url],
        &["--help"],
    ] {
        let mut command = callout(args);
        command.stdout(File::create("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        assert!(complaint(&output, 1).contains("standard output"), "{args:?}");
    }
}

#[test]
fn a_reader_who_has_enough_ends_a_command_without_a_fault() {
    let server = server_with_an_event();
    let url = url(server.address());
    let mut command = callout(&["history", "t", "--url", &url]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn listen_ends_when_nobody_reads_it_any_more_without_waiting_for_an_event() {
    let server = server();
    let mut command = callout(&["listen", "quiet", "--url", &url(server.address())]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it listens", || server.app().hub.survey().clients == 1);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn a_topic_of_which_nothing_is_kept_is_a_failure() {
    let folder = std::env::temp_dir().join(format!("callout-nope-{}", std::process::id()));
    let data = folder.to_str().unwrap().parse().unwrap();
    let server = server_with(|config| config.data = data);
    publish(server.address(), "/topics/t", "x");
    let line = complaint(&output(&["history", "nope", "--url", &url(server.address())]), 1);
    assert!(line.contains("nothing is kept of the topic `nope`"), "{line}");
    drop(server);
    let directory = folder.to_str().unwrap();
    let line = complaint(&output(&["history", "nope", "--directory", directory]), 1);
    assert!(line.contains("nothing is kept of the topic `nope`"), "{line}");
    assert_eq!(output(&["history", "t", "--directory", directory]).status.code(), Some(0));
    std::fs::remove_dir_all(folder).unwrap();
}
