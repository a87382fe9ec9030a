//! Histories against a model: a list of events, and what may be asked of it. Both kinds have to do what
//! it says, whatever is done in whatever order.

use super::{Folder, draft, seen, start, topics};
use crate::support::PATIENCE;
use callout::event::Id;
use callout::history::disk::opener;
use callout::history::memory::Memory;
use callout::history::{Bounds, Durability, History, Kept, Start};
use callout::hub::Hub;
use callout::topic::Topic;
use proptest::prelude::*;
use std::time::SystemTime;

const TOPICS: [&str; 3] = ["a", "b", "c"];

/// So few that trimming goes along.
const KEEP_EVENTS: usize = 12;

/// What is done to a history. Topics and places are chosen by numbers, which always mean something.
#[derive(Debug, Clone)]
enum Act {
    /// To these topics, perhaps under one of a few ids of the publisher's.
    Publish(Vec<usize>, Option<u8>),
    /// Resumes on these topics and reads all that comes.
    Read(Vec<usize>, Place),
    /// Closes the history and opens it anew.
    Restart,
}

#[derive(Debug, Clone)]
enum Place {
    Live,
    Earliest,
    Latest(usize),
    /// After the n-th event that was ever published, kept or not, by our id for it.
    Ours(usize),
    /// After the newest event with this id of its publisher's.
    Given(u8),
    Unknown,
}

fn some_topics() -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence(vec![0, 1, 2], 1..=3)
}

fn act() -> impl Strategy<Value = Act> {
    let place = prop_oneof![
        Just(Place::Live),
        Just(Place::Earliest),
        (0..5_usize).prop_map(Place::Latest),
        (0..60_usize).prop_map(Place::Ours),
        (0..8_u8).prop_map(Place::Given),
        Just(Place::Unknown),
    ];
    prop_oneof![
        6 => (some_topics(), proptest::option::of(0..8_u8)).prop_map(|(topics, id)| Act::Publish(topics, id)),
        4 => (some_topics(), place).prop_map(|(topics, place)| Act::Read(topics, place)),
        1 => Just(Act::Restart),
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
}

/// The whole of the past, of which the last [`KEEP_EVENTS`] are kept.
#[derive(Default)]
struct Model(Vec<Known>);

impl Model {
    /// How many are no longer kept.
    fn lost(&self) -> usize {
        self.0.len().saturating_sub(KEEP_EVENTS)
    }

    fn kept(&self) -> &[Known] {
        &self.0[self.lost()..]
    }

    /// The newest on these topics that is no longer kept.
    fn edge(&self, topics: &[usize]) -> Option<usize> {
        self.0[..self.lost()].iter().rposition(|known| known.is_on(topics))
    }

    fn find_given(&self, given: u8, topics: &[usize]) -> Option<&Known> {
        self.kept().iter().rev().find(|known| known.given == Some(given) && known.is_on(topics))
    }

    /// What comes after this place, and whether there is a gap before it.
    fn read(&self, topics: &[usize], place: &Place) -> (Vec<String>, bool) {
        let kept = self.kept();
        let all = || kept.iter().filter(|known| known.is_on(topics)).map(|known| known.data.clone());
        let after = |id: Id| {
            let newer = kept.iter().filter(|known| known.id > id && known.is_on(topics));
            newer.map(|known| known.data.clone()).collect()
        };
        match place {
            Place::Live => (Vec::new(), false),
            Place::Earliest => (all().collect(), false),
            Place::Latest(count) => {
                let all: Vec<_> = all().collect();
                (all[all.len().saturating_sub(*count)..].to_vec(), false)
            }
            Place::Ours(index) => match self.0.get(*index) {
                // The newest that these topics lost is where what they keep begins.
                Some(known) if *index >= self.lost() || self.edge(topics) == Some(*index) => {
                    (after(known.id), false)
                }
                _ => (all().collect(), true),
            },
            Place::Given(given) => match self.find_given(*given, topics) {
                Some(known) => (after(known.id), false),
                None => (all().collect(), true),
            },
            Place::Unknown => (all().collect(), true),
        }
    }
}

impl Known {
    fn is_on(&self, topics: &[usize]) -> bool {
        self.topics.iter().any(|topic| topics.contains(topic))
    }
}

/// A history under test: what is done to it, and how it is opened anew.
struct Subject<'a> {
    /// None only while it is opened anew.
    history: Option<Box<dyn History>>,
    reopen: &'a dyn Fn(Option<Box<dyn History>>) -> Box<dyn History>,
    model: Model,
}

impl Subject<'_> {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Publish(topics, given) => self.publish(topics, *given),
            Act::Read(topics, place) => self.read(topics, place),
            Act::Restart => {
                let open = self.history.take();
                self.history = Some((self.reopen)(open));
            }
        }
        let status = self.history().status();
        assert_eq!((status.events, status.failure), (self.model.kept().len(), None));
        self.check_topics();
    }

    fn publish(&mut self, on: &[usize], given: Option<u8>) {
        let data = format!("event {}", self.model.0.len());
        let token = given.map(|given| format!("given-{given}"));
        let receipt = self.history().publish(draft(&names(on), token.as_deref(), &data)).expect("it is kept");
        let duplicate = given.is_some_and(|given| self.model.find_given(given, on).is_some());
        assert_eq!(receipt.duplicate, duplicate);
        if let Some(token) = token {
            assert_eq!(receipt.id, token);
        }
        if !duplicate {
            let part = self.history().read(self.newest(), Id::MAX, &topics(&names(on))).unwrap();
            let [Kept { id, at, frame }] = &part.events[..] else { panic!("one event is new: {part:?}") };
            assert!(*id > self.newest() && seen(frame).data == data, "ids only grow");
            assert!(given.is_some() || id.to_string() == receipt.id);
            self.model.0.push(Known { id: *id, at: *at, topics: on.to_vec(), given, data });
        }
    }

    fn history(&self) -> &dyn History {
        self.history.as_deref().expect("it is open")
    }

    fn newest(&self) -> Id {
        self.model.0.last().map(|known| known.id).unwrap_or_default()
    }

    fn read(&self, on: &[usize], place: &Place) {
        let start = match place {
            Place::Live => Start::Live,
            Place::Earliest => Start::Earliest,
            Place::Latest(count) => Start::Latest(*count),
            Place::Ours(index) => Start::After(match self.model.0.get(*index) {
                Some(known) => known.id.to_string(),
                None => Id::MAX.to_string(),
            }),
            Place::Given(given) => Start::After(format!("given-{given}")),
            Place::Unknown => Start::After("never".into()),
        };
        let topics = topics(&names(on));
        let resume = self.history().resume(&start, &topics).unwrap();
        let (wanted, gap) = self.model.read(on, place);
        assert_eq!((self.rest(resume.after, &topics), resume.gap), (wanted.clone(), gap), "{place:?}");
        // Whoever saw nothing yet comes back to the same place with the position that it was told.
        let again = self.history().resume(&Start::After(resume.position), &topics).unwrap();
        assert_eq!((self.rest(again.after, &topics), again.gap), (wanted, false), "{place:?}, by position");
    }

    /// All that comes after this.
    fn rest(&self, after: Id, topics: &[Topic]) -> Vec<String> {
        let part = self.history().read(after, Id::MAX, topics).unwrap();
        assert_eq!((part.through, part.gap), (Id::MAX, None));
        part.events.iter().map(|kept| seen(&kept.frame).data).collect()
    }

    fn check_topics(&self) {
        let statuses = self.history().topics().unwrap();
        let told: Vec<_> =
            statuses.iter().map(|s| (s.topic.as_str(), s.events, s.oldest, s.newest)).collect();
        let kept = self.model.kept();
        let wanted = TOPICS.iter().enumerate().filter_map(|(topic, name)| {
            let mut on = kept.iter().filter(|known| known.is_on(&[topic]));
            let (count, oldest) = (on.clone().count(), on.next()?);
            Some((*name, count, oldest.at, on.next_back().unwrap_or(oldest).at))
        });
        assert_eq!(told, wanted.collect::<Vec<_>>());
    }
}

fn names(numbers: &[usize]) -> Vec<&'static str> {
    numbers.iter().map(|&number| TOPICS[number]).collect()
}

fn bounds() -> Bounds {
    Bounds { events_max: KEEP_EVENTS, ..Bounds::default() }
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
        let mut subject = Subject { history: Some(reopen(None)), reopen: &reopen, model: Model::default() };
        acts.iter().for_each(|act| subject.act(act));
    }

    #[test]
    fn a_history_in_memory_does_what_the_model_does(acts in prop::collection::vec(act(), 1..60)) {
        // It does not survive, so nothing is opened anew.
        let reopen = |closed: Option<Box<dyn History>>| closed.unwrap_or_else(|| {
            Box::new(Memory::new(Hub::start().expect("a thread"), bounds()))
        });
        let mut subject = Subject { history: Some(reopen(None)), reopen: &reopen, model: Model::default() };
        acts.iter().for_each(|act| subject.act(act));
    }
}
