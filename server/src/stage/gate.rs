//! The privacy gate, at the entry: what was captured while the streamer is away never comes in.
//!
//! Two gates in series; a frame comes in where both are open.
//!
//! 1. The *fact* of the room: the streamer is away, since when, and under which name. Whoever tells it
//!    first sets it, over the API or in the stream; "back" or "end" clears it, nothing else does.
//! 2. The *stream's own state*, of a publisher that marks in its stream where the streamer leaves and
//!    comes back. It follows the marks in their order, whatever the fact says, so it is exact.
//!
//! # What is guaranteed
//!
//! Nothing that arrives while the fact stands comes in, whoever publishes. What was captured in an
//! absence and arrives after it:
//!
//! - A publisher that marks: nothing between its away mark and its back mark comes in, ever, however
//!   long it was held up; and everything behind its back mark does, from the first key frame on.
//! - A publisher that does not mark (OBS, ffmpeg), or one that was never told of the absence: let `r` be
//!   the shortest time that a picture of this connection took to the server, counted from its decoding
//!   time (for key frames that is when they are captured). Nothing captured between "leave" and `r` less
//!   [`MARGIN`] before "back" comes in, as the server heard of both; where `r` is at most the margin,
//!   nothing captured before "back". It holds while decoding times follow the captures, and where they
//!   jump back, by any amount, or ahead by more than [`GAP`]; a jump ahead by less cannot be told from
//!   pictures that were lost on the way, and is taken for them. It costs such a publisher [`MARGIN`]
//!   after "back", and the time to its next key frame.
//! - The clock of such a publisher may run slower than ours by up to 1 in [`CREEP`]: the estimate follows.
//!
//! Sound and picture are judged each by its own track. Sound that was kept on has nothing to hide.

use std::collections::VecDeque;

use mujian_media::time::{MediaTime, Now};
use mujian_protocol::{LeaveId, WallTime};

use super::Leave;

/// After "back", what a publisher that does not mark captured must be newer by this than the estimate.
const MARGIN: MediaTime = MediaTime::from_millis(200);
/// How fast the estimate of a publisher's clock may follow one that runs slow: 1 in 1000.
const CREEP: i64 = 1000;
/// A longer step between two frames is not taken for lost pictures unless it took as long to come.
const GAP: MediaTime = MediaTime::from_millis(10_000);
/// By how much such a step may seem to be longer than it took.
const GAP_SLACK: MediaTime = MediaTime::from_millis(500);
/// Absences that are over and remembered, for what is still told of them.
const OVER_MAX: usize = 16;

/// Decides what may come in.
#[derive(Debug, Default)]
pub(super) struct Gate {
    fact: Option<Leave>,
    /// Absences that ended, or gave way to a later one: what is still told of them is stale.
    over: VecDeque<LeaveId>,
    stream: Stream,
}

/// The publisher's connection: each has its own timeline.
#[derive(Debug, Default)]
struct Stream {
    /// In its own words it is away, and whether its sound goes on.
    said: Option<(LeaveId, bool)>,
    /// The absence it said it is back from.
    returned: Option<LeaveId>,
    /// The absence whose end the tracks' floors are from.
    floors_of: Option<LeaveId>,
    picture: Arrivals,
    sound: Arrivals,
}

impl Gate {
    /// A gate as a room's stored fact says.
    pub(super) fn new(fact: Option<Leave>) -> Self {
        Self { fact, ..Self::default() }
    }

    /// The room's fact.
    pub(super) fn fact(&self) -> Option<&Leave> {
        self.fact.as_ref()
    }

    /// Whether the picture is kept out, and then whether the sound is let in.
    pub(super) fn away(&self) -> Option<bool> {
        let fact = self.fact.as_ref().map(|f| f.keep_sound);
        let said = self.stream.said.as_ref().map(|(_, keep_sound)| *keep_sound);
        match (fact, said) {
            (Some(a), Some(b)) => Some(a && b),
            (one, other) => one.or(other),
        }
    }

    /// A new session: another timeline.
    pub(super) fn came(&mut self, now: Now) {
        self.stream = Stream { picture: Arrivals::new(now), sound: Arrivals::new(now), ..Stream::default() };
    }

    /// The session is over, and with it what it said of itself.
    pub(super) fn gone(&mut self) {
        self.stream = Stream::default();
    }

    /// The streamer left. Whether the fact is another now: the same leave told twice, or one that is
    /// over, changes nothing. Of two absences at once the later gives its name; the sound goes
    /// on if both let it.
    pub(super) fn leave(&mut self, leave: Leave) -> bool {
        if self.over.contains(&leave.leave_id) {
            return false;
        }
        match &mut self.fact {
            None => self.fact = Some(leave),
            Some(fact) if fact.leave_id == leave.leave_id => {
                let before = (fact.keep_sound, fact.back_at);
                fact.keep_sound &= leave.keep_sound;
                fact.back_at = leave.back_at.or(fact.back_at);
                return (fact.keep_sound, fact.back_at) != before;
            }
            Some(fact) => {
                fact.keep_sound &= leave.keep_sound;
                fact.back_at = leave.back_at.or(fact.back_at);
                let old = std::mem::replace(&mut fact.leave_id, leave.leave_id);
                self.is_over(old);
            }
        }
        true
    }

    /// The same from the publisher itself, which counts for its stream in any case. `in_place`: what it sent before
    /// has been read; until then no more sound is let in than was. Whether the fact is another now.
    pub(super) fn away_mark(&mut self, leave: Leave, in_place: bool) -> bool {
        let before = self.stream.said.as_ref().is_none_or(|(_, keep_sound)| *keep_sound);
        self.stream.said = Some((leave.leave_id.clone(), leave.keep_sound && (in_place || before)));
        self.stream.returned = None;
        self.leave(leave)
    }

    /// The publisher says that what follows was captured after the streamer came back. Whether the fact
    /// is to be cleared.
    pub(super) fn back_mark(&mut self, id: LeaveId) -> bool {
        let stream = &mut self.stream;
        if stream.said.as_ref().is_some_and(|(said, _)| *said != id) {
            // A newer leave went past it.
            return self.is_away_by(&id);
        }
        stream.said = None;
        if stream.floors_of.as_ref() == Some(&id) {
            stream.floors_of = None;
            stream.picture.open();
            stream.sound.open();
        }
        stream.returned = Some(id.clone());
        self.is_away_by(&id)
    }

    /// When the streamer, who is away by this leave, means to be back. False: there is no such absence.
    pub(super) fn back_at(&mut self, id: &LeaveId, at: Option<WallTime>) -> bool {
        let Some(fact) = self.fact.as_mut().filter(|f| f.leave_id == *id) else { return false };
        fact.back_at = at;
        true
    }

    /// Whether this absence is the room's.
    pub(super) fn is_away_by(&self, id: &LeaveId) -> bool {
        self.fact.as_ref().is_some_and(|f| f.leave_id == *id)
    }

    /// The streamer is back, from this absence or from whichever it is. False: there is none to end.
    pub(super) fn back(&mut self, id: Option<&LeaveId>, now: Now) -> bool {
        let Some(fact) = self.fact.take_if(|f| id.is_none_or(|id| f.leave_id == *id)) else { return false };
        let stream = &mut self.stream;
        if stream.returned.as_ref() != Some(&fact.leave_id) {
            // The stream has not said that it is back from this one. What it says of another does not count: of
            // its own, while it never heard of this.
            stream.floors_of = Some(fact.leave_id.clone());
            stream.picture.back(now);
            if !fact.keep_sound {
                stream.sound.back(now);
            }
        }
        self.is_over(fact.leave_id);
        true
    }

    /// The stream is over by the streamer's own word, and the absence with it.
    pub(super) fn end(&mut self) -> Option<Leave> {
        self.gone();
        let fact = self.fact.take()?;
        self.is_over(fact.leave_id.clone());
        Some(fact)
    }

    fn is_over(&mut self, id: LeaveId) {
        if self.over.len() >= OVER_MAX {
            self.over.pop_front();
        }
        self.over.push_back(id);
    }

    /// Whether a picture that is decoded at `dts` of the publisher's timeline may come in.
    pub(super) fn picture(&mut self, dts: MediaTime, now: Now) -> bool {
        // By its decoding time: what is shown at which distance from it may change with the encoder's
        // settings, and the first picture to come in is a key frame, before which none is shown.
        let new_enough = self.stream.picture.arrives(dts, now);
        new_enough && self.away().is_none()
    }

    /// Whether sound that is heard at `pts` may come in.
    pub(super) fn sound(&mut self, pts: MediaTime, now: Now) -> bool {
        let new_enough = self.stream.sound.arrives(pts, now);
        match self.away() {
            Some(keep_sound) => keep_sound && new_enough,
            None => new_enough,
        }
    }
}

/// One track's frames as they arrive: how their timestamps relate to the time, and up to where they
/// belong to an absence.
#[derive(Debug, Default)]
struct Arrivals {
    came_at: Now,
    last: Option<Last>,
    /// Arrival less position, the smallest that was seen, and when.
    skew: Option<(MediaTime, Now)>,
    /// Positions up to this one belong to an absence.
    floor: Option<MediaTime>,
    /// "Back" came before the first frame: that one tells where its moment lies.
    back_at: Option<Now>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    stamp: MediaTime,
    /// Timestamps made to run forwards: never further ahead than what was captured.
    position: MediaTime,
    at: Now,
}

impl Arrivals {
    fn new(came_at: Now) -> Self {
        Self { came_at, ..Self::default() }
    }

    /// The streamer is back now.
    fn back(&mut self, now: Now) {
        match self.skew {
            // The position that arrives now, if it travels as fast as any did.
            Some((skew, _)) => self.raise(time(now).saturating_sub(skew)),
            None => self.back_at = Some(now),
        }
    }

    fn raise(&mut self, to: MediaTime) {
        self.floor = self.floor.max(Some(to.saturating_add(MARGIN)));
    }

    /// Nothing that comes belongs to an absence.
    fn open(&mut self) {
        (self.floor, self.back_at) = (None, None);
    }

    /// A frame arrives. Whether it was captured after the last absence.
    fn arrives(&mut self, stamp: MediaTime, now: Now) -> bool {
        let position = self.last.map_or(stamp, |last| last.position.saturating_add(last.step(stamp, now)));
        self.last = Some(Last { stamp, position, at: now });
        if let Some(back_at) = self.back_at.take() {
            // What was captured first was captured when the session came, at the earliest: whatever
            // waited on the way since then is from before "back".
            self.raise(position.saturating_add(MediaTime::from_duration(back_at.since(self.came_at))));
        }
        let skew = time(now).saturating_sub(position);
        self.skew = match self.skew {
            Some((best, at)) if best.saturating_add(creep(now, at)) <= skew => Some((best, at)),
            _ => Some((skew, now)),
        };
        self.floor.is_none_or(|floor| position > floor)
    }
}

impl Last {
    /// How much later than this frame the next was captured, for certain.
    fn step(&self, stamp: MediaTime, now: Now) -> MediaTime {
        let step = stamp.saturating_sub(self.stamp);
        let passed = MediaTime::from_duration(now.since(self.at));
        if step <= GAP || step <= passed.saturating_add(GAP_SLACK) {
            step.max(MediaTime::ZERO)
        } else {
            // Another timeline: the order alone counts.
            MediaTime::ZERO
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

    use mujian_protocol::WallTime;

    use super::*;

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    fn t(ms: i64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    fn id(name: &str) -> LeaveId {
        name.parse().unwrap()
    }

    fn leave(name: &str) -> Leave {
        Leave { leave_id: id(name), since: WallTime(0), keep_sound: false, back_at: None }
    }

    fn talking(name: &str) -> Leave {
        Leave { keep_sound: true, ..leave(name) }
    }

    /// A gate with a publisher whose clock is 1000 ms behind ours, and whose frames take 50 ms.
    fn streaming() -> Gate {
        let mut gate = Gate::default();
        gate.came(at(1000));
        for ms in (0..500).step_by(20) {
            assert!(gate.picture(t(ms), at(1050 + ms as u64)) && gate.sound(t(ms), at(1050 + ms as u64)));
        }
        gate
    }

    #[test]
    fn without_marks_nothing_comes_in_while_away_and_only_what_is_newer_after() {
        let mut gate = streaming();
        assert!(gate.leave(leave("a")));
        assert!(!gate.picture(t(500), at(1600)) && !gate.sound(t(500), at(1600)));
        assert!(gate.back(None, at(3050)));
        // Captured before "back", held up.
        assert!(!gate.picture(t(1900), at(3500)) && !gate.sound(t(1900), at(3500)));
        assert!(!gate.picture(t(2200), at(3500)), "too near to be sure");
        assert!(gate.picture(t(2201), at(3550)) && gate.sound(t(2201), at(3550)));
    }

    /// The clock jumps among what is held up: the order says that it was captured no earlier.
    #[test]
    fn a_jump_of_the_clock_opens_nothing() {
        for jump in [-5000, -1, -3_600_000, 3_600_000, 1 << 32] {
            let mut gate = streaming();
            gate.leave(leave("a"));
            assert!(gate.back(None, at(3000)));
            assert!(!gate.picture(t(1000), at(3500)));
            for ms in (1000..2100).step_by(20) {
                assert!(!gate.picture(t(jump + ms), at(3500)), "{jump} {ms}");
            }
            assert!((2100..2400).step_by(20).any(|ms| gate.picture(t(jump + ms), at(3500))), "{jump}");
        }
        // The same while away: the estimate for "back" must not be misled.
        for jump in [-5000, 3_600_000] {
            let mut gate = streaming();
            gate.leave(leave("a"));
            assert!(!gate.picture(t(jump + 500), at(2500)));
            assert!(gate.back(None, at(3000)));
            assert!(!gate.picture(t(jump + 1949), at(3500)), "{jump}");
        }
    }

    #[test]
    fn pictures_that_were_lost_cost_nothing() {
        let mut gate = streaming();
        assert!(gate.picture(t(8000), at(9060)));
        assert!(gate.picture(t(60_000), at(61_060)), "nor does a long pause");
        gate.leave(leave("a"));
        gate.back(None, at(62_000));
        assert!(gate.picture(t(61_200), at(62_250)));
    }

    #[test]
    fn marks_are_exact_however_long_they_were_held_up() {
        let mut gate = streaming();
        assert!(gate.away_mark(talking("a"), true), "the room hears of it");
        assert!(!gate.leave(talking("a")), "told twice it counts once");
        assert!(!gate.picture(t(510), at(9000)) && gate.sound(t(510), at(9000)));
        // The fact is cleared by another device before the stream's own mark has come.
        assert!(gate.back(Some(&id("a")), at(9000)));
        assert!(!gate.picture(t(8900), at(9001)));
        assert!(!gate.back_mark(id("a")), "there is nothing left to clear");
        assert!(gate.picture(t(600), at(9001)), "captured behind the mark, whatever its time");
    }

    #[test]
    fn a_back_mark_opens_the_stream_and_asks_for_the_fact() {
        let mut gate = streaming();
        gate.away_mark(leave("a"), true);
        assert!(gate.back_mark(id("a")));
        assert!(!gate.picture(t(520), at(1600)), "not before it is stored");
        assert!(gate.back(Some(&id("a")), at(1700)));
        assert!(gate.picture(t(540), at(1700)) && gate.sound(t(540), at(1700)));
        // The room was told of an absence by another device, and the app took it over.
        let mut gate = streaming();
        gate.leave(leave("phone"));
        assert!(gate.back_mark(id("phone")) && gate.back(None, at(1700)));
        assert!(gate.picture(t(540), at(1700)));
        // The same, and the mark is late.
        let mut gate = streaming();
        gate.leave(leave("phone"));
        gate.back(None, at(1700));
        assert!(!gate.picture(t(540), at(1700)));
        assert!(!gate.back_mark(id("other")) && !gate.picture(t(541), at(1700)));
        assert!(!gate.back_mark(id("phone")) && gate.picture(t(542), at(1700)));
    }

    #[test]
    fn what_is_over_stays_over() {
        let mut gate = streaming();
        gate.leave(leave("a"));
        assert!(!gate.back(Some(&id("b")), at(1600)), "of another absence");
        assert!(gate.back(Some(&id("a")), at(1600)) && !gate.back(Some(&id("a")), at(1600)));
        assert!(!gate.leave(leave("a")), "held up on its way");
        assert_eq!(gate.fact(), None);
        assert!(!gate.away_mark(leave("a"), true), "in band, too");
        assert_eq!(gate.fact(), None);
        assert!(gate.away().is_some(), "but the stream means what it says");
        assert!(!gate.back_mark(id("a")));
        assert_eq!(gate.away(), None);
    }

    #[test]
    fn of_two_absences_the_later_names_it_and_both_must_allow_the_sound() {
        for order in [["a", "b"], ["b", "a"]] {
            let mut gate = streaming();
            for name in order {
                assert!(gate.leave(if name == "a" { leave("a") } else { talking("b") }));
            }
            assert_eq!(gate.away(), Some(false));
            assert!(!gate.leave(leave(order[0])), "it gave way");
            assert!(!gate.back(Some(&id(order[0])), at(1600)));
            assert!(gate.back(Some(&id(order[1])), at(1600)));
        }
    }

    /// A leave mark goes past what waits: the return from the absence before must not undo it.
    #[test]
    fn a_leave_that_went_past_a_return_stands() {
        let mut gate = streaming();
        gate.away_mark(leave("a"), true);
        assert!(gate.away_mark(leave("b"), true));
        assert!(!gate.back_mark(id("a")));
        assert!(!gate.picture(t(600), at(1700)));
        assert!(gate.back_mark(id("b")) && gate.back(Some(&id("b")), at(1700)));
        assert!(gate.picture(t(620), at(1700)));
    }

    /// And one that keeps the sound lets none in that was captured before it, in an absence without.
    #[test]
    fn a_leave_that_went_past_lets_in_no_sound_of_the_one_before() {
        let mut gate = streaming();
        gate.away_mark(leave("a"), true);
        assert!(gate.back(Some(&id("a")), at(1600)), "by another device");
        gate.away_mark(talking("b"), false);
        assert!(!gate.sound(t(9000), at(10_100)) && !gate.back_mark(id("a")) && !gate.sound(t(9020), at(10_100)));
        gate.away_mark(talking("b"), true);
        assert!(gate.sound(t(9040), at(10_100)));
    }

    #[test]
    fn away_outlives_the_session() {
        let mut gate = Gate::new(Some(leave("a")));
        gate.came(at(0));
        assert!(!gate.picture(t(0), at(0)));
        gate.came(at(5));
        assert!(gate.back(None, at(10)) && !gate.back(None, at(11)));
        // Its first frame was captured when it came, at the earliest.
        assert!(!gate.picture(t(999_999), at(12)) && !gate.picture(t(1_000_204), at(120)));
        assert!(gate.picture(t(1_000_205), at(120)));
        assert_eq!(gate.end(), None);
        gate.leave(leave("b"));
        assert_eq!(gate.end().map(|l| l.leave_id), Some(id("b")));
        assert_eq!(gate.away(), None);
    }
}
