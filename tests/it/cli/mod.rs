//! The command line, and the programs under `examples/`.

mod commands; // what the commands print and how they end
mod examples; // the examples run
