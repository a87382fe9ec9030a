//! The configuration file: settings under the names of their flags, and rules, keys and issuers as tables.
//!
//! All of a file is read, and all that is wrong with it is said, each with its line and column. What it names is
//! relative to its folder. Secrets that stand in it, or in files that it names, are not shown.

mod fault;
mod keys;
mod near;
mod table;
mod value;

pub use fault::{Fault, Position};
pub use table::{Jwt, JwtKey, Tickets};

use crate::access::Rule;
use fault::Text;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use value::Values;

/// The largest file, in bytes. A larger one is refused.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The tables of a file that are no settings.
const TABLES: [&str; 4] = ["allow", "token", "tickets", "jwt"];

/// A flag that may stand in the file.
#[derive(Debug, Clone)]
pub struct Key {
    /// The flag's name with `_` in the place of `-`.
    pub name: String,
    /// It is on or off, and takes no value.
    pub is_switch: bool,
    /// It may be given several times.
    pub is_list: bool,
    /// Its value may be a path.
    pub is_path: bool,
}

/// What the file says for one flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// As the flag takes them. A setting that is a list may have none.
    pub values: Vec<String>,
    /// Where each of them stands.
    pub positions: Vec<Position>,
}

/// A file that is right, as far as it can be told without the flags' own values.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Settings by the names of their keys, in the order in which they stand there.
    pub settings: Vec<(String, Given)>,
    /// Who may do what.
    pub rules: Vec<Rule>,
    /// With what tickets are signed.
    pub tickets: Option<Tickets>,
    /// Whose JWTs are taken.
    pub jwts: Vec<Jwt>,
}

/// Reads a file in which these keys are known. Blocks while it is read, and the files that it names. The error lists what
/// is wrong with it, in the order of the lines.
pub fn read(path: &Path, keys: &[Key]) -> Result<Configuration, Vec<Fault>> {
    let text = open(path).map_err(|why| vec![Fault::of_file(path, why)])?;
    let (table, errors) = DeTable::parse_recoverable(&text);
    let text = Text::new(path, &text);
    let mut faults: Vec<Fault> = errors
        .iter()
        .map(|error| {
            let at = error.span().map_or(0, |span| span.start);
            text.fault(at, format!("this is no TOML: {}", error.message().trim_end_matches('.')))
        })
        .collect();
    // What is said about a file that is only half understood may be wrong.
    if !faults.is_empty() {
        return Err(faults);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut values = Values { text: &text, folder, faults: &mut faults };
    let mut configuration = Configuration::default();
    for (key, value) in table.get_ref() {
        match &**key.get_ref() {
            "allow" => configuration.rules.extend(table::all(&mut values, key, value, table::allow)),
            "token" => {
                let mut seen = HashMap::new();
                let tokens = table::all(&mut values, key, value, |values, table, at| {
                    table::token(&mut seen, values, table, at)
                });
                configuration.rules.extend(tokens);
            }
            "jwt" => configuration.jwts = table::all(&mut values, key, value, table::jwt),
            "tickets" => configuration.tickets = table::tickets(&mut values, value),
            name => match keys.iter().find(|key| key.name == name) {
                Some(known) => {
                    configuration
                        .settings
                        .extend(values.setting(known, value).map(|given| (name.into(), given)));
                }
                None => values.unknown_key(key, keys.iter().map(|key| &*key.name).chain(TABLES)),
            },
        }
    }
    if faults.is_empty() {
        configuration.settings.sort_by_key(|(_, given)| given.positions.first().copied());
        return Ok(configuration);
    }
    faults.sort_by_key(|fault| fault.position);
    Err(faults)
}

fn open(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("failed to open it: {error}"))?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| format!("failed to read it: {error}"))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it has more than {} MB", FILE_BYTES_MAX / (1024 * 1024)));
    }
    Ok(text)
}

/// A key or a value of the file, with where it stands.
type Value<'a> = Spanned<DeValue<'a>>;
