//! HLS and low-latency HLS (RFC 8216bis), without input or output.
//!
//! | file | what |
//! | --- | --- |
//! | [`segmenter`] | cuts a programme into parts of 200 ms and segments of about 2 s, at key frames and wherever what is shown changes |
//! | [`window`] | the newest segments of a stream: what live players are told and given (6.2.5.2, 6.2.6) |
//! | [`playlist`] | how a recording is listed (4.4.3.5) |
//!
//! A rendition is one track set: picture and sound in the same parts, one configuration at a time. Every change of
//! it is a discontinuity (4.4.4.3) with a map of its own (4.4.4.5), although the timeline goes on.

pub mod playlist;
pub mod segmenter;
pub mod window;

use std::fmt;
use std::time::Duration;

/// A wall clock as the playlists' dates tell it (ISO 8601, UTC, milliseconds).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Date(pub(crate) Duration);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0.as_secs() / 86_400, self.0.as_secs() % 86_400);
        // Civil from days, with years that begin in March (Howard Hinnant's algorithm, public domain).
        let z = days + 719_468;
        let (era, of_era) = (z / 146_097, z % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            self.0.subsec_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_243_447_089, "2026-11-21T06:44:07.089Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        ] {
            assert_eq!(Date(Duration::from_millis(ms)).to_string(), text);
        }
    }
}
