//! The promises, against real servers and real sockets: a folder for each part of the program.

#![allow(clippy::unwrap_used)] // a test that meets what it does not expect fails

mod access; // who may publish and read
mod cli; // the command line and the examples
mod disk; // the history on disk
mod http; // the listeners
mod pages; // the pages' routes
mod posts; // posts, tags and feeds
mod stream; // what reaches a browser
mod support; // servers, sockets and browsers; no tests
