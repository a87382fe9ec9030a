//! Streams: what reaches a browser, in which order, and how a stream ends.

mod coding; // chunks, and streams without them
mod crowds; // thousands who are slow, each in one of the ways that there are
mod drain; // a server that stops tells everyone when to come back
mod gaps; // a history that fails, trims or runs ahead while a stream begins
mod events; // what an event looks like on the wire
mod forms; // events that say more than the standard has
mod lines; // many events in one request
mod memory; // what many streams may hold together
mod outlet; // straight into the socket, or through a thread
mod replay; // coming back with an id
mod restart; // a server that was killed and is there again
mod selectors; // streams of prefixes
mod shortage; // no descriptors, no threads, no memory
mod topics; // the topic API
