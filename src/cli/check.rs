//! `callout check-config FILE`: what is wrong with a configuration file, or who may do what by it.

use super::output::print;
use super::serve::file::{self, FromFile};
use super::{Command, Failure, Flag, Flags, Usage, serve};
use crate::access::{Area, Pattern, Rule, Who};
use crate::config::{Configuration, JwtKey};
use crate::server::{Config, settings};
use std::path::Path;

/// As many descriptors as no setting asks for: they are this machine's, not the file's.
const DESCRIPTORS: usize = 1 << 20;

/// The widest column of the table, in characters. A longer list is cut.
const COLUMN_CHARS_MAX: usize = 48;

pub(super) static COMMAND: Command = Command {
    name: "check-config",
    arguments: "[FILE]",
    about: "say what is wrong with a configuration file, or who may do what by it",
    flags: &[Flag { name: "config", value: "FILE", help: "the file, if it is no argument" }],
};

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let path = match flags.arguments.as_slice() {
        [path] => path,
        [] => flags.text("config").ok_or_else(|| Usage("check-config needs a FILE".into()))?,
        _ => return Err(Usage("check-config takes one FILE".into()).into()),
    };
    let path = Path::new(path);
    let (configuration, config) = check(path).map_err(|lines| {
        let count = lines.len();
        match lines.into_iter().try_for_each(|line| print(&format!("{line}\n"))) {
            Ok(()) => Failure::Work(format!(
                "{} has {count} fault{}",
                path.display(),
                if count == 1 { "" } else { "s" }
            )),
            Err(failure) => failure,
        }
    })?;
    print(&summary(path, &configuration, &config))
}

/// All that is wrong with a file, a line each.
fn check(path: &Path) -> Result<(Configuration, Config), Vec<String>> {
    let configuration =
        file::parse(path).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let with = |settings: &[_]| FromFile {
        flags: Flags::default().with_file(&serve::COMMAND, path, settings),
        path: Some(path.into()),
        configuration: configuration.clone(),
    };
    // One after the other, since the first that is wrong ends the reading.
    let alone = configuration.settings.iter().map(std::slice::from_ref);
    let wrong = alone.filter_map(|setting| with(setting).config(DESCRIPTORS).err().map(Failure::text));
    let mut wrong: Vec<String> = wrong.collect();
    // A key that is wrong is found with each setting.
    wrong.dedup();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let config = with(&configuration.settings).config(DESCRIPTORS).map_err(|failure| vec![failure.text()])?;
    let checked = settings::check(&config).and_then(|()| settings::rules(&config).map(|_| ()));
    checked.map_err(|error| vec![format!("{}: {error}", path.display())])?;
    Ok((configuration, config))
}

fn summary(path: &Path, configuration: &Configuration, config: &Config) -> String {
    let mut text = format!("{} is right.\n", path.display());
    match config.exposure() {
        Some(why) => text += &format!("Others than this machine can reach the server: {why}.\n"),
        None => text += "Only this machine can reach the server.\n",
    }
    text += "\n";
    let has_token = config.publish_token.is_some();
    let has_keys = configuration.tickets.is_some() || !configuration.jwts.is_empty();
    let rows: Vec<[String; 5]> = match (config.rules.is_empty(), has_token) {
        (true, false) if has_keys => vec![row("everybody", "", "", "", "")],
        (true, false) => vec![row("everybody", "*", "*", "all", "")],
        (true, true) => vec![row("everybody", "", "*", "all, but not to notify", "")],
        _ => config.rules.iter().map(of_rule).collect(),
    };
    let own = has_token.then(|| row("the publish token", "*", "*", "all", "history, retract"));
    text += &table(
        [row("who", "publish", "subscribe", "pages", "may")].into_iter().chain(rows).chain(own).collect(),
    );
    if !config.rules.is_empty() || has_keys && !has_token {
        text += "\nTokens and users may what everybody may, and what is signed in. What no line gives is refused.\n";
    }
    if let Some(tickets) = &configuration.tickets {
        let files: Vec<String> = tickets.key_files.iter().map(|file| file.display().to_string()).collect();
        text += &format!(
            "\nTickets are signed with {}; all of these are taken: {}.\n",
            files[0],
            files.join(", ")
        );
    }
    for jwt in &configuration.jwts {
        let (kind, key) = match &jwt.key {
            JwtKey::Hs256(file) => ("HS256", file.display().to_string()),
            JwtKey::Es256(file) => ("ES256", file.display().to_string()),
            JwtKey::Rs256(file) => ("RS256", file.display().to_string()),
            JwtKey::EdDsa(file) => ("EdDSA", file.display().to_string()),
            JwtKey::Jwks(address) => ("a JWKS", address.clone()),
        };
        let audience = jwt.audience.as_ref().map(|audience| format!(" for `{audience}`")).unwrap_or_default();
        text += &format!(
            "\nJWTs{audience} are taken by {kind}, {key}; the claim `{}` says what they give.\n",
            jwt.claim
        );
    }
    text
}

fn of_rule(rule: &Rule) -> [String; 5] {
    let who = match &rule.who {
        Who::Anonymous => "everybody".into(),
        Who::SignedIn => "signed in".into(),
        Who::Token { name, .. } => format!("the token {name}"),
    };
    let patterns = |patterns: &[Pattern]| list(patterns.iter().map(ToString::to_string));
    let pages = list(rule.pages.iter().map(|area: &Area| area.name().to_owned()));
    let may = list(rule.may.iter().map(|action| action.name().to_owned()));
    [who, patterns(&rule.publish), patterns(&rule.subscribe), pages, may]
}

fn row(who: &str, publish: &str, subscribe: &str, pages: &str, may: &str) -> [String; 5] {
    [who, publish, subscribe, pages, may].map(str::to_owned)
}

/// With commas between them, as far as a column is wide.
fn list(mut words: impl Iterator<Item = String>) -> String {
    let mut text = words.next().unwrap_or_default();
    while let Some(word) = words.next() {
        if text.chars().count() + word.chars().count() > COLUMN_CHARS_MAX {
            return format!("{text} and {} more", words.count() + 1);
        }
        text += &format!(", {word}");
    }
    text
}

fn table(rows: Vec<[String; 5]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| {
            let cell = if cell.is_empty() { "-" } else { cell };
            format!("{cell:<width$}")
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text += "\n";
    }
    text
}
