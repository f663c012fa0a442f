//! `mujian worker`: short-lived processes for work that may crash or hang.

use std::process::ExitCode;

/// Runs a worker.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["probe-encoder", name] => {
            let report = crate::encode::run_probe(name);
            match serde_json::to_string(&report) {
                Ok(line) => println!("{line}"),
                Err(_) => return ExitCode::FAILURE,
            }
            ExitCode::SUCCESS
        }
        // The hosted server's workers: slates.
        _ => mujian_server::worker::run(args),
    }
}
