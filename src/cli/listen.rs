//! `callout listen TOPIC…`: prints events as they come, and comes back with the last id when the
//! stream breaks.

use super::remote::{Remote, URL_FLAG, refusal};
use super::{Command, Failure, Flag, Flags, Usage};
use crate::decode::{Decoder, Received};
use crossbeam_channel::{Receiver, bounded};
use std::io::{self, BufRead, BufReader, Write};
use std::time::Duration;

/// The heartbeat that is assumed until the server announces its own.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The delay before reconnecting if the server set none, and the longest delay.
const RETRY: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The delay doubles with each failure in a row to open a stream, at most this many times.
const DOUBLINGS_MAX: u32 = 4;

/// Lines that were read but not printed yet. When full, the reader waits, and so does the server.
const QUEUE_LINES: usize = 256;

pub(super) static COMMAND: Command = Command {
    name: "listen",
    arguments: "TOPIC…",
    about: "print the events of topics as they come",
    flags: &[
        Flag { name: "json", value: "", help: "one JSON object a line: id, event, data" },
        Flag { name: "since", value: "ID", help: "begin after this id; `earliest` for all that is kept" },
        URL_FLAG,
    ],
};

/// How a stream ended.
enum Ended {
    /// It could not be opened; the next try may succeed.
    Unopened(String),
    /// The connection broke after it was open.
    Broke(String),
    /// Standard output is closed.
    Unread,
}

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    if flags.arguments.is_empty() {
        return Err(Usage("listen needs at least one topic".into()).into());
    }
    let remote = Remote::new(flags)?;
    let topics: Vec<_> = flags.arguments.iter().map(|topic| ("topic", topic.as_str())).collect();
    let url = remote.url("/topics", &topics);
    let mut decoder = Decoder::default();
    decoder.last_event_id = flags.text("since").unwrap_or_default().to_owned();
    let mut failures = 0;
    loop {
        let (why, doublings) = match follow(&remote, &url, &mut decoder, flags.is_on("json"))? {
            Ended::Unread => return Ok(()),
            Ended::Broke(why) => {
                failures = 0;
                (why, 0)
            }
            Ended::Unopened(why) => {
                failures += 1;
                (why, (failures - 1).min(DOUBLINGS_MAX))
            }
        };
        let retry = decoder.retry_millis.map_or(RETRY, Duration::from_millis);
        let delay = (retry * 2_u32.pow(doublings)).min(RETRY_MAX.max(retry));
        // Standard error may be closed.
        let _ = writeln!(io::stderr(), "callout: {why}; coming back in {:.1}s", delay.as_secs_f64());
        std::thread::sleep(delay);
        decoder.restart();
    }
}

/// Reads one stream until it ends. An error that another try cannot mend is a failure.
fn follow(remote: &Remote, url: &str, decoder: &mut Decoder, json: bool) -> Result<Ended, Failure> {
    let mut request = remote.agent().get(url).header("Accept", "text/event-stream");
    if !decoder.last_event_id.is_empty() {
        request = request.header("Last-Event-ID", &decoder.last_event_id);
    }
    let response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ok(Ended::Unopened(remote.unreachable(&error))),
    };
    if response.status().is_server_error() {
        return Ok(Ended::Unopened(refusal(response)));
    }
    if response.status() != 200 {
        return Err(Failure::Work(refusal(response)));
    }
    let lines = read_lines(BufReader::new(response.into_body().into_reader()));
    let lines = lines.map_err(|error| Failure::Work(format!("failed to start a thread: {error}")))?;
    let mut heartbeat = HEARTBEAT;
    loop {
        // After two and a half heartbeats without a byte the connection counts as dead.
        let line = match lines.recv_timeout(heartbeat.saturating_mul(5) / 2) {
            Ok(line) => line,
            Err(error) if error.is_timeout() => return Ok(Ended::Broke("the stream went silent".into())),
            Err(_) => return Ok(Ended::Broke("the stream ended".into())),
        };
        heartbeat = told_heartbeat(&line).unwrap_or(heartbeat);
        if let Some(event) = decoder.line(&line)
            && print(&event, json).is_err()
        {
            return Ok(Ended::Unread);
        }
    }
}

/// The heartbeat that a stream's opening comment announces: `:ok heartbeat=15`, in seconds.
fn told_heartbeat(line: &str) -> Option<Duration> {
    let comment = line.strip_prefix(':')?;
    let seconds = comment.split_whitespace().find_map(|word| word.strip_prefix("heartbeat="))?;
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok().filter(|heartbeat| !heartbeat.is_zero())
}

/// Reads on a thread of its own, so that silence can be noticed. The thread ends with the stream, or when the
/// receiver is dropped.
fn read_lines(mut stream: impl BufRead + Send + 'static) -> io::Result<Receiver<String>> {
    let (sender, lines) = bounded(QUEUE_LINES);
    std::thread::Builder::new().name("stream".into()).spawn(move || {
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&bytes).into_owned();
            bytes.clear();
            if sender.send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(lines)
}

fn print(event: &Received, json: bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match (json, event.event.as_str()) {
        (true, _) => writeln!(stdout, "{}", serde_json::json!(event))?,
        (false, "message") => writeln!(stdout, "{}", event.data)?,
        (false, name) => writeln!(stdout, "{name}: {}", event.data)?,
    }
    stdout.flush()
}
