//! The mathematics of sound: placing it on the clock, mixing, metering. No devices, no threads.
//!
//! The unit inside is a stereo sample of 32-bit floats (full scale is 1) at 48 kHz. A position is
//! the sample's number since the clock's origin, so sound and clock never have to be compared twice.

mod align;
mod level;
mod noise;
mod track;

pub use align::Aligner;
pub use level::{Gain, Level, Meter, SilenceWatch, limit};
pub use noise::{NoiseGate, THRESHOLDS};
pub use track::Track;

use mujian_media::time::MediaTime;

/// Samples a second, everywhere inside.
pub const RATE: u32 = 48_000;

/// One moment of left and right.
pub type Sample = [f32; 2];

/// The number of the sample nearest to a time.
#[must_use]
pub fn index_of(at: MediaTime) -> i64 {
    at.to_scale(RATE)
}

/// The time of a sample.
#[must_use]
pub fn time_of(index: i64) -> MediaTime {
    MediaTime::from_scale(index, RATE)
}
