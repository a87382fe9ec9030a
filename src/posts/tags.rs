//! Tags: the words behind `#` in a text.

use crate::error::Error;

/// The most tags of a post. More are answered 400.
pub const TAGS_MAX: usize = 20;

/// The longest tag, in characters. A longer one is answered 400.
pub const TAG_CHARS_MAX: usize = 100;

/// The tags of a text: the ASCII letters, digits and underscores behind each `#`, with any character before it.
/// In lower case, each once, in the order in which they first appear.
pub(super) fn tags(text: &str) -> Result<Vec<String>, Error> {
    let mut tags: Vec<String> = Vec::new();
    for rest in text.split('#').skip(1) {
        let chars = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let tag = rest[..chars].to_ascii_lowercase();
        if tag.is_empty() || tags.contains(&tag) {
            continue;
        }
        if chars > TAG_CHARS_MAX {
            let max = TAG_CHARS_MAX;
            return Err(Error::bad(format!(
                "a tag in `content` has {chars} characters; at most {max} are accepted"
            )));
        }
        if tags.len() == TAGS_MAX {
            return Err(Error::bad(format!("`content` has more than {TAGS_MAX} tags")));
        }
        tags.push(tag);
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_wherever_they_stand_and_listed_once() {
        for (text, wanted) in [
            ("", &[][..]),
            ("no tags, # nor ## here #", &[]),
            ("#Go is #go and #GO", &["go"]),
            ("#b then #a then #b", &["b", "a"]),
            ("x#y#z", &["y", "z"]),
            ("##double", &["double"]),
            ("#größe #日本 #a日本 ü#b\u{301} \u{1f600}#c\u{1f600}", &["gr", "a", "b", "c"]),
            ("#under_score #_ #1 #a-b #c.d\n#e", &["under_score", "_", "1", "a", "c", "e"]),
            ("&#39; <a href=\"#x\">", &["39", "x"]),
        ] {
            assert_eq!(tags(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn too_many_tags_and_too_long_ones_are_refused() {
        let text = |count| (0..count).map(|number| format!("#t{number} #T{number} ")).collect::<String>();
        assert_eq!(tags(&text(TAGS_MAX)).unwrap().len(), TAGS_MAX);
        assert!(tags(&text(TAGS_MAX + 1)).is_err());
        assert!(tags(&format!("#{}", "x".repeat(TAG_CHARS_MAX))).is_ok());
        assert!(tags(&format!("#{}", "x".repeat(TAG_CHARS_MAX + 1))).is_err());
    }
}
