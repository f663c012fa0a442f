//! What the session needs of capture and encoding, as an interface: the real thing has threads and
//! devices, tests have neither.

use std::sync::mpsc as blocking;

use bytes::Bytes;
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use mujian_protocol::ApiError;
use mujian_protocol::studio::{EncoderReport, Notice, NoticeCode, Preset, SoundLevel, StudioSettings};
use tokio::sync::{mpsc, watch};

use super::outbox::{Outbox, Wanted};
use crate::capture::{Gate, Hold};
use crate::encode::{Faders, Way};
use crate::record::{Order, Told};

/// What runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: devices are closed.
    #[default]
    Off,
    /// Devices are open for the preview and the meter; nothing is encoded.
    Preview,
    /// Frames are encoded and go to the [`Sink`].
    Live,
    /// On air, but the streamer is away: the picture's source is closed and [`RigEvent::SourceClosed`]
    /// said when it is; the encoders stay.
    Away {
        /// The microphone stays open.
        keep_sound: bool,
    },
}

/// What capture and encoding tell the session.
#[derive(Clone, Debug, PartialEq)]
pub enum RigEvent {
    /// Live: the encoder runs.
    Opened(EncoderReport),
    /// Something the streamer should know, until it no longer holds.
    Notice(Notice),
    /// It no longer holds.
    NoticeOver(NoticeCode),
    /// How loud a way into the sound is.
    Level(Way, SoundLevel),
    /// The media file is over.
    Ended,
    /// Away: the picture's source is closed, and its device free for others.
    SourceClosed,
    /// On air, another size or encoder could not be had: the stream goes on with these, and why.
    QualityStays(Preset, Option<String>, Notice),
    /// The small picture's width by its height; none: there is none.
    Inset(Option<f32>),
    /// How a recording on this computer goes; holds whatever runs now. Later ones have higher numbers: an old one still
    /// writes what waits when the next one has begun.
    Recording(u64, Told),
    /// What was asked for runs.
    Runs(Mode),
    /// What was asked for does not run.
    NotRun(ApiError),
    /// It cannot go on.
    Failed(ApiError),
}

/// Capture and encoding. Calls come from one thread, which may block in them.
pub trait Rig: Send + 'static {
    /// Makes `mode` run with these settings, keeping what can be kept of what runs. What it makes
    /// goes to `sink`, from any thread, until the next call.
    ///
    /// # Errors
    /// A sentence for the streamer when a device, a file or an encoder cannot be used; nothing runs then.
    fn run(&mut self, mode: Mode, settings: &StudioSettings, sink: &Sink) -> Result<(), ApiError>;

    /// What runs gets what nobody waits for: the small picture, whose camera may take its time.
    fn complete(&mut self, mode: Mode, settings: &StudioSettings, sink: &Sink) {
        let _ = (mode, settings, sink);
    }

    /// Whether somebody looks at the preview.
    fn set_preview(&mut self, wanted: bool);

    /// Devices that are lost are opened again now, without waiting for the next attempt; what is closed stays closed.
    fn retake(&mut self) {}

    /// What is sent is recorded from now on, or (none) no longer.
    fn record(&mut self, order: Option<Order>) {
        let _ = order;
    }
}

/// Where a rig puts what it makes. Nothing here blocks.
#[derive(Clone, Debug)]
pub struct Sink {
    generation: u64,
    closings: u64,
    outbox: Outbox,
    events: mpsc::UnboundedSender<(u64, RigEvent)>,
    preview: watch::Sender<Bytes>,
}

impl Sink {
    /// An encoded item; what is to be encoded from now on.
    #[must_use]
    pub fn item(&self, item: FeedItem) -> Wanted {
        self.outbox.push(item)
    }

    /// A stream begins, whose zero is this time of the capture clock, with at most so many bits a second of
    /// picture and so many of sound.
    pub fn begins(&self, origin: MediaTime, video: u32, sound: u32) {
        self.outbox.begins(origin, video, sound);
    }

    /// The picture is another one from now on, with at most so many bits a second: those that it may have now.
    #[must_use]
    pub fn limit(&self, video: u32) -> u32 {
        self.outbox.limit(video)
    }

    /// The gate before everything that is encoded.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        self.outbox.gate()
    }

    /// What becomes of the sound that is encoded.
    #[must_use]
    pub fn faders(&self) -> &Faders {
        self.outbox.faders()
    }

    /// A file stands at its beginning from now on until the server takes the stream, or (false) does not any more.
    pub fn hold(&self, until_published: bool) {
        self.outbox.hold(until_published);
    }

    /// What keeps a file at its beginning; none: it plays.
    #[must_use]
    pub fn held(&self) -> Option<Hold> {
        self.outbox.held()
    }

    /// How often the gate was closed, as far as whoever asked knew ([`Gate::closings`]).
    #[must_use]
    pub const fn closings(&self) -> u64 {
        self.closings
    }

    /// Something to tell.
    pub fn event(&self, event: RigEvent) {
        // A session that is gone has no ears.
        let _ = self.events.send((self.generation, event));
    }

    /// A picture of the preview as JPEG; only the newest is kept.
    pub fn preview(&self, jpeg: Bytes) {
        self.preview.send_replace(jpeg);
    }

    /// Whether somebody looks at the preview: without, none need be made.
    #[must_use]
    pub fn preview_wanted(&self) -> bool {
        self.preview.receiver_count() > 0
    }
}

enum Call {
    Run(Mode, Box<StudioSettings>, Sink),
    Complete(Mode, Box<StudioSettings>, Sink),
    Preview(bool),
    Retake,
    Record(Option<Order>),
}

/// A rig on its own thread.
#[derive(Debug)]
pub struct RigThread {
    calls: blocking::Sender<Call>,
    outbox: Outbox,
    events: mpsc::UnboundedSender<(u64, RigEvent)>,
    preview: watch::Sender<Bytes>,
    generation: u64,
    closings: u64,
}

impl RigThread {
    /// Starts the thread. The receiver gets every event with its generation.
    pub fn start(mut rig: Box<dyn Rig>, outbox: Outbox) -> (Self, mpsc::UnboundedReceiver<(u64, RigEvent)>) {
        let (calls, inbox) = blocking::channel();
        let (events, heard) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while let Ok(call) = inbox.recv() {
                match call {
                    Call::Run(mode, settings, sink) => match rig.run(mode, &settings, &sink) {
                        Ok(()) => {
                            sink.event(RigEvent::Runs(mode));
                            rig.complete(mode, &settings, &sink);
                        }
                        Err(error) => sink.event(RigEvent::NotRun(error)),
                    },
                    Call::Complete(mode, settings, sink) => rig.complete(mode, &settings, &sink),
                    Call::Preview(wanted) => rig.set_preview(wanted),
                    Call::Retake => rig.retake(),
                    Call::Record(order) => rig.record(order),
                }
            }
        });
        let preview = watch::Sender::new(Bytes::new());
        let closings = outbox.gate().closings();
        (Self { calls, outbox, events, preview, generation: 0, closings }, heard)
    }

    /// Makes a mode run. Events of what ran before are old from now on.
    pub fn run(&mut self, mode: Mode, settings: &StudioSettings) {
        self.generation += 1;
        self.outbox.faders().follow(settings);
        self.call(Call::Run(mode, Box::new(settings.clone()), self.sink()));
    }

    /// See [`Rig::complete`]: what runs goes on as it does, and only that is looked at again.
    pub fn complete(&self, mode: Mode, settings: &StudioSettings) {
        self.call(Call::Complete(mode, Box::new(settings.clone()), self.sink()));
    }

    fn sink(&self) -> Sink {
        Sink {
            generation: self.generation,
            closings: self.closings,
            outbox: self.outbox.clone(),
            events: self.events.clone(),
            preview: self.preview.clone(),
        }
    }

    /// The session has heard of so many closings of the gate: what it asks for next, it asks for knowing of them.
    pub fn heard_of(&mut self, closings: u64) {
        self.closings = self.closings.max(closings);
    }

    /// There was a press that the session has not heard of.
    #[must_use]
    pub fn is_overtaken(&self) -> bool {
        let gate = self.outbox.gate();
        gate.closings() != self.closings && !gate.is_open()
    }

    /// The server takes the stream: what waited for that begins, whatever the rig is busy with.
    pub fn published(&self) {
        self.outbox.published();
    }

    /// What becomes of the sound: at once, whatever the rig is busy with.
    pub fn set_sound(&self, settings: &StudioSettings) {
        self.outbox.faders().follow(settings);
    }

    /// See [`Rig::set_preview`].
    pub fn set_preview(&self, wanted: bool) {
        self.call(Call::Preview(wanted));
    }

    /// See [`Rig::retake`].
    pub fn retake(&self) {
        self.call(Call::Retake);
    }

    /// See [`Rig::record`].
    pub fn record(&self, order: Option<Order>) {
        self.call(Call::Record(order));
    }

    /// Whether an event is of what runs now.
    #[must_use]
    pub const fn is_current(&self, generation: u64) -> bool {
        generation == self.generation
    }

    /// The preview's pictures.
    #[must_use]
    pub const fn preview(&self) -> &watch::Sender<Bytes> {
        &self.preview
    }

    fn call(&self, call: Call) {
        if self.calls.send(call).is_err() {
            let error =
                ApiError::new(mujian_protocol::ErrorCode::Internal, "Capture has crashed. Start the app again.");
            // The session may be gone as well.
            let _ = self.events.send((self.generation, RigEvent::Failed(error)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mujian_protocol::LeaveId;

    use super::*;

    struct Idle;

    impl Rig for Idle {
        fn run(&mut self, _: Mode, _: &StudioSettings, _: &Sink) -> Result<(), ApiError> {
            Ok(())
        }

        fn set_preview(&mut self, _: bool) {}
    }

    /// What a press closes fails, and that must not be taken for a failure.
    #[tokio::test]
    async fn a_press_overtakes_until_it_is_heard_of() {
        let outbox = Outbox::default();
        let (mut rig, mut events) = RigThread::start(Box::new(Idle), outbox.clone());
        assert!(!rig.is_overtaken());
        let pressed = outbox.press(&LeaveId::new(), false, Duration::ZERO);
        assert!(rig.is_overtaken());
        // A later one is not heard of with it.
        let again = outbox.press(&LeaveId::new(), false, Duration::ZERO);
        rig.heard_of(pressed.closings);
        assert!(rig.is_overtaken());
        rig.heard_of(again.closings);
        assert!(!rig.is_overtaken());
        // The view of oneself: the gate is closed, and what is asked for is asked for knowing of it.
        rig.run(Mode::Live, &StudioSettings::default());
        assert_eq!(events.recv().await, Some((1, RigEvent::Runs(Mode::Live))));
        assert!(!rig.is_overtaken());
        outbox.back(again.number);
        let next = outbox.leave(&LeaveId::new(), false).expect("it was open");
        assert!(rig.is_overtaken());
        rig.heard_of(next);
        assert!(!rig.is_overtaken());
    }
    /// Opens the small picture's camera until it is let go.
    struct Busy(blocking::Receiver<()>);

    impl Rig for Busy {
        fn run(&mut self, _: Mode, _: &StudioSettings, sink: &Sink) -> Result<(), ApiError> {
            sink.hold(true);
            Ok(())
        }

        fn complete(&mut self, _: Mode, _: &StudioSettings, _: &Sink) {
            let _ = self.0.recv();
        }

        fn set_preview(&mut self, _: bool) {}
    }

    #[tokio::test]
    async fn a_mute_and_a_file_wait_for_no_device_that_opens() {
        let (let_go, held) = blocking::channel();
        let outbox = Outbox::default();
        let (mut rig, mut events) = RigThread::start(Box::new(Busy(held)), outbox.clone());
        rig.run(Mode::Live, &StudioSettings::default());
        assert_eq!(events.recv().await, Some((1, RigEvent::Runs(Mode::Live))));
        let muted = || [Way::Microphone, Way::Output].map(|way| outbox.faders().of(way).muted);
        assert_eq!(muted(), [false, false]);
        rig.set_sound(&StudioSettings { muted: true, ..StudioSettings::default() });
        assert_eq!(muted(), [true, false]);
        rig.run(Mode::Live, &StudioSettings { output_muted: true, ..StudioSettings::default() });
        assert_eq!(muted(), [false, true], "as the settings say");
        let held = outbox.held().unwrap();
        assert!(!held.is_released());
        rig.published();
        assert!(held.is_released() && outbox.held().is_none());
        drop(let_go);
    }
}
