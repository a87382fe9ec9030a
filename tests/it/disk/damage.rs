//! A file that is damaged, newer, in use or not accessible: one line names it and says what to do, and no empty history
//! takes its place.

use super::{Folder, callout, draft, serve, start};
use crate::support::{Browser, PATIENCE, Program, get, post, publish};
use callout::history::log::{NAME, opener};
use callout::history::{Bounds, Durability, History};
use redb::{Database, TableDefinition};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const EVENTS: usize = 500;

/// What `callout serve` and `callout history` say when they cannot open this folder: one line, code 1.
fn complaints(folder: &Folder) -> [String; 2] {
    let serve = callout(&["serve", "--listen", "127.0.0.1:0", "--data", folder.text()]).output().unwrap();
    let history = callout(&["history", "--directory", folder.text()]).output().unwrap();
    [complaint(&serve), complaint(&history)]
}

fn complaint(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{line}");
    assert!(line.starts_with("callout: ") && line.lines().count() == 1, "one line: {line}");
    assert!(!line.contains("panicked"), "{line}");
    line
}

/// A folder with a history of some events, stopped cleanly.
fn filled() -> Folder {
    let folder = Folder::new();
    let disk = start(opener(folder.path()), Bounds::default(), Durability::Relaxed);
    for number in 0..EVENTS {
        disk.publish(draft(&["t"], None, &format!("{number} {}", "x".repeat(200)))).unwrap();
    }
    disk.close(PATIENCE);
    folder
}

/// The one file of a log that is small.
fn segment(folder: &Folder) -> PathBuf {
    let mut segments = folder.segments();
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments.remove(0)
}

#[test]
fn a_damaged_file_is_named_with_what_to_do_and_left_as_it_is() {
    let folder = filled();
    let file = segment(&folder);
    let whole = fs::read(&file).unwrap();
    let cases = [
        ("empty", Vec::new()),
        ("cut short in its head", whole[..100].to_vec()),
        ("cut short in the middle", whole[..whole.len() / 2].to_vec()),
        ("a page short", whole[..whole.len() - 4096].to_vec()),
        ("garbage", vec![0x5a; whole.len()]),
        ("text", b"not a history\n".to_vec()),
        ("garbage in its head", [&[0x5a; 512], &whole[512..]].concat()),
        ("nothing but zeros", vec![0; whole.len()]),
    ];
    for (case, bytes) in cases {
        fs::write(&file, &bytes).unwrap();
        for line in complaints(&folder) {
            println!("{case}: {line}");
            assert!(line.contains(file.to_str().unwrap()), "{case}: {line}");
            assert!(line.contains("is damaged") && line.contains("move the folder away"), "{case}: {line}");
        }
        assert!(fs::read(&file).unwrap() == bytes, "{case}: the file was changed");
    }
}

#[test]
fn bytes_flipped_anywhere_are_never_a_panic() {
    let folder = filled();
    let file = segment(&folder);
    let (name, whole) = (file.file_name().unwrap(), fs::read(&file).unwrap());
    for _ in 0..12 {
        let mut bytes = whole.clone();
        // Zeros are mostly pages that nothing uses yet.
        let flips = (0..bytes.len()).filter(|&index| bytes[index] != 0).collect::<Vec<_>>();
        for _ in 0..200 {
            bytes[fastrand::choice(&flips).copied().expect("there are some")] ^= fastrand::u8(1..);
        }
        // What a server made of it before is gone.
        folder.segments().iter().for_each(|path| fs::remove_file(path).unwrap());
        fs::write(folder.file().join(name), &bytes).unwrap();
        read(&folder);
        use_it(&folder);
    }
}

/// `callout history` prints every event or says what is wrong.
fn read(folder: &Folder) {
    let output = callout(&["history", "t", "--directory", folder.text()]).output().unwrap();
    match output.status.code() {
        Some(0) => {
            assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
            let events = output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count();
            assert_eq!(events, EVENTS);
        }
        code => {
            let log = String::from_utf8(output.stderr).expect("UTF-8");
            assert_eq!(code, Some(1), "{log}");
            assert!(log.starts_with("callout: ") && log.lines().count() == 1, "one line: {log}");
            assert!(log.contains(folder.file().to_str().unwrap()), "{log}");
        }
    }
}

/// `callout serve` does not start and says why, or serves whatever it can, and never panics.
fn use_it(folder: &Folder) {
    let mut command = callout(&["serve", "--listen", "127.0.0.1:0", "--data", folder.text()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let Some((_, address)) = line.trim().split_once("http://") else {
        let log = complaint(&child.wait_with_output().unwrap());
        assert!(log.contains(NAME), "{log}");
        return;
    };
    let program = Program { child, address: address.parse().unwrap() };
    for answer in [
        get(program.address, "/history"),
        get(program.address, "/history/t"),
        post(program.address, "/topics/t", "new"),
        get(program.address, "/healthz"),
    ] {
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
    }
    program.signal("TERM");
    let (code, log) = program.wait();
    assert!(code == Some(0) && !log.contains("panicked"), "{code:?} {log}");
}

#[test]
fn a_file_of_a_newer_layout_is_refused_and_not_touched() {
    let folder = filled();
    let file = segment(&folder);
    let mut bytes = fs::read(&file).unwrap();
    // The version stands behind the mark.
    bytes[8] = 2;
    fs::write(&file, &bytes).unwrap();
    for line in complaints(&folder) {
        assert!(line.contains("newer") && line.contains(file.to_str().unwrap()), "{line}");
        assert!(line.contains("--data"), "{line}");
    }
    assert!(fs::read(&file).unwrap() == bytes, "it was changed");
}

#[test]
fn a_file_of_an_older_callout_with_other_tables_is_refused_and_not_touched() {
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    let file = folder.path().join("history.redb");
    let database = Database::create(&file).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(TableDefinition::<&str, u64>::new("stock")).unwrap().insert("format", 1).unwrap();
    txn.commit().unwrap();
    drop(database);
    let before = fs::read(&file).unwrap();
    for line in complaints(&folder) {
        assert!(line.contains("older callout") && line.contains("move it away"), "{line}");
        assert!(line.contains(file.to_str().unwrap()), "{line}");
    }
    assert!(fs::read(&file).unwrap() == before, "it was changed");
}

#[test]
fn a_directory_in_use_is_one_clear_line() {
    let folder = Folder::new();
    let program = serve(&folder, &[]);
    for line in complaints(&folder) {
        assert!(line.contains(folder.text()) && line.contains("in use"), "{line}");
    }
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));
    serve(&folder, &[]);
}

#[test]
fn a_directory_that_cannot_be_made_or_written_is_one_clear_line() {
    let folder = Folder::new();
    fs::write(folder.path(), "a file where a folder should be").unwrap();
    let [line, _] = complaints(&folder);
    assert!(line.contains(folder.text()), "{line}");
    fs::remove_file(folder.path()).unwrap();

    let folder = filled();
    let file = segment(&folder);
    // The superuser may write to any file, except to one that is immutable.
    let immutable =
        |flag: &str| Command::new("chattr").arg(flag).arg(&file).output().is_ok_and(|o| o.status.success());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    if !immutable("+i") {
        println!("skipped in part: nothing can be made immutable here");
        return;
    }
    let serve = callout(&["serve", "--listen", "127.0.0.1:0", "--data", folder.text()]).output().unwrap();
    let history = callout(&["history", "--directory", folder.text()]).output().unwrap();
    assert!(immutable("-i"));
    let line = complaint(&serve);
    assert!(history.status.success(), "reading needs no right to write");
    assert!(line.contains(file.to_str().unwrap()), "{line}");
}

#[test]
fn what_was_acknowledged_is_never_cut_off_silently_after_a_kill() {
    let folder = Folder::new();
    let program = serve(&folder, &["--keep-bytes", "1MB"]);
    let ids: Vec<String> = (0..200)
        .map(|number| publish(program.address, "/topics/t", format!("{number} {}", "x".repeat(900))))
        .collect();
    program.signal("KILL");
    program.wait();
    let segments = folder.segments();
    let (last, missing) = (segments.last().unwrap(), &segments[0]);
    assert!(segments.len() > 2 && last.extension().is_some_and(|kind| kind == "open"), "{segments:?}");
    let refused = |file: &PathBuf| {
        for line in complaints(&folder) {
            assert!(line.contains(file.to_str().unwrap()) && line.contains("is damaged"), "{line}");
        }
    };
    // A commit before the last one, in the part that is being written.
    let whole = fs::read(last).unwrap();
    let written = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut bytes = whole.clone();
    bytes[written - 3_000] ^= 1;
    fs::write(last, &bytes).unwrap();
    refused(last);
    // The last commit itself may be one that was being written.
    bytes = whole.clone();
    bytes[written] ^= 1;
    fs::write(last, &bytes).unwrap();
    let events = callout(&["history", "t", "--directory", folder.text()]).output().unwrap();
    assert_eq!(String::from_utf8(events.stdout).unwrap().lines().count(), ids.len() - 1);
    fs::write(last, &whole).unwrap();
    // A part that is missing.
    let away = folder.path().join("away");
    fs::rename(missing, &away).unwrap();
    refused(missing);
    fs::rename(&away, missing).unwrap();
    let program = serve(&folder, &[]);
    assert_eq!(Browser::resume(program.address, "/topics/t", &ids[198]).next().id, ids[199]);
}
