//! callout: a small push server. Messages come in over HTTP POST, thousands of browsers are kept up to
//! date over Server-Sent Events. Blocking threads, no async runtime.
//!
//! It is a program, `callout serve`, and a library for programs that want to push from within:
//!
//! ```
//! use callout::{Draft, Pages, Server, Topic};
//!
//! let server = Server::builder()
//!     .listen("127.0.0.1:0".parse()?) // port 0 chooses a free one
//!     .pages(Pages::none()) // without callout's own pages
//!     .start()?;
//! println!("curl -N http://{}/topics/news", server.address());
//! server.publish(Draft { topics: vec![Topic::new("news")?], data: "hello".into(), ..Draft::default() })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | look at |
//! |---|---|
//! | start a server, and stop it | [`Server`], its [`Builder`], and [`Config`] for all settings |
//! | publish | [`Server::publish`], or [`App::publish`] in a handler: a [`Draft`] with its [`Topic`]s |
//! | answer requests | [`get`], [`post`], [`patch`], [`delete`]: a [`Route`] with a closure, which is given [`App`] and [`Request`] and gives an [`Answer`] |
//! | stream events to a browser | [`App::stream`], and [`Stream::snapshot`] for the present state |
//! | refuse something | [`Error`], which becomes a status and a sentence |
//! | keep events in your own way | [`History`] |
//!
//! `docs/embedding.md` in the repository goes through all of this with examples, and `examples/` has whole programs.
//!
//! # How it works
//!
//! ```text
//!  POST ──> listener ──> routes ──> access ──> handler ──> Publisher ──> History ──> Hub ──> Outlet ──> socket
//!                                   (who may)              (the one      (orders,    (one    (one per browser:
//!                                                          door)         numbers,    thread)  at once, or by a
//!                                                                        keeps)               thread when behind)
//!
//!  GET (SSE) ──> listener ──> routes ──> access ──> handler ──> Client: head, replay, then
//!                select! { its queue · silence (heartbeat) · gone (disconnect) }, or it rests
//! ```
//!
//! # Invariants
//!
//! Each stands again, in the same words, at the line that keeps it (`.ci/invariants` checks it).
//!
//! 1. Everyone may wait for the hub; the hub waits for no one.
//! 2. Only the hub thread touches the list of clients, so there is no lock around it.
//! 3. An event is encoded once in each form that has readers (plain, with its topic); all its receivers share the
//!    bytes. The form belongs to the group. This also holds for a batch: groups that gathered the same events share one
//!    batch.
//! 4. An id is given in one place and only grows, across restarts too.
//! 5. A client sees each kept event at most once, in id order, with no gap between replay and live. If there is
//!    a gap, it is told by an `event: reset` before anything later is sent. This holds on every error path too.
//! 6. Publishing is acknowledged after the event has its id and is where the history keeps it; from then on every
//!    read finds it.
//! 7. Whoever may write to a socket is decided under the outlet's lock, and nobody blocks while holding it.
//! 8. A stream leaves in one way (`Drop` of its subscription), whatever ended it.
//! 9. Text from outside enters an event only through its constructor.
//! 10. Every queue, body, header, history, thread and count has a named limit and a stated consequence, each alone and
//!     all of them together: what N clients can make the server hold has a bound that does not grow with what they ask
//!     for.
//! 11. An ephemeral event bears no id, is never kept, and is dropped for a browser that is behind.
//! 12. A post and its event are written together or not at all; handling an event twice changes nothing.
//! 13. Nothing is published, read or listed before `access` has said yes, and what it said is said again when it changes
//!     (a token revoked, expired) to streams that are open.
//! 14. A thread is for work. When threads are many, who has nothing to do rests, and who is slow waits without one.
//!
//! # Decisions
//!
//! - **The history in memory has no thread of its own** (the one on disk has). A publisher numbers and keeps its
//!   event itself, under a lock, and hands it to the hub before it lets go of the lock: two thread switches cost
//!   more than all the rest together, and the order is as total.
//! - **The history on disk is a log of its own.** A store with pages syncs twice for each commit and writes pages where a
//!   log needs one append and one `fdatasync`; on a card that wears out this is the larger part of what is written. The
//!   posts, which are few and change, stay in a store.
//! - **Age is time that passed.** The history counts it, since the clock of a small board is often wrong until the
//!   network is there.
//! - **A reserve is part of what may be kept, not beside it.** So the bounds that an operator sets are the most there is.
//! - **A client registers last.** It reads the history up to what the hub has passed on, registers, and learns
//!   where its live events begin; only the short rest between is queued for it. So a long replay cannot overflow
//!   its queue, and no frame needs to be compared with an id to find doubles.
//! - **The present state is asked for, not kept.** A browser that missed presence or statistics while it was behind
//!   is sent the present state when it has caught up, by the same line that sends it to newcomers.
//! - **A stream that fell behind keeps no thread of its own afterwards.** Resting costs it nothing, and a crowd that
//!   stalls and recovers must not take all threads. So only who always kept up drives the `select!`.
//! - **A resting stream is not woken because it falls behind.** Its socket was full a moment ago, so a thread could do
//!   nothing for it. The kernel says when there is room, and the sweeper when its deadline begins.
//! - **A prefix is not a list of topics.** The hub finds prefixes by a tree, so an event costs no more for more of them. A
//!   history merges the lists of the topics that a prefix names, or walks all events where that costs less. Where it is
//!   not known whether a topic of the prefix has lost something, it counts as lost.
//! - **Grants are made where nobody else can make them.** `access` stands above the publisher, the client and the
//!   handlers, and knows HTTP only as header fields. So nothing that takes a grant happens before access was asked.
//! - **Rules only give.** What somebody may is all that the rules give together, so their order makes no difference, and what
//!   no rule names is closed. The name of a user is compared with one segment of a topic; it never becomes part of a
//!   pattern that is read.
//! - **A token's rule is looked up for each decision**, by the token's digest. So one that is gone from the file gives nothing
//!   from then on, also where it was shown before.
//! - **A credential that is not valid is refused, also where none is needed.** Whoever sends one believes to have rights,
//!   and would lose them without a word. Only what may be meant for somebody else is let pass.
//! - **What was taken back is forgotten by nothing**: not by a restart, a clock that is set back, or a list that is full. So
//!   moments only grow, and a full list makes more void rather than less.
//! - **Feeds cost no commit of their own.** They are written to the same file as the posts, without waiting for the
//!   disk: what is lost with the process is lost together with the note that it was done, and is done again.
//! - **An HTTP/1.1 stream is chunked, one chunk per write.** The size belongs to the batch, so it is made once and
//!   shared; a receiver of HTTP/1.0 is sent the same bytes without it.

#[cfg(not(unix))]
compile_error!("callout runs on Unix systems only (Linux, macOS, the BSDs); Windows is not supported");
#[cfg(not(target_has_atomic = "64"))]
compile_error!(
    "callout counts in 64-bit atomics, which this target has not; of 32-bit ones, armv7 and i686 have them"
);

// The reading order: a module uses only modules above it in this list (`.ci/imports` checks it).

// What everything speaks of.
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod topic;
#[doc(hidden)]
pub mod selector;
#[doc(hidden)]
pub mod event;
mod decode;
// Calls to the kernel, and threads.
#[doc(hidden)]
pub mod os;
// A file of redb, as the history and the posts each have one, and folders of files that grow.
#[doc(hidden)]
pub mod disk;
// Who may do what.
#[doc(hidden)]
pub mod access;
// The hub and the way to each browser, what is kept, the one door for events, and one browser's stream.
#[doc(hidden)]
pub mod hub;
pub mod history;
#[doc(hidden)]
pub mod publisher;
#[doc(hidden)]
pub mod client;
// Requests and responses, and the two listeners.
#[doc(hidden)]
pub mod http;
// What is true now, and the posts.
#[doc(hidden)]
pub mod live;
#[doc(hidden)]
pub mod posts;
// What handlers are given, the handlers, and which request goes to which.
#[doc(hidden)]
pub mod app;
mod api;
#[doc(hidden)]
pub mod pages;
#[doc(hidden)]
pub mod routes;
// The configuration file, and the whole.
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod cli;

pub use access::{
    Action, Algorithm, Area, Caller, ClientLimits, Digest, Grant, Identity, Issuer, JwtKey, JwtKeys, Key,
    Limit, Origin, Pattern, Rate, Rights, Rule, Secret, TicketKeys, Who,
};
pub use app::App;
pub use client::{Pace, Snapshot, Stream};
pub use error::{Error, ErrorKind, Problem};
pub use event::{Draft, Event, Form, Frame, Id};
#[doc(inline)]
pub use history::{Address, Bounds, Durability, History, Start, TopicBounds};
pub use http::files::File;
pub use http::{Answer, Limits, Network, Proxies, Request, Response};
pub use hub::Hub;
pub use pages::{Page, Pages};
pub use publisher::Receipt;
pub use routes::{Route, Topics, delete, get, patch, post};
pub use selector::Selector;
pub use server::{Builder, Config, Failure, ListenerKind, Server, StartError};
pub use topic::Topic;

// The code in these documents is compiled and run by the documentation tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../docs/embedding.md")]
    struct Embedding;
    #[doc = include_str!("../CONTRIBUTING.md")]
    struct Contributing;
}
