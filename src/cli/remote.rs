//! The client side of `publish`, `listen` and `history`: requests to a server.

use super::{Failure, Flag, Flags};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::time::Duration;
use ureq::Body;
use ureq::http::Response;

/// Deadlines for connecting, and for the head of an answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// The characters that a path or the value of a query parameter needs percent-encoded.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

pub(super) const URL_FLAG: Flag =
    Flag { name: "url", value: "URL", help: "where callout is; http://127.0.0.1:8080" };

/// The address of one server.
pub(super) struct Remote {
    agent: ureq::Agent,
    base: String,
}

impl Remote {
    pub(super) fn new(flags: &Flags) -> Result<Remote, Failure> {
        let base = flags.value(
            "url",
            "http://127.0.0.1:8080".to_owned(),
            "a URL like http://host:8080",
            |text| {
                let is_url = text.starts_with("http://") || text.starts_with("https://");
                is_url.then(|| text.trim_end_matches('/').to_owned())
            },
        )?;
        if base.starts_with("https://") && !cfg!(feature = "tls") {
            return Err(Failure::Work("this build has no TLS support; rebuild with --features tls".into()));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_DEADLINE))
            .timeout_recv_response(Some(ANSWER_DEADLINE))
            .build();
        Ok(Remote { agent: config.into(), base })
    }

    pub(super) fn agent(&self) -> &ureq::Agent {
        &self.agent
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// A URL there. `query` is a list of names and values.
    pub(super) fn url(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut url = format!("{}{path}", self.base);
        for (index, (name, value)) in query.iter().enumerate() {
            let mark = if index == 0 { '?' } else { '&' };
            url += &format!("{mark}{name}={}", encode(value));
        }
        url
    }

    /// The error text for a request that did not get through.
    pub(super) fn unreachable(&self, error: &ureq::Error) -> String {
        format!("failed to reach {}: {error}", self.base)
    }
}

/// Percent-encodes a topic or a value for a URL. Slashes stay as they are.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The error text for an answer that is not a success.
pub(super) fn refusal(mut response: Response<Body>) -> String {
    let status = response.status();
    let body = response.body_mut().read_to_string().unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let why = json["error"].as_str().unwrap_or("it did not say why");
    format!("the server answered {status}: {why}")
}
