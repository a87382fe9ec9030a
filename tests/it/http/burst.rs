//! Many connections at the same instant are all served.

use crate::support::{Browser, Raw, publish, server, server_with, status};

/// Opens so many streams without waiting for an answer in between.
fn burst(at: std::net::SocketAddr, count: usize) -> Vec<Raw> {
    let mut raws: Vec<Raw> = (0..count).map(|_| Raw::connect(at)).collect();
    for raw in &mut raws {
        raw.send("GET /topics/burst HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    }
    raws
}

#[test]
fn a_thousand_streams_opened_in_one_burst_are_all_answered_and_all_receive() {
    let server = server_with(|config| {
        config.streams_max = 1_000;
        config.limits.connections_max = 2_000;
    });
    let at = server.address();
    let open = |(number, mut raw): (usize, Raw)| {
        let head = raw.head();
        assert_eq!(status(&head), 200, "stream {number}");
        Browser::over(raw, head)
    };
    let browsers: Vec<Browser> = burst(at, 1_000).into_iter().enumerate().map(open).collect();
    publish(at, "/topics/burst", "for all");
    for mut browser in browsers {
        assert_eq!(browser.next().data, "for all");
    }
}

#[test]
fn five_on_a_freshly_started_server_are_five() {
    for _ in 0..20 {
        let server = server();
        for mut raw in burst(server.address(), 5) {
            assert_eq!(status(&raw.head()), 200);
        }
    }
}
