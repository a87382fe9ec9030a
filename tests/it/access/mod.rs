//! Who may publish and read, and from which sites.

mod hosts; // names under which the server is asked for
mod origins; // CORS, and requests from pages of other sites
mod retract; // who may retract events
