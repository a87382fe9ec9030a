//! The pages: small applications on the hub. Each has its routes, its topics and its JSON, in a file of
//! its own, and a page of the same name under `www/`.

pub mod activity;
pub mod chat;
pub mod check;
pub mod notifications;
pub mod posts;
pub mod wall;
