//! Where requests go and what they look like there, since not all servers have one API.

use std::net::SocketAddr;

use crate::wire::request::PATH;

#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub addr: SocketAddr,
    pub api: Api,
}

/// How a server is published to and subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `POST` and `GET` of the topic's path: callout, axum and nchan.
    Topics,
    /// The HTTP API of Centrifugo, and its transport `uni_sse`.
    Centrifugo,
    /// The protocol Durable Streams: `POST` as with `Topics`, and `GET` with an offset.
    DurableStreams,
}

impl Api {
    /// What to `GET` for a stream of the bench's topic.
    pub fn stream_path(self) -> String {
        match self {
            Api::Topics => PATH.to_owned(),
            // The connect command {"subs":{"bench":{}}}.
            Api::Centrifugo => {
                "/connection/uni_sse?cf_connect=%7B%22subs%22:%7B%22bench%22:%7B%7D%7D%7D".to_owned()
            }
            Api::DurableStreams => format!("{PATH}?offset=now&live=sse"),
        }
    }
}
