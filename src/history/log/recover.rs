//! Opens a log that is there: reads the summaries of its sealed segments, and all records of those that are not sealed,
//! and makes the index of them. Changes nothing on disk.
//!
//! What is damaged is named, and nothing takes its place. One thing is left out without a word: the end of the last
//! segment where it was being written when the process ended, since it was never acknowledged. How that is told from
//! damage: each commit says up to where everything was synced before it.

use super::entry::Condition;
use super::fault::Fault;
use super::index::Index;
use super::record::{Commit, Record};
use super::segment::{self, HEADER_BYTES, Kind, Segment, Window};
use super::state::State;
use super::summary::{Item, Summary, numbers};
use crate::disk::Folder;
use crate::event::Id;
use crate::history::EVENT_OVERHEAD_BYTES;
use crate::history::edges::Edges;
use crate::history::retention::{Bounds, Retention, Row};
use crate::topic::Topic;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much is read at once where one record is wanted.
const PIECE_BYTES: usize = 4 * 1024;

/// A log as it is on disk.
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) retention: Retention,
    /// None where there is no segment yet.
    pub(super) last: Option<Last>,
    /// Files that do not count.
    pub(super) leftovers: Vec<String>,
}

/// The last segment.
pub(super) struct Last {
    pub(super) kind: Kind,
    /// Where its records end.
    pub(super) end: u64,
    pub(super) state: State,
    pub(super) commit: Commit,
}

/// Reads a log. The bounds are those by which it will be trimmed.
pub(super) fn recover(folder: &dyn Folder, bounds: Bounds) -> Result<Recovered, Fault> {
    let names = folder.names().map_err(|error| Fault::io("read", folder.path(), &error))?;
    let (mut kinds, mut leftovers) = (BTreeMap::new(), Vec::new());
    for name in names {
        match segment::parse(&name) {
            Some((_, Kind::Unfinished)) => leftovers.push(name),
            Some((number, kind)) => _ = kinds.insert(number, kind),
            None => {}
        }
    }
    let Some((&number, &kind)) = kinds.last_key_value() else {
        let index = Index::new(Edges::new(Id::default()));
        return Ok(Recovered { index, retention: Retention::new(bounds), last: None, leftovers });
    };
    let newest = Arc::new(Segment::open(folder, number, kind)?);
    let summary = match kind {
        Kind::Sealed => Summary::load(&newest)?,
        _ => Summary::scan(&newest, None)?,
    };
    let state = state_at(&newest, summary.state)?;
    let (end, commit) = (summary.end, summary.commit);
    let mut loading = Loading::new(state.edges.clone(), bounds);
    // From the newest to the oldest, since each says where the one before it ends.
    let mut opened = vec![(newest, summary)];
    for number in (state.first..number).rev() {
        let missing = || {
            let path = folder.path().join(segment::name(number, Kind::Sealed));
            Fault::damaged(&path, "it is missing")
        };
        let kind = kinds.remove(&number).ok_or_else(missing)?;
        let segment = Arc::new(Segment::open(folder, number, kind)?);
        let newer = &opened[opened.len() - 1].0;
        let summary = match kind {
            Kind::Sealed => Summary::load(&segment)?,
            _ => Summary::scan(&segment, Some(state_at(newer, HEADER_BYTES)?.previous_end))?,
        };
        opened.push((segment, summary));
    }
    leftovers.extend(
        kinds
            .iter()
            .filter(|(number, _)| **number < state.first)
            .map(|(number, kind)| segment::name(*number, *kind)),
    );
    for (segment, summary) in opened.into_iter().rev() {
        loading.add(segment, &summary)?;
    }
    let (index, retention) = loading.finish()?;
    Ok(Recovered { index, retention, last: Some(Last { kind, end, state, commit }), leftovers })
}

fn state_at(segment: &Segment, offset: u64) -> Result<State, Fault> {
    let mut window = Window::default();
    match window.record(segment, offset, PIECE_BYTES)?.0 {
        Record::State(state) => State::decode(state),
        _ => None,
    }
    .ok_or_else(|| Fault::damaged(&segment.path, format!("no state stands at byte {offset}")))
}

/// An index that is being made.
struct Loading {
    index: Index,
    retention: Retention,
    /// What each topic had lost when the newest state was written. Nothing of that is kept.
    lost: Edges,
    /// Events that were copied from a segment that is no more, which stand behind newer ones.
    copied: Vec<(Id, u64, u64, Row)>,
    retracted: Vec<Id>,
}

impl Loading {
    fn new(edges: Edges, bounds: Bounds) -> Loading {
        let index = Index::new(edges.clone());
        let (copied, retracted) = (Vec::new(), Vec::new());
        Loading { index, retention: Retention::new(bounds), lost: edges, copied, retracted }
    }

    fn add(&mut self, segment: Arc<Segment>, summary: &Summary) -> Result<(), Fault> {
        let torn = || Fault::damaged(&segment.path, "its summary is not what was written");
        let topics = summary.topics().ok_or_else(torn)?;
        let number = segment.number;
        self.index.segments.push(segment.clone());
        for item in summary.items() {
            match item.ok_or_else(torn)? {
                Item::Event { id, offset, record_bytes, frame_bytes, given, topics: of } => {
                    let of: Option<Vec<&Topic>> = numbers(of).map(|number| topics.get(number)).collect();
                    let of = of.ok_or_else(torn)?;
                    let is_lost = |topic: &&Topic| self.lost.known(topic).is_some_and(|lost| id <= lost);
                    let left: Arc<[Topic]> =
                        of.into_iter().filter(|topic| !is_lost(topic)).cloned().collect();
                    if left.is_empty() {
                        self.index.segments.note_not_kept(number, record_bytes);
                        continue;
                    }
                    let row = Row {
                        topics: left,
                        given: given.map(Box::from),
                        bytes: frame_bytes.unwrap_or(0) + EVENT_OVERHEAD_BYTES,
                        record_bytes,
                        is_retracted: frame_bytes.is_none(),
                    };
                    self.add_event(id, number, offset, row);
                }
                Item::Retraction(ids) => self.retracted.extend(super::record::ids(ids)),
            }
        }
        Ok(())
    }

    fn add_event(&mut self, id: Id, number: u64, offset: u64, row: Row) {
        if self.index.newest().is_none_or(|newest| id > newest) {
            self.index.insert(id, number, offset, &row);
            self.retention.note_added(&row);
        } else {
            self.copied.push((id, number, offset, row));
        }
    }

    fn finish(self) -> Result<(Index, Retention), Fault> {
        let Loading { mut index, mut retention, mut copied, retracted, .. } = self;
        // What was copied and is still there stays where it is. It was copied in the order of the log, so of two copies
        // the older one stays.
        copied.sort_by_key(|(id, ..)| *id);
        copied.dedup_by_key(|(id, ..)| *id);
        copied.retain(|(id, number, _, row)| {
            let is_there = index.knows(*id);
            if is_there {
                index.segments.note_not_kept(*number, row.record_bytes);
            }
            !is_there
        });
        for (id, number, offset, row) in &copied {
            index.insert(*id, *number, *offset, row);
            retention.note_added(row);
        }
        if !copied.is_empty() {
            index.sort();
        }
        for id in retracted {
            if index.condition(id) == Some(Condition::Kept) {
                let (row, frame_bytes) = index.read_row(id)?;
                index.retract(id, &row, frame_bytes);
                row.topics.iter().for_each(|topic| retention.note_lost(topic, &row));
                retention.note_retracted(id, &row, EVENT_OVERHEAD_BYTES);
            }
        }
        index.look_at_oldest();
        Ok((index, retention))
    }
}
