//! The promises, against real servers and real sockets. One file per page and per promise.

mod chat;
mod support;
