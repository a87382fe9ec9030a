//! What a request says about its body: whether it has one, its coding, its media type and its charset. A body that
//! would not be read as it was meant is refused before anything is done with it.

use super::printable;
use crate::error::{Error, ErrorKind};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};

/// How not to send a form, in the programs that do it unasked.
const NO_FORM: &str = "send the text or the JSON itself as the body (curl: `--data-binary`; PHP: a string as \
                       CURLOPT_POSTFIELDS, not an array; JavaScript: a string, not FormData)";

/// Refuses a body that cannot be read as plain text: of unknown length, compressed, in another charset than UTF-8, or
/// a multipart form.
pub(super) fn check_text(headers: &HeaderMap) -> Result<(), Error> {
    if !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
        return Err(Error::new(ErrorKind::Length, "neither `Content-Length` nor `Transfer-Encoding` came"));
    }
    let is_plain = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| !is_plain(coding.as_bytes())) {
        let reason = "no `Content-Encoding` is understood here";
        return Err(Error::media_type(reason).hint("send the body uncompressed"));
    }
    let content_type = content_type(headers);
    if media_type(&content_type).starts_with("multipart/") {
        return Err(Error::media_type("multipart forms are not taken apart here").hint(NO_FORM));
    }
    let is_utf8 = |charset: &str| matches!(charset, "utf-8" | "utf8" | "us-ascii" | "ascii");
    if charsets(&content_type).all(is_utf8) {
        return Ok(());
    }
    let error = Error::media_type("only UTF-8 is understood here");
    Err(error.hint("send the body in UTF-8, with `charset=utf-8` or without a charset"))
}

/// Refuses a body that is said to be something else than JSON. Many programs send a type that says little: `curl -d` that
/// of a form, `fetch` that of plain text. JSON is recognised without a type, so these types count as none.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Error> {
    let content_type = content_type(headers);
    let media_type = media_type(&content_type);
    let says_nothing = matches!(
        media_type,
        "" | "*/*" | "text/plain" | "application/octet-stream" | "application/x-www-form-urlencoded"
    );
    let is_json = media_type.contains("json") || media_type.ends_with("javascript");
    if says_nothing || is_json {
        return Ok(());
    }
    let error = Error::media_type(format!(
        "the body has to be JSON, and `Content-Type` says `{}`",
        printable(media_type)
    ));
    Err(error.hint("send JSON with `Content-Type: application/json`"))
}

/// The value of `Content-Type` in lower case; empty if there is none.
fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    value.unwrap_or_default().to_ascii_lowercase()
}

/// The media type without its parameters.
fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// The values of the parameter `charset` (RFC 9110, section 8.3), which may be quoted.
fn charsets(content_type: &str) -> impl Iterator<Item = &str> {
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let named = parameters.filter(|(name, _)| name.trim() == "charset");
    named.map(|(_, value)| value.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with_type(content_type: &'static str) -> HeaderMap {
        let length = (CONTENT_LENGTH, HeaderValue::from_static("1"));
        HeaderMap::from_iter([length, (CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    #[test]
    fn json_is_taken_unless_it_plainly_is_something_else() {
        for (content_type, is_taken) in [
            ("", true),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/json", true),
            ("json", true),
            ("text/plain;charset=UTF-8", true),
            ("application/x-www-form-urlencoded", true),
            ("application/octet-stream", true),
            ("*/*", true),
            ("text/html", false),
            ("application/xml", false),
            ("image/png", false),
            ("application/x-protobuf", false),
        ] {
            assert_eq!(check_json(&with_type(content_type)).is_ok(), is_taken, "{content_type}");
        }
    }

    #[test]
    fn text_is_utf_8_and_no_multipart_form() {
        for (content_type, taken) in [
            ("", Ok(())),
            ("text/plain", Ok(())),
            ("text/plain; charset=\"UTF-8\"", Ok(())),
            ("text/plain; charset = utf8", Ok(())),
            ("text/plain; format=flowed; charset=US-ASCII", Ok(())),
            ("image/png", Ok(())),
            ("text/plain; charset=utf-16le", Err("only UTF-8 is understood here")),
            ("text/plain;CHARSET=\"ISO-8859-1\"", Err("only UTF-8 is understood here")),
            ("text/plain; charset=utf-8; charset=utf-16", Err("only UTF-8 is understood here")),
            ("text/plain; charset=", Err("only UTF-8 is understood here")),
            ("multipart/form-data; boundary=x", Err("multipart forms are not taken apart here")),
            ("Multipart/Mixed", Err("multipart forms are not taken apart here")),
        ] {
            let checked = check_text(&with_type(content_type)).map_err(|error| error.to_string());
            assert_eq!(checked, taken.map_err(str::to_owned), "{content_type}");
        }
    }
}
