//! callout: a small push server. Messages come in over HTTP POST, thousands of browsers are kept up to
//! date over Server-Sent Events. Blocking threads, no async runtime.
//!
//! ```text
//!  POST ──> listener ──> routes ──> page ──> History ──────> Hub ──────────> Outlet ──> socket
//!           (threads)               (what    (orders,        (one thread:    (one per browser:
//!                                    it is)   numbers,        who listens     at once, or through
//!                                             keeps)          to what)        the client's thread)
//!
//!  GET (SSE) ──> listener ──> routes ──> page ──> Client thread: head, replay, then
//!                select! { its subscription · silence (heartbeat) · gone (disconnect) }
//! ```
//!
//! # Invariants
//!
//! Each stands again, in the same words, at the line that keeps it.
//!
//! 1. Everyone may wait for the hub; the hub waits for no one.
//! 2. Only the hub thread touches the list of clients, so there is no lock around it.
//! 3. An event is encoded once; all its receivers share the bytes.
//! 4. An id is given in one place and only grows, across restarts too.
//! 5. A client sees each kept event at most once, in id order, with no gap between replay and live.
//!    If there is a gap (its id is older than what is kept, or unknown), it is told: an `event: reset`.
//! 6. Publishing is acknowledged after the event has its id and is where the history keeps it.
//! 7. Whoever may write to a socket is decided under the outlet's lock, and nobody blocks while
//!    holding it.
//! 8. A stream leaves in one way (`Drop` of its subscription), whatever ended it.
//! 9. Text from outside enters an event only through its constructor, which refuses CR, LF and NUL in
//!    id and name; the encoder splits data at CRLF, CR and LF.
//! 10. Every queue, body, header, history and count has a named limit and a stated consequence.
//! 11. An event that is only true now (statistics, activity, presence) bears no id, is never kept, and
//!     is dropped for a browser that is behind; the browser's last id stays that of the last kept
//!     event.
//! 12. A post and its event are written together or not at all; handling an event twice, or after a
//!     newer one of the same post, changes nothing.
//!
//! # Where building differed from the first design
//!
//! - **The history in memory has no thread of its own** (the one on disk has). A publisher numbers and keeps its event itself,
//!   under a lock, and hands it to the hub before it lets go of the lock. Two thread switches per
//!   publication were more than all the rest together, and the order is as total as before.
//! - **A client joins last.** It reads the history up to what the hub has passed on, joins, and is told
//!   where its live events begin; only the short rest between is queued for it. So a long replay cannot
//!   overflow its queue, and no frame needs to be compared with an id to find doubles.
//! - **What is true now is asked for, not kept.** A browser that missed presence or statistics while it
//!   was behind is shown the present state when it has caught up, by the same line that shows it to
//!   newcomers.
//! - **Feeds cost no commit of their own.** They are written to the same file as the posts, without waiting
//!   for the disk: what is lost with the process is lost together with the word that it was done, and is done
//!   again.
//! - **Streams end with their connection** (no chunks): one write is one send of shared bytes.
//!
//! # Reading order
//!
//! A module uses only modules above it in this list; the one exception is [`app`], which holds the
//! activity, since every request is announced there. What other pages hold is made when they are first
//! asked for.

pub mod error;
pub mod topic;
pub mod selector;
pub mod event;
mod decode;
pub mod os;
pub mod access;
pub mod disk;
pub mod hub;
pub mod history;
pub mod publisher;
pub mod client;
pub mod http;
pub mod live;
pub mod posts;
pub mod app;
pub mod api;
pub mod pages;
pub mod routes;
pub mod server;
pub mod cli;

pub use app::App;
pub use error::Error;
pub use event::{Draft, Event, Frame};
pub use history::{History, Start};
pub use http::files::File;
pub use http::{Answer, Request, Response};
pub use pages::{Page, Pages};
pub use publisher::{Publisher, Receipt};
pub use routes::{Route, Topics, delete, get, patch, post};
pub use selector::Selector;
pub use server::{Builder, Config, Data, Failure, Server, StartError};
pub use topic::Topic;
