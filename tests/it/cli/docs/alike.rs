//! Compares what a document shows with what a command printed.

/// Whether a text, or its beginning, is what is shown of it. `…` stands for anything, and one id, time or large
/// number is as good as another.
pub(super) fn is_alike(shown: &str, text: &str, is_beginning: bool) -> bool {
    let shown = shape(shown.trim()) + if is_beginning { "…" } else { "" };
    let text = shape(text.trim());
    let Some((first, others)) = shown.split_once('…') else { return shown == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let (middle, last) =
        others.rsplit_once('…').map_or((None, others), |(middle, last)| (Some(middle), last));
    for piece in middle.into_iter().flat_map(|middle| middle.split('…')) {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// The text with `#` in place of each word that has a digit and four characters or more: ids, times, versions.
/// Words go on across a hyphen, a dot or a colon within them, and base64url is one word.
fn shape(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let (mut shape, mut word) = (String::new(), String::new());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let is_followed =
            chars.peek().is_some_and(|&next| is_of_word(next) || next == '-' || char == '-' && next == '.');
        if is_of_word(char) || "-.:".contains(char) && is_followed && !word.is_empty() {
            word.push(char);
            if chars.peek().is_some() {
                continue;
            }
        }
        let is_any = word.len() >= 4 && word.contains(|char: char| char.is_ascii_digit());
        shape += if is_any { "#" } else { &word };
        word.clear();
        if !is_of_word(char) {
            shape.push(char);
        }
    }
    shape
}

fn is_of_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

#[test]
fn shapes_are_alike_where_only_ids_and_times_differ() {
    for (shown, text, is_beginning, alike) in [
        (
            r#"{"ticket":"ct1.tHMd.eyJ1c2…","at":"x"}"#,
            r#"{"ticket":"ct1._H-_.eyJ1c2Vy.G--9","at":"x"}"#,
            false,
            true,
        ),
        (
            r#"{"ticket":"ct1.tHMd.eyJ1c2…","at":"x"}"#,
            r#"{"ticket":"ct1.tHM-.eyJ1c2Vy.G9-","at":"x"}"#,
            false,
            true,
        ),
        (r#"{"id":"18eb8614bba4b1be"}"#, r#"{"id":"18eb9a04c1a4b1bf"}"#, false, true),
        (r#"{"id":1795266046592}"#, r#"{"id":1795266046593}"#, false, true),
        ("at 2026-11-26T06:58:20.057Z", "at 2027-01-06T23:01:02.003Z", false, true),
        (r#"{"id":null}"#, r#"{"id":"18eb9a04c1a4b1bf"}"#, false, false),
        (r#"{"reached":1}"#, r#"{"reached":2}"#, false, false),
        ("data: one", "data: one\n\ndata: two", true, true),
        ("data: one", "data: one\n\ndata: two", false, false),
        ("data: {…,\"n\":…}", "data: {\"a\":1,\"n\":12345}", false, true),
        ("data: {…}", "data: {", true, false),
    ] {
        assert_eq!(is_alike(shown, text, is_beginning), alike, "{shown} {text}");
    }
}
