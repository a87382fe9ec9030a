//! Paths and their parts: what a route's pattern takes, and what it gave names to.

use crate::error::Error;
use percent_encoding::percent_decode_str;
use std::fmt;

/// What a request asks for: a path and a query, percent-encoded as they came.
pub struct Target {
    /// The path, and behind a `?` the query, if there is one.
    text: Box<str>,
    path_bytes: usize,
}

impl Target {
    /// Reads the target of a request line (RFC 9112, section 3.2): a path, a whole address whose scheme and host are
    /// left out, or `*`. [`Error::bad`] for anything else.
    pub fn parse(text: &str) -> Result<Target, Error> {
        if text.contains('#') {
            let error = Error::bad("a `#` cannot stand in the request's target");
            return Err(error.hint("write it `%23` in a path or a query"));
        }
        let text = if text.starts_with('/') || text == "*" { text.into() } else { without_host(text)? };
        let path_bytes = text.find('?').unwrap_or(text.len());
        Ok(Target { text, path_bytes })
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.text[..self.path_bytes]
    }

    /// The query; empty if there is none.
    pub fn query(&self) -> &str {
        self.text.get(self.path_bytes + 1..).unwrap_or_default()
    }
}

/// Without the query, where a ticket may stand.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.path()).finish()
    }
}

/// Path and query of an address like `http://example.org/path?query`.
fn without_host(address: &str) -> Result<Box<str>, Error> {
    let rest = address
        .split_once("://")
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"));
    let (_, rest) = rest.ok_or_else(|| {
        Error::bad("the request's target is not a path").hint("ask for a path like `/topics/news`")
    })?;
    let target = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
    Ok(if target.starts_with('/') { target.into() } else { format!("/{target}").into() })
}

/// The parts of a path that its route gave names to, decoded.
#[derive(Debug, Default)]
pub struct Captures(Vec<(&'static str, String)>);

impl Captures {
    /// The part of this name; empty if the route has none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// Compares a path with a route's pattern, segment by segment: `{name}` takes one segment, `{name...}`
/// all that are left. None if the path is another's; [`Error::bad`] if it is not percent-encoded UTF-8.
pub fn capture(pattern: &'static str, path: &str) -> Result<Option<Captures>, Error> {
    // Up to its first name a pattern is a path like any other, and most differ within a few letters.
    let is_same = |(wanted, byte): &(u8, u8)| wanted == byte && *wanted != b'{';
    let same_bytes = pattern.bytes().zip(path.bytes()).take_while(is_same).count();
    let (pattern, path) = (&pattern[same_bytes..], &path[same_bytes..]);
    if !pattern.starts_with('{') {
        return Ok((pattern.is_empty() && path.is_empty()).then(Captures::default));
    }
    let mut captures = Captures::default();
    let mut rest = Some(path);
    for part in pattern.split('/') {
        let Some(tail) = rest else { return Ok(None) };
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix("...}")) {
            if tail.is_empty() {
                return Ok(None);
            }
            captures.0.push((name, percent_decode(tail)?));
            return Ok(Some(captures));
        }
        let (segment, after) =
            tail.split_once('/').map_or((tail, None), |(segment, after)| (segment, Some(after)));
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => captures.0.push((name, percent_decode(segment)?)),
            None if segment == part => {}
            _ => return Ok(None),
        }
        rest = after;
    }
    Ok(rest.is_none().then_some(captures))
}

/// Whether this is a pattern that paths can be compared with: it begins with a slash, names take whole segments, and one
/// that takes all that are left is the last.
pub(crate) fn is_pattern(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    let mut parts = rest.split('/').peekable();
    while let Some(part) = parts.next() {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        let takes_all = name.is_some_and(|name| name.ends_with("..."));
        if takes_all && parts.peek().is_some() || name.unwrap_or(part).contains(['{', '}']) {
            return false;
        }
    }
    true
}

/// Decodes a part of a path. [`Error::bad`] if the result is not UTF-8.
pub fn percent_decode(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| {
        Error::bad("the path is not percent-encoded UTF-8").hint("encode names as UTF-8, then in percent")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_and_a_query() {
        for (text, path, query) in [
            ("/", "/", ""),
            ("/a/b?c=d?e", "/a/b", "c=d?e"),
            ("/a?", "/a", ""),
            ("*", "*", ""),
            ("http://example.org/a?b", "/a", "b"),
            ("HTTPS://example.org:443", "/", ""),
            ("http://example.org?b", "/", "b"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.path(), target.query()), (path, query), "{text}");
        }
        for wrong in ["", "a", "example.org:443", "file:///etc/passwd", "?a", "**"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Target::parse("/irc#general").unwrap_err().problem().hint.contains("%23"));
    }

    #[test]
    fn a_pattern_takes_its_own_paths_and_no_others() {
        let captured = |pattern, path, name: &str| {
            capture(pattern, path).unwrap().map(|captures| captures.get(name).to_owned())
        };
        assert_eq!(captured("/topics/{topic...}", "/topics/rooms/42", "topic").unwrap(), "rooms/42");
        assert_eq!(captured("/topics/{topic...}", "/topics/a%20b", "topic").unwrap(), "a b");
        assert_eq!(captured("/topics/{topic...}", "/topics/", "topic"), None);
        assert_eq!(captured("/topics/{topic...}", "/topics", "topic"), None);
        assert_eq!(captured("/sse/{id}", "/sse/7", "id").unwrap(), "7");
        assert_eq!(captured("/sse/{id}", "/sse/7/8", "id"), None);
        assert_eq!(captured("/sse/{id}", "/sse/7/", "id"), None);
        assert_eq!(captured("/sse/{id}", "/sse/", "id"), None);
        assert_eq!(captured("/sse/{id}", "/sse/{id}", "id").unwrap(), "{id}");
        assert_eq!(captured("/a/{id}/b", "/a/7/b", "id").unwrap(), "7");
        assert_eq!(captured("/a/{id}/b", "/a/7", "id"), None);
        assert_eq!(captured("/a/{id}/b", "/a/7/c", "id"), None);
        assert_eq!(captured("/", "/", ""), Some(String::new()));
        assert_eq!(captured("/", "/x", ""), None);
        assert!(capture("/sse/{id}", "/sse/%ff").is_err());
        for pattern in ["/", "/a", "/a/{id}", "/a/{id}/b", "/{rest...}", "/a b"] {
            assert!(is_pattern(pattern), "{pattern}");
        }
        for other in ["", "a", "{id}", "/{rest...}/b", "/a{id}", "/{id", "/{a}{b}"] {
            assert!(!is_pattern(other), "{other}");
        }
    }
}
