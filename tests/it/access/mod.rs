//! Who may publish and read, and from which sites.

mod hosts; // names under which the server is asked for
mod origins;
mod retract; // who may take events back // CORS and requests from pages of other sites
