//! reqwest-eventsource: with_reqwest_eventsource URL
//!
//! It ends for good when it is answered anything but 200. Its errors come as items, also those after which it goes on.

use callout_clients::{say, url};
use futures::StreamExt;
use reqwest::Client;
use reqwest_eventsource::{Event, EventSource};
use std::time::Duration;

/// Two and a half heartbeats. Without it a dead connection is never noticed.
const SILENCE: Duration = Duration::from_secs(40);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let client = Client::builder().read_timeout(SILENCE).build().expect("a client");
    let mut stream = EventSource::new(client.get(url())).expect("a request without a body");
    while let Some(item) = stream.next().await {
        match item {
            Ok(Event::Message(event)) => say(&event.event, &event.data, Some(&event.id)),
            Ok(Event::Open) => {}
            Err(error) => eprintln!("{error}"),
        }
    }
}
