//! A chunk: bytes of a stream with the chunked coding of HTTP/1.1 around them (RFC 9112, section 7.1), made once and
//! shared by all receivers. A receiver that takes no chunks is sent the part between.

use super::queued::Queued;
use crate::event::Frame;
use std::sync::{Arc, OnceLock};

/// What delimits a stream on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Chunks (HTTP/1.1). A clean end is told from a broken connection, and clients that read block by block are
    /// given each chunk when it comes.
    Chunked,
    /// The end of the connection (HTTP/1.0).
    Identity,
}

/// The chunk that ends a body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What a chunk has around its data, at most.
pub const OVERHEAD_BYTES: usize = 2 * size_of::<usize>() + 4;

/// What stands behind the data of a chunk.
const CHUNK_END: &[u8] = b"\r\n";

/// Appends what `write` writes as one chunk, or in the other coding as it is, without a buffer of its own. It is not
/// empty, for an empty chunk would end the stream.
pub fn append(bytes: &mut Vec<u8>, coding: Coding, write: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    write(bytes);
    if coding == Coding::Chunked {
        let head = format!("{:x}\r\n", bytes.len() - start);
        bytes.splice(start..start, head.into_bytes());
        bytes.extend_from_slice(CHUNK_END);
    }
}

/// Some bytes, and the chunk that they are.
#[derive(Debug, Clone)]
pub struct Chunk {
    bytes: Frame,
    /// Where the data begins.
    data: usize,
    /// Set once a queue holds the chunk; all queues share it.
    queued: Arc<OnceLock<Queued>>,
}

impl Chunk {
    /// Joins the parts. Together they are not empty, for an empty chunk would end the stream.
    pub fn new<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone) -> Chunk {
        let data_bytes: usize = parts.clone().map(<[u8]>::len).sum();
        let head = format!("{data_bytes:x}\r\n");
        let mut bytes = Vec::with_capacity(head.len() + data_bytes + CHUNK_END.len());
        bytes.extend_from_slice(head.as_bytes());
        parts.for_each(|part| bytes.extend_from_slice(part));
        bytes.extend_from_slice(CHUNK_END);
        Chunk { bytes: bytes.into(), data: head.len(), queued: Arc::default() }
    }

    /// The bytes to send in this coding, as a range of [`Chunk::frame`].
    pub fn range(&self, coding: Coding) -> std::ops::Range<usize> {
        match coding {
            Coding::Chunked => 0..self.bytes.len(),
            Coding::Identity => self.data..self.bytes.len() - CHUNK_END.len(),
        }
    }

    /// The whole chunk.
    pub fn frame(&self) -> &Frame {
        &self.bytes
    }

    /// Counts its bytes among those that queues hold, once, until the last of what is given here is dropped.
    pub(super) fn queue(&self) -> Arc<OnceLock<Queued>> {
        self.queued.get_or_init(|| Queued::bytes(self.bytes.len()));
        self.queued.clone()
    }

    /// How many bytes of data it has.
    pub fn data_bytes(&self) -> usize {
        self.range(Coding::Identity).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_its_data_with_the_size_before_it() {
        let chunk = Chunk::new([&b"data: "[..], b"0123456789", b"\n\n"].into_iter());
        assert_eq!(&chunk.frame()[chunk.range(Coding::Chunked)], b"12\r\ndata: 0123456789\n\n\r\n");
        assert_eq!(&chunk.frame()[chunk.range(Coding::Identity)], b"data: 0123456789\n\n");
        assert_eq!(chunk.data_bytes(), 18);
        for coding in [Coding::Chunked, Coding::Identity] {
            let mut bytes = b"before".to_vec();
            append(&mut bytes, coding, |bytes| bytes.extend_from_slice(b"data: 0123456789\n\n"));
            assert_eq!(bytes, [b"before", &chunk.frame()[chunk.range(coding)]].concat());
        }
    }
}
