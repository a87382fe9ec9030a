//! What one round of the model is made of: a server without HTTP, what is said, and who reads.

use crate::access::{Access, Wanted};
use crate::client::{Pace, Stream};
use crate::direct::{Connection, HAS_PANICKED, Listener};
use crate::event::{Draft, Event, Frame, Id};
use crate::history::{History, Memory, Start};
use crate::hub::Hub;
use crate::reader::Reader;
use crate::topic::Topic;
use http::HeaderMap;
use shuttle::thread;
use socket2::{Domain, SockRef, Socket, Type};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// How long a reader may wait for what was said. Nothing in a round waits for a clock, but for the kernel's.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than a round takes: no deadline comes to the help of what is stuck.
const NEVER: Duration = Duration::from_secs(3_600);

/// What was not said.
const NOT_YET: usize = usize::MAX;

/// How the server ends while readers are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Stays,
    Drains,
    HangsUp,
}

pub struct World {
    hub: Hub,
    history: Arc<Memory>,
    listener: Arc<Listener>,
    ending: Ending,
    /// How many events are kept.
    pub events: usize,
    /// The newest ephemeral event.
    now: Arc<AtomicUsize>,
    has_said_all: AtomicBool,
    drained_after: AtomicUsize,
    is_hung_up: AtomicBool,
}

/// What the event of this number says: of many sizes, so that sockets are full in the middle of one.
pub fn data(number: usize) -> String {
    format!("{number} {}", "abcdefgh".repeat(number * 7_919 % 397))
}

fn topics() -> Vec<Topic> {
    vec![Topic::new("t").expect("a topic")]
}

fn event(name: Option<&str>, number: usize) -> Event {
    let name = name.map(str::to_owned);
    Event::new(Draft { topics: topics(), name, data: data(number), ..Draft::default() }).expect("an event")
}

/// Both ends of a connection, of which the first waits for nothing. Each holds as little as possible.
pub fn connected() -> (TcpStream, TcpStream) {
    static ACCEPTING: LazyLock<TcpListener> =
        LazyLock::new(|| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    socket.set_recv_buffer_size(1).expect("a size");
    socket.set_tcp_mss(536).expect("a size");
    // Closing leaves nothing behind, so that many rounds do not use up the ports.
    socket.set_linger(Some(Duration::ZERO)).expect("a time");
    let address = ACCEPTING.local_addr().expect("it listens");
    socket.connect(&address.into()).expect("it is accepted");
    socket.set_nonblocking(true).expect("a socket");
    let (accepted, _) = ACCEPTING.accept().expect("it is there");
    SockRef::from(&accepted).set_send_buffer_size(1).expect("a size");
    SockRef::from(&accepted).set_tcp_nodelay(true).expect("a socket");
    (socket.into(), accepted)
}

/// One round, whose choices follow from the seed, but for those of the kernel.
pub fn round(seed: u64, feeds: callout::Hub) {
    let mut random = fastrand::Rng::with_seed(seed);
    fastrand::seed(random.u64(..));
    let (listener, poll) = Listener::new(random.usize(2..6), random.usize(1..3));
    let world = Arc::new(World {
        hub: Hub::default(),
        history: Arc::new(Memory::new(feeds, Default::default())),
        listener: Arc::new(listener),
        ending: *random
            .choice(&[Ending::Stays, Ending::Stays, Ending::Drains, Ending::HangsUp])
            .expect("one"),
        events: random.usize(1..40),
        now: Arc::default(),
        has_said_all: AtomicBool::new(false),
        drained_after: AtomicUsize::new(NOT_YET),
        is_hung_up: AtomicBool::new(false),
    });
    let hub = world.hub.clone();
    let mut threads = vec![thread::spawn(move || hub.run())];
    let listener = world.listener.clone();
    threads.push(thread::spawn(move || listener.learn(poll)));
    // Without it nothing may be stuck either.
    if random.bool() {
        let listener = world.listener.clone();
        threads.push(thread::spawn(move || listener.sweep()));
    }
    let readers: Vec<_> = (0..random.usize(1..4))
        .map(|_| {
            let reader = Reader::new(world.clone(), random.u64(..));
            thread::spawn(move || reader.run())
        })
        .collect();
    world.say(&mut random);
    let cut: u64 = readers.into_iter().map(|reader| reader.join().expect("it has checked all")).sum();
    let give_up = Instant::now() + PATIENCE;
    while !world.listener.is_empty() {
        assert!(Instant::now() < give_up, "stuck: the stream of a reader that is gone");
        thread::yield_now();
    }
    let too_slow = world.hub.counters().too_slow.load(Relaxed);
    assert!(cut <= too_slow, "{cut} readers were cut off, {too_slow} for being slow");
    assert!(!HAS_PANICKED.load(Relaxed), "a connection has panicked");
    world.listener.is_over.store(true, Relaxed);
    world.hub.end();
    threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
}

impl World {
    /// Says everything, and may end the server meanwhile.
    fn say(&self, random: &mut fastrand::Rng) {
        let ends_at = random.usize(0..=self.events);
        let whispers = random.u8(0..3);
        for number in 0..self.events {
            if number == ends_at {
                self.end(number);
            }
            let kept = event(None, number);
            let id = self.history.publish(kept.clone()).expect("it is kept").id;
            let id = Id::parse(&id).expect("an id of the history");
            self.hub.broadcast(Some(id), kept.encode(Some(id)));
            for _ in 0..random.u8(0..=whispers) {
                let number = self.now.fetch_add(1, Relaxed) + 1;
                self.hub.broadcast(None, event(Some("whisper"), number).encode(None));
            }
            (0..random.u32(0..60)).for_each(|_| thread::yield_now());
        }
        if ends_at == self.events {
            self.end(self.events);
        }
        self.has_said_all.store(true, Relaxed);
    }

    fn end(&self, said: usize) {
        match self.ending {
            Ending::Stays => {}
            Ending::Drains => {
                self.drained_after.store(said, Relaxed);
                self.hub.drain();
            }
            Ending::HangsUp => {
                self.is_hung_up.store(true, Relaxed);
                self.listener.hang_up();
            }
        }
    }

    /// How many events are kept, and the newest ephemeral one, once all is said.
    pub fn said(&self) -> Option<(usize, usize)> {
        self.has_said_all.load(Relaxed).then(|| (self.events, self.now.load(Relaxed)))
    }

    /// How many events were said before the drain, if it has begun.
    pub fn drained_after(&self) -> Option<usize> {
        Some(self.drained_after.load(Relaxed)).filter(|said| *said != NOT_YET)
    }

    pub fn is_hung_up(&self) -> bool {
        self.is_hung_up.load(Relaxed)
    }

    /// Whether every stream ends without its reader's doing.
    pub fn will_end(&self) -> bool {
        self.ending != Ending::Stays
    }

    /// A connection that is a stream after this id, or from the beginning.
    pub fn connect(&self, last_event_id: &str) -> TcpStream {
        let (socket, accepted) = connected();
        let start = match last_event_id {
            "" => Start::Earliest,
            id => Start::After(id.into()),
        };
        let pace = Pace { heartbeat: Duration::ZERO, write_deadline: NEVER, ..Pace::default() };
        let (hub, history) = (self.hub.clone(), self.history.clone());
        Connection::begin(accepted, self.stream(start), hub, history, pace, &self.listener);
        socket
    }

    fn stream(&self, start: Start) -> Stream {
        let wanted =
            Wanted { subscribe: topics().into_iter().map(Into::into).collect(), ..Wanted::default() };
        let grant = Access::default().grant(&HeaderMap::new(), None, [127, 0, 0, 1].into(), wanted);
        let mut stream = Stream::new(&grant.expect("everybody may"), start);
        let now = self.now.clone();
        stream.snapshot =
            Some(Box::new(move || Some(event(Some("snapshot"), now.load(Relaxed)).encode(None) as Frame)));
        stream
    }
}
