//! The pages' routes.

mod activity;
mod chat;
mod check;
mod notifications;
mod off; // pages that are switched off
mod wall;
