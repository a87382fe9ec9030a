//! Where a credential may stand: header fields and a query of any kind, and what access makes of them.
#![no_main]

use callout::access::credential::find;
use callout::access::{Access, Wanted};
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [AUTHORIZATION, COOKIE, AUTHORIZATION, COOKIE] {
        if let Some(value) = parts.next().and_then(|value| HeaderValue::from_bytes(value).ok()) {
            headers.append(name, value);
        }
    }
    let query = parts.next().and_then(|query| str::from_utf8(query).ok());
    for presented in find(&headers, query) {
        assert!(!presented.text().is_empty());
        _ = presented.kind();
    }
    // A server without keys takes nothing, and refuses nothing.
    let wanted = Wanted::default();
    assert!(Access::default().grant(&headers, query, [127, 0, 0, 1].into(), wanted).is_ok());
});
