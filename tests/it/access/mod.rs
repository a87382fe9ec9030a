//! Who may publish and read, and from which sites.

#[cfg(feature = "jwt")]
mod jwks; // keys at an address
mod jwt; // what applications sign for their users
mod asked; // what whoever asks may do
mod hosts; // names under which the server is asked for
mod leaks; // what is refused is seen nowhere
mod limits; // what one client may take
mod origins; // CORS
mod proxied; // clients behind proxies that announce them
mod refusals; // what the log says of many refusals
mod retract; // who may retract events
mod rules; // what rules give, and what refusals say
mod tickets; // what a backend gives its users, and takes back
mod site; // requests that pages of other sites make a browser send
mod revoked; // what was taken back, on a disk that fails
