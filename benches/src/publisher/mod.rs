//! Publishers: one waits for each answer, the other sends the next request without waiting. And many
//! of them together.

mod filler;
mod pipelined;
mod team;
mod waiting;

pub use filler::fill;
pub use pipelined::PipelinedPublisher;
pub use team::{Team, Work};
pub use waiting::WaitingPublisher;
