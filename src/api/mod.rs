//! Routes without a page: the topic API, the history, health.

pub mod health;
pub mod history;
pub mod lines;
pub mod topics;
