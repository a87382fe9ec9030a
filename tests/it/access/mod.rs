//! Who may publish and read, and from which sites.

#[cfg(feature = "jwt")]
mod jwks; // keys at an address
mod credentials; // every state of each kind of credential, and every refusal
mod crowd; // a thousand streams of which a hundred lose their right
mod jwt; // what applications sign for their users
mod forged; // what a page of another site sends with the cookie of its visitor
mod hosts; // names under which the server is asked for
mod leaks; // what is refused is seen nowhere
mod limits; // what one client may take
mod origins; // CORS
mod proxied; // clients behind proxies that announce them
mod refusals; // what the log says of many refusals
mod retract; // who may retract events
mod rules; // what rules give, and what refusals say
mod tickets; // what a backend gives its users, and takes back
mod signing; // applications that sign themselves
mod site; // requests that pages of other sites make a browser send
mod revoked; // what was taken back, on a disk that fails
mod unseen; // what may not be read, looked for in every byte
