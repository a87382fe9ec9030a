//! Publishers, of two kinds: one sends on without waiting for answers, the other waits for each.

mod pipelined;
mod waiting;

pub use pipelined::PipelinedPublisher;
pub use waiting::WaitingPublisher;
