//! The `callout` command: flags and wiring, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    callout::cli::run(std::env::args_os())
}
