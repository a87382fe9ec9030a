//! `callout listen TOPIC…`: prints events of topics and prefixes (`rooms/*`) as they come, and comes back with the last
//! id when the stream breaks.

use super::flags::count;
use super::output::{note, print, watch_reader};
use super::remote::{Remote, TOKEN_FLAG, URL_FLAG, authorization, media_type, refusal, retry_after};
use super::{Command, Failure, Flag, Flags, Usage};
use crate::decode::{Decoder, EVENT_BYTES_MAX, Received};
use crate::event::RETRY_MILLIS;
use crate::os::threads::spawn;
use crate::server::settings;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, select};
use std::io::{self, Read};
use std::time::Duration;
use ureq::http::StatusCode;

/// The heartbeat that is assumed until the server announces its own.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The delay before reconnecting if the server set none, and the longest delay that grows out of failures.
const RETRY: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The delay doubles with each failure in a row to open a stream, at most this many times.
const DOUBLINGS_MAX: u32 = 4;

/// What is read at once, and how many such chunks may wait to be printed. When full, the reader waits, and so does
/// the server.
const CHUNK_BYTES: usize = 32 * 1024;
const QUEUE_CHUNKS: usize = 32;

/// How much of a refusal is read, and the longest pause in it: it is a line of JSON.
const REFUSAL_CHUNKS: usize = 2;
const REFUSAL_PAUSE: Duration = Duration::from_secs(2);

/// Statuses with which a server, or a proxy before it, says: not now. All of 500 and above say so too.
const NOT_NOW: [StatusCode; 3] =
    [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];

pub(super) static COMMAND: Command = Command {
    name: "listen",
    arguments: "TOPIC…",
    about: "print the events of topics (`rooms/*`: of all that begin so) as they come",
    flags: &[
        Flag { name: "json", value: "", help: "one JSON object a line: id, event, topic, data" },
        Flag { name: "since", value: "ID", help: "begin after this id; `earliest` for all that is kept" },
        Flag { name: "count", value: "COUNT", help: "end after so many events; goes on for ever" },
        TOKEN_FLAG,
        URL_FLAG,
    ],
};

/// Why a stream ended before everything was printed that was asked for.
enum Ended {
    /// It could not be opened; the next try may succeed, after this time if the server named one.
    Unopened(String, Option<Duration>),
    /// The connection broke after it was open.
    Broke(String),
    /// Another try could not mend it.
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failed(failure)
    }
}

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    if flags.arguments.is_empty() {
        return Err(Usage("listen needs at least one topic".into()).into());
    }
    let remote = Remote::new(flags)?;
    let as_json = flags.is_on("json");
    let mut query: Vec<_> = flags.arguments.iter().map(|topic| ("topic", topic.as_str())).collect();
    query.extend(as_json.then_some(("with", "topic")));
    let url = remote.url("/topics", &query);
    let right = "an id: visible ASCII characters without blanks, or `earliest`";
    let is_id = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let since = flags.value("since", String::new(), right, |text| is_id(text).then(|| text.to_owned()))?;
    let mut listener = Listener {
        remote,
        url,
        authorization: authorization(flags)?,
        as_json,
        left: flags.value("count", u64::MAX, "a number of events, at least 1", count)?,
        decoder: Decoder::after(since),
        unread: watch_reader(),
    };
    let mut failures = 0;
    loop {
        let (why, told) = match listener.stream() {
            Ok(()) => return Ok(()),
            Err(Ended::Failed(failure)) => return Err(failure),
            Err(Ended::Broke(why)) => {
                failures = 0;
                (why, None)
            }
            Err(Ended::Unopened(why, told)) => {
                failures += 1;
                (why, told)
            }
        };
        let delay = listener.delay(failures, told);
        note(&format!("{why}; coming back in {:.1}s", delay.as_secs_f64()));
        if listener.unread.recv_timeout(delay) == Err(RecvTimeoutError::Disconnected) {
            return Err(Failure::Unread);
        }
        listener.decoder.restart();
    }
}

/// What outlives a broken connection.
struct Listener {
    remote: Remote,
    url: String,
    authorization: Option<String>,
    as_json: bool,
    /// Events that are still to be printed.
    left: u64,
    decoder: Decoder,
    /// Disconnected when nobody reads standard output any more.
    unread: Receiver<()>,
}

impl Listener {
    /// Prints the events of one stream until it ends, or as many as were asked for are printed.
    fn stream(&mut self) -> Result<(), Ended> {
        let chunks = self.open()?;
        loop {
            let heartbeat = self.decoder.heartbeat.unwrap_or(HEARTBEAT);
            // After two and a half heartbeats without a byte the connection counts as dead.
            let valid = &settings::HEARTBEAT.valid;
            let silence = heartbeat.clamp(*valid.start(), *valid.end()) * 5 / 2;
            let chunk = select! {
                recv(chunks) -> chunk => chunk,
                recv(self.unread) -> _ => return Err(Failure::Unread.into()),
                default(silence) => return Err(Ended::Broke("the stream went silent".into())),
            };
            let chunk = chunk.map_err(|_| Ended::Broke("the stream ended".into()))?;
            let events = self.decoder.bytes(&chunk).map_err(|_| {
                let mb = EVENT_BYTES_MAX / (1024 * 1024);
                Failure::Work(format!("the server sent an event of more than {mb} MB"))
            })?;
            for event in events {
                self.print(&event)?;
                self.left -= 1;
                if self.left == 0 {
                    return Ok(());
                }
            }
        }
    }

    /// Opens a stream; its bytes come through the channel.
    fn open(&self) -> Result<Receiver<Vec<u8>>, Ended> {
        // Silence is noticed by the one who waits for the chunks.
        let request = self.remote.agent().get(&self.url).config().timeout_per_read(None).build();
        let mut request = request.header("Accept", "text/event-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        if !self.decoder.last_event_id.is_empty() {
            request = request.header("Last-Event-ID", &self.decoder.last_event_id);
        }
        let response =
            request.call().map_err(|error| Ended::Unopened(self.remote.unreachable(&error), None))?;
        let (head, body) = response.into_parts();
        let chunks = read_chunks(body.into_reader())
            .map_err(|error| Failure::Work(format!("failed to start a thread: {error}")))?;
        if head.status != StatusCode::OK {
            let why = refusal(&head, &read_refusal(&chunks));
            let is_temporary = head.status.is_server_error() || NOT_NOW.contains(&head.status);
            return Err(match is_temporary {
                true => Ended::Unopened(why, retry_after(&head)),
                false => Failure::Work(why).into(),
            });
        }
        if media_type(&head) != "text/event-stream" {
            return Err(self.remote.stranger().into());
        }
        Ok(chunks)
    }

    /// How long to wait before the next try, after so many failures in a row.
    fn delay(&self, failures: u32, told: Option<Duration>) -> Duration {
        let millis = |millis: u32| Duration::from_millis(millis.into());
        if let Some(told) = told {
            return told.clamp(millis(*RETRY_MILLIS.start()), millis(*RETRY_MILLIS.end()));
        }
        let retry = self.decoder.retry_millis.map_or(RETRY, millis);
        let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
        (retry * 2_u32.pow(doublings)).min(RETRY_MAX.max(retry))
    }

    fn print(&self, event: &Received) -> Result<(), Failure> {
        print(&match (self.as_json, event.event.as_str()) {
            (true, _) => format!("{}\n", serde_json::json!(event)),
            (false, "message") => format!("{}\n", event.data),
            (false, name) => format!("{name}: {}\n", event.data),
        })
    }
}

/// Reads on a thread of its own, so that silence can be noticed. The thread ends with the stream, or when the
/// receiver is dropped.
fn read_chunks(mut stream: impl Read + Send + 'static) -> io::Result<Receiver<Vec<u8>>> {
    let (sender, chunks) = bounded(QUEUE_CHUNKS);
    spawn("stream", move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
            if sender.send(buffer[..bytes].to_vec()).is_err() {
                return;
            }
        }
    })?;
    Ok(chunks)
}

/// The body of a refusal, as far as it comes soon.
fn read_refusal(chunks: &Receiver<Vec<u8>>) -> String {
    let come = std::iter::from_fn(|| chunks.recv_timeout(REFUSAL_PAUSE).ok());
    let bytes: Vec<u8> = come.take(REFUSAL_CHUNKS).flatten().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
