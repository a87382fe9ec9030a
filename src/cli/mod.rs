//! The command line: `callout serve`, `publish`, `listen` and `history`.
//!
//! A usage error prints one line and ends with exit code 2, a failure prints one line and ends with exit code 1.

mod flags;
mod history;
mod listen;
mod log;
mod publish;
mod remote;
mod serve;

use flags::{Command, Flag, Flags, Usage};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Why a command ended without success.
enum Failure {
    /// It was called wrongly.
    Usage(Usage),
    /// It could not do its work.
    Work(String),
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
];

/// Runs the command that the arguments name (the first is the program's own name). Blocks until it is
/// done; `serve` ends with a signal.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args: Vec<OsString> = args.into_iter().skip(1).collect();
    let is_name = |word: &&str| !word.starts_with('-');
    let named = args.first().and_then(|word| word.to_str()).filter(is_name).map(str::to_owned);
    let (command, main) = match named.as_deref() {
        // `callout` alone, or with flags only, serves.
        None => COMMANDS[0],
        Some("help") => return print(&overview()),
        Some(name) => match COMMANDS.iter().find(|(command, _)| command.name == name) {
            Some(&entry) => entry,
            None => {
                return complain(2, &format!("there is no command `{name}`; `callout --help` lists them"));
            }
        },
    };
    args.drain(..usize::from(named.is_some()));
    let result = match Flags::parse(command, args) {
        Ok(flags) if flags.wants_version => {
            return print(concat!("callout ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Ok(flags) if flags.wants_help && named.is_none() => return print(&overview()),
        Ok(flags) if flags.wants_help => return print(&command.help()),
        Ok(flags) => main(&flags),
        Err(usage) => Err(usage.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(usage)) => {
            complain(2, &format!("{}; `callout {} --help` explains", usage.0, command.name))
        }
        Err(Failure::Work(why)) => complain(1, &why),
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

fn print(text: &str) -> ExitCode {
    // Standard output may be closed.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(code: u8, why: &str) -> ExitCode {
    // Standard error may be closed; the exit code still tells.
    let _ = writeln!(std::io::stderr(), "callout: {why}");
    ExitCode::from(code)
}
