//! An entry of the index: where an event stands, and whether it is kept.

use crate::event::Id;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Kept,
    Retracted,
    /// It is no more, and is cleared away later.
    Removed,
}

/// Where an event stands. Packed, since there is one for each event.
#[derive(Clone, Copy)]
#[repr(Rust, packed(2))]
pub(super) struct Entry {
    pub(super) key: u64,
    /// The offset in the segment in units of eight bytes, and in the two lowest bits the condition.
    place: u32,
    /// The lowest bits of the segment's number.
    pub(super) segment: u16,
}

impl Entry {
    pub(super) fn new(id: Id, segment: u64, offset: u64, condition: Condition) -> Entry {
        // A segment ends far below 8 GB.
        let place = ((offset / 8) as u32) << 2 | condition as u32;
        Entry { key: id.key(), place, segment: segment as u16 }
    }

    pub(super) fn id(self) -> Id {
        Id::from_key(self.key)
    }

    pub(super) fn condition(self) -> Condition {
        match self.place & 3 {
            0 => Condition::Kept,
            1 => Condition::Retracted,
            _ => Condition::Removed,
        }
    }

    pub(super) fn set_condition(&mut self, condition: Condition) {
        self.place = self.place & !3 | condition as u32;
    }

    pub(super) fn offset(self) -> u64 {
        u64::from(self.place >> 2) * 8
    }
}
