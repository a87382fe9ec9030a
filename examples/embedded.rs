//! callout inside another program, which works on something and publishes its progress.

use callout::{Draft, Pages, Server, Topic};
use std::error::Error;
use std::time::Duration;

const STEPS: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    // Port 0 chooses a free one. The history stays in memory unless `data` says where to keep it.
    let server = Server::builder().listen("127.0.0.1:0".parse()?).pages(Pages::none()).start()?;
    println!("curl -N 'http://{}/topics/progress?last_event_id=earliest'", server.address());

    let topics = vec![Topic::new("progress")?];
    for step in 1..=STEPS {
        std::thread::sleep(Duration::from_millis(100)); // the work
        let data = format!("step {step} of {STEPS}");
        server.publish(Draft { topics: topics.clone(), data, ..Draft::default() })?;
    }

    // Open streams are told to come back later; the history ends with the program.
    server.stop(Duration::from_secs(1));
    Ok(())
}
