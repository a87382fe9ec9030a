//! The configuration file: what is wrong with it, what it gives, and the commands that check it and make tokens.

use super::commands::{callout, complaint, output, text, url};
use crate::support::{Program, get, post, request, said, until};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A folder with a `callout.toml`. It goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn with(file: &str) -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("callout-config-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        folder.write("callout.toml", file);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn file(&self) -> String {
        self.0.join("callout.toml").to_str().unwrap().to_owned()
    }

    /// `callout check-config`: its exit code, and what it prints, without the folder's name.
    fn check(&self) -> (Option<i32>, String) {
        let output = output(&["check-config", &self.file()]);
        let folder = format!("{}/", self.0.display());
        (output.status.code(), text(&output.stdout).replace(&folder, ""))
    }

    fn serve(&self, flags: &[&str]) -> Program {
        Program::serve(&[&["--config", &self.file(), "--log", "info"], flags].concat())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn status(program: &Program, head: &str, token: &str) -> u16 {
    request(program.address, &format!("{head} HTTP/1.1\r\nAuthorization: Bearer {token}"), "x").status
}

const SHOP: &str = r#"
[[allow]]
anonymous = true
subscribe = ["news/*"]
pages = ["chat"]

[[allow]]
signed_in = true
subscribe = ["users/{user}/*"]

[[token]]
name = "shop"
secret_file = "shop.token"
publish = ["*"]
subscribe = ["orders/*"]
may = ["history"]
"#;

fn shop() -> Folder {
    let folder = Folder::with(SHOP);
    folder.write("shop.token", "sesame\n");
    folder
}

#[test]
fn all_that_is_wrong_is_said_with_its_place_and_what_would_be_right() {
    let folder = Folder::with(
        r#"lissten = "127.0.0.1:0"
keep-events = 3
no_activity = 1
heartbeat = 1979-05-27
log = ["info"]
config = "other.toml"

[[allow]]
anonymous = true
subscribe = ["größe", "news/{user}x", "$chat", 3]
pages = ["chatt"]
may = ["admin"]

[[allow]]
publish = ["a"]

[[allow]]
signed_in = false

[[token]]
name = "a b"
hash = "sha256:0"

[[token]]
name = "none"
secret_file = "missing"
may = "history"

[[token]]
name = "unset"
env = "CALLOUT_TEST_UNSET"

[[token]]
env = "PATH"
hash = "x"

[tickets]

[[jwt]]
audience = "x"
"#,
    );
    let (code, printed) = folder.check();
    assert_eq!(code, Some(1));
    let missing = folder.0.join("missing");
    let wanted = format!(
        "\
callout.toml:1:1: there is no key `lissten` here; is `listen` meant?
callout.toml:2:1: there is no key `keep-events` here; is `keep_events` meant?
callout.toml:3:15: `no_activity` takes true or false, and this is a value of the kind integer
callout.toml:4:13: `heartbeat` takes a text or a number, as its flag does, and this is a value of the kind datetime
callout.toml:5:7: `log` takes one value, and this is a list
callout.toml:6:1: there is no key `config` here
callout.toml:10:23: `{{user}}` stands alone between slashes, as in `users/{{user}}/*`; this is `news/{{user}}x`
callout.toml:10:39: `$chat` belongs to a page, which rules name: `pages = [\"chat\"]`
callout.toml:10:48: `subscribe` takes a list of texts: `subscribe = [\"…\"]`
callout.toml:11:10: `chatt` is no page that a rule can name: there are chat, wall, posts, notifications, activity, check
callout.toml:12:1: there is no key `may` here
callout.toml:14:1: `[[allow]]` says for whom: `anonymous = true` for everybody, or `signed_in = true` for users and tokens
callout.toml:17:1: `[[allow]]` says for whom: `anonymous = true` for everybody, or `signed_in = true` for users and tokens
callout.toml:18:13: `signed_in` is `true`, or left out: rules only give
callout.toml:22:8: a hash is `sha256:` and 64 hexadecimal digits; `callout token new` prints one
callout.toml:26:15: failed to read `{}`: No such file or directory (os error 2)
callout.toml:27:7: `may` takes a list of texts: `may = [\"…\"]`
callout.toml:31:7: the variable CALLOUT_TEST_UNSET is not set, or is not UTF-8
callout.toml:33:1: a token has a `name`, by which errors and the log call it
callout.toml:33:1: a token has one of `hash` (`callout token new` prints it), `secret_file` and `env`
callout.toml:37:1: `[tickets]` names the files of its keys: `key_files = [\"new.key\", \"old.key\"]`
callout.toml:39:1: `[[jwt]]` has one key: one of hs256_file, es256_file, rs256_file, eddsa_file, jwks
",
        missing.display()
    );
    assert_eq!(
        printed.replace(&format!("{}/", folder.0.display()), ""),
        wanted.replace(&format!("{}/", folder.0.display()), "")
    );

    // A server does not start with it, and says the first.
    let line = complaint(&output(&["serve", "--config", &folder.file()]), 1);
    let (file, first) = (folder.file(), "there is no key `lissten` here; is `listen` meant?");
    assert_eq!(
        line,
        format!("callout: {file}:1:1: {first}; and 21 more, which `callout check-config {file}` lists\n")
    );
}

#[test]
fn a_value_that_its_flag_would_refuse_is_refused_at_its_place() {
    let folder = Folder::with(
        "threads = 2\nkeep = [\"noisy/*=1000\", \"x=bogus\"]\nwww = \"nowhere\"\npublish_token = \"two words\"\n",
    );
    let (code, printed) = folder.check();
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines[0],
        "callout.toml:1:11: `2` is no value for `threads`, which takes a number of threads from 4 to 10000"
    );
    assert!(lines[1].starts_with("callout.toml:2:25: `x=bogus` is no value for `keep`: "), "{printed}");
    assert_eq!(lines[2], "callout.toml:3:7: `nowhere` is no value for `www`, which takes a folder");
    assert!(lines[3].starts_with("callout.toml:4:17: a `publish_token` has one or more"), "{printed}");
    assert!(lines.len() == 4 && !printed.contains("two words"), "{printed}");

    let line = complaint(&output(&["serve", "--config", &folder.file()]), 1);
    assert!(line.contains("callout.toml:1:11: `2` is no value for `threads`"), "{line}");
    for (text, why) in [
        ("listen = ", "callout.toml:1:10: this is no TOML: "),
        ("log = \"info\"\nlog = \"warn\"\n", "callout.toml:2:1: this is no TOML: duplicate key"),
        (
            "[allow]\nanonymous = true\n",
            "callout.toml:1:2: there may be several of these, so it is written `[[allow]]`",
        ),
        ("[[tickets]]\n", "callout.toml:1:1: `tickets` is one table, and is written `[tickets]`"),
    ] {
        let (code, printed) = Folder::with(text).check();
        assert!(code == Some(1) && printed.contains(why), "{text}: {printed}");
    }
    let line = complaint(&output(&["serve", "--config", "/does/not/exist.toml"]), 1);
    assert_eq!(
        line,
        "callout: /does/not/exist.toml: failed to open it: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_file_that_is_right_is_told_as_a_table_of_who_may_do_what() {
    let (code, printed) = shop().check();
    assert_eq!(
        (code, &*printed),
        (
            Some(0),
            "\
callout.toml is right.
Only this machine can reach the server.

who             publish  subscribe       pages  may
everybody       -        news/*          chat   -
signed in       -        users/{user}/*  -      -
the token shop  *        orders/*        -      history

Tokens and users may what everybody may, and what is signed in. What no line gives is refused.
"
        )
    );
    let (code, printed) = Folder::with("listen = \"0.0.0.0:80\"\npublish_token = \"sesame\"\n").check();
    assert_eq!(code, Some(0));
    assert!(
        printed.contains("Others than this machine can reach the server: it listens on 0.0.0.0:80."),
        "{printed}"
    );
    assert!(
        printed
            .contains("\nthe publish token  *        *          all                     history, retract\n"),
        "{printed}"
    );
    assert!(!printed.contains("sesame"), "{printed}");
    let (_, printed) = Folder::with("").check();
    assert!(printed.contains("\neverybody  *        *          all    -\n"), "{printed}");
}

#[test]
fn a_server_lives_by_its_file() {
    let folder = shop();
    folder.write("page.html", "of the folder");
    let text = format!("www = \".\"\nkeep_events = 7\n{SHOP}");
    folder.write("callout.toml", &text);
    let program = folder.serve(&[]);
    let at = program.address;
    assert_eq!(get(at, "/page.html").body, b"of the folder");
    for (head, anonymous, shop) in [
        ("POST /topics/news/1", 401, 200),
        ("POST /topics/orders/1", 401, 200),
        ("POST /notify/ann", 401, 403),
        ("GET /history/orders/1", 401, 200),
        ("GET /history/news/1", 401, 200),
        ("GET /history/other", 401, 403),
        ("DELETE /topics/orders/1", 401, 403),
        ("HEAD /topics/news/1", 200, 200),
        ("HEAD /topics/orders/1", 401, 200),
        ("HEAD /topics/other", 401, 403),
        ("HEAD /sse/ann", 401, 403),
        ("HEAD /sse?user=ann", 200, 200),
        ("HEAD /messages", 401, 403),
        ("POST /messages", 401, 403),
        ("HEAD /api/streams", 401, 403),
        ("GET /api/posts", 401, 403),
        ("HEAD /check/1", 401, 403),
        ("GET /healthz", 200, 200),
    ] {
        assert_eq!(
            (status(&program, head, ""), status(&program, head, "sesame")),
            (anonymous, shop),
            "{head}"
        );
    }
    let refused = request(at, "DELETE /topics/orders/1 HTTP/1.1\r\nAuthorization: Bearer sesame", "");
    assert_eq!(
        said(&refused),
        "the token `shop` may not take events back; a rule with `may = [\"retract\"]` would allow it"
    );
    program.signal("TERM");
    let (code, log) = program.wait();
    assert_eq!(code, Some(0));
    assert!(log.contains("open is what the rules open") && !log.contains("sesame"), "{log}");
}

#[test]
fn a_flag_wins_over_its_variable_and_that_over_the_file() {
    let folder = Folder::with("log = \"error\"\nbody_bytes = 10\nheartbeat = 9\n");
    for (flags, variable, secs) in
        [(&[][..], None, "=9"), (&[], Some("8s"), "=8"), (&["--heartbeat", "7s"], Some("8s"), "=7")]
    {
        let mut command = callout(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(flags).env("CALLOUT_CONFIG", folder.file());
        command.envs(variable.map(|value| ("CALLOUT_HEARTBEAT", value)));
        let program = Program::start(command);
        assert_eq!(post(program.address, "/topics/t", "more than ten").status, 413);
        let mut stream = crate::support::Raw::connect(program.address);
        stream.send("GET /topics/t HTTP/1.0\r\n\r\n");
        stream.head();
        let opening = stream.line();
        assert!(opening.contains(secs), "{opening}");
    }
}

#[test]
fn sighup_reads_the_rules_again_and_a_file_that_is_wrong_leaves_them() {
    let folder = shop();
    let program = folder.serve(&[]);
    let asks = |head: &str| request(program.address, &format!("{head} HTTP/1.1"), "x").status;
    assert_eq!((asks("HEAD /topics/news/1"), asks("HEAD /topics/weather")), (200, 401));
    folder.write("callout.toml", &SHOP.replace("news/*", "weather"));
    program.signal("HUP");
    until("the rules are those of the file", || asks("HEAD /topics/weather") == 200);
    assert_eq!(asks("HEAD /topics/news/1"), 401);
    folder.write("callout.toml", &SHOP.replace("subscribe", "subcsribe"));
    program.signal("HUP");
    // Signals are heard in their order, and this one ends the program.
    program.signal("TERM");
    let (code, log) = program.wait();
    assert_eq!(code, Some(0));
    assert!(
        log.contains("the rules were read again: there are 3; other settings wait for the next start"),
        "{log}"
    );
}

#[test]
fn a_file_that_has_become_empty_opens_nothing() {
    let folder = shop();
    let mut program = folder.serve(&[]);
    folder.write("callout.toml", "");
    program.signal("HUP");
    let mut log = BufReader::new(program.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = log.find(|line| line.contains("read again")).expect("it says so");
    assert!(line.contains("those from before stay: there are none, and without any everybody may"), "{line}");
    assert_eq!(request(program.address, "HEAD /topics/weather HTTP/1.1", "").status, 401);
}

#[test]
fn a_file_that_has_become_wrong_is_named_in_the_log_and_changes_nothing() {
    let folder = shop();
    let mut program = folder.serve(&[]);
    folder.write("callout.toml", &SHOP.replace("subscribe", "subcsribe"));
    program.signal("HUP");
    let mut log = BufReader::new(program.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = log.find(|line| line.contains("read again")).expect("it says so");
    let why = "callout.toml:4:1: there is no key `subcsribe` here; is `subscribe` meant?; and 2 more";
    assert!(
        line.contains("the rules were not read again, and those from before stay: ") && line.contains(why),
        "{line}"
    );
    assert_eq!(request(program.address, "HEAD /topics/news/1 HTTP/1.1", "").status, 200);
    assert_eq!(request(program.address, "HEAD /topics/weather HTTP/1.1", "").status, 401);
}

#[test]
fn a_new_token_is_printed_once_and_the_commands_send_it() {
    let made = output(&[
        "token",
        "new",
        "shop",
        "--publish",
        "orders/*",
        "--subscribe",
        "orders/*",
        "--may",
        "history",
    ]);
    assert_eq!(made.status.code(), Some(0));
    let (secret, rule) = (text(&made.stdout).trim_end(), text(&made.stderr));
    let base64url = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let random = secret.strip_prefix("callout_").expect("it is recognised");
    assert!(random.len() == 43 && random.chars().all(base64url), "{secret}");
    assert!(!rule.contains(random), "{rule}");
    let again = output(&["token", "new", "shop"]);
    assert_ne!(text(&again.stdout).trim_end(), secret);

    let folder = Folder::with(rule);
    let (code, table) = folder.check();
    assert_eq!(code, Some(0), "{table}");
    assert!(table.contains("\nthe token shop  orders/*  orders/*   -      history\n"), "{table}");
    let program = folder.serve(&[]);
    let url = url(program.address);
    let run = |args: &[&str], token: Option<&str>| {
        let mut command = callout(args);
        command.env("CALLOUT_URL", &url).envs(token.map(|token| ("CALLOUT_TOKEN", token)));
        command.stdout(Stdio::piped()).output().unwrap()
    };
    let published = run(&["publish", "orders/1", "hello"], Some(secret));
    assert_eq!(published.status.code(), Some(0), "{}", text(&published.stderr));
    for (args, shown) in [
        (&["listen", "orders/1", "--since", "earliest", "--count", "1"][..], "hello"),
        (&["history", "orders/1"], "hello"),
        (&["history"], "orders/1"),
    ] {
        let answer = run(args, Some(secret));
        assert!(text(&answer.stdout).contains(shown), "{args:?}: {}", text(&answer.stderr));
        let by_flag = run(&[args, &["--token", secret]].concat(), None);
        assert!(text(&by_flag.stdout).contains(shown), "{args:?}: {}", text(&by_flag.stderr));
        let line = complaint(&run(args, None), 1);
        assert!(line.contains("401"), "{args:?}: {line}");
    }
    let older = run(&["publish", "orders/1", "hello", "--publish-token", secret], None);
    assert_eq!(older.status.code(), Some(0));
    let line = complaint(&run(&["publish", "news", "hello"], Some(secret)), 1);
    assert!(line.contains("403") && line.contains("does not cover `news`"), "{line}");
}

#[test]
fn a_token_that_no_file_would_take_is_not_made() {
    for (args, word) in [
        (&["token"][..], "callout token new NAME"),
        (&["token", "old", "shop"], "callout token new NAME"),
        (&["token", "new", "a b"], "the name of a token"),
        (&["token", "new", "shop", "--publish", "$chat"], "pages = [\"chat\"]"),
        (&["token", "new", "shop", "--pages", "chatt"], "`chatt` is no page"),
        (&["token", "new", "shop", "--may", "everything"], "`everything` is no right"),
        (&["check-config"], "needs a FILE"),
    ] {
        let line = complaint(&output(args), 2);
        assert!(line.contains(word), "{args:?}: {line}");
    }
}

#[test]
fn what_the_file_names_is_found_beside_it_whatever_the_folder_of_the_program() {
    let folder = shop();
    folder.write("callout.toml", &format!("data = \"kept\"\n{SHOP}"));
    let mut command = callout(&["serve", "--listen", "127.0.0.1:0", "--config", &folder.file()]);
    command.env_remove("CALLOUT_DATA").current_dir("/").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert!(line.contains("listening"), "{line}");
    assert!(Path::new(&folder.0.join("kept")).is_dir());
}
