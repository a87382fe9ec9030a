//! `callout history [TOPIC]`: what is kept, of a running server or in a stopped one's directory; one JSON
//! object a line.

use super::output::print;
use super::remote::{PUBLISH_TOKEN_FLAG, Remote, TOKEN_FLAG, URL_FLAG, authorization, encode};
use super::{Command, Failure, Flag, Flags, Usage};
use crate::api::history::{part_json, topic_json};
use crate::disk::is_guarded;
use crate::event::Id;
use crate::history::log::Archive;
use crate::topic::Topic;
use serde_json::Value;
use std::path::Path;

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
        TOKEN_FLAG,
        PUBLISH_TOKEN_FLAG,
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
        Some(directory) => read(Path::new(directory), topic),
        None => ask(&Remote::new(flags)?, flags, topic),
    }
}

/// From the directory of a server that is not running.
fn read(directory: &Path, topic: Option<&str>) -> Result<(), Failure> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !is_guarded() {
            hook(panic);
        }
    }));
    let archive = Archive::open(directory).map_err(Failure::Work)?;
    let Some(topic) = topic else {
        let mut after = String::new();
        loop {
            let part = archive.topics(&after).map_err(Failure::Work)?;
            let Some(last) = part.last() else { return Ok(()) };
            after = last.topic.clone();
            print_lines(part.iter().map(topic_json))?;
        }
    };
    let selectors = [Topic::new(topic).map_err(|error| Failure::Work(error.to_string()))?.into()];
    let (mut after, mut lines) = (Id::default(), 0);
    loop {
        let part = archive.read(after, Id::MAX, &selectors).map_err(Failure::Work)?;
        let Some(last) = part.events.last() else { return found(topic, lines) };
        after = last.id;
        lines += print_lines(part_json(&part))?;
    }
}

/// From a server that is running.
fn ask(remote: &Remote, flags: &Flags, topic: Option<&str>) -> Result<(), Failure> {
    let (path, key) = match topic {
        None => ("/history".to_owned(), "topics"),
        Some(topic) => (format!("/history/{}", encode(topic)), "events"),
    };
    let (mut url, mut lines) = (remote.url(&path, &[]), 0);
    loop {
        let answer = get(remote, flags, &url)?;
        lines += print_lines(list(&answer[key]))?;
        let Some(next) = answer["next"].as_str() else {
            return topic.map_or(Ok(()), |topic| found(topic, lines));
        };
        url = remote.url(&path, &[("after", next)]);
    }
}

fn get(remote: &Remote, flags: &Flags, url: &str) -> Result<Value, Failure> {
    let mut request = remote.agent().get(url);
    if let Some(authorization) = authorization(flags)? {
        request = request.header("Authorization", authorization);
    }
    let response = request.call().map_err(|error| Failure::Work(remote.unreachable(&error)))?;
    remote.json(response)
}

fn list(value: &Value) -> impl Iterator<Item = Value> {
    value.as_array().cloned().unwrap_or_default().into_iter()
}

/// Prints one object a line and counts them.
fn print_lines(objects: impl IntoIterator<Item = Value>) -> Result<usize, Failure> {
    let mut lines = 0;
    for object in objects {
        print(&format!("{object}\n"))?;
        lines += 1;
    }
    Ok(lines)
}

/// A topic of which nothing was printed is a failure: its name may be misspelt.
fn found(topic: &str, lines: usize) -> Result<(), Failure> {
    match lines {
        0 => Err(Failure::Work(format!("nothing is kept of the topic `{topic}`"))),
        _ => Ok(()),
    }
}
