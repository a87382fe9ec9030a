//! Who may publish and read, and from which sites.

mod asked; // what whoever asks may do
mod credentials; // every state of each kind of credential, and every refusal
mod crowd; // a thousand streams of which a hundred lose their right
mod forged; // what a page of another site sends with the cookie of its visitor
mod hosts; // names under which the server is asked for
#[cfg(feature = "jwt")]
mod jwks; // keys at an address
mod jwt; // what applications sign for their users
mod leaks; // what is refused is seen nowhere
mod limits; // what one client may take
mod origins; // CORS
mod proxied; // clients behind proxies that announce them
mod refusals; // what the log says of many refusals
mod retract; // who may retract events
mod revoked; // what was taken back, on a disk that fails
mod rules; // what rules give, and what refusals say
mod signing; // applications that sign themselves
mod site; // requests that pages of other sites make a browser send
mod tickets; // what a backend gives its users, and takes back
mod unseen; // what may not be read, looked for in every byte
