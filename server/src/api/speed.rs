//! How much the line to here carries: what is sent is thrown away, and only its arrival measured.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use futures_util::StreamExt as _;
use mujian_media::time::Now;
use mujian_protocol::api::{SPEED_MAX, SpeedView};
use mujian_protocol::{ApiError, ErrorCode};
use tokio::sync::Semaphore;

use super::extract::Caller;
use super::{Answer, Failure};
use crate::app::App;

/// Lines that are measured at once: more would measure each other, and take what programmes need.
const AT_ONCE: usize = 4;
/// Longest that one may take.
const LONGEST: Duration = Duration::from_secs(15);
/// Moments that are remembered of an arrival: one in so many bytes.
const STEP: u64 = 32 << 10;

static LINES: Semaphore = Semaphore::const_new(AT_ONCE);

/// Measures the line to here by a body of at most 16 MiB, for at most 15 s.
#[utoipa::path(post, path = "/speed", tag = "server", security(("session" = [])), responses(
    (status = 200, description = "What came, and how fast", body = SpeedView),
    (status = 401, description = "Nobody is logged in", body = ApiError),
    (status = 429, description = "Too often, or too many at once", body = ApiError),
))]
pub(super) async fn speed(State(app): State<Arc<App>>, caller: Caller, body: Body) -> Answer<Json<SpeedView>> {
    app.limits
        .speed
        .take(caller.account.id, app.clock.now())
        .map_err(|wait| Failure::too_often("The line was measured too often.", wait))?;
    let _line = LINES.try_acquire().map_err(|_| Failure::too_often("Other lines are measured now.", LONGEST))?;
    let mut arrival = Arrival::default();
    let mut pieces = body.into_data_stream();
    let all = async {
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Failure::new(ErrorCode::InvalidRequest, "The connection broke."))?;
            arrival.came(piece.len() as u64, app.clock.now());
            if arrival.bytes >= SPEED_MAX {
                break;
            }
        }
        Ok::<_, Failure>(())
    };
    // What came until then shows enough.
    if let Ok(ended) = tokio::time::timeout(LONGEST, all).await {
        ended?;
    }
    Ok(Json(SpeedView { bytes: arrival.bytes, bits_per_second: arrival.rate() }))
}

/// When bytes came.
#[derive(Debug, Default)]
struct Arrival {
    bytes: u64,
    /// Bytes so far, and when they were there.
    moments: Vec<(u64, Now)>,
}

impl Arrival {
    fn came(&mut self, bytes: u64, now: Now) {
        self.bytes += bytes;
        // The newest moment is always the last one; the first stays.
        if let [_, .., last] = &mut *self.moments
            && last.0 / STEP == self.bytes / STEP
        {
            *last = (self.bytes, now);
        } else {
            self.moments.push((self.bytes, now));
        }
    }

    /// Bits a second of the second half of what came: a connection begins slowly, and what it carries shows later. 0 where too
    /// little came to tell.
    fn rate(&self) -> u64 {
        let Some(last) = self.moments.last() else { return 0 };
        let from = self.moments.iter().find(|(bytes, _)| *bytes * 2 >= last.0).unwrap_or(last);
        let micros = last.1.since(from.1).as_micros();
        let bits = u128::from(last.0 - from.0) * 8_000_000;
        bits.checked_div(micros).map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Now {
        Now::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn the_rate_is_that_of_the_second_half() {
        let mut arrival = Arrival::default();
        assert_eq!(arrival.rate(), 0);
        arrival.came(1000, at(0));
        assert_eq!(arrival.rate(), 0, "one moment is no time");
        // Half as fast for a second, then 100 KB/s for three.
        for n in 1..=100 {
            arrival.came(500, at(n * 10));
        }
        for n in 1..=300 {
            arrival.came(1000, at(1000 + n * 10));
        }
        let rate = arrival.rate();
        assert!((720_000..=880_000).contains(&rate), "{rate}");
        assert_eq!(arrival.bytes, 351_000);
    }

    #[test]
    fn little_is_remembered_of_much() {
        let mut arrival = Arrival::default();
        for n in 0..100_000 {
            arrival.came(160, at(n));
        }
        assert!(arrival.moments.len() < 1000, "{}", arrival.moments.len());
        assert!((1_200_000..1_400_000).contains(&arrival.rate()), "{}", arrival.rate());
    }
}
