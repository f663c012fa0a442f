//! The rule for the return, said anew: what viewers see from "back" to the publisher's key frame.
//!
//! The placeholder goes on for a second, counted from the return, from when a publisher came, or from when the delay line gives
//! something again after a cover; and for as long as no second passes without a picture of the publisher's. Then it is gone, and
//! does not come again. A loss of the publisher takes what its pictures are worth; a cover and a key frame end it.

use std::collections::VecDeque;

use mujian_protocol::room::Stage;
use proptest::prelude::*;

const SECOND: u64 = 1000;
/// The engine's timers wake it by so much too late at most.
const LATE: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happens {
    Came,
    Lost,
    Picture,
    Back,
}

/// What viewers are owed after a return.
pub(super) struct Returns {
    delay: u64,
    /// What waits in the delay line, and when it comes out.
    line: VecDeque<(u64, Happens)>,
    /// Nothing is said of publishers that mark, whose own word decides beside the room's.
    known: bool,
    /// No return has come out of the line.
    away: bool,
    present: bool,
    /// Viewers wait for the key frame, and see the placeholder until then at least.
    until: Option<u64>,
    /// When the last picture of this publisher came.
    picture: Option<u64>,
    /// A cover was lifted: from then on the line gives something again.
    refilled: u64,
    /// When the programme was last so far ahead of its clock that the line was held.
    held: Option<u64>,
}

impl Returns {
    pub(super) fn new(delay: u64) -> Self {
        Self {
            delay,
            line: VecDeque::new(),
            known: true,
            away: false,
            present: false,
            until: None,
            picture: None,
            refilled: 0,
            held: None,
        }
    }

    fn enters(&mut self, now: u64, what: Happens) {
        self.line.push_back((now + self.delay, what));
    }

    pub(super) fn came(&mut self, marks: bool, now: u64) {
        self.known &= !marks;
        self.enters(now, Happens::Came);
    }

    pub(super) fn lost(&mut self, now: u64) {
        self.enters(now, Happens::Lost);
    }

    /// A picture arrives, whatever it is worth.
    pub(super) fn picture(&mut self, now: u64) {
        self.enters(now, Happens::Picture);
    }

    /// The streamer left; that acts at once, past what waits.
    pub(super) fn left(&mut self, marks: bool) {
        self.known = !marks;
        (self.away, self.until) = (true, None);
        self.line.retain(|(_, what)| matches!(what, Happens::Came | Happens::Lost));
    }

    pub(super) fn back(&mut self, now: u64) {
        self.enters(now, Happens::Back);
    }

    pub(super) fn covered(&mut self) {
        self.until = None;
    }

    pub(super) fn restored(&mut self, now: u64) {
        self.refilled = now + self.delay;
    }

    pub(super) fn ended(&mut self, away: bool) {
        self.line.clear();
        (self.away, self.present, self.until, self.picture) = (away, false, None, None);
    }

    /// Time has come to `now`, with this on the viewers' screens until now. `held`: the line was.
    pub(super) fn pass(&mut self, now: u64, stage: Option<Stage>, held: bool) {
        if held {
            self.held = Some(now);
        }
        while let Some((at, what)) = self.line.pop_front_if(|(at, _)| *at <= now) {
            match what {
                Happens::Came => {
                    (self.present, self.picture) = (true, None);
                    self.until = self.until.map(|until| until.max(at + SECOND));
                }
                Happens::Lost => (self.present, self.picture) = (false, None),
                Happens::Picture => self.picture = Some(at).filter(|_| self.present),
                Happens::Back => {
                    self.away = false;
                    self.until = (stage == Some(Stage::Away)).then_some(at.max(self.refilled) + SECOND);
                }
            }
        }
    }

    fn placeholder_until(&self) -> Option<u64> {
        let picture = self.picture.map_or(0, |at| at + SECOND);
        self.until.map(|until| until.max(picture))
    }

    fn judges(&self, now: u64) -> bool {
        self.known && self.held.is_none_or(|at| now > at + SECOND + LATE)
    }

    /// Viewers see another thing from now on.
    pub(super) fn changes(&mut self, stage: Stage, now: u64) -> Result<(), TestCaseError> {
        if let Some(until) = self.placeholder_until()
            && stage == Stage::Lost
            && self.judges(now)
        {
            prop_assert!(now >= until, "the placeholder gave way at {now}, not at {until}");
        }
        if stage != Stage::Away {
            self.until = None;
        }
        Ok(())
    }

    /// A piece of the placeholder goes out.
    pub(super) fn placeholder(&self, now: u64) -> Result<(), TestCaseError> {
        if !self.away && self.judges(now) {
            let until = self.placeholder_until();
            prop_assert!(
                until.is_some_and(|until| now <= until + LATE),
                "a placeholder at {now}, owed until {until:?}"
            );
        }
        Ok(())
    }
}
