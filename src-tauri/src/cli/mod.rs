//! The command line: what the program does without, and before, its window.

pub mod args;
pub mod exit;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Arguments, Command};

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::DONE };
            // Nobody reads a usage message that cannot be printed.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let _ = match arguments.command { Some(Command::Devices(_)) => 0, _ => 1 };
    ExitCode::SUCCESS
}
