//! The library: what a program that embeds callout can do with it, and what it never does to that program.

use crate::support::{Browser, get, publish, until};
use callout::event::Id;
use callout::history::{Memory, Part, Receipt, Resume, Retracted, Status, TopicStatus};
use callout::{
    Answer, Bounds, Config, Draft, Error, Event, History, Hub, Pages, Selector, Server, Start, StartError,
    Topic, Topics, get as get_route,
};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// How a history of the program's own publishes.
type Publish = Box<dyn Fn(&Memory, Event) -> Result<Receipt, Error> + Send + Sync>;

/// A history of the program's own: one in memory that publishes in its own way.
struct Own {
    inner: Memory,
    publish: Publish,
}

impl History for Own {
    fn publish(&self, event: Event) -> Result<Receipt, Error> {
        (self.publish)(&self.inner, event)
    }

    fn resume(&self, start: &Start, selectors: &[Selector]) -> Result<Resume, Error> {
        self.inner.resume(start, selectors)
    }

    fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Result<Part, Error> {
        self.inner.read(after, through, selectors)
    }

    fn retract(&self, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error> {
        self.inner.retract(topic, id)
    }

    fn status(&self) -> Status {
        self.inner.status()
    }

    fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error> {
        self.inner.topics(after)
    }

    fn close(&self, deadline: Duration) {
        self.inner.close(deadline)
    }
}

/// A server whose history publishes by the function that `publish` makes of the hub.
fn server_over(socket: TcpListener, publish: impl FnOnce(Hub) -> Publish + Send + 'static) -> Server {
    let open = |hub: Hub| -> std::io::Result<Arc<dyn History>> {
        let inner = Memory::new(hub.clone(), Bounds::default());
        Ok(Arc::new(Own { inner, publish: publish(hub) }))
    };
    Server::builder().listener(socket).history(open).start().unwrap()
}

#[test]
fn a_program_brings_its_own_history_and_its_own_socket() {
    let published = Arc::new(AtomicUsize::new(0));
    let counter = published.clone();
    let socket = TcpListener::bind(local()).unwrap();
    let address = socket.local_addr().unwrap();
    // As an async runtime would hand it over.
    socket.set_nonblocking(true).unwrap();
    let server = server_over(socket, |_| {
        Box::new(move |inner, event| {
            counter.fetch_add(1, Relaxed);
            inner.publish(event)
        })
    });
    assert_eq!(server.address(), address);
    publish(address, "/topics/t", "one");
    server
        .publish(Draft { topics: vec![Topic::new("t").unwrap()], data: "two".into(), ..Draft::default() })
        .unwrap();
    let mut browser = Browser::open(address, "/topics/t?last_event_id=earliest");
    assert_eq!((browser.next().data, browser.next().data), ("one".into(), "two".into()));
    assert_eq!(published.load(Relaxed), 2);
}

#[test]
fn what_a_route_did_not_declare_its_handler_cannot_do() {
    let publish = get_route("/sneak", |app, request| {
        let topics = vec![Topic::new("news")?];
        app.publish(request, Draft { topics, data: "x".into(), ..Draft::default() })?;
        Ok(Answer::json(&"published"))
    });
    let server = Server::builder().listen(local()).pages(Pages::none()).route(publish).start().unwrap();
    assert_eq!(get(server.address(), "/sneak").status, 500);
    assert_eq!(get(server.address(), "/history").json(), serde_json::json!({ "topics": [] }));
}

#[test]
fn what_the_program_publishes_on_an_ephemeral_topic_is_ephemeral() {
    let server = Server::builder().listen(local()).ephemeral("cursors/*".parse().unwrap()).start().unwrap();
    let topics = vec![Topic::new("cursors/1").unwrap()];
    let receipt = server.publish(Draft { topics, data: "x".into(), ..Draft::default() }).unwrap();
    assert_eq!(receipt.id, None);
    assert_eq!(get(server.address(), "/history").json(), serde_json::json!({ "topics": [] }));
}

#[test]
fn waiting_ends_when_another_thread_stops_the_server_and_a_second_stop_does_nothing() {
    let server = Arc::new(Server::builder().listen(local()).start().unwrap());
    let waiting = {
        let server = server.clone();
        thread::spawn(move || server.wait())
    };
    assert!(server.stop(Duration::from_secs(5)));
    assert_eq!(waiting.join().unwrap(), Ok(()));
    assert!(server.stop(Duration::from_secs(5)));
    assert_eq!(server.wait(), Ok(()));
}

#[test]
fn a_snapshot_that_panics_ends_its_own_stream_only() {
    let route = get_route("/faulty", |app, request| {
        let mut stream = app.ephemeral_stream(request)?;
        stream.snapshot = Some(Box::new(|| panic!("a fault of the program's")));
        Ok(Answer::stream(stream))
    });
    let route = route.subscribes(Topics::fixed("$faulty"));
    let server = Server::builder().listen(local()).route(route).start().unwrap();
    let at = server.address();
    let mut other = Browser::open(at, "/topics/t");
    assert_eq!(Browser::open(at, "/faulty").rest(), []);
    until("its permit is free", || server.app().permits.in_use() == 1);
    publish(at, "/topics/t", "still here");
    assert_eq!(other.next().data, "still here");
}

#[test]
fn when_the_hub_panics_the_program_is_told_and_all_connections_are_closed() {
    // Passes every event on under the same id, which the hub takes for a fault.
    let server = server_over(TcpListener::bind(local()).unwrap(), |hub| {
        Box::new(move |_, event| {
            let id = Id::from_key(1);
            hub.broadcast_kept(&event, id, event.encode(Some(id)));
            Ok(Receipt { id: id.to_string(), duplicate: false })
        })
    });
    let mut browser = Browser::open(server.address(), "/topics/t");
    let publish = || {
        server.publish(Draft { topics: vec![Topic::new("t").unwrap()], data: "x".into(), ..Draft::default() })
    };
    until("the hub has failed", || {
        publish().unwrap();
        server.app().hub.survey().clients == 0
    });
    assert_eq!(server.wait().unwrap_err().to_string(), "the hub thread panicked");
    browser.rest();
    // What is published now is kept, and not passed on.
    publish().unwrap();
}

#[test]
fn a_socket_that_does_not_listen_and_a_setting_that_cannot_be_meant_are_refused_by_their_names() {
    let listening = TcpListener::bind(local()).unwrap();
    let socket = TcpStream::connect(listening.local_addr().unwrap()).unwrap();
    let own = socket.local_addr().unwrap();
    let refused = Server::builder().listener(TcpListener::from(OwnedFd::from(socket))).start().err().unwrap();
    assert!(matches!(refused, StartError::Listen { address, .. } if address == own), "{refused}");

    let mut config = Config::default();
    config.limits.pace.heartbeat = Duration::ZERO;
    let refused = Server::builder().config(config).start().err().unwrap().to_string();
    let wanted =
        "the setting `limits.pace.heartbeat` is 0ns, and takes a time like 15s, from 10ms to an hour";
    assert_eq!(refused, wanted);

    let votes = |path| get_route(path, |_, _| Ok(Answer::json(&0)));
    for (route, why) in [
        (votes("votes"), "the setting `route` is wrong: `votes` is no path that begins with `/`"),
        (
            votes("/votes").subscribes(Topics::fixed("two\nlines")),
            "the topic of `/votes`: a topic has no control",
        ),
        (votes("/votes/{id}").subscribes(Topics::in_path("poll")), "`/votes/{id}` has no part `{poll}`"),
    ] {
        let refused = Server::builder().listen(local()).route(route).start().err().unwrap();
        assert!(matches!(refused, StartError::Setting { name: "route", .. }), "{refused}");
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

#[test]
fn a_server_listens_on_all_addresses_that_it_is_given_and_leaves_none_behind() {
    // One that no machine has: it is for documentation (RFC 5737).
    let missing = ([192, 0, 2, 1], 0).into();
    let mut config = Config::default();
    config.listen = ([127, 0, 0, 1], 0).into();
    config.listen_also = vec![([127, 0, 0, 2], 0).into(), missing];
    let server = Server::builder().config(config.clone()).start().unwrap();
    let first = server.address();
    let second = SocketAddr::from(([127, 0, 0, 2], first.port()));
    for address in [first, second] {
        assert_eq!(get(address, "/healthz").status, 200, "{address}");
    }
    // What is published at one address is received at the other.
    let mut stream = Browser::open(second, "/topics/t");
    publish(first, "/topics/t", "x");
    assert_eq!(stream.next().data, "x");
    // One that is taken is no server that would have half of its addresses.
    config.listen = ([127, 0, 0, 1], 0).into();
    config.listen_also = vec![second];
    let Err(StartError::Listen { address, .. }) = Server::builder().config(config.clone()).start() else {
        panic!("it started");
    };
    assert_eq!(address, second);
    server.stop(Duration::from_secs(5));
    drop(server);
    drop(Server::builder().config(config).start().expect("the address is free again"));
}
