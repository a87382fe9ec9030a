//! `callout ticket`: a ticket for a user, made with the key alone, without a server.

use super::flags::duration;
use super::output::print;
use super::{Command, Failure, Flag, Flags, Usage};
use crate::access::moment::Moment;
use crate::access::ticket::{TICKET_DAYS_MAX, TICKET_TTL_MAX, TicketDraft};
use crate::access::{Key, TicketKeys};
use crate::error::Error;
use crate::selector::Selector;
use std::path::Path;
use std::time::Duration;

/// How long a ticket lasts that nobody named a time for.
const TTL: Duration = Duration::from_secs(10 * 60);

pub(super) static COMMAND: Command = Command {
    name: "ticket",
    arguments: "",
    about: "print a ticket for a user, made with the key alone",
    flags: &[
        Flag { name: "key-file", value: "FILE", help: "the key, as `key_files` in `[tickets]` names it" },
        Flag { name: "user", value: "NAME", help: "for whom it is" },
        Flag {
            name: "subscribe",
            value: "TOPIC",
            help: "a topic that they may subscribe to, or `rooms/*`; repeatable",
        },
        Flag { name: "publish", value: "TOPIC", help: "a topic that they may publish to; repeatable" },
        Flag { name: "ttl", value: "TIME", help: "how long it lasts, at most 31days [10m]" },
    ],
};

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let needed = |name: &str| flags.text(name).ok_or_else(|| Usage(format!("ticket needs --{name}")));
    let key = Key::read(Path::new(needed("key-file")?)).map_err(Failure::Work)?;
    let user = needed("user")?.to_owned();
    let right = format!("a time like 10m, from 1s to {TICKET_DAYS_MAX}days");
    let ttl = flags.value("ttl", TTL, &right, |text| {
        duration(text).filter(|ttl| (Duration::from_secs(1)..=TICKET_TTL_MAX).contains(ttl))
    })?;
    let (publish, subscribe) = (selectors(flags, "publish")?, selectors(flags, "subscribe")?);
    let issued = Moment::now();
    let draft = TicketDraft { user, publish, subscribe, issued, expires: issued.after(ttl), by: None };
    let ticket = TicketKeys::new(vec![key]).sign(&draft);
    let ticket =
        ticket.map_err(|refusal| Failure::Work(format!("{}; {}", refusal.reason(), refusal.hint())))?;
    print(&format!("{ticket}\n"))
}

fn selectors(flags: &Flags, name: &str) -> Result<Vec<Selector>, Failure> {
    let parse = |text: String| {
        text.parse()
            .map_err(|error: Error| Usage(format!("`{text}` is no value for --{name}: {error}")).into())
    };
    flags.list(name).into_iter().map(parse).collect()
}
