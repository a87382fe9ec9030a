//! Removes chunked framing from bytes that may be cut anywhere.
//!
//! The decoder gives slices of its input and copies nothing.

#[derive(Clone, Copy, Debug)]
pub enum Chunked {
    /// Reading the digits of a chunk's size.
    Size { chunk_bytes: usize },
    /// Past the digits, up to the end of the line; an extension is skipped.
    SizeEnd { chunk_bytes: usize },
    /// Inside a chunk.
    Data { left_bytes: usize },
    /// Past a chunk, up to the end of the line.
    DataEnd,
    /// Past the chunk of size zero: the body is at its end.
    Done,
}

impl Chunked {
    pub fn new() -> Chunked {
        Chunked::Size { chunk_bytes: 0 }
    }

    /// The next piece of the body, taken off the front of `bytes`; `None` when they are used up.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        loop {
            if let Chunked::Data { left_bytes } = *self {
                let (piece, rest) = bytes.split_at(left_bytes.min(bytes.len()));
                *bytes = rest;
                *self = match left_bytes - piece.len() {
                    0 => Chunked::DataEnd,
                    left_bytes => Chunked::Data { left_bytes },
                };
                return (!piece.is_empty()).then_some(piece);
            }
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            *self = self.after(byte);
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self, Chunked::Done)
    }

    /// The state after one byte of framing.
    fn after(self, byte: u8) -> Chunked {
        match self {
            Chunked::Size { chunk_bytes } => match (byte as char).to_digit(16) {
                Some(digit) => Chunked::Size { chunk_bytes: chunk_bytes * 16 + digit as usize },
                None => Chunked::SizeEnd { chunk_bytes },
            },
            Chunked::SizeEnd { chunk_bytes: 0 } if byte == b'\n' => Chunked::Done,
            Chunked::SizeEnd { chunk_bytes } if byte == b'\n' => Chunked::Data { left_bytes: chunk_bytes },
            Chunked::DataEnd if byte == b'\n' => Chunked::new(),
            unchanged => unchanged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_out_whole_however_they_are_cut() {
        let wire = b"5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
        for cut in 0..=wire.len() {
            let mut chunked = Chunked::new();
            let mut body = Vec::new();
            for mut part in [&wire[..cut], &wire[cut..]] {
                while let Some(piece) = chunked.next(&mut part) {
                    body.extend_from_slice(piece);
                }
            }
            assert_eq!(body, b"helloabcdefghijklmnopqrstuvwxyz");
            assert!(chunked.is_done());
        }
    }
}
