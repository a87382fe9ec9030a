//! The peer: the topic API of callout as one would write it with axum.
//!
//! The peer is as fast as we could make it: `Sse` over a broadcast channel of ready-made events, the
//! multi-threaded runtime, no delay on its sockets, ids from an atomic counter. It leaves out what
//! callout does besides (history, replay, several topics), which would cost it time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpSocket;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

/// Events that a stream may be behind. A stream that is further behind skips to the oldest event kept.
/// The load generator keeps fewer outstanding, so that nothing is lost.
const CHANNEL_EVENTS: usize = 4096;

/// Connections that may wait to be accepted; the rest try again a second later. The default of tokio's
/// `TcpListener` is too few for thousands of streams at once.
const BACKLOG: u32 = 4096;

struct Topic {
    last_id: AtomicU64,
    events: broadcast::Sender<Event>,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> anyhow::Result<()> {
    let topic =
        Arc::new(Topic { last_id: AtomicU64::new(0), events: broadcast::Sender::new(CHANNEL_EVENTS) });
    let routes = Router::new().route("/topics/bench", get(stream).post(publish)).with_state(topic);

    let socket = TcpSocket::new_v4().context("failed to make a socket")?;
    socket.bind(([127, 0, 0, 1], 0).into()).context("failed to bind to `127.0.0.1`")?;
    let listener = socket.listen(BACKLOG).context("failed to listen")?;
    let addr = listener.local_addr().context("failed to read the address listened on")?;
    println!("axum_peer listening on http://{addr}");

    // A socket that refuses the option is about to fail anyway, and reports it then.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, routes).await.context("failed to serve")
}

async fn publish(State(topic): State<Arc<Topic>>, data: String) -> impl IntoResponse {
    let id = topic.last_id.fetch_add(1, Ordering::Relaxed) + 1;
    // Without a subscriber the channel refuses the event, and nobody misses it.
    let _ = topic.events.send(Event::default().id(id.to_string()).data(data));
    ([(header::CONTENT_TYPE, "application/json")], format!("{{\"id\":\"{id}\"}}"))
}

async fn stream(State(topic): State<Arc<Topic>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // A stream that lagged goes on with the oldest event kept; the generator counts the gap.
    let events = BroadcastStream::new(topic.events.subscribe()).filter_map(Result::ok).map(Ok);
    // The default is a comment after 15 seconds of silence, as callout sends it.
    Sse::new(events).keep_alive(KeepAlive::default())
}
