//! The worker that makes a placeholder, from both sides: how it is started and watched, and what it does.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use mujian_protocol::placeholder::RefusalCode;

use super::Refusal;
use super::encode::{self, Made, Order};
use crate::worker;

/// A worker that takes longer is killed; its own limit of processor time is lower.
const WALL_TIME: Duration = Duration::from_secs(60 * 60);
/// Longest answer, in bytes.
const ANSWER_MAX: u64 = 64 * 1024;

/// What a worker did, as it says so on stdout.
type Answer = Result<Made, Refusal>;

/// Makes a placeholder in this process, as the order, of JSON, says.
#[must_use]
pub fn run(order: &str) -> ExitCode {
    let order: Order = match serde_json::from_str(order) {
        Ok(order) => order,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let answer: Answer = encode::make(&order, worker::allow);
    match serde_json::to_string(&answer) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Has a worker make a placeholder. Dropping this kills it.
pub(super) async fn order(program: &Path, order: &Order) -> Answer {
    let failed = |why: &str| {
        tracing::warn!(why, "a placeholder's worker failed");
        Refusal::new(
            RefusalCode::TooCostly,
            "Making it ready took more memory or time than a placeholder may, or the file broke the program that reads it. Make it smaller, or save it in another format.",
        )
    };
    let message = serde_json::to_vec(order).map_err(|_| failed("no order"))?;
    let work = worker::hire(program, ["placeholder"], &message, ANSWER_MAX);
    match tokio::time::timeout(WALL_TIME, work).await {
        Ok(Ok((answer, status))) if status.success() => {
            serde_json::from_slice::<Answer>(&answer).unwrap_or_else(|e| Err(failed(&e.to_string())))
        }
        Ok(Ok((_, status))) => Err(failed(&status.to_string())),
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(_) => Err(failed("it took too long")),
    }
}
