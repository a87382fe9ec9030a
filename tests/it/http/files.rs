//! The files of the pages: compiled in, or served from a folder and never from outside it.

use crate::support::hostile::exchange;
use crate::support::witness::Witness;
use crate::support::{Answer, Program, Raw, get, request};
use std::fs;
use std::path::PathBuf;

/// A folder with a folder `www` in it, removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("www/sub")).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn serve(&self) -> Program {
        Program::serve(&["--www", self.0.join("www").to_str().unwrap()])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the build's own folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn get_with(program: &Program, path: &str, fields: &str) -> Answer {
    request(program.address, &format!("GET {path} HTTP/1.1\r\n{fields}"), "")
}

#[test]
fn a_page_says_what_it_is_and_loads_nothing_from_elsewhere() {
    let program = Program::serve(&[]);
    let page = get(program.address, "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    assert_eq!(get(program.address, "/index.html").body, page.body);
    let style = get(program.address, "/site.css");
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
}

#[test]
fn no_page_has_an_address_from_the_root_and_each_leads_to_what_is_there() {
    let program = Program::serve(&[]);
    for page in ["index", "sse", "activity", "notifications", "wall", "posts", "check"] {
        for folder in ["/", "/pages/"] {
            let path = if folder == "/" { format!("/{page}.html") } else { format!("/pages/{page}") };
            let answer = get(program.address, &path);
            let html = String::from_utf8(answer.body.clone()).unwrap();
            let links = html.split([' ', '\n']).filter_map(|part| {
                part.strip_prefix("href=\"").or(part.strip_prefix("src=\""))?.split('"').next()
            });
            let announced = answer
                .header("link")
                .unwrap()
                .split(", ")
                .map(|link| link.trim_start_matches('<').split('>').next().unwrap());
            for link in links.chain(announced).filter(|link| !link.starts_with('#') && !link.contains("://"))
            {
                assert!(!link.starts_with('/'), "{path}: {link}");
                let up = if folder == "/" { "" } else { "../" };
                let name = link.strip_prefix(up).unwrap_or_else(|| panic!("{path}: {link}"));
                let name = if name == "." { "" } else { name };
                assert_eq!(get(program.address, &format!("/{name}")).status, 200, "{path}: {link}");
            }
        }
    }
}

#[test]
fn a_folder_adds_its_files_to_those_that_are_compiled_in() {
    let folder = Folder::new("overlay");
    folder.write("www/mine.html", "<p>mine");
    folder.write("www/wall.css", "mine");
    let program = folder.serve();
    assert_eq!(get(program.address, "/mine.html").body, b"<p>mine");
    assert_eq!(get(program.address, "/wall.css").body, b"mine");
    for path in ["/callout.js", "/callout.d.ts", "/wall.html", "/pages/wall"] {
        assert_eq!(get(program.address, path).status, 200, "{path}");
    }
}

#[test]
fn a_browser_that_has_the_file_is_answered_304_without_it() {
    let program = Program::serve(&[]);
    let page = get(program.address, "/");
    let tag = page.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 4, "{tag}");
    for fields in [
        format!("If-None-Match: {tag}"),
        format!("If-None-Match: \"other\", {tag}"),
        format!("If-None-Match: \"other\"\r\nIf-None-Match: {tag}"),
        // RFC 9110, section 13.1.2: the comparison is weak, for a proxy that compresses weakens the tag.
        format!("If-None-Match: W/{tag}"),
        "If-None-Match: *".into(),
    ] {
        let mut raw = Raw::connect(program.address);
        raw.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n"));
        let answer = raw.answer();
        assert_eq!((answer.status, answer.header("etag")), (304, Some(&*tag)), "{fields}: {answer:?}");
        assert!(answer.header("content-length").is_none() && answer.body.is_empty());
        raw.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(raw.answer().status, 200, "nothing stands behind a 304");
    }
    for tag in ["\"other\"", "", &tag.replace('"', "")] {
        assert_eq!(get_with(&program, "/", &format!("If-None-Match: {tag}")).status, 200, "{tag}");
    }
}

#[test]
fn a_folder_is_served_as_it_is_now() {
    let folder = Folder::new("now");
    folder.write("www/index.html", "<p>first");
    folder.write("www/chat.html", "<p>chat");
    folder.write("www/sub/a b.txt", "below");
    let program = folder.serve();
    let first = get(program.address, "/");
    assert_eq!(first.body, b"<p>first");
    let asks = format!("If-None-Match: {}", first.header("etag").expect("a tag"));
    assert_eq!(get_with(&program, "/", &asks).status, 304);
    folder.write("www/index.html", "<p>second");
    let second = get_with(&program, "/", &asks);
    assert_eq!((second.status, second.body), (200, b"<p>second".to_vec()));
    assert_eq!(get(program.address, "/pages/chat").body, b"<p>chat");
    assert_eq!(get(program.address, "/sub/a%20b.txt").body, b"below");
}

#[test]
fn a_file_is_what_its_ending_says_in_whatever_case() {
    let folder = Folder::new("types");
    let program = folder.serve();
    for (name, kind) in [
        ("x.js", "text/javascript; charset=utf-8"),
        ("x.min.mjs", "text/javascript; charset=utf-8"),
        ("X.JS", "text/javascript; charset=utf-8"),
        ("x.css", "text/css; charset=utf-8"),
        ("x.HTML", "text/html; charset=utf-8"),
        ("x.txt", "text/plain; charset=utf-8"),
        ("x.json", "application/json"),
        ("x.js.map", "application/json"),
        ("x.webmanifest", "application/manifest+json"),
        ("x.wasm", "application/wasm"),
        ("x.svg", "image/svg+xml"),
        ("x.png", "image/png"),
        ("x.jpg", "image/jpeg"),
        ("x.JPEG", "image/jpeg"),
        ("x.webp", "image/webp"),
        ("x.ico", "image/x-icon"),
        ("x.woff2", "font/woff2"),
        ("x.mp3", "audio/mpeg"),
        ("x.mp4", "video/mp4"),
        ("x.unheard-of", "application/octet-stream"),
        ("x", "application/octet-stream"),
        ("js", "application/octet-stream"),
    ] {
        folder.write(&format!("www/{name}"), name);
        let answer = get(program.address, &format!("/{name}"));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{name}");
        let has_policy = answer.header("content-security-policy").is_some();
        assert_eq!(has_policy, kind.starts_with("text/html"), "{name}");
    }
}

#[test]
fn a_page_is_the_same_from_a_folder_as_compiled_in() {
    let embedded = Program::serve(&[]);
    let folder = Program::serve(&["--www", concat!(env!("CARGO_MANIFEST_DIR"), "/www")]);
    let pages = [
        "/",
        "/sse.html",
        "/activity.html",
        "/notifications.html",
        "/wall.html",
        "/posts.html",
        "/check.html",
    ];
    for path in pages.into_iter().chain(["/callout.js", "/site.css"]) {
        let (one, other) = (get(embedded.address, path), get(folder.address, path));
        assert_eq!((one.status, &one.body), (200, &other.body), "{path}");
        for name in ["etag", "link", "content-security-policy"] {
            assert_eq!(one.header(name), other.header(name), "{path}: {name}");
        }
    }
    for program in [embedded, folder] {
        assert_eq!(get(program.address, "/template.html").status, 404, "it is no page");
    }
}

#[test]
fn the_pages_of_a_folder_are_put_into_its_template() {
    let folder = Folder::new("template");
    folder.write("www/index.html", "<!doctype html><title>whole</title>");
    folder.write("www/own.html", "<title>own</title>\n\n<main>hello</main>\n");
    let program = folder.serve();
    let own = || String::from_utf8(get(program.address, "/own.html").body).unwrap();
    assert_eq!(own(), "<title>own</title>\n\n<main>hello</main>\n", "there is no template");
    folder
        .write("www/template.html", "<a href=\".\"></a><a href=\"own.html\"></a><!-- head --><!-- main -->");
    let links = "<a href=\".\"></a><a href=\"own.html\" aria-current=\"page\"></a>";
    assert_eq!(own(), format!("{links}<title>own</title><main>hello</main>"));
    let tag = get(program.address, "/own.html").header("etag").map(String::from);
    folder.write("www/template.html", "<p>changed<!-- main -->");
    assert_eq!(own(), "<p>changed<main>hello</main>");
    assert_ne!(get(program.address, "/own.html").header("etag").map(String::from), tag);
    assert_eq!(get(program.address, "/").body, b"<!doctype html><title>whole</title>");
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let folder = Folder::new("outside");
    folder.write("secret", "s3cret");
    folder.write("secret.html", "s3cret");
    folder.write("www/index.html", "<p>hello");
    let program = folder.serve();
    let mut witness = Witness::of_program(&program);
    let absolute = folder.0.join("secret").to_str().unwrap().to_owned();
    let encoded = absolute.replace('/', "%2f");
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/%2E%2e%2fsecret",
        "/..%2fsecret",
        "/sub/../../secret",
        "/sub/%2e%2e/%2e%2e/secret",
        "/./../secret",
        "/.%2e/secret",
        "/%252e%252e/secret",
        "/..%5csecret",
        "/..%00/secret",
        "/pages/../../secret",
        "/pages/..%2fsecret",
        "/pages/..%2f..%2fsecret",
        "/../www/../secret",
        &absolute,
        &format!("/{absolute}"),
        &encoded,
        &format!("/{encoded}"),
        &format!("/pages/{encoded}"),
        &format!("file://{absolute}"),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let everything = exchange(program.address, head);
        let refused = everything.contains("HTTP/1.1 404 ") || everything.contains("HTTP/1.1 400 ");
        assert!(refused && !everything.contains("s3cret"), "{path}: {everything}");
    }
    witness.assert_calm();
}

#[test]
fn what_is_no_file_is_answered_404() {
    let folder = Folder::new("missing");
    folder.write("www/index.html", "<p>hello");
    let long = format!("/{}", "x".repeat(4_000));
    for program in [folder.serve(), Program::serve(&[])] {
        for path in
            ["/sub", "/sub/", "//", "/.", "/index.html/", "/index.html/x", "/a%00b", "/%ff", "/é", &long]
        {
            let answer = get(program.address, path);
            assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        }
    }
}
