//! The form that all errors have: `{"error":"…","reason":"…","hint":"…"}`.

use super::Answer;
use serde_json::Value;

/// What a refusal says is wrong, and what to do. Fails the test if the refusal is not in the form of all errors.
pub fn said(answer: &Answer) -> String {
    assert!(answer.status >= 400, "no refusal: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()), "{answer:?}");
    assert_problem(&answer.json());
    let text = |name: &str| answer.json()[name].as_str().unwrap_or_default().to_owned();
    text("reason") + "; " + &text("hint")
}

/// Fails the test if this is not what all errors have: three texts that say something, each something else.
pub fn assert_problem(json: &Value) {
    let texts = ["error", "reason", "hint"].map(|name| json[name].as_str().unwrap_or_default());
    let [error, reason, hint] = texts;
    let is_plain = |text: &&str| text.trim() == *text && !text.is_empty() && !text.ends_with('.');
    assert!(texts.iter().all(is_plain), "{json}");
    assert!(error != reason && error != hint && reason != hint, "{json}");
}
