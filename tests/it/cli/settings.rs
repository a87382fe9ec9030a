//! The values of flags and of variables: what is refused, and how it is said.

use super::commands::{callout, complaint, output, text};
use crate::support::Program;
use std::process::Stdio;

#[test]
fn an_address_without_a_port_or_with_a_name_that_is_not_known_is_refused() {
    for (listen, word) in [
        ("::1", "[::1]:8080"),
        ("::", "[::]:8080"),
        ("[::1]", "[::1]:8080"),
        ("127.0.0.1", "127.0.0.1:8080"),
        ("127.0.0.1:65536", "a port up to 65535"),
        ("localhost", "a port up to 65535"),
        ("nosuchhost.invalid:80", "the name `nosuchhost.invalid` is not known"),
    ] {
        let line = complaint(&output(&["serve", "--listen", listen]), 2);
        assert!(line.contains("--listen") && line.contains(word), "{listen}: {line}");
    }
}

#[test]
fn a_limit_of_nothing_at_all_is_refused() {
    for flag in ["--keep-events", "--keep-bytes", "--keep-age", "--streams", "--body-bytes"] {
        let line = complaint(&output(&["serve", flag, "0"]), 2);
        assert!(line.contains(flag) && line.contains("at least"), "{line}");
    }
    assert!(complaint(&output(&["listen", "t", "--count", "0"]), 2).contains("at least 1"));
}

#[test]
fn a_file_in_the_place_of_the_data_folder_is_called_a_file() {
    for data in ["/etc/passwd", "/etc/passwd/below"] {
        let line = complaint(&output(&["serve", "--data", data]), 1);
        assert!(line.contains("`/etc/passwd` is a file"), "{line}");
    }
}

#[test]
fn what_a_shell_would_have_taken_off_a_variables_value_is_refused_and_shown() {
    for value in ["\"memory\"", "'memory'", "memory ", " memory", "callout-data\r", "\tcallout-data"] {
        let output =
            callout(&["serve", "--listen", "127.0.0.1:0"]).env("CALLOUT_DATA", value).output().unwrap();
        let line = complaint(&output, 2);
        assert!(line.contains("CALLOUT_DATA") && line.contains(&format!("{value:?}")), "{line}");
    }
    let line = complaint(&output(&["serve", "--data", "callout-data\r"]), 2);
    assert!(line.contains("--data") && line.contains(r"callout-data\r"), "{line}");
    // A secret is not shown.
    let output = callout(&["serve"]).env("CALLOUT_PUBLISH_TOKEN", "\"sesame\"").output().unwrap();
    let line = complaint(&output, 2);
    assert!(line.contains("CALLOUT_PUBLISH_TOKEN") && !line.contains("sesame"), "{line}");
}

#[test]
fn a_variable_that_callout_does_not_know_is_named_without_its_value() {
    let mut command = callout(&["publish", "t", "x", "--url", "http://127.0.0.71:1"]);
    command
        .env("CALLOUT_EVENTS", "sesame")
        .env("CALLOUT_TOKEN", "sesame")
        .env("CALLOUT_PUBLISH_TOKEN", "sesame");
    // Those that Kubernetes sets for a service named `callout`, and one of another command.
    command.env("CALLOUT_PORT_8080_TCP_ADDR", "10.0.0.1").env("CALLOUT_SERVICE_HOST", "10.0.0.1");
    command.env("CALLOUT_HEARTBEAT", "15s");
    let output = command.stdout(Stdio::piped()).output().unwrap();
    let notes = text(&output.stderr);
    let unknown =
        "callout: the variable CALLOUT_EVENTS is unknown and has no effect; is CALLOUT_KEEP_EVENTS meant?";
    assert_eq!(notes.lines().next(), Some(unknown));
    assert_eq!(notes.lines().filter(|line| line.contains("variable")).count(), 1, "{notes}");
    assert!(!notes.contains("sesame"), "{notes}");
}

#[test]
fn a_server_says_that_the_token_of_the_other_commands_does_not_close_it() {
    let notes = |own: Option<&str>| {
        let mut command = callout(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("CALLOUT_TOKEN", "sesame").envs(own.map(|token| ("CALLOUT_PUBLISH_TOKEN", token)));
        let program = Program::start(command);
        program.signal("TERM");
        program.wait().1
    };
    let note = "callout: the variable CALLOUT_TOKEN is for publish, listen and history, and closes nothing here; is \
                CALLOUT_PUBLISH_TOKEN meant?\n";
    let (open, closed) = (notes(None), notes(Some("sesame")));
    assert!(open.contains(note) && !open.contains("sesame"), "{open}");
    assert!(!closed.contains("CALLOUT_TOKEN"), "{closed}");
}

#[test]
fn what_cannot_be_sent_as_an_id_is_refused() {
    for since in ["a\nb", "a b", "é"] {
        let line = complaint(&output(&["listen", "t", "--since", since]), 2);
        assert!(line.contains("--since"), "{line}");
    }
}
