//! A model of the world around the engine: a publisher that captures, a road that holds frames up, an
//! app that marks in its stream, people who press buttons, a store that takes its time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mujian_media::frame::{AudioFrame, FeedItem, VideoFrame};
use mujian_media::time::{MediaTime, Now};
use mujian_protocol::{LeaveId, WallTime};
use proptest::prelude::*;

use super::super::Leave;
use super::super::engine::{Engine, EngineConfig, Slates};
use super::super::handle::AwayMark;
use super::checks::Seen;
use super::publisher::{Shape, Truth, slate, tagged};
use super::returns::Returns;
use crate::slate::{SlateKind, SlateLoop};

/// How long a frame is on the road at best.
const LATENCY: u64 = 40;
/// A publisher's disturbances are forgotten after this long: then everything must be as new.
pub(super) const CALM: u64 = 6000;
/// Placeholders are known by their size: so much over a hundred.
pub(super) const AWAY_SIZE: u32 = 4;

pub(super) fn at(ms: u64) -> Now {
    Now::from_origin(Duration::from_millis(ms))
}

pub(super) fn t(ms: i64) -> MediaTime {
    MediaTime::from_millis(ms)
}

/// How a leave of the app's travels, besides its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// The control connection is cut.
    Cut,
    Now,
    /// It comes when [`Op::HeldUp`] says so.
    Late,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// All is well for this long.
    Run(u64),
    /// Nothing arrives; then all of it at once.
    Stall(u64),
    /// The same, while other things happen.
    Hold(u64),
    /// The road becomes longer for good.
    Slower(u64),
    /// From now on the encoder leaves out all but one picture of so many.
    Thin(u64),
    /// Nothing is captured of the picture, or of the sound.
    NoPicture(u64),
    NoSound(u64),
    Lose,
    Goodbye,
    /// A publisher, and whether it marks in its stream.
    Come(Shape, bool),
    /// Told over the API, by another device than the publisher.
    Leave {
        keep_sound: bool,
    },
    Back,
    /// Pressed in the app that publishes, if it marks.
    AppLeave {
        keep_sound: bool,
        api: Api,
    },
    AppBack {
        api: bool,
    },
    /// The app hears of what other devices did, and takes it over.
    AppHears,
    /// Leaves that were held up come at last.
    HeldUp,
    Cover,
    Restore,
    End,
    /// Timestamps jump, both tracks.
    Jump(i64),
    /// Another configuration, which the next key frame (the next picture, or much later) obeys.
    Change(Shape),
    SlatesReady,
}

/// What travels on the publisher's connection.
enum Sent {
    Item(FeedItem),
    Away(AwayMark),
}

pub(super) struct OnTheRoad {
    arrives: u64,
    what: Sent,
    id: Option<usize>,
    /// A mark that has gone past what waits.
    jumped: bool,
}

pub(super) struct Model {
    pub(super) engine: Engine,
    pub(super) now: u64,
    delay: u64,
    pub(super) shape: Shape,
    pub(super) session: Option<u64>,
    sessions: u64,
    /// When this one came.
    came: u64,
    /// A track of the connection may have begun later than it did.
    late_track: bool,
    /// The publisher is the app.
    marks: bool,
    mark_number: u64,
    /// Publisher's time at `now` 0.
    pub(super) base: i64,
    frame: u64,
    /// The next picture's place, at the rate that the publisher says.
    place: u64,
    pub(super) thin: u64,
    /// Counts configurations, ended or not.
    era: u64,
    sample: u64,
    started: u64,
    sound_from: u64,
    latency: u64,
    road_busy_until: u64,
    pub(super) road: VecDeque<OnTheRoad>,
    pub(super) truth: Vec<Truth>,
    last_given: Option<usize>,
    /// The shortest time of a picture, and of sound, to the stage, in this session.
    best_road: [Option<u64>; 2],
    leaves: u64,
    /// The app is away in its own eyes: from which absence, and whether its sound goes on.
    app: Option<(LeaveId, bool)>,
    /// The app's returns: from which absence, and when.
    app_backs: Vec<(LeaveId, u64)>,
    held_up: Vec<Leave>,
    /// How long the store takes for a return that came in band.
    pub(super) store: u64,
    pub(super) storing: VecDeque<(u64, LeaveId)>,
    // What the room knows.
    pub(super) away_since: Option<u64>,
    pub(super) sound_off_since: Option<u64>,
    pub(super) keep_sound: bool,
    pub(super) covered: bool,
    /// What came before this was covered while it waited in the line.
    pub(super) restored: u64,
    /// Nothing captured in these may be seen, ever: sessions' spans are not told apart.
    pub(super) secret: Vec<(u64, u64)>,
    pub(super) secret_sound: Vec<(u64, u64)>,
    pub(super) disturbed: u64,
    pub(super) slates: Vec<Arc<SlateLoop>>,
    pub(super) returns: Returns,
    /// Until now the programme was ahead of its clock, and nothing left the delay line.
    pub(super) held: bool,
    pub(super) seen: Seen,
}

impl Model {
    pub(super) fn new(delay: u64) -> Self {
        let slates = vec![slate(100, 15, 7), slate(102, 15, 5), slate(100 + AWAY_SIZE, 15, 6)];
        let config = EngineConfig {
            grace: Duration::from_secs(20),
            grace_away: Duration::from_secs(60),
            delay: Duration::from_millis(delay),
            away: None,
            covered: false,
        };
        let [moment, sound_only, away] = [0, 1, 2].map(|n| Arc::clone(&slates[n]));
        Self {
            engine: Engine::new(config, Slates { moment, sound_only, away }),
            now: 1000,
            delay,
            shape: Shape::Plain,
            session: None,
            sessions: 0,
            came: 0,
            late_track: false,
            marks: false,
            mark_number: 0,
            base: 0,
            frame: 0,
            place: 0,
            thin: 1,
            era: 0,
            sample: 0,
            started: 0,
            sound_from: 0,
            latency: LATENCY,
            road_busy_until: 0,
            road: VecDeque::new(),
            truth: Vec::new(),
            last_given: None,
            best_road: [None; 2],
            leaves: 0,
            app: None,
            app_backs: Vec::new(),
            held_up: Vec::new(),
            store: 0,
            storing: VecDeque::new(),
            away_since: None,
            sound_off_since: None,
            keep_sound: false,
            covered: false,
            restored: 0,
            secret: Vec::new(),
            secret_sound: Vec::new(),
            disturbed: 0,
            slates,
            returns: Returns::new(delay),
            held: false,
            seen: Seen::default(),
        }
    }

    fn new_leave(&mut self) -> LeaveId {
        self.leaves += 1;
        format!("leave-{}", self.leaves).parse().unwrap()
    }

    pub(super) fn come(&mut self, shape: Shape, marks: bool) {
        if self.session.is_some() {
            self.engine.lost(at(self.now));
            self.returns.lost(self.now);
        }
        self.returns.came(marks, self.now);
        self.sessions += 1;
        self.session = Some(self.sessions);
        self.came = self.now;
        self.late_track = false;
        self.road.clear();
        self.last_given = None;
        self.best_road = [None; 2];
        self.base = (self.sessions as i64 * 7_777) % 50_000 - self.now as i64;
        self.engine.came(self.sessions, at(self.now));
        self.marks = marks;
        self.mark_number = 0;
        if !marks {
            self.app = None;
        } else if let Some((leave_id, keep_sound)) = self.app.clone() {
            self.send_away(leave_id, keep_sound);
        }
        self.set_shape(shape);
        self.disturb();
    }

    fn arrives(&self, sent: u64) -> u64 {
        (sent + self.latency).max(self.road_busy_until)
    }

    fn send(&mut self, arrives: u64, what: Sent, id: Option<usize>) {
        self.road.push_back(OnTheRoad { arrives, what, id, jumped: false });
    }

    fn send_away(&mut self, leave_id: LeaveId, keep_sound: bool) {
        self.mark_number += 1;
        let mark = AwayMark { number: self.mark_number, leave_id, keep_sound };
        self.send(self.arrives(self.now), Sent::Away(mark), None);
    }

    fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
        (self.started, self.sound_from) = (self.now, self.now);
        self.era += 1;
        (self.frame, self.place, self.sample) = (0, 0, 0);
        let arrives = self.arrives(self.now);
        if shape != Shape::SoundOnly {
            self.send(arrives, Sent::Item(FeedItem::VideoConfig(shape.video())), None);
        }
        if shape != Shape::Mute {
            self.send(arrives, Sent::Item(FeedItem::AudioConfig(Arc::new(shape.audio()))), None);
        }
    }

    fn lose(&mut self) {
        if self.session.take().is_some() {
            self.road.clear();
            self.engine.lost(at(self.now));
            self.returns.lost(self.now);
        }
        self.disturb();
    }

    /// When the next picture and the next sound leave the encoder.
    fn due(&self) -> (u64, u64) {
        let picture = self.started + (self.place + 2) * 1000 / self.shape.fps();
        let sound = self.sound_from + (self.sample + 1) * 1_024_000 / u64::from(self.shape.audio().sample_rate);
        (
            if self.shape == Shape::SoundOnly { u64::MAX } else { picture },
            if self.shape == Shape::Mute { u64::MAX } else { sound },
        )
    }

    /// What happens now is felt until it has come through the road and the delay line.
    pub(super) fn disturb(&mut self) {
        self.disturbed =
            self.disturbed.max(self.now.max(self.road_busy_until) + self.latency + self.delay + self.store);
    }

    /// The publisher captures and sends until `until`.
    pub(super) fn capture(&mut self, until: u64, picture: bool, sound: bool) {
        let Some(session) = self.session else { return };
        loop {
            let (video_due, audio_due) = self.due();
            let due = video_due.min(audio_due);
            if due > until {
                return;
            }
            let (wanted, item, theirs, key, captured, slot);
            let id = self.truth.len();
            let is_video = video_due <= audio_due;
            if is_video {
                let (n, place, fps) = (self.frame, self.place, self.shape.fps());
                let in_group = n % self.shape.group();
                let fixture = self.shape.fixture();
                slot = self.started + place * 1000 / fps;
                let reordered = self.started + (place + self.shape.composition(in_group)) * 1000 / fps;
                let time = |ms: u64| t(self.base + ms as i64);
                let (dts, pts) = (time(slot), time(reordered));
                key = in_group == 0;
                let slice = &fixture.frames[(n % 60) as usize].data;
                let data = if self.shape.reorders() { tagged(b"", id) } else { tagged(slice, id) };
                captured = reordered - if self.shape.reorders() { 1000 / fps } else { 0 };
                theirs = dts;
                item = FeedItem::Video(VideoFrame { dts, pts, key, data });
                // A publisher that drops pictures goes on with a key frame.
                if picture {
                    self.frame += 1;
                    self.place += if self.shape.reorders() { 1 } else { self.thin };
                } else {
                    self.starts_again(due - 1000 / fps);
                }
                wanted = picture;
            } else {
                let rate = u64::from(self.shape.audio().sample_rate);
                slot = self.sound_from + self.sample * 1_024_000 / rate;
                let pts = t(self.base + slot as i64);
                (theirs, key, captured) = (pts, false, slot);
                item = FeedItem::Audio(AudioFrame { pts, data: tagged(b"\0\0\0\x01\x01", id) });
                self.sample += 1;
                wanted = sound;
            }
            if wanted {
                let config = self.shape.video();
                // A careless app, which goes on sending what nobody may see.
                let hidden = self.marks && self.app.as_ref().is_some_and(|(_, keep_sound)| is_video || !keep_sound);
                let era = self.era;
                self.truth.push(Truth {
                    captured,
                    slot,
                    hidden,
                    session,
                    era,
                    theirs,
                    key,
                    config,
                    before: None,
                    came: 0,
                });
                self.send(self.arrives(due), Sent::Item(item), Some(id));
            }
        }
    }

    /// The numbering of pictures begins anew, with a key frame captured at this time. Sound goes on.
    fn starts_again(&mut self, started: u64) {
        (self.frame, self.place) = (0, 0);
        self.started = started;
    }

    /// Time passes, with everything that happens in it.
    pub(super) fn pass(&mut self, ms: u64, picture: bool, sound: bool) -> Result<(), TestCaseError> {
        let end = self.now + ms;
        self.capture(end, picture, sound);
        loop {
            self.held = !self.engine.hungry(at(self.now));
            let wake = self
                .engine
                .wake_at(at(self.now))
                .map_or(u64::MAX, |w| w.since_origin().as_micros().div_ceil(1000) as u64);
            let deliver = match self.road.front() {
                Some(first) if self.engine.hungry(at(self.now)) => first.arrives,
                _ => u64::MAX,
            };
            let mark =
                self.road.iter().filter(|r| matches!(r.what, Sent::Away(_)) && !r.jumped).map(|r| r.arrives).min();
            let store = self.storing.front().map(|(due, _)| *due);
            let next = [Some(wake), Some(deliver), mark, store].into_iter().flatten().min();
            let next = next.unwrap_or(u64::MAX).max(self.now);
            if next > end {
                break;
            }
            self.now = next;
            if store.is_some_and(|due| due <= self.now)
                && let Some((_, id)) = self.storing.pop_front()
            {
                self.back(Some(&id));
            }
            self.jump_marks();
            // Everything that has arrived is handed over at once, as the task does.
            while let Some(first) = self.road.front()
                && first.arrives <= self.now
                && !self.engine.is_returning(at(self.now))
            {
                let first = self.road.pop_front().unwrap();
                self.hand_over(first);
            }
            self.engine.run(at(self.now));
            self.check()?;
            if self.engine.wake_at(at(self.now)).is_some_and(|w| w <= at(self.now)) && deliver > self.now {
                self.now += 1;
            }
        }
        self.now = end;
        Ok(())
    }

    /// Away marks that have arrived go past what waits.
    fn jump_marks(&mut self) {
        let (now, session) = (self.now, self.sessions);
        for waits in self.road.iter_mut().filter(|r| r.arrives <= now && !r.jumped) {
            if let Sent::Away(mark) = &waits.what {
                waits.jumped = true;
                self.engine.away_mark(session, mark.clone(), false, WallTime(0), at(now));
            }
        }
    }

    fn hand_over(&mut self, first: OnTheRoad) {
        let item = match first.what {
            Sent::Away(mark) => return self.engine.away_mark(self.sessions, mark, true, WallTime(0), at(self.now)),
            Sent::Item(item) => item,
        };
        if let Some(id) = first.id {
            let is_video = matches!(item, FeedItem::Video(_));
            let road = self.now.saturating_sub(self.truth[id].slot);
            let best = &mut self.best_road[usize::from(!is_video)];
            *best = Some(best.map_or(road, |best| best.min(road)));
            self.truth[id].came = self.now;
            if is_video {
                self.truth[id].before = self.last_given.replace(id);
                if self.away_since.is_none() {
                    self.returns.picture(self.now);
                }
            }
        }
        self.engine.feed(item, at(self.now));
    }

    /// The room knows that the streamer is away, since this moment at the latest.
    pub(super) fn is_away(&mut self, keep_sound: bool, since: u64) {
        if self.away_since.is_none() {
            self.returns.left(self.marks && self.session.is_some());
        }
        self.keep_sound = keep_sound && (self.away_since.is_none() || self.keep_sound);
        self.away_since.get_or_insert(since);
        if !self.keep_sound {
            self.sound_off_since.get_or_insert(since);
        }
    }

    /// The API tells the stage.
    fn leave(&mut self, leave: Leave) {
        let (id, keep_sound) = (leave.leave_id.clone(), leave.keep_sound);
        let holds = self.engine.leave(leave, at(self.now));
        if holds.is_some_and(|h| h.leave_id == id) {
            self.is_away(keep_sound, self.now);
        }
        self.disturb();
    }

    /// The same of the return.
    fn back(&mut self, id: Option<&LeaveId>) {
        let fact = self.engine.away().map(|f| f.leave_id.clone());
        if self.engine.back(id, at(self.now)) {
            self.returns.back(self.now);
            // What the server cannot know: how long the road is at best, unless the app's mark tells it.
            let end = |best: Option<u64>| self.now.saturating_sub(best.map_or(0, |best| best.saturating_sub(200)));
            // Once it has come back from this one, what it hides is its own word, however often it takes it over again.
            let app = self.app_backs.iter().find(|(id, _)| Some(id) == fact.as_ref());
            let app = app.map_or(u64::MAX, |(_, at)| *at);
            let [picture, sound] = self.best_road.map(|best| end(best).min(app));
            self.secret.extend(self.away_since.take().map(|since| (since, picture)));
            // A frame of sound that is under way at the press is not cut.
            let frame = 24;
            self.secret_sound.extend(self.sound_off_since.take().map(|since| (since, sound.saturating_sub(frame))));
        }
        self.disturb();
    }

    fn app_back(&mut self, api: bool) {
        let Some((leave_id, _)) = self.app.take() else { return };
        self.app_backs.push((leave_id.clone(), self.now));
        if self.session.is_some() && self.marks {
            self.send(self.arrives(self.now), Sent::Item(FeedItem::BackMark { leave_id: leave_id.clone() }), None);
            self.starts_again(self.now);
        }
        if api || self.session.is_none() {
            self.back(Some(&leave_id));
        }
        self.disturb();
    }

    pub(super) fn apply(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let now = at(self.now);
        match *op {
            Op::Run(ms) => self.pass(ms, true, true)?,
            Op::Stall(ms) => {
                self.road_busy_until = self.now + ms;
                let before = std::mem::replace(&mut self.disturbed, u64::MAX);
                self.pass(ms, true, true)?;
                self.disturbed = before;
                self.disturb();
            }
            Op::Hold(ms) => {
                self.road_busy_until = self.now + ms;
                self.disturb();
            }
            Op::Slower(ms) => {
                self.latency = (self.latency + ms).min(4000);
                self.disturb();
            }
            Op::Thin(every) => self.leave_out(every),
            Op::NoPicture(ms) => {
                self.pass(ms, false, true)?;
                self.disturb();
            }
            Op::NoSound(ms) => {
                self.pass(ms, true, false)?;
                self.disturb();
            }
            Op::Lose => self.lose(),
            Op::Goodbye => {
                if self.session.take().is_some() {
                    self.road.clear();
                    self.engine.goodbye(now);
                    self.returns.lost(self.now);
                    self.disturb();
                }
            }
            Op::Come(shape, marks) => self.come(shape, marks),
            Op::Leave { keep_sound } => {
                let leave = Leave { leave_id: self.new_leave(), since: WallTime(0), keep_sound, back_at: None };
                self.leave(leave);
            }
            Op::Back => self.back(None),
            Op::AppLeave { keep_sound, api } => {
                if self.marks && self.app.is_none() {
                    let leave_id = self.new_leave();
                    self.app = Some((leave_id.clone(), keep_sound));
                    if self.session.is_some() {
                        self.send_away(leave_id.clone(), keep_sound);
                    }
                    let leave = Leave { leave_id, since: WallTime(0), keep_sound, back_at: None };
                    match api {
                        Api::Cut => {}
                        Api::Now => self.leave(leave),
                        Api::Late => self.held_up.push(leave),
                    }
                    self.disturb();
                }
            }
            Op::AppBack { api } => self.app_back(api),
            Op::AppHears => {
                let fact = self.engine.away().cloned();
                match (fact, &self.app) {
                    (Some(fact), None) if self.marks && self.session.is_some() => {
                        self.app = Some((fact.leave_id.clone(), fact.keep_sound));
                        self.send_away(fact.leave_id, fact.keep_sound);
                    }
                    (None, Some(_)) => self.app_back(false),
                    _ => {}
                }
            }
            Op::HeldUp => {
                for leave in std::mem::take(&mut self.held_up) {
                    self.leave(leave);
                }
            }
            Op::Cover => {
                self.covered = true;
                self.engine.cover();
                self.returns.covered();
                self.disturb();
            }
            Op::Restore => {
                if std::mem::take(&mut self.covered) {
                    self.restored = self.now;
                    self.returns.restored(self.now);
                }
                self.engine.restore(now);
                self.disturb();
            }
            Op::End => {
                self.engine.end();
                self.session = None;
                self.app = None;
                self.road.clear();
                (self.away_since, self.sound_off_since) = (None, None);
                self.disturb();
            }
            Op::Jump(ms) => {
                // A small jump ahead cannot be told from pictures that were lost: see the gate. All is well before and after it.
                let small = (1..=20_000).contains(&ms);
                let calm = self.away_since.is_none() && self.now.saturating_sub(self.disturbed) > 1000;
                if !small || calm {
                    self.base += ms;
                    self.disturb();
                    if small {
                        self.pass(1000, true, true)?;
                    }
                }
            }
            Op::Change(shape) => {
                if self.session.is_some() {
                    self.late_track |= matches!(self.shape, Shape::Mute | Shape::SoundOnly);
                    self.set_shape(shape);
                    self.disturb();
                }
            }
            Op::SlatesReady => {
                if let Some(request) = self.engine.wanted {
                    let away = (SlateKind::Away, 200 + AWAY_SIZE);
                    for (kind, size) in [(SlateKind::Moment, 200), (SlateKind::SoundOnly, 202), away] {
                        let made = slate(size, request.fps, 9);
                        self.slates.push(Arc::clone(&made));
                        self.engine.slate_ready(kind, request, made);
                    }
                }
            }
        }
        self.engine.run(at(self.now));
        self.check()
    }

    /// The publisher sends one picture of so many from now on.
    fn leave_out(&mut self, every: u64) {
        // The last one before more come may still stand too far.
        if every < self.thin {
            self.disturb();
        }
        self.thin = every;
    }

    /// The publisher sends all that is on the road in one moment.
    pub(super) fn hurry(&mut self) {
        let now = self.now;
        for sent in &mut self.road {
            sent.arrives = now;
        }
    }

    /// After trouble, when all is well for a while, viewers see and hear the publisher.
    pub(super) fn settles(&mut self) -> Result<(), TestCaseError> {
        self.app_back(false);
        self.leave_out(1);
        if self.away_since.is_some() {
            self.apply(&Op::Back)?;
        }
        if self.covered {
            self.apply(&Op::Restore)?;
        }
        if self.session.is_none() {
            self.come(Shape::Plain, self.marks);
        }
        // A mark of the app's that was still on its way, or in the store, must have come.
        self.pass(self.delay + self.latency + self.store + 3000, true, true)?;
        if self.away_since.is_some() {
            self.apply(&Op::Back)?;
        }
        // Of a track that has shown nothing yet the gate takes as much as its connection is old for an absence's.
        let age = self.now - self.came;
        let far = match self.shape {
            Shape::Far => 8000 + age,
            _ if self.late_track => age,
            _ => 0,
        };
        self.pass(self.delay + self.latency + 9000 + far, true, true)?;
        let (live, sounds) = (self.seen.live_chunks, self.seen.sounds);
        self.pass(1000, true, true)?;
        match self.shape {
            Shape::SoundOnly => {
                prop_assert_eq!(self.seen.stage, Some(mujian_protocol::room::Stage::Lost));
                prop_assert!(self.seen.sounds - sounds >= 40, "{} sounds", self.seen.sounds - sounds);
            }
            shape => {
                prop_assert_eq!(self.seen.stage, Some(mujian_protocol::room::Stage::Live));
                let seen = self.seen.live_chunks - live;
                prop_assert!(seen >= shape.fps() - 2, "{seen} live pictures in a second");
                if shape != Shape::Mute {
                    prop_assert!(self.seen.sounds - sounds >= 40, "{} sounds", self.seen.sounds - sounds);
                }
            }
        }
        Ok(())
    }
}
