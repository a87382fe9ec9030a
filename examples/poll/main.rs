//! A page of your own, a poll: `GET /poll` streams the votes as they stand, `POST /poll` casts one.

use callout::{
    Answer, App, Draft, Error, Event, File, Frame, Pages, Request, Server, Topic, Topics, get, post,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many voted for what. The handlers share it.
type Votes = Arc<Mutex<BTreeMap<&'static str, u32>>>;

/// A `$` in front keeps the topic API away from the topic.
const TOPIC: &str = "$poll";

/// The votes as they stand.
fn draft(votes: &BTreeMap<&str, u32>) -> Result<Draft, Error> {
    let data = serde_json::json!(votes).to_string();
    Ok(Draft { topics: vec![Topic::new(TOPIC)?], name: Some("votes".into()), data, ..Draft::default() })
}

/// The same as the bytes of an event, for a stream that begins.
fn frame(votes: &BTreeMap<&str, u32>) -> Option<Frame> {
    Some(Event::new(draft(votes).ok()?).ok()?.encode(None))
}

fn subscribe(app: &App, request: &Request, votes: &Votes) -> Result<Answer, Error> {
    let votes = votes.clone();
    let mut stream = app.ephemeral_stream(request)?;
    stream.snapshot = Some(Box::new(move || frame(&votes.lock())));
    Ok(Answer::stream(stream))
}

fn vote(app: &App, request: &Request, votes: &Votes) -> Result<Answer, Error> {
    let choice: String = request.json(r#""tea""#)?;
    let mut votes = votes.lock();
    *votes
        .get_mut(&*choice)
        .ok_or_else(|| Error::bad("this is no choice").hint("vote for coffee, tea or water"))? += 1;
    // Under the lock, so that the newest count is broadcast last.
    Ok(Answer::json(&serde_json::json!({ "reached": app.broadcast(request, draft(&votes)?)? })))
}

fn file(request: &Request, name: &str, bytes: &'static [u8]) -> Answer {
    Answer::Full(File::new(bytes.into()).answer(request, name))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen =
        std::env::args().nth(1).map_or(Ok(([127, 0, 0, 1], 8080).into()), |address| address.parse())?;
    let votes: Votes = Arc::new(Mutex::new([("coffee", 0), ("tea", 0), ("water", 0)].into()));
    let shown = votes.clone();
    let server = Server::builder()
        .listen(listen)
        .pages(Pages::none())
        .route(
            get("/poll", move |app, request| subscribe(app, request, &shown))
                .subscribes(Topics::fixed(TOPIC)),
        )
        .route(post("/poll", move |app, request| vote(app, request, &votes)).publishes(Topics::fixed(TOPIC)))
        .route(get("/poll.html", |_, request| Ok(file(request, "poll.html", include_bytes!("poll.html")))))
        .route(get("/poll.js", |_, request| Ok(file(request, "poll.js", include_bytes!("poll.js")))))
        .start()?;
    println!("open http://{}/poll.html", server.address());
    server.wait()?;
    Ok(())
}
