//! A constant frame rate from capture times.

use mujian_media::time::MediaTime;

/// Longest stretch that is filled with repeated pictures afterwards: where this computer stood still for longer, the hole
/// stays one.
const FILL: MediaTime = MediaTime::from_millis(1000);

/// Pictures are expected to come no earlier than so long after their capture.
const LATENESS: MediaTime = MediaTime::from_millis(30);

/// What becomes of a captured picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Too early after the last one: it is left out.
    Drop,
    /// It is shown at `pts`, after the last picture was repeated `repeats` times, `step` apart, or after
    /// `left_out` places that stay empty.
    Show { pts: MediaTime, repeats: u32, left_out: u32 },
}

/// Puts pictures on a grid of the frame rate. The grid follows the source's own clock slowly (at
/// most 2 % of a step with each picture), so that a camera with 29.97 pictures a second loses none
/// and the picture never leaves its sound by more than a few milliseconds.
#[derive(Debug)]
pub(super) struct Pacer {
    step: MediaTime,
    last: Option<MediaTime>,
    /// How late pictures come after their capture: the most of late, forgotten slowly.
    lateness: MediaTime,
    /// The streamer was away: the hole before the next picture stays one.
    paused: bool,
}

impl Pacer {
    pub(super) fn new(fps: u32) -> Self {
        Self { step: MediaTime::from_scale(1, fps.max(1)), last: None, lateness: LATENESS, paused: false }
    }

    /// Another rate from the next picture on.
    pub(super) fn set_rate(&mut self, fps: u32) {
        self.step = MediaTime::from_scale(1, fps.max(1));
    }

    /// Nothing is shown until the next picture, which begins the grid anew.
    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// A picture captured at `at` that is looked at `now`. `behind`: more of them wait already, so the
    /// encoder does not keep up; then holes stay holes, since filling them would cost it still more.
    pub(super) fn picture(&mut self, at: MediaTime, now: MediaTime, behind: bool) -> Pace {
        let late = now.saturating_sub(at).min(FILL);
        let forgotten = MediaTime::from_flicks(self.lateness.flicks() / 256);
        self.lateness = late.max(self.lateness.saturating_sub(forgotten)).max(LATENESS);
        let Some(last) = self.last else {
            self.last = Some(at);
            return Pace::Show { pts: at, repeats: 0, left_out: 0 };
        };
        let ahead = at.saturating_sub(last).flicks();
        let step = self.step.flicks();
        let slots = (ahead + step / 2).div_euclid(step);
        if slots <= 0 {
            return Pace::Drop;
        }
        if std::mem::take(&mut self.paused) || MediaTime::from_flicks(ahead) > FILL {
            // A real hole: nothing is made up, the grid starts anew.
            self.last = Some(at);
            return Pace::Show { pts: at, repeats: 0, left_out: 0 };
        }
        let off = ahead - slots * step;
        let pull = (off / 8).clamp(-step / 50, step / 50);
        let pts = last.saturating_add(MediaTime::from_flicks(slots * step + pull));
        self.last = Some(pts);
        let between = u32::try_from(slots - 1).unwrap_or(0);
        let (repeats, left_out) = if behind { (0, between) } else { (between, 0) };
        Pace::Show { pts, repeats, left_out }
    }

    /// The time of a repeat before `pts`; `back` is 1 for the one just before it.
    pub(super) fn before(&self, pts: MediaTime, back: u32) -> MediaTime {
        pts.saturating_sub(self.step.times(i64::from(back)))
    }

    /// When the last picture should be repeated because no new one has come, for as long as none comes; none before
    /// the first picture and while the streamer is away.
    pub(super) fn repeat_due(&self) -> Option<MediaTime> {
        let last = self.last.filter(|_| !self.paused)?;
        Some(last.saturating_add(self.step).saturating_add(self.patience()))
    }

    /// A picture that is merely on its way must not find its place taken.
    fn patience(&self) -> MediaTime {
        self.lateness.saturating_add(self.step)
    }

    /// The last picture is repeated `now`: its next time, and how many places before it stay empty; none where
    /// [`Self::repeat_due`] says none.
    pub(super) fn repeat(&mut self, now: MediaTime) -> Option<(MediaTime, u32)> {
        let next = self.last.filter(|_| !self.paused)?.saturating_add(self.step);
        let late = now.saturating_sub(self.patience()).saturating_sub(next);
        let left_out = if late > FILL { late.flicks() / self.step.flicks() } else { 0 };
        let next = next.saturating_add(self.step.times(left_out));
        self.last = Some(next);
        Some((next, u32::try_from(left_out).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(v: f64) -> MediaTime {
        MediaTime::from_flicks((v * 705_600.0) as i64)
    }

    /// Times shown, and how far each is from its capture.
    fn run(captures: impl Iterator<Item = f64>) -> (usize, usize, Vec<f64>) {
        let mut p = Pacer::new(30);
        let (mut dropped, mut repeated, mut off) = (0, 0, Vec::new());
        let mut last = MediaTime::MIN;
        for at in captures {
            match p.picture(ms(at), ms(at), false) {
                Pace::Drop => dropped += 1,
                Pace::Show { pts, repeats, .. } => {
                    repeated += repeats as usize;
                    if repeats > 0 {
                        assert!(p.before(pts, repeats) > last);
                    }
                    assert!(pts > last);
                    last = pts;
                    off.push(pts.as_secs_f64() * 1000.0 - at);
                }
            }
        }
        (dropped, repeated, off)
    }

    #[test]
    fn a_steady_source_passes_as_it_is() {
        let (dropped, repeated, off) = run((0..3000).map(|i| f64::from(i) * 1000.0 / 30.0 + 7.0));
        assert_eq!((dropped, repeated), (0, 0));
        assert!(off.iter().all(|v| v.abs() < 0.01));
    }

    #[test]
    fn a_television_rate_and_jitter_lose_nothing() {
        let jitter = |i: i32| f64::from((i * 7919) % 13 - 6);
        let (dropped, repeated, off) = run((0..9000).map(|i| f64::from(i) * 1001.0 / 30.0 + jitter(i)));
        assert_eq!((dropped, repeated), (0, 0));
        assert!(off.iter().all(|v| v.abs() < 12.0));
        let mean = off.iter().sum::<f64>() / off.len() as f64;
        assert!(mean.abs() < 2.0, "{mean}");
    }

    #[test]
    fn other_rates_are_brought_to_this_one() {
        let (dropped, repeated, off) = run((0..600).map(|i| f64::from(i) * 1000.0 / 60.0));
        assert!((295..=305).contains(&dropped) && repeated == 0, "{dropped} {repeated}");
        assert!(off.iter().all(|v| v.abs() < 17.0));
        let (dropped, repeated, _) = run((0..100).map(|i| f64::from(i) * 100.0));
        assert!(dropped == 0 && (195..=200).contains(&repeated), "{dropped} {repeated}");
    }

    #[test]
    fn a_lost_source_is_repeated_at_the_same_rate_until_it_is_back() {
        let mut p = Pacer::new(30);
        assert_eq!(p.repeat_due(), None);
        p.picture(ms(500.0), ms(500.0), false);
        let (mut count, mut last) = (0, ms(500.0));
        while let Some(due) = p.repeat_due().filter(|due| *due < ms(60_500.0)) {
            let (pts, left_out) = p.repeat(due).unwrap();
            assert!(due > pts && left_out == 0 && pts.saturating_sub(last) == ms(1000.0 / 30.0));
            (count, last) = (count + 1, pts);
        }
        assert!((1797..=1800).contains(&count), "{count} in a minute");
        // It is back: what is missing to it is filled, and no more.
        let back = p.picture(ms(60_510.0), ms(60_512.0), false);
        assert!(matches!(back, Pace::Show { repeats: 1..=3, .. }), "{back:?}");
    }

    #[test]
    fn a_computer_that_stood_still_makes_nothing_up() {
        let mut p = Pacer::new(30);
        p.picture(ms(500.0), ms(500.0), false);
        let (pts, left_out) = p.repeat(ms(3_600_000.0)).unwrap();
        assert!(pts > ms(3_599_800.0) && pts < ms(3_600_000.0));
        assert!((107_970..107_985).contains(&left_out), "{left_out}");
        assert!(p.repeat_due().unwrap() > ms(3_600_000.0), "one picture, not a hundred thousand");
        // The same where the source itself is back first.
        let mut p = Pacer::new(30);
        p.picture(ms(500.0), ms(500.0), false);
        assert_eq!(p.picture(ms(9000.0), ms(9000.0), false), Pace::Show { pts: ms(9000.0), repeats: 0, left_out: 0 });
    }

    #[test]
    fn after_a_pause_nothing_is_made_up() {
        let mut p = Pacer::new(30);
        p.picture(ms(0.0), ms(0.0), false);
        p.pause();
        assert_eq!(p.repeat_due(), None);
        assert_eq!(p.picture(ms(10.0), ms(10.0), false), Pace::Drop, "time only goes forward");
        assert_eq!(p.picture(ms(407.0), ms(410.0), false), Pace::Show { pts: ms(407.0), repeats: 0, left_out: 0 });
        assert!(p.repeat_due().is_some());
    }

    /// A source whose pictures come ever later than any fixed patience is not replaced by repeats.
    #[test]
    fn a_late_source_is_waited_for() {
        for late in [20.0, 90.0, 200.0, 600.0] {
            let mut p = Pacer::new(30);
            let (mut repeats, mut dropped) = (0, 0);
            for i in 0..300 {
                let at = f64::from(i) * 1000.0 / 30.0;
                // Between two pictures the clock reaches the moment before the next one.
                while let Some(due) = p.repeat_due().filter(|due| *due < ms(at + late)) {
                    p.repeat(due);
                    repeats += 1;
                }
                dropped += u32::from(p.picture(ms(at), ms(at + late), false) == Pace::Drop);
            }
            assert_eq!((repeats, dropped), (0, 0), "{late} ms late");
        }
    }

    #[test]
    fn an_encoder_that_is_behind_gets_no_extra_work() {
        let mut p = Pacer::new(30);
        p.picture(ms(0.0), ms(100.0), true);
        assert_eq!(p.picture(ms(100.0), ms(300.0), true), Pace::Show { pts: ms(100.0), repeats: 0, left_out: 2 });
        assert_eq!(p.picture(ms(200.0), ms(300.0), false), Pace::Show { pts: ms(200.0), repeats: 2, left_out: 0 });
    }

    proptest! {
        #[test]
        fn times_only_go_forward(steps in proptest::collection::vec(-100.0f64..3000.0, 1..200)) {
            let mut at = 0.0;
            run(steps.into_iter().map(|s| { at += s; at }));
        }
    }
}
