//! Histories against a model: a list of events, and what may be asked of it. Both kinds of history have to do
//! what the model does, whatever is done in whatever order.

use super::{Folder, draft, seen, selectors, start, topics};
use crate::support::PATIENCE;
use callout::ErrorKind;
use callout::event::Id;
use callout::history::log::opener;
use callout::history::memory::Memory;
use callout::history::{Bounds, Durability, History, Kept, Receipt, Retracted, Start, Status};
use callout::hub::Hub;
use callout::os::threads::Threads;
use callout::selector::Selector;
use callout::topic::Topic;
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::SystemTime;

const TOPICS: [&str; 3] = ["a/1", "a/2", "b"];

/// What is subscribed to, and which of the topics each names. The first are the topics themselves.
const SELECTORS: [(&str, &[usize]); 8] = [
    (TOPICS[0], &[0]),
    (TOPICS[1], &[1]),
    (TOPICS[2], &[2]),
    ("a/*", &[0, 1]),
    ("a/2*", &[1]),
    ("b*", &[2]),
    ("c/*", &[]),
    ("*", &[0, 1, 2]),
];

/// So few that trimming goes along.
const KEEP_EVENTS: usize = 12;

/// What each row counts for, beside the frame of an event that is not retracted.
const ROW_BYTES: usize = 128;

/// What is done to a history. Topics and events are chosen by numbers, which always mean something.
#[derive(Debug, Clone)]
enum Act {
    /// To these topics, perhaps under one of a few ids of the publisher's.
    Publish(Vec<usize>, Option<u8>),
    /// Takes back an event of this topic.
    Retract(usize, Which),
    /// Takes back all events of this topic.
    RetractAll(usize),
    /// Resumes with these selectors and reads all that comes.
    Read(Vec<usize>, From),
    /// Closes the history and opens it anew.
    Restart,
}

#[derive(Debug, Clone)]
enum From {
    Live,
    Earliest,
    Latest(usize),
    After(Which),
}

/// An event, by an id.
#[derive(Debug, Clone)]
enum Which {
    /// The n-th event that was ever published, kept or not, by the history's id.
    Ours(usize),
    /// The event with this id of its publisher.
    Given(u8),
    Unknown,
}

fn some_topics() -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence(vec![0, 1, 2], 1..=3)
}

fn some_selectors() -> impl Strategy<Value = Vec<usize>> {
    let all: Vec<usize> = (0..SELECTORS.len()).collect();
    prop_oneof![some_topics(), proptest::sample::subsequence(all, 1..=3)]
}

fn act() -> impl Strategy<Value = Act> {
    let from = prop_oneof![
        1 => Just(From::Live),
        1 => Just(From::Earliest),
        1 => (0..5_usize).prop_map(From::Latest),
        4 => which().prop_map(From::After),
    ];
    prop_oneof![
        8 => (some_topics(), proptest::option::of(0..8_u8)).prop_map(|(topics, id)| Act::Publish(topics, id)),
        4 => (0..TOPICS.len(), which()).prop_map(|(topic, which)| Act::Retract(topic, which)),
        1 => (0..TOPICS.len()).prop_map(Act::RetractAll),
        6 => (some_selectors(), from).prop_map(|(selectors, from)| Act::Read(selectors, from)),
        1 => Just(Act::Restart),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        3 => (0..60_usize).prop_map(Which::Ours),
        3 => (0..8_u8).prop_map(Which::Given),
        1 => Just(Which::Unknown),
    ]
}

/// An event as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    id: Id,
    at: SystemTime,
    topics: Vec<usize>,
    given: Option<u8>,
    data: String,
    frame_bytes: usize,
    is_retract: bool,
    is_retracted: bool,
}

/// The whole of the past. The last [`KEEP_EVENTS`] are known to the history, and kept unless they are retracted.
#[derive(Default)]
struct Model(
    Vec<Known>,
    /// The first event that was retracted on a topic under an id of its publisher, while it is known.
    HashMap<(usize, u8), usize>,
);

impl Model {
    /// How many events the history has let go.
    fn lost(&self) -> usize {
        self.0.len().saturating_sub(KEEP_EVENTS)
    }

    fn known(&self) -> &[Known] {
        &self.0[self.lost()..]
    }

    fn kept(&self) -> impl DoubleEndedIterator<Item = &Known> {
        self.known().iter().filter(|known| !known.is_retracted)
    }

    /// The newest event on these topics that the history has let go.
    fn edge(&self, topics: &[usize]) -> Option<usize> {
        self.0[..self.lost()].iter().rposition(|known| known.is_on(topics))
    }

    /// The oldest event that is kept under this id of its publisher.
    fn find_given(&self, given: u8, topics: &[usize]) -> Option<&Known> {
        self.kept().find(|known| known.given == Some(given) && known.is_on(topics))
    }

    /// The oldest event that is retracted under this id of its publisher, and known by it.
    fn find_given_retracted(&self, given: u8, topics: &[usize]) -> Option<&Known> {
        let found = topics.iter().filter_map(|topic| self.1.get(&(*topic, given)));
        found.filter(|index| **index >= self.lost()).min().map(|index| &self.0[*index])
    }

    /// How many events are known that were retracted under this id of their publisher.
    fn retracted_under(&self, given: u8) -> usize {
        self.known().iter().filter(|known| known.is_retracted && known.given == Some(given)).count()
    }

    /// What becomes of an event under this id: none if it is published, or else whether it is the same.
    fn find_same(&self, given: u8, topics: &[usize], data: &str) -> Option<bool> {
        self.find_given(given, topics)?;
        let is_same = |topic: &usize| self.find_given(given, &[*topic]).is_some_and(|kept| kept.data == data);
        Some(topics.iter().all(is_same))
    }

    /// Marks an event as retracted.
    fn note_retracted(&mut self, id: Id) {
        let lost = self.lost();
        self.1.retain(|_, index| *index >= lost);
        let index = self.0.iter().position(|known| known.id == id).expect("it is known");
        let known = &mut self.0[index];
        known.is_retracted = true;
        for (topic, given) in known.topics.iter().filter_map(|topic| Some((*topic, known.given?))) {
            self.1.entry((topic, given)).or_insert(index);
        }
    }

    /// The history is opened anew: of what it has let go it does not know under which ids that was retracted.
    fn forget_lost(&mut self) {
        self.1.clear();
        for (index, known) in
            self.0.iter().enumerate().skip(self.lost()).filter(|(_, known)| known.is_retracted)
        {
            for (topic, given) in known.topics.iter().filter_map(|topic| Some((*topic, known.given?))) {
                self.1.entry((topic, given)).or_insert(index);
            }
        }
    }

    /// Where a browser goes on that saw this event last, unless there is a gap.
    fn find(&self, which: &Which, topics: &[usize]) -> Option<Id> {
        match which {
            // The newest that these topics lost is where what they keep begins.
            Which::Ours(index) => {
                let is_known = *index >= self.lost() || self.edge(topics) == Some(*index);
                self.0.get(*index).filter(|_| is_known).map(|known| known.id)
            }
            Which::Given(given) => {
                match (self.find_given(*given, topics), self.find_given_retracted(*given, topics)) {
                    // Nothing says which of the two it saw.
                    (Some(_), Some(_)) => None,
                    (kept, retracted) => kept.or(retracted).map(|known| known.id),
                }
            }
            Which::Unknown => None,
        }
    }

    /// What is read from there, and whether there is a gap before it.
    fn read(&self, topics: &[usize], from: &From) -> (Vec<String>, bool) {
        let kept = || self.kept().filter(|known| known.is_on(topics));
        let all: Vec<String> = kept().map(|known| known.data.clone()).collect();
        match from {
            From::Live => (Vec::new(), false),
            From::Earliest => (all, false),
            From::Latest(count) => (all[all.len().saturating_sub(*count)..].to_vec(), false),
            From::After(which) => match self.find(which, topics) {
                Some(id) => {
                    (kept().filter(|known| known.id > id).map(|known| known.data.clone()).collect(), false)
                }
                None => (all, true),
            },
        }
    }

    /// Takes events back and gives the topics and the data of the events that tell so. None if there is nothing
    /// that may be taken back.
    fn retract(&mut self, topic: usize, which: &Which) -> Option<Vec<(Vec<usize>, String)>> {
        let id = match which {
            Which::Ours(index) => self.0.get(*index)?.id,
            Which::Given(given) => self.find_given(*given, &[topic])?.id,
            Which::Unknown => return None,
        };
        let is_it = |known: &&Known| known.id == id && known.is_on(&[topic]) && !known.is_retract;
        let known = self.kept().find(is_it)?.clone();
        self.note_retracted(known.id);
        let others = known.topics.iter().copied().filter(|other| *other != topic);
        Some(others.chain([topic]).map(|of| (vec![of], retract_data(of, Some(&known)))).collect())
    }

    /// The same for all of a topic, and how many are taken back.
    fn retract_all(&mut self, topic: usize) -> (usize, Vec<(Vec<usize>, String)>) {
        let count = self.kept().filter(|known| known.is_on(&[topic]) && !known.is_retract).count();
        if count == 0 {
            return (0, Vec::new());
        }
        let mut told = Vec::new();
        for known in self.known().to_vec() {
            let others: Vec<usize> = known.topics.iter().copied().filter(|other| *other != topic).collect();
            if !known.is_on(&[topic]) || known.is_retracted {
                continue;
            }
            self.note_retracted(known.id);
            told.extend(others.into_iter().map(|of| (vec![of], retract_data(of, Some(&known)))));
        }
        told.push((vec![topic], retract_data(topic, None)));
        (count, told)
    }
}

impl Known {
    fn is_on(&self, topics: &[usize]) -> bool {
        self.topics.iter().any(|topic| topics.contains(topic))
    }

    /// Its id on the wire.
    fn wire_id(&self) -> String {
        self.given.map_or_else(|| self.id.to_string(), token)
    }
}

/// An id of a publisher.
fn token(given: u8) -> String {
    format!("given-{given}")
}

fn retract_data(topic: usize, known: Option<&Known>) -> String {
    let id = known.map_or("null".into(), |known| format!("\"{}\"", known.wire_id()));
    format!("{{\"topic\":\"{}\",\"id\":{id}}}", TOPICS[topic])
}

/// A history under test: what is done to it, and how it is opened anew.
struct Subject<'a> {
    /// None only while it is opened anew.
    history: Option<Box<dyn History>>,
    reopen: &'a dyn Fn(Option<Box<dyn History>>) -> Box<dyn History>,
    is_on_disk: bool,
    model: Model,
}

impl Subject<'_> {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Publish(topics, given) => self.publish(topics, *given),
            Act::Retract(topic, which) => self.retract(*topic, which),
            Act::RetractAll(topic) => self.retract_all(*topic),
            Act::Read(selectors, from) => self.read(selectors, from),
            Act::Restart => {
                let open = self.history.take();
                self.history = Some((self.reopen)(open));
                if self.is_on_disk {
                    self.model.forget_lost();
                }
            }
        }
        self.check_status();
        self.check_topics();
    }

    fn publish(&mut self, on: &[usize], given: Option<u8>) {
        // Every second id always comes with the same text.
        let data = match given.filter(|given| given % 2 == 0) {
            Some(given) => format!("event {}", token(given)),
            None => format!("event {}", self.model.0.len()),
        };
        let receipt = self.history().publish(draft(&names(on), given.map(token).as_deref(), &data));
        let same = given.and_then(|given| self.model.find_same(given, on, &data));
        if same == Some(false) {
            assert!(matches!(&receipt, Err(error) if error.kind() == ErrorKind::Conflict), "{receipt:?}");
            return;
        }
        let Receipt { id, duplicate } = receipt.expect("it is kept");
        assert_eq!(duplicate, same.is_some());
        if !duplicate {
            self.check_new(vec![(on.to_vec(), data)], given, false);
            assert_eq!(id, self.model.0.last().expect("it is new").wire_id());
        }
        assert!(given.is_none_or(|given| id == token(given)));
    }

    fn retract(&mut self, topic: usize, which: &Which) {
        let retracted = self.history().retract(&topics(&[TOPICS[topic]])[0], Some(&self.id(which)));
        let is_retract = matches!(which, Which::Ours(index) if self.model.0.get(*index).is_some_and(|known| {
            known.is_retract && !known.is_retracted && *index >= self.model.lost() && known.is_on(&[topic])
        }));
        match (retracted, self.model.retract(topic, which)) {
            (Ok(Retracted { count, id }), Some(told)) => {
                self.check_new(told, None, true);
                assert_eq!((count, id), (1, self.model.0.last().map(Known::wire_id)));
            }
            (Err(error), None) if error.kind() == ErrorKind::NotFound => assert!(!is_retract),
            (Err(error), None) if error.kind() == ErrorKind::Bad => assert!(is_retract),
            other => panic!("{other:?}"),
        }
    }

    fn retract_all(&mut self, topic: usize) {
        let on_topic = self.model.kept().filter(|known| known.is_on(&[topic]));
        let others: usize = on_topic.map(|known| known.topics.len() - 1).sum();
        if others >= KEEP_EVENTS {
            // With more `retract` events than are kept, the first would be trimmed before they are seen here.
            return;
        }
        let retracted = self.history().retract(&topics(&[TOPICS[topic]])[0], None).expect("it is kept");
        let (count, told) = self.model.retract_all(topic);
        self.check_new(told, None, true);
        let id = self.model.0.last().filter(|_| count > 0).map(Known::wire_id);
        assert_eq!(retracted, Retracted { count, id });
    }

    /// These events, by their topics and their data, and no others are new. Notes them in the model.
    fn check_new(&mut self, wanted: Vec<(Vec<usize>, String)>, given: Option<u8>, is_retract: bool) {
        let newest = self.model.0.last().map(|known| known.id).unwrap_or_default();
        let part = self.history().read(newest, Id::MAX, &selectors(&TOPICS)).unwrap();
        assert_eq!(part.events.len(), wanted.len(), "{part:?}");
        for (Kept { id, at, frame, .. }, (topics, data)) in part.events.iter().zip(wanted) {
            assert!(*id > newest, "ids only grow");
            assert_eq!(seen(frame).data, data);
            assert_eq!(seen(frame).event, if is_retract { "retract" } else { "message" });
            let (frame_bytes, is_retracted) = (frame.len(), false);
            let (id, at) = (*id, *at);
            self.model.0.push(Known { id, at, topics, given, data, frame_bytes, is_retract, is_retracted });
        }
    }

    fn history(&self) -> &dyn History {
        self.history.as_deref().expect("it is open")
    }

    fn id(&self, which: &Which) -> String {
        match which {
            Which::Ours(index) => self.model.0.get(*index).map_or(Id::MAX, |known| known.id).to_string(),
            Which::Given(given) => token(*given),
            Which::Unknown => "never".into(),
        }
    }

    fn read(&self, by: &[usize], from: &From) {
        let start = match from {
            From::Live => Start::Live,
            From::Earliest => Start::Earliest,
            From::Latest(count) => Start::Latest(*count),
            From::After(which) => Start::After(self.id(which)),
        };
        let selectors = selectors(&by.iter().map(|by| SELECTORS[*by].0).collect::<Vec<_>>());
        let on: Vec<usize> = by.iter().flat_map(|by| SELECTORS[*by].1).copied().collect();
        let resume = self.history().resume(&start, &selectors).unwrap();
        let (mut wanted, mut gap) = self.model.read(&on, from);
        // A history may not know on which topics an event was that was retracted. Then it may tell a prefix of a gap that
        // is none, and not the other way round.
        let is_unsure = selectors.iter().any(|selector| selector.prefix().is_some())
            && matches!(from, From::After(Which::Given(given)) if self.model.retracted_under(*given) > 0);
        if is_unsure && resume.gap {
            (wanted, gap) = self.model.read(&on, &From::After(Which::Unknown));
        }
        let case = format!("{from:?} {selectors:?}");
        assert_eq!((self.rest(resume.after, &selectors), resume.gap), (wanted.clone(), gap), "{case}");
        // A browser that has seen no event yet comes back to the same position with the id that it was given.
        let again = self.history().resume(&Start::After(resume.position), &selectors).unwrap();
        assert_eq!((self.rest(again.after, &selectors), again.gap), (wanted, false), "{case}, by position");
    }

    /// All that comes after this.
    fn rest(&self, after: Id, selectors: &[Selector]) -> Vec<String> {
        let part = self.history().read(after, Id::MAX, selectors).unwrap();
        assert_eq!((part.through, part.gap), (Id::MAX, None));
        let is_named = |topic: &Topic| selectors.iter().any(|selector| selector.matches(topic));
        assert!(part.events.iter().all(|kept| is_named(&kept.topic)));
        part.events.iter().map(|kept| seen(&kept.frame).data).collect()
    }

    fn check_status(&self) {
        let Status { events, bytes, oldest, failure, .. } = self.history().status();
        let (known, kept) = (self.model.known(), self.model.kept().count());
        let frames_bytes: usize = self.model.kept().map(|known| known.frame_bytes).sum();
        assert_eq!((events, failure), (kept, None));
        assert_eq!(bytes, known.len() * ROW_BYTES + frames_bytes);
        assert_eq!(oldest, known.first().filter(|_| kept > 0).map(|known| known.at));
    }

    fn check_topics(&self) {
        let statuses = self.history().topics("").unwrap();
        let told: Vec<_> =
            statuses.iter().map(|s| (s.topic.as_str(), s.events, s.oldest, s.newest)).collect();
        let wanted = TOPICS.iter().enumerate().filter_map(|(topic, name)| {
            let on: Vec<&Known> = self.model.kept().filter(|known| known.is_on(&[topic])).collect();
            Some((*name, on.len(), on.first()?.at, on.last()?.at))
        });
        assert_eq!(told, wanted.collect::<Vec<_>>());
    }
}

fn names(numbers: &[usize]) -> Vec<&'static str> {
    numbers.iter().map(|&number| TOPICS[number]).collect()
}

fn bounds() -> Bounds {
    let mut bounds = Bounds::default();
    (bounds.events_max, bounds.reserve_events) = (KEEP_EVENTS, 0);
    bounds
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_history_on_disk_does_what_the_model_does(acts in prop::collection::vec(act(), 1..60)) {
        let folder = Folder::new();
        let reopen = |closed: Option<Box<dyn History>>| -> Box<dyn History> {
            closed.into_iter().for_each(|history| history.close(PATIENCE));
            Box::new(start(opener(folder.path()), bounds(), Durability::Relaxed))
        };
        let mut subject = Subject { history: Some(reopen(None)), reopen: &reopen, is_on_disk: true, model: Model::default() };
        acts.iter().for_each(|act| subject.act(act));
    }

    #[test]
    fn a_history_in_memory_does_what_the_model_does(acts in prop::collection::vec(act(), 1..60)) {
        // It does not survive, so nothing is opened anew.
        let reopen = |closed: Option<Box<dyn History>>| closed.unwrap_or_else(|| {
            Box::new(Memory::new(Hub::start(&Threads::default()).expect("a thread"), bounds()))
        });
        let mut subject = Subject { history: Some(reopen(None)), reopen: &reopen, is_on_disk: false, model: Model::default() };
        acts.iter().for_each(|act| subject.act(act));
    }
}
