//! Who may do what.

pub mod origins;
