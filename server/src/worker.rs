//! Short-lived processes for work that may crash, hang or eat: `PROGRAM worker NAME ...`.
//!
//! They give up priority, processor time and memory before they begin.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::slate::{SlateKind, SlateRequest, make};

/// Most processor time of a worker, in seconds.
const CPU_SECONDS: u64 = 100;
/// Most memory that it may map, in bytes.
const MEMORY: u64 = 2 * 1024 * 1024 * 1024;
const NICE: i32 = 10;

/// Runs a worker of the server.
#[derive(Parser)]
#[command(name = "worker", no_binary_name = true)]
enum Worker {
    /// Makes a slate and writes it to stdout.
    Slate {
        #[arg(long)]
        kind: SlateKind,
        /// Pixels, even.
        #[arg(long, value_parser = clap::value_parser!(u32).range(64..=4096))]
        width: u32,
        #[arg(long, value_parser = clap::value_parser!(u32).range(64..=4096))]
        height: u32,
        /// Pictures a second.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
        fps: u32,
    },
}

/// Runs the worker that `args` (what stands behind `worker`) names, in this process.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    let worker = match Worker::try_parse_from(args) {
        Ok(worker) => worker,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    limit();
    let Worker::Slate { kind, width, height, fps } = worker;
    let request = SlateRequest { width: width & !1, height: height & !1, fps };
    let done = make::make_bytes(kind, request)
        .map_err(|e| e.to_string())
        .and_then(|bytes| std::io::stdout().write_all(&bytes).map_err(|e| e.to_string()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(unix)]
fn limit() {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    // A limit that the system refuses is no reason not to work: the parent's time limit stands.
    let _ = nice(NICE);
    let both = |v| Rlimit { current: Some(v), maximum: Some(v) };
    let _ = setrlimit(Resource::Cpu, both(CPU_SECONDS));
    let _ = setrlimit(Resource::As, both(MEMORY));
    let _ = setrlimit(Resource::Core, both(0));
}

#[cfg(not(unix))]
fn limit() {}
