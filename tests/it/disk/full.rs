//! The real program on a disk that is full, and on one whose syncs fail.

use super::{Folder, serve};
use crate::support::strace::{has_strace, under_strace};
use crate::support::{Browser, Program, get, post, publish, said, until};
use std::fs;
use std::process::Command;

/// The size of the disk that gets full, and of the events that fill it.
const DISK_BYTES: usize = 8 * 1024 * 1024;
const EVENT_BYTES: usize = 60_000;

/// A folder with a small disk of its own, for as long as the test runs.
struct SmallDisk(Folder);

impl SmallDisk {
    /// None where the test may not mount a file system. Where CI runs everything that is a failure.
    fn mount() -> Option<SmallDisk> {
        let folder = Folder::new();
        fs::create_dir(folder.path()).unwrap();
        let size = format!("size={DISK_BYTES}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "callout-test", folder.text()]);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(folder));
        }
        assert!(std::env::var("CI").as_deref() != Ok("true"), "a tmpfs cannot be mounted");
        println!("skipped: a tmpfs cannot be mounted");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since a program that is about to end may still use it.
        let _ = Command::new("umount").args(["-l", self.0.text()]).status();
    }
}

/// All events that are kept on `t`, by the first word of their data.
fn kept(program: &Program) -> Vec<String> {
    let path = "/topics/t?last_event_id=earliest";
    let mut browser = Browser::open(program.address, path);
    let end = post(program.address, "/topics/t", "end").json()["id"].clone();
    let events = std::iter::from_fn(|| Some(browser.next()).filter(|seen| end != *seen.id));
    events.map(|seen| seen.data.split(' ').next().unwrap().to_owned()).filter(|data| data != "end").collect()
}

fn failure(program: &Program) -> Option<String> {
    get(program.address, "/healthz").json()["history"]["failure"].as_str().map(str::to_owned)
}

#[test]
fn a_full_disk_refuses_publishing_and_nothing_else_until_there_is_room() {
    check_full_disk("strict");
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged_before_it_was_synced() {
    check_full_disk("relaxed");
}

fn check_full_disk(durability: &str) {
    let Some(disk) = SmallDisk::mount() else { return };
    let flags = ["--ephemeral", "cursors/*", "--heartbeat", "10ms", "--durability", durability];
    let program = serve(&disk.0, &flags);
    let mut witness = Browser::open(program.address, "/topics?topic=t&topic=cursors/1");
    let filler = disk.0.path().join("filler");
    fs::write(&filler, vec![0; DISK_BYTES / 4]).unwrap();
    let mut acknowledged = Vec::new();
    let refusal = loop {
        let number = acknowledged.len().to_string();
        let answer = post(program.address, "/topics/t", format!("{number} {}", "x".repeat(EVENT_BYTES)));
        if answer.status != 200 {
            break answer;
        }
        assert!(acknowledged.len() < DISK_BYTES / EVENT_BYTES, "the disk is never full");
        assert!(witness.next().data.starts_with(&number));
        acknowledged.push(number);
    };
    let reason = said(&refusal);
    assert!(refusal.status == 503 && reason.contains("No space left"), "{reason}");
    let large = || post(program.address, "/topics/t", "x".repeat(EVENT_BYTES)).status;
    assert_eq!([large(), large()], [503, 503]);

    let mut newcomer = Browser::open(program.address, "/topics/cursors/1");
    newcomer.next_comment();
    witness.next_comment();
    assert_eq!(post(program.address, "/topics/cursors/1", "here").json()["id"], serde_json::Value::Null);
    assert_eq!([newcomer.next().data, witness.next().data], ["here", "here"]);

    fs::remove_file(&filler).unwrap();
    until("publishing goes on", || post(program.address, "/topics/t", "again").status == 200);
    acknowledged.push("again".into());
    assert_eq!((witness.next().data, failure(&program)), ("again".into(), None));
    assert_eq!(kept(&program), acknowledged);
    program.signal(if durability == "strict" { "TERM" } else { "KILL" });
    let (code, log) = program.wait();
    assert!(code == Some(0).filter(|_| durability == "strict") && log.contains("No space left"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(kept(&serve(&disk.0, &[])), acknowledged);
}

#[test]
fn a_server_starts_on_a_full_disk_reads_and_streams_and_writes_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let program = serve(&disk.0, &[]);
    let first = publish(program.address, "/topics/t", "first");
    publish(program.address, "/topics/t", "second");
    let create = |program: &Program| {
        let body = r##"{"title":"t","content":"#go","author":"a"}"##;
        post(program.address, "/api/posts", body).status
    };
    // The posts have a file, and nothing in it.
    assert_eq!(get(program.address, "/api/feeds").status, 200);
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));
    let filler = disk.0.path().join("filler");
    // The last write finds no room.
    fs::write(&filler, vec![0; 2 * DISK_BYTES]).expect_err("it is full");
    let program = serve(&disk.0, &["--ephemeral", "cursors/*"]);
    let at = program.address;
    let mut live = Browser::open(at, "/topics?topic=t&topic=cursors/1");
    assert_eq!(Browser::resume(at, "/topics/t", &first).next().data, "second");
    assert_eq!(get(at, "/api/posts").json()["posts"].as_array().map(Vec::len), Some(0));
    assert_eq!((get(at, "/api/feeds").status, get(at, "/history/t").status), (200, 200));
    for refused in [post(at, "/topics/t", "x".repeat(EVENT_BYTES)).status, create(&program)] {
        assert_eq!(refused, 503);
    }
    assert_eq!(post(at, "/topics/cursors/1", "here").status, 200);
    fs::remove_file(&filler).unwrap();
    until("publishing goes on", || post(at, "/topics/t", "again").status == 200);
    until("posts go on", || create(&program) == 201);
    let mut came = std::iter::from_fn(|| Some(live.next().data));
    assert!(came.any(|data| data == "again"));
    assert_eq!(failure(&program), None);
}

#[test]
fn syncs_that_fail_refuse_publishing_until_they_work_again() {
    if !has_strace() {
        return;
    }
    let folder = Folder::new();
    // strace counts the syncs of each thread. A start takes fewer than these, so some events are published first.
    let inject = "inject=fsync,fdatasync:error=EIO:when=15..20";
    let options = ["-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject];
    let program = under_strace(&options, &["--data", folder.text()]);
    let mut witness = Browser::open(program.address, "/topics/t");
    let mut acknowledged: Vec<String> = Vec::new();
    let mut refusals = 0;
    until("it has failed and works again", || {
        let data = format!("{}-{refusals}", acknowledged.len());
        let answer = post(program.address, "/topics/t", &data);
        if answer.status == 200 {
            assert_eq!(witness.next().data, data);
            acknowledged.push(data);
        } else {
            let reason = said(&answer);
            assert!(answer.status == 503 && reason.contains("Input/output error"), "{reason}");
            assert_eq!(get(program.address, "/healthz").status, 200);
            refusals += 1;
        }
        refusals > 0 && answer.status == 200
    });
    assert_eq!(kept(&program), acknowledged);
    program.signal("KILL");
    program.wait();
    assert_eq!(kept(&serve(&folder, &[])), acknowledged);
}
