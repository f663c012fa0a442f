//! Places the sound of a device on the clock, although the device's own clock runs faster or slower
//! than it claims.

use mujian_media::time::MediaTime;

use super::{RATE, Sample, index_of};
use crate::AvError;
use crate::resample::Resampler;

/// Sound is placed anew, with a short hole, when it is off by more than this: samples were lost.
const JUMP_SECONDS: f64 = 0.030;
/// How quickly the loop pulls (radians a second) and the limit of its pull in millionths.
const PULL: f64 = 0.08;
const LIMIT_PPM: f64 = 1500.0;
/// Time constant of the average over the timestamps' jitter, in seconds.
const AVERAGE: f64 = 0.7;
/// The rate is corrected so often, in seconds of input.
const STEP: f64 = 0.25;

/// A loop that keeps a device's sound where its capture times say that it belongs.
///
/// It compares where the next sample would land with where its capture time puts it, averages the
/// difference (capture times jitter by milliseconds), and lets a proportional-integral controller
/// stretch or shrink the sound. With a clock that is 200 ppm off, the error stays within 2 ms.
pub struct Aligner {
    resampler: Resampler,
    rate: u32,
    next: Option<i64>,
    error: f64,
    integral: f64,
    since_step: f64,
    settled: f64,
    scratch: Vec<Sample>,
}

impl Aligner {
    /// For sound at `rate` samples a second, by the device's own account.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`] for rates out of 1 to 768 kHz.
    pub fn new(rate: u32) -> Result<Self, AvError> {
        Ok(Self {
            resampler: Resampler::stereo(rate)?,
            rate,
            next: None,
            error: 0.0,
            integral: 0.0,
            since_step: 0.0,
            settled: 0.0,
            scratch: Vec::new(),
        })
    }

    /// The correction now, in millionths: about minus the drift of the device's clock.
    #[must_use]
    pub fn correction_ppm(&self) -> f64 {
        (2.0 * PULL * self.error + self.integral).clamp(-LIMIT_PPM * 1e-6, LIMIT_PPM * 1e-6) * 1e6
    }

    /// Takes sound whose first sample was captured at `at` and gives it at 48 kHz with the position
    /// of its first sample. Positions follow each other without a hole except after a loss.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`].
    pub fn push(&mut self, at: MediaTime, samples: &[Sample]) -> Result<(i64, &[Sample]), AvError> {
        self.scratch.clear();
        let due = index_of(at);
        let seconds = samples.len() as f64 / f64::from(self.rate);
        let position = match self.next {
            None => {
                self.error = 0.0;
                self.settled = 0.0;
                due
            }
            Some(next) => {
                let off = (due - (next + self.resampler.delay())) as f64 / f64::from(RATE);
                // At first the average is over what there is.
                self.settled += seconds;
                let weight = (seconds / self.settled.min(AVERAGE)).min(1.0);
                self.error += (off - self.error) * weight;
                if self.error.abs() > JUMP_SECONDS && self.settled > 0.1 {
                    self.error = 0.0;
                    self.settled = 0.0;
                    due.max(next)
                } else {
                    next
                }
            }
        };
        self.since_step += seconds;
        if self.since_step >= STEP {
            // The average lags; a first second of it is too young to steer by.
            if self.settled > 1.0 {
                self.integral = (self.integral + PULL * PULL * self.error * self.since_step).clamp(-0.001, 0.001);
            }
            self.since_step = 0.0;
            self.resampler.set_correction(self.correction_ppm())?;
        }
        self.resampler.push_stereo(samples, &mut self.scratch)?;
        self.next = Some(position + self.scratch.len() as i64);
        Ok((position, &self.scratch))
    }

    /// The device stopped: the next sound is placed anew.
    pub fn reset(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device whose clock is `ppm` off, with timestamps that jitter, plays a click every second
    /// of the true clock; tells how far from the true second each click lands, in milliseconds.
    fn clicks(ppm: f64, jitter_ms: f64, seconds: usize) -> Vec<f64> {
        let real_rate = 48_000.0 * (1.0 + ppm * 1e-6);
        let mut aligner = Aligner::new(48_000).unwrap();
        let mut seed = 12_345_u64;
        let mut found = Vec::new();
        let chunk = 480;
        for block in 0..seconds * 100 {
            let first = block * chunk;
            let samples: Vec<Sample> = (first..first + chunk)
                .map(|i| {
                    // The true time of this sample, and a smooth pulse at each whole second.
                    let t = i as f64 / real_rate;
                    let d = (t - t.round()) * 1000.0;
                    [(-d * d * 4.0).exp() as f32 * 0.9; 2]
                })
                .collect();
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = ((seed >> 33) as f64 / f64::from(1u32 << 31) - 0.5) * 2.0 * jitter_ms;
            let at = MediaTime::from_flicks(((first as f64 / real_rate + noise / 1000.0) * 705_600_000.0) as i64);
            let (position, out) = aligner.push(at, &samples).unwrap();
            for (i, w) in out.windows(3).enumerate() {
                if w[1][0] > 0.5 && w[1][0] >= w[0][0] && w[1][0] > w[2][0] {
                    let t = (position + i as i64 + 1) as f64 / 48_000.0;
                    found.push((t - t.round()) * 1000.0);
                }
            }
        }
        found
    }

    #[test]
    fn a_clock_that_is_off_stays_in_sync() {
        for ppm in [-200.0, 0.0, 200.0] {
            let off = clicks(ppm, 4.0, 600);
            assert!(off.len() >= 540, "{} clicks at {ppm} ppm", off.len());
            let worst = off.iter().map(|v| v.abs()).fold(0.0, f64::max);
            assert!(worst < 8.0, "{worst} ms at {ppm} ppm");
            let late = &off[off.len() / 2..];
            let worst = late.iter().map(|v| v.abs()).fold(0.0, f64::max);
            assert!(worst < 2.5, "{worst} ms at {ppm} ppm in the second half");
        }
    }

    #[test]
    fn lost_samples_move_the_sound_once() {
        let mut a = Aligner::new(48_000).unwrap();
        let block = [[0.1; 2]; 480];
        let mut next = 0;
        for i in 0..600i64 {
            // Half a second is missing in the middle.
            let late = if i >= 300 { 24_000 } else { 0 };
            let (at, out) = a.push(MediaTime::from_scale(i * 480 + late, 48_000), &block).unwrap();
            assert!(at >= next, "sound went back");
            next = at + out.len() as i64;
        }
        assert!((next - (600 * 480 + 24_000)).abs() < 480, "{next}");
    }
}
