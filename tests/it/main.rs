//! The promises, against real servers and real sockets. One file per page and per promise.

#![allow(clippy::unwrap_used)] // a test that meets what it does not expect fails

mod activity;
mod burst;
mod chat;
mod check;
mod chunks;
mod cli;
mod connections;
mod cors;
mod disk;
mod drain;
mod events;
mod examples;
mod files;
mod framing;
mod hostile;
mod http;
mod methods;
mod notifications;
mod outlet;
mod posts;
mod replay;
mod restart;
mod shortage;
mod tiny;
mod topics;
mod wall;
mod support;
