//! Routes without a page: the topic API, the history, health, access, tickets.

pub mod access;
pub mod health;
pub mod history;
pub mod lines;
pub mod tickets;
pub mod topics;
