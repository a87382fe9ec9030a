//! Routes without a page: the topic API, the history, health, tickets.

pub mod health;
pub mod history;
pub mod lines;
pub mod tickets;
pub mod topics;
