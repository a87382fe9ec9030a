//! Publishers, of two kinds: one sends on without waiting for answers, the other waits for each. And
//! many of them together.

mod filler;
mod pipelined;
mod team;
mod waiting;

pub use filler::fill;
pub use pipelined::PipelinedPublisher;
pub use team::Team;
pub use waiting::WaitingPublisher;
