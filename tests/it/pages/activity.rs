//! Statistics and activity on one stream: the statistics at once, activity as it comes, and no work without subscribers.

use crate::support::{Browser, Program, Raw, Seen, get, joined, narrow_socket, post, publish, request, said};
use crate::support::{server, server_with, until};
use callout::Server;

fn action(seen: &Seen) -> String {
    seen.json()["action"].as_str().expect("an action").to_owned()
}

/// A subscriber that ephemeral events reach. Events from before it was registered do not reach it.
fn subscribe(server: &Server) -> Browser {
    let browser = Browser::open(server.address(), "/api/streams");
    joined(server, server.app().permits.in_use());
    browser
}

/// Reads activity until an entry has this text.
fn action_comes(browser: &mut Browser, what: &str) -> String {
    loop {
        let action = action(&browser.next_named("activity"));
        if action.contains(what) {
            return action;
        }
    }
}

#[test]
fn statistics_come_at_once_and_go_on() {
    let server = server();
    let at = server.address();
    let _other = Browser::open(at, "/topics/news");
    publish(at, "/topics/news", "hello");
    let mut browser = subscribe(&server);
    let seen = browser.next();
    assert_eq!(seen.event, "stats");
    let first = seen.json();
    assert_eq!((&first["streams"], &first["history"]["events"]), (&2.into(), &1.into()), "{first}");
    for name in ["memory_bytes", "threads", "descriptors", "descriptors_max", "uptime_secs", "cpu_percent"] {
        assert!(first[name].is_number(), "{name}: {first}");
    }
    assert!(first["history"]["bytes"].is_number(), "{first}");
    assert!(first["memory_bytes"].as_u64() > Some(1_000_000), "{first}");
    assert!(first["descriptors"].as_u64() < first["descriptors_max"].as_u64(), "{first}");
    // Statistics that are taken while the stream opens count it as behind.
    let mut next = first;
    until("both are sent to straight", || {
        next = browser.next_named("stats").json();
        (&next["streams_straight"], &next["streams_behind"]) == (&2.into(), &0.into())
    });
    for name in ["published_per_sec", "delivered_per_sec", "too_slow"] {
        assert!(next[name].is_u64(), "{name}: {next}");
    }
}

#[test]
fn what_was_answered_is_announced_without_query_and_address() {
    let server = server();
    let at = server.address();
    let mut browser = subscribe(&server);
    assert_eq!(get(at, "/nowhere").status, 404);
    get(at, "/healthz?secret=1");
    let said = action_comes(&mut browser, "healthz");
    let words = said.strip_prefix("Anonymous user: GET /healthz, duration: ").expect("the agreed form");
    words.strip_suffix("ms").and_then(|millis| millis.parse::<f64>().ok()).expect("a duration in ms");
    post(at, "/topics/news", "x");
    // A refused request is not announced, so this is the next entry.
    assert!(action_comes(&mut browser, "").starts_with("Anonymous user: POST /topics/news, "));
    let _stream = Browser::open(at, "/topics/news");
    action_comes(&mut browser, "GET /topics/news");
}

#[test]
fn what_is_announced_is_cut_and_holds_no_control_or_direction_characters() {
    let server = server();
    let at = server.address();
    let mut browser = subscribe(&server);
    for topic in ["\u{202e}gpj", "\u{2066}x", "\u{feff}\u{200b}", &"é".repeat(128)] {
        publish(at, &format!("/topics/{topic}"), "x");
        let said = action_comes(&mut browser, "/topics/");
        assert!(said.chars().all(|char| matches!(char, ' '..='~')), "{said:?}");
        assert!(said.len() < 330, "{said:?}");
    }
}

#[test]
fn a_stream_is_announced_once() {
    let server = server();
    let at = server.address();
    let mut browser = subscribe(&server);
    let stream = Browser::open(at, "/topics/followed");
    action_comes(&mut browser, "/topics/followed");
    drop(stream);
    until("the stream has ended", || server.app().permits.in_use() == 1);
    get(at, "/healthz");
    assert!(action_comes(&mut browser, "").contains("/healthz"), "its end is no second visit");
}

#[test]
fn nobody_learns_a_users_name_or_a_guarded_topic() {
    let server = server_with(|config| config.publish_token = Some("secret".into()));
    let at = server.address();
    let mut browser = subscribe(&server);
    // The stream's own request may be announced before this one.
    get(at, "/healthz");
    action_comes(&mut browser, "GET /healthz");
    // Two connections are answered at the same time, so each is waited for before the next is asked.
    let mut next_is = |wanted: &str| {
        let said = action_comes(&mut browser, "");
        assert!(said.contains(wanted), "{said}");
    };
    let _ann = Browser::open(at, "/sse/ann");
    next_is("GET /sse/{id}, ");
    get(at, "/time/ann");
    next_is("GET /time/{id}, ");
    let with_token = "POST /topics/board HTTP/1.1\r\nAuthorization: Bearer secret";
    assert_eq!(request(at, with_token, "x").status, 200);
    next_is("POST /topics/{topic...}, ");
}

#[test]
fn more_requests_than_are_shown_are_counted() {
    let server = server();
    let at = server.address();
    let mut browser = subscribe(&server);
    let mut missed = false;
    while !missed {
        let mut raw = Raw::connect(at);
        // More requests than are shown have to be answered within one tick, so all are sent in one write.
        raw.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000));
        (0..1_000).for_each(|_| assert_eq!(raw.answer().status, 200));
        get(at, "/sse.html");
        loop {
            let said = action(&browser.next_named("activity"));
            missed |= said.starts_with("… and ") && said.ends_with(" more");
            if said.contains("/sse.html") || missed {
                break;
            }
        }
    }
}

#[test]
fn a_slow_subscriber_loses_some_and_delays_nobody() {
    /// Fewer than are shown of one tick.
    const ASKED_AT_ONCE: usize = 200;
    let server = server();
    let at = server.address();
    let mut slow = Browser::open_on(Raw::over(narrow_socket(at)), "/api/streams", "");
    assert_eq!(slow.next().event, "stats");
    let mut quick = subscribe(&server);
    // Long paths fill the slow subscriber's socket.
    let path = format!("/history/{}", "x".repeat(180));
    let behind = || server.app().hub.survey().behind > 0;
    let mut asked = 0;
    let mut ask = || {
        (0..ASKED_AT_ONCE).for_each(|_| drop(get(at, &path)));
        asked += ASKED_AT_ONCE;
        // The quick subscriber is not delayed.
        get(at, "/sse.html");
        action_comes(&mut quick, "/sse.html");
    };
    until("the slow subscriber is behind", || {
        ask();
        behind()
    });
    // This passes it by.
    ask();
    // The slow subscriber is still connected. When it reads again, it gets the statistics of that moment.
    assert_eq!(server.app().hub.counters().too_slow.load(std::sync::atomic::Ordering::Relaxed), 0);
    let mut seen = 0;
    while behind() {
        seen += usize::from(slow.next().data.contains("/history/"));
    }
    assert!(seen < asked, "it was shown {seen} of {asked}");
    get(at, "/wall.html");
    action_comes(&mut slow, "/wall.html");
}

#[test]
fn the_ticker_runs_only_while_somebody_subscribes() {
    let program = Program::serve(&[]);
    let ticks = || threads_named(&program, "activity");
    let open = || Browser::open(program.address, "/api/streams");
    assert_eq!(ticks(), 0);
    let (mut first, mut second) = (open(), open());
    for browser in [&mut first, &mut second] {
        tick_comes(browser);
    }
    assert_eq!(ticks(), 1, "one for all");
    drop(first);
    tick_comes(&mut second);
    assert_eq!(ticks(), 1);
    drop(second);
    until("the ticker ends", || ticks() == 0);
    let mut third = open();
    tick_comes(&mut third);
    assert_eq!(ticks(), 1);
}

/// Waits for statistics that the ticker sends. The first ones come without it; its thread has its name once it runs.
fn tick_comes(browser: &mut Browser) {
    let first = browser.next_named("stats");
    while browser.next_named("stats") == first {}
}

fn threads_named(program: &Program, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", program.child.id())).expect("the program runs");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.trim() == name).count()
}

#[test]
fn it_can_be_switched_off() {
    let program = Program::serve(&["--no-activity"]);
    let answer = get(program.address, "/api/streams");
    assert_eq!(answer.status, 404);
    assert!(said(&answer).contains("--no-activity"), "{answer:?}");
}
