//! A noise gate: a room's hum, a fan and the keyboard between two sentences are not heard.
//!
//! It measures as the meter does, root mean square, but over a hundredth of a second. A voice opens it at once; a pause closes it only after a while, and slowly, so
//! that words keep their ends. What opens it must be louder by half than what keeps it open, so it does not flutter.

use super::{RATE, Sample};

/// Lowest and highest threshold, in decibels below full scale.
pub const THRESHOLDS: std::ops::RangeInclusive<f32> = -70.0..=-20.0;

/// A gate for one microphone, before or after its gain.
#[derive(Debug)]
pub struct NoiseGate {
    /// What opens it; none: it is always open.
    threshold: Option<f32>,
    /// The mean of the squares lately.
    power: f32,
    /// Samples until it closes, where it is quiet.
    hold: u32,
    /// What is heard, from 0 to 1.
    factor: f32,
}

impl NoiseGate {
    /// Open for so long after the last that was loud enough: the pause between two words.
    const HOLD: u32 = RATE / 5;
    /// What is measured over, in samples. A voice that is well above the threshold passes it within a millisecond.
    const SPAN: f32 = 0.01 * RATE as f32;
    /// From silence to full: short enough for the beginning of a word, long enough for no click.
    const OPENING: f32 = 0.004 * RATE as f32;
    /// From full to silence.
    const CLOSING: f32 = 0.12 * RATE as f32;
    /// What keeps it open, of what opens it.
    const KEEPS: f32 = 0.66;

    /// A gate with a threshold in decibels (see [`THRESHOLDS`]), or one that is always open.
    #[must_use]
    pub fn new(threshold_db: Option<f32>) -> Self {
        let threshold = Self::linear(threshold_db);
        Self { threshold, power: 0.0, hold: 0, factor: if threshold.is_some() { 0.0 } else { 1.0 } }
    }

    /// Sets another threshold.
    pub fn set(&mut self, threshold_db: Option<f32>) {
        self.threshold = Self::linear(threshold_db);
    }

    fn linear(threshold_db: Option<f32>) -> Option<f32> {
        let db = threshold_db.filter(|db| db.is_finite())?;
        Some(10f32.powf(db.clamp(*THRESHOLDS.start(), *THRESHOLDS.end()) / 20.0))
    }

    /// Something is heard through it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.factor > 0.0
    }

    /// Lets through what is loud enough.
    pub fn apply(&mut self, samples: &mut [Sample]) {
        for sample in samples {
            let square = (sample[0] * sample[0] + sample[1] * sample[1]) / 2.0;
            // One that is no number would stay in it for ever.
            if square.is_finite() {
                self.power += (square - self.power) / Self::SPAN;
            }
            let open = self.threshold.is_none_or(|threshold| {
                let wanted = if self.hold > 0 { threshold * Self::KEEPS } else { threshold };
                self.hold = if self.power >= wanted * wanted { Self::HOLD } else { self.hold.saturating_sub(1) };
                self.hold > 0
            });
            let step = if open { 1.0 / Self::OPENING } else { -1.0 / Self::CLOSING };
            self.factor = (self.factor + step).clamp(0.0, 1.0);
            sample[0] *= self.factor;
            sample[1] *= self.factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tone of this level in decibels.
    fn tone(db: f32, ms: usize) -> Vec<Sample> {
        let size = 10f32.powf(db / 20.0);
        (0..ms * 48).map(|i| [(i as f32 / 48.0 * 0.2 * std::f32::consts::TAU).sin() * size; 2]).collect()
    }

    fn through(gate: &mut NoiseGate, mut samples: Vec<Sample>) -> Vec<Sample> {
        gate.apply(&mut samples);
        samples
    }

    fn peak(samples: &[Sample]) -> f32 {
        samples.iter().fold(0.0, |peak, s| peak.max(s[0].abs()))
    }

    #[test]
    fn a_voice_is_heard_and_what_is_between_is_not() {
        let mut gate = NoiseGate::new(Some(-40.0));
        assert_eq!(peak(&through(&mut gate, tone(-46.0, 500))), 0.0, "noise before the first word");
        assert!(!gate.is_open());
        let word = through(&mut gate, tone(-30.0, 300));
        assert_eq!(word[10 * 48..], tone(-30.0, 300)[10 * 48..], "from 10 ms on it is as it was");
        assert!(peak(&word[..5 * 48]) > 0.01, "its beginning is there");
        let pause = through(&mut gate, tone(-46.0, 600));
        assert_eq!(pause[..150 * 48], tone(-46.0, 600)[..150 * 48], "the end of the word");
        assert_eq!(peak(&pause[400 * 48..]), 0.0, "the noise after it");
    }

    #[test]
    fn what_is_near_the_threshold_does_not_flutter() {
        let mut gate = NoiseGate::new(Some(-40.0));
        through(&mut gate, tone(-34.0, 100));
        // A sine is 3 dB below its peak: quieter than what opens it, louder than what keeps it open.
        let kept = through(&mut gate, tone(-39.0, 2000));
        assert_eq!(kept, tone(-39.0, 2000));
    }

    #[test]
    fn without_a_threshold_nothing_changes() {
        let mut gate = NoiseGate::new(None);
        assert_eq!(through(&mut gate, tone(-80.0, 50)), tone(-80.0, 50));
        gate.set(Some(-20.0));
        through(&mut gate, tone(-80.0, 500));
        assert!(!gate.is_open());
        gate.set(None);
        assert_eq!(through(&mut gate, tone(-80.0, 50))[10 * 48..], tone(-80.0, 50)[10 * 48..]);
        gate.set(Some(f32::NAN));
        assert!(gate.threshold.is_none());
    }

    proptest! {
        /// Whatever comes, nothing is made louder, and what is heard changes by no more than a step that cannot be heard.
        #[test]
        fn it_only_takes_away_and_never_clicks(
            parts in proptest::collection::vec((-80f32..0.0, 1usize..80, proptest::option::of(-80f32..0.0)), 1..20)
        ) {
            let mut gate = NoiseGate::new(Some(-40.0));
            let mut before = gate.factor;
            for (db, ms, threshold) in parts {
                gate.set(threshold);
                for mut sample in tone(db, ms) {
                    let was = sample;
                    gate.apply(std::slice::from_mut(&mut sample));
                    prop_assert!(sample[0].abs() <= was[0].abs() && (gate.factor - before).abs() < 0.006);
                    before = gate.factor;
                }
            }
        }
    }
}
