//! The programme's picture track: where each picture stands.
//!
//! Decoding times strictly increase by at least a millisecond (FLV counts in them), presentation times
//! are never before them. A publisher's times run through a warp that is the identity but for a
//! while after trouble: late pictures, for which others already stand, are squeezed together until
//! they have caught up; pictures behind a hole that cannot be filled are stretched over it. The warp
//! is monotone and the same for decoding and presentation, so the order of output stays.

use mujian_media::time::MediaTime;

/// Least step between two pictures.
pub(super) const STEP_MIN: MediaTime = MediaTime::from_millis(1);
/// Longest that a picture is shown after it is decoded.
const COMPOSITION_MAX: MediaTime = MediaTime::from_millis(2000);

/// A straight line from `from` ↦ `to` with slope `num/den` to where it meets the identity.
#[derive(Clone, Copy, Debug)]
struct Warp {
    from: MediaTime,
    to: MediaTime,
    num: i64,
    den: i64,
}

impl Warp {
    const SQUEEZE: (i64, i64) = (1, 16);
    const STRETCH: (i64, i64) = (23, 16);

    /// Where `at` comes to lie, and whether the line still holds there.
    fn apply(&self, at: MediaTime) -> (MediaTime, bool) {
        let along = at.saturating_sub(self.from).flicks().max(0);
        let out = self.to.saturating_add(MediaTime::from_flicks(
            (i128::from(along) * i128::from(self.num) / i128::from(self.den)) as i64,
        ));
        let squeezing = self.num < self.den;
        let held = if squeezing { out > at } else { out < at };
        if held { (out, true) } else { (at, false) }
    }
}

/// Where the picture track stands.
#[derive(Debug, Default)]
pub(super) struct VideoTrack {
    last_dts: Option<MediaTime>,
    max_pts: MediaTime,
    warp: Option<Warp>,
    /// Until when filling pictures are shown, if the last picture was one. Decoders show whatever comes
    /// after them later, even a B picture that belonged before: so presentation has a warp of its own.
    filled_until: Option<MediaTime>,
    shown_warp: Option<Warp>,
}

impl VideoTrack {
    /// The last picture's decoding time.
    pub(super) fn last(&self) -> Option<MediaTime> {
        self.last_dts
    }

    /// The latest presentation time so far.
    pub(super) fn shown_until(&self) -> MediaTime {
        self.max_pts
    }

    fn least(&self) -> MediaTime {
        self.last_dts.map_or(MediaTime::ZERO, |last| last.saturating_add(STEP_MIN))
    }

    /// Where a picture of these mapped times would be decoded.
    pub(super) fn preview(&self, dts: MediaTime) -> MediaTime {
        self.warp.map_or(dts, |w| w.apply(dts).0).max(self.least())
    }

    /// The track's order is broken anyway: what follows stands where it belongs.
    pub(super) fn straighten(&mut self) {
        self.warp = None;
    }

    /// What follows from mapped time `from` on is stretched so that it goes on `step` after the last.
    pub(super) fn stretch(&mut self, from: MediaTime, step: MediaTime) {
        let Some(last) = self.last_dts else { return };
        let (num, den) = Warp::STRETCH;
        self.warp = Some(Warp { from, to: last.saturating_add(step), num, den });
    }

    /// Places a picture of the publisher: its decoding and presentation time, and whether it stands
    /// where it belongs.
    pub(super) fn place(&mut self, dts: MediaTime, pts: MediaTime) -> (MediaTime, MediaTime, bool) {
        let pts = pts.clamp(dts, dts.saturating_add(COMPOSITION_MAX));
        let least = self.least();
        let (mut at, mut held) = self.warp.map_or((dts, false), |w| w.apply(dts));
        if at < least {
            let (num, den) = Warp::SQUEEZE;
            self.warp = Some(Warp { from: dts, to: least, num, den });
            (at, held) = (least, true);
        }
        if let Some(filled) = self.filled_until.take() {
            let (num, den) = Warp::SQUEEZE;
            let to = filled.saturating_add(STEP_MIN);
            // By where it stands: a stretch puts it before its time, which alone would be late enough.
            self.shown_warp = (at < to).then_some(Warp { from: dts, to, num, den });
        }
        let warps = [self.warp, self.shown_warp];
        let shown = warps.into_iter().flatten().map(|w| w.apply(pts).0).max().unwrap_or(pts).max(at);
        if !held {
            self.warp = None;
        }
        self.take(at, shown);
        (at, shown, !held)
    }

    /// Places a picture that fills: `step` after the last, shown after all before it.
    pub(super) fn fill(&mut self, step: MediaTime) -> (MediaTime, MediaTime) {
        let (dts, pts) = match self.last_dts {
            None => (MediaTime::ZERO, MediaTime::ZERO),
            Some(last) => {
                let dts = last.saturating_add(step);
                (dts, self.max_pts.saturating_add(step).clamp(dts, dts.saturating_add(COMPOSITION_MAX)))
            }
        };
        self.take(dts, pts);
        self.filled_until = Some(pts);
        (dts, pts)
    }

    fn take(&mut self, dts: MediaTime, pts: MediaTime) {
        self.last_dts = Some(dts);
        self.max_pts = self.max_pts.max(pts);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn t(ms: i64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    #[test]
    fn late_pictures_are_squeezed_and_catch_up_with_their_order_kept() {
        let mut v = VideoTrack::default();
        v.place(t(0), t(66));
        for _ in 0..10 {
            v.fill(t(33));
        }
        // Decoding order P B B: presentation 3, 1, 2 steps later.
        let mut shown = Vec::new();
        for i in 1..40i64 {
            let order = [3, 1, 2][(i as usize - 1) % 3] + (i - 1) / 3 * 3;
            let (dts, pts, exact) = v.place(t(i * 33), t(33 + order * 33));
            shown.push((order, pts));
            assert!(pts >= dts);
            assert!(exact || i < 12, "{i} has caught up");
            if exact {
                assert_eq!(dts, t(i * 33));
                assert!(pts == t(33 + order * 33) || i < 16);
            }
        }
        shown.sort_unstable();
        assert!(shown.windows(2).all(|w| w[0].1 < w[1].1), "{shown:?}");
    }

    #[test]
    fn a_hole_is_stretched_over() {
        let mut v = VideoTrack::default();
        v.place(t(0), t(0));
        v.stretch(t(300), t(33));
        let mut last = MediaTime::ZERO;
        for i in 0..60i64 {
            let (dts, _, exact) = v.place(t(300 + i * 33), t(300 + i * 33));
            assert!(dts.saturating_sub(last) <= t(50), "{i}");
            last = dts;
            assert_eq!(exact, i >= 19, "{i}");
        }
    }

    proptest! {
        #[test]
        fn times_strictly_increase(inputs in prop::collection::vec((any::<i32>(), 0i64..100_000, any::<bool>()), 1..100)) {
            let mut v = VideoTrack::default();
            let mut last = t(-1);
            for (dts, composition, fill) in inputs {
                let dts = t(i64::from(dts));
                let (dts, pts) = if fill { v.fill(t(33)) } else {
                    let (d, p, _) = v.place(dts, dts.saturating_add(t(composition)));
                    (d, p)
                };
                prop_assert!(dts.saturating_sub(last) >= STEP_MIN && pts >= dts);
                last = dts;
            }
        }
    }
}
