//! The client side of `publish`, `listen` and `history`: requests to a server.

use super::transport::ReadAnyway;
use super::{Failure, Flag, Flags, Usage};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};
use ureq::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ureq::http::response::Parts;
use ureq::http::{HeaderName, Response, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Body, Proxy};

/// Deadlines for connecting, for the head of an answer, and for each read and write of a body: what makes progress
/// is not cut.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
const STEP_DEADLINE: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes: a part of the history whose events are as large as `--body-bytes` is
/// ever set. A longer one is a failure.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What callout's own paths begin with. If `--url` ended in one of them, what follows would be taken for the rest of
/// a topic.
const OWN_PATHS: [&str; 2] = ["topics", "history"];

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

pub(super) const TOKEN_FLAG: Flag =
    Flag { name: "token", value: "TOKEN", help: "a token of the server, where it needs one" };

/// As the token's flag was called when there was one token.
pub(super) const PUBLISH_TOKEN_FLAG: Flag =
    Flag { name: "publish-token", value: "TOKEN", help: "the same as --token" };

/// The value of the header `Authorization`, if a token was given.
pub(super) fn authorization(flags: &Flags) -> Result<Option<String>, Usage> {
    let token = match flags.secret("token")? {
        None => flags.secret("publish-token")?,
        token => token,
    };
    Ok(token.map(|token| format!("Bearer {token}")))
}

/// The address of one server.
pub(super) struct Remote {
    agent: Agent,
    /// Without a slash at the end.
    base: String,
    /// The address as messages show it: without a password, and with the proxy on the way.
    shown: String,
}

impl Remote {
    pub(super) fn new(flags: &Flags) -> Result<Remote, Failure> {
        let base = flags.text("url").unwrap_or("http://127.0.0.1:8080").trim_end_matches('/').to_owned();
        let mut shown = without_password(&base);
        let uri = check(&base)
            .map_err(|why| Usage(format!("`{shown}` is no value for --url, which takes {why}")))?;
        if uri.scheme_str() == Some("https") && !cfg!(feature = "tls") {
            return Err(Failure::Work("this build has no TLS support; rebuild with --features tls".into()));
        }
        // A proxy is for reaching other machines.
        let proxy = Proxy::try_from_env().filter(|proxy| !is_local(&uri) && !proxy.is_no_proxy(&uri));
        if let Some(proxy) = &proxy {
            shown += &format!(" through the proxy {}:{}", proxy.host(), proxy.port());
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(proxy)
            .timeout_connect(Some(CONNECT_DEADLINE))
            .timeout_recv_response(Some(HEAD_DEADLINE))
            .timeout_per_read(Some(STEP_DEADLINE))
            .timeout_per_write(Some(STEP_DEADLINE))
            .build();
        let connector = DefaultConnector::default().chain(ReadAnyway);
        let agent = Agent::with_parts(config, connector, DefaultResolver::default());
        Ok(Remote { agent, base, shown })
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.agent
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

    /// The JSON that a server answered with. A failure if it refused, or is no callout.
    pub(super) fn json(&self, response: Response<Body>) -> Result<Value, Failure> {
        let (head, mut body) = response.into_parts();
        let body = match media_type(&head) == "application/json" {
            true => body.with_config().limit(ANSWER_BYTES_MAX).read_to_string(),
            // The body may have no end.
            false => Ok(String::new()),
        };
        let body = body.map_err(|error| Failure::Work(self.unreachable(&error)))?;
        if !head.status.is_success() {
            return Err(Failure::Work(refusal(&head, &body)));
        }
        serde_json::from_str(&body).map_err(|_| self.stranger())
    }

    /// The failure where a server answers as callout never does.
    pub(super) fn stranger(&self) -> Failure {
        Failure::Work(format!("{} does not answer like a callout", self.shown))
    }

    /// The error text for a request that did not get through.
    pub(super) fn unreachable(&self, error: &ureq::Error) -> String {
        format!("failed to reach {}: {error}", self.shown)
    }
}

/// Percent-encodes a topic or a value for a URL. Slashes stay as they are.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The error text for an answer that is not a success, whose body is `text`.
pub(super) fn refusal(head: &Parts, text: &str) -> String {
    let status = head.status;
    if let (true, Some(location)) = (status.is_redirection(), header(head, LOCATION)) {
        return format!(
            "the server answered {status} and points to `{location}`; what is published is not sent on: \
             --url has to name callout itself"
        );
    }
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    match (json["reason"].as_str(), json["hint"].as_str()) {
        (Some(reason), Some(hint)) => format!("the server answered {status}: {reason}; {hint}"),
        (reason, _) => format!("the server answered {status}: {}", reason.unwrap_or("it did not say why")),
    }
}

/// When an answer says to come back (RFC 9110, section 10.2.3): after so many seconds, or at a date.
pub(super) fn retry_after(head: &Parts) -> Option<Duration> {
    let text = header(head, RETRY_AFTER)?;
    let date = || httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok();
    text.parse().ok().map(Duration::from_secs).or_else(date)
}

/// The media type of an answer, in lower case and without parameters; empty if it has none.
pub(super) fn media_type(head: &Parts) -> String {
    let value = header(head, CONTENT_TYPE).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn header(head: &Parts, name: HeaderName) -> Option<&str> {
    head.headers.get(name)?.to_str().ok()
}

/// Reads what `--url` says. The error describes a valid value.
fn check(text: &str) -> Result<Uri, &'static str> {
    let right = "a URL like http://host:8080";
    let uri: Uri = text.parse().map_err(|_| right)?;
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(right);
    };
    let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
    let has_port = host_and_port.len() > authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("a URL like http://host:8080, with a port from 1 to 65535");
    }
    if text.contains(['?', '#']) || uri.path().split('/').any(|part| OWN_PATHS.contains(&part)) {
        return Err("the URL of callout itself, like http://host:8080, without a path to what is there");
    }
    Ok(uri)
}

/// Whether a URL names this machine.
fn is_local(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    let is_own = |ip: IpAddr| ip.to_canonical().is_loopback() || ip.is_unspecified();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_own)
}

/// A URL for messages: `http://user:…@host`.
fn without_password(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let password = url[start..end].rfind('@').and_then(|at| {
        let colon = url[start..start + at].find(':')?;
        Some(start + colon + 1..start + at)
    });
    let mut shown = url.to_owned();
    if let Some(password) = password {
        shown.replace_range(password, "…");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("http://host:8080", "http://host:8080"),
            ("http://user@host", "http://user@host"),
            ("https://user:pa55word@host:1/x@y:z", "https://user:…@host:1/x@y:z"),
            ("http://user:p@55:word@[::1]:8080", "http://user:…@[::1]:8080"),
            ("user:pa55word@host", "user:…@host"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn a_proxy_is_for_other_machines() {
        let local = |url: &str| is_local(&url.parse().unwrap());
        for url in [
            "http://127.0.0.9:1",
            "http://localhost",
            "http://a.localhost",
            "http://[::1]:8",
            "http://0.0.0.0",
        ] {
            assert!(local(url), "{url}");
        }
        for url in ["http://localhost.example", "http://192.0.2.1", "http://[2001:db8::1]"] {
            assert!(!local(url), "{url}");
        }
    }
}
