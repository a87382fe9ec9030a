//! Flags: one table per command. Parsing, the environment variables and the help all come from it.
//!
//! Every flag is also a variable (`--publish-token` is `CALLOUT_PUBLISH_TOKEN`), and those of `serve` are keys of the
//! configuration file (`publish_token`). A flag wins over its variable, and that over the file.

use crate::access::is_token;
use crate::config::{Given, Key};
use crate::server::settings::{Setting, TOKEN_RIGHT};
use lexopt::Arg;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// What the names of variables begin with.
pub(super) const VARIABLE_PREFIX: &str = "CALLOUT_";

/// The flags whose value is a secret.
const SECRETS: [&str; 2] = ["token", "publish-token"];

/// A mistake in how a command was called: what was wrong and what would be right.
pub(super) struct Usage(pub(super) String);

/// One flag.
pub(super) struct Flag {
    /// Without the dashes.
    pub(super) name: &'static str,
    /// The placeholder of its value in the help; empty for a switch.
    pub(super) value: &'static str,
    /// What it does, and what happens without it.
    pub(super) help: &'static str,
}

impl Flag {
    /// The variable that stands for it.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// How it stands in the configuration file.
    pub(super) fn key(&self) -> Key {
        Key {
            name: key_name(self.name),
            is_switch: self.value.is_empty(),
            is_list: self.help.contains("repeatable") || self.name == "pages",
            is_path: self.value == "FOLDER",
        }
    }
}

/// One command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// Its arguments, as the help shows them.
    pub(super) arguments: &'static str,
    pub(super) about: &'static str,
    pub(super) flags: &'static [Flag],
}

impl Command {
    pub(super) fn usage(&self) -> String {
        format!("{} {}", self.name, self.arguments).trim_end().to_owned()
    }

    pub(super) fn help(&self) -> String {
        format!("callout {}: {}\n\n{}", self.usage(), self.about, self.flag_lines())
    }

    pub(super) fn flag_lines(&self) -> String {
        let mut text = String::new();
        for flag in self.flags {
            let left = format!("--{} {}", flag.name, flag.value);
            let help = flag.help.replace('\n', "\n                            ");
            text += &format!("  {left:<25} {help}\n");
        }
        text + "\nThe default of a flag, if it has one, stands last. Each flag is also a variable, CALLOUT_ and its name: --log is\nCALLOUT_LOG. Flags win. In a variable, commas separate the values of a flag that is repeatable.\n"
    }
}

fn key_name(flag: &str) -> String {
    flag.replace('-', "_")
}

/// The parsed command line: flags by name, and the arguments.
#[derive(Clone, Default)]
pub(super) struct Flags {
    values: HashMap<&'static str, Vec<String>>,
    /// For values that the configuration file gave, where in it each of them stands.
    places: HashMap<&'static str, Vec<String>>,
    pub(super) arguments: Vec<String>,
    pub(super) wants_help: bool,
    pub(super) wants_version: bool,
}

impl Flags {
    /// Reads the command's arguments, then the variables of flags that were not given.
    pub(super) fn parse(command: &Command, args: Vec<OsString>) -> Result<Flags, Usage> {
        let mut flags = Flags::default();
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(usage)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => flags.wants_help = true,
                Arg::Long("version") | Arg::Short('V') => flags.wants_version = true,
                Arg::Long(name) => {
                    let Some(flag) = command.flags.iter().find(|flag| flag.name == name) else {
                        return Err(Usage(format!("there is no flag `--{name}`")));
                    };
                    let value = if flag.value.is_empty() { "true".into() } else { value(&mut parser, flag)? };
                    flags.values.entry(flag.name).or_default().push(value);
                }
                Arg::Short(letter) => {
                    return Err(Usage(format!(
                        "there is no flag `-{letter}` (put `--` before arguments that begin with a dash)"
                    )));
                }
                Arg::Value(value) if command.arguments.is_empty() => {
                    let value = value.to_string_lossy();
                    return Err(Usage(format!("`{value}` is one argument too many")));
                }
                Arg::Value(value) => flags.arguments.push(text(Ok(value))?),
            }
        }
        for flag in command.flags {
            let variable = flag.variable();
            if let (false, Some(value)) = (flags.values.contains_key(flag.name), std::env::var_os(&variable))
            {
                let value = value.into_string().map_err(|_| Usage(format!("`{variable}` is not UTF-8")))?;
                check_ends(
                    flag,
                    &variable,
                    &value,
                    is_quoted(&value) || has_end(&value, char::is_whitespace),
                )?;
                flags.values.insert(flag.name, vec![value]);
            }
        }
        Ok(flags)
    }

    /// The same with what a file says for flags that were not given, and have no variable.
    pub(super) fn with_file(&self, command: &Command, path: &Path, settings: &[(String, Given)]) -> Flags {
        let mut flags = self.clone();
        for (name, Given { values, positions }) in settings {
            let flag = command.flags.iter().find(|flag| key_name(flag.name) == *name);
            let Some(flag) = flag.filter(|flag| !self.values.contains_key(flag.name)) else { continue };
            let place =
                |at: &crate::config::Position| format!("{}:{}:{}", path.display(), at.line, at.column);
            flags.values.insert(flag.name, values.clone());
            flags.places.insert(flag.name, positions.iter().map(place).collect());
        }
        flags
    }

    /// What is wrong with the value of a flag; where the file gave it, with its place there and the name of its key.
    pub(super) fn located(&self, why: &str) -> Option<String> {
        let named = |flag: &&&str| {
            let rest = why.split_once(&format!("--{flag}")).map(|(_, rest)| rest);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c == '-' || c.is_alphanumeric()))
        };
        let flag = self.places.keys().find(named)?;
        let (places, values) = (&self.places[flag], &self.values[flag]);
        let at = values.iter().position(|value| why.contains(&format!("`{value}`"))).unwrap_or(0);
        Some(format!(
            "{}: {}",
            places.get(at)?,
            why.replace(&format!("--{flag}"), &format!("`{}`", key_name(flag)))
        ))
    }

    /// The value of a flag; the last one if it was given more than once. An empty value counts as not given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|text| !text.is_empty())
    }

    fn given(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// The value of a flag that is a secret. An empty one is a mistake, which would leave a server open to everybody.
    pub(super) fn secret(&self, name: &str) -> Result<Option<&str>, Usage> {
        match self.given(name) {
            Some(token) if !is_token(token) => Err(Usage(format!("a --{name} has {TOKEN_RIGHT}"))),
            token => Ok(token),
        }
    }

    /// All values of a repeatable flag; in a variable, commas separate them.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let values = self.values.get(name).into_iter().flatten();
        let parts = values.flat_map(|value| value.split(',')).map(|part| part.trim().to_owned());
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// Whether a switch was given.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| !matches!(text, "0" | "false" | "no"))
    }

    /// A flag's value as `read` understands it, or `default` if it was not given. `right` describes a valid value
    /// for the error.
    pub(super) fn value<T>(
        &self,
        name: &str,
        default: T,
        right: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Usage> {
        let Some(text) = self.text(name) else { return Ok(default) };
        read(text).ok_or_else(|| Usage(format!("`{text}` is no value for --{name}, which takes {right}")))
    }

    /// A flag's value, which has to be in the range of a setting; `default` if it was not given.
    pub(super) fn setting<T: PartialOrd>(
        &self,
        name: &str,
        setting: &Setting<T>,
        default: T,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Usage> {
        self.value(name, default, setting.right, |text| {
            read(text).filter(|value| setting.valid.contains(value))
        })
    }
}

/// A number of things, of which there is at least one: `100000`, `100_000`.
pub(super) fn count<T: std::str::FromStr + Default + PartialEq>(text: &str) -> Option<T> {
    text.replace('_', "").parse().ok().filter(|count| *count != T::default())
}

/// A duration as people write them: `15s`, `2m`, `500ms`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| humantime::parse_duration(text).ok())
}

/// A number of bytes, at least one: `65536`, `64K`, `64MB`; units of 1,024.
pub(super) fn bytes(text: &str) -> Option<usize> {
    let text = text.trim_end_matches(['b', 'B']);
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit: usize = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1024,
        "m" => 1024 * 1024,
        "g" => 1024 * 1024 * 1024,
        _ => return None,
    };
    count::<usize>(digits)?.checked_mul(unit)
}

/// A flag's value. If the next argument looks like a flag, the value was forgotten; behind a `=` anything goes.
fn value(parser: &mut lexopt::Parser, flag: &Flag) -> Result<String, Usage> {
    let name = flag.name;
    let value = match parser.optional_value() {
        Some(value) => text(Ok(value))?,
        None => {
            let value = text(parser.value())?;
            if value.starts_with("--") {
                return Err(Usage(format!("--{name} needs a value (or is it `--{name}={value}`?)")));
            }
            value
        }
    };
    check_ends(flag, &format!("--{name}"), &value, false)?;
    Ok(value)
}

/// Refuses a value with something around it that is not part of it: control characters (the `\r` of a script with
/// Windows line ends) anywhere, and in a variable quotes and blanks too, which a shell would have taken away.
fn check_ends(flag: &Flag, source: &str, value: &str, is_wrapped: bool) -> Result<(), Usage> {
    if !is_wrapped && !has_end(value, char::is_control) {
        return Ok(());
    }
    let shown = if SECRETS.contains(&flag.name) { String::new() } else { format!(", {value:?},") };
    let what = "begins or ends with a quote, a blank or a control character";
    Err(Usage(format!("the value of {source}{shown} {what}")))
}

fn has_end(value: &str, is_wrong: fn(char) -> bool) -> bool {
    value.starts_with(is_wrong) || value.ends_with(is_wrong)
}

fn is_quoted(value: &str) -> bool {
    let inner = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).is_some()
}

fn text(value: Result<OsString, lexopt::Error>) -> Result<String, Usage> {
    let not_text = |value: OsString| Usage(format!("`{}` is not UTF-8", value.to_string_lossy()));
    value.map_err(usage)?.into_string().map_err(not_text)
}

fn usage(error: lexopt::Error) -> Usage {
    Usage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        assert_eq!(bytes("64K"), Some(65_536));
        assert_eq!(bytes("64MB"), Some(64 * 1024 * 1024));
        assert_eq!(bytes("12"), Some(12));
        assert_eq!(bytes("12 apples"), None);
        assert_eq!((bytes("0MB"), count::<u64>("0"), count("1_000")), (None, None, Some(1_000_u64)));
        assert_eq!(duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("soon"), None);
    }
}
