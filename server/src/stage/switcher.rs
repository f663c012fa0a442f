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
    /// When the publisher's last picture came, shown or not.
    came_at: Option<Now>,
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
            came_at: None,
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
        (self.sound_at, self.came_at) = (None, None);
        self.waiting_since = self.waiting_since.max(now);
    }

    /// The publisher's connection is lost.
    pub(super) fn lost(&mut self) {
        self.sound_kept = false;
        self.present = false;
        self.need_key = true;
        (self.sound_at, self.came_at) = (None, None);
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
        // After a cover that was just lifted, the line gives nothing before that.
        self.waiting_since = self.waiting_since.max(now);
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

    /// A picture of the publisher came that viewers could see from some key frame on. It is not asked here whether they do.
    pub(super) fn picture_came(&mut self, now: Now) {
        self.came_at = Some(now);
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
        if waited && self.pictures_come(now) && self.last.picture == Picture::Slate(SlateKind::Away) {
            // The streamer is back, and a key frame is on its way.
            return slate(SlateKind::Away, Stage::Away, sound);
        }
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

    fn pictures_come(&self, now: Now) -> bool {
        self.present && self.came_at.is_some_and(|at| now.since(at) < SLATE_AFTER)
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
            // The placeholder goes on while pictures come.
            let came = self.came_at.filter(|_| self.last.picture == Picture::Slate(SlateKind::Away));
            Some(self.waiting_since.max(came.unwrap_or_default()).plus(SLATE_AFTER))
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

    fn slate(stage: Stage, kind: SlateKind, sound: bool) -> Shown {
        Shown { picture: Picture::Slate(kind), sound, stage }
    }

    /// One whose streamer is back since 1000 ms from an absence without sound, and whose publisher sends.
    fn back_since_a_second() -> Switcher {
        let mut switcher = Switcher::new(None, false);
        switcher.came(at(0));
        assert!(switcher.picture(true, at(10)));
        switcher.leave(false);
        assert_eq!(switcher.shown(at(20)).stage, Stage::Away);
        switcher.back(at(1000));
        switcher
    }

    /// A picture and sound 30 times a second, no key frame among them; what is shown with each.
    fn comes(switcher: &mut Switcher, from: u64, to: u64) -> Vec<(u64, Shown)> {
        let mut all = Vec::new();
        for ms in (from..to).step_by(33) {
            switcher.picture_came(at(ms));
            assert!(!switcher.picture(false, at(ms)), "{ms}");
            switcher.sound(at(ms));
            all.push((ms, switcher.shown(at(ms))));
        }
        all
    }

    #[test]
    fn the_placeholder_goes_on_until_the_key_frame_while_pictures_come() {
        let mut switcher = back_since_a_second();
        for (ms, shown) in comes(&mut switcher, 1000, 11_000) {
            assert_eq!(shown, slate(Stage::Away, SlateKind::Away, ms >= 2000), "{ms}: sound from a second on, as ever");
        }
        assert!(switcher.picture(true, at(11_000)));
        assert_eq!(switcher.shown(at(11_000)), Shown { picture: Picture::Live, sound: true, stage: Stage::Live });
        // A picture that is missing later is not the return's affair.
        assert!(switcher.sound(at(12_001)));
        assert_eq!(switcher.shown(at(12_001)), slate(Stage::Lost, SlateKind::SoundOnly, true));
        comes(&mut switcher, 12_010, 14_000);
        assert_eq!(switcher.shown(at(14_000)), slate(Stage::Lost, SlateKind::SoundOnly, true));
    }

    #[test]
    fn without_pictures_it_is_the_sound_alone_after_a_second() {
        // None at all.
        let mut switcher = back_since_a_second();
        switcher.sound(at(1990));
        assert_eq!(switcher.shown(at(1999)), slate(Stage::Away, SlateKind::Away, false));
        assert_eq!(switcher.next_change(), Some(at(2000)));
        assert_eq!(switcher.shown(at(2000)), slate(Stage::Lost, SlateKind::SoundOnly, true));
        // They stop while one waits, and what has gone does not come again.
        let mut switcher = back_since_a_second();
        comes(&mut switcher, 1000, 5000);
        assert_eq!(switcher.next_change(), Some(at(5993)));
        switcher.sound(at(5992));
        assert_eq!(switcher.shown(at(5992)), slate(Stage::Away, SlateKind::Away, true));
        assert_eq!(switcher.shown(at(5993)), slate(Stage::Lost, SlateKind::SoundOnly, true));
        for (ms, shown) in comes(&mut switcher, 6000, 8000) {
            assert_eq!(shown, slate(Stage::Lost, SlateKind::SoundOnly, true), "{ms}");
        }
        assert!(switcher.picture(true, at(8000)));
    }

    #[test]
    fn who_is_lost_or_covered_while_one_waits_is_shown_as_ever() {
        let waits = || {
            let mut switcher = back_since_a_second();
            comes(&mut switcher, 1000, 3000);
            switcher
        };
        let lost = slate(Stage::Lost, SlateKind::Moment, false);
        let mut switcher = waits();
        switcher.lost();
        assert_eq!(switcher.shown(at(3000)), lost);
        // Another one, without a key frame: not back from anything.
        switcher.came(at(3500));
        comes(&mut switcher, 3500, 6000);
        assert_eq!(switcher.shown(at(6000)), slate(Stage::Lost, SlateKind::SoundOnly, true));

        // It connects anew at once: a second for its first key frame, more while pictures come.
        let mut switcher = waits();
        switcher.lost();
        switcher.came(at(3000));
        assert_eq!(switcher.shown(at(3999)), slate(Stage::Away, SlateKind::Away, false), "none of it has come yet");
        assert_eq!(switcher.shown(at(4000)), lost);
        let mut switcher = waits();
        switcher.lost();
        switcher.came(at(3000));
        comes(&mut switcher, 3100, 6000);
        assert_eq!(switcher.shown(at(6000)), slate(Stage::Away, SlateKind::Away, true));

        let mut switcher = waits();
        switcher.cover();
        let covered = slate(Stage::Covered, SlateKind::Moment, false);
        assert_eq!(switcher.shown(at(3000)), covered);
        switcher.restore(at(3500), Duration::ZERO);
        assert!(comes(&mut switcher, 3500, 4490).iter().all(|(_, shown)| *shown == covered));
        comes(&mut switcher, 4500, 6000);
        assert_eq!(switcher.shown(at(6000)), slate(Stage::Lost, SlateKind::SoundOnly, true));
    }

    #[test]
    fn who_leaves_again_while_one_waits_is_away_and_nothing_passes() {
        for kept in [true, false] {
            let mut switcher = back_since_a_second();
            comes(&mut switcher, 1000, 3000);
            switcher.leave(kept);
            switcher.picture_came(at(3000));
            assert!(!switcher.picture(true, at(3000)), "not even a key frame");
            assert_eq!(switcher.sound(at(3000)), kept);
            assert_eq!(switcher.shown(at(9000)), slate(Stage::Away, SlateKind::Away, kept));
            switcher.back(at(9000));
            for (ms, shown) in comes(&mut switcher, 9010, 12_000) {
                assert_eq!(shown, slate(Stage::Away, SlateKind::Away, kept || ms >= 10_000), "{ms}");
            }
            assert!(switcher.picture(true, at(12_000)));
        }
    }
}
