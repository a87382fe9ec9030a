//! Selectors and patterns: what is read is written as it was, and covers what it matches.
#![no_main]

use callout::{Pattern, Selector, Topic};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (first, second) = text.split_once('\0').unwrap_or((text, "a"));
    _ = first.parse::<Pattern>();
    let Ok(one) = first.parse::<Selector>() else { return };
    assert_eq!(one.to_string(), first);
    assert!(one.covers(&one));
    let Ok(topic) = Topic::new(second) else { return };
    assert_eq!(one.matches(&topic), one.covers(&Selector::from(topic.clone())));
    // No wildcard reaches what belongs to a page.
    assert!(!topic.is_reserved() || !one.matches(&topic) || one.topic() == Some(&topic));
    let Ok(other) = second.parse::<Selector>() else { return };
    if one.covers(&other) && other.matches(&topic) {
        assert!(one.matches(&topic));
    }
});
