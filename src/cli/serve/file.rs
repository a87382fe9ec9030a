//! The configuration file of `serve`, beneath its flags and variables.

use super::super::{Failure, Flags, Usage};
use super::flags;
use crate::config::{self, Configuration, Fault};
use crate::server::Config;
use std::path::{Path, PathBuf};

/// Flags with what the file says, and what the file says beside that.
pub(in crate::cli) struct FromFile {
    pub(in crate::cli) flags: Flags,
    /// None where no file was named.
    pub(in crate::cli) path: Option<PathBuf>,
    pub(in crate::cli) configuration: Configuration,
}

/// Reads the file that `--config` names, if it does.
pub(in crate::cli) fn read(flags: &Flags) -> Result<FromFile, Failure> {
    let Some(path) = flags.text("config").map(PathBuf::from) else {
        return Ok(FromFile { flags: flags.clone(), path: None, configuration: Configuration::default() });
    };
    let configuration = parse(&path).map_err(|faults| Failure::Work(told(&path, &faults)))?;
    let flags = flags.with_file(&flags::COMMAND, &path, &configuration.settings);
    Ok(FromFile { flags, path: Some(path), configuration })
}

pub(in crate::cli) fn parse(path: &Path) -> Result<Configuration, Vec<Fault>> {
    let keys: Vec<_> =
        flags::COMMAND.flags.iter().filter(|flag| flag.name != "config").map(|flag| flag.key()).collect();
    config::read(path, &keys)
}

impl FromFile {
    /// The settings of a server with so many descriptors.
    pub(in crate::cli) fn config(self, descriptors: usize) -> Result<Config, Failure> {
        let config = flags::config(&self.flags, descriptors).map_err(|failure| self.located(failure))?;
        let (tickets, issuers) = self.configuration.keys().map_err(Failure::Work)?;
        let rules_may_change = self.path.is_some();
        Ok(Config { rules: self.configuration.rules, rules_may_change, tickets, issuers, ..config })
    }

    /// A failure with its place in the file, if the file is at fault.
    fn located(&self, failure: Failure) -> Failure {
        let located = match &failure {
            Failure::Usage(Usage(why)) | Failure::Work(why) => self.flags.located(why),
            Failure::Unread => None,
        };
        located.map_or(failure, Failure::Work)
    }
}

/// The first fault, and how to see the others.
fn told(path: &Path, faults: &[Fault]) -> String {
    match faults {
        [only] => only.to_string(),
        [first, others @ ..] => {
            let (count, path) = (others.len(), path.display());
            format!("{first}; and {count} more, which `callout check-config {path}` lists")
        }
        [] => format!("{}: it is wrong", path.display()),
    }
}
