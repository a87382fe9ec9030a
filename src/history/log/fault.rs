//! Why the log cannot be read or written, as text for the operator.

use std::fmt;
use std::io;
use std::path::Path;

/// What to do with a file that is damaged.
const ADVICE: &str =
    "restore the folder from a backup, or move the folder away to start with an empty history";

/// The text says what failed and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    /// The system refused something.
    pub(super) fn io(verb: &str, path: &Path, error: &io::Error) -> Fault {
        Fault(crate::disk::failed(verb, path, error))
    }

    /// A file is not what was written.
    pub(super) fn damaged(path: &Path, what: impl fmt::Display) -> Fault {
        Fault(format!("`{}` is damaged ({what}): {ADVICE}", path.display()))
    }

    /// A later version has written something, which is named.
    pub(super) fn newer(what: impl fmt::Display) -> Fault {
        Fault(format!("the history was written by a newer callout ({what}): use that one, or another --data"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
