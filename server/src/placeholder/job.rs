//! The worker that makes a placeholder, from both sides: how it is started and watched, and what it does.

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use mujian_protocol::placeholder::RefusalCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::Refusal;
use super::encode::{self, Made, Order};

/// A worker that takes longer is killed; its own limit of processor time is lower.
const WALL_TIME: Duration = Duration::from_secs(60 * 60);
/// Longest answer and longest order, in bytes.
const MESSAGE_MAX: u64 = 64 * 1024;

/// What a worker did, as it says so on stdout.
type Answer = Result<Made, Refusal>;

/// Makes a placeholder in this process, as the order on stdin says.
#[must_use]
pub fn run() -> ExitCode {
    let order: Result<Order, _> = serde_json::from_reader(std::io::Read::take(std::io::stdin(), MESSAGE_MAX));
    let order = match order {
        Ok(order) => order,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let answer: Answer = encode::make(&order, crate::worker::allow);
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
    let mut child = Command::new(program)
        .args(["worker", "placeholder"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(&e.to_string()))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let work = async {
        if let Some(mut stdin) = stdin {
            stdin.write_all(&message).await?;
        }
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(MESSAGE_MAX).read_to_end(&mut answer).await?;
        }
        Ok::<_, std::io::Error>((answer, child.wait().await?))
    };
    match tokio::time::timeout(WALL_TIME, work).await {
        Ok(Ok((answer, status))) if status.success() => {
            serde_json::from_slice::<Answer>(&answer).unwrap_or_else(|e| Err(failed(&e.to_string())))
        }
        Ok(Ok((_, status))) => Err(failed(&status.to_string())),
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(_) => Err(failed("it took too long")),
    }
}
