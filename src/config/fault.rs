//! What is wrong with a file, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a file; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

/// Something that is wrong with a file. `Display` says where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// Where in it; nothing where it could not be read.
    pub position: Option<Position>,
    /// What is wrong.
    pub why: String,
}

impl Fault {
    pub(super) fn of_file(path: &Path, why: String) -> Fault {
        Fault { path: path.into(), position: None, why }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.why)
    }
}

/// The text of a file, in which offsets become positions.
pub(super) struct Text<'a> {
    path: &'a Path,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> Text<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Text<'a> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Text { path, text, lines }
    }

    pub(super) fn position(&self, at: usize) -> Position {
        let line = self.lines.partition_point(|begin| *begin <= at);
        let begin = self.lines[line - 1];
        Position {
            line,
            column: self.text[begin..].char_indices().take_while(|(byte, _)| begin + byte < at).count() + 1,
        }
    }

    pub(super) fn fault(&self, at: usize, why: String) -> Fault {
        Fault { path: self.path.into(), position: Some(self.position(at)), why }
    }
}
