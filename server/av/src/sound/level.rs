//! Gain, meters, the watch for digital silence, and the limiter of the mix.

use super::{RATE, Sample};

/// Quietest level told, in decibels.
const FLOOR_DB: f32 = -90.0;

/// A gain that changes without clicks.
#[derive(Debug)]
pub struct Gain {
    current: f32,
    target: f32,
}

impl Gain {
    /// Samples from silence to full.
    const RAMP: f32 = RATE as f32 * 0.02;

    /// A gain in decibels (-40 to 20), or muted.
    #[must_use]
    pub fn new(db: f32, muted: bool) -> Self {
        let target = Self::factor(db, muted);
        Self { current: target, target }
    }

    /// Sets the gain to come to.
    pub fn set(&mut self, db: f32, muted: bool) {
        self.target = Self::factor(db, muted);
    }

    fn factor(db: f32, muted: bool) -> f32 {
        if muted || !db.is_finite() { 0.0 } else { 10f32.powf(db.clamp(-40.0, 20.0) / 20.0) }
    }

    /// Applies it.
    pub fn apply(&mut self, samples: &mut [Sample]) {
        for s in samples {
            if self.current != self.target {
                let step = self.current.max(self.target).max(1.0) / Self::RAMP;
                self.current += (self.target - self.current).clamp(-step, step);
            }
            s[0] *= self.current;
            s[1] *= self.current;
        }
    }
}

/// A level over a stretch of time, in decibels below full scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Root mean square.
    pub rms_db: f32,
    /// Highest sample.
    pub peak_db: f32,
}

impl Level {
    /// Nothing to be heard.
    pub const SILENCE: Self = Self { rms_db: FLOOR_DB, peak_db: FLOOR_DB };
}

/// Measures the level, 15 times a second.
#[derive(Debug, Default)]
pub struct Meter {
    sum: f64,
    peak: f32,
    count: u32,
}

impl Meter {
    /// Looks at samples; gives a level when a fifteenth of a second is full.
    pub fn push(&mut self, samples: &[Sample]) -> Option<Level> {
        let mut level = None;
        for s in samples {
            self.sum += f64::from(s[0] * s[0] + s[1] * s[1]) / 2.0;
            self.peak = self.peak.max(s[0].abs()).max(s[1].abs());
            self.count += 1;
            if self.count == RATE / 15 {
                let db = |v: f32| if v > 0.0 { (20.0 * v.log10()).max(FLOOR_DB) } else { FLOOR_DB };
                let rms = (self.sum / f64::from(self.count)).sqrt() as f32;
                level = Some(Level { rms_db: db(rms), peak_db: db(self.peak) });
                *self = Self::default();
            }
        }
        level
    }
}

/// Notices a microphone that gives nothing but exact zeros: it is muted by a switch or by the system.
#[derive(Debug)]
pub struct SilenceWatch {
    zeros: u64,
    limit: u64,
}

impl SilenceWatch {
    /// Silent after this many seconds of zeros.
    #[must_use]
    pub fn new(seconds: u32) -> Self {
        Self { zeros: 0, limit: u64::from(seconds) * u64::from(RATE) }
    }

    /// Looks at samples as captured, before gain and mute. `true` while it is silent.
    pub fn push(&mut self, samples: &[Sample]) -> bool {
        match samples.iter().rposition(|s| *s != [0.0; 2]) {
            Some(i) => self.zeros = (samples.len() - 1 - i) as u64,
            None => self.zeros = self.zeros.saturating_add(samples.len() as u64),
        }
        self.zeros >= self.limit
    }
}

/// Keeps a mixed sample inside full scale: nothing changes below 0.8, above it bends softly.
#[must_use]
pub fn limit(sample: Sample) -> Sample {
    sample.map(|v| {
        let size = v.abs();
        if size <= 0.8 || v.is_nan() {
            if v.is_nan() { 0.0 } else { v }
        } else {
            (0.8 + 0.2 * ((size - 0.8) / 0.2).tanh()).copysign(v)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mute_and_gain_ramp() {
        let mut g = Gain::new(0.0, false);
        let mut one = vec![[1.0; 2]; 2000];
        g.apply(&mut one);
        assert_eq!(one[1999], [1.0; 2]);
        g.set(0.0, true);
        let mut ramp = vec![[1.0; 2]; 2000];
        g.apply(&mut ramp);
        assert!(ramp.windows(2).all(|w| w[0][0] - w[1][0] < 0.002 && w[0][0] >= w[1][0]));
        assert_eq!(ramp[1999], [0.0; 2]);
        g.set(20.0, false);
        let mut up = vec![[0.01; 2]; 4000];
        g.apply(&mut up);
        assert!((up[3999][0] - 0.1).abs() < 1e-5);
        g.set(f32::NAN, false);
        g.apply(&mut up);
        assert_eq!(up[3999], [0.0; 2]);
    }

    #[test]
    fn levels_are_those_of_a_sine() {
        let mut m = Meter::default();
        let tone: Vec<Sample> = (0..3200).map(|i| [(i as f32 / 48.0 * std::f32::consts::TAU).sin() * 0.5; 2]).collect();
        let level = m.push(&tone).unwrap();
        assert!((level.peak_db + 6.02).abs() < 0.1 && (level.rms_db + 9.03).abs() < 0.1, "{level:?}");
        assert_eq!(m.push(&[[0.0; 2]; 3200]), Some(Level::SILENCE));
    }

    #[test]
    fn only_exact_zeros_are_silence() {
        let mut w = SilenceWatch::new(10);
        assert!(!w.push(&[[0.0; 2]; 479_999]));
        assert!(w.push(&[[0.0; 2]; 1]));
        assert!(!w.push(&[[0.0, 1e-7]]));
    }

    #[test]
    fn the_limiter_is_transparent_and_bounded() {
        assert_eq!(limit([0.5, -0.79]), [0.5, -0.79]);
        let loud = limit([7.0, -1.2]);
        assert!(loud[0] <= 1.0 && loud[1] > -1.0 && loud[1] < -0.9);
        assert_eq!(limit([f32::NAN, 0.0]), [0.0, 0.0]);
    }
}
