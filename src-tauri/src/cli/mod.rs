//! The command line: what the program does without, and before, its window.

pub mod args;
mod list;
mod live;
mod report;
mod supervise;
mod target;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use mujian_protocol::ApiError;
use tokio::runtime::Runtime;

use crate::app::{AppOptions, GRACE};
use crate::exit;
use crate::instance::{self, Taken};
use crate::{host, paths, shell, studio};
use args::{Arguments, Command, WindowArgs};

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
    let hosting = matches!(arguments.command, Some(Command::Host(_)));
    log(if hosting { "info" } else { "warn" });
    if let Some(Command::Worker(worker)) = &arguments.command {
        return crate::worker::run(&worker.args);
    }
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: No threads could be started ({error}).");
            return ExitCode::from(exit::INTERNAL);
        }
    };
    match arguments.command {
        None if supervise::wanted() => runtime.block_on(supervise::run(&arguments.window)),
        None => window(&runtime, &arguments.window),
        Some(Command::Window(window_args)) => window(&runtime, &window_args),
        Some(Command::Live(live)) => ExitCode::from(runtime.block_on(live::run(&live))),
        Some(Command::Devices(list)) => runtime.block_on(list::devices(list)),
        Some(Command::Encoders(list)) => runtime.block_on(list::encoders(list)),
        Some(Command::Host(host)) => runtime.block_on(host::process::run(host)),
        Some(Command::Worker(_)) => ExitCode::from(exit::INTERNAL),
    }
}

fn window(runtime: &Runtime, args: &WindowArgs) -> ExitCode {
    let options = paths::data_dir(args.data.as_deref()).and_then(|data| {
        let program = std::env::current_exe().map_err(|e| {
            ApiError::new(mujian_protocol::ErrorCode::Internal, format!("This program's own path is not known ({e})."))
        })?;
        Ok(AppOptions { data, server: args.server.clone(), program, grace: GRACE })
    });
    let options = match options {
        Ok(options) => options,
        Err(error) => return fail(&error),
    };
    let taken = runtime.block_on(async {
        paths::prepare(&options.data)?;
        instance::take(&options.data).await
    });
    let only = match taken {
        Ok(Taken::Ours(only)) => Ok(only),
        Ok(Taken::Shown) => {
            println!("Mujian is open already: its window was brought to the front.");
            return ExitCode::from(exit::DONE);
        }
        // The window tells it: who started the app from a menu does not see this output.
        Err(error) => Err(error),
    };
    let rig = studio::rig(runtime.handle(), Some(&options.data));
    shell::open(runtime.handle(), options, only, rig)
}

/// Says why, and gives the exit code that tells a script.
fn fail(error: &ApiError) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(exit::code_of(error))
}

/// Logs go to standard error; `MUJIAN_LOG` says which (`info`, `mujian=debug`, ...).
fn log(usual: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MUJIAN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
