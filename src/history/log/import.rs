//! Takes over what callout 0.1.0 and early 0.2.0 kept: `history.redb`, of format 1 or 2. Ids, ids of publishers and times
//! stay as they are.
//!
//! The old file is read and never written. The log is made in a folder of another name; when it is complete the old file
//! is renamed, then the folder. A process that ends in between leaves one of two things: the old file under its name,
//! and the next start begins anew; or the old file under its new name, and the next start renames the folder.
//!
//! | table | key | value |
//! |---|---|---|
//! | `events` | id | time, topics, the publisher's id; the frame, unless the event is retracted |
//! | `lost` | topic | the newest event that this topic has lost |
//! | `stock` | name | numbers: `format`, `last`, `floor` |
//!
//! Keys and values are bytes: see [`crate::disk::tables`].

use super::NAME;
use super::active::Active;
use super::fault::Fault;
use super::record::{Commit, Encoder};
use super::state::{Boot, State};
use crate::disk::tables::{Definition, number, to_number, torn};
use crate::disk::{FileFolder, Folder, create_missing, failed, guarded, open_unchanged};
use crate::event::Id;
use crate::history::edges::Edges;
use crate::history::{
    Kept, PART_BYTES, PART_EVENTS, Part, TOPICS_PART, TopicStatus, from_nanos, now, to_nanos, topic_of,
};
use crate::selector::Selector;
use crate::topic::Topic;
use redb::{Database, ReadableDatabase, ReadableTable, TableError};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The name of the old file, of what it is called afterwards, and of the log while it is made.
const OLD: &str = "history.redb";
const IMPORTED: &str = "history.redb.imported";
const UNFINISHED: &str = "events.new";

const EVENTS: Definition = Definition::new("events");
const LOST: Definition = Definition::new("lost");
const NUMBERS: Definition = Definition::new("stock");

/// The newest format of the old file. In rows of format 1 the time is missing; it was taken from the id.
const FORMAT: u64 = 2;

/// More keys of ids than can have been given and lost by a process that kept them in the old file.
const SKIPPED: u64 = 1_000_000_000;

/// What is written at once, and to one segment.
const COMMIT_BYTES: usize = 256 * 1024;
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// Makes a log of what an older callout has kept in this directory, if there is something. The error is for the
/// operator.
pub(super) fn import(directory: &Path) -> Result<(), String> {
    let [old, imported, unfinished, log] = [OLD, IMPORTED, UNFINISHED, NAME].map(|name| directory.join(name));
    let rename =
        |from: &Path, to: &Path| fs::rename(from, to).map_err(|error| failed("rename", from, &error));
    if !is_there(&old)? {
        if unfinished.is_dir() && imported.is_file() && !log.exists() {
            rename(&unfinished, &log)?;
        }
        return Ok(());
    }
    check_alone(&old, &log)?;
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished).map_err(|error| failed("remove", &unfinished, &error))?;
    }
    let database = open_unchanged(&old, NUMBERS, FORMAT)?;
    log::info!("taking over `{}`", old.display());
    create_missing(&unfinished)?;
    let folder = FileFolder::of_writer(&unfinished)?;
    let copied = guarded(|| copy(&database, &folder));
    let events = copied.unwrap_or_else(|| Err(contradicts(&old)))?;
    drop((database, folder));
    let sync = |path: &Path| {
        fs::File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed("sync", path, &error))
    };
    sync(&unfinished)?;
    rename(&old, &imported)?;
    rename(&unfinished, &log)?;
    sync(directory)?;
    log::info!("took over {events} events; the old file is left as `{}`", imported.display());
    Ok(())
}

fn contradicts(old: &Path) -> String {
    format!(
        "`{}` is damaged (its pages contradict each other): restore it from a backup, or move it away to start with an \
         empty history",
        old.display()
    )
}

/// Whether the old file is there. A link that leads to nothing is refused.
fn is_there(old: &Path) -> Result<bool, String> {
    if old.is_symlink() && !old.exists() {
        create_missing(old)?;
    }
    Ok(old.exists())
}

/// Refuses an old file beside a log: nothing says which of them is the history.
fn check_alone(old: &Path, log: &Path) -> Result<(), String> {
    if !log.exists() {
        return Ok(());
    }
    Err(format!(
        "`{}` stands beside `{}`, as after an older callout has used the folder again: move one of them away",
        old.display(),
        log.display()
    ))
}

/// A row of the old table.
struct Row {
    id: Id,
    at: SystemTime,
    topics: Vec<String>,
    given: Option<String>,
    /// None if the event is retracted.
    frame: Option<Vec<u8>>,
}

/// What a row begins with. A row of format 1 has no time and begins with a zero, since the number of bytes of its names
/// is far below 16 MB.
const WITHOUT_TIME: u8 = 0;
const RETRACTED: u8 = 2;

impl Row {
    fn decode(key: &[u8], row: &[u8]) -> Result<Row, redb::Error> {
        let id = Id::from_key(to_number(key)?);
        let split = || {
            let (&kind, rest) = row.split_first()?;
            let (at, rest) = match kind {
                WITHOUT_TIME => (from_nanos(id.key()), row),
                1 | RETRACTED => {
                    let (at, rest) = rest.split_first_chunk()?;
                    (from_nanos(u64::from_be_bytes(*at)), rest)
                }
                _ => return None,
            };
            let (names_bytes, rest) = rest.split_first_chunk()?;
            let (names, frame) = rest.split_at_checked(u32::from_be_bytes(*names_bytes) as usize)?;
            let names = str::from_utf8(names).ok()?;
            let (topics, given) = match names.split_once("\0\0") {
                Some((topics, given)) => (topics, Some(given)),
                None => (names, None),
            };
            let mut topics: Vec<String> = topics.split('\0').map(str::to_owned).collect();
            topics.dedup();
            let frame = (kind != RETRACTED).then(|| frame.to_vec());
            Some(Row { id, at, topics, given: given.map(str::to_owned), frame })
        };
        split().ok_or_else(torn)
    }
}

/// All rows, in the order of their ids.
fn rows(
    database: &Database,
    mut each: impl FnMut(Row) -> Result<(), Fault>,
) -> Result<Result<(), Fault>, redb::Error> {
    let txn = database.begin_read()?;
    let events = match txn.open_table(EVENTS) {
        Ok(events) => events,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Ok(())),
        Err(error) => return Err(error.into()),
    };
    for entry in events.iter()? {
        let (key, row) = entry?;
        if let Err(fault) = each(Row::decode(key.value(), row.value())?) {
            return Ok(Err(fault));
        }
    }
    Ok(Ok(()))
}

/// What stands beside the rows: the newest id that was given, and what the topics have lost.
fn numbers(database: &Database) -> Result<(Id, Edges), redb::Error> {
    let txn = database.begin_read()?;
    let table = txn.open_table(NUMBERS)?;
    let id = |name: &str| Ok::<_, redb::Error>(Id::from_key(number(&table, name)?.unwrap_or(0)));
    let mut edges = Edges::new(id("floor")?);
    match txn.open_table(LOST) {
        Ok(lost) => {
            for entry in lost.iter()? {
                let (topic, id) = entry?;
                let topic = str::from_utf8(topic.value()).ok().and_then(|topic| Topic::kept(topic).ok());
                edges.note(&topic.ok_or_else(torn)?, Id::from_key(to_number(id.value())?));
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((id("last")?, edges))
}

/// Writes all that the old file holds to a log in this folder. Gives how many events that were.
fn copy(database: &Database, folder: &FileFolder) -> Result<usize, String> {
    let unreadable = |error: redb::Error| format!("failed to read `{OLD}`: {error}");
    let (last, edges) = numbers(database).map_err(unreadable)?;
    let mut oldest = None;
    rows(database, |row| {
        oldest.get_or_insert(row.at);
        Ok(())
    })
    .map_err(unreadable)?
    .map_err(|fault| fault.0)?;
    let clock = now();
    let age = |at: SystemTime| clock.duration_since(at).unwrap_or_default();
    // The time that has passed is counted from the oldest event on.
    let passed = age(oldest.unwrap_or(clock));
    let given_through = Id::from_key(last.key().saturating_add(SKIPPED).min(u64::MAX - 1));
    let commit = Commit { synced: 0, given_through, passed, at: to_nanos(clock) };
    let state = State { first: 1, previous_end: 0, edges, passed, boot: Boot::now() };
    let active = Active::create(folder, 1, SEGMENT_BYTES, &state, commit, |_| {}).map_err(|fault| fault.0)?;
    let encoder = Encoder::new(active.segment.salt, active.end);
    let mut copying = Copying { folder, state, commit, active, encoder, events: 0 };
    let copied = rows(database, |row| {
        let kept_at = passed.saturating_sub(age(row.at));
        copying.add(&row, kept_at)
    });
    copied.map_err(unreadable)?.and_then(|()| copying.finish()).map_err(|fault| fault.0)
}

/// A log that is being made.
struct Copying<'a> {
    folder: &'a dyn Folder,
    state: State,
    /// The end of each of its commits.
    commit: Commit,
    active: Active,
    /// What is not written yet.
    encoder: Encoder,
    events: usize,
}

impl Copying<'_> {
    fn add(&mut self, row: &Row, kept_at: Duration) -> Result<(), Fault> {
        let topics = row.topics.iter().map(String::as_str);
        self.encoder.event(row.id, (row.at, kept_at), topics, row.given.as_deref(), row.frame.as_deref());
        self.events += usize::from(row.frame.is_some());
        if self.encoder.bytes.len() >= COMMIT_BYTES {
            self.write()?;
        }
        if self.active.end >= SEGMENT_BYTES {
            self.seal()?;
            self.state.previous_end = self.active.end;
            let number = self.active.segment.number + 1;
            self.active =
                Active::create(self.folder, number, SEGMENT_BYTES, &self.state, self.commit, |_| {})?;
            self.encoder = Encoder::new(self.active.segment.salt, self.active.end);
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Fault> {
        self.encoder.commit(&self.commit);
        let written = self.active.write_behind(&self.encoder.bytes);
        written.map_err(|error| Fault::io("write", &self.active.segment.path, &error))?;
        self.encoder = Encoder::new(self.active.segment.salt, self.active.end);
        Ok(())
    }

    fn seal(&mut self) -> Result<(), Fault> {
        self.active.seal(self.folder)
    }

    /// Gives how many events there are.
    fn finish(mut self) -> Result<usize, Fault> {
        self.write()?;
        self.seal()?;
        Ok(self.events)
    }
}

/// What an older callout has kept, as it is read where nothing may be changed.
pub(super) struct Older(Vec<Row>);

/// What an older callout has kept in this directory and no newer one has taken over.
pub(super) fn older(directory: &Path) -> Result<Option<Older>, String> {
    let old = directory.join(OLD);
    if !is_there(&old)? {
        return Ok(None);
    }
    check_alone(&old, &directory.join(NAME))?;
    let database = open_unchanged(&old, NUMBERS, FORMAT)?;
    let read = || {
        let mut all = Vec::new();
        let read = rows(&database, |row| {
            all.push(row);
            Ok(())
        });
        read.map(|_| all).map_err(|error| format!("failed to read `{}`: {error}", old.display()))
    };
    guarded(read).unwrap_or_else(|| Err(contradicts(&old))).map(|rows| Some(Older(rows)))
}

impl Older {
    /// As [`crate::history::History::read`].
    pub(super) fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Part {
        let is_named = |name: &String| selectors.iter().any(|selector| selector.matches_name(name));
        let is_on = |row: &&Row| row.topics.iter().any(is_named);
        let from = self.0.partition_point(|row| row.id <= after);
        let rows = self.0[from..].iter().take_while(|row| row.id <= through).filter(is_on);
        let (mut part, mut bytes) = (Part::default(), 0);
        for (row, frame) in rows.filter_map(|row| Some((row, row.frame.as_ref()?))) {
            if part.events.len() == PART_EVENTS || bytes >= PART_BYTES {
                return part;
            }
            bytes += frame.len();
            let Some(topic) = topic_of(row.topics.iter().map(String::as_str), selectors) else { continue };
            part.events.push(Kept { id: row.id, at: row.at, topic, frame: frame.as_slice().into() });
            part.through = row.id;
        }
        part.through = through.max(after);
        part
    }

    /// As [`crate::history::History::topics`].
    pub(super) fn topics(&self, after: &str) -> Vec<TopicStatus> {
        let mut found: BTreeMap<&str, TopicStatus> = BTreeMap::new();
        for row in self.0.iter().filter(|row| row.frame.is_some()) {
            for topic in row.topics.iter().filter(|topic| topic.as_str() > after) {
                let status = found.entry(topic).or_insert_with(|| TopicStatus {
                    topic: topic.clone(),
                    events: 0,
                    oldest: row.at,
                    newest: row.at,
                });
                (status.events, status.newest) = (status.events + 1, row.at);
            }
        }
        found.into_values().take(TOPICS_PART).collect()
    }
}
