//! HTTP, on real sockets: what both listeners take, refuse and survive.

mod bodies; // what a body is said to be, and is
mod burst; // many connections at the same instant
mod chunks; // bodies that come in chunks
mod clients; // the client's address, also behind a proxy
mod connections; // deadlines, limits and room for connections
mod encodings; // bodies that are compressed, or begin with a byte order mark
mod ending; // nothing is left of a listener that ended
mod errors; // every status that is an error, in one form
mod files; // the files under `www/`
mod framing; // heads that could be read in two ways
mod heads; // heads good and bad, and how long a connection lasts
mod health; // live, ready, and how long it stays
mod methods; // every method on every path
mod room; // who makes room for a newcomer
mod steady; // what is slow and flows, and what is slow and does not
mod strict; // HTTP/1.1 to the letter
mod sums; // what many clients together make the server hold
mod tiny; // the other listener
mod unread; // what answers hold while nobody reads them
