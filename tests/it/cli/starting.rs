//! What `callout serve` does with its folder, its terminal and its output.

use super::commands::callout;
use crate::support::{Program, get, until};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

#[test]
fn a_standard_output_that_is_full_stops_nothing() {
    // Nobody reads the other end.
    let (mut stdout, _reader) = UnixStream::pair().unwrap();
    stdout.set_nonblocking(true).unwrap();
    while stdout.write(&[b'x'; 4096]).map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true) {}
    stdout.set_nonblocking(false).unwrap();
    let address = TcpListener::bind("127.0.0.73:0").unwrap().local_addr().unwrap();
    let mut command = callout(&["serve", "--listen", &address.to_string()]);
    command.stdout(Stdio::from(OwnedFd::from(stdout))).stderr(Stdio::piped());
    let program = Program { child: command.spawn().unwrap(), address };
    until("it listens", || TcpStream::connect(address).is_ok());
    assert_eq!(get(address, "/healthz").status, 200);
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn a_server_drains_when_its_terminal_is_closed() {
    // An address of its own, so that no other test takes the port when it is free.
    let command = format!("exec {} serve --log error --listen 127.0.0.75:0", env!("CARGO_BIN_EXE_callout"));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("CALLOUT_DATA", "memory");
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(child) = script.spawn() else { return println!("skipped: script is not installed") };
    let mut script = Program { child, address: ([127, 0, 0, 75], 0).into() };
    let mut line = String::new();
    BufReader::new(script.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim().rsplit("http://").next().unwrap().parse().unwrap();
    assert_eq!(get(address, "/healthz").status, 200);
    // `script` is killed, and the terminal is closed with it.
    drop(script);
    until("the port is free", || TcpStream::connect(address).is_err());
}

#[test]
fn a_data_folder_that_is_made_and_its_files_are_for_their_owner_only() {
    let parent = std::env::temp_dir().join(format!("callout-modes-{}", std::process::id()));
    let folder = parent.join("data");
    let mode = || std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
    let serve = || Program::serve(&["--data", folder.to_str().unwrap()]);
    drop(serve());
    assert_eq!(mode(), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let metadata = entry.unwrap().metadata().unwrap();
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o777, wanted);
    }
    // A folder that is there already keeps its mode.
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o750)).unwrap();
    drop(serve());
    assert_eq!(mode(), 0o750);
    std::fs::remove_dir_all(parent).unwrap();
}

#[test]
fn a_server_that_others_can_reach_without_rules_warns_once_of_what_is_open() {
    let warnings = |flags: &[&str]| -> Vec<String> {
        let program = Program::serve(flags);
        program.signal("TERM");
        let log = program.wait().1;
        log.lines().filter(|line| line.contains(" WARN ")).map(str::to_owned).collect()
    };
    for (flags, why) in [
        (&["--host", "push.example.org"][..], "it is asked for as push.example.org, by --host"),
        (&["--trusted-proxy", "127.0.0.1"], "a proxy is in front, by --trusted-proxy"),
    ] {
        let said = warnings(flags);
        let open = format!(
            "others can reach this server ({why}), and there are no rules: anybody may publish to every topic and read it, \
             notify every user and read what is for them; rules in a file (--config), or --publish-token, would change that"
        );
        assert!(said.len() == 1 && said[0].ends_with(&open), "{said:?}");
        assert_eq!(warnings(&[flags, &["--publish-token", "sesame"]].concat()), [""; 0]);
    }
    assert_eq!(warnings(&[]), [""; 0]);
}
