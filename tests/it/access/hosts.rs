//! DNS rebinding: the page of another site cannot let its name point to this machine and then read here.

use crate::support::{Answer, Program, Raw, said};
use std::net::SocketAddr;

fn ask(at: SocketAddr, request: &str, host: &str) -> Answer {
    let mut raw = Raw::connect(at);
    raw.send(format!("{request} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
    raw.answer()
}

#[test]
fn a_loopback_connection_is_served_under_names_of_this_machine_only() {
    let program = Program::serve(&["--host", "push.example.org"]);
    let at = program.address;
    let own = format!("localhost:{}", at.port());
    for request in
        ["POST /topics/t", "GET /history/t", "GET /", "GET /healthz", "OPTIONS /topics/t", "GET /topics/t"]
    {
        let refused = ask(at, request, "evil.example:8080");
        assert_eq!(refused.status, 421, "{request}");
        let text = said(&refused);
        assert!(text.contains("`--host evil.example`"), "{text}");
        if request != "GET /topics/t" {
            assert!(ask(at, request, &own).status < 400, "{request}");
            assert!(ask(at, request, "Push.Example.org:443").status < 400, "{request}");
        }
    }
}
