//! The command line, the documents, and the library with the programs under `examples/`.

mod commands; // what the commands print and how they end
mod docs; // the documents show what happens
mod examples; // the examples run
mod library; // callout inside another program
