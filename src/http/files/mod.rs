//! The files under `www/`, which are compiled in, and those of a folder, which come first.
//!
//! The links of a page are relative, so that a proxy may put callout under any path.

mod content_type;
mod html;

use super::unread::Waiting;
use super::{Request, Response, printable, template};
use crate::error::Error;
use content_type::{content_type, is_page};
use html::{lifted, preloads, without_page};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Name and content of every file under `www/`, each page in the template, written by the build script.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/www.rs"));

/// A page may load what this server serves and nothing else.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What to do where a path is no route and no file.
const NO_ROUTE: &str = "check the path: topics are at `/topics/NAME`, pages and files at `/`";

/// The files under `www/`, some of them hidden.
pub struct Files {
    embedded: HashMap<&'static str, File>,
    /// A folder whose files come first, read anew for each request.
    folder: Option<PathBuf>,
    /// The pages that are switched off.
    hidden: Vec<String>,
}

/// A file's bytes and the tag by which a browser knows whether it has them already.
///
/// ```
/// use callout::{Answer, File, get};
///
/// let page = get("/poll.html", |_app, request| {
///     let file = File::new(b"<!doctype html><title>A poll</title>".as_slice().into());
///     Ok(Answer::Full(file.answer(request, "poll.html")))
/// });
/// ```
pub struct File {
    bytes: Cow<'static, [u8]>,
    tag: String,
}

impl Files {
    /// The files that are compiled in, and before them those of this folder. `hidden` names demo pages that are switched off
    /// (`chat`, `activity`, `notifications`, `wall`, `posts`): there are no files of theirs, and what leads to them
    /// is left out of the other pages.
    pub fn new(folder: Option<PathBuf>, hidden: &[&str]) -> Files {
        let hidden: Vec<String> = hidden.iter().map(|&page| page.into()).collect();
        let embedded =
            EMBEDDED.iter().map(|&(name, bytes)| (name, File::new(shown(name, bytes.into(), &hidden))));
        Files { embedded: embedded.collect(), folder, hidden }
    }

    /// Answers with the file of this name (`sse.html`), or 304 if the browser has it.
    /// [`Error::not_found`] if there is none.
    pub fn answer(&self, request: &Request, name: &str) -> Result<Response, Error> {
        let missing =
            || Error::not_found(format!("there is no `{}` here", printable(request.path()))).hint(NO_ROUTE);
        if self.hidden.iter().any(|page| page == page_of(name)) {
            return Err(missing());
        }
        let own = self.folder.as_deref().map(|folder| read_page(folder, name)).transpose()?.flatten();
        // Held until the answer is made; then it counts as one.
        let (own, _waiting) = own.unzip();
        let own = own.map(|bytes| File::new(shown(name, bytes.into(), &self.hidden)));
        let file = own.as_ref().or_else(|| self.embedded.get(name)).ok_or_else(missing)?;
        // `/pages/wall` is `wall.html`, whose links lead from one folder further up.
        let depth = |path: &str| path.matches('/').count();
        match depth(request.path()).saturating_sub(1 + depth(name)) {
            0 => Ok(file.answer(request, name)),
            levels => Ok(File::new(lifted(&file.bytes, levels)).answer(request, name)),
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

    /// Answers with the file, of the kind that its name says, or 304 if the browser has it (RFC 9110, section 13.1.2).
    /// A page (`.html`) comes with a policy that lets it load only what this server serves.
    pub fn answer(&self, request: &Request, name: &str) -> Response {
        // Tags are compared weakly (RFC 9110, section 13.1.2): a proxy that compresses weakens them.
        let weak_tag = format!("W/{}", self.tag);
        let has_it = [&self.tag, &weak_tag, "*"].iter().any(|tag| request.header_has(IF_NONE_MATCH, tag));
        let preloads = is_page(name).then(|| preloads(&self.bytes));
        let response = if has_it {
            Response::empty(StatusCode::NOT_MODIFIED)
        } else {
            Response { body: self.bytes.clone(), ..Response::empty(StatusCode::OK) }
        };
        let response = response
            .with(CONTENT_TYPE, content_type(name))
            .with(ETAG, self.tag.clone())
            // Asking each time costs one small answer and never shows an old page.
            .with(CACHE_CONTROL, "no-cache");
        match preloads {
            Some(links) => response.with(CONTENT_SECURITY_POLICY, POLICY).with(LINK, links),
            None => response,
        }
    }
}

/// The page that a file belongs to: `posts.css` and `posts-feed.js` belong to `posts`. The chat's is `sse.html`.
fn page_of(name: &str) -> &str {
    match name.split(['.', '-']).next() {
        Some("sse") => "chat",
        stem => stem.unwrap_or_default(),
    }
}

/// The file as it is served: HTML without what leads to hidden pages.
fn shown(name: &str, bytes: Cow<'static, [u8]>, hidden: &[String]) -> Cow<'static, [u8]> {
    match std::str::from_utf8(&bytes) {
        Ok(html) if is_page(name) && !hidden.is_empty() => {
            hidden.iter().fold(html.to_owned(), |html, page| without_page(html, page)).into_bytes().into()
        }
        _ => bytes,
    }
}

/// Reads a file of the folder, a page in the folder's template if it has one. None if there is no such file.
fn read_page(folder: &Path, name: &str) -> Result<Option<(Vec<u8>, Waiting)>, Error> {
    let own = match name {
        template::NAME => None,
        _ => read(folder, name)?,
    };
    let (true, Some((bytes, _))) = (is_page(name), &own) else { return Ok(own) };
    let Some((template, waiting)) = read(folder, template::NAME)? else { return Ok(own) };
    let (template, page) = (String::from_utf8_lossy(&template), String::from_utf8_lossy(bytes));
    let rendered = template::render(&template, name, &page);
    Ok(rendered.map(|page| (page.into_bytes(), waiting)).or(own))
}

/// Reads a file, where all files that are read at this moment leave room for it.
fn read(folder: &Path, name: &str) -> Result<Option<(Vec<u8>, Waiting)>, Error> {
    // Only names that lead down: nothing outside the folder is to be had.
    let leads_down = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !leads_down {
        return Ok(None);
    }
    let path = folder.join(name);
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    let waiting = Waiting::hold(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some((bytes, waiting))),
        Err(error) if is_no_file(error.kind()) => Ok(None),
        Err(error) => Err(Error::internal(format!("failed to read {name:?}: {error}"))),
    }
}

/// Whether this is an error for a name that no file has, or that no file can have.
fn is_no_file(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound};
    matches!(kind, NotFound | IsADirectory | NotADirectory | InvalidInput | InvalidFilename)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [&str; 5] = ["chat", "activity", "notifications", "wall", "posts"];

    fn html(files: &Files, name: &str) -> String {
        String::from_utf8(files.embedded[name].bytes.to_vec()).expect("it is text")
    }

    #[test]
    fn every_page_is_in_the_template_and_its_own_link_is_the_current_one() {
        let files = Files::new(None, &[]);
        for page in ["index", "sse", "activity", "notifications", "wall", "posts", "check"] {
            let html = html(&files, &format!("{page}.html"));
            assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"), "{html}");
            assert_eq!((html.matches("<title>").count(), html.matches("<main").count()), (1, 1), "{html}");
            let path = if page == "index" { ".".into() } else { format!("{page}.html") };
            let current = format!("href=\"{path}\" aria-current=\"page\"");
            assert_eq!(
                (html.matches(&current).count(), html.matches("aria-current").count()),
                (1, 1),
                "{html}"
            );
        }
    }

    #[test]
    fn nothing_leads_to_a_hidden_page() {
        for hidden in PAGES {
            let files = Files::new(None, &[hidden]);
            for page in PAGES.iter().filter(|page| **page != hidden) {
                let html = html(&files, "index.html");
                let path = if *page == "chat" { "\"sse.html".into() } else { format!("\"{page}.html") };
                assert!(html.contains(&path), "{path} is gone with {hidden}");
            }
            let path = if hidden == "chat" { "\"sse.html".into() } else { format!("\"{hidden}.html") };
            for name in ["index.html", "check.html"] {
                assert!(!html(&files, name).contains(&path), "{name} leads to {path}");
            }
        }
        let html = html(&Files::new(None, &PAGES), "index.html");
        assert!(
            html.contains("\"check.html") && html.contains("</ul>") && !html.contains("data-page"),
            "{html}"
        );
    }

    #[test]
    fn the_files_of_a_page_are_told_by_their_names() {
        for name in ["sse.html", "chat.js", "chat.css"] {
            assert_eq!(page_of(name), "chat");
        }
        for name in ["posts.html", "posts.js", "posts-feed.js", "posts.css"] {
            assert_eq!(page_of(name), "posts");
        }
        for name in ["index.html", "callout.js", "page.js", "site.css", "check.html"] {
            assert!(!PAGES.contains(&page_of(name)), "{name}");
        }
    }
}
