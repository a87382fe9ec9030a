//! The command line, the documents, and the library with the programs under `examples/`.

mod commands; // what the commands print and how they end
mod config; // the configuration file, and the commands that belong to it
mod docs; // the documents show what happens
mod examples; // the examples run
mod library; // callout inside another program
mod listening; // which answers `callout listen` accepts, and when it ends or comes back
mod output; // standard output that is a terminal, is full, or is closed
mod remote; // which server the commands reach, and how they take its answers
mod settings; // the values of flags and variables
mod tickets; // made and explained without a server
mod starting; // what `callout serve` does with its folder, its terminal and its output
