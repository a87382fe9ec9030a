//! A body: a number of bytes, or chunks, taken from what has come so far.
//!
//! Nothing here waits. A body that is still coming is asked for again when more has come.

use super::head::Framing;
use super::source::Source;
use crate::error::Error;

/// The most bytes of trailer fields behind the last chunk. They are read and forgotten; more are answered
/// 400.
const TRAILER_BYTES_MAX: usize = 4 * 1024;

/// The longest line that announces a chunk, with its extensions. A longer one is answered 400.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// How chunks are written.
const CHUNKS: &str =
    "write each chunk as its size in hexadecimal, CRLF, so many bytes, CRLF; and `0`, CRLF, CRLF at the end";

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body {
    bytes_max: usize,
    stage: Stage,
    /// What has come of a body in chunks.
    taken: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// So many bytes, which stay in the source until all of them are there.
    Length(usize),
    /// The line that announces a chunk.
    Size,
    /// A chunk of so many bytes, and the line end behind it.
    Chunk(usize),
    /// The lines behind the last chunk, of which so many bytes have come.
    Trailer(usize),
}

impl Body {
    /// A body of at most `bytes_max` bytes. [`Error::too_large`] if it is known to be longer; what is over the limit is
    /// neither read nor given room.
    pub(super) fn new(framing: Framing, bytes_max: usize) -> Result<Body, Error> {
        let stage = match framing {
            Framing::Length(bytes) if bytes > bytes_max => return Err(Error::too_large(bytes_max)),
            Framing::Length(bytes) => Stage::Length(bytes),
            Framing::Chunked => Stage::Size,
        };
        Ok(Body { bytes_max, stage, taken: Vec::new() })
    }

    /// Bytes that were taken from the source so far.
    pub(super) fn held_bytes(&self) -> usize {
        self.taken.len()
    }

    /// Takes what has come. Some once the body is complete; none if more has to come first.
    pub(super) fn read(&mut self, source: &mut Source) -> Result<Option<Vec<u8>>, Error> {
        loop {
            match self.stage {
                Stage::Length(bytes) => return Ok(take(source, bytes)),
                Stage::Size => {
                    let Some(line) = read_line(source, CHUNK_LINE_BYTES_MAX)? else { return Ok(None) };
                    self.stage = match chunk_size(&line)? {
                        0 => Stage::Trailer(0),
                        bytes if bytes > (self.bytes_max - self.taken.len()) as u64 => {
                            return Err(Error::too_large(self.bytes_max));
                        }
                        bytes => Stage::Chunk(bytes as usize),
                    };
                }
                Stage::Chunk(bytes) => {
                    let Some(chunk) = take(source, bytes + 2) else { return Ok(None) };
                    let Some(chunk) = chunk.strip_suffix(b"\r\n") else {
                        return Err(Error::bad("a chunk is longer than its size says").hint(CHUNKS));
                    };
                    self.taken.extend_from_slice(chunk);
                    self.stage = Stage::Size;
                }
                Stage::Trailer(bytes) => {
                    let Some(line) = read_line(source, TRAILER_BYTES_MAX - bytes)? else { return Ok(None) };
                    if line == b"\r\n" {
                        return Ok(Some(std::mem::take(&mut self.taken)));
                    }
                    self.stage = Stage::Trailer(bytes + line.len());
                }
            }
        }
    }
}

/// Exactly so many bytes, once they are there.
fn take(source: &mut Source, bytes: usize) -> Option<Vec<u8>> {
    let taken = source.buffered().get(..bytes)?.to_vec();
    source.skip(bytes);
    Some(taken)
}

/// RFC 9112, section 7.1.
fn chunk_size(line: &[u8]) -> Result<u64, Error> {
    // The library reads a size without digits as zero, and takes a lone CR for the end of a line. Either
    // would let what follows be read in two ways.
    let is_plain = line[0].is_ascii_hexdigit() && line.iter().filter(|&&byte| byte == b'\r').count() == 1;
    match httparse::parse_chunk_size(line) {
        Ok(httparse::Status::Complete((_, bytes))) if is_plain => Ok(bytes),
        _ => Err(Error::bad("the size of a chunk is not a hexadecimal number").hint(CHUNKS)),
    }
}

/// A line with its CRLF, once it is there.
fn read_line(source: &mut Source, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
    let end = source.buffered().iter().position(|&byte| byte == b'\n');
    let bytes = end.map_or(source.buffered().len(), |index| index + 1);
    if bytes > bytes_max {
        return Err(Error::bad("a line between the chunks is too long").hint(CHUNKS));
    }
    let line = end.and_then(|_| take(source, bytes));
    match line {
        Some(line) if !line.ends_with(b"\r\n") => {
            Err(Error::bad("a line between the chunks does not end in CRLF").hint(CHUNKS))
        }
        line => Ok(line),
    }
}
