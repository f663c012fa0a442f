//! The gate of privacy: what was captured while the streamer is away passes nowhere.
//!
//! It is closed in memory, by whoever hears of the press first, before anything else is done; every
//! stage on a picture's way asks it (the queue of captured pictures, the encoder, the send queue), so
//! it does not matter which of them holds a picture at that moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use mujian_av::sound::{Sample, index_of, time_of};
use mujian_media::time::MediaTime;
use parking_lot::Mutex;

use super::Stop;

/// Sound fades out over so many samples before the press: 5 ms.
const FADE: i64 = 240;

/// The gate. Copies are the same one. Times are those of the capture clock.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    picture: Door,
    sound: Door,
    closings: AtomicU64,
    devices: Mutex<Vec<Stop>>,
}

/// What was captured from `opened` to `closed` passes.
#[derive(Debug)]
struct Door {
    opened: AtomicI64,
    closed: AtomicI64,
}

impl Default for Door {
    fn default() -> Self {
        Self { opened: AtomicI64::new(i64::MIN), closed: AtomicI64::new(i64::MAX) }
    }
}

impl Door {
    fn close(&self, at: MediaTime) {
        // The earliest press counts.
        self.closed.fetch_min(at.flicks(), Ordering::SeqCst);
    }

    fn open(&self, at: MediaTime) {
        // In this order, and read in the other one: who sees it open sees from when on, too.
        self.opened.store(at.flicks(), Ordering::SeqCst);
        self.closed.store(i64::MAX, Ordering::SeqCst);
    }

    fn span(&self) -> (i64, i64) {
        let closed = self.closed.load(Ordering::SeqCst);
        (self.opened.load(Ordering::SeqCst), closed)
    }

    fn is_open(&self) -> bool {
        self.closed.load(Ordering::SeqCst) == i64::MAX
    }

    fn silence(&self, index: i64, samples: &mut [Sample]) {
        let (opened, closed) = self.span();
        let whole = (i64::MIN, i64::MAX);
        if (opened, closed) == whole {
            return;
        }
        let first = if opened == i64::MIN { i64::MIN } else { index_after(opened) };
        let last = if closed == i64::MAX { i64::MAX } else { index_of(MediaTime::from_flicks(closed)) };
        for (at, sample) in (index..).zip(samples) {
            let gain = if at < first || at >= last {
                0.0
            } else {
                let until = last.saturating_sub(at).min(FADE) as f32 / FADE as f32;
                let since = at.saturating_sub(first).saturating_add(1).min(FADE) as f32 / FADE as f32;
                until.min(since)
            };
            sample[0] *= gain;
            sample[1] *= gain;
        }
    }
}

impl Gate {
    /// Closes it for everything captured later than `press`; for sound as well, unless that is kept.
    pub fn close(&self, press: MediaTime, keep_sound: bool) {
        self.inner.picture.close(press);
        if !keep_sound {
            self.inner.sound.close(press);
        }
        self.inner.closings.fetch_add(1, Ordering::SeqCst);
        for device in std::mem::take(&mut *self.inner.devices.lock()) {
            device.stop();
        }
    }

    /// A device that is open, or about to be: the next closing stops it, whatever whoever opens it is busy with. Where the
    /// gate was closed since `closings` ([`Self::closings`]) were all that was known of, that is now; while it is closed with
    /// nothing new, a device may be opened (for the view of oneself before coming back).
    pub fn stops(&self, device: &Stop, closings: u64) {
        let mut devices = self.inner.devices.lock();
        if self.closings() != closings && !self.is_open() {
            device.stop();
        } else {
            devices.retain(Stop::is_held_elsewhere);
            devices.push(device.clone());
        }
    }

    /// Opens it for what is captured from `from` on.
    pub fn open(&self, from: MediaTime) {
        if !self.inner.picture.is_open() {
            self.inner.picture.open(from);
        }
        if !self.inner.sound.is_open() {
            self.inner.sound.open(from);
        }
    }

    /// Whether a picture that was captured at `at` passes.
    #[must_use]
    pub fn passes(&self, at: MediaTime) -> bool {
        let (opened, closed) = self.inner.picture.span();
        (opened..=closed).contains(&at.flicks())
    }

    /// Whether what is captured now passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.inner.picture.is_open()
    }

    /// From when on pictures and sound do not pass; none: they do.
    #[must_use]
    pub fn press(&self) -> (Option<MediaTime>, Option<MediaTime>) {
        let closed = |door: &Door| Some(door.span().1).filter(|at| *at != i64::MAX).map(MediaTime::from_flicks);
        (closed(&self.inner.picture), closed(&self.inner.sound))
    }

    /// How often it was closed: by this a stage notices that it was closed and opened in between.
    #[must_use]
    pub fn closings(&self) -> u64 {
        self.inner.closings.load(Ordering::SeqCst)
    }

    /// Silences what does not pass of sound that begins with the sample `index` of the clock.
    pub fn silence(&self, index: i64, samples: &mut [Sample]) {
        self.inner.sound.silence(index, samples);
    }

    /// Silences what was heard while the picture does not pass, whether sound is kept or not.
    pub fn silence_unseen(&self, index: i64, samples: &mut [Sample]) {
        self.inner.picture.silence(index, samples);
    }
}

/// The first sample that is not before a time.
fn index_after(flicks: i64) -> i64 {
    let at = MediaTime::from_flicks(flicks);
    let index = index_of(at);
    if time_of(index) < at { index + 1 } else { index }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(v: i64) -> MediaTime {
        MediaTime::from_millis(v)
    }

    #[test]
    fn what_was_captured_before_the_press_may_go() {
        let gate = Gate::default();
        assert!(gate.passes(ms(5)) && gate.is_open());
        gate.close(ms(10), true);
        assert!(gate.passes(ms(10)) && !gate.passes(MediaTime::from_flicks(ms(10).flicks() + 1)));
        // Told again, later: the first press counts.
        gate.close(ms(20), true);
        assert!(!gate.passes(ms(15)) && !gate.is_open());
        gate.open(ms(30));
        assert!(!gate.passes(ms(15)) && !gate.passes(ms(29)) && gate.passes(ms(30)));
        assert_eq!(gate.closings(), 2);
        // Open already: what was captured before stays as it was.
        gate.open(ms(99));
        assert!(gate.passes(ms(30)));
    }

    #[test]
    fn sound_ends_at_the_press_without_a_click_and_only_if_it_is_not_kept() {
        let loud = || vec![[1.0, 1.0]; 2048];
        let gate = Gate::default();
        let index = index_of(ms(1000));
        gate.close(ms(1000 + 20), true);
        let mut kept = loud();
        gate.silence(index, &mut kept);
        assert_eq!(kept, loud());
        let ends = |cut: &[Sample]| {
            assert!(cut[960..].iter().all(|s| *s == [0.0; 2]), "20 ms are 960 samples");
            assert!(cut[..700].iter().all(|s| *s == [1.0; 2]));
            assert!(cut.windows(2).all(|w| (w[0][0] - w[1][0]).abs() < 0.01), "it fades");
        };
        let mut unseen = loud();
        gate.silence_unseen(index, &mut unseen);
        ends(&unseen);
        gate.open(ms(2000));
        gate.close(ms(3000 + 20), false);
        let (mut cut, index) = (loud(), index_of(ms(3000)));
        gate.silence(index, &mut cut);
        ends(&cut);
        gate.open(ms(4000));
        let mut back = loud();
        gate.silence(index_of(ms(3990)), &mut back);
        assert!(back[..480].iter().all(|s| *s == [0.0; 2]) && back[480 + 240..].iter().all(|s| *s == [1.0; 2]));
    }

    #[test]
    fn a_closing_stops_the_devices_that_are_open_and_those_that_are_about_to_be() {
        let gate = Gate::default();
        let (open, late, next) = (Stop::default(), Stop::default(), Stop::default());
        let known = gate.closings();
        gate.stops(&open, known);
        gate.close(ms(10), true);
        assert!(open.is_stopped());
        gate.stops(&late, known);
        assert!(late.is_stopped(), "whoever opens it has not heard of the press");
        // The view of oneself: the gate is closed still, and everybody knows.
        gate.stops(&next, gate.closings());
        assert!(!next.is_stopped());
        gate.close(ms(20), true);
        assert!(next.is_stopped());
        // A broadcast that begins opens it, whatever was pressed before.
        gate.open(ms(30));
        let anew = Stop::default();
        gate.stops(&anew, known);
        assert!(!anew.is_stopped());
    }

    proptest! {
        /// Against the plain list of what happened.
        #[test]
        fn passes_what_was_captured_while_here(steps in proptest::collection::vec(1i64..100, 1..40), at in 0i64..4000) {
            let gate = Gate::default();
            let (mut now, mut away) = (0, Vec::new());
            for (n, step) in steps.iter().enumerate() {
                now += step;
                if n % 2 == 0 { gate.close(ms(now), false); away.push((now, i64::MAX)); }
                else { gate.open(ms(now)); away.last_mut().unwrap().1 = now; }
            }
            let while_away = away.iter().any(|(from, to)| *from < at && at < *to);
            // It may forget what was captured before the last return, never let through what came while away.
            prop_assert!(!(gate.passes(ms(at)) && while_away));
            if away.last().is_some_and(|(from, to)| *to == i64::MAX && at <= *from) && away.len() == 1 {
                prop_assert!(gate.passes(ms(at)));
            }
            if away.last().is_some_and(|(_, to)| *to <= at) {
                prop_assert!(gate.passes(ms(at)));
            }
        }
    }
}
