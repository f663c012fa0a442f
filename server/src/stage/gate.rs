//! The privacy gate, at the entry: what was captured while the streamer is away never comes in.
//!
//! A leave closes it. What the last permitted moment is does not matter for what comes in later:
//! nothing does, until "back". After "back" only what was captured later comes in: where the
//! publisher says from when, that counts; else the moment is estimated from how its timestamps
//! relate to their arrivals, so that frames that were held up on the way do not slip through.

use mujian_media::time::{MediaTime, Now};

use super::Leave;

/// How fast the estimate of a publisher's clock may follow one that runs slow: 1 in 1000.
const CREEP: i64 = 1000;
/// A step back of this much is another timeline, not a late frame.
const JUMP: MediaTime = MediaTime::from_millis(1000);

/// Decides what may come in.
#[derive(Debug, Default)]
pub(super) struct Gate {
    away: Option<Leave>,
    /// Of this session: arrival minus capture, the smallest that was seen, and when.
    skew: Option<(MediaTime, Now)>,
    last_pts: Option<MediaTime>,
    /// Of this session: nothing up to this moment may come in.
    floor: Option<MediaTime>,
    /// When the session came.
    came_at: Now,
    /// "Back" came before this session's first frame: that frame tells where its moment lies.
    back_at: Option<Now>,
    /// The last leave of this session, so that its second message is known for what it is.
    left_at: Option<MediaTime>,
    sound_was_on: bool,
}

impl Gate {
    /// A gate as a room's stored fact says. The moment of a leave means nothing on another timeline.
    pub(super) fn new(away: Option<Leave>) -> Self {
        Self { away: away.map(|leave| Leave { last: None, ..leave }), ..Self::default() }
    }

    pub(super) fn away(&self) -> Option<Leave> {
        self.away
    }

    /// A new session: another timeline.
    pub(super) fn came(&mut self, now: Now) {
        *self = Self { came_at: now, ..Self::new(self.away) };
    }

    pub(super) fn leave(&mut self, leave: Leave, now: Now) {
        let last = leave.last.or_else(|| self.moment(now));
        self.left_at = last.or(self.left_at);
        self.away = Some(Leave { last, ..leave });
    }

    /// The same in band. Whether it says anything new: what the other way told first stands, and a
    /// mark that was held up until after "back" is stale.
    pub(super) fn leave_mark(&mut self, last: MediaTime, now: Now) -> bool {
        let stale = self.left_at.is_some_and(|known| last <= known);
        if self.away.is_some() || stale {
            return false;
        }
        self.leave(Leave { last: Some(last), keep_sound: false }, now);
        true
    }

    /// The streamer is back. False if there was nothing to come back from.
    pub(super) fn back(&mut self, from: Option<MediaTime>, now: Now) -> bool {
        let Some(leave) = self.away.take() else { return false };
        let first = from.map(|f| f.saturating_sub(MediaTime::from_flicks(1))).or_else(|| self.moment(now));
        self.floor = first.max(leave.last).max(self.floor);
        self.back_at = if first.is_none() { Some(now) } else { None };
        self.sound_was_on = leave.keep_sound;
        true
    }

    pub(super) fn end(&mut self) {
        self.away = None;
    }

    /// Whether a picture that is shown at `pts` of the publisher's timeline may come in.
    pub(super) fn picture(&mut self, pts: MediaTime, now: Now) -> bool {
        self.follow(pts, now);
        self.away.is_none() && self.floor.is_none_or(|floor| pts > floor)
    }

    /// Whether sound that is heard at `pts` may come in.
    pub(super) fn sound(&mut self, pts: MediaTime, now: Now) -> bool {
        self.follow(pts, now);
        match self.away {
            Some(leave) => leave.keep_sound,
            None => self.sound_was_on || self.floor.is_none_or(|floor| pts > floor),
        }
    }

    /// The moment of the publisher's timeline that arrives now, if it travels as fast as any did.
    fn moment(&self, now: Now) -> Option<MediaTime> {
        self.skew.map(|(skew, _)| time(now).saturating_sub(skew))
    }

    fn follow(&mut self, pts: MediaTime, now: Now) {
        let jumped = self.last_pts.is_some_and(|last| pts < last.saturating_sub(JUMP));
        self.last_pts = Some(pts);
        if let Some(back_at) = self.back_at.take() {
            // What was captured first was captured when the session came, at the earliest: whatever
            // waited on the way since then is from before "back".
            let since = MediaTime::from_duration(back_at.since(self.came_at));
            self.floor = self.floor.max(Some(pts.saturating_add(since)));
        }
        let skew = time(now).saturating_sub(pts);
        self.skew = match self.skew {
            Some((best, at)) if !jumped && best.saturating_add(creep(now, at)) <= skew => Some((best, at)),
            _ => Some((skew, now)),
        };
        if jumped && self.away.is_none() {
            // On the new timeline the old moment means nothing; what comes in order after the jump
            // was captured after what came before it.
            self.floor = None;
        }
    }
}

fn time(now: Now) -> MediaTime {
    MediaTime::from_duration(now.since_origin())
}

fn creep(now: Now, since: Now) -> MediaTime {
    MediaTime::from_flicks(MediaTime::from_duration(now.since(since)).flicks() / CREEP)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    fn t(ms: i64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    const LEAVE: Leave = Leave { last: None, keep_sound: false };

    #[test]
    fn nothing_comes_in_while_away_and_only_what_is_newer_after() {
        let mut gate = Gate::default();
        // Captured at x, arrives 50 ms later; the publisher's clock is 1000 ms behind ours.
        assert!(gate.picture(t(0), at(1050)));
        gate.leave(Leave { last: Some(t(500)), ..LEAVE }, at(1600));
        assert!(!gate.picture(t(400), at(1600)) && !gate.sound(t(400), at(1600)));
        assert!(gate.back(None, at(3050)));
        // Captured at 1900, held up: it must not show what was before "back" at 2000.
        assert!(!gate.picture(t(1900), at(3500)));
        assert!(gate.picture(t(2100), at(3550)));
    }

    #[test]
    fn a_leave_told_twice_counts_once_however_late_the_second_comes() {
        let mut gate = Gate::default();
        gate.picture(t(0), at(0));
        gate.leave(Leave { last: Some(t(100)), keep_sound: true }, at(120));
        assert!(!gate.leave_mark(t(100), at(130)));
        assert!(gate.sound(t(110), at(140)), "the sound was to go on");
        gate.back(None, at(1000));
        assert!(!gate.leave_mark(t(100), at(1200)), "stale");
        assert_eq!(gate.away(), None);
        assert!(gate.leave_mark(t(1500), at(1600)), "a new one counts");
        assert!(!gate.sound(t(1510), at(1610)));
    }

    #[test]
    fn away_outlives_the_session() {
        let mut gate = Gate::new(Some(LEAVE));
        gate.came(at(0));
        assert!(!gate.picture(t(0), at(0)));
        gate.came(at(5));
        assert!(!gate.picture(t(999_999), at(5)));
        assert!(gate.back(None, at(10)) && !gate.back(None, at(11)));
        assert!(!gate.picture(t(999_999), at(12)) || gate.picture(t(1_000_100), at(120)));
    }
}
