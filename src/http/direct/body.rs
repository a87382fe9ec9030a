//! Reading a body: a number of bytes, or chunks, with one limit and one deadline for both.

use super::head::Framing;
use super::source::Source;
use crate::error::Error;
use crate::os::deadline::Deadline;
use std::io;

/// The most bytes of trailer fields behind the last chunk. They are read and forgotten; more are answered
/// 400.
const TRAILER_BYTES_MAX: usize = 4 * 1024;

/// The longest line that announces a chunk, with its extensions. A longer one is answered 400.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// Why there is no body.
#[derive(Debug)]
pub(super) enum Failure {
    /// The sender is told why.
    Refused(Error),
    /// The connection has ended, so there is nobody to tell.
    Closed,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Refused(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::TimedOut => Failure::Refused(Error::Timeout("body")),
            _ => Failure::Closed,
        }
    }
}

/// Takes the body from the source, at most `bytes_max` bytes and within the deadline. A longer one is
/// refused with [`Error::TooLarge`], and what is over the limit is neither read nor given room.
pub(super) fn read(
    source: &mut Source,
    framing: Framing,
    bytes_max: usize,
    mut deadline: Deadline,
) -> Result<Vec<u8>, Failure> {
    match framing {
        Framing::Length(bytes) if bytes > bytes_max => Err(Error::TooLarge { bytes_max }.into()),
        Framing::Length(bytes) => Ok(source.take(bytes, &mut deadline)?),
        Framing::Chunked => read_chunks(source, bytes_max, &mut deadline),
    }
}

/// RFC 9112, section 7.1.
fn read_chunks(source: &mut Source, bytes_max: usize, deadline: &mut Deadline) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let chunk_bytes = read_chunk_size(source, deadline)?;
        if chunk_bytes == 0 {
            break;
        }
        if chunk_bytes > (bytes_max - body.len()) as u64 {
            return Err(Error::TooLarge { bytes_max }.into());
        }
        body.extend(source.take(chunk_bytes as usize, deadline)?);
        if source.take(2, deadline)? != b"\r\n" {
            return Err(Error::bad("a chunk is longer than its size says").into());
        }
    }
    let mut trailer_bytes = 0;
    loop {
        let line = read_line(source, TRAILER_BYTES_MAX - trailer_bytes, deadline)?;
        trailer_bytes += line.len();
        if line == b"\r\n" {
            return Ok(body);
        }
    }
}

fn read_chunk_size(source: &mut Source, deadline: &mut Deadline) -> Result<u64, Failure> {
    let line = read_line(source, CHUNK_LINE_BYTES_MAX, deadline)?;
    // The library reads a size without digits as zero, and takes a lone CR for the end of a line. Either
    // would let what follows be read in two ways.
    let is_plain = line[0].is_ascii_hexdigit() && line.iter().filter(|&&byte| byte == b'\r').count() == 1;
    match httparse::parse_chunk_size(&line) {
        Ok(httparse::Status::Complete((_, bytes))) if is_plain => Ok(bytes),
        _ => Err(Error::bad("the size of a chunk is not a hexadecimal number").into()),
    }
}

/// A line with its CRLF.
fn read_line(source: &mut Source, bytes_max: usize, deadline: &mut Deadline) -> Result<Vec<u8>, Failure> {
    loop {
        let end = source.buffered().iter().position(|&byte| byte == b'\n');
        let bytes = end.map_or(source.buffered().len(), |index| index + 1);
        if bytes > bytes_max {
            return Err(Error::bad("a line between the chunks is too long").into());
        }
        let Some(end) = end else {
            source.fill_within(deadline)?;
            continue;
        };
        let line = source.take(end + 1, deadline)?;
        if !line.ends_with(b"\r\n") {
            return Err(Error::bad("a line between the chunks does not end in CRLF").into());
        }
        return Ok(line);
    }
}
