//! Waiting for a condition until a deadline.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How much longer than on a quiet machine everything that is waited for may take. A limit is there to tell what hangs from
/// what comes; how fast it comes is measured elsewhere.
const PATIENCE: u32 = 3;

/// How long something that takes at most `limit` on a quiet machine is waited for.
#[must_use]
pub fn patient(limit: Duration) -> Duration {
    limit * PATIENCE
}

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(20);

/// Asks `condition` again and again until it gives a value; fails with `what` and the last thing it said when `limit`
/// is over, on a machine of its own ([`patient`]).
///
/// # Errors
///
/// The limit passed. The message names `what`.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut condition: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let limit = patient(limit);
    let deadline = Instant::now() + limit;
    loop {
        let last = condition().await;
        if let Ok(Some(value)) = last {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            match last {
                Err(error) => bail!("waited {limit:?} for {what}; the last try failed: {error:#}"),
                Ok(_) => bail!("waited {limit:?} for {what}"),
            }
        }
        tokio::time::sleep(STEP).await;
    }
}
