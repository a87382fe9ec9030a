//! The outlet alone, with a client on a thread of its own that waits for signals as the program's does: nothing comes to
//! the help of a signal that is lost.

use crate::hub::chunk::{Chunk, Coding};
use crate::hub::outlet::{Batch, End, Next, Outlet, Sent, Signals};
use crate::hub::wire::send_now;
use crate::world::{PATIENCE, connected};
use shuttle::thread;
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

/// The longest batch. Two are more than the socket takes, and all of them less than queues may hold.
const BATCH_BYTES_MAX: usize = 3_800;

/// One round: some batches, of which all bytes come in their order, and then the end.
pub fn round(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut reader, socket) = connected();
    let socket = Arc::new(socket);
    let outlet = Arc::new(Outlet::new(Some(socket.clone()), Coding::Identity, None));
    let client = outlet.clone();
    let client = thread::spawn(move || run(&client, &socket));
    let sizes: Vec<usize> = (0..random.usize(1..6)).map(|_| random.usize(1..BATCH_BYTES_MAX)).collect();
    let wanted: Vec<u8> =
        sizes.iter().enumerate().flat_map(|(number, &bytes)| vec![number as u8; bytes]).collect();
    let hub = thread::spawn(move || {
        for (number, bytes) in sizes.into_iter().enumerate() {
            let all = Chunk::new([&*vec![number as u8; bytes]].into_iter());
            let sent = outlet.send(&Batch { kept: Some(all.clone()), all }, Instant::now());
            assert!(matches!(sent, Sent::Straight | Sent::Queued), "{sent:?}");
            (0..random.u8(0..20)).for_each(|_| thread::yield_now());
        }
        outlet
    });
    let (mut seen, began) = (Vec::new(), Instant::now());
    let mut bytes = [0; 2_000];
    while seen.len() < wanted.len() {
        match reader.read(&mut bytes) {
            Ok(count) => seen.extend_from_slice(&bytes[..count]),
            Err(_) => thread::yield_now(),
        }
        assert!(began.elapsed() < PATIENCE, "stuck: {} of {} bytes have come", seen.len(), wanted.len());
    }
    assert!(seen == wanted, "mixed, lost or twice");
    // With it the client ends, whatever it is about to do.
    hub.join().expect("it has sent all").end(End::Drain { retry_millis: 1 });
    let ended = client.join().expect("it ends");
    assert_eq!(ended, End::Drain { retry_millis: 1 });
}

/// The client's part, from the moment when nothing has to be replayed.
fn run(outlet: &Outlet, socket: &TcpStream) -> End {
    let mut has_written = false;
    loop {
        match outlet.next(std::mem::take(&mut has_written)) {
            Next::Write(mut piece) => {
                while !piece.bytes().is_empty() {
                    piece.skip(send_now(socket, piece.bytes()).expect("the reader is there"));
                    thread::yield_now();
                }
                has_written = true;
            }
            Next::Missed => {}
            Next::Straight => wait(outlet),
            Next::End(end) => return end,
        }
    }
}

/// What `Client::wait` does, in turns and without a heartbeat.
fn wait(outlet: &Outlet) {
    let Some(Signals { queued, gone }) = outlet.attach() else { return };
    let began = Instant::now();
    while queued.try_recv().is_err() && gone.try_recv().is_err() {
        assert!(began.elapsed() < PATIENCE, "stuck: no signal has come");
        thread::yield_now();
    }
    outlet.detach();
}
