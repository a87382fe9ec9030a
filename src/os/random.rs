//! Random bytes for secrets, from the kernel.

use std::fs::File;
use std::io::{self, Read};

/// So many bytes that nobody can guess.
pub fn bytes<const COUNT: usize>() -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
