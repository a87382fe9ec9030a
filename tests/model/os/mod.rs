//! The program's hand-over and its pool, over locks and threads whose interleavings are chosen at random.

#[path = "../../../src/os/deadline.rs"]
pub mod deadline;
#[path = "../../../src/os/kernel.rs"]
pub mod kernel;
pub mod sync;
pub mod threads;
#[path = "../../../src/os/pool.rs"]
pub mod pool;
#[path = "../../../src/os/rest.rs"]
pub mod rest;

/// The memory of the model.
pub mod usage {
    /// So little that queues are full now and then: all of them together hold an eighth of it.
    pub fn memory_max() -> u64 {
        8 * 20_000
    }
}

/// The model's streams are few, and what they leave is nothing that the system would miss.
pub mod memory {
    pub fn give_back_soon() {}
}
