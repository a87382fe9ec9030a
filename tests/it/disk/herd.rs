//! Thousands of browsers come back at the same time, while publishing goes on.

use super::{Folder, draft, serve, start};
use crate::support::{Browser, PATIENCE, publish};
use callout::history::log::opener;
use callout::history::{Bounds, Durability, History};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Browsers, how many events they have missed, and the threads that play them.
const BROWSERS: usize = 2_000;
const MISSED: usize = 1_000;
const THREADS: usize = 8;

/// After this time the test gives up. The bench measures how long catching up takes.
const GIVE_UP: Duration = Duration::from_secs(120);

const PATH: &str = "/topics?topic=news&topic=end";

#[test]
fn two_thousand_browsers_catch_up_while_another_stays_live() {
    let folder = Folder::new();
    let disk = start(opener(folder.path()), Bounds::default(), Durability::Relaxed);
    let keep = |number: usize| disk.publish(draft(&["news"], None, &number.to_string())).unwrap().id;
    let known = keep(0);
    let mut frames: Vec<(usize, String)> = (1..=MISSED).map(|number| (number, keep(number))).collect();
    disk.close(PATIENCE);
    // With heartbeats, a browser that waits in vain would wait for ever.
    let program = serve(&folder, &["--heartbeat", "1h"]);
    let at = program.address;
    let mut listener = Browser::open(at, PATH);
    let caught_up = AtomicUsize::new(0);
    let began = Instant::now();
    let heard = thread::scope(|scope| {
        let herd: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut browsers: Vec<_> =
                        (0..BROWSERS / THREADS).map(|_| Returned::open(at, &known)).collect();
                    for browser in &mut browsers {
                        browser.skip_opening();
                        browser.hear(&format!("data: {MISSED}\n\n"));
                        caught_up.fetch_add(1, Relaxed);
                    }
                    browsers.iter_mut().for_each(|browser| browser.hear("data: end\n\n"));
                    browsers
                })
            })
            .collect();
        // The listener sees each event before the next is published, so it is live all the time.
        while caught_up.load(Relaxed) < BROWSERS {
            let number = frames.len() + 1;
            let id = publish(at, "/topics/news", number.to_string());
            assert_eq!(listener.next().id, id);
            frames.push((number, id));
            assert!(began.elapsed() < GIVE_UP, "{caught_up:?} caught up");
        }
        let all_caught_up = began.elapsed();
        publish(at, "/topics/end?id=end", "end");
        println!("{BROWSERS} caught up in {all_caught_up:?}, {} events meanwhile", frames.len() - MISSED);
        herd.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let events = frames.iter().map(|(number, id)| format!("id: {id}\ndata: {number}\n\n"));
    let wanted: String = events.chain(["id: end\ndata: end\n\n".into()]).collect();
    assert_eq!(heard.len(), BROWSERS);
    assert!(heard.iter().all(|browser| browser.heard == wanted), "each has every event once and in order");
}

/// One of the browsers that came back: its stream, and what it has received.
struct Returned {
    stream: BufReader<TcpStream>,
    heard: String,
}

impl Returned {
    /// Opens a stream that goes on after this id.
    fn open(at: SocketAddr, last_event_id: &str) -> Returned {
        let mut socket = TcpStream::connect(at).expect("the server listens");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // HTTP/1.0 has no chunks, so what comes is what the events are.
        let head =
            format!("GET {PATH} HTTP/1.0\r\nHost: localhost\r\nLast-Event-ID: {last_event_id}\r\n\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        Returned { stream: BufReader::new(socket), heard: String::new() }
    }

    /// Reads the head and the opening: the two blocks before the first event.
    fn skip_opening(&mut self) {
        for _ in 0..2 {
            let mut line = String::from("-");
            while !line.trim_end().is_empty() {
                line.clear();
                assert!(self.stream.read_line(&mut line).unwrap() > 0, "it goes on");
            }
        }
    }

    /// Reads until this has come.
    fn hear(&mut self, wanted: &str) {
        let mut from = 0;
        while !self.heard[from..].contains(wanted) {
            from = self.heard.len().saturating_sub(wanted.len());
            let bytes = self.stream.fill_buf().expect("it goes on");
            assert!(!bytes.is_empty(), "it goes on");
            self.heard += std::str::from_utf8(bytes).expect("ASCII");
            let count = bytes.len();
            self.stream.consume(count);
        }
    }
}
