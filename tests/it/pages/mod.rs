//! The pages' routes.

mod activity;
mod chat;
mod check;
mod notifications;
mod wall;
