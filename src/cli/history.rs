//! `callout history [TOPIC]`: what is kept, of a running server or in a stopped one's directory; one JSON
//! object a line.

use super::remote::{Remote, URL_FLAG, encode, refusal};
use super::{Command, Failure, Flag, Flags, Usage};
use crate::api::history::{part_json, topic_json};
use crate::disk::is_guarded;
use crate::event::Id;
use crate::history::disk::{Archive, NAME, opener};
use crate::topic::Topic;
use serde_json::Value;
use std::path::PathBuf;

pub(super) static COMMAND: Command = Command {
    name: "history",
    arguments: "[TOPIC]",
    about: "print what is kept per topic, or a topic's events",
    flags: &[
        Flag {
            name: "directory",
            value: "FOLDER",
            help: "read this directory of a stopped server, instead of asking one",
        },
        Flag { name: "publish-token", value: "TOKEN", help: "the server's publish token, if it has one" },
        URL_FLAG,
    ],
};

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let topic = match flags.arguments.as_slice() {
        [] => None,
        [topic] => Some(topic.as_str()),
        _ => return Err(Usage("history takes one TOPIC at most".into()).into()),
    };
    match flags.text("directory") {
        Some(directory) => read(directory.into(), topic),
        None => ask(&Remote::new(flags)?, flags, topic),
    }
}

/// From the directory of a server that is not running.
fn read(directory: PathBuf, topic: Option<&str>) -> Result<(), Failure> {
    let file = directory.join(NAME);
    if !file.is_file() {
        return Err(Failure::Work(format!("there is no history: `{}` does not exist", file.display())));
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !is_guarded() {
            hook(panic);
        }
    }));
    let archive = Archive::open(&opener(directory)).map_err(Failure::Work)?;
    let work = |error: crate::Error| Failure::Work(format!("failed to read `{}`: {error}", file.display()));
    let Some(topic) = topic else {
        return print(archive.topics().map_err(work)?.iter().map(topic_json));
    };
    let topics = [Topic::new(topic).map_err(work)?];
    let mut after = Id::default();
    loop {
        let part = archive.read(after, Id::MAX, &topics).map_err(work)?;
        let Some(last) = part.events.last() else { return Ok(()) };
        after = last.id;
        print(part_json(&part))?;
    }
}

/// From a server that is running.
fn ask(remote: &Remote, flags: &Flags, topic: Option<&str>) -> Result<(), Failure> {
    let Some(topic) = topic else {
        let answer = get(remote, flags, &remote.url("/history", &[]))?;
        return print(list(&answer["topics"]));
    };
    let path = format!("/history/{}", encode(topic));
    let mut url = remote.url(&path, &[]);
    loop {
        let answer = get(remote, flags, &url)?;
        print(list(&answer["events"]))?;
        let Some(next) = answer["next"].as_str() else { return Ok(()) };
        url = remote.url(&path, &[("after", next)]);
    }
}

fn get(remote: &Remote, flags: &Flags, url: &str) -> Result<Value, Failure> {
    let mut request = remote.agent().get(url);
    if let Some(token) = flags.publish_token()? {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.call().map_err(|error| Failure::Work(remote.unreachable(&error)))?;
    if !response.status().is_success() {
        return Err(Failure::Work(refusal(response)));
    }
    // A page has events of any size that the server takes.
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_string();
    let body = body.map_err(|error| Failure::Work(remote.unreachable(&error)))?;
    serde_json::from_str(&body)
        .map_err(|_| Failure::Work(format!("{} does not answer like a callout", remote.base())))
}

fn list(value: &Value) -> impl Iterator<Item = Value> {
    value.as_array().cloned().unwrap_or_default().into_iter()
}

fn print(objects: impl IntoIterator<Item = Value>) -> Result<(), Failure> {
    for object in objects {
        super::print(&format!("{object}\n"));
    }
    Ok(())
}
