//! A page of your own, a poll: `GET /poll` streams the votes as they stand, `POST /poll` casts one.

use callout::app::{App, Holding};
use callout::http::files::File;
use callout::http::{Answer, Captures, Request};
use callout::routes::{Route, get, post};
use callout::{Config, Draft, Error, Event, Server, Topic};
use parking_lot::Mutex;
use std::collections::BTreeMap;

static ROUTES: &[Route] = &[
    get("/poll", follow),
    post("/poll", vote),
    get("/poll.html", |_, request, _| Ok(file(request, "poll.html", include_bytes!("poll.html")))),
    get("/poll.js", |_, request, _| Ok(file(request, "poll.js", include_bytes!("poll.js")))),
];

/// What the page holds, made when it is first asked for: how many voted for what.
struct Poll(Mutex<BTreeMap<&'static str, u32>>);

impl Holding for Poll {
    fn start(_app: &App) -> Result<Poll, Error> {
        Ok(Poll(Mutex::new([("coffee", 0), ("tea", 0), ("water", 0)].into())))
    }
}

/// The votes as they stand. A `$` in front keeps the topic API away from the topic.
fn draft(votes: &BTreeMap<&str, u32>) -> Result<Draft, Error> {
    let data = serde_json::json!(votes).to_string();
    Ok(Draft { topics: vec![Topic::new("$poll")?], name: Some("votes".into()), data, ..Draft::default() })
}

fn follow(app: &App, _request: &Request, _captures: &Captures) -> Result<Answer, Error> {
    let poll = app.holding::<Poll>()?;
    let mut stream = app.stream_now(vec![Topic::new("$poll")?])?;
    stream.snapshot =
        Some(Box::new(move || Some(Event::new(draft(&poll.0.lock()).ok()?).ok()?.encode(None))));
    Ok(Answer::stream(stream))
}

fn vote(app: &App, request: &Request, _captures: &Captures) -> Result<Answer, Error> {
    let choice: String = request.json(r#""tea""#)?;
    let poll = app.holding::<Poll>()?;
    let mut votes = poll.0.lock();
    *votes.get_mut(&*choice).ok_or_else(|| Error::bad("vote for coffee, tea or water"))? += 1;
    // Told under the lock, so that the newest count is told last.
    Ok(Answer::json(&serde_json::json!({ "reached": app.tell_counted(draft(&votes)?)? })))
}

fn file(request: &Request, name: &str, bytes: &'static [u8]) -> Answer {
    Answer::Full(File::new(bytes.into()).answer(request, name))
}

fn main() -> std::io::Result<()> {
    let listen = std::env::args().nth(1).and_then(|address| address.parse().ok());
    let listen = listen.unwrap_or(Config::default().listen);
    let server = Server::start_with(Config { listen, ..Config::default() }, ROUTES)?;
    println!("open http://{}/poll.html", server.address());
    std::thread::park();
    Ok(())
}
