//! The list on disk: a file that grows by a line for each change, `CHECKSUM JSON`. When most of it is of the past, a new one
//! takes its place.
//!
//! A line counts when it is synced. What a power cut leaves of a line at the end was never answered for, and is cut off.
//! Anything else that is wrong is an error: a shorter list would make valid what was taken back.

use super::list::{List, Record};
use crate::access::moment::Moment;
use crate::disk::{File, Folder, failed};
use std::io;
use std::sync::Arc;

const NAME: &str = "revoked";
const NEW_NAME: &str = "revoked.new";

/// The first line.
const HEADER: &str = "callout revoked 1";

/// The most bytes that are read. A longer file is none that callout wrote.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Lines of the past that a file may have beside as many as there are entries, before a new one is written.
const OLD_LINES_MAX: usize = 1_000;

pub(super) struct RevokedFile {
    folder: Arc<dyn Folder>,
    /// None after a failure: then nobody knows what is on the disk, and the next change writes a new file.
    file: Option<Arc<dyn File>>,
    length: u64,
    lines: usize,
}

impl RevokedFile {
    /// Opens the file and makes the list from it, or makes an empty file. Where nothing can be written, as on a full disk, the
    /// next change tries again. The error is for the operator.
    pub(super) fn open(folder: Arc<dyn Folder>, list: &mut List) -> Result<RevokedFile, String> {
        let path = folder.path().join(NAME);
        let mut opened = RevokedFile { folder, file: None, length: 0, lines: 0 };
        match opened.folder.open(NAME) {
            Ok(file) => {
                let bytes = read(&*file).map_err(|error| failed("read", &path, &error))?;
                parse(&bytes, list).map_err(|error| {
                    format!("`{}` is damaged: {error}. It says what was taken back: put a copy of it back, or change the \
                         keys of all tickets and remove it", path.display())
                })?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("open", &path, &error)),
        }
        list.drop_ended(Moment::now());
        // What was read is void all the same, and what cannot be written down later is refused then.
        if let Err(error) = opened.rewrite(list) {
            log::error!("{error}; no ticket can be given until it can be written");
        }
        Ok(opened)
    }

    /// Writes a change of the list behind the others. The list is the one of before or after it.
    pub(super) fn append(&mut self, record: &Record, list: &List) -> Result<(), String> {
        let is_long = self.lines > 2 * list.len() + OLD_LINES_MAX;
        let Some(file) = self.file.clone().filter(|_| !is_long) else {
            return self.write_anew(list.records().chain([record.clone()]));
        };
        self.folder.check()?;
        let line = line(record);
        if let Err(error) = file.write_at(line.as_bytes(), self.length).and_then(|()| file.sync()) {
            self.file = None;
            return Err(failed("write", &self.folder.path().join(NAME), &error));
        }
        self.length += line.len() as u64;
        self.lines += 1;
        Ok(())
    }

    /// Writes a new file in place of the one that is there.
    pub(super) fn rewrite(&mut self, list: &List) -> Result<(), String> {
        self.write_anew(list.records())
    }

    fn write_anew(&mut self, records: impl Iterator<Item = Record>) -> Result<(), String> {
        self.file = None;
        self.folder.check()?;
        let lines: Vec<String> = records.map(|record| line(&record)).collect();
        let text = checked(HEADER) + &lines.concat();
        let write = || {
            let file = self.folder.create(NEW_NAME)?;
            file.write_at(text.as_bytes(), 0)?;
            file.sync()?;
            self.folder.rename(NEW_NAME, NAME)?;
            self.folder.sync()?;
            Ok(file)
        };
        let file = write().map_err(|error| failed("write", &self.folder.path().join(NAME), &error))?;
        (self.file, self.length, self.lines) = (Some(file), text.len() as u64, lines.len());
        Ok(())
    }
}

fn read(file: &dyn File) -> io::Result<Vec<u8>> {
    let length = file.length()?;
    if length > FILE_BYTES_MAX {
        return Err(io::Error::other("it is too long"));
    }
    let mut bytes = vec![0; length as usize];
    let count = file.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Makes the list.
fn parse(bytes: &[u8], list: &mut List) -> Result<(), String> {
    let mut length = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is_last = length + line.len() == bytes.len();
        let Some(text) = line.strip_suffix(b"\n").and_then(unchecked) else {
            if index > 0 && is_last && is_torn(line) {
                break;
            }
            return Err(format!("its line {} is not what was written", index + 1));
        };
        if index == 0 && text != HEADER {
            return Err("it is of another version of callout".into());
        } else if index > 0 {
            let record =
                serde_json::from_str(text).map_err(|error| format!("its line {}: {error}", index + 1))?;
            list.apply(record);
        }
        length += line.len();
    }
    if length == 0 { Err("it is empty".into()) } else { Ok(()) }
}

/// Whether this last line can be what a power cut left of a write that was never answered for: its beginning, or zeros where
/// the bytes did not come to the disk. A whole line with a wrong byte is not.
fn is_torn(line: &[u8]) -> bool {
    let is_whole_but_its_end = line.split_last().is_some_and(|(_, text)| unchecked(text).is_some());
    (!line.ends_with(b"\n") || line.contains(&0)) && !is_whole_but_its_end
}

fn line(record: &Record) -> String {
    // A record is texts and numbers, which are always written.
    checked(&serde_json::to_string(record).unwrap_or_default())
}

/// The line of a text.
fn checked(text: &str) -> String {
    format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes()))
}

/// The text of a line without its end, if it is what was written.
fn unchecked(line: &[u8]) -> Option<&str> {
    let (sum, text) = str::from_utf8(line).ok()?.split_once(' ')?;
    (sum == format!("{:08x}", crc32fast::hash(text.as_bytes()))).then_some(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file with these records.
    pub(in crate::access::revoked) fn text_of(records: &[Record]) -> String {
        checked(HEADER) + &records.iter().map(line).collect::<String>()
    }
}
