//! What happens between a stream's request and its first live event: a history that fails, that lets events go, or
//! that is ahead of the hub; and a drain. Here each of it happens at the moment that is the worst.

use crate::disk::{Folder, draft, everything, selectors, topics};
use crate::support::{PATIENCE, Raw, grant, until};
use callout::client::{Client, Pace, Step, Stream};
use callout::event::{Event, Form, Id};
use callout::history::log::{Log, opener};
use callout::history::memory::Memory;
use callout::history::{
    Bounds, Durability, History, Kept, Part, Receipt, Resume, Retracted, Start, Status, TopicStatus,
};
use callout::hub::chunk::Coding;
use callout::hub::outlet::{End, Outlet};
use callout::hub::wire::Wire;
use callout::hub::{ClientId, Dispatch, Hub};
use callout::os::threads::Threads;
use callout::{Error, Selector, Topic};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

fn id(key: u64) -> Id {
    Id::from_key(key)
}

fn kept(key: u64) -> Kept {
    let frame = draft(&["t"], None, &format!("event {key}")).encode(Some(id(key)));
    Kept { id: id(key), at: SystemTime::now(), topic: topics(&["t"]).remove(0), frame }
}

fn dispatch(key: u64) -> Dispatch {
    Dispatch::kept(&draft(&["t"], None, &format!("event {key}")), id(key), kept(key).frame)
}

/// A history that says to a read what the test has written for it. Its streams begin before all events.
struct Scripted<F>(F);

impl<F: Fn(Id, Id) -> Result<Part, Error> + Send + Sync> History for Scripted<F> {
    fn publish(&self, _event: Event) -> Result<Receipt, Error> {
        unreachable!("nobody publishes")
    }

    fn retract(&self, _topic: &Topic, _id: Option<&str>) -> Result<Retracted, Error> {
        unreachable!("nobody retracts")
    }

    fn resume(&self, _start: &Start, _selectors: &[Selector]) -> Result<Resume, Error> {
        Ok(Resume { after: Id::default(), position: Id::default().to_string(), gap: false })
    }

    fn read(&self, after: Id, through: Id, _selectors: &[Selector]) -> Result<Part, Error> {
        self.0(after, through)
    }

    fn status(&self) -> Status {
        Status::default()
    }

    fn topics(&self, _after: &str) -> Result<Vec<TopicStatus>, Error> {
        Ok(Vec::new())
    }

    fn close(&self, _deadline: Duration) {}
}

/// A hub that has passed on event 1.
fn hub() -> Hub {
    let hub = Hub::start(&Threads::default()).expect("a thread");
    hub.begin_after(id(1));
    hub
}

/// Both ends of a connection.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, peer)
}

/// A stream of this history, as its browser reads it.
fn stream(hub: &Hub, history: impl History + 'static) -> Raw {
    let (socket, peer) = connection();
    let hub = hub.clone();
    thread::spawn(move || {
        // Without heartbeats a stream that does not end is noticed.
        let mut pace = Pace::default();
        (pace.heartbeat, pace.write_deadline) = (10 * PATIENCE, PATIENCE);
        let stream = Stream::new(&grant(topics(&["t"])), Start::Earliest);
        let wire = Wire::Writer(Box::new(socket));
        Client::new(wire, Coding::Identity, pace, Vec::new(), stream, None).run(&hub, &history)
    });
    Raw::over(peer)
}

#[test]
fn nothing_that_waits_is_sent_when_the_history_fails_before_the_gap_to_it_is_closed() {
    let hub = hub();
    let (own, newest) = (hub.clone(), AtomicU64::new(1));
    let history = Scripted(move |_, through| {
        let is_registered = own.survey().clients == 1;
        let next = dispatch(newest.fetch_add(1, Relaxed) + 1);
        if !is_registered {
            // The event comes after what was read, and the hub passes it on when the stream has asked to register. If
            // the stream is slower than the pause, it reads again.
            let held_up = hold_up(&own);
            own.broadcast(next);
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(100));
                drop(held_up);
            });
            return Ok(Part { through, ..Part::default() });
        }
        own.broadcast(next);
        // The event is queued for the stream, and what came before it cannot be read.
        until("the hub has passed it on", || own.last() == id(newest.load(Relaxed)));
        Err(Error::unavailable("the disk fails"))
    });
    let all = stream(&hub, history).everything();
    assert!(!all.contains("data:"), "{all}");
    let (_, told) = all.trim_end().rsplit_once("\n\n").expect("the opening and the end");
    let millis: u32 =
        told.strip_prefix("event: drain\nretry: ").and_then(|millis| millis.parse().ok()).expect(&all);
    assert!((5_000..=15_000).contains(&millis), "{all}");
}

#[test]
fn events_that_are_let_go_during_a_replay_are_told_as_a_gap_before_what_follows_them() {
    let hub = hub();
    let own = hub.clone();
    hub.broadcast(dispatch(9));
    hub.survey();
    let history = Scripted(move |after: Id, through| {
        if after == Id::default() {
            return Ok(Part { events: vec![kept(2)], through: id(2), gap: None });
        }
        // Up to 7 all was trimmed since the part before.
        own.drain();
        Ok(Part { events: vec![kept(9)], through, gap: Some(id(7)) })
    });
    let all = stream(&hub, history).everything();
    let told = format!(
        "data: event 2\n\nid: {}\nevent: reset\ndata: {{\"continues_after\":\"{}\",\"requested\":\"{}\"}}\n\n\
         id: {}\ndata: event 9\n\n",
        id(7),
        id(7),
        id(2),
        id(9)
    );
    assert!(all.contains(&told), "{all}");
}

#[test]
fn a_stream_that_begins_while_the_server_drains_is_told_when_to_come_back() {
    let hub = hub();
    hub.drain();
    hub.survey();
    let history = Scripted(|_, through| Ok(Part { events: vec![kept(1)], through, gap: None }));
    let all = stream(&hub, history).everything();
    let told = all.split("data: event 1\n\n").nth(1).expect("what was kept, and more");
    let millis: u32 =
        told.trim().strip_prefix("event: drain\nretry: ").and_then(|ms| ms.parse().ok()).expect(&all);
    assert!((1_000..=5_000).contains(&millis), "{all}");
}

/// Holds the hub's thread up until the socket that is given is dropped: it closes one that lingers.
fn hold_up(hub: &Hub) -> TcpStream {
    let (mut socket, peer) = connection();
    socket.set_nonblocking(true).unwrap();
    while socket.write(&[0; 4_096]).is_ok() {}
    SockRef::from(&socket).set_linger(Some(10 * PATIENCE)).unwrap();
    let outlet = Outlet::new(Some(Arc::new(socket)), Coding::Identity, None);
    // The hub is the only one that still holds the outlet when it is told to let go of it.
    drop(hub.register(ClientId(u64::MAX), selectors(&["held up"]).into(), Form::Plain, Arc::new(outlet)));
    peer
}

#[test]
fn readers_do_not_wait_for_publishers_that_wait_for_the_hub_and_what_was_not_handed_on_is_no_position() {
    let folder = Folder::new();
    type Open<'a> = &'a dyn Fn(&Hub, &Threads) -> Arc<dyn History>;
    let open: [Open; 2] =
        [&|hub, _| Arc::new(Memory::new(hub.clone(), Bounds::default())), &|hub, threads| {
            let opener = opener(folder.path());
            let disk = Log::start(opener, hub.clone(), threads, Bounds::default(), Durability::Relaxed);
            Arc::new(disk.expect("it opens"))
        }];
    for open in open {
        let threads = Threads::default();
        let hub = Hub::start(&threads).expect("a thread");
        let history = open(&hub, &threads);
        let held_up = hold_up(&hub);
        const EVENTS: usize = 1_000;
        let (publisher, reader) = (history.clone(), history.clone());
        let publishing = thread::spawn(move || {
            for number in 0..EVENTS {
                publisher.publish(draft(&["t"], None, &number.to_string())).expect("it is kept");
            }
        });
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            // More than the hub's inbox holds: the last of them waits to be handed on.
            while reader.status().events <= 512 {
                thread::yield_now();
            }
            let (newest, _) = everything(&*reader, &["t"]).pop().expect("they are kept");
            let resume = |start| reader.resume(&start, &selectors(&["t"])).expect("it can be read");
            let seen = resume(Start::After(newest.to_string()));
            let live = resume(Start::Live);
            let latest = resume(Start::Latest(1));
            done.send((newest, seen.gap, live.after, latest.after)).expect("the test waits");
        });
        let (newest, gap, live_after, latest_after) = is_done.recv_timeout(PATIENCE).expect("nobody waits");
        assert!(gap, "nobody can have seen {newest}");
        assert!(live_after < newest && latest_after < newest);
        drop(held_up);
        publishing.join().expect("all are kept");
        let (newest, _) = everything(&*history, &["t"]).pop().expect("they are kept");
        until("all are passed on, in their order", || hub.last() == newest);
        let live = history.resume(&Start::Live, &selectors(&["t"])).expect("it can be read");
        assert_eq!((live.after, live.gap), (newest, false));
    }
}

/// What comes on a connection until nothing more comes, or it ends.
fn what_comes(peer: &mut TcpStream) -> String {
    peer.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut all = Vec::new();
    // The time is over when the socket is empty.
    let _ = peer.read_to_end(&mut all);
    String::from_utf8(all).unwrap()
}

#[test]
fn a_stream_that_loses_its_right_within_an_event_is_cut_off_there() {
    for is_live in [false, true] {
        let hub = hub();
        let large = |key| {
            let event = draft(&["t"], None, &"x".repeat(1024 * 1024));
            let frame = event.encode(Some(id(key)));
            (Kept { frame: frame.clone(), ..kept(key) }, Dispatch::kept(&event, id(key), frame))
        };
        let history = Scripted(move |_, through| {
            let events = if is_live { Vec::new() } else { vec![large(1).0] };
            Ok(Part { through, events, ..Part::default() })
        });
        let (socket, mut peer) = connection();
        SockRef::from(&socket).set_send_buffer_size(1).unwrap();
        let stream = Stream::new(&grant(topics(&["t"])), Start::Earliest);
        let wire = Wire::Socket(Arc::new(socket));
        let mut client = Client::new(wire, Coding::Chunked, Pace::default(), Vec::new(), stream, None);
        let step = loop {
            match client.advance(&hub, &history, true) {
                Step::Turn => {}
                Step::Snapshot => client.write_snapshot(),
                step => break step,
            }
        };
        if is_live {
            assert_eq!(step, Step::Quiet);
            hub.broadcast(large(2).1);
            until("the socket is full", || client.outlet().is_behind());
        } else {
            assert!(matches!(step, Step::Room(_)), "{step:?}");
        }
        // The right is lost, and there is room again.
        client.outlet().end(End::Unauthorized);
        let mut all = what_comes(&mut peer);
        assert!(all.ends_with('x'), "it was sent a part of the event");
        let step = client.advance(&hub, &history, true);
        assert_eq!(step, Step::End(End::Unauthorized));
        client.finish(End::Unauthorized, &hub);
        all += &what_comes(&mut peer);
        assert!(all.ends_with('x'), "nothing comes within the event: {}", &all[all.len() - 300..]);
    }
}
