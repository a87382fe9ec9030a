//! The documents: their commands do what they show, their code is valid, and their links lead somewhere.
//!
//! | fence | what is checked |
//! |---|---|
//! | `console` | the commands run, against a server on a free port |
//! | `text` | behind a `console` in the same section: what its commands print; elsewhere it is a drawing |
//! | `js`, `html` | node parses the module, and the server has the files that it imports |
//! | `rust` | the document is compiled with the documentation tests |
//! | `nginx`, `caddy`, `haproxy` | the program takes it, where it is installed; the braces match |
//! | `toml` | a configuration file that is right, and the one of the commands behind it |
//! | `ini`, and `toml` of a package | each line is a section or sets something |
//!
//! Any other kind fails.

use crate::support::{Program, get};
use shell::{Folder, Shell};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

mod alike;
mod shell;

/// The address in the documents. The test puts that of its server in its place.
const ADDRESS: &str = "127.0.0.1:8080";

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The documents' paths: those at the root, and those in `docs/`.
fn documents() -> Vec<PathBuf> {
    let folders = [Path::new(ROOT), &Path::new(ROOT).join("docs")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// A block of code between two fences.
struct Block {
    /// Where it begins, for messages.
    place: String,
    kind: String,
    text: String,
    /// The heading above it.
    section: String,
}

/// A document as its headings and blocks, in their order.
fn read(path: &Path) -> (Vec<String>, Vec<Block>) {
    let (mut headings, mut blocks) = (vec![String::new()], Vec::new());
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            let text: String = inside.flat_map(|line| [line, "\n"]).collect();
            let place = format!("{}:{}", path.display(), number + 1);
            let section = headings.last().unwrap().clone();
            blocks.push(Block { place, kind: kind.into(), text, section });
        } else if line.starts_with('#') {
            headings.push(line.trim_start_matches('#').trim().into());
        }
    }
    (headings, blocks)
}

#[test]
fn what_the_documents_show_happens() {
    thread::scope(|scope| {
        for path in documents() {
            scope.spawn(move || check(&path));
        }
    });
}

fn check(path: &Path) {
    let (_, blocks) = read(path);
    if blocks.is_empty() {
        return;
    }
    let shell = Shell::new();
    let mut blocks = blocks.iter().peekable();
    while let Some(block) = blocks.next() {
        match block.kind.as_str() {
            "console" => {
                let printed = shell.run(block);
                match blocks.next_if(|next| next.kind == "text" && next.section == block.section) {
                    Some(shown) => printed.must_be(shown),
                    None => {
                        assert!(!printed.now().contains(r#""error""#), "{}: {}", block.place, printed.now())
                    }
                }
            }
            "text" => {}
            "js" => check_module(&shell, block, &block.text),
            "html" => check_page(&shell, block),
            "rust" => check_is_compiled(path),
            "nginx" | "caddy" | "haproxy" => check_configuration(&shell.folder, block),
            "toml" if !block.text.contains("[dependencies]") => {
                fs::write(shell.folder.0.join("callout.toml"), &block.text).unwrap();
                must_succeed(shell.command("callout check-config callout.toml", shell.server.address), block);
            }
            "ini" | "toml" => {
                let is_known =
                    |line: &str| line.starts_with('[') && line.ends_with(']') || line.contains('=');
                assert!(block.text.lines().all(is_known), "{}", block.place);
            }
            kind => panic!("{}: nothing is known of blocks of the kind `{kind}`", block.place),
        }
    }
}

// ---- code and configurations ----

/// The path of a program, or none where it is not installed.
fn installed(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn must_succeed(mut command: Command, block: &Block) {
    let output = command.output().expect("it is installed");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}: {}", block.place, String::from_utf8_lossy(&said));
}

fn check_module(shell: &Shell, block: &Block, script: &str) {
    for text in script.split('"').filter(|text| text.ends_with(".js")) {
        let path = text.strip_prefix("http://").and_then(|url| url.strip_prefix(ADDRESS)).unwrap_or(text);
        // A page in a folder of one's own is served from where callout's files are.
        let path = path.strip_prefix('.').unwrap_or(path);
        assert_eq!(get(shell.server.address, path).status, 200, "{}: {text}", block.place);
    }
    // CI runs everything, so it needs node.
    let Some(node) = installed("node") else {
        return assert!(std::env::var("CI").as_deref() != Ok("true"), "node is not installed");
    };
    let file = shell.folder.0.join("snippet.mjs");
    fs::write(&file, script).unwrap();
    let mut command = Command::new(node);
    command.arg("--check").arg(file);
    must_succeed(command, block);
}

fn check_page(shell: &Shell, block: &Block) {
    let scripts = block.text.split("<script type=\"module\">").skip(1);
    for script in scripts.map(|rest| rest.split("</script>").next().unwrap_or_default()) {
        check_module(shell, block, script);
    }
}

/// Rust is compiled, and run, by the documentation tests of the library.
fn check_is_compiled(path: &Path) {
    let name = path.strip_prefix(ROOT).expect("documents are here").display();
    let library = fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).unwrap();
    assert!(library.contains(&format!("include_str!(\"../{name}\")")), "{name} is not in src/lib.rs");
}

fn check_configuration(folder: &Folder, block: &Block) {
    let count = |brace: char| block.text.matches(brace).count();
    assert_eq!(count('{'), count('}'), "{}", block.place);
    assert!(block.text.contains(ADDRESS), "{}: it leads to no callout", block.place);
    let Some(program) = installed(&block.kind) else { return };
    let file = folder.0.join(&block.kind);
    // Without it, the program would write where only its service may.
    let own =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path {name};"));
    let (own, site) = (own.concat(), &block.text);
    let nginx = format!("pid pid; error_log stderr; events {{}} http {{ access_log off; {own} {site} }}");
    fs::write(&file, if block.kind == "nginx" { &nginx } else { &block.text }).unwrap();
    let mut command = Command::new(program);
    match block.kind.as_str() {
        "nginx" => command.args(["-t", "-q", "-p"]).arg(&folder.0).arg("-c").arg(file),
        "caddy" => command.args(["validate", "--adapter", "caddyfile", "--config"]).arg(file),
        _ => command.args(["-c", "-f"]).arg(file),
    };
    must_succeed(command, block);
}

// ---- what else a document can be wrong about ----

#[test]
fn the_links_between_documents_lead_somewhere() {
    let server = Program::serve(&[]);
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let place = format!("{}: {target}", path.display());
            if let Some(page) = target.strip_prefix("http://").and_then(|url| url.strip_prefix(ADDRESS)) {
                assert_eq!(get(server.address, page).status, 200, "{place}");
                continue;
            }
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(file.exists(), "{place}");
            if !anchor.is_empty() {
                assert!(read(&file).0.iter().any(|heading| slug(heading) == anchor), "{place}");
            }
        }
    }
}

/// A heading's anchor, as GitHub makes it.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|char| char.is_alphanumeric() || matches!(char, '-' | '_')).collect()
}

#[test]
fn the_table_of_flags_has_each_flag_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_callout")).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let document = fs::read_to_string(Path::new(ROOT).join("docs/running.md")).unwrap();
    let names = |text: &str, start: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(start));
        let name = |line: &str| line.split([' ', '`']).next().unwrap_or_default().to_owned();
        lines.map(name).collect()
    };
    assert_eq!(names(&document, "| `--"), names(&help, "  --"));
}

#[test]
fn each_test_that_the_table_names_exists() {
    let mut sources = String::new();
    let mut folders: Vec<PathBuf> = ["src", "tests"].map(|folder| Path::new(ROOT).join(folder)).into();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let extension = path.extension().and_then(|extension| extension.to_str());
            match extension {
                _ if path.ends_with("node_modules") => {}
                Some("rs" | "mjs") => sources += &fs::read_to_string(path).unwrap(),
                None if path.is_dir() => folders.push(path),
                _ => {}
            }
        }
    }
    let read = |name: &str| fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
    let (document, makefile) = (read("tests/README.md"), read("Makefile"));
    let running = read("docs/running.md");
    let rows = [rows(&document, "What once failed"), rows(&running, "What a crowd can cost")].concat();
    assert!(rows.len() > 60, "{}", rows.len());
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit_once('|').unwrap().1;
        let code = tests.split('`').skip(1).step_by(2);
        let titles = tests.split('“').skip(1).map(|rest| rest.split('”').next().unwrap_or_default());
        assert!(code.clone().count() + titles.clone().count() > 0, "{row}");
        for title in titles {
            assert!(sources.contains(title), "there is no test {title:?}: {row}");
        }
        for name in code {
            let exists = match name.strip_prefix("make ") {
                Some(target) => makefile.contains(&format!("\n{target}: ")),
                None if name.starts_with('.') => Path::new(ROOT).join(name).exists(),
                None => sources.contains(&format!("fn {name}(")),
            };
            assert!(exists, "there is no test {name:?}: {row}");
        }
    }
}

/// The rows of the table in the section with this title, without its head.
fn rows<'a>(document: &'a str, title: &str) -> Vec<&'a str> {
    let section = document.split("\n## ").find(|section| section.starts_with(title)).expect("a section");
    section.lines().filter(|line| line.starts_with("| ")).skip(1).collect()
}
