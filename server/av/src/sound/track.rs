//! Sound that waits to be mixed, addressed by its place on the clock.

use std::collections::VecDeque;

use super::Sample;

/// Samples over which sound fades in after a hole.
const FADE_IN: usize = 240;
/// What is left of the last sample after each further one, in a hole: gone within 5 ms.
const DECAY: f32 = 0.98;

/// A stretch of sound from a position on. Writers add at the end; the reader takes from the start.
/// Holes are heard as silence with soft edges.
pub struct Track {
    start: i64,
    samples: VecDeque<Sample>,
    capacity: usize,
    last: Sample,
    fade: usize,
}

impl Track {
    /// An empty track that holds at most `capacity` samples; past that the oldest are lost.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { start: 0, samples: VecDeque::new(), capacity, last: [0.0; 2], fade: FADE_IN }
    }

    /// The position after the last sample; none while it is empty.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        (!self.samples.is_empty()).then(|| self.start + self.samples.len() as i64)
    }

    /// Adds sound whose first sample belongs at `index`. What lies before the present end is
    /// dropped, a hole before it is filled with silence.
    pub fn write(&mut self, index: i64, samples: &[Sample]) {
        let mut samples = samples;
        match self.end() {
            None => self.start = index,
            Some(end) if index < end => {
                let overlap = usize::try_from(end - index).unwrap_or(usize::MAX).min(samples.len());
                samples = &samples[overlap..];
            }
            Some(end) => {
                let hole = usize::try_from(index - end).unwrap_or(usize::MAX);
                if hole > self.capacity {
                    self.samples.clear();
                    self.start = index;
                } else if hole > 0 {
                    // A marked hole: the reader fades around it.
                    self.samples.extend(std::iter::repeat_n([f32::NAN; 2], hole));
                }
            }
        }
        self.samples.extend(samples);
        let excess = self.samples.len().saturating_sub(self.capacity);
        self.samples.drain(..excess);
        self.start += excess as i64;
    }

    /// Forgets everything from `index` on, so that other sound can be written there.
    pub fn truncate(&mut self, index: i64) {
        let keep = usize::try_from(index - self.start).unwrap_or(0);
        self.samples.truncate(keep);
    }

    /// Takes the sound at `index` and after; where there is none, silence. What lies before is lost.
    /// Returns how many samples were really there.
    pub fn read(&mut self, index: i64, out: &mut [Sample]) -> usize {
        let late = usize::try_from(index - self.start).unwrap_or(0).min(self.samples.len());
        self.samples.drain(..late);
        self.start += late as i64;
        if self.samples.is_empty() {
            self.start = index;
        }
        let mut there = 0;
        for (i, to) in out.iter_mut().enumerate() {
            let have = self.start <= index + i as i64;
            let sample = if have { self.samples.pop_front() } else { None };
            if sample.is_some() {
                self.start += 1;
            }
            match sample {
                Some(s) if !s[0].is_nan() => {
                    there += 1;
                    if self.fade > 0 {
                        let gain = 1.0 - self.fade as f32 / FADE_IN as f32;
                        self.fade -= 1;
                        // What is still dying away from before the hole sounds with it.
                        self.last = self.last.map(|v| v * DECAY);
                        *to = [s[0] * gain + self.last[0], s[1] * gain + self.last[1]];
                        if self.fade == 0 {
                            self.last = s;
                        }
                    } else {
                        *to = s;
                        self.last = s;
                    }
                }
                _ => {
                    self.fade = FADE_IN;
                    self.last = self.last.map(|v| if v.abs() < 1e-5 { 0.0 } else { v * DECAY });
                    *to = self.last;
                }
            }
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tone(from: i64, n: usize) -> Vec<Sample> {
        (from..from + n as i64).map(|i| [(i as f32 * 0.05).sin() * 0.5; 2]).collect()
    }

    fn largest_step(samples: &[Sample]) -> f32 {
        samples.windows(2).map(|w| (w[1][0] - w[0][0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn what_is_written_is_read_in_its_place() {
        let mut t = Track::new(48_000);
        t.write(100, &tone(100, 4000));
        let mut out = vec![[9.0; 2]; 1000];
        assert_eq!(t.read(50, &mut out), 950);
        assert_eq!(out[..50], [[0.0; 2]; 50]);
        assert_eq!(t.read(1050, &mut out), 1000);
        assert_eq!(out, tone(1050, 1000));
        assert_eq!(t.end(), Some(4100));
    }

    #[test]
    fn holes_do_not_click() {
        let mut t = Track::new(48_000);
        t.write(0, &tone(0, 3000));
        t.write(5000, &tone(5000, 3000));
        let mut out = vec![[0.0; 2]; 9000];
        assert_eq!(t.read(0, &mut out), 6000);
        assert!(largest_step(&out) < 0.03, "{}", largest_step(&out));
        assert!(out[4000..5000].iter().all(|s| s[0].abs() < 1e-4));
        assert_eq!(out[6000], tone(6000, 1)[0]);
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_never_gives_a_non_number(
            writes in proptest::collection::vec((-2000i64..20_000, 0usize..3000), 0..20),
            reads in proptest::collection::vec((0i64..20_000, 1usize..2000), 0..20),
        ) {
            let mut t = Track::new(4000);
            for ((at, n), (from, m)) in writes.iter().zip(&reads) {
                t.write(*at, &tone(*at, *n));
                prop_assert!(t.samples.len() <= 4000);
                let mut out = vec![[0.0; 2]; *m];
                t.read(*from, &mut out);
                prop_assert!(out.iter().flatten().all(|v| v.is_finite() && v.abs() <= 1.01));
            }
        }
    }
}
