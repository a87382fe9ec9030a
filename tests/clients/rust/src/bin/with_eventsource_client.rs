//! eventsource-client: with_eventsource_client URL

use callout_clients::{say, url};
use eventsource_client::{Client, ClientBuilder, SSE};
use futures::StreamExt;
use launchdarkly_sdk_transport::HyperTransport;
use std::time::Duration;

/// Two and a half heartbeats. Without it a dead connection is never noticed.
const SILENCE: Duration = Duration::from_secs(40);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let transport = HyperTransport::builder().read_timeout(SILENCE).build_http().expect("a transport");
    let client = ClientBuilder::for_url(&url()).expect("an address").build_with_transport(transport);
    let mut stream = client.stream();
    while let Some(item) = stream.next().await {
        match item {
            Ok(SSE::Event(event)) => say(&event.event_type, &event.data, event.id.as_deref()),
            Ok(_) => {}
            Err(error) => eprintln!("{error}"),
        }
    }
}
