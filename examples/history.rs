//! A history of the program's own: it keeps the newest events in a table, here a queue in memory. A database can take its
//! place; each method says what it asks of the table.

use callout::history::{
    History, Kept, PART_BYTES, PART_EVENTS, Part, Receipt, Resume, Retracted, Status, TOPICS_PART,
    TopicStatus,
};
use callout::{Error, Event, Frame, Hub, Id, Pages, Selector, Server, Start, Topic};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The oldest events are let go when there are more than this.
const EVENTS_MAX: usize = 1_000;

struct Newest {
    hub: Hub,
    /// Held from before an event gets its id until the hub has it, so that ids reach the hub in their order.
    table: Mutex<Table>,
}

struct Table {
    /// The newest id that was given.
    last: Id,
    /// The newest id that was let go: what came before it is unknown.
    edge: Id,
    rows: VecDeque<Row>,
}

struct Row {
    id: Id,
    at: SystemTime,
    topics: Arc<[Topic]>,
    /// The publisher's own id.
    given_id: Option<String>,
    is_retract: bool,
    /// None once the event was retracted: a browser that saw it still goes on from its id.
    frame: Option<Frame>,
}

impl Row {
    fn is_on(&self, selectors: &[Selector]) -> bool {
        self.topics.iter().any(|topic| is_named(topic, selectors))
    }

    /// Whether browsers know the event by this id: its publisher's, or the history's.
    fn is_called(&self, id: &str) -> bool {
        self.given_id.as_deref() == Some(id) || Id::parse(id) == Some(self.id)
    }

    fn wire_id(&self) -> String {
        self.given_id.clone().unwrap_or_else(|| self.id.to_string())
    }
}

fn is_named(topic: &Topic, selectors: &[Selector]) -> bool {
    selectors.iter().any(|selector| selector.matches(topic))
}

/// The time in nanoseconds, or one more than the last id: so ids grow across restarts too.
fn next_id(last: Id) -> Id {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Id::from_key(u64::try_from(since_1970.as_nanos()).unwrap_or(0).max(last.key() + 1))
}

impl Newest {
    fn new(hub: Hub) -> Newest {
        // An earlier process may have given ids up to now. With a database: the newest id in it.
        let last = next_id(Id::default());
        hub.begin_after(last);
        Newest { hub, table: Mutex::new(Table { last, edge: last, rows: VecDeque::new() }) }
    }

    /// Keeps an event and hands it to the hub, in this order.
    fn append(&self, table: &mut Table, event: Event, is_retract: bool) -> String {
        let id = next_id(table.last);
        let frame = event.encode(Some(id));
        let (topics, given_id) = (event.topics().clone(), event.given_id().map(str::to_owned));
        let at = SystemTime::now();
        let row = Row { id, at, topics, given_id, is_retract, frame: Some(frame.clone()) };
        let wire_id = row.wire_id();
        table.rows.push_back(row);
        table.last = id;
        self.hub.broadcast_kept(&event, id, frame);
        while table.rows.len() > EVENTS_MAX
            && let Some(oldest) = table.rows.pop_front()
        {
            table.edge = oldest.id;
        }
        wire_id
    }
}

impl History for Newest {
    fn publish(&self, event: Event) -> Result<Receipt, Error> {
        let mut table = self.table.lock();
        // Publishing again under the same id is safe, as after an answer that was lost.
        let mut kept = table.rows.iter().filter(|row| {
            row.frame.is_some() && row.topics.iter().any(|topic| event.topics().contains(topic))
        });
        if let Some(given) = event.given_id()
            && let Some(before) = kept.find(|row| row.given_id.as_deref() == Some(given))
        {
            let is_same = before.topics == *event.topics() && before.frame == Some(event.encode(None));
            return match is_same {
                true => Ok(Receipt { id: given.to_owned(), duplicate: true }),
                false => Err(Error::conflict(format!("another event is kept under the id `{given}`"))),
            };
        }
        Ok(Receipt { id: self.append(&mut table, event, false), duplicate: false })
    }

    fn retract(&self, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error> {
        let mut table = self.table.lock();
        let is_meant = |row: &Row| {
            row.frame.is_some() && row.topics.contains(topic) && id.is_none_or(|id| row.is_called(id))
        };
        if !table.rows.iter().any(|row| is_meant(row) && !row.is_retract) {
            return match id {
                None => Ok(Retracted { count: 0, id: None }),
                Some(_) if table.rows.iter().any(is_meant) => {
                    Err(Error::bad("a `retract` event cannot be retracted"))
                }
                Some(_) => Err(Error::not_found("no event with this id is kept on the topic")),
            };
        }
        let (mut count, mut news) = (0, Vec::new());
        for row in table.rows.iter_mut().filter(|row| is_meant(row)) {
            count += usize::from(!row.is_retract);
            // Each topic is told by an event of its own: who may read the one may not know the other.
            let others = row.topics.iter().filter(|other| *other != topic);
            news.extend(others.map(|other| Event::retract(other.clone(), Some(&row.wire_id()))));
            row.frame = None;
        }
        news.push(Event::retract(topic.clone(), id));
        let id = news.into_iter().map(|event| self.append(&mut table, event, true)).last();
        Ok(Retracted { count, id })
    }

    fn resume(&self, start: &Start, selectors: &[Selector]) -> Result<Resume, Error> {
        let table = self.table.lock();
        let mut rows = table.rows.iter().filter(|row| row.is_on(selectors));
        let (after, gap) = match start {
            Start::Earliest => (table.edge, false),
            Start::Latest(count) => {
                let before = rows.filter(|row| row.frame.is_some()).rev().nth(*count);
                (before.map_or(table.edge, |row| row.id), false)
            }
            Start::After(asked) => match rows.find(|row| row.is_called(asked)) {
                Some(seen) => (seen.id, false),
                // Unknown, or let go: the browser is sent all there is, and told.
                None => (table.edge, Id::parse(asked) != Some(table.edge)),
            },
            _ => (table.last, false),
        };
        let known = table.rows.iter().rev().find(|row| row.id <= after && row.is_on(selectors));
        Ok(Resume { after, position: known.map_or(table.edge, |row| row.id).to_string(), gap })
    }

    fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Result<Part, Error> {
        let table = self.table.lock();
        let gap = (after < table.edge).then_some(table.edge);
        let mut part = Part { events: Vec::new(), through, gap };
        let mut bytes = 0;
        let wanted = |row: &&Row| row.id > after && row.id <= through && row.is_on(selectors);
        for row in table.rows.iter().filter(wanted) {
            let Some(frame) = row.frame.clone() else { continue };
            if part.events.len() == PART_EVENTS || bytes >= PART_BYTES {
                // The next part goes on behind the last event of this one.
                part.through = part.events.last().map_or(through, |kept| kept.id);
                break;
            }
            bytes += frame.len();
            let Some(topic) = row.topics.iter().find(|topic| is_named(topic, selectors)) else { continue };
            part.events.push(Kept { id: row.id, at: row.at, topic: topic.clone(), frame });
        }
        Ok(part)
    }

    fn status(&self) -> Status {
        let table = self.table.lock();
        let mut status = Status::default();
        let kept = table.rows.iter().filter_map(|row| Some((row.at, row.frame.as_ref()?.len())));
        for (at, bytes) in kept {
            status.oldest = status.oldest.or(Some(at));
            status.events += 1;
            status.bytes += bytes;
        }
        status
    }

    fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error> {
        let mut list: BTreeMap<String, TopicStatus> = BTreeMap::new();
        for row in self.table.lock().rows.iter().filter(|row| row.frame.is_some()) {
            for topic in row.topics.iter().filter(|topic| topic.as_str() > after) {
                let (name, at) = (topic.to_string(), row.at);
                let new = TopicStatus { topic: name.clone(), events: 0, oldest: at, newest: at };
                let status = list.entry(name).or_insert(new);
                (status.events, status.newest) = (status.events + 1, at);
            }
        }
        Ok(list.into_values().take(TOPICS_PART).collect())
    }

    /// With a database: writes what is not written yet. Here all goes with the process.
    fn close(&self, _deadline: Duration) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen =
        std::env::args().nth(1).map_or(Ok(([127, 0, 0, 1], 8080).into()), |address| address.parse())?;
    let server = Server::builder()
        .listen(listen)
        .pages(Pages::none())
        .history(|hub| Ok(Arc::new(Newest::new(hub))))
        .start()?;
    println!("curl -N http://{}/topics/news", server.address());
    server.wait()?;
    Ok(())
}
