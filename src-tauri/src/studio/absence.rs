//! Being away, as a pure state machine: what happened and the time go in, what is to be done comes out.
//!
//! Privacy does not wait for it: whoever hears of a press closes the [gate](crate::capture::Gate) first.
//! This machine makes the rest follow (the source closes, viewers and the server are told), decides
//! which news of the server are news, and alone says when the gate opens again.

use std::collections::VecDeque;
use std::time::Duration;

use mujian_media::time::Now;
use mujian_protocol::room::Away as Fact;
use mujian_protocol::studio::{AwayStep, StudioAway};
use mujian_protocol::{ApiError, LeaveId, WallTime};

/// How long a device may take to close before the streamer is warned.
pub const CLOSING: Duration = Duration::from_secs(1);
/// How long the streamer sees the picture before the audience does, if that is wanted.
pub const SELF_VIEW: Duration = Duration::from_secs(3);
/// Stays that are over and remembered, so that late news of them change nothing.
const ENDED: usize = 16;

/// The stay away as it is kept over a crash.
#[must_use]
pub fn fact(away: &StudioAway) -> Fact {
    Fact { since: away.since, leave_id: away.leave_id.clone(), keep_sound: away.keep_sound, back_at: None }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// The streamer left, here. The gate is closed already.
    Leave {
        /// Names this stay away.
        id: LeaveId,
        /// The sound goes on.
        keep_sound: bool,
        /// Since when, if it is gone on with after a crash; none: now.
        resumed: Option<WallTime>,
    },
    /// The streamer wants to be back, here; a second time: without the rest of the self-view.
    Back,
    /// A question for the room's news is under way: whatever comes as news from now on was true later
    /// than this.
    Asking,
    /// News of the room: the stay away that the server knows of.
    News(Option<Fact>),
    /// The server answered that it was told of leaving; this is what holds there now.
    LeaveTold(LeaveId, Option<Fact>),
    /// The server answered that it was told of being back; this is what holds there now.
    BackTold(LeaveId, Option<Fact>),
    /// The source is closed.
    Closed,
    /// The source gives pictures again.
    Opened,
    /// The source does not open.
    NotOpened(ApiError),
    /// The broadcast is over: everything is forgotten.
    Over,
    /// Nothing but time.
    Tick,
}

/// What comes along with everything that happens.
#[derive(Clone, Debug)]
pub struct Moment {
    /// For timers.
    pub now: Now,
    /// For records.
    pub wall: WallTime,
    /// An id that nothing has yet.
    pub fresh: LeaveId,
    /// The self-view is wanted.
    pub self_view: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Do {
    /// Close the gate, if it is not, and say the mark in the stream.
    Leave {
        /// The mark's id.
        id: LeaveId,
        /// The sound goes on.
        keep_sound: bool,
    },
    /// Make capture fit [`Absence::source`].
    Capture,
    /// Say the mark in the stream, open the gate, and ask for a key frame.
    Return(LeaveId),
    /// Warn that the device does not close, or no longer.
    Alarm(bool),
    /// Tell the streamer why the return failed.
    Refuse(ApiError),
}

/// What the source is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceWanted {
    /// Run.
    Open,
    /// Be closed; the microphone as well, unless the sound is kept.
    Closed {
        /// The microphone stays open.
        keep_sound: bool,
    },
}

/// What the server is to be told, again and again until it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The streamer left.
    Away {
        /// Which stay.
        id: LeaveId,
        /// The sound goes on.
        keep_sound: bool,
    },
    /// The streamer is back.
    Back {
        /// From which stay.
        id: LeaveId,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Stay {
    id: LeaveId,
    since: WallTime,
    keep_sound: bool,
    camera: Camera,
    back: Back,
    /// The server answered that it knows.
    told: bool,
    /// The room's news have shown this stay, so that its absence from them is news too.
    seen: bool,
    /// News without this stay came while the server was being told of it: older than its answer, or
    /// newer. It is asked once more.
    doubt: bool,
    /// "Leave" was pressed once more. Of an end that is heard of later nobody knows whether it was pressed
    /// before that.
    insisted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Camera {
    Closing { since: Now, alarmed: bool },
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Back {
    No,
    Opening { elsewhere: bool },
    SelfView { until: Now, wall: WallTime, elsewhere: bool },
}

/// The machine.
#[derive(Clone, Debug, Default)]
pub struct Absence {
    stay: Option<Stay>,
    ended: VecDeque<LeaveId>,
    /// The last return, until the server has answered.
    untold: Option<LeaveId>,
}

impl Absence {
    /// Whether the streamer is away: from the press until the gate opens again.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        self.stay.is_some()
    }

    /// The stay as it is shown.
    #[must_use]
    pub fn shown(&self) -> Option<StudioAway> {
        let stay = self.stay.as_ref()?;
        let step = match (stay.back, stay.camera) {
            (Back::SelfView { wall, .. }, _) => AwayStep::SelfView { until: wall },
            (Back::Opening { .. }, _) => AwayStep::Opening,
            (Back::No, Camera::Closing { .. }) => AwayStep::Closing,
            (Back::No, Camera::Closed) => AwayStep::Closed,
        };
        let (leave_id, since, keep_sound) = (stay.id.clone(), stay.since, stay.keep_sound);
        Some(StudioAway { leave_id, since, keep_sound, step, told: stay.told })
    }

    /// What the source is to do.
    #[must_use]
    pub fn source(&self) -> SourceWanted {
        match &self.stay {
            Some(Stay { back: Back::No, keep_sound, .. }) => SourceWanted::Closed { keep_sound: *keep_sound },
            _ => SourceWanted::Open,
        }
    }

    /// What the server is to be told now.
    #[must_use]
    pub fn statement(&self) -> Option<Statement> {
        match &self.stay {
            Some(stay) if stay.told => None,
            Some(stay) => Some(Statement::Away { id: stay.id.clone(), keep_sound: stay.keep_sound }),
            None => self.untold.clone().map(|id| Statement::Back { id }),
        }
    }

    /// When [`Turn::Tick`] is due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        match self.stay.as_ref()? {
            Stay { back: Back::SelfView { until, .. }, .. } => Some(*until),
            Stay { back: Back::No, camera: Camera::Closing { since, alarmed: false }, .. } => Some(since.plus(CLOSING)),
            _ => None,
        }
    }

    /// Takes what happened and says what is to be done, in this order.
    pub fn handle(&mut self, turn: Turn, moment: &Moment) -> Vec<Do> {
        match turn {
            Turn::Leave { id, keep_sound, resumed } => self.leave(id, keep_sound, resumed, moment),
            Turn::Back => self.back(),
            Turn::Asking => {
                if let Some(stay) = &mut self.stay {
                    stay.seen |= stay.told;
                }
                Vec::new()
            }
            Turn::News(fact) => self.news(fact, moment),
            Turn::LeaveTold(id, fact) => self.leave_told(&id, fact, moment),
            Turn::BackTold(id, fact) => {
                self.untold.take_if(|untold| *untold == id);
                self.still_held(fact.as_ref());
                match fact.filter(|fact| self.stay.is_none() && !self.ended.contains(&fact.leave_id)) {
                    // Left elsewhere meanwhile. The news of it may have come and gone: it is asked again.
                    Some(fact) => self.begin(fact.leave_id, fact.keep_sound, None, false, moment),
                    None => Vec::new(),
                }
            }
            Turn::Closed => self.closed(),
            Turn::Opened => self.opened(moment),
            Turn::NotOpened(error) => self.not_opened(error, moment),
            Turn::Over => {
                let alarmed = self.alarmed();
                *self = Self::default();
                if alarmed { vec![Do::Alarm(false)] } else { Vec::new() }
            }
            Turn::Tick => self.tick(moment),
        }
    }

    fn leave(&mut self, id: LeaveId, keep_sound: bool, resumed: Option<WallTime>, moment: &Moment) -> Vec<Do> {
        let Some(stay) = &mut self.stay else { return self.begin(id, keep_sound, resumed, false, moment) };
        stay.insisted = true;
        if stay.back == Back::No { Vec::new() } else { self.stay_away(moment) }
    }

    /// On the way back, and away again: nobody has seen anything.
    fn stay_away(&mut self, moment: &Moment) -> Vec<Do> {
        let Some(stay) = &mut self.stay else { return Vec::new() };
        let elsewhere = matches!(stay.back, Back::Opening { elsewhere: true } | Back::SelfView { elsewhere: true, .. });
        if elsewhere {
            // For the server that stay is over: this is another one.
            let keep_sound = stay.keep_sound;
            self.end_stay();
            return self.begin(moment.fresh.clone(), keep_sound, None, false, moment);
        }
        stay.back = Back::No;
        stay.camera = Camera::Closing { since: moment.now, alarmed: false };
        vec![Do::Capture]
    }

    fn begin(
        &mut self,
        id: LeaveId,
        keep_sound: bool,
        resumed: Option<WallTime>,
        known: bool,
        moment: &Moment,
    ) -> Vec<Do> {
        self.untold = None;
        self.stay = Some(Stay {
            id: id.clone(),
            since: resumed.unwrap_or(moment.wall),
            keep_sound,
            camera: Camera::Closing { since: moment.now, alarmed: false },
            back: Back::No,
            told: known,
            seen: known,
            doubt: false,
            insisted: false,
        });
        vec![Do::Leave { id, keep_sound }, Do::Capture]
    }

    fn end_stay(&mut self) -> Option<LeaveId> {
        let stay = self.stay.take()?;
        self.forget(stay.id.clone());
        Some(stay.id)
    }

    fn forget(&mut self, id: LeaveId) {
        if self.ended.len() == ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }

    fn back(&mut self) -> Vec<Do> {
        match &mut self.stay {
            Some(stay) if stay.back == Back::No => {
                stay.insisted = false;
                self.open(false)
            }
            Some(Stay { back: Back::SelfView { .. }, .. }) => self.finish(),
            _ => Vec::new(),
        }
    }

    fn open(&mut self, elsewhere: bool) -> Vec<Do> {
        let alarmed = self.alarmed();
        let Some(stay) = &mut self.stay else { return Vec::new() };
        stay.back = Back::Opening { elsewhere };
        stay.camera = Camera::Closed;
        if alarmed { vec![Do::Alarm(false), Do::Capture] } else { vec![Do::Capture] }
    }

    fn alarmed(&self) -> bool {
        matches!(&self.stay, Some(Stay { camera: Camera::Closing { alarmed: true, .. }, .. }))
    }

    fn news(&mut self, fact: Option<Fact>, moment: &Moment) -> Vec<Do> {
        match (fact, &mut self.stay) {
            // Late news of what is over here.
            (Some(fact), _) if self.ended.contains(&fact.leave_id) => Vec::new(),
            (Some(fact), None) => self.begin(fact.leave_id, fact.keep_sound, None, true, moment),
            (Some(fact), Some(stay)) if stay.id == fact.leave_id => {
                (stay.told, stay.seen) = (true, true);
                Vec::new()
            }
            // Of a stay before this one, perhaps: the server's answer will say which of the two holds.
            (Some(_), Some(stay)) if !stay.seen => Vec::new(),
            // Another one took its place.
            (Some(fact), Some(stay)) => {
                let mine = std::mem::replace(&mut stay.id, fact.leave_id);
                (stay.told, stay.seen) = (true, true);
                let again =
                    matches!(stay.back, Back::Opening { elsewhere: true } | Back::SelfView { elsewhere: true, .. });
                self.forget(mine);
                if again { self.stay_away_as_told(moment) } else { Vec::new() }
            }
            (None, Some(stay)) if stay.seen => match stay.back {
                Back::No if stay.insisted => {
                    let (keep_sound, since) = (stay.keep_sound, stay.since);
                    self.end_stay();
                    self.begin(moment.fresh.clone(), keep_sound, Some(since), false, moment)
                }
                Back::No => self.open(true),
                Back::Opening { .. } => {
                    stay.back = Back::Opening { elsewhere: true };
                    Vec::new()
                }
                Back::SelfView { until, wall, .. } => {
                    stay.back = Back::SelfView { until, wall, elsewhere: true };
                    Vec::new()
                }
            },
            (None, Some(stay)) => {
                stay.doubt = !std::mem::take(&mut stay.told);
                Vec::new()
            }
            (None, None) => Vec::new(),
        }
    }

    /// Somebody left again elsewhere while the return from the last stay was under way.
    fn stay_away_as_told(&mut self, moment: &Moment) -> Vec<Do> {
        let Some(stay) = &mut self.stay else { return Vec::new() };
        stay.back = Back::No;
        stay.camera = Camera::Closing { since: moment.now, alarmed: false };
        vec![Do::Leave { id: stay.id.clone(), keep_sound: stay.keep_sound }, Do::Capture]
    }

    fn leave_told(&mut self, id: &LeaveId, fact: Option<Fact>, moment: &Moment) -> Vec<Do> {
        let Some(stay) = self.stay.as_mut().filter(|s| s.id == *id) else {
            self.still_held(fact.as_ref());
            return Vec::new();
        };
        match fact {
            Some(fact) if fact.leave_id == stay.id => {
                stay.told = !std::mem::take(&mut stay.doubt);
                Vec::new()
            }
            Some(fact) => {
                let mine = std::mem::replace(&mut stay.id, fact.leave_id);
                stay.told = !std::mem::take(&mut stay.doubt);
                self.forget(mine);
                Vec::new()
            }
            None if stay.seen || stay.back != Back::No => {
                (stay.told, stay.seen) = (true, true);
                self.news(None, moment)
            }
            // That stay was ended without anybody here seeing it, before a crash perhaps. Nothing goes live by
            // itself: it is told under another name.
            None => {
                let (keep_sound, since) = (stay.keep_sound, stay.since);
                self.end_stay();
                self.begin(moment.fresh.clone(), keep_sound, Some(since), false, moment)
            }
        }
    }

    /// The server holds on to a stay that is over here: "leave" came to it after "back".
    fn still_held(&mut self, fact: Option<&Fact>) {
        if self.stay.is_none()
            && let Some(fact) = fact.filter(|fact| self.ended.contains(&fact.leave_id))
        {
            self.untold = Some(fact.leave_id.clone());
        }
    }

    fn closed(&mut self) -> Vec<Do> {
        let alarmed = self.alarmed();
        match &mut self.stay {
            Some(stay) if stay.back == Back::No => stay.camera = Camera::Closed,
            _ => return Vec::new(),
        }
        if alarmed { vec![Do::Alarm(false)] } else { Vec::new() }
    }

    fn opened(&mut self, moment: &Moment) -> Vec<Do> {
        match &mut self.stay {
            Some(stay) => match stay.back {
                Back::Opening { elsewhere } if moment.self_view => {
                    let wall = WallTime(moment.wall.0 + SELF_VIEW.as_millis() as i64);
                    stay.back = Back::SelfView { until: moment.now.plus(SELF_VIEW), wall, elsewhere };
                    Vec::new()
                }
                Back::Opening { .. } => self.finish(),
                _ => Vec::new(),
            },
            None => Vec::new(),
        }
    }

    fn finish(&mut self) -> Vec<Do> {
        match self.end_stay() {
            Some(id) => {
                // Told even if it came from the server: the stream's own gate opens by the mark alone,
                // and a call that finds nothing to do costs nothing.
                self.untold = Some(id.clone());
                vec![Do::Return(id)]
            }
            None => Vec::new(),
        }
    }

    fn not_opened(&mut self, error: ApiError, moment: &Moment) -> Vec<Do> {
        if !matches!(&self.stay, Some(Stay { back: Back::Opening { .. } | Back::SelfView { .. }, .. })) {
            return Vec::new();
        }
        let mut todo = self.stay_away(moment);
        todo.push(Do::Refuse(error));
        todo
    }

    fn tick(&mut self, moment: &Moment) -> Vec<Do> {
        match &mut self.stay {
            Some(Stay { back: Back::SelfView { until, .. }, .. }) if *until <= moment.now => self.finish(),
            Some(Stay { back: Back::No, camera: Camera::Closing { since, alarmed }, .. })
                if !*alarmed && since.plus(CLOSING) <= moment.now =>
            {
                *alarmed = true;
                vec![Do::Alarm(true)]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_protocol::ErrorCode;
    use proptest::prelude::*;

    fn id(n: usize) -> LeaveId {
        format!("leave-{n}").parse().unwrap()
    }

    fn fact(n: usize) -> Fact {
        Fact { since: WallTime(1), leave_id: id(n), keep_sound: false, back_at: None }
    }

    struct Rig {
        absence: Absence,
        now: Now,
        fresh: usize,
        self_view: bool,
    }

    impl Rig {
        fn new() -> Self {
            Self { absence: Absence::default(), now: Now::default(), fresh: 1000, self_view: false }
        }

        fn turn(&mut self, turn: Turn) -> Vec<Do> {
            self.fresh += 1;
            let moment = Moment { now: self.now, wall: WallTime(7), fresh: id(self.fresh), self_view: self.self_view };
            self.absence.handle(turn, &moment)
        }

        fn leave(&mut self, n: usize) -> Vec<Do> {
            self.turn(Turn::Leave { id: id(n), keep_sound: true, resumed: None })
        }

        fn away(n: usize) -> Self {
            let mut rig = Self::new();
            assert_eq!(rig.leave(n), [Do::Leave { id: id(n), keep_sound: true }, Do::Capture]);
            assert_eq!(rig.turn(Turn::Closed), []);
            rig
        }

        fn step(&self) -> Option<AwayStep> {
            self.absence.shown().map(|s| s.step)
        }
    }

    #[test]
    fn leaves_and_comes_back() {
        let mut rig = Rig::away(1);
        assert_eq!(rig.step(), Some(AwayStep::Closed));
        assert_eq!(rig.absence.source(), SourceWanted::Closed { keep_sound: true });
        assert_eq!(rig.absence.statement(), Some(Statement::Away { id: id(1), keep_sound: true }));
        rig.turn(Turn::LeaveTold(id(1), Some(fact(1))));
        assert_eq!(rig.absence.statement(), None);
        assert_eq!(rig.leave(2), [], "pressed twice");
        assert_eq!(rig.turn(Turn::Back), [Do::Capture]);
        assert!(rig.absence.is_away(), "until the source gives pictures");
        assert_eq!(rig.turn(Turn::Opened), [Do::Return(id(1))]);
        assert_eq!(rig.absence.statement(), Some(Statement::Back { id: id(1) }));
        rig.turn(Turn::BackTold(id(1), None));
        assert_eq!((rig.absence.statement(), rig.absence.shown()), (None, None));
        assert_eq!(rig.turn(Turn::Back), [], "back without leaving");
    }

    #[test]
    fn a_device_that_does_not_close_is_told_of() {
        let mut rig = Rig::new();
        rig.leave(1);
        assert_eq!(rig.step(), Some(AwayStep::Closing));
        rig.now = rig.absence.deadline().unwrap();
        assert_eq!(rig.turn(Turn::Tick), [Do::Alarm(true)]);
        assert_eq!(rig.absence.deadline(), None, "once");
        assert_eq!(rig.turn(Turn::Closed), [Do::Alarm(false)]);
    }

    #[test]
    fn the_self_view_can_be_cut_short_or_left_again() {
        let mut rig = Rig::away(1);
        rig.self_view = true;
        rig.turn(Turn::Back);
        assert_eq!(rig.turn(Turn::Opened), []);
        assert!(matches!(rig.step(), Some(AwayStep::SelfView { .. })) && rig.absence.is_away());
        assert_eq!(rig.leave(2), [Do::Capture]);
        assert_eq!(rig.absence.source(), SourceWanted::Closed { keep_sound: true });
        rig.turn(Turn::Back);
        rig.turn(Turn::Opened);
        assert_eq!(rig.turn(Turn::Back), [Do::Return(id(1))]);
        rig.leave(3);
        rig.turn(Turn::Back);
        rig.turn(Turn::Opened);
        rig.now = rig.absence.deadline().unwrap();
        assert_eq!(rig.turn(Turn::Tick), [Do::Return(id(3))]);
    }

    #[test]
    fn a_source_that_does_not_open_keeps_the_streamer_away() {
        let mut rig = Rig::away(1);
        rig.turn(Turn::Back);
        let error = ApiError::new(ErrorCode::Device, "busy");
        assert_eq!(rig.turn(Turn::NotOpened(error.clone())), [Do::Capture, Do::Refuse(error)]);
        assert!(rig.absence.is_away());
        assert_eq!(rig.turn(Turn::Opened), [], "late");
    }

    #[test]
    fn follows_what_is_pressed_elsewhere() {
        let mut rig = Rig::new();
        let todo = rig.turn(Turn::News(Some(fact(1))));
        assert_eq!(todo, [Do::Leave { id: id(1), keep_sound: false }, Do::Capture]);
        assert_eq!(rig.absence.statement(), None, "the server knows");
        assert_eq!(rig.turn(Turn::News(None)), [Do::Capture]);
        assert_eq!(rig.turn(Turn::Opened), [Do::Return(id(1))]);
        assert_eq!(rig.turn(Turn::News(Some(fact(1)))), [], "late news");
        // The source does not open, but the server thinks the streamer is back: it must hear otherwise.
        rig.turn(Turn::News(Some(fact(2))));
        rig.turn(Turn::News(None));
        let todo = rig.turn(Turn::NotOpened(ApiError::new(ErrorCode::Device, "busy")));
        assert!(matches!(&todo[0], Do::Leave { id: new, .. } if *new != id(2)), "{todo:?}");
        assert!(matches!(rig.absence.statement(), Some(Statement::Away { .. })));
    }

    #[test]
    fn news_from_before_the_press_do_not_bring_anybody_back() {
        let mut rig = Rig::away(1);
        assert_eq!(rig.turn(Turn::News(None)), [], "the server does not know yet");
        rig.turn(Turn::LeaveTold(id(1), Some(fact(1))));
        assert_eq!(rig.turn(Turn::News(None)), [], "may have been under way");
        rig.turn(Turn::News(Some(fact(1))));
        assert_eq!(rig.turn(Turn::News(None)), [Do::Capture]);
        // Pressed once more here, perhaps after "back" was pressed elsewhere: away, by another name.
        let mut rig = Rig::new();
        rig.turn(Turn::News(Some(fact(1))));
        rig.leave(2);
        let todo = rig.turn(Turn::News(None));
        assert!(matches!(&todo[0], Do::Leave { id: new, .. } if *new != id(1)), "{todo:?}");
        // A new question after the answer can only hear later news.
        let mut rig = Rig::away(2);
        rig.turn(Turn::LeaveTold(id(2), Some(fact(2))));
        rig.turn(Turn::Asking);
        assert_eq!(rig.turn(Turn::News(None)), [Do::Capture]);
    }

    #[test]
    fn after_a_crash_only_a_press_brings_back() {
        let mut rig = Rig::new();
        rig.turn(Turn::Leave { id: id(1), keep_sound: false, resumed: Some(WallTime(3)) });
        rig.turn(Turn::Closed);
        assert_eq!(rig.absence.shown().unwrap().since, WallTime(3));
        // Somebody pressed back in a browser meanwhile: that stay cannot be told again.
        let todo = rig.turn(Turn::LeaveTold(id(1), None));
        assert!(matches!(&todo[0], Do::Leave { id: new, .. } if *new != id(1)), "{todo:?}");
        assert!(rig.absence.is_away() && rig.absence.statement().is_some());
    }

    #[test]
    fn two_that_leave_at_once_are_one_stay() {
        let mut rig = Rig::away(1);
        rig.turn(Turn::LeaveTold(id(1), Some(fact(2))));
        assert_eq!(rig.absence.statement(), None);
        rig.turn(Turn::Back);
        assert_eq!(rig.turn(Turn::Opened), [Do::Return(id(2))]);
        assert_eq!(rig.turn(Turn::News(Some(fact(1)))), []);
        // Late news of a stay that was over before the press, and of its end.
        let mut rig = Rig::away(1);
        rig.turn(Turn::News(Some(fact(5))));
        assert_eq!(rig.turn(Turn::News(None)), []);
        assert!(rig.absence.is_away());
    }

    fn any_turn() -> impl Strategy<Value = u8> {
        0u8..12
    }

    proptest! {
        /// Against a server that keeps one fact and whose answers and news come late, in any order:
        /// the gate opens only after a press of "back" that came after the last press of "leave", here
        /// or elsewhere; and when everything that is under way has arrived, both agree.
        #[test]
        fn agrees_with_the_server(
            steps in proptest::collection::vec((any_turn(), 0u64..1500), 0..80),
            self_view in any::<bool>(),
        ) {
            let mut rig = Rig::new();
            rig.self_view = self_view;
            // The server: its fact, the stays that are over, and news on their way.
            let mut server: Option<LeaveId> = None;
            let mut over: Vec<LeaveId> = Vec::new();
            let mut news: VecDeque<Option<LeaveId>> = VecDeque::new();
            let mut call: Option<(Statement, Option<Option<LeaveId>>)> = None;
            // The model: "leave" was pressed here, and nobody has pressed "back" since, here or elsewhere.
            let mut meant_away = false;
            // What capture was asked for last, and has not answered yet.
            let (mut source_open, mut asked) = (true, None);
            let mut n = 0;
            let as_fact = |id: Option<LeaveId>| id.map(|leave_id| Fact { since: WallTime(1), leave_id, keep_sound: true, back_at: None });
            let settle = (0..400).map(|i| ([3u8, 4, 5, 6, 7, 9][i % 6], 500));
            for (at, (what, ms)) in steps.iter().copied().chain(settle).enumerate() {
                let settling = at >= steps.len();
                rig.now = rig.now.plus(Duration::from_millis(ms));
                let todo = match what {
                    0 => { n += 1; meant_away = true; rig.leave(n) }
                    1 => { meant_away = false; rig.turn(Turn::Back) }
                    // Elsewhere: leave and back.
                    2 if server.is_none() && !settling => {
                        n += 1;
                        server = Some(id(n));
                        news.push_back(server.clone());
                        continue;
                    }
                    10 => {
                        if let Some(id) = server.take() { over.push(id); news.push_back(None); meant_away = false; }
                        continue;
                    }
                    // The call: sent, heard by the server, answered.
                    3 if call.is_none() => { call = rig.absence.statement().map(|s| (s, None)); continue; }
                    4 => {
                        if let Some((statement, answer @ None)) = &mut call {
                            match statement {
                                Statement::Away { id, .. } if server.is_none() && !over.contains(id) => {
                                    server = Some(id.clone());
                                    news.push_back(server.clone());
                                }
                                Statement::Back { id } if server.as_ref() == Some(id) => {
                                    over.push(id.clone());
                                    server = None;
                                    news.push_back(None);
                                }
                                _ => {}
                            }
                            *answer = Some(server.clone());
                        }
                        continue;
                    }
                    5 => match call.take() {
                        Some((Statement::Away { id, .. }, Some(fact))) => rig.turn(Turn::LeaveTold(id, as_fact(fact))),
                        Some((Statement::Back { id }, Some(fact))) => rig.turn(Turn::BackTold(id, as_fact(fact))),
                        other => { call = other; continue; }
                    },
                    6 => match news.pop_front() {
                        Some(fact) => rig.turn(Turn::News(as_fact(fact))),
                        None => continue,
                    },
                    // The socket is opened anew: a snapshot takes the place of what was under way.
                    8 => {
                        news.clear();
                        news.push_back(server.clone());
                        rig.turn(Turn::Asking)
                    }
                    7 => {
                        let Some(open) = asked.take() else { continue };
                        source_open = open;
                        rig.turn(if open { Turn::Opened } else { Turn::Closed })
                    }
                    9 => rig.turn(Turn::Tick),
                    11 => {
                        if asked != Some(true) { continue; }
                        asked = None;
                        rig.turn(Turn::NotOpened(ApiError::new(ErrorCode::Device, "busy")))
                    }
                    _ => continue,
                };
                for action in &todo {
                    if let Do::Return(_) = action {
                        prop_assert!(source_open, "pictures are there before the gate opens");
                        prop_assert!(!meant_away, "nobody asked for it");
                    }
                    if *action == Do::Capture { asked = Some(rig.absence.source() == SourceWanted::Open); }
                }
            }
            prop_assert_eq!(rig.absence.is_away(), server.is_some(), "both agree in the end: {:?} {:?}", rig.absence, server);
            prop_assert_eq!(rig.absence.statement(), None);
        }
    }
}
