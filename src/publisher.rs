//! The one door for events: decides by topic whether an event is kept or ephemeral, and is the only caller of
//! [`History::publish`] and [`Hub::broadcast`] outside the histories themselves.
//!
//! A kept event goes through the history, which gives it its id and hands it to the hub. An ephemeral event
//! bears no id, is never kept, and is dropped for a browser that is behind.

use crate::access::Grant;
use crate::error::Error;
use crate::event::{Draft, Event, Frame};
use crate::history::{self, History, Retracted};
use crate::hub::{Dispatch, Hub};
use crate::selector::Selector;
use crate::topic::Topic;
use std::sync::Arc;

/// The way in for events. Clones lead to the same history and hub.
#[derive(Clone)]
pub struct Publisher {
    history: Arc<dyn History>,
    hub: Hub,
    ephemeral: Arc<[Selector]>,
}

/// What became of an event that was published.
///
/// ```
/// use callout::{Draft, Server, Topic};
///
/// let server = Server::builder().listen(([127, 0, 0, 1], 0).into()).start().unwrap();
/// let draft = Draft { topics: vec![Topic::new("orders")?], id: Some("order-7".into()), ..Draft::default() };
/// let first = server.publish(draft.clone())?;
/// let again = server.publish(draft)?; // as after an answer that was lost
/// assert_eq!((first.id.as_deref(), first.duplicate), (Some("order-7"), false));
/// assert!(again.duplicate);
/// # Ok::<(), callout::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The id that the event bears on the wire; none if it is ephemeral.
    pub id: Option<String>,
    /// An event under the same publisher's id was kept before: nothing was done.
    pub duplicate: bool,
}

impl From<history::Receipt> for Receipt {
    fn from(receipt: history::Receipt) -> Receipt {
        Receipt { id: Some(receipt.id), duplicate: receipt.duplicate }
    }
}

impl Publisher {
    /// A door to this history and this hub. Topics that one of the selectors names are ephemeral.
    pub(crate) fn new(history: Arc<dyn History>, hub: Hub, ephemeral: Vec<Selector>) -> Publisher {
        Publisher { history, hub, ephemeral: ephemeral.into() }
    }

    /// Publishes an event: keeps it, or broadcasts it if all its topics are ephemeral. Publishing is acknowledged
    /// after the event has its id and is where the history keeps it. Blocks until then.
    ///
    /// [`Error::bad`] says what in the draft cannot be sent, [`Error::conflict`] that another event is kept under its id,
    /// [`Error::unavailable`] that it cannot be kept now.
    pub fn publish(&self, grant: &Grant, draft: Draft) -> Result<Receipt, Error> {
        self.publish_event(self.event(grant, draft)?)
    }

    /// Publishes many events, each under its own grant: those that are kept share a commit. An error is that of its event
    /// alone. Blocks as [`Publisher::publish`].
    pub(crate) fn publish_all(
        &self,
        drafts: Vec<Result<(Arc<Grant>, Draft), Error>>,
    ) -> Vec<Result<Receipt, Error>> {
        let mut answers = Vec::with_capacity(drafts.len());
        let (mut kept, mut places) = (Vec::new(), Vec::new());
        for draft in drafts {
            let event = draft.and_then(|(grant, draft)| self.event(&grant, draft));
            answers.push(match event {
                Ok(event) if self.is_kept(&event) => {
                    kept.push(event);
                    places.push(answers.len());
                    // It is put in its place below.
                    Ok(Receipt { id: None, duplicate: false })
                }
                event => event.and_then(|event| self.publish_event(event)),
            });
        }
        for (place, receipt) in places.into_iter().zip(self.history.publish_all(kept)) {
            answers[place] = receipt.map(Receipt::from);
        }
        answers
    }

    /// As [`Publisher::publish`], and counts the streams that the event reached: all that were subscribed at that
    /// moment; of an ephemeral event, those among them that were not behind. Blocks until the hub has passed it on.
    pub fn publish_counted(&self, grant: &Grant, draft: Draft) -> Result<(Receipt, usize), Error> {
        let (event, reached) = self.event(grant, draft)?.counted();
        let receipt = self.publish_event(event)?;
        Ok((receipt, self.hub.count(&reached)))
    }

    /// Broadcasts an event that is ephemeral by nature, whatever its topics. Waits while the hub's inbox is full,
    /// never for a browser. Errors as [`Publisher::publish`].
    pub fn broadcast(&self, grant: &Grant, draft: Draft) -> Result<(), Error> {
        self.hub.broadcast(Dispatch::ephemeral(&self.event(grant, draft)?));
        Ok(())
    }

    /// As [`Publisher::broadcast`], and counts the streams that the event reached. Blocks until the hub has
    /// passed it on.
    pub fn broadcast_counted(&self, grant: &Grant, draft: Draft) -> Result<usize, Error> {
        let (event, reached) = self.event(grant, draft)?.counted();
        self.hub.broadcast(Dispatch::ephemeral(&event));
        drop(event);
        Ok(self.hub.count(&reached))
    }

    /// Broadcasts an ephemeral event that is encoded already, to the topics that the grant names.
    pub(crate) fn broadcast_frame(&self, grant: &Grant, frame: Frame) {
        self.hub.broadcast(Dispatch { id: None, topics: grant.publish_topics().into(), frame, count: None });
    }

    /// Takes a kept event back from a topic that the grant names, or with no `id` all that the topic keeps. Errors
    /// and blocking as [`History::retract`].
    pub fn retract(&self, grant: &Grant, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error> {
        grant.check_publish(std::slice::from_ref(topic))?;
        self.history.retract(topic, id)
    }

    /// Whether this topic's events are ephemeral.
    pub fn is_ephemeral(&self, topic: &Topic) -> bool {
        self.ephemeral.iter().any(|selector| selector.matches(topic))
    }

    /// Whether the events of all topics that a selector names are ephemeral.
    pub(crate) fn are_ephemeral(&self, selector: &Selector) -> bool {
        match (selector.topic(), selector.prefix()) {
            (Some(topic), _) => self.is_ephemeral(topic),
            (None, prefix) => self
                .ephemeral
                .iter()
                .filter_map(Selector::prefix)
                .any(|ephemeral| prefix.is_some_and(|prefix| prefix.starts_with(ephemeral))),
        }
    }

    fn is_kept(&self, event: &Event) -> bool {
        !event.topics().iter().all(|topic| self.is_ephemeral(topic))
    }

    fn event(&self, grant: &Grant, draft: Draft) -> Result<Event, Error> {
        grant.check_publish(&draft.topics)?;
        Event::new(draft)
    }

    fn publish_event(&self, event: Event) -> Result<Receipt, Error> {
        if self.is_kept(&event) {
            return self.history.publish(event).map(Receipt::from);
        }
        if event.given_id().is_some() {
            let error =
                Error::bad("the events of this topic are ephemeral: they are not kept and have no id");
            return Err(error.hint("publish it without an id"));
        }
        self.hub.broadcast(Dispatch::ephemeral(&event));
        Ok(Receipt { id: None, duplicate: false })
    }
}
