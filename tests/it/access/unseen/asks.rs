//! All that somebody may ask a server for.

use super::BEFORE;
use super::identity::Identity;
use super::world::{TOPICS, World, exchange};

/// What streams ask for.
const SELECTORS: [&str; 8] =
    ["*", "open/*", "rooms/*", "rooms/zQ2z/*", "users/*", "users/ann/*", "now/*", "zQ*"];

impl World {
    /// The streams that somebody asks for, and whether each is to be had.
    pub fn asked(&mut self, who: &Identity) -> Vec<(String, String, Vec<String>, bool)> {
        let mut lists: Vec<Vec<String>> =
            TOPICS.iter().chain(&SELECTORS).map(|name| vec![(*name).to_owned()]).collect();
        for _ in 0..4 {
            let names = (0..3).map(|_| *self.random.choice(&TOPICS).unwrap());
            let readable = names.filter(|name| who.may_read(name) || self.seed.is_multiple_of(2));
            lists.push(readable.map(Into::into).collect());
        }
        lists.retain(|names| !names.is_empty());
        let mut asked = Vec::new();
        for names in lists {
            let query: Vec<String> = names.iter().map(|name| format!("topic={name}")).collect();
            let start = match self.random.u8(..5) {
                0 => "&last_event_id=earliest".into(),
                1 => "&last=5".into(),
                2 => "&last_event_id=0123456789abcdef".into(),
                3 => self
                    .random
                    .choice(&self.ids)
                    .map_or(String::new(), |(id, _)| format!("&last_event_id={id}")),
                _ => String::new(),
            };
            let form = if self.random.bool() { "&with=topic" } else { "" };
            let allowed = names.iter().all(|name| who.may_read(name));
            let query = query.join("&");
            asked.push(match self.random.u8(..4) {
                0 => (format!("POST /subscribe?x=1{start}{form}"), query, names, allowed),
                1 => (format!("QUERY /topics?x=1{start}{form}"), query, names, allowed),
                _ => (format!("GET /topics?{query}{start}{form}"), String::new(), names, allowed),
            });
        }
        for (path, topic) in [
            ("/sse?user=seen", "$chat"),
            ("/messages?x=1", "$wall"),
            ("/api/posts?x=1", "$feeds"),
            ("/api/feeds?x=1", "$feeds"),
            ("/api/streams?x=1", "$activity"),
            ("/sse/ann?last=9", "$user/ann"),
            ("/sse/bob?last=9", "$user/bob"),
            ("/sse/eve?last=9", "$user/eve"),
        ] {
            asked.push((format!("GET {path}"), String::new(), vec![topic.to_owned()], who.may_read(topic)));
        }
        asked
    }

    /// All that can be asked for beside streams.
    pub fn questions(&self) -> Vec<(String, String)> {
        let mut questions: Vec<(String, String)> = Vec::new();
        let mut ask = |head: String, body: &str| questions.push((head, body.into()));
        ask("GET /history".into(), "");
        ask("GET /history?after=a".into(), "");
        for topic in TOPICS.into_iter().chain(["$chat", "$user/bob", "$posts", "$wall", "nothing"]) {
            ask(format!("GET /history/{topic}"), "");
            ask(format!("POST /topics/{topic}"), "x");
            ask(format!("POST /topics/{topic}?id=an-id-of-nobody"), "x");
            ask(format!("DELETE /topics/{topic}?id=an-id-of-nobody"), "");
        }
        for path in ["/api/posts", "/api/feeds", "/api/posts/1", "/healthz", "/", "/nowhere", "/time/bob"] {
            ask(format!("GET {path}"), "");
        }
        ask("POST /publish".into(), "{\"topic\":\"nothing\",\"data\":\"x\"}\n{\"topic\":\"deep/x\"}\n");
        ask("POST /notify/bob".into(), r#"{"data":"x"}"#);
        ask("POST /tickets".into(), r#"{"user":"ann","subscribe":["*","rooms/*"]}"#);
        ask("POST /revoke".into(), r#"{"token":"reader1"}"#);
        ask("OPTIONS /topics/x".into(), "");
        // Whoever may take something back.
        ask("DELETE /topics/open/x".into(), "");
        questions
    }

    /// Asks all that, and looks through the answers.
    pub fn question(&self, who: &Identity) {
        let secrets = self.secrets(&[(who, &BEFORE)]);
        for (head, body) in self.questions() {
            let length = format!("Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let sent = head_of(who, &head) + &length;
            let came = exchange(self.at, &sent);
            secrets.check(who, &sent, &came, self.seed);
            let is_open_to_all = ["GET /", "GET /healthz", "OPTIONS /topics/x"].contains(&&*head);
            let is_done = came.starts_with(b"HTTP/1.1 2");
            let answer = String::from_utf8_lossy(&came);
            assert!(is_open_to_all || !who.is_void || !is_done, "seed {}: {head}: {answer}", self.seed);
        }
    }
}

pub fn head_of(who: &Identity, head: &str) -> String {
    let (method, path) = head.split_once(' ').unwrap();
    let query = match (who.query.is_empty(), path.contains('?')) {
        (true, _) => String::new(),
        (false, true) => format!("&{}", who.query),
        (false, false) => format!("?{}", who.query),
    };
    format!("{method} {path}{query} HTTP/1.1\r\nHost: localhost\r\n{}", who.header)
}
