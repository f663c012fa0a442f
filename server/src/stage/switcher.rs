//! The switcher, at the exit: what viewers are shown.
//!
//! Highest first: covered by a moderator, away, publisher lost (a picture that is missing while the
//! sound goes on is such a loss with a slate of its own), live. A switch to live happens at a key
//! frame alone; until one comes the slate goes on.
//!
//! ```text
//!            key frame passes                     1 s without a picture
//!  waiting ───────────────────► live (filled from 100 ms on) ───────────► waiting
//!     ▲                          │ cover, leave
//!     └── restore, back, came ◄──┴──► covered / away
//! ```

use std::time::Duration;

use mujian_media::time::Now;
use mujian_protocol::room::Stage;

use crate::slate::SlateKind;

/// Without a picture for this long, viewers get a slate.
pub(super) const SLATE_AFTER: Duration = Duration::from_secs(1);
/// Sound that came within this time goes on.
const SOUND_ALIVE: Duration = Duration::from_secs(1);

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    /// Nothing goes out yet: a publisher came and its first key frame is awaited.
    Nothing,
    /// The publisher's pictures, holes in them filled.
    Live,
    /// A slate.
    Slate(SlateKind),
}

/// What goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) picture: Picture,
    /// The publisher's sound is heard.
    pub(super) sound: bool,
    pub(super) stage: Stage,
}

const OFF: Shown = Shown { picture: Picture::Nothing, sound: false, stage: Stage::Off };

/// The state machine.
#[derive(Debug)]
pub(super) struct Switcher {
    covered: bool,
    /// Away, and whether the sound goes on.
    away: Option<bool>,
    /// A stream runs.
    running: bool,
    /// A publisher is there.
    present: bool,
    /// The publisher's pictures are what viewers see.
    live: bool,
    /// The publisher's next picture cannot be decoded without one that did not go out.
    need_key: bool,
    picture_at: Now,
    /// From when on the live picture was awaited, while it is not shown.
    waiting_since: Now,
    sound_at: Option<Now>,
    /// The sound was kept while the streamer was away, and goes on until the picture is back too.
    sound_kept: bool,
    last: Shown,
}

impl Switcher {
    pub(super) fn new(away: Option<bool>, covered: bool) -> Self {
        Self {
            covered,
            away,
            running: false,
            present: false,
            live: false,
            need_key: true,
            picture_at: Now::default(),
            waiting_since: Now::default(),
            sound_at: None,
            sound_kept: false,
            last: OFF,
        }
    }

    /// A publisher came.
    pub(super) fn came(&mut self, now: Now) {
        self.sound_kept = false;
        self.running = true;
        self.present = true;
        self.need_key = true;
        self.sound_at = None;
        self.waiting_since = self.waiting_since.max(now);
    }

    /// The publisher's connection is lost.
    pub(super) fn lost(&mut self) {
        self.sound_kept = false;
        self.present = false;
        self.need_key = true;
        self.sound_at = None;
    }

    /// The streamer left.
    pub(super) fn leave(&mut self, keep_sound: bool) {
        self.away = Some(keep_sound);
        self.interrupt();
    }

    /// The streamer's "back" has come through the delay line.
    pub(super) fn back(&mut self, now: Now) {
        self.sound_kept = self.away == Some(true);
        self.away = None;
        self.waiting_since = now;
    }

    /// A moderator covers the programme.
    pub(super) fn cover(&mut self) {
        self.covered = true;
        self.interrupt();
    }

    /// The cover is lifted; the line needs `refill` until it gives something again.
    pub(super) fn restore(&mut self, now: Now, refill: Duration) {
        self.covered = false;
        self.waiting_since = now.plus(refill);
    }

    /// The stream is over. A cover stays, and a stay away that the streamer has not ended.
    pub(super) fn end(&mut self, away: Option<bool>) {
        *self = Self::new(away, self.covered);
    }

    /// The publisher's next pictures refer to what did not go out (other parameter sets, frames that
    /// were dropped).
    pub(super) fn break_chain(&mut self) {
        self.need_key = true;
    }

    /// Whether the publisher's picture may go out. To be asked for every one that arrives at the exit.
    pub(super) fn picture(&mut self, key: bool, now: Now) -> bool {
        if self.covered || self.away.is_some() || !self.present || (self.need_key && !key) {
            // What follows refers to this one.
            self.need_key = true;
            return false;
        }
        self.live = true;
        self.sound_kept = false;
        self.need_key = false;
        self.picture_at = now;
        true
    }

    /// The same question, without consequences.
    pub(super) fn may_go_live(&self) -> bool {
        !self.covered && self.away.is_none() && self.present
    }

    /// Sound of the publisher arrived at the exit. Whether it may go out.
    pub(super) fn sound(&mut self, now: Now) -> bool {
        self.sound_at = Some(now);
        self.shown(now).sound
    }

    /// What goes out now.
    pub(super) fn shown(&mut self, now: Now) -> Shown {
        self.last = self.decide(now);
        self.last
    }

    fn decide(&mut self, now: Now) -> Shown {
        let slate = |kind, stage, sound| Shown { picture: Picture::Slate(kind), sound, stage };
        if !self.running {
            return OFF;
        }
        if self.covered {
            return slate(SlateKind::Moment, Stage::Covered, false);
        }
        if let Some(keep_sound) = self.away {
            return slate(SlateKind::Away, Stage::Away, keep_sound && self.present);
        }
        if self.live {
            if now.since(self.picture_at) < SLATE_AFTER {
                return Shown { picture: Picture::Live, sound: self.present, stage: Stage::Live };
            }
            self.interrupt();
            self.waiting_since = self.picture_at;
        }
        let waited = now.since(self.waiting_since) >= SLATE_AFTER;
        let sound = self.present && waited && self.sound_at.is_some_and(|at| now.since(at) < SOUND_ALIVE);
        let kind = if sound { SlateKind::SoundOnly } else { SlateKind::Moment };
        match self.last.stage {
            _ if waited => slate(kind, Stage::Lost, sound),
            Stage::Off => Shown { stage: Stage::Off, ..OFF },
            Stage::Live => slate(kind, Stage::Lost, sound),
            // A slate that is shown already goes on as what it is, until a key frame comes.
            shown => match self.last.picture {
                Picture::Slate(kind) => slate(kind, shown, self.sound_kept && self.present),
                Picture::Nothing | Picture::Live => slate(SlateKind::Moment, shown, false),
            },
        }
    }

    fn interrupt(&mut self) {
        self.live = false;
        self.sound_kept = false;
        self.need_key = true;
    }

    /// Whether the publisher's pictures are shown and each refers to what went out.
    pub(super) fn chain_is_whole(&self) -> bool {
        self.live && !self.need_key
    }

    /// Whether the publisher's pictures are what viewers see.
    pub(super) fn shows_live(&self) -> bool {
        self.live
    }

    pub(super) fn is_covered(&self) -> bool {
        self.covered
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    pub(super) fn is_present(&self) -> bool {
        self.present
    }

    /// When the last picture of the publisher went out.
    pub(super) fn picture_at(&self) -> Now {
        self.picture_at
    }

    /// Whether sound of the publisher came within the last second, or may still be on its way from a
    /// publisher that has just come.
    pub(super) fn sound_is_alive(&self, now: Now) -> bool {
        let since = self.sound_at.unwrap_or(self.waiting_since);
        self.present && now.since(since) < SOUND_ALIVE
    }

    /// When [`Self::shown`] may change by time alone.
    pub(super) fn next_change(&self) -> Option<Now> {
        if !self.running || self.covered || self.away.is_some() {
            None
        } else if self.live {
            Some(self.picture_at.plus(SLATE_AFTER))
        } else {
            Some(self.waiting_since.plus(SLATE_AFTER))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn kept_sound_goes_on_until_the_picture_is_back() {
        for kept in [true, false] {
            let mut switcher = Switcher::new(None, false);
            switcher.came(at(0));
            assert!(switcher.picture(true, at(10)) && switcher.sound(at(10)));
            switcher.leave(kept);
            assert_eq!(switcher.sound(at(20)), kept);
            switcher.back(at(30));
            // The next key frame is a long way off.
            assert!(!switcher.picture(false, at(40)));
            assert_eq!((switcher.sound(at(500)), switcher.shown(at(500)).stage), (kept, Stage::Away));
            assert!(switcher.sound(at(1040)), "the sound alone, as from any publisher without a picture");
            assert!(switcher.picture(true, at(1100)) && switcher.sound(at(1100)));
        }
    }
}
