//! Publishes to callout and follows a topic, with ureq.
//!
//!     cargo run -- publish news 'hello, world'
//!     cargo run -- follow news

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::convert::Infallible;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use std::{env, thread};
use ureq::Agent;

/// The server sends something every 15 s at least (`--heartbeat`). After 40 s without a line the stream is dead.
const SILENCE: Duration = Duration::from_secs(40);

/// How long connecting, and waiting for the head of an answer, may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// The pause, in seconds, after each time that publishing failed.
const PAUSES_SECS: [u64; 5] = [1, 2, 4, 8, 0];

/// Lines that were read but not handled yet. When full, the reading thread waits.
const QUEUE_LINES: usize = 256;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Event<'a> {
    name: &'a str,
    data: &'a str,
}

/// Publishes text and returns the event's id. What was not answered, or was answered 5xx, is sent again. That
/// is safe, because the event keeps its id: callout publishes an id once.
fn publish(agent: &Agent, topic: &str, data: &str) -> Result<String> {
    let url = format!("{}?id={}", topic_url(topic), uuid::Uuid::new_v4());
    let mut reason: Box<dyn Error> = "no try".into();
    for pause_secs in PAUSES_SECS {
        match publish_once(agent, &url, data) {
            Ok((200, body)) => {
                let published: serde_json::Value = serde_json::from_str(&body)?;
                return Ok(published["id"].as_str().unwrap_or_default().to_owned());
            }
            Ok((400..500, body)) => return Err(body.into()),
            Ok((_, body)) => reason = body.into(),
            Err(error) => reason = error.into(),
        }
        thread::sleep(Duration::from_secs(pause_secs));
    }
    Err(reason)
}

/// The answer's status and body.
fn publish_once(agent: &Agent, url: &str, data: &str) -> std::result::Result<(u16, String), ureq::Error> {
    let mut request = agent.post(url).content_type("text/plain; charset=utf-8");
    if let Ok(token) = env::var("CALLOUT_PUBLISH_TOKEN") {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.send(data)?;
    Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
}

/// Calls `handle` for each event of a topic, until the server refuses.
fn follow(agent: &Agent, topic: &str, handle: impl Fn(Event)) -> Result<Infallible> {
    let mut last_id = String::new();
    let mut retry = Duration::from_secs(3);
    loop {
        let mut request = agent.get(topic_url(topic)).header("Accept", "text/event-stream");
        if !last_id.is_empty() {
            request = request.header("Last-Event-ID", &last_id);
        }
        match request.call() {
            Ok(response) if response.status() == 200 => {
                let lines = read_lines(response.into_body().into_reader());
                take_events(&lines, &mut last_id, &mut retry, &handle);
            }
            // What the server refuses it will refuse again.
            Ok(mut response) if response.status().is_client_error() => {
                return Err(response.body_mut().read_to_string()?.into());
            }
            Ok(response) => eprintln!("the server answered {}", response.status()),
            Err(error) => eprintln!("failed to reach the server: {error}"),
        }
        thread::sleep(retry);
    }
}

/// Takes the events of one stream, until it ends or goes silent.
fn take_events(lines: &Receiver<String>, last_id: &mut String, retry: &mut Duration, handle: impl Fn(Event)) {
    let mut id = last_id.clone();
    let (mut name, mut data) = (None, Vec::new());
    while let Ok(line) = lines.recv_timeout(SILENCE) {
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "id" => id = value,
            "event" => name = Some(value),
            "data" => data.push(value),
            "retry" => *retry = value.parse().map_or(*retry, Duration::from_millis),
            _ => {}
        }
        // An empty line ends an event. Only now is it whole, so only now its id counts.
        if line.is_empty() {
            last_id.clone_from(&id);
            let name = name.take();
            if !data.is_empty() {
                handle(Event { name: name.as_deref().unwrap_or("message"), data: &data.join("\n") });
                data.clear();
            }
        }
    }
}

/// Reads lines on a thread of its own, so that silence can be noticed. The thread ends with the stream, or when
/// nobody takes its lines any more.
fn read_lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = sync_channel(QUEUE_LINES);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(|line| line.ok()) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn topic_url(topic: &str) -> String {
    let url = env::var("CALLOUT_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".into());
    format!("{url}/topics/{}", utf8_percent_encode(topic, NON_ALPHANUMERIC))
}

fn main() -> Result<()> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(ANSWER_DEADLINE))
        .timeout_recv_response(Some(ANSWER_DEADLINE))
        .build()
        .into();
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["publish", topic, data] => println!("{}", publish(&agent, topic, data)?),
        ["follow", topic] => match follow(&agent, topic, print)? {},
        _ => return Err("usage: publish TOPIC DATA, or follow TOPIC".into()),
    }
    Ok(())
}

fn print(event: Event) {
    match event.name {
        // The last id is unknown or too old: some events are lost. Load afresh what they would have changed.
        "reset" => println!("reset: {}", event.data),
        "message" => println!("{}", event.data),
        name => println!("{name}: {}", event.data),
    }
}
