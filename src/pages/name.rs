//! Names that people are shown: without characters that cannot be seen, by which one name could look like another.

use std::ops::RangeInclusive;

/// Characters that count as letters, marks or signs, and show nothing: fillers, joiners, selectors
/// (`Default_Ignorable_Code_Point` in Unicode, chapter 4) and empty signs.
const EMPTY: &[RangeInclusive<char>] = &[
    '\u{34f}'..='\u{34f}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{16fe4}'..='\u{16fe4}',
    '\u{1d159}'..='\u{1d159}',
    '\u{e0100}'..='\u{e01ef}',
];

/// The name with each run of blanks as one space, and none around it. None if there is nothing to see, or if it has
/// characters that cannot be seen: control and format characters (direction, joiners, byte order marks), fillers,
/// selectors, and those that are assigned to nothing.
pub(super) fn visible(text: &str) -> Option<String> {
    let text = text.trim();
    let is_allowed = |char: char| !char.is_control() && (char.is_whitespace() || shows(char));
    let has_base = text.chars().any(|char| !char.is_whitespace() && !is_mark(char));
    (has_base && text.chars().all(is_allowed)).then(|| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether the character shows something, perhaps together with the one before it. The standard library knows which
/// do: it escapes the others when it prints text for debugging.
fn shows(char: char) -> bool {
    let is_escaped = |char: char| !matches!(char, '"' | '\'' | '\\') && debugged(&format!("a{char}")) != 2;
    !is_escaped(char) && !EMPTY.iter().any(|range| range.contains(&char))
}

/// Whether the character only shows together with the one before it (`Grapheme_Extend`).
fn is_mark(char: char) -> bool {
    shows(char) && !matches!(char, '"' | '\'' | '\\') && debugged(&char.to_string()) != 1
}

/// How many characters a text has for debugging.
fn debugged(text: &str) -> usize {
    text.escape_debug().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_can_be_seen_of_it() {
        for (text, shown) in [
            ("ann", "ann"),
            ("  ann\u{2028}", "ann"),
            ("ann  b", "ann b"),
            ("山田\u{3000}太郎", "山田 太郎"),
            ("a\u{a0}b", "a b"),
            ("O'Neil \"the\" \\", "O'Neil \"the\" \\"),
            ("Ame\u{301}lie", "Ame\u{301}lie"),
            ("किरण", "किरण"),
            ("한글", "한글"),
            ("👍", "👍"),
            ("<b>", "<b>"),
        ] {
            assert_eq!(visible(text).as_deref(), Some(shown), "{text:?}");
        }
        for text in [
            "",
            " ",
            "\u{200b}",
            "\u{feff}",
            "\u{3164}",
            "\u{115f}",
            "\u{2800}",
            "\u{ad}",
            "\u{301}",
            "\u{e0061}",
        ] {
            assert_eq!(visible(text), None, "{text:?}");
            let behind = format!("ann{text}");
            // A blank at the end is cut off, and a mark is seen.
            let is_fine = text.trim().is_empty() || text == "\u{301}";
            assert_eq!(visible(&behind).is_some(), is_fine, "{behind:?}");
        }
        for text in [
            "a\nb",
            "a\tb",
            "a\0b",
            "a\u{85}b",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200d}b",
            "a\u{fe0f}",
            "a\u{378}",
            "a\u{e000}",
        ] {
            assert_eq!(visible(text), None, "{text:?}");
        }
    }
}
