//! A segment: one file of the log, and how records are read from it.
//!
//! | name | what it is |
//! |---|---|
//! | `N.new` | one that is being made; nothing in it counts |
//! | `N.open` | one that is written to, or was when the process ended |
//! | `N.log` | a sealed one: complete, with a summary at its end |
//!
//! The name says whether a segment is complete, so one that was cut short is known to be damaged. A segment begins with
//! a header of 32 bytes: a mark, the version of the layout, a checksum of what follows, its number, its salt.

use super::fault::Fault;
use super::record::{self, Record};
use crate::disk::{File, Folder};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the first record stands.
pub(super) const HEADER_BYTES: u64 = 32;

const MARK: [u8; 8] = *b"callout\n";

/// The version of the layout. A segment of a newer one is refused.
const VERSION: u32 = 1;

/// What a sealed segment ends with, behind the offset of its summary.
const SEAL: [u8; 8] = *b"sealed.\n";
pub(super) const TRAILER_BYTES: u64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unfinished,
    Open,
    Sealed,
}

/// The name of a segment's file.
pub(super) fn name(number: u64, kind: Kind) -> String {
    let ending = match kind {
        Kind::Unfinished => "new",
        Kind::Open => "open",
        Kind::Sealed => "log",
    };
    format!("{number:016x}.{ending}")
}

/// The number and the kind in the name of a segment's file; none for another file.
pub(super) fn parse(file: &str) -> Option<(u64, Kind)> {
    let (number, ending) = file.split_once('.')?;
    let kind = match ending {
        "new" => Kind::Unfinished,
        "open" => Kind::Open,
        "log" => Kind::Sealed,
        _ => return None,
    };
    let number = u64::from_str_radix(number, 16).ok()?;
    (name(number, kind) == file).then_some((number, kind))
}

/// A segment that can be read. One that is removed can be read by those who have it.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) salt: u64,
    pub(super) file: Arc<dyn File>,
    /// Its name when it was opened, for messages.
    pub(super) path: PathBuf,
}

impl Segment {
    /// Makes a file for a new segment, and gives the bytes that it has to begin with.
    pub(super) fn create(folder: &dyn Folder, number: u64) -> Result<(Segment, Vec<u8>), Fault> {
        let (unfinished, name) = (name(number, Kind::Unfinished), name(number, Kind::Open));
        let path = folder.path().join(name);
        let file = folder.create(&unfinished).map_err(|error| Fault::io("create", &path, &error))?;
        let salt = RandomState::new().build_hasher().finish();
        let segment = Segment { number, salt, file, path };
        let header = segment.header();
        Ok((segment, header))
    }

    /// Opens a segment that is there, and checks its header.
    pub(super) fn open(folder: &dyn Folder, number: u64, kind: Kind) -> Result<Segment, Fault> {
        let name = name(number, kind);
        let path = folder.path().join(&name);
        let file = folder.open(&name).map_err(|error| Fault::io("open", &path, &error))?;
        let mut header = [0; HEADER_BYTES as usize];
        let read = file.read_at(&mut header, 0).map_err(|error| Fault::io("read", &path, &error))?;
        if read < header.len() || header[..8] != MARK {
            return Err(Fault::damaged(&path, "it does not begin as a part of a history does"));
        }
        let version = u32::from_le_bytes(header[8..12].try_into().expect("four bytes"));
        if version > VERSION {
            let (path, known) = (path.display(), VERSION);
            return Err(Fault::newer(format!("`{path}` has layout {version}, this one knows {known}")));
        }
        let number_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let segment = Segment { number, salt: number_at(24), file, path };
        if segment.header() != header || number_at(16) != number {
            return Err(Fault::damaged(&segment.path, "its header does not agree with its checksum"));
        }
        Ok(segment)
    }

    fn header(&self) -> Vec<u8> {
        let rest = [self.number.to_le_bytes(), self.salt.to_le_bytes()].concat();
        let checksum = crc32fast::hash(&rest).to_le_bytes();
        [&MARK[..], &VERSION.to_le_bytes(), &checksum, &rest].concat()
    }

    pub(super) fn length(&self) -> Result<u64, Fault> {
        self.file.length().map_err(|error| Fault::io("read", &self.path, &error))
    }

    /// Where the summary of a sealed segment stands.
    pub(super) fn summary_offset(&self) -> Result<u64, Fault> {
        let cut_short = || Fault::damaged(&self.path, "its end is missing");
        let length = self.length()?;
        let at = length.checked_sub(TRAILER_BYTES).filter(|at| *at >= HEADER_BYTES).ok_or_else(cut_short)?;
        let trailer = self.read(at, TRAILER_BYTES as usize)?;
        let offset = trailer.first_chunk().map(|offset| u64::from_le_bytes(*offset)).unwrap_or_default();
        let is_sealed = trailer.ends_with(&SEAL) && (HEADER_BYTES..at).contains(&offset);
        if is_sealed { Ok(offset) } else { Err(cut_short()) }
    }

    /// What a sealed segment ends with.
    pub(super) fn trailer(summary_offset: u64) -> [u8; TRAILER_BYTES as usize] {
        let mut trailer = [0; TRAILER_BYTES as usize];
        trailer[..8].copy_from_slice(&summary_offset.to_le_bytes());
        trailer[8..].copy_from_slice(&SEAL);
        trailer
    }

    /// Reads up to so many bytes; fewer where the file ends.
    pub(super) fn read(&self, offset: u64, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; count];
        let read = self.file.read_at(&mut bytes, offset);
        let read = read.map_err(|error| Fault::io("read", &self.path, &error))?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// A piece of a segment in memory, from which several records can be read with one system call.
#[derive(Default)]
pub(super) struct Window {
    /// The number of the segment; none is 0.
    number: u64,
    offset: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The record at this offset, and how many bytes it takes. Where the piece has to be read, it is at least so long.
    pub(super) fn record(
        &mut self,
        segment: &Segment,
        offset: u64,
        piece_bytes: usize,
    ) -> Result<(Record<'_>, usize), Fault> {
        if !self.find(segment, offset, piece_bytes)? {
            return Err(Fault::damaged(
                &segment.path,
                format!("what stands at byte {offset} does not agree with its checksum"),
            ));
        }
        let bytes = self.from(offset);
        let record = record::decode(segment.salt, offset, bytes).expect("it was found");
        Ok((record?, record::length(bytes).expect("it was found")))
    }

    /// Whether a record that stands at this offset is in the piece as a whole.
    pub(super) fn holds(&self, segment: &Segment, offset: u64) -> bool {
        let end = self.offset + self.bytes.len() as u64;
        self.number == segment.number
            && (self.offset..end).contains(&offset)
            && record::length(self.from(offset)).is_some_and(|length| offset + length as u64 <= end)
    }

    /// Reads the piece, where that is needed; says whether there is a record at this offset.
    pub(super) fn find(&mut self, segment: &Segment, offset: u64, piece_bytes: usize) -> Result<bool, Fault> {
        let is_there = |window: &Window| record::decode(segment.salt, offset, window.from(offset)).is_some();
        if self.holds(segment, offset) && is_there(self) {
            return Ok(true);
        }
        // What is in memory may have been read before the record was written.
        self.fill(segment, offset, piece_bytes.max(record::HEAD_BYTES))?;
        if let Some(length) = record::length(self.from(offset))
            && length > self.bytes.len()
            && offset + length as u64 <= segment.length()?
        {
            self.fill(segment, offset, length)?;
        }
        Ok(is_there(self))
    }

    fn fill(&mut self, segment: &Segment, offset: u64, count: usize) -> Result<(), Fault> {
        self.bytes = Vec::new();
        self.bytes = segment.read(offset, count)?;
        (self.number, self.offset) = (segment.number, offset);
        Ok(())
    }

    fn from(&self, offset: u64) -> &[u8] {
        &self.bytes[(offset - self.offset) as usize..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_segment_it_is_and_how_complete() {
        for kind in [Kind::Unfinished, Kind::Open, Kind::Sealed] {
            assert_eq!(parse(&name(0x2a, kind)), Some((0x2a, kind)));
        }
        for other in ["lock", "2a.log", "000000000000002A.log", "000000000000002a.log.bak", ".log"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
