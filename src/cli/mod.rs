//! The command line: `callout serve`, `publish`, `listen`, `history`, `check-config`, `token` and `ticket`.
//!
//! A usage error prints one line and ends with exit code 2, a failure prints one line and ends with exit code 1.

mod check;
mod explain;
mod flags;
mod history;
mod listen;
mod log;
mod output;
mod publish;
mod remote;
mod serve;
mod ticket;
mod token;
mod transport;

use flags::{Command, Flag, Flags, Usage, VARIABLE_PREFIX};
use output::{note, print};
use std::ffi::OsString;
use std::process::ExitCode;

/// Why a command ended without success.
enum Failure {
    /// It was called wrongly.
    Usage(Usage),
    /// It could not do its work.
    Work(String),
    /// Nobody reads standard output any more: `callout history | head`. That is no fault, and nothing is left to do.
    Unread,
}

impl Failure {
    /// What is to be said about it.
    fn text(self) -> String {
        match self {
            Failure::Usage(Usage(why)) | Failure::Work(why) => why,
            Failure::Unread => String::new(),
        }
    }
}

impl From<Usage> for Failure {
    fn from(usage: Usage) -> Failure {
        Failure::Usage(usage)
    }
}

/// A command, and what runs it.
type Entry = (&'static Command, fn(&Flags) -> Result<(), Failure>);

static COMMANDS: &[Entry] = &[
    (&serve::COMMAND, serve::run),
    (&publish::COMMAND, publish::run),
    (&listen::COMMAND, listen::run),
    (&history::COMMAND, history::run),
    (&check::COMMAND, check::run),
    (&token::COMMAND, token::run),
    (&ticket::COMMAND, ticket::run),
];

/// Runs the command that the arguments name (the first is the program's own name). Blocks until it is
/// done; `serve` ends with a signal.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (code, why) = match dispatch(args.into_iter().skip(1).collect()) {
        Ok(()) | Err(Failure::Unread) => return ExitCode::SUCCESS,
        Err(Failure::Usage(Usage(why))) => (2, why),
        Err(Failure::Work(why)) => (1, why),
    };
    note(&why);
    ExitCode::from(code)
}

fn dispatch(mut args: Vec<OsString>) -> Result<(), Failure> {
    let is_name = |word: &&str| !word.starts_with('-');
    let named = args.first().and_then(|word| word.to_str()).filter(is_name).map(str::to_owned);
    let (command, main) = match named.as_deref() {
        // `callout` alone, or with flags only, serves.
        None => COMMANDS[0],
        Some("help") => return print(&overview()),
        Some(name) => *COMMANDS
            .iter()
            .find(|(command, _)| command.name == name)
            .ok_or_else(|| Usage(format!("there is no command `{name}`; `callout --help` lists them")))?,
    };
    args.drain(..usize::from(named.is_some()));
    let explained = |failure| match failure {
        Failure::Usage(Usage(why)) => {
            Usage(format!("{why}; `callout {} --help` explains", command.name)).into()
        }
        other => other,
    };
    let flags = Flags::parse(command, args).map_err(|usage| explained(usage.into()))?;
    if flags.wants_version {
        return print(concat!("callout ", env!("CARGO_PKG_VERSION"), "\n"));
    }
    if flags.wants_help {
        return print(&named.map_or_else(overview, |_| command.help()));
    }
    note_unknown_variables();
    if command.name == serve::COMMAND.name {
        note_clients_token(&flags);
    }
    main(&flags).map_err(explained)
}

/// Says that the token which the other commands send closes nothing on a server that has none of its own.
fn note_clients_token(flags: &Flags) {
    let is_open = flags.text("publish-token").or(flags.text("config")).is_none();
    if is_open && std::env::var_os("CALLOUT_TOKEN").is_some() {
        note(
            "the variable CALLOUT_TOKEN is for publish, listen and history, and closes nothing here; is \
             CALLOUT_PUBLISH_TOKEN meant?",
        );
    }
}

/// Names variables that callout does not know: a misspelt one would go unnoticed. The value may be a secret and is not
/// shown.
fn note_unknown_variables() {
    let flags = COMMANDS.iter().flat_map(|(command, _)| command.flags);
    let known: Vec<String> = flags.map(Flag::variable).collect();
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        // Kubernetes sets these in all containers beside a service that is named `callout`.
        let is_of_kubernetes = rest.starts_with("PORT") || rest.starts_with("SERVICE");
        if is_of_kubernetes || known.contains(&name) {
            continue;
        }
        let meant = known.iter().find(|known| !rest.is_empty() && known.contains(rest));
        let meant = meant.map(|known| format!("; is {known} meant?")).unwrap_or_default();
        note(&format!("the variable {name} is unknown and has no effect{meant}"));
    }
}

fn overview() -> String {
    let mut text = String::from(
        "callout: HTTP POST in, Server-Sent Events out, to thousands of browsers.\n\nCommands:\n",
    );
    for (command, _) in COMMANDS {
        text += &format!("  callout {:<28} {}\n", command.usage(), command.about);
    }
    text +=
        "\n`callout` alone serves. `callout COMMAND --help` lists the flags of one; these are serve's:\n\n";
    text + &COMMANDS[0].0.flag_lines()
}
