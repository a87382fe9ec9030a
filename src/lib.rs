//! t
pub mod app;
pub mod cli;
pub mod client;
pub mod cors;
pub mod error;
pub mod event;
pub mod history;
pub mod http;
pub mod hub;
pub mod outlet;
pub mod pages;
pub mod presence;
pub mod routes;
pub mod server;
pub mod topic;
pub mod wire;
