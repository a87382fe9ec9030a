//! What was taken back: what a user, a ticket or a token was given until a moment is void, what is given later is not.
//!
//! Nothing that was taken back becomes valid again: not by a restart, not by a clock that is set back, and not because the
//! list is full. An entry is dropped when all that it concerns has ended; what is dropped earlier for want of room makes all
//! void that was given before it, whose it ever was. Memory and disk are changed in this order, so that what is void is so
//! at once, and an answer comes when it also survives a restart.

mod file;
mod list;

pub use list::REVOKED_MAX;

use super::claims::Claims;
use super::moment::{Moment, Stamps};
use super::ticket::TICKET_LEEWAY;
use crate::disk::{FileFolder, Folder};
use file::RevokedFile;
use list::{List, Record};
use parking_lot::{Mutex, RwLock};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How far ahead a moment is written down up to which tickets may have been given. Until then giving tickets writes nothing.
/// A restart goes on behind it, and others have to take a ticket from that far ahead.
const GIVEN_AHEAD: Duration = Duration::from_secs(30);
const _: () = assert!(GIVEN_AHEAD.as_secs() < TICKET_LEEWAY.as_secs());

/// The folder in the folder of a server's data.
const FOLDER: &str = "access";

/// Something to take back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Taken {
    /// All tickets and JWTs of a user.
    User(String),
    /// One ticket or JWT, by [`Claims::id`].
    Ticket(String),
    /// A token by its name, and all tickets that it asked for.
    Token {
        /// Its name.
        name: String,
        /// Hashes of its secrets of now, which are void; a later one is not. None where only its tickets are.
        secrets: Vec<String>,
    },
}

/// The list. Its methods may be called from any thread.
pub struct Revoked {
    list: RwLock<List>,
    stamps: Stamps,
    /// None where a restart forgets the list.
    file: Option<Mutex<RevokedFile>>,
}

impl Default for Revoked {
    /// An empty list that a restart forgets.
    fn default() -> Revoked {
        Revoked { list: RwLock::default(), stamps: Stamps::default(), file: None }
    }
}

impl Revoked {
    /// The list in a folder of its own in the folder of a server's data; see [`Revoked::open`].
    pub fn open_beside(data: &Path) -> Result<Revoked, String> {
        Revoked::open(Arc::new(FileFolder::of_writer(&data.join(FOLDER))?))
    }

    /// The list in this folder, or an empty one that is kept there. The error is for the operator: a damaged list is never
    /// taken for a shorter one.
    pub fn open(folder: Arc<dyn Folder>) -> Result<Revoked, String> {
        let mut list = List::default();
        let file = RevokedFile::open(folder, &mut list)?;
        let stamps = Stamps::default();
        stamps.pass(list.last());
        Ok(Revoked { list: RwLock::new(list), stamps, file: Some(Mutex::new(file)) })
    }

    /// Whether the list survives a restart.
    pub fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// The moment for a new ticket: later than each before, and than each revocation. The error is for the operator; then
    /// the ticket must not be given, since a revocation after a restart might not reach it.
    pub fn stamp(&self) -> Result<Moment, String> {
        let stamp = self.stamps.next();
        let is_written_down = || stamp <= self.list.read().given;
        let Some(file) = self.file.as_ref().filter(|_| !is_written_down()) else { return Ok(stamp) };
        let mut file = file.lock();
        // Another thread may have done it meanwhile.
        if !is_written_down() {
            let given = Record::Given(stamp.after(GIVEN_AHEAD));
            file.append(&given, &self.list.read())?;
            self.list.write().apply(given);
        }
        Ok(stamp)
    }

    /// The last moment that a ticket was given, as far as this server knows.
    pub fn last(&self) -> Moment {
        self.stamps.last()
    }

    /// A credential came that is valid. Its giver's clock may be ahead of this one's, and the next revocation has to reach it.
    pub fn saw(&self, claims: &Claims) {
        claims.issued.into_iter().for_each(|issued| self.stamps.pass(issued));
    }

    /// Makes void what was given until now. `ends` is when the last of it ends by itself; none if that is not known.
    /// The error is for the operator: it is void, but a restart might forget it.
    pub fn take_back(&self, taken: Taken, ends: Option<Moment>) -> Result<Moment, String> {
        let mut file = self.file.as_ref().map(Mutex::lock);
        let (until, record, is_to_rewrite) = {
            let mut list = self.list.write();
            let until = self.stamps.next();
            let was_full = list.make_room(Moment::now());
            let record = Record::of(taken, until, ends);
            list.apply(record.clone());
            (until, record, was_full)
        };
        if let Some(file) = &mut file {
            let list = self.list.read();
            if is_to_rewrite { file.rewrite(&list) } else { file.append(&record, &list) }?;
        }
        Ok(until)
    }

    /// Whether this ticket or JWT was taken back.
    pub fn is_void(&self, claims: &Claims) -> bool {
        self.list.read().is_void(claims)
    }

    /// Whether the token with this name and this hash of its secret was taken back.
    pub fn is_token_void(&self, name: &str, secret: &str) -> bool {
        self.list.read().is_token_void(name, secret)
    }
}

#[cfg(test)]
mod tests;
