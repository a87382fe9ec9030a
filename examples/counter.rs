//! State of a program's own behind its own routes: `POST /count` adds one to a counter, `GET /count` streams it.
//! Each count is a kept event, so that a browser that was away for a moment is sent what it missed.

use callout::{Answer, Draft, Pages, Server, Start, Topic, Topics, get, post};
use parking_lot::Mutex;
use std::sync::Arc;

/// A `$` in front keeps the topic API away from the topic.
const TOPIC: &str = "$count";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen =
        std::env::args().nth(1).map_or(Ok(([127, 0, 0, 1], 8080).into()), |address| address.parse())?;
    let counter = Arc::new(Mutex::new(0_u64));
    let topic = Topic::new(TOPIC)?;

    let follow = get("/count", |app, request| Ok(Answer::stream(app.stream(request, Start::Latest(1))?)));
    let count = post("/count", move |app, request| {
        // Held while the count is published, so that counts are published in their order.
        let mut counter = counter.lock();
        let data = (*counter + 1).to_string();
        app.publish(request, Draft { topics: vec![topic.clone()], data, ..Draft::default() })?;
        *counter += 1;
        Ok(Answer::json(&*counter))
    });

    let server = Server::builder()
        .listen(listen)
        .pages(Pages::none())
        .route(follow.subscribes(Topics::fixed(TOPIC)))
        .route(count.publishes(Topics::fixed(TOPIC)))
        .start()?;
    println!("curl -N http://{}/count", server.address());
    server.wait()?;
    Ok(())
}
