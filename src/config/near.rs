//! The name that a misspelt one was meant to be.

/// The known name that is most like this one, if one is.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = name.to_lowercase().replace('-', "_");
    // A third of the letters may be wrong, and one always.
    let most = (plain.chars().count() / 3).max(1);
    let near = known.map(|known| (distance(&plain, known), known)).filter(|(distance, _)| *distance <= most);
    near.min().map(|(_, known)| known)
}

/// How many letters have to be put in, taken away or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, own) in a.chars().enumerate() {
        let mut above = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = above + usize::from(own != *other);
            above = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(above + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised_and_a_strange_one_is_not() {
        let known = ["listen", "listener", "keep_events", "log", "token", "allow"];
        for (name, meant) in [
            ("lissten", Some("listen")),
            ("listn", Some("listen")),
            ("keep-events", Some("keep_events")),
            ("Log", Some("log")),
            ("tokens", Some("token")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
    }
}
