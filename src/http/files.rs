//! The files under `www/`: compiled in, or read from a directory while one works on them.

use super::{Request, Response};
use crate::error::Error;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK};
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Name and content of every file under `www/`, written by the build script.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/www.rs"));

/// A page may load what this server serves and nothing else.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// How the tags begin whose files a page needs, up to the file's path, and what kind each is. Modules are
/// fetched as if from another site, hence `crossorigin`.
const PRELOADED: &[(&str, &str)] = &[
    ("link rel=\"stylesheet\" href=\"", "as=style"),
    ("link rel=\"modulepreload\" href=\"", "as=script; crossorigin"),
    ("script type=\"module\" src=\"", "as=script; crossorigin"),
];

/// Where files come from.
pub enum Files {
    /// The binary itself.
    Embedded,
    /// A directory, read anew for each request.
    Directory(PathBuf),
}

/// A file's bytes and the tag by which a browser knows whether it has them already.
pub struct File {
    bytes: Cow<'static, [u8]>,
    tag: String,
}

impl Files {
    /// Answers with the file of this name (`sse.html`), or 304 if the browser has it.
    /// [`Error::NotFound`] if there is none.
    pub fn answer(&self, request: &Request, name: &str) -> Result<Response, Error> {
        Ok(self.open(name)?.answer(request, name))
    }

    fn open(&self, name: &str) -> Result<File, Error> {
        let missing = || Error::NotFound(format!("there is no `/{name}` here"));
        match self {
            Files::Embedded => {
                let embedded = EMBEDDED.iter().find(|(embedded, _)| *embedded == name);
                embedded.map(|&(_, bytes)| File::new(bytes.into())).ok_or_else(missing)
            }
            Files::Directory(directory) => {
                // Only names that lead down: nothing outside the directory is to be had.
                let leads_down =
                    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
                if !leads_down {
                    return Err(missing());
                }
                match std::fs::read(directory.join(name)) {
                    Ok(bytes) => Ok(File::new(bytes.into())),
                    Err(error) if is_no_file(error.kind()) => Err(missing()),
                    Err(error) => Err(Error::Internal(format!("failed to read `{name}`: {error}"))),
                }
            }
        }
    }
}

impl File {
    /// A file of these bytes.
    pub fn new(bytes: Cow<'static, [u8]>) -> File {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        File { tag: format!("\"{:016x}\"", hasher.finish()), bytes }
    }

    /// Answers with the file, of the kind that its name says, or 304 if the browser has it.
    pub fn answer(self, request: &Request, name: &str) -> Response {
        // Tags are compared weakly (RFC 9110, section 13.1.2): a proxy that compresses weakens them.
        let weak_tag = format!("W/{}", self.tag);
        let has_it = [&self.tag, &weak_tag, "*"].iter().any(|tag| request.header_has(IF_NONE_MATCH, tag));
        let preloads = name.ends_with(".html").then(|| preloads(&self.bytes));
        let response = if has_it {
            Response::empty(StatusCode::NOT_MODIFIED)
        } else {
            Response { body: self.bytes, ..Response::empty(StatusCode::OK) }
        };
        let response = response
            .with(CONTENT_TYPE, content_type(name))
            .with(ETAG, self.tag)
            // Asking each time costs one small answer and never shows an old page.
            .with(CACHE_CONTROL, "no-cache");
        match preloads {
            Some(links) => response.with(CONTENT_SECURITY_POLICY, POLICY).with(LINK, links),
            None => response,
        }
    }
}

/// What a page needs, as a `Link` header: its head's style sheets and modules. A browser, or a proxy with
/// 103 Early Hints, fetches them before it has read the page.
fn preloads(html: &[u8]) -> String {
    let html = String::from_utf8_lossy(html);
    let head = html.split("</head>").next().unwrap_or_default();
    let links = head.split('<').filter_map(|tag| {
        let (rest, kind) =
            PRELOADED.iter().find_map(|(begin, kind)| Some((tag.strip_prefix(begin)?, kind)))?;
        let (path, _) = rest.split_once('"')?;
        Some(format!("<{path}>; rel=preload; {kind}"))
    });
    links.collect::<Vec<_>>().join(", ")
}

/// What the system says to a name that no file has, or could have.
fn is_no_file(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound};
    matches!(kind, NotFound | IsADirectory | NotADirectory | InvalidInput | InvalidFilename)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ico") => "image/x-icon",
        Some("png") => "image/png",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}
