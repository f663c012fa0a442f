//! The command line: what the program does without, and before, its window.

pub mod args;
pub mod exit;

use std::process::ExitCode;

use clap::Parser as _;

use args::Arguments;

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::DONE };
            // Nobody reads a usage message that cannot be printed.
            let _ = error.print();
            ExitCode::from(code)
        }
    }
}
