//! `callout publish TOPIC [DATA]`: one event, from the command line or from standard input.

use super::remote::{Remote, URL_FLAG, encode, refusal};
use super::{Command, Failure, Flag, Flags, Usage};
use std::io::Read;

pub(super) static COMMAND: Command = Command {
    name: "publish",
    arguments: "TOPIC [DATA]",
    about: "publish DATA, or standard input, and print the event's id",
    flags: &[
        Flag { name: "event", value: "NAME", help: "the event's name; message" },
        Flag { name: "id", value: "ID", help: "an id of your own, instead of the server's" },
        Flag { name: "publish-token", value: "TOKEN", help: "the server's publish token, if it has one" },
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
    let mut request = remote.agent().post(&url).content_type("text/plain; charset=utf-8");
    if let Some(token) = flags.publish_token()? {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.send(&data[..]).map_err(|error| Failure::Work(remote.unreachable(&error)))?;
    if !response.status().is_success() {
        return Err(Failure::Work(refusal(response)));
    }
    let answer = response.body_mut().read_to_string().unwrap_or_default();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
    match answer.get("id") {
        Some(serde_json::Value::String(id)) => super::print(&format!("{id}\n")),
        // An ephemeral event has none.
        Some(serde_json::Value::Null) => super::print(""),
        _ => return Err(Failure::Work(format!("{} does not answer like a callout", remote.base()))),
    };
    Ok(())
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut data = Vec::new();
    let read = std::io::stdin().read_to_end(&mut data);
    read.map_err(|error| Failure::Work(format!("failed to read standard input: {error}")))?;
    // The line end that a shell adds is not part of the message.
    if data.ends_with(b"\n") {
        data.pop();
    }
    Ok(data)
}
