//! A file that `redb` may read and never changes: what it writes, as when it repairs a file after a kill, stays in memory.

use parking_lot::Mutex;
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const PAGE_BYTES: u64 = 4096;

#[derive(Debug)]
pub(super) struct Unchanged {
    file: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// Pages that were written, by their number.
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Unchanged {
    pub(super) fn new(file: File) -> io::Result<Unchanged> {
        let state = State { length: file.metadata()?.len(), pages: BTreeMap::new() };
        Ok(Unchanged { file, state: Mutex::new(state) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().length == 0
    }

    /// A page as it is in the file, with zeros behind its end.
    fn page(&self, number: u64) -> io::Result<Vec<u8>> {
        let (mut page, mut filled) = (vec![0; PAGE_BYTES as usize], 0);
        while filled < page.len() {
            match self.file.read_at(&mut page[filled..], number * PAGE_BYTES + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }
}

/// The pieces of a range, each within one page: the page, the offset in it, and the offset in the range.
fn pieces(offset: u64, count: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let in_page = (at % PAGE_BYTES) as usize;
        let piece = done..count.min(done + PAGE_BYTES as usize - in_page);
        done = piece.end;
        (!piece.is_empty()).then_some((at / PAGE_BYTES, in_page, piece))
    })
}

impl StorageBackend for Unchanged {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        if offset + out.len() as u64 > state.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, in_page, piece) in pieces(offset, out.len()) {
            let piece = &mut out[piece];
            match state.pages.get(&number) {
                Some(page) => piece.copy_from_slice(&page[in_page..in_page + piece.len()]),
                None => piece.copy_from_slice(&self.page(number)?[in_page..in_page + piece.len()]),
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.state.lock().length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        for (number, in_page, piece) in pieces(offset, data.len()) {
            let page = match state.pages.entry(number) {
                Entry::Occupied(page) => page.into_mut(),
                Entry::Vacant(vacant) => vacant.insert(self.page(number)?),
            };
            page[in_page..in_page + piece.len()].copy_from_slice(&data[piece]);
        }
        Ok(())
    }
}
