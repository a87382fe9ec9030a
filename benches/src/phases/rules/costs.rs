//! What 10,000 rules cost a publication, a stream's opening and a delivery.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{SECRET, check_open, tickets};
use crate::bench::{Bench, Rounds};
use crate::crowd::{Crowd, Faults};
use crate::meter::Meter;
use crate::pace::{finish, pace};
use crate::publisher::{PipelinedPublisher, WaitingPublisher};
use crate::server::{Kind, Server};
use crate::table::{Goal, Table};
use crate::wire::request::{PATH, PublishRequest, stream_request};

/// Streams that are opened to see what that costs, and then sent events.
const STREAMS: usize = 1_000;

/// From one event to the next: there is time for each, so that how many go out together makes no difference.
const INTERVAL: Duration = Duration::from_millis(25);

/// What is published before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long the last events may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

/// What one server needs for a request and for an event.
struct Costs {
    publish_micros: f64,
    ticket_micros: f64,
    open_micros: f64,
    open_with_ticket_micros: f64,
    delivery_micros: f64,
    faults: Faults,
}

struct Compared {
    without: Costs,
    with: Costs,
}

pub fn run(bench: &Bench, table: &mut Table, kinds: &[Kind], config: &str) -> Result<()> {
    table.section("rules: 10,000 of them, to the same without any; server CPU");
    let rounds = bench.alternate(kinds, |kind| {
        let without = costs(bench, &bench.start(kind)?, None)?;
        let server = bench.start_with(kind, &["--config", config])?;
        let wish = r#"{"user":"ann","publish":["bench"],"subscribe":["bench"],"ttl":"1h"}"#;
        let ticket = tickets(server.addr(), [wish.to_owned()])?.remove(0);
        let with = costs(bench, &server, Some(&ticket))?;
        Ok(Compared { without, with })
    })?;
    let ratio =
        |figure: fn(&Costs) -> f64| move |round: &Compared| figure(&round.with) / figure(&round.without);
    table.row("a publication without rules, µs", 1, Goal::Less, &rounds, |round| {
        round.without.publish_micros
    });
    table.row("with a token, to that", 2, Goal::AtMost(1.5), &rounds, ratio(|costs| costs.publish_micros));
    table.row("with a ticket, to that", 2, Goal::AtMost(1.75), &rounds, ratio(|costs| costs.ticket_micros));
    table.row("a stream's opening without rules, µs", 1, Goal::Less, &rounds, |round| {
        round.without.open_micros
    });
    table.row("with a token, to that", 2, Goal::AtMost(1.3), &rounds, ratio(|costs| costs.open_micros));
    table.row(
        "with a ticket, to that",
        2,
        Goal::AtMost(1.5),
        &rounds,
        ratio(|costs| costs.open_with_ticket_micros),
    );
    table.row("a delivery without rules, µs", 2, Goal::Less, &rounds, |round| round.without.delivery_micros);
    table.row("with rules, to that", 2, Goal::AtMost(1.1), &rounds, ratio(|costs| costs.delivery_micros));
    let faults: Rounds<Faults> = rounds
        .into_iter()
        .map(|(kind, rounds)| {
            let both = |round: Compared| [round.without.faults, round.with.faults];
            (kind, rounds.into_iter().flat_map(both).collect())
        })
        .collect();
    table.faults(&[faults], |faults| *faults);
    Ok(())
}

/// With a ticket: the server has rules, and a request needs a credential.
fn costs(bench: &Bench, server: &Server, ticket: Option<&str>) -> Result<Costs> {
    let target = server.target();
    let as_backend = || {
        let request = PublishRequest::new(target);
        if ticket.is_some() { request.bearing(SECRET) } else { request }
    };
    let as_user = || {
        let request = PublishRequest::new(target);
        ticket.map_or(as_backend(), |ticket| request.bearing(ticket))
    };
    let publish_micros = publications(bench, server, as_backend())?;
    let ticket_micros = publications(bench, server, as_user())?;
    let secret = ticket.map(|_| SECRET);
    let (open_micros, crowd) = openings(server, move |addr| bearing(stream_request(addr, PATH), secret))?;
    drop(crowd);
    let in_query = ticket.map_or(String::new(), |ticket| format!("?ticket={ticket}"));
    let (open_with_ticket_micros, mut crowd) =
        openings(server, move |addr| stream_request(addr, &format!("{PATH}{in_query}")))?;
    let mut publisher = PipelinedPublisher::connect_with(target, 0, as_backend())?;
    pace(bench.clock, &mut crowd, &mut publisher, INTERVAL, WARM_UP, |_, _| ())?;
    let meter = Meter::start(server, &crowd)?;
    pace(bench.clock, &mut crowd, &mut publisher, INTERVAL, bench.effort.load, |_, _| ())?;
    let reading = meter.stop(server, &crowd)?;
    finish(&mut crowd, &mut publisher, SETTLE_PATIENCE)?;
    let faults = crowd.settle(publisher.published(), SETTLE_PATIENCE)?;
    Ok(Costs {
        publish_micros,
        ticket_micros,
        open_micros,
        open_with_ticket_micros,
        delivery_micros: reading.server_micros_per_delivery(),
        faults,
    })
}

/// The server's CPU time for one publication that nobody receives, by a publisher that waits.
fn publications(bench: &Bench, server: &Server, request: PublishRequest) -> Result<f64> {
    let mut publisher = WaitingPublisher::connect_with(server.target(), 0, request)?;
    let mut publish = |length: Duration| -> Result<u64> {
        let (before, ends) = (publisher.published(), Instant::now() + length);
        while Instant::now() < ends {
            publisher.publish(bench.clock.nanos())?;
        }
        Ok(publisher.published() - before)
    };
    publish(WARM_UP)?;
    let before = server.cpu_time()?;
    let published = publish(bench.effort.publish)?;
    Ok((server.cpu_time()? - before).as_secs_f64() * 1e6 / published as f64)
}

/// The server's CPU time for opening a stream, and the streams.
fn openings(
    server: &Server,
    request: impl Fn(SocketAddr) -> Vec<u8> + Send + 'static,
) -> Result<(f64, Crowd)> {
    let addr = server.addr();
    let before = server.cpu_time()?;
    let crowd = Crowd::open_requests(server.target(), STREAMS, move |_| request(addr))?;
    let cpu = server.cpu_time()? - before;
    check_open(&crowd, STREAMS)?;
    Ok((cpu.as_secs_f64() * 1e6 / STREAMS as f64, crowd))
}

fn bearing(request: Vec<u8>, secret: Option<&str>) -> Vec<u8> {
    let Some(secret) = secret else { return request };
    let head = request.strip_suffix(b"\r\n").unwrap_or(&request);
    [head, format!("Authorization: Bearer {secret}\r\n\r\n").as_bytes()].concat()
}
