//! Tickets: any text, and any JSON under a valid signature. What is taken says who it is for, and signs again to the same.
#![no_main]

use callout::access::moment::Moment;
use callout::access::ticket::{TicketDraft, read_unverified};
use callout::{Key, TicketKeys};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static KEYS: LazyLock<TicketKeys> =
    LazyLock::new(|| TicketKeys::new(vec![Key::new(&[1; 32]).expect("a key")]));

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let now = Moment::default();
    assert!(KEYS.verify(text, now, now).is_err(), "nobody can guess a signature");
    _ = read_unverified(text);
    // The parts of a ticket, from the text of which one is made.
    let mut parts = text.split('\0');
    let user = parts.next().unwrap_or_default().to_owned();
    let (publish, subscribe): (Vec<_>, Vec<_>) = parts
        .filter_map(|text| text.parse().ok())
        .partition(|selector: &callout::Selector| selector.topic().is_some());
    let issued = Moment::from_micros(u64::from(bytes.first().copied().unwrap_or(0))).expect("it is small");
    let expires = issued.after(std::time::Duration::from_secs(60));
    let draft = TicketDraft { user, publish, subscribe, issued, expires, by: None };
    if let Ok(ticket) = KEYS.sign(&draft) {
        let claims = KEYS.verify(&ticket, issued, issued).expect("it was signed");
        assert_eq!(claims.user.as_deref(), Some(&*draft.user));
        assert_eq!((claims.publish, claims.subscribe), (draft.publish, draft.subscribe));
    }
});
