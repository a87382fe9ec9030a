//! Paths and their parts: what a route's pattern takes, and what it gave names to.

use crate::error::Error;
use percent_encoding::percent_decode_str;

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
/// all that are left. None if the path is another's; [`Error::Bad`] if it is not percent-encoded UTF-8.
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

/// Decodes a part of a path. [`Error::Bad`] if the result is not UTF-8.
pub fn percent_decode(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| Error::bad("the path is not percent-encoded UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
