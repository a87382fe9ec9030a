//! Who may publish and read, and from which sites.

mod origins; // CORS and requests from pages of other sites
