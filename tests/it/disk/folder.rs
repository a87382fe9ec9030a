//! The folder and its files: who may read them, what is no file, and what goes away under a running server.

use super::seeing::history;
use super::{Folder, callout, serve};
use crate::support::{Browser, Program, get, post, publish, said, until};
use callout::history::log::NAME;
use callout::posts::store::embedded;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Creates a post.
fn create(program: &Program) -> u16 {
    let body = json!({ "title": "t", "content": "#go", "author": "a" }).to_string();
    post(program.address, "/api/posts", body).status
}

#[test]
fn what_is_kept_can_be_read_by_the_servers_user_alone_and_a_folder_that_is_there_stays_as_it_is() {
    let folder = Folder::new();
    let program = serve(&folder, &[]);
    assert_eq!((publish(program.address, "/topics/t", "x").len(), create(&program)), (16, 201));
    assert_eq!(mode(&folder.path()), 0o700);
    assert_eq!((mode(&folder.file()), mode(&folder.path().join(embedded::NAME))), (0o700, 0o600));
    for file in fs::read_dir(folder.file()).unwrap().map(|entry| entry.unwrap().path()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    drop(program);
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = serve(&folder, &[]);
    publish(program.address, "/topics/t", "x");
    assert_eq!((mode(&folder.path()), mode(&folder.file())), (0o755, 0o700));
}

#[test]
fn a_link_that_leads_to_nothing_is_refused_by_name_and_left_as_it_is() {
    let folder = Folder::new();
    let refused = |link: &Path| {
        let output =
            callout(&["serve", "--listen", "127.0.0.1:0", "--data", folder.text()]).output().unwrap();
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
        assert!(line.contains(link.to_str().unwrap()) && line.contains("/not/mounted"), "{line}");
        assert!(link.is_symlink() && !link.exists());
    };
    symlink("/not/mounted", folder.path()).unwrap();
    refused(&folder.path());
    fs::remove_file(folder.path()).unwrap();
    fs::create_dir(folder.path()).unwrap();
    for name in [NAME, embedded::NAME] {
        let link = folder.path().join(name);
        symlink("/not/mounted/file", &link).unwrap();
        refused(&link);
        fs::remove_file(link).unwrap();
    }
    publish(serve(&folder, &[]).address, "/topics/t", "x");
}

#[test]
fn a_folder_that_is_removed_under_a_server_is_noticed_before_the_next_acknowledgment_and_when_it_is_back() {
    for durability in ["strict", "relaxed"] {
        let folder = Folder::new();
        let program = serve(&folder, &["--durability", durability]);
        let at = program.address;
        let first = publish(at, "/topics/t", "before");
        assert_eq!(create(&program), 201);
        let mut witness = Browser::open(at, "/topics/t");
        // Away, and as it was when it is back.
        let away = folder.path().with_extension("away");
        fs::rename(folder.path(), &away).unwrap();
        let refused = post(at, "/topics/t", "refused");
        assert_eq!((refused.status, create(&program)), (503, 503), "{durability}");
        let reason = said(&refused);
        assert!(reason.contains(folder.file().to_str().unwrap()) && reason.contains("removed"), "{reason}");
        assert!(get(at, "/healthz").json()["history"]["failure"].is_string());
        assert!(!folder.path().exists(), "it is not made again");
        fs::rename(&away, folder.path()).unwrap();
        until("it is kept again", || post(at, "/topics/t", "after").status == 200);
        until("posts are kept again", || create(&program) == 201);
        assert_eq!(witness.next().data, "after");
        assert_eq!(Browser::resume(at, "/topics/t", &first).next().data, "after");

        // Away for good.
        fs::remove_dir_all(folder.path()).unwrap();
        for _ in 0..3 {
            assert_eq!((post(at, "/topics/t", "lost").status, create(&program)), (503, 503), "{durability}");
        }
        assert!(!folder.path().exists(), "it is not made again");
        program.signal("TERM");
        let (code, log) = program.wait();
        assert!(code == Some(0) && log.contains("removed"), "{log}");
    }
}

#[test]
fn a_copy_that_is_made_while_the_server_writes_can_be_read_and_gone_on_with() {
    let folder = Folder::new();
    let program = serve(&folder, &["--keep-bytes", "2MB"]);
    let at = program.address;
    let (acknowledged, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let (acknowledged, stop) = (&acknowledged, &stop);
        scope.spawn(move || {
            for number in 0.. {
                if stop.load(Relaxed) {
                    break;
                }
                publish(at, "/topics/t", format!("{number} {}", "x".repeat(900)));
                acknowledged.store(number, Relaxed);
            }
        });
        for round in 1..=5 {
            until("it goes on", || acknowledged.load(Relaxed) >= 40 * round);
            let (copy, before) = (Folder::new(), acknowledged.load(Relaxed));
            let copied = Command::new("cp").args(["-a", folder.text(), copy.text()]).output().unwrap();
            assert!(copied.status.success(), "{copied:?}");
            let events = history(&["t", "--directory", copy.text()]);
            let number = |event: &Value| {
                event["data"].as_str().unwrap().split(' ').next().unwrap().parse::<usize>().unwrap()
            };
            let numbers: Vec<usize> = events.iter().map(number).collect();
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
            assert!(numbers.last() >= Some(&before), "all that was acknowledged before is there");
            let program = serve(&copy, &[]);
            publish(program.address, "/topics/t", "next");
        }
        stop.store(true, Relaxed);
    });
}

#[test]
fn a_folder_is_read_after_a_kill_and_nothing_in_it_is_changed() {
    let folder = Folder::new();
    let program = serve(&folder, &["--durability", "relaxed"]);
    (0..20).for_each(|number| _ = publish(program.address, "/topics/t", number.to_string()));
    program.signal("KILL");
    program.wait();
    let files = || {
        let segments = folder.segments().into_iter();
        segments.map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = files();
    // Also where nothing can be written.
    let mount = |args: &[&str]| Command::new("mount").args(args).output().is_ok_and(|o| o.status.success());
    let is_mounted = mount(&["--bind", folder.text(), folder.text()]);
    let is_read_only = is_mounted && mount(&["-o", "remount,bind,ro", folder.text()]);
    let events = history(&["t", "--directory", folder.text()]);
    if is_mounted {
        Command::new("umount").arg(folder.text()).output().unwrap();
    }
    println!("read-only: {is_read_only}");
    assert_eq!(events.len(), 20, "a kill loses nothing");
    assert!(files() == before);
}
