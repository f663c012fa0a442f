//! Which segments of a recording are played, and where: the cut map. Pure, so that any recording can be tried.
//!
//! Three times: the *programme's*, at which frames were stamped; the *whole* recording's, without holes, from 0; and the
//! *played* one, where what is left out takes no time. Pictures are exact on it. Sound comes in frames of 1024 samples
//! that do not end where pictures do, so at each cut the sound is up to a frame off; before that adds up, a frame is
//! left out or a silent one put in, and it is never further off than [`SOUND_OFF_MAX`].

use mujian_media::time::MediaTime;
use mujian_protocol::WallTime;
use mujian_protocol::room::Stage;

use super::index::Entry;

/// Samples of a sound frame.
const FRAME: i64 = 1024;
/// Most samples that sound may be off its place.
pub const SOUND_OFF_MAX: i64 = 640;
/// Most silent frames that are put in at a place.
const PAD_MAX: i64 = 500;
/// What was written so long after a segment's end still belongs to it: there is none after it.
const LATE_MS: i64 = 10_000;

/// Where a segment is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number in the recording.
    pub segment: usize,
    /// When its first picture is decoded.
    pub at: MediaTime,
    /// When its first sound frame is heard, silent ones included, in samples.
    pub sound_at: i64,
    /// Silent frames before its own.
    pub pad: u32,
    /// Frames of its own that are left out, at its beginning.
    pub drop: u32,
    /// Silent frames after its own.
    pub tail: u32,
    /// Frames of its own that are left out, at its end.
    pub trim: u32,
}

/// Which segments are played, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where they are.
    pub places: Vec<Place>,
    /// How long it all is.
    pub length: MediaTime,
}

/// A stretch of the recording that is played as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins in the whole recording.
    pub from: MediaTime,
    /// Where it ends there.
    pub to: MediaTime,
    /// Where it begins in what is played.
    pub at: MediaTime,
}

/// The streamer left, or came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// True: left. False: came back.
    pub left: bool,
    /// When, in the whole recording.
    pub at: MediaTime,
    /// When, by the clock.
    pub wall: WallTime,
}

impl Plan {
    /// Plays the segments of which `keep` is true. `rate`: samples a second of a segment's sound.
    #[must_use]
    pub fn new(entries: &[Entry], rate: impl Fn(&Entry) -> u32, keep: impl Fn(&Entry) -> bool) -> Self {
        Self::made(entries, rate, keep, false)
    }

    /// Plays everything, but so that a player may leave out what was shown while the streamer was away: sound goes out a
    /// little after its picture, so around a moment of leaving some of it lies beyond; here none does.
    #[must_use]
    pub fn apart(entries: &[Entry], rate: impl Fn(&Entry) -> u32) -> Self {
        Self::made(entries, rate, |_| true, true)
    }

    fn made(entries: &[Entry], rate: impl Fn(&Entry) -> u32, keep: impl Fn(&Entry) -> bool, apart: bool) -> Self {
        let mut plan = Self::default();
        let (mut next, mut last_rate, mut last_away) = (0, None, None);
        for (segment, entry) in entries.iter().enumerate().filter(|(_, e)| keep(e)) {
            let (at, rate) = (plan.length, rate(entry));
            let after_start = entry.sound_at.unwrap_or(0) - entry.start().to_scale(rate);
            let ideal = at.to_scale(rate).saturating_add(after_start);
            if last_rate.is_some_and(|last| last != rate) {
                // Another track set: nothing to join to.
                next = ideal.max(0);
            }
            last_rate = Some(rate);
            let away = entry.stage == Stage::Away;
            if apart
                && last_away.replace(away).is_some_and(|last| last != away)
                && let Some(last) = plan.places.last_mut()
            {
                // What is kept reaches over its border on both sides: where two stretches are put together, the sound of
                // the one then overlaps that of the other, and there is no hole for a player to stop at.
                let short = at.to_scale(rate).saturating_sub(next);
                let short = if away { short.saturating_add(FRAME - 1) } else { short }.div_euclid(FRAME);
                last.tail = short.clamp(0, PAD_MAX) as u32;
                // Sound may also reach further than its pictures are decoded; what follows then begins with silence.
                let own = entries.get(last.segment).map_or(0, |e| e.sounds.saturating_sub(last.drop));
                last.trim = short.saturating_neg().clamp(0, i64::from(own)) as u32;
                next += FRAME * (i64::from(last.tail) - i64::from(last.trim));
            }
            let mut place = Place { segment, at, sound_at: next, pad: 0, drop: 0, tail: 0, trim: 0 };
            if entry.sounds > 0 {
                let off = ideal.saturating_sub(next);
                let frames = (off.saturating_abs().saturating_add(FRAME / 2) / FRAME).min(PAD_MAX);
                if off > SOUND_OFF_MAX {
                    place.pad = frames as u32;
                } else if off < -SOUND_OFF_MAX {
                    place.drop = (frames as u32).min(entry.sounds);
                }
                next += FRAME * (i64::from(entry.sounds) + i64::from(place.pad) - i64::from(place.drop));
            }
            plan.places.push(place);
            plan.length = at.saturating_add(entry.duration());
        }
        plan
    }

    /// The place of a segment; none: it is left out.
    #[must_use]
    pub fn of(&self, segment: usize) -> Option<&Place> {
        let i = self.places.binary_search_by_key(&segment, |p| p.segment).ok()?;
        self.places.get(i)
    }

    /// The stretches that are played as one.
    #[must_use]
    pub fn spans(&self, entries: &[Entry]) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut whole = MediaTime::ZERO;
        for (i, entry) in entries.iter().enumerate() {
            let end = whole.saturating_add(entry.duration());
            if let Some(place) = self.of(i) {
                match spans.last_mut() {
                    Some(last) if last.to == whole => last.to = end,
                    _ => spans.push(Span { from: whole, to: end, at: place.at }),
                }
            }
            whole = end;
        }
        spans
    }

    /// Where something is played that happened at a moment of the clock; none: where nothing is played.
    #[must_use]
    pub fn at_wall(&self, entries: &[Entry], wall: WallTime) -> Option<MediaTime> {
        let after = entries.partition_point(|e| e.wall <= wall);
        let segment = after.checked_sub(1)?;
        let entry = entries.get(segment)?;
        let since = wall.millis().saturating_sub(entry.wall.millis());
        let length = entry.duration().millis();
        if since > length + LATE_MS {
            return None;
        }
        let into = MediaTime::from_millis(since).min(entry.duration());
        Some(self.of(segment)?.at.saturating_add(into))
    }
}

/// When something of the whole recording is played; none: it is left out.
#[must_use]
pub fn played(spans: &[Span], whole: MediaTime) -> Option<MediaTime> {
    let span = spans.iter().find(|s| s.from <= whole && whole < s.to)?;
    Some(span.at.saturating_add(whole.saturating_sub(span.from)))
}

/// Which moment of the whole recording is played at a time.
#[must_use]
pub fn whole(spans: &[Span], played: MediaTime) -> Option<MediaTime> {
    let span = spans.iter().rev().find(|s| s.at <= played)?;
    let at = span.from.saturating_add(played.saturating_sub(span.at));
    (at < span.to).then_some(at)
}

/// When the streamer left and came back.
#[must_use]
pub fn moments(entries: &[Entry]) -> Vec<Moment> {
    let mut moments = Vec::new();
    let (mut away, mut at) = (false, MediaTime::ZERO);
    for entry in entries {
        let now = entry.stage == Stage::Away;
        if now != away {
            moments.push(Moment { left: now, at, wall: entry.wall });
            away = now;
        }
        at = at.saturating_add(entry.duration());
    }
    moments
}

/// Whether the away parts of a recording are left out: it must be longer than so many minutes.
#[must_use]
pub fn is_cut(length: MediaTime, from_minutes: u32) -> bool {
    length > MediaTime::from_millis(i64::from(from_minutes) * 60_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 48_000;

    /// Segments of these stages and numbers of frames (30 a second), with sound as the stage makes it.
    fn entries(parts: &[(Stage, i64)], first_frame: i64) -> Vec<Entry> {
        let step = MediaTime::from_scale(1, 30);
        let (mut at, mut sound) = (step.times(first_frame), 0);
        while sound * FRAME < at.to_scale(RATE) {
            sound += 1;
        }
        let mut offset = 0;
        parts
            .iter()
            .map(|(stage, frames)| {
                let (start, first) = (at, sound);
                at = at.saturating_add(step.times(*frames));
                while sound * FRAME < at.to_scale(RATE) {
                    sound += 1;
                }
                offset += 10;
                Entry {
                    offset: offset - 10,
                    parts: vec![10],
                    config: 0,
                    stage: *stage,
                    start: start.flicks(),
                    duration: at.saturating_sub(start).flicks(),
                    wall: WallTime(1_000_000 + start.millis()),
                    key: true,
                    gap: false,
                    sound_at: Some(first * FRAME),
                    sounds: (sound - first) as u32,
                }
            })
            .collect()
    }

    fn cut(entries: &[Entry]) -> Plan {
        Plan::new(entries, |_| RATE, |e| e.stage != Stage::Away)
    }

    fn s(seconds: f64) -> MediaTime {
        MediaTime::from_millis((seconds * 1000.0) as i64)
    }

    #[test]
    fn what_was_shown_while_away_takes_no_time() {
        use Stage::{Away, Live, Lost};
        let e = entries(&[(Live, 60), (Live, 30), (Away, 60), (Away, 60), (Lost, 30), (Live, 60)], 7);
        let plan = cut(&e);
        let ats: Vec<_> = plan.places.iter().map(|p| (p.segment, p.at)).collect();
        assert_eq!(ats, [(0, s(0.0)), (1, s(2.0)), (4, s(3.0)), (5, s(4.0))]);
        assert_eq!(plan.length, s(6.0));
        let spans = plan.spans(&e);
        assert_eq!(
            spans,
            [Span { from: s(0.0), to: s(3.0), at: s(0.0) }, Span { from: s(7.0), to: s(10.0), at: s(3.0) }]
        );
        let told: Vec<_> = moments(&e).iter().map(|m| (m.left, m.at, m.wall.millis())).collect();
        let start = e[0].wall.millis();
        assert_eq!(told, [(true, s(3.0), start + 3000), (false, s(7.0), start + 7000)]);
        // A comment 8.5 s in was written in the second span; one at 5 s to a placeholder; one after the end at the end.
        let wall = |seconds: f64| WallTime(start + (seconds * 1000.0) as i64);
        assert_eq!(plan.at_wall(&e, wall(8.5)), Some(s(4.5)));
        assert_eq!(plan.at_wall(&e, wall(5.0)), None);
        assert_eq!(plan.at_wall(&e, wall(12.0)), Some(s(6.0)));
        assert_eq!(plan.at_wall(&e, wall(-1.0)), None);
        assert_eq!(plan.at_wall(&e, wall(100.0)), None);
    }

    #[test]
    fn short_streams_are_not_cut_and_0_cuts_all() {
        assert!(!is_cut(s(600.0), 10) && is_cut(s(600.001), 10) && is_cut(s(0.1), 0));
    }

    fn stage() -> impl Strategy<Value = Stage> {
        prop_oneof![Just(Stage::Live), Just(Stage::Away), Just(Stage::Lost)]
    }

    proptest! {
        #[test]
        fn the_map_is_exact(
            parts in prop::collection::vec((stage(), 1i64..200), 1..60), first in 0i64..1000, probe in 0.0f64..1.0,
        ) {
            let e = entries(&parts, first);
            let plan = cut(&e);
            // Nothing away is played, and nothing else is left out.
            let kept: Vec<usize> = plan.places.iter().map(|p| p.segment).collect();
            let wanted: Vec<usize> = (0..e.len()).filter(|i| e[*i].stage != Stage::Away).collect();
            prop_assert_eq!(kept, wanted);
            // Pictures join without hole or overlap.
            let mut at = MediaTime::ZERO;
            for place in &plan.places {
                prop_assert_eq!(place.at, at);
                at = at.saturating_add(e[place.segment].duration());
            }
            prop_assert_eq!(plan.length, at);
            // Sound joins without hole or overlap and is never off by more than allowed.
            let mut next = 0;
            for place in &plan.places {
                let entry = &e[place.segment];
                prop_assert_eq!(place.sound_at, next);
                let own = place.sound_at + FRAME * i64::from(place.pad);
                let ideal = place.at.to_scale(RATE) + entry.sound_at.unwrap() - entry.start().to_scale(RATE)
                    + FRAME * i64::from(place.drop);
                if entry.sounds > place.drop {
                    prop_assert!((own - ideal).abs() <= SOUND_OFF_MAX, "{} {}", own, ideal);
                }
                next += FRAME * (i64::from(entry.sounds) + i64::from(place.pad) - i64::from(place.drop));
            }
            prop_assert!((next - plan.length.to_scale(RATE)).abs() <= 2 * FRAME + SOUND_OFF_MAX);
            // There and back again, and only to what is played.
            let spans = plan.spans(&e);
            let total: i64 = e.iter().map(|e| e.duration).sum();
            let moment = MediaTime::from_flicks((total as f64 * probe) as i64);
            match played(&spans, moment) {
                Some(at) => prop_assert_eq!(whole(&spans, at), Some(moment)),
                None => {
                    let mut end = MediaTime::ZERO;
                    let shown = e.iter().find(|e| { end = end.saturating_add(e.duration()); moment < end });
                    prop_assert!(shown.is_none_or(|e| e.stage == Stage::Away));
                }
            }
            for pair in spans.windows(2) {
                prop_assert!(pair[0].to < pair[1].from);
                prop_assert_eq!(pair[0].at.saturating_add(pair[0].to.saturating_sub(pair[0].from)), pair[1].at);
            }
        }

        /// Where sound lags behind its pictures, what is played apart has its own sound from beginning to end.
        #[test]
        fn what_is_played_apart_keeps_its_sound(
            parts in prop::collection::vec((stage(), 30i64..200), 2..30), lag in -9i64..10,
        ) {
            let mut e = entries(&parts, 0);
            for i in 1..e.len() {
                // The last frames of a segment went out with the next one, or the first of the next one with it.
                let moved = |sounds: u32, by: i64| u32::try_from(i64::from(sounds) + by).unwrap();
                (e[i - 1].sounds, e[i].sounds) = (moved(e[i - 1].sounds, -lag), moved(e[i].sounds, lag));
                e[i].sound_at = e[i].sound_at.map(|at| at - FRAME * lag);
            }
            let plan = Plan::apart(&e, |_| RATE);
            let mut next = 0;
            for (i, place) in plan.places.iter().enumerate() {
                let entry = &e[place.segment];
                prop_assert_eq!(place.sound_at, next);
                next += FRAME * (i64::from(entry.sounds + place.pad + place.tail) - i64::from(place.drop + place.trim));
                let away = |i: usize| e[i].stage == Stage::Away;
                if i + 1 < e.len() && away(i) != away(i + 1) {
                    let end = plan.places[i + 1].at.to_scale(RATE);
                    prop_assert!((next - end).abs() < FRAME, "{} {}", next, end);
                    prop_assert!(if away(i) { next <= end } else { next >= end }, "a hole: {} {}", next, end);
                }
            }
        }

        /// Whatever stands in an index, nothing overflows or grows without bound.
        #[test]
        fn nonsense_is_survived(
            rows in prop::collection::vec((any::<i64>(), 0i64..i64::MAX, any::<Option<i64>>(), any::<u32>(), any::<i64>()), 1..8),
        ) {
            let e: Vec<Entry> = rows.into_iter().map(|(start, duration, sound_at, sounds, wall)| Entry {
                offset: 0, parts: vec![1], config: 0, stage: Stage::Live, start, duration, wall: WallTime(wall), key: true,
                gap: false, sound_at: sound_at.map(|s| s / 4), sounds,
            }).collect();
            let plan = cut(&e);
            prop_assert!(plan.places.iter().all(|p| i64::from(p.pad) <= PAD_MAX));
            let _ = (plan.spans(&e), plan.at_wall(&e, WallTime(5)), moments(&e));
        }
    }
}
