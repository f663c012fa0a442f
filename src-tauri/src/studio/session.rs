//! The session: the loop around the [`Machine`], the rig and the publisher.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mujian_media::rtmp::Secret;
use mujian_protocol::room::Away;
use mujian_protocol::studio::{
    AwayStep, Broadcast, BroadcastStats, Notice, NoticeCode, StudioAway, StudioEvent, StudioSettings, StudioState,
};
use mujian_protocol::{ApiError, ErrorCode, LeaveId, Problem, WallTime};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::absence::{self, Do, Moment, SourceWanted, Statement, Turn};
use super::machine::{Action, Input, Machine};
use super::outbox::{Outbox, Pressed, Sent};
use super::publisher;
use super::rig::{Mode, Rig, RigEvent, RigThread};
use super::settings;
use super::target::Target;
use crate::clock;
use crate::encode::{Voicing, Way};
use crate::problem::on_air;
use crate::record::{self, Told};
use crate::unattended::Why;

/// The remark that the device does not close.
const NOT_CLOSING: NoticeCode = NoticeCode::CameraNotClosing;
/// The remark that coming back failed.
const BACK_FAILED: NoticeCode = NoticeCode::BackFailed;
/// Left without a press.
const LEFT_LOCKED: NoticeCode = NoticeCode::LeftLocked;
/// The same, for another reason.
const LEFT_ASLEEP: NoticeCode = NoticeCode::LeftAsleep;
/// What [`NoticeCode::SentOpenly`] says.
const SENT_OPENLY: &str = "This server takes no RTMPS: your stream and its key are not encrypted on their way to it. \
                           Its operator can switch RTMPS on.";
/// How long the end of a recording may take to be written.
const RECORDED: Duration = Duration::from_secs(3);
/// How often the figures are told.
const STATS: Duration = Duration::from_secs(1);

enum Order {
    Set(Box<StudioSettings>, oneshot::Sender<Result<(), ApiError>>),
    GoLive(Box<Target>, Start, oneshot::Sender<Result<(), ApiError>>),
    /// Pressed here.
    Leave(Away, Pressed),
    Turn(Turn),
    End,
    Preview(bool),
    Retake,
    Update(Box<dyn FnOnce(&mut StudioState) + Send>),
}

/// How a broadcast begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// It ran before this process, so a server that cannot be reached at first is waited for.
    pub resume: bool,
    /// The streamer is away, and stays so until "back": nothing is captured.
    pub away: Option<Away>,
}

/// The studio. Dropping it ends everything without a goodbye; [`end`](Self::end) comes first.
#[derive(Debug)]
pub struct Studio {
    orders: mpsc::UnboundedSender<Order>,
    state: watch::Receiver<Arc<StudioState>>,
    statement: watch::Receiver<Option<Statement>>,
    outbox: Outbox,
    events: broadcast::Sender<StudioEvent>,
    preview: watch::Sender<Bytes>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Studio {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Studio {
    /// Starts a studio with these settings. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(rig: Box<dyn Rig>, settings: StudioSettings) -> Self {
        let outbox = Outbox::default();
        let (rig, rig_events) = RigThread::start(rig, outbox.clone());
        let (orders, inbox) = mpsc::unbounded_channel();
        let state = StudioState {
            revision: 0,
            room: None,
            settings,
            broadcast: Broadcast::Idle,
            away: None,
            stats: BroadcastStats::default(),
            viewers: 0,
            encoder: None,
            inset_shape: None,
            recording: None,
            notices: Vec::new(),
            share: mujian_protocol::studio::Share::default(),
        };
        let (told, watched) = watch::channel(Arc::new(state.clone()));
        let (saying, statement) = watch::channel(None);
        let events = broadcast::Sender::new(64);
        let preview = rig.preview().clone();
        let (answers, answered) = mpsc::unbounded_channel();
        let session = Session {
            machine: Machine::default(),
            state,
            told,
            saying,
            events: events.clone(),
            rig,
            outbox: outbox.clone(),
            pressed: 0,
            mode: Mode::Off,
            recording: 0,
            preview: false,
            target: None,
            attempt: None,
            attempts: 0,
            answers,
            last: (Sent::default(), clock::now()),
        };
        let task = tokio::spawn(session.run(inbox, rig_events, answered).instrument(tracing::info_span!("studio")));
        Self { orders, state: watched, statement, outbox, events, preview, task }
    }

    /// The studio as it is now.
    #[must_use]
    pub fn state(&self) -> Arc<StudioState> {
        Arc::clone(&self.state.borrow())
    }

    /// Tells of every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<StudioState>> {
        self.state.clone()
    }

    /// Changes and levels. Who is slow loses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<StudioEvent> {
        self.events.subscribe()
    }

    /// Has the page ask whether the window may close. False: there is no page to ask.
    #[must_use]
    pub fn ask_to_close(&self) -> bool {
        self.events.send(StudioEvent::CloseAsked).is_ok()
    }

    /// The preview's pictures, JPEG each; devices are open while somebody has one of these.
    #[must_use]
    pub fn preview(&self) -> watch::Receiver<Bytes> {
        let receiver = self.preview.subscribe();
        self.order(Order::Preview(true));
        receiver
    }

    /// A preview was let go.
    pub fn preview_over(&self) {
        self.order(Order::Preview(false));
    }

    /// Changes the settings. Gain and mute act at once, also on air.
    ///
    /// # Errors
    /// `Conflict` when something is to change that cannot on air.
    pub async fn set(&self, settings: StudioSettings) -> Result<(), ApiError> {
        self.ask(|reply| Order::Set(Box::new(settings), reply)).await
    }

    /// Goes on air.
    ///
    /// # Errors
    /// `Conflict` when it is on air. What happens then is in the state.
    pub async fn go_live(&self, target: Target, start: Start) -> Result<(), ApiError> {
        self.ask(|reply| Order::GoLive(Box::new(target), start, reply)).await
    }

    /// The streamer leaves for a while, pressed so long `ago`. When this returns, nothing captured after
    /// the press goes out any more; the rest follows. Pressed again, it is the same stay.
    ///
    /// # Errors
    /// `Conflict` when the studio is not on air: then there is nothing to leave.
    pub fn leave(&self, ago: Duration) -> Result<Away, ApiError> {
        self.press(ago, self.state().settings.keep_sound)
    }

    /// The same without a press: nobody is there who would know of being heard, so the sound is not kept.
    ///
    /// # Errors
    /// As for [`Self::leave`].
    pub fn leave_unattended(&self, why: Why) -> Result<Away, ApiError> {
        let left = |away: &StudioAway| matches!(away.step, AwayStep::Closing | AwayStep::Closed);
        let already = self.state().away.as_ref().is_some_and(left);
        let away = self.press(Duration::ZERO, false)?;
        if already {
            return Ok(away);
        }
        let (code, message) = match why {
            Why::Locked => (LEFT_LOCKED, "The screen was locked while you were on air, so you left for a while."),
            Why::Sleeps => (LEFT_ASLEEP, "The computer went to sleep while you were on air, so you left for a while."),
        };
        self.update(move |state| {
            state.notices.retain(|n| n.code != LEFT_LOCKED && n.code != LEFT_ASLEEP);
            state.notices.push(Notice::new(code, message));
        });
        Ok(away)
    }

    fn press(&self, ago: Duration, keep_sound: bool) -> Result<Away, ApiError> {
        let state = self.state();
        if matches!(state.broadcast, Broadcast::Idle | Broadcast::Failed { .. } | Broadcast::Ending) {
            return Err(ApiError::new(ErrorCode::Conflict, "You are not on air, so there is nothing to leave.")
                .about(Problem::NotOnAir));
        }
        let leave_id = LeaveId::new();
        let pressed = self.outbox.press(&leave_id, keep_sound, ago);
        let away = Away { since: WallTime::now(), leave_id, keep_sound, back_at: None };
        self.order(Order::Leave(away.clone(), pressed));
        Ok(match &state.away {
            Some(a) => absence::fact(a),
            None => away,
        })
    }

    /// Whether the gate is closed, as of this moment.
    #[must_use]
    pub fn is_away(&self) -> bool {
        !self.outbox.gate().is_open()
    }

    /// The streamer comes back: the source is opened, and once it gives pictures they go out. In the
    /// self-view: at once. Without having left, nothing happens.
    pub fn back(&self) {
        self.order(Order::Turn(Turn::Back));
    }

    /// What the server is to be told of leaving and coming back, until it has answered.
    #[must_use]
    pub fn statement(&self) -> watch::Receiver<Option<Statement>> {
        self.statement.clone()
    }

    /// What became known of the server: news of the room, its answers.
    pub fn heard(&self, turn: Turn) {
        self.order(Order::Turn(turn));
    }

    /// Devices that are lost are opened again now; while the streamer is away, the camera stays closed.
    pub fn retake(&self) {
        self.order(Order::Retake);
    }

    /// Ends the broadcast properly. It is over when the state says idle.
    pub fn end(&self) {
        self.order(Order::End);
    }

    /// Ends the broadcast and waits until it is over; the machine bounds how long that takes.
    pub async fn end_and_wait(&self) {
        self.end();
        let mut state = self.watch();
        let over = |s: &Arc<StudioState>| matches!(s.broadcast, Broadcast::Idle | Broadcast::Failed { .. });
        // The session being gone is an end as well.
        let _ = state.wait_for(over).await;
        self.recorded().await;
    }

    /// Waits until the end of a recording is written, but not for long: a disk may hang.
    pub async fn recorded(&self) {
        let mut state = self.watch();
        let written = |s: &Arc<StudioState>| s.recording.as_ref().is_none_or(|r| !r.running);
        let _ = tokio::time::timeout(RECORDED, state.wait_for(written)).await;
    }

    /// Changes what the session only carries: room, viewers, share.
    pub fn update(&self, change: impl FnOnce(&mut StudioState) + Send + 'static) {
        self.order(Order::Update(Box::new(change)));
    }

    fn order(&self, order: Order) {
        // Without a session there is nothing to order.
        let _ = self.orders.send(order);
    }

    async fn ask(&self, order: impl FnOnce(oneshot::Sender<Result<(), ApiError>>) -> Order) -> Result<(), ApiError> {
        let (reply, answer) = oneshot::channel();
        self.order(order(reply));
        answer
            .await
            .unwrap_or_else(|_| Err(ApiError::new(ErrorCode::Internal, "The studio has crashed. Start the app again.")))
    }
}

/// What became of an attempt to publish.
struct Answer {
    number: u64,
    input: Input,
    /// The room's stream key was renewed meanwhile: this is the new one.
    key: Option<Secret>,
}

struct Attempt {
    number: u64,
    farewell: CancellationToken,
    task: AbortHandle,
}

struct Session {
    machine: Machine,
    state: StudioState,
    told: watch::Sender<Arc<StudioState>>,
    saying: watch::Sender<Option<Statement>>,
    events: broadcast::Sender<StudioEvent>,
    rig: RigThread,
    outbox: Outbox,
    /// The last press of "leave" that came in here.
    pressed: u64,
    mode: Mode,
    /// The latest recording's number.
    recording: u64,
    preview: bool,
    target: Option<Arc<Target>>,
    attempt: Option<Attempt>,
    attempts: u64,
    answers: mpsc::UnboundedSender<Answer>,
    last: (Sent, mujian_media::time::Now),
}

impl Session {
    async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut rig: mpsc::UnboundedReceiver<(u64, RigEvent)>,
        mut answers: mpsc::UnboundedReceiver<Answer>,
    ) {
        let mut stats = tokio::time::interval(STATS);
        stats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let deadline = self.machine.deadline();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.order(order),
                    None => return,
                },
                Some((generation, event)) = rig.recv() => {
                    if self.rig.is_current(generation) || matches!(event, RigEvent::Recording(..)) {
                        self.rig_event(event);
                    }
                }
                Some(Answer { number, input, key }) = answers.recv() => {
                    if self.attempt.as_ref().is_some_and(|a| a.number == number) {
                        if let (Some(key), Some(target)) = (key, &self.target) {
                            self.target = Some(Arc::new(Target { key, ..target.as_ref().clone() }));
                        }
                        if matches!(input, Input::Published) {
                            self.rig.published();
                        } else {
                            self.attempt = None;
                        }
                        self.input(input);
                    }
                }
                () = until(deadline) => {
                    self.input(Input::Tick);
                    self.turn(Turn::Tick);
                }
                _ = stats.tick() => self.figures(),
            }
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Set(settings, reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.set(*settings));
            }
            Order::GoLive(target, start, reply) => {
                let free = !self.machine.busy();
                if free {
                    self.target = Some(Arc::new(*target));
                    self.outbox.reset();
                    self.go_live(start);
                }
                let busy = || on_air("You are on air already. End the broadcast first.");
                let _ = reply.send(if free { Ok(()) } else { Err(busy()) });
            }
            Order::Leave(away, pressed) => {
                self.pressed = pressed.number;
                self.rig.heard_of(pressed.closings);
                self.turn(Turn::Leave { id: away.leave_id, keep_sound: away.keep_sound, resumed: None });
                // The broadcast has ended meanwhile, and the press has closed the preview's camera.
                if self.mode == Mode::Preview {
                    self.rig.run(self.mode, &self.state.settings);
                }
            }
            Order::Turn(turn) => self.turn(turn),
            Order::End => self.input(Input::End),
            Order::Preview(on) => {
                // Others may still look when one has let go.
                self.preview = on || self.rig.preview().receiver_count() > 0;
                self.rig.set_preview(self.preview);
                self.run_mode(self.wanted());
            }
            Order::Retake => self.retake(),
            Order::Update(change) => {
                change(&mut self.state);
                self.tell();
            }
        }
    }

    fn set(&mut self, settings: StudioSettings) -> Result<(), ApiError> {
        let old = &self.state.settings;
        let sound =
            [Way::Microphone, Way::Output].iter().any(|way| Voicing::of(*way, &settings) != Voicing::of(*way, old));
        let encoding = (settings.preset, &settings.encoder) != (old.preset, &old.encoder);
        let capture = encoding
            || (&settings.source, &settings.microphone, &settings.output)
                != (&old.source, &old.microphone, &old.output);
        let inset = settings.inset != old.inset;
        settings::check(&settings)?;
        let record = (settings.record, &settings.record_folder) != (old.record, &old.record_folder);
        self.state.settings = settings;
        if encoding {
            self.notice_over(NoticeCode::QualityRefused);
        }
        if record {
            self.notice_over(NoticeCode::RecordingFailed);
            self.rig.record(record::Order::of(&self.state.settings));
        }
        if capture && self.mode != Mode::Off {
            // The rig tells its own again.
            self.state.notices.retain(|n| {
                matches!(
                    n.code,
                    NoticeCode::RecordingFailed
                        | NoticeCode::CameraNotClosing
                        | NoticeCode::QualityRefused
                        | NoticeCode::SentOpenly
                )
            });
            self.rig.run(self.mode, &self.state.settings);
        } else if inset {
            self.rig.complete(self.mode, &self.state.settings);
        }
        if sound {
            self.rig.set_sound(&self.state.settings);
        }
        self.tell();
        Ok(())
    }

    fn wanted(&self) -> Mode {
        match self.machine.broadcast() {
            Broadcast::Starting | Broadcast::Live { .. } | Broadcast::Reconnecting { .. } => {
                match self.machine.absence().source() {
                    SourceWanted::Open => Mode::Live,
                    SourceWanted::Closed { keep_sound } => Mode::Away { keep_sound },
                }
            }
            _ if self.preview => Mode::Preview,
            _ => Mode::Off,
        }
    }

    fn run_mode(&mut self, mode: Mode) {
        if mode != self.mode {
            self.mode = mode;
            if !matches!(mode, Mode::Live | Mode::Away { .. }) {
                self.state.encoder = None;
            }
            self.rig.run(mode, &self.state.settings);
        }
    }

    fn rig_event(&mut self, event: RigEvent) {
        match event {
            // The press has closed what was being opened, and will be heard of next: it makes something else run.
            RigEvent::NotRun(_)
            | RigEvent::Notice(Notice { code: NoticeCode::SourceFailed | NoticeCode::InsetFailed, .. })
                if self.rig.is_overtaken() => {}
            RigEvent::Opened(encoder) => {
                self.state.encoder = Some(encoder);
                self.input(Input::Opened);
            }
            RigEvent::Notice(notice) => {
                self.notice_over(notice.code);
                self.state.notices.push(notice);
                self.tell();
            }
            RigEvent::NoticeOver(code) => {
                self.notice_over(code);
                self.tell();
            }
            RigEvent::Level(way, level) => {
                let event = match way {
                    Way::Microphone => StudioEvent::Level(level),
                    Way::Output => StudioEvent::OutputLevel(level),
                };
                // No subscriber is no error.
                let _ = self.events.send(event);
            }
            RigEvent::Ended => self.input(Input::End),
            RigEvent::SourceClosed => self.turn(Turn::Closed),
            RigEvent::Inset(shape) => {
                if self.state.inset_shape != shape {
                    self.state.inset_shape = shape;
                    self.tell();
                }
            }
            RigEvent::Recording(number, _) if number < self.recording => {}
            RigEvent::Recording(number, Told::Runs(recording)) => {
                self.recording = number;
                self.state.recording = Some(recording);
                self.tell();
            }
            RigEvent::Recording(number, Told::Failed(problem)) => {
                self.recording = number;
                self.notice_over(NoticeCode::RecordingFailed);
                if let Some(recording) = &mut self.state.recording {
                    recording.running = false;
                }
                let message = "The recording on this computer has stopped. The stream goes on.";
                self.state.notices.push(Notice::new(NoticeCode::RecordingFailed, message).about(problem));
                self.tell();
            }
            RigEvent::Runs(Mode::Live) => self.turn(Turn::Opened),
            RigEvent::Runs(_) => {}
            RigEvent::QualityStays(preset, encoder, notice) => {
                self.state.settings.preset = preset;
                self.state.settings.encoder = encoder;
                self.notice_over(notice.code);
                self.state.notices.push(notice);
                self.tell();
            }
            RigEvent::NotRun(error) if self.returns() => self.turn(Turn::NotOpened(error)),
            RigEvent::NotRun(error) => self.rig_event(RigEvent::Failed(error)),
            RigEvent::Failed(error) if self.machine.busy() => self.input(Input::SourceFailed(error)),
            RigEvent::Failed(error) => {
                // Only the preview failed: say so, and try again when the settings change.
                self.notice_over(NoticeCode::SourceFailed);
                self.state.notices.push(Notice::of(NoticeCode::SourceFailed, error));
                self.tell();
            }
        }
    }

    /// What could not be opened at all for the preview is opened anew; whoever watches over what ran is told.
    fn retake(&mut self) {
        if self.mode == Mode::Preview && self.state.notices.iter().any(|n| n.code == NoticeCode::SourceFailed) {
            self.notice_over(NoticeCode::SourceFailed);
            self.rig.run(self.mode, &self.state.settings);
            self.tell();
        } else {
            self.rig.retake();
        }
    }

    fn notice_over(&mut self, code: NoticeCode) {
        self.state.notices.retain(|n| n.code != code);
    }

    fn returns(&self) -> bool {
        self.machine.absence().shown().is_some_and(|away| away.step == AwayStep::Opening)
    }

    fn input(&mut self, input: Input) {
        let action = self.handle(input);
        self.act(action);
    }

    /// What is away stays away: that is known before anything is opened.
    fn go_live(&mut self, start: Start) {
        let action = self.handle(Input::GoLive { resume: start.resume });
        if let Some(Away { since, leave_id: id, keep_sound, .. }) = start.away {
            self.turn(Turn::Leave { id, keep_sound, resumed: Some(since) });
        }
        self.act(action);
    }

    fn handle(&mut self, input: Input) -> Option<Action> {
        let before = self.machine.broadcast();
        let action = self.machine.handle(input, clock::now(), WallTime::now(), clock::jitter());
        let now = self.machine.broadcast();
        if before != now {
            if matches!(now, Broadcast::Idle | Broadcast::Failed { .. }) {
                self.notice_over(NoticeCode::SentOpenly);
            }
            tracing::info!(phase = ?now, "broadcast");
        }
        action
    }

    fn turn(&mut self, turn: Turn) {
        let moment = Moment {
            now: clock::now(),
            wall: WallTime::now(),
            fresh: LeaveId::new(),
            self_view: self.state.settings.self_view,
        };
        for todo in self.machine.turn(turn, &moment) {
            tracing::info!(?todo, "leaving and coming back");
            match todo {
                Do::Leave { id, keep_sound } => {
                    self.notice_over(BACK_FAILED);
                    if let Some(closings) = self.outbox.leave(&id, keep_sound) {
                        self.rig.heard_of(closings);
                    }
                }
                Do::Capture => self.run_mode(self.wanted()),
                Do::Return(_) => {
                    for code in [BACK_FAILED, LEFT_LOCKED, LEFT_ASLEEP] {
                        self.notice_over(code);
                    }
                    self.outbox.back(self.pressed);
                }
                Do::Alarm(on) => {
                    self.notice_over(NOT_CLOSING);
                    if on {
                        let message = "It is not known yet that the camera has closed. Nothing of it is sent. If its light stays on, unplug it or cover it.";
                        self.state.notices.push(Notice::new(NOT_CLOSING, message));
                    }
                }
                Do::Refuse(error) => {
                    self.notice_over(BACK_FAILED);
                    self.state.notices.push(Notice::of(BACK_FAILED, error));
                }
            }
        }
        self.tell();
    }

    fn act(&mut self, action: Option<Action>) {
        match action {
            Some(Action::Open) => {
                self.last = (self.outbox.sent(), clock::now());
                self.state.stats = BroadcastStats::default();
                self.state.recording = None;
                self.state.notices.clear();
                if self.target.as_ref().is_some_and(|target| target.openly) {
                    self.state.notices.push(Notice::new(NoticeCode::SentOpenly, SENT_OPENLY));
                }
                self.run_mode(self.wanted());
            }
            Some(Action::Connect) => self.connect(),
            Some(Action::Farewell) => {
                // First nothing new is made, then what waits goes out.
                self.run_mode(self.wanted());
                match &self.attempt {
                    Some(attempt) => attempt.farewell.cancel(),
                    None => return self.input(Input::Gone),
                }
            }
            Some(Action::Close) => {
                if let Some(attempt) = self.attempt.take() {
                    attempt.task.abort();
                }
                self.outbox.close();
                self.state.viewers = 0;
                self.turn(Turn::Over);
                self.run_mode(self.wanted());
            }
            None => {}
        }
        self.tell();
    }

    fn connect(&mut self) {
        let Some(target) = self.target.clone() else { return };
        self.attempts += 1;
        let (number, farewell) = (self.attempts, CancellationToken::new());
        let (outbox, answers, token) = (self.outbox.clone(), self.answers.clone(), farewell.clone());
        let span = tracing::info_span!("publish", room = %target.room, attempt = number);
        let attempt = async move {
            let published = || {
                let _ = answers.send(Answer { number, input: Input::Published, key: None });
            };
            let ended = publisher::attempt(&target, &outbox, &token, published).await;
            let (input, key) = renewed(&target, ended).await;
            // A session that is gone needs no answer.
            let _ = answers.send(Answer { number, input, key });
        };
        let task = tokio::spawn(attempt.instrument(span)).abort_handle();
        self.attempt = Some(Attempt { number, farewell, task });
    }

    fn figures(&mut self) {
        if !self.machine.busy() {
            return;
        }
        let (now, sent) = (clock::now(), self.outbox.sent());
        let (before, at) = self.last;
        self.last = (sent, now);
        let seconds = now.since(at).as_secs_f32().max(0.001);
        self.state.stats = BroadcastStats {
            bitrate_kbps: (sent.bytes - before.bytes) as f32 * 8.0 / 1000.0 / seconds,
            fps: (sent.frames - before.frames) as f32 / seconds,
            dropped_frames: sent.dropped,
            sent_frames: sent.frames,
            queue_ms: sent.waiting.millis() as f32,
            uplink: sent.uplink,
        };
        self.tell();
    }

    fn tell(&mut self) {
        self.state.revision += 1;
        self.state.broadcast = self.machine.broadcast();
        self.state.away = self.machine.absence().shown();
        let statement = self.machine.absence().statement();
        self.saying.send_if_modified(|said| std::mem::replace(said, statement.clone()) != statement);
        self.told.send_replace(Arc::new(self.state.clone()));
        // No subscriber is no error.
        let _ = self.events.send(StudioEvent::State(Box::new(self.state.clone())));
    }
}

/// A key that is refused may have been renewed by the room's owner, who is the one who broadcasts here:
/// then the connection is only lost, and goes on with the new one.
async fn renewed(target: &Target, ended: Input) -> (Input, Option<Secret>) {
    match (&ended, &target.keys) {
        (Input::Refused(refused), Some(keys)) if refused.code == ErrorCode::WrongStreamKey => {
            match keys.ask(target.room.clone()).await {
                Ok(key) if key.expose() != target.key.expose() => {
                    tracing::info!("the stream key was renewed; going on with the new one");
                    let sentence = "The stream key was renewed; the broadcast goes on with the new one.";
                    let error = ApiError::new(ErrorCode::WrongStreamKey, sentence).about(Problem::KeyRenewed);
                    (Input::Lost(error), Some(key))
                }
                Ok(_) => (ended, None),
                // Not known now: it is tried again, and asked again.
                Err(error) if error.code == ErrorCode::Unreachable => (Input::Lost(error), None),
                Err(error) => {
                    tracing::warn!(%error, "the stream key could not be asked for");
                    (ended, None)
                }
            }
        }
        _ => (ended, None),
    }
}

async fn until(deadline: Option<mujian_media::time::Now>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(clock::deadline(at)).await,
        None => std::future::pending().await,
    }
}
