//! The way to one browser: straight or by its own thread, and gone when it takes too little.

use crate::support::{Browser, Raw, Seen, joined, narrow_socket, publish, server, server_with, until};
use callout::event::{Event, Frame};
use callout::hub::Dispatch;
use callout::hub::chunk::{Chunk, Coding};
use callout::hub::outlet::{Batch, End, Next, Outlet, QUEUE_BYTES, QUEUE_FRAMES, Sent};
use callout::{Draft, Server, Topic};
use std::io::Read;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Publishes through the library: quicker than over HTTP, and the same from the history on.
fn say(server: &Server, data: String) {
    server.app().history.publish(event(data)).unwrap();
}

/// Broadcasts an ephemeral event.
fn whisper(server: &Server, data: String) {
    let event = event(data);
    let (topics, frame): (_, Frame) = (event.topics().clone(), event.encode(None));
    server.app().hub.broadcast(Dispatch { id: None, topics, frame, count: None });
}

fn event(data: String) -> Event {
    Event::new(Draft { topics: vec![Topic::new("t").unwrap()], data, ..Draft::default() }).unwrap()
}

/// A browser that a server is soon ahead of.
fn narrow_browser(server: &Server) -> Browser {
    Browser::open_on(Raw::over(narrow_socket(server.address())), "/topics/t", "")
}

/// So many bytes that begin with a number.
fn sized(number: usize, bytes: usize) -> String {
    format!("{number} {}", "x".repeat(bytes))
}

fn number(seen: &Seen) -> usize {
    seen.data.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no number: {seen:?}"))
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_the_others_still_receive_and_it_misses_nothing() {
    let server = server();
    let mut stalled = Browser::open(server.address(), "/topics/t");
    let mut others: Vec<Browser> = (0..3).map(|_| Browser::open(server.address(), "/topics/t")).collect();
    let too_slow = || server.app().hub.counters().too_slow.load(Relaxed);
    let mut count = 0;
    while too_slow() == 0 {
        assert!(count < 20_000, "80 MB in its socket, and still not dropped");
        for _ in 0..20 {
            say(&server, sized(count, 4_000));
            count += 1;
        }
        for other in &mut others {
            (count - 20..count).for_each(|wanted| assert_eq!(number(&other.next()), wanted));
        }
    }
    until("the others are left", || server.app().permits.in_use() == 3);
    assert_eq!(too_slow(), 1);

    // What it had been sent is whole, and with the last id of it the rest comes.
    let before = stalled.rest();
    assert!(before.len() < count);
    let mut back = Browser::resume(server.address(), "/topics/t", &stalled.parser.last_event_id);
    let after = (before.len()..count).map(|_| back.next());
    assert!(before.into_iter().chain(after).map(|seen| number(&seen)).eq(0..count));
}

/// A batch of one event that is kept.
fn batch(data_bytes: usize) -> Batch {
    let all = Chunk::new([&*vec![b'x'; data_bytes]].into_iter());
    Batch { kept: Some(all.clone()), all }
}

#[test]
fn a_queue_is_full_at_so_many_frames_or_bytes_and_then_its_visit_is_over() {
    for (bytes, fitting) in [(1, QUEUE_FRAMES - 1), (QUEUE_BYTES / 16, 16), (3 * QUEUE_BYTES, 1)] {
        // Its replay is not over, so whatever comes is queued.
        let outlet = Outlet::new(None, Coding::Identity, None);
        let batch = batch(bytes);
        for _ in 0..fitting {
            assert_eq!(outlet.send(&batch, Instant::now()), Sent::Queued);
        }
        assert_eq!(outlet.send(&batch, Instant::now()), Sent::Closed, "{bytes} bytes");
        assert_eq!(outlet.ended(), Some(End::TooSlow));
    }
}

#[test]
fn a_browser_that_is_behind_misses_nothing_by_a_heartbeat() {
    // Its replay is not over.
    let outlet = Outlet::new(None, Coding::Identity, None);
    assert!(matches!(outlet.next(false), Next::Missed), "the snapshot that opens a stream");
    outlet.heartbeat(Duration::ZERO);
    assert!(matches!(outlet.next(false), Next::Straight), "no other snapshot");
}

#[test]
fn a_stream_that_has_its_end_to_write_waits_for_room() {
    let outlet = Outlet::new(None, Coding::Identity, None);
    assert!(matches!(outlet.next(false), Next::Missed));
    assert!(matches!(outlet.next(false), Next::Straight));
    outlet.end(End::Drain { retry_millis: 1_000 });
    assert!(matches!(outlet.next(false), Next::End(End::Drain { .. })));
    assert!(outlet.is_behind(), "room in its socket is nobody's business");
}

#[test]
fn straight_sends_and_queued_frames_never_mix() {
    const EVENTS: usize = 3_000;
    /// Less than a queue holds and more than a socket, so that the reader is often behind and never
    /// dropped.
    const AHEAD: usize = 60;
    let server = server();
    let Browser { raw, mut parser, .. } = narrow_browser(&server);
    // Sizes that differ, so that the socket is full in the middle of a frame now and then.
    let data = |number: usize| format!("{number} {}", "abcdefgh".repeat(number * 7_919 % 3_000));
    let (seen, seen_by_reader) = mpsc::channel();
    let (permit, permits) = mpsc::channel::<usize>();
    let mut socket = raw.reader.into_inner();
    let whispers = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let (mut wanted, mut permitted, mut whispers) = (0, 0, 0);
            let mut bite = [0; 257];
            while wanted < EVENTS {
                while wanted >= permitted {
                    permitted += permits.recv().expect("the publisher goes on");
                }
                let count = socket.read(&mut bite).expect("an event in time");
                assert!(count > 0, "dropped after {wanted} events");
                for event in bite[..count].iter().filter_map(|&byte| parser.byte(byte)) {
                    if event.data == "only now" {
                        whispers += 1;
                        continue;
                    }
                    assert!(event.data == data(wanted), "event {wanted} is {event:?}");
                    wanted += 1;
                    // The publisher may be done, or have failed.
                    let _ = seen.send(());
                }
            }
            whispers
        });
        let say_next = |number: usize| {
            say(&server, data(number));
            whisper(&server, "only now".into());
        };
        // It reads nothing until the socket is full, and then all of it: in turns while more comes, and
        // before more comes.
        (0..AHEAD).for_each(say_next);
        for said in (AHEAD..EVENTS).step_by(AHEAD) {
            let wait = || seen_by_reader.recv().expect("the reader goes on");
            permit.send(AHEAD).expect("the reader goes on");
            if (said / AHEAD).is_multiple_of(2) {
                (0..AHEAD).for_each(|_| wait());
                (said..said + AHEAD).for_each(say_next);
            } else {
                (said..said + AHEAD).for_each(|number| {
                    wait();
                    say_next(number);
                });
            }
        }
        permit.send(AHEAD).expect("the reader goes on");
        reader.join().expect("every byte in order")
    });
    // An ephemeral event is sent straight, and dropped for a browser that is behind: so both ways
    // were taken, many times.
    assert!((EVENTS / 100..EVENTS * 99 / 100).contains(&whispers), "{whispers} of {EVENTS} went straight");
}

#[test]
fn a_reader_that_stalls_is_hung_up_on_at_the_write_deadline() {
    let server = server_with(|config| config.limits.pace.write_deadline = Duration::from_millis(300));
    let mut stalled = narrow_browser(&server);
    // Less than its queue holds, and more than its socket.
    (0..60).for_each(|number| say(&server, sized(number, 16_000)));
    until("the stalled one is gone", || server.app().permits.in_use() == 0);
    assert!(stalled.rest().len() < 60);
    assert_eq!(server.app().hub.counters().too_slow.load(Relaxed), 1, "it is counted as too slow");
}

#[test]
fn a_reader_that_drips_is_hung_up_on_at_the_write_deadline() {
    let server = server_with(|config| config.limits.pace.write_deadline = Duration::from_millis(500));
    let mut dripping = narrow_browser(&server);
    say(&server, "x".repeat(1_000_000));
    let began = Instant::now();
    while server.app().permits.in_use() > 0 {
        // It may be cut off during a read.
        let _ = dripping.raw.reader.get_mut().read(&mut [0; 1]);
        assert!(began.elapsed() < Duration::from_secs(10), "it was given all the time that it wanted");
        // The slowness itself: 100 bytes a second.
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_reader_that_stalls_is_hung_up_on_although_it_is_only_sent_what_is_true_now() {
    let server = server_with(|config| {
        config.limits.pace.write_deadline = Duration::from_millis(300);
        config.limits.pace.heartbeat = Duration::from_millis(100);
    });
    let _stalled = narrow_browser(&server);
    // It also listens to something that is kept, by which the flood waits for it.
    let mut awake = Browser::open(server.address(), "/topics?topic=t&topic=kept");
    let began = Instant::now();
    let mut count = 0;
    while server.app().permits.in_use() == 2 {
        whisper(&server, sized(count, 40_000));
        publish(server.address(), "/topics/kept?event=kept", "x");
        awake.next_named("kept");
        count += 1;
        // Sooner than the kernel itself gives up on a peer that takes nothing.
        assert!(began.elapsed() < Duration::from_secs(10), "{count} events, and it is still there");
    }
}

#[test]
fn a_heartbeat_comes_after_silence_and_not_while_events_flow() {
    const HEARTBEAT: Duration = Duration::from_millis(200);
    let server = server_with(|config| config.limits.pace.heartbeat = HEARTBEAT);
    let at = server.address();
    let opened = Instant::now();
    let mut quiet = Browser::open(at, "/topics/quiet");
    // Where this machine was busy with something else, there was silence; where for long, several times.
    let mut silences = 0;
    let mut last = Instant::now();
    let mut busy = Browser::open(at, "/topics/t");
    while opened.elapsed() < 6 * HEARTBEAT {
        publish(at, "/topics/t", "x");
        busy.next();
        silences += last.elapsed().div_duration_f64(HEARTBEAT / 2) as usize;
        last = Instant::now();
    }
    let heartbeats = busy.parser.comments - 1;
    assert!(heartbeats <= silences, "{heartbeats} heartbeats in {silences} silences");
    // The other stream has several, and not more than there were such times of silence.
    (0..3).for_each(|_| quiet.next_comment());
    publish(at, "/topics/quiet", "x");
    quiet.next();
    let (heartbeats, most) =
        (quiet.parser.comments - 1, opened.elapsed().div_duration_f64(HEARTBEAT) as usize);
    assert!((3..=most).contains(&heartbeats), "{heartbeats} heartbeats, {most} at most");
}

#[test]
fn an_ephemeral_event_counts_the_browsers_that_it_reached_and_a_kept_one_those_that_will_get_it() {
    let server = server();
    let mut live = Browser::open(server.address(), "/topics/t");
    let _behind = narrow_browser(&server);
    joined(&server, 2);
    // Less than its queue holds, and more than its socket.
    until("it is behind", || {
        say(&server, sized(0, 4_000));
        live.next();
        server.app().hub.survey().behind == 1
    });
    let draft =
        |data: &str| Draft { topics: vec![Topic::new("t").unwrap()], data: data.into(), ..Draft::default() };
    assert_eq!(server.broadcast(draft("now")).unwrap(), 1);
    let (event, reached) = event("kept".into()).counted();
    server.app().history.publish(event).unwrap();
    assert_eq!(server.app().hub.count(&reached), 2);
}
