//! The stage's decisions, without input, output or clock: gate, delay line, switcher and timeline put
//! together.
//!
//! # What may be tried against it
//!
//! - A burst after a stall: the hole was filled, so late pictures are squeezed behind what stands, or
//!   dropped up to the newest key frame that already waits; a group that comes much too late is held
//!   until it is known whether it is a burst or a slower road (then the session's offset moves).
//! - Leave and cover together, in any order, told twice, marks held up: [`Gate`] and [`Switcher`] keep
//!   facts, not events; each is lifted by its own word alone.
//! - A publisher that comes and goes, or is taken over from in the middle of a group: every session
//!   starts at a key frame, with its own offset; the slate or made pictures go on until then.
//! - No picture, no sound, no key frame ever, another configuration without a key frame: silence, a
//!   slate, sound under a slate.
//! - Timestamps that jump or run too fast: [`SessionClock`] re-anchors, the publisher waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mujian_media::frame::{AudioConfig, AudioFrame, FeedItem, VideoConfig, VideoFrame};
use mujian_media::time::{MediaTime, Now};
use mujian_protocol::room::Stage;
use mujian_protocol::{LeaveId, WallTime};

use super::delay::DelayLine;
use super::gate::Gate;
use super::handle::AwayMark;
use super::programme::ChunkParts;
use super::session::{Cadence, SessionClock, Track};
use super::switcher::{Picture, Switcher};
use super::timeline::{LivePicture, Timeline};
use super::{Leave, StageConfig, Told};
use crate::slate::{SlateKind, SlateLoop, SlateRequest};

/// Most bytes that wait in the delay line.
const LINE_BYTES: usize = 64 * 1024 * 1024;
/// Without a picture for this long, the hole is filled.
const FILL_AFTER: Duration = Duration::from_millis(100);
/// A group that is later than this is held to see whether it catches up.
const LATE_MAX: MediaTime = MediaTime::from_millis(1000);
/// A held group whose pictures are this near has caught up.
const CAUGHT_UP: MediaTime = MediaTime::from_millis(250);
/// How long a held group is watched.
const WATCH: Duration = Duration::from_millis(500);
/// Bounds of a held group.
const HOLD_BYTES: usize = 16 * 1024 * 1024;
const HOLD_FRAMES: usize = 2000;
/// Further ahead of the clock than this no picture is taken.
const EARLY_MAX: MediaTime = MediaTime::from_millis(4000);
/// Further behind the clock than this no publisher is followed for good.
const LAG_MAX: MediaTime = MediaTime::from_millis(2000);
/// About how long a frame of sound is.
const SOUND_STEP: MediaTime = MediaTime::from_millis(21);
/// Sound without a picture that runs ahead of the edge by more than this began late.
const SOUND_EARLY: MediaTime = MediaTime::from_millis(100);
/// No sound is taken from further ahead of the edge than this.
const SOUND_AHEAD_MAX: MediaTime = MediaTime::from_millis(2000);
/// And behind by more than this for a while has a longer road now.
const SOUND_LATE: MediaTime = MediaTime::from_millis(200);
/// A publisher that says it is back waits so long for that to be stored; then what it sends is left out.
const STORE_WAIT: Duration = Duration::from_secs(3);
/// A gap of the publisher's timeline that is left out instead of filled.
const GAP_MAX: MediaTime = MediaTime::from_millis(3000);

/// What the engine is told once.
#[derive(Clone, Debug)]
pub(super) struct EngineConfig {
    pub(super) grace: Duration,
    pub(super) grace_away: Duration,
    pub(super) delay: Duration,
    pub(super) away: Option<Leave>,
    pub(super) covered: bool,
}

impl From<&StageConfig> for EngineConfig {
    fn from(c: &StageConfig) -> Self {
        let delay = c.delay.min(super::handle::DELAY_MAX);
        Self { grace: c.grace, grace_away: c.grace_away, delay, away: c.away.clone(), covered: c.covered }
    }
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Out {
    /// The chunks that follow are coded like this.
    Config { video: Arc<VideoConfig>, audio: Arc<AudioConfig>, at: MediaTime },
    /// This goes out.
    Chunk(ChunkParts),
    /// Viewers are shown another thing from now on.
    Stage(Stage),
    /// To be stored, and told to everybody.
    Told(Told),
    /// A slate of this form would be good to have.
    WantSlate(SlateKind, SlateRequest),
    /// The stream is over.
    Ended,
}

/// What travels through the delay line.
#[derive(Debug)]
enum Item {
    VideoConfig(Arc<VideoConfig>),
    AudioConfig(Arc<AudioConfig>),
    Video(VideoFrame),
    /// A picture came that was left out: what it refers to did not come in, or it is from an absence that is over.
    LeftOut,
    Audio(AudioFrame),
    Came,
    Lost,
    Goodbye,
    Back,
}

impl Item {
    fn is_media(&self) -> bool {
        matches!(self, Self::Video(_) | Self::Audio(_))
    }
}

/// A late group of pictures under watch.
#[derive(Debug)]
struct Hold {
    since: Now,
    lateness: MediaTime,
    frames: Vec<VideoFrame>,
    bytes: usize,
}

/// The publisher's session as it has come to the exit.
#[derive(Debug)]
struct Session {
    clock: SessionClock,
    video: Option<Arc<VideoConfig>>,
    has_sound: bool,
    /// Since when its sound, with no picture to go by, has been late.
    late_sound: Option<Now>,
    cadence: Cadence,
    hold: Option<Hold>,
}

impl Session {
    fn new() -> Self {
        Self {
            clock: SessionClock::default(),
            video: None,
            has_sound: false,
            late_sound: None,
            cadence: Cadence::new(None),
            hold: None,
        }
    }
}

/// The slates that serve.
#[derive(Clone, Debug)]
pub(super) struct Slates {
    pub(super) moment: Arc<SlateLoop>,
    pub(super) sound_only: Arc<SlateLoop>,
    pub(super) away: Arc<SlateLoop>,
}

/// One room's stage.
pub(super) struct Engine {
    config: EngineConfig,
    gate: Gate,
    /// The session at the entry.
    entry: Option<u64>,
    /// The publisher's next picture refers to one that did not come in.
    entry_needs_key: bool,
    /// The number of the session's newest away mark, and of the last that was read in its place.
    aways: (u64, u64),
    /// The publisher said that it is back; until this is stored, or until then, what it sends waits.
    returning: Option<(LeaveId, Now)>,
    last_item: Now,
    line: DelayLine<Item>,
    switcher: Switcher,
    session: Session,
    lost_at: Option<Now>,
    slates: Slates,
    pub(super) wanted: Option<SlateRequest>,
    timeline: Timeline,
    out: VecDeque<Out>,
}

impl Engine {
    pub(super) fn new(config: EngineConfig, slates: Slates) -> Self {
        Self {
            gate: Gate::new(config.away.clone()),
            entry: None,
            entry_needs_key: false,
            aways: (0, 0),
            returning: None,
            last_item: Now::default(),
            line: DelayLine::new(config.delay, LINE_BYTES),
            switcher: Switcher::new(config.away.as_ref().map(|a| a.keep_sound), config.covered),
            session: Session::new(),
            lost_at: None,
            slates,
            wanted: None,
            timeline: Timeline::new(),
            out: VecDeque::new(),
            config,
        }
    }

    // ---- the entry ----

    /// A publisher's session begins. The one before it was lost.
    pub(super) fn came(&mut self, session: u64, now: Now) {
        self.entry = Some(session);
        self.entry_needs_key = false;
        self.last_item = now;
        (self.aways, self.returning) = ((0, 0), None);
        self.through_gate(now, |gate| gate.came(now));
        self.mark(Item::Came, now);
    }

    /// The publisher's connection is lost.
    pub(super) fn lost(&mut self, now: Now) {
        self.left_entry(now);
        self.mark(Item::Lost, now);
    }

    /// The publisher ended its stream properly.
    pub(super) fn goodbye(&mut self, now: Now) {
        self.left_entry(now);
        self.mark(Item::Goodbye, now);
    }

    fn left_entry(&mut self, now: Now) {
        self.entry = None;
        self.returning = None;
        self.through_gate(now, Gate::gone);
    }

    /// Does something at the gate, and at the exit what follows from it.
    fn through_gate<T>(&mut self, now: Now, act: impl FnOnce(&mut Gate) -> T) -> T {
        let before = self.gate.away();
        let did = act(&mut self.gate);
        match self.gate.away() {
            Some(keep_sound) if before != Some(keep_sound) => self.closed(keep_sound),
            // That travels through the delay line.
            None if before.is_some() => self.mark(Item::Back, now),
            _ => {}
        }
        did
    }

    fn mark(&mut self, mark: Item, now: Now) {
        // Marks weigh nothing and are never refused.
        let _ = self.line.push(mark, 0, now);
    }

    /// Something of the publisher's.
    pub(super) fn feed(&mut self, item: FeedItem, now: Now) {
        if self.entry.is_none() {
            return;
        }
        self.last_item = now;
        match item {
            FeedItem::VideoConfig(c) => self.mark(Item::VideoConfig(c), now),
            FeedItem::AudioConfig(c) => self.mark(Item::AudioConfig(c), now),
            // It comes by its own way, past all that waits.
            FeedItem::AwayMark { .. } => {}
            FeedItem::BackMark { leave_id } => {
                if self.through_gate(now, |gate| gate.back_mark(leave_id.clone())) {
                    self.returning = Some((leave_id.clone(), now));
                    self.out.push_back(Out::Told(Told::Back(leave_id)));
                }
            }
            FeedItem::Audio(frame) => {
                if self.gate.sound(frame.pts, now) {
                    let bytes = frame.data.len().max(1);
                    // A full line leaves sound out; the grid closes the hole.
                    let _ = self.line.push(Item::Audio(frame), bytes, now);
                }
            }
            FeedItem::Video(frame) => {
                let permitted = self.gate.picture(frame.dts, now);
                let whole = !self.entry_needs_key || frame.key;
                let bytes = frame.data.len().max(1);
                let taken = permitted && whole && self.line.push(Item::Video(frame), bytes, now).is_ok();
                self.entry_needs_key = !taken;
                if !taken && self.gate.away().is_none() {
                    // As bounded as pictures are; nobody misses one of these.
                    let _ = self.line.push(Item::LeftOut, 1, now);
                }
            }
        }
    }

    /// The streamer left. The absence that holds now; none if this one is over.
    pub(super) fn leave(&mut self, leave: Leave, now: Now) -> Option<Leave> {
        self.through_gate(now, |gate| gate.leave(leave));
        self.gate.fact().cloned()
    }

    /// When the streamer means to be back from this absence. False: there is no such.
    pub(super) fn back_at(&mut self, id: &LeaveId, at: Option<WallTime>) -> bool {
        self.gate.back_at(id, at)
    }

    /// The same in band. Each mark comes twice: past all that waits, and in its place.
    pub(super) fn away_mark(&mut self, session: u64, mark: AwayMark, in_place: bool, since: WallTime, now: Now) {
        let AwayMark { number, leave_id, keep_sound } = mark;
        let (newest, read) = self.aways;
        // In its place the newest counts again: a return that it went past may have opened the gate since.
        let stale = if in_place { number < newest } else { number <= newest.max(read) };
        if self.entry != Some(session) || stale {
            return;
        }
        self.aways = (number, if in_place { number } else { read });
        self.last_item = now;
        if self.through_gate(now, |gate| gate.away_mark(Leave { leave_id, since, keep_sound, back_at: None }, in_place))
            && let Some(fact) = self.gate.fact()
        {
            self.out.push_back(Out::Told(Told::Left(fact.clone())));
        }
    }

    /// What a leave does at the exit, where it acts: what waits is discarded.
    fn closed(&mut self, keep_sound: bool) {
        self.line.retain(|item| match item {
            Item::Video(_) | Item::LeftOut | Item::Back => false,
            Item::Audio(_) => keep_sound,
            _ => true,
        });
        self.entry_needs_key = true;
        self.session.hold = None;
        self.switcher.leave(keep_sound);
        if !keep_sound {
            self.timeline.set_sound(false);
        }
    }

    /// The streamer is back. False if there was no such absence.
    pub(super) fn back(&mut self, id: Option<&LeaveId>, now: Now) -> bool {
        self.through_gate(now, |gate| gate.back(id, now))
    }

    /// Whether what the publisher sends waits until its return is stored.
    pub(super) fn is_returning(&self, now: Now) -> bool {
        self.returning_until(now).is_some()
    }

    fn returning_until(&self, now: Now) -> Option<Now> {
        let (id, at) = self.returning.as_ref()?;
        let until = at.plus(STORE_WAIT);
        (self.gate.is_away_by(id) && now < until).then_some(until)
    }

    /// A moderator covers the programme.
    pub(super) fn cover(&mut self) {
        self.session.hold = None;
        self.switcher.cover();
        self.timeline.set_sound(false);
    }

    /// The cover is lifted; what the line held was covered and stays unseen.
    pub(super) fn restore(&mut self, now: Now) {
        if self.switcher.is_covered() {
            self.line.retain(|item| !item.is_media());
            self.entry_needs_key = true;
            self.switcher.restore(now, self.line.delay());
        }
    }

    /// Ends the stream, and a stay away with it.
    pub(super) fn end(&mut self) {
        self.gate.end();
        self.finish();
    }

    /// The publisher ended it.
    fn ended_in_band(&mut self) {
        if let Some(fact) = self.gate.end() {
            self.out.push_back(Out::Told(Told::Back(fact.leave_id)));
        }
        self.finish();
    }

    /// A slate of the stream's form is there.
    pub(super) fn slate_ready(&mut self, kind: SlateKind, request: SlateRequest, slate: Arc<SlateLoop>) {
        if self.wanted == Some(request) {
            match kind {
                SlateKind::Moment => self.slates.moment = slate,
                SlateKind::SoundOnly => self.slates.sound_only = slate,
                SlateKind::Away => self.slates.away = slate,
            }
        }
    }

    /// Another slate of this kind is wanted from now on.
    pub(super) fn slate_changed(&mut self, kind: SlateKind) {
        if let Some(request) = self.wanted {
            self.out.push_back(Out::WantSlate(kind, request));
        }
    }

    /// The room's fact.
    pub(super) fn away(&self) -> Option<&Leave> {
        self.gate.fact()
    }

    pub(super) fn is_covered(&self) -> bool {
        self.switcher.is_covered()
    }

    // ---- the exit ----

    /// Does what is due.
    pub(super) fn run(&mut self, now: Now) {
        loop {
            let ahead = self.timeline.is_ahead(now);
            match self.line.pop_if(now, |item| !(ahead && item.is_media())) {
                Some(item) => self.exit(item, now),
                None => break,
            }
        }
        self.tick(now);
    }

    /// What is to be done, in order.
    pub(super) fn poll(&mut self) -> Option<Out> {
        self.out.pop_front().or_else(|| self.timeline.poll())
    }

    /// Whether the publisher's next item is wanted now; if not, it is at [`Self::wake_at`].
    pub(super) fn hungry(&self, now: Now) -> bool {
        !self.timeline.is_ahead(now) && !self.is_returning(now)
    }

    /// When [`Self::run`] should be called next.
    pub(super) fn wake_at(&mut self, now: Now) -> Option<Now> {
        if !self.switcher.is_running() {
            return [self.line.next_due(), self.returning_until(now)].into_iter().flatten().min();
        }
        let ahead = self.timeline.ahead_until(now);
        let line = self.line.next_due().map(|due| due.max(ahead.unwrap_or(due)));
        let picture = match self.switcher.shown(now).picture {
            Picture::Nothing => None,
            Picture::Live => {
                let duration = self.session.cadence.duration();
                let fill = self.switcher.picture_at().plus(fill_after(duration));
                self.timeline.next_fill(duration, now).map(|next| next.max(fill))
            }
            Picture::Slate(_) => self.timeline.next_play(now),
        };
        let all = [
            line,
            ahead,
            picture,
            self.returning_until(now),
            self.timeline.next_sound_alone(),
            self.switcher.next_change(),
            self.grace_end(),
        ];
        // What was due and could not be done (a picture that cannot be filled) must not spin the task.
        let soonest = now.plus(Duration::from_millis(5));
        all.into_iter().flatten().min().map(|at| if line == Some(at) { at } else { at.max(soonest) })
    }

    fn grace_end(&self) -> Option<Now> {
        let grace = if self.switcher.is_away() { self.config.grace_away } else { self.config.grace };
        match self.lost_at {
            // Who came in time may still be on the way through the delay line.
            Some(at) => (!self.line.any(|item| matches!(item, Item::Came))).then(|| at.plus(grace)),
            None => self.switcher.is_present().then(|| self.last_item.plus(grace)),
        }
    }

    fn exit(&mut self, item: Item, now: Now) {
        match item {
            Item::Came => {
                self.session = Session::new();
                self.lost_at = None;
                self.timeline.set_session(true);
                self.switcher.came(now);
            }
            Item::Lost => self.gone(now),
            Item::Goodbye if self.entry.is_some() || self.line.any(|i| matches!(i, Item::Came)) => self.gone(now),
            Item::Goodbye => self.ended_in_band(),
            Item::Back => {
                self.switcher.back(now);
                // The short grace time begins here, for a publisher that is lost, and for one that had nothing to send.
                self.lost_at = self.lost_at.map(|_| now);
                self.last_item = self.last_item.max(now);
            }
            Item::VideoConfig(config) => self.video_config(config),
            Item::AudioConfig(config) => {
                self.session.has_sound = true;
                self.timeline.set_audio_config(config);
            }
            Item::Audio(mut frame) => {
                frame.pts = self.position(Track::Audio, frame.pts, SOUND_STEP, now);
                self.sound(frame, now);
            }
            Item::LeftOut => self.picture_came(now),
            Item::Video(mut frame) => {
                let composition = frame.pts.saturating_sub(frame.dts);
                frame.dts = self.position(Track::Video, frame.dts, self.session.cadence.duration(), now);
                frame.pts = frame.dts.saturating_add(composition);
                self.picture(frame, now);
            }
        }
    }

    /// Behind the exit a session's frames have positions on its own timeline, not the publisher's timestamps.
    fn position(&mut self, track: Track, stamp: MediaTime, step: MediaTime, now: Now) -> MediaTime {
        let edge = self.timeline.edge_if_started(now);
        self.session.clock.position(track, stamp, step, edge, now)
    }

    fn gone(&mut self, now: Now) {
        self.session.hold = None;
        self.lost_at = Some(now);
        self.timeline.set_session(false);
        self.switcher.lost();
    }

    fn video_config(&mut self, config: Arc<VideoConfig>) {
        if self.session.video.as_ref() == Some(&config) {
            return;
        }
        self.session.hold = None;
        self.switcher.break_chain();
        self.session.cadence = Cadence::new(Some(&config));
        self.session.video = Some(config);
        self.want_slates();
    }

    /// Asks for slates of the stream's form, when that is new.
    fn want_slates(&mut self) {
        let duration = self.session.cadence.duration();
        let request = match &self.session.video {
            Some(video) => SlateRequest::for_stream(video.width, video.height, duration),
            None => SlateRequest::default(),
        };
        if self.wanted != Some(request) {
            self.wanted = Some(request);
            for kind in [SlateKind::Moment, SlateKind::SoundOnly, SlateKind::Away] {
                self.out.push_back(Out::WantSlate(kind, request));
            }
        }
    }

    fn sound(&mut self, frame: AudioFrame, now: Now) {
        if !self.switcher.sound(now) {
            return;
        }
        self.timeline.set_sound(true);
        if !self.session.clock.is_anchored() {
            let edge = self.timeline.pace(now).edge(now);
            self.session.clock.anchor(frame.pts, edge);
        }
        let pace = *self.timeline.pace(now);
        let Some(mut at) = self.session.clock.place(frame.pts) else { return };
        if !self.switcher.shows_live() {
            // Nothing but sound to go by: it is at the edge, unless a burst or a longer road says otherwise.
            let (edge, session) = (pace.edge(now), &mut self.session);
            let since = if edge.saturating_sub(at) > SOUND_LATE {
                *session.late_sound.get_or_insert(now)
            } else {
                session.late_sound = None;
                now
            };
            if at.saturating_sub(edge) > SOUND_EARLY || now.since(since) > WATCH {
                session.clock.anchor(frame.pts, edge);
                session.late_sound = None;
                at = edge;
            }
        }
        if at.saturating_sub(pace.edge(now)) < SOUND_AHEAD_MAX {
            self.timeline.sound(frame.data, at, now);
        }
    }

    fn picture_came(&mut self, now: Now) {
        if self.session.video.is_some() {
            self.switcher.picture_came(now);
        }
    }

    fn picture(&mut self, frame: VideoFrame, now: Now) {
        self.picture_came(now);
        self.session.cadence.picture(frame.dts);
        if !self.switcher.may_go_live() || self.session.video.is_none() {
            self.switcher.break_chain();
            return;
        }
        // Whoever starts with a burst starts with the end of it.
        let starts = frame.key && !self.switcher.chain_is_whole();
        if (starts && self.newer_key_waits(frame.dts, MediaTime::MAX, now))
            || (!frame.key && !self.session.clock.is_anchored())
        {
            // A held group would go on without this picture.
            self.session.hold = None;
            self.switcher.break_chain();
            return;
        }
        let duration = self.session.cadence.duration();
        if !self.session.clock.is_anchored() {
            let place = self.timeline.next_place(duration, now);
            self.session.clock.anchor(frame.dts, place);
        }
        let pace = *self.timeline.pace(now);
        let Some(mut at) = self.session.clock.place(frame.dts) else { return };
        let early = at.saturating_sub(pace.clock(now)) > EARLY_MAX;
        if early && starts {
            // The time that passed before a jump was not the publisher's: it begins anew.
            at = self.timeline.next_place(duration, now);
            self.session.clock.anchor(frame.dts, at);
        }
        let late = self.timeline.lateness(at);
        if early && !starts {
            // Faster than time passes, past all that was buffered.
            self.session.hold = None;
            self.switcher.break_chain();
        } else if self.session.hold.is_some() || (starts && late > LATE_MAX) {
            self.hold(frame, late, now);
        } else if late >= MediaTime::ZERO && self.newer_key_waits(frame.dts, late, now) {
            self.switcher.break_chain();
        } else {
            self.show(frame, now);
        }
    }

    /// Whether a key frame that is newer by up to `late` already waits behind this picture.
    fn newer_key_waits(&self, dts: MediaTime, late: MediaTime, now: Now) -> bool {
        let next = self.line.due(now).take_while(|i| matches!(i, Item::Video(_) | Item::LeftOut | Item::Audio(_)));
        let mut keys = next.filter_map(|i| match i {
            Item::Video(v) if v.key => Some(self.session.clock.ahead(v.dts)),
            _ => None,
        });
        keys.any(|key| key > dts && key.saturating_sub(dts) <= late)
    }

    /// Shows a picture, if the switcher agrees.
    fn show(&mut self, frame: VideoFrame, now: Now) {
        if !self.switcher.picture(frame.key, now) {
            return;
        }
        let duration = self.session.cadence.duration();
        let Some(config) = self.session.video.clone() else { return };
        let pace = *self.timeline.pace(now);
        let Some(mut dts) = self.session.clock.place(frame.dts) else { return };
        let too_late = pace.clock(now).saturating_sub(dts) > LAG_MAX;
        if let Some(last) = self.timeline.last() {
            let gap = dts.saturating_sub(last);
            if gap > GAP_MAX {
                self.timeline.forgive(gap.saturating_sub(duration), now);
                self.session.clock.anchor(frame.dts, last.saturating_add(duration));
            } else if too_late && frame.key && self.lateness_is_lasting(last, now) {
                self.session.clock.anchor(frame.dts, pace.clock(now));
            }
            dts = self.session.clock.place(frame.dts).unwrap_or(dts);
        }
        let pts = dts.saturating_add(frame.pts.saturating_sub(frame.dts));
        if frame.key {
            self.want_slates();
        }
        self.timeline.live(LivePicture { frame, dts, pts, duration, config: &config }, now);
    }

    /// The whole output is behind the clock by more than a burst explains: the publisher is slow.
    fn lateness_is_lasting(&mut self, last: MediaTime, now: Now) -> bool {
        self.timeline.pace(now).clock(now).saturating_sub(last) > LAG_MAX
    }

    /// A group that comes much too late: a burst that will catch up, or a road that has become longer.
    fn hold(&mut self, frame: VideoFrame, late: MediaTime, now: Now) {
        let hold =
            self.session.hold.get_or_insert_with(|| Hold { since: now, lateness: late, frames: Vec::new(), bytes: 0 });
        if frame.key {
            hold.frames.clear();
            hold.bytes = 0;
        }
        let dts = frame.dts;
        hold.bytes += frame.data.len();
        hold.frames.push(frame);
        if hold.bytes > HOLD_BYTES || hold.frames.len() > HOLD_FRAMES {
            self.session.hold = None;
            return;
        }
        let watched = now.since(hold.since);
        if late > CAUGHT_UP {
            if watched < WATCH {
                return;
            }
            let caught_up = hold.lateness.saturating_sub(late);
            if caught_up > MediaTime::from_duration(watched / 2) {
                (hold.since, hold.lateness) = (now, late);
                return;
            }
            let duration = self.session.cadence.duration();
            let place = self.timeline.next_place(duration, now);
            self.session.clock.anchor(dts, place);
        }
        let frames = self.session.hold.take().map(|h| h.frames).unwrap_or_default();
        for frame in frames {
            self.show(frame, now);
        }
    }

    /// What time alone does.
    fn tick(&mut self, now: Now) {
        if !self.switcher.is_running() {
            return;
        }
        let never_shown = !self.switcher.is_present() && !self.timeline.has_started() && self.line.next_due().is_none();
        if never_shown || self.grace_end().is_some_and(|at| now >= at) {
            self.finish();
            return;
        }
        let shown = self.switcher.shown(now);
        self.timeline.set_sound(shown.sound && self.session.has_sound && self.switcher.sound_is_alive(now));
        match shown.picture {
            Picture::Nothing => return,
            Picture::Live => {
                let duration = self.session.cadence.duration();
                if now.since(self.switcher.picture_at()) >= fill_after(duration) {
                    self.timeline.fill_live(duration, now);
                }
            }
            Picture::Slate(kind) => {
                if self.wanted.is_none() {
                    self.want_slates();
                }
                let slate = match kind {
                    SlateKind::Moment => &self.slates.moment,
                    SlateKind::SoundOnly => &self.slates.sound_only,
                    SlateKind::Away => &self.slates.away,
                };
                self.timeline.set_stage(shown.stage);
                // Whoever goes on talking is not talked over, nor who talks already when back.
                let own_sound = kind == SlateKind::Away && !shown.sound && self.gate.away() != Some(true);
                self.timeline.play(slate, own_sound, now);
            }
        }
        self.timeline.sound_alone(now);
    }

    /// The stream is over. A stay away outlives it, unless the streamer ended it.
    fn finish(&mut self) {
        self.entry = None;
        self.returning = None;
        self.gate.gone();
        self.line.retain(|_| false);
        self.switcher.end(self.gate.away());
        self.session = Session::new();
        self.lost_at = None;
        self.wanted = None;
        // What was decided before goes out before.
        while let Some(out) = self.timeline.poll() {
            self.out.push_back(out);
        }
        self.timeline = Timeline::new();
        self.out.push_back(Out::Ended);
    }
}

fn fill_after(duration: MediaTime) -> Duration {
    FILL_AFTER.max(duration.to_duration() * 3 / 2)
}
