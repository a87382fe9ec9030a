//! The history on disk: what was acknowledged is there, whatever happened in between.

mod clock;
mod crash;
mod damage;
mod faults;
mod folder;
mod full;
mod herd;
mod kill;
mod model;
mod older;
mod power;
mod promises;
mod retract;
mod seeing;
mod trim;

use crate::support::{Parser, Program, Seen};
use callout::event::{Draft, Event, Frame, Id};
use callout::history::log::{Log, NAME, Opener};
use callout::history::{Bounds, Durability, History, PART_EVENTS};
use callout::hub::Hub;
use callout::os::threads::Threads;
use callout::selector::Selector;
use callout::topic::Topic;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A data directory that does not exist yet, removed when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("callout-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        // An earlier process with the same id may have been killed and have left one.
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }

    /// The folder of the log in it.
    pub fn file(&self) -> PathBuf {
        self.0.join(NAME)
    }

    /// The files of the log, the oldest first.
    pub fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.file()).expect("there is a log").map(|entry| entry.unwrap().path());
        let mut segments: Vec<PathBuf> = entries.filter(|path| path.extension().is_some()).collect();
        segments.sort();
        segments
    }

    /// How large they are together.
    pub fn log_bytes(&self) -> u64 {
        // One may go at this moment.
        self.segments().iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum()
    }

    pub fn text(&self) -> &str {
        self.0.to_str().expect("a name in ASCII")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that failed early may not have made it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How often the server is killed. `make test-kill` asks for more.
pub fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").map_or(15, |rounds| rounds.parse().expect("a number"))
}

/// `callout` with these arguments.
pub fn callout(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callout"));
    command.args(args).env_remove("CALLOUT_DATA");
    command
}

/// `callout serve` on a free port, keeping its history in this folder.
pub fn serve(folder: &Folder, flags: &[&str]) -> Program {
    Program::serve(&[&["--data", folder.text(), "--log", "warn"], flags].concat())
}

/// A history on disk, with a hub of its own.
pub fn start(opener: Opener, bounds: Bounds, durability: Durability) -> Log {
    let threads = Threads::default();
    let hub = Hub::start(&threads).expect("a thread");
    Log::start(opener, hub, &threads, bounds, durability).expect("it opens")
}

pub fn topics(names: &[&str]) -> Vec<Topic> {
    names.iter().map(|name| Topic::new(name).expect("a valid topic")).collect()
}

pub fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| text.parse().expect("a valid selector")).collect()
}

/// An event, to be published.
pub fn draft(names: &[&str], given: Option<&str>, data: &str) -> Event {
    let id = given.map(str::to_owned);
    let draft = Draft { topics: topics(names), id, data: data.into(), ..Draft::default() };
    Event::new(draft).expect("a valid event")
}

/// All that is kept on the topics of these selectors, as a browser would see it.
pub fn everything(history: &dyn History, texts: &[&str]) -> Vec<(Id, Seen)> {
    let (selectors, mut after, mut kept) = (selectors(texts), Id::default(), Vec::new());
    loop {
        let part = history.read(after, Id::MAX, &selectors).expect("it can be read");
        assert!(part.events.len() <= PART_EVENTS);
        after = part.through;
        kept.extend(part.events.iter().map(|kept| (kept.id, seen(&kept.frame))));
        if after == Id::MAX {
            return kept;
        }
    }
}

/// A frame with one event, as a browser would see it.
pub fn seen(frame: &Frame) -> Seen {
    let mut parser = Parser::default();
    let mut events = frame.iter().filter_map(|&byte| parser.byte(byte));
    events.next().expect("a frame holds an event")
}
