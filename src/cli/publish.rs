//! `callout publish TOPIC [DATA]`: one event, from the command line or from standard input.

use super::output::print;
use super::remote::{PUBLISH_TOKEN_FLAG, Remote, TOKEN_FLAG, URL_FLAG, authorization, encode};
use super::{Command, Failure, Flag, Flags, Usage};
use serde_json::Value;
use std::io::Read;
use std::time::Duration;

/// The deadline for the body of the answer, which is one short line.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

pub(super) static COMMAND: Command = Command {
    name: "publish",
    arguments: "TOPIC [DATA]",
    about: "publish DATA, or standard input if it is `-` or missing; print the event's id",
    flags: &[
        Flag { name: "event", value: "NAME", help: "the event's name; message" },
        Flag { name: "id", value: "ID", help: "an id of your own, instead of the server's" },
        TOKEN_FLAG,
        PUBLISH_TOKEN_FLAG,
        URL_FLAG,
    ],
};

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let (topic, data) = match flags.arguments.as_slice() {
        [topic] => (topic, None),
        [topic, data] => (topic, Some(data.as_str()).filter(|data| *data != "-")),
        [] => return Err(Usage("publish needs a topic".into()).into()),
        _ => return Err(Usage("publish takes one TOPIC and one DATA (in quotes)".into()).into()),
    };
    if topic.is_empty() {
        return Err(Usage("a topic has at least one character".into()).into());
    }
    let data = match data {
        Some(data) => data.as_bytes().to_vec(),
        None => standard_input()?,
    };
    let remote = Remote::new(flags)?;
    let options = ["event", "id"].into_iter().filter_map(|name| Some((name, flags.text(name)?)));
    let url = remote.url(&format!("/topics/{}", encode(topic)), &options.collect::<Vec<_>>());
    // A redirected POST would become a GET, and open a stream.
    let mut request = remote.agent().post(&url).config().max_redirects(0).max_redirects_will_error(false);
    request = request.timeout_recv_body(Some(ANSWER_DEADLINE));
    let mut request = request.build().content_type("text/plain; charset=utf-8");
    if let Some(authorization) = authorization(flags)? {
        request = request.header("Authorization", authorization);
    }
    let response = request.send(&data[..]).map_err(|error| Failure::Work(remote.unreachable(&error)))?;
    match remote.json(response)?.get("id") {
        Some(Value::String(id)) => print(&format!("{id}\n")),
        // An ephemeral event has no id.
        Some(Value::Null) => Ok(()),
        _ => Err(remote.stranger()),
    }
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut data = Vec::new();
    let read = std::io::stdin().read_to_end(&mut data);
    read.map_err(|error| Failure::Work(format!("failed to read standard input: {error}")))?;
    // The line end that a shell adds is not part of the message.
    let line_end_bytes = match data.as_slice() {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    };
    data.truncate(data.len() - line_end_bytes);
    Ok(data)
}
