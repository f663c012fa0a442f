//! The real [`Rig`]: capture and encoding of this computer.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use mujian_protocol::studio::{Devices, EncoderReport, Notice, NoticeCode, Preset, StudioSettings, VideoSource};
use mujian_protocol::{ApiError, ErrorCode, Problem, WallTime};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::rig::{Mode, Rig, RigEvent, Sink};
use crate::capture::CaptureError;
use crate::encode::{
    EncodeError, Encoders, Feed, FeedControl, LiveSettings, Memory, Pipeline, PipelineStatus, ProbeCommand, SOUND, Way,
    preset,
};
use crate::problem;
use crate::record::{Order, Tap};

/// The encoders of this computer; each is tested at most once in the life of the process, by this program
/// started again.
fn table(memory: Option<Memory>) -> Result<Encoders, ApiError> {
    static TABLE: OnceLock<Encoders> = OnceLock::new();
    if let Some(table) = TABLE.get() {
        return Ok(table.clone());
    }
    let command = ProbeCommand::this_program()
        .map_err(|e| ApiError::new(ErrorCode::Internal, format!("This program's own path is not known ({e}).")))?;
    Ok(TABLE.get_or_init(|| Encoders::new(command).remembering(memory, WallTime::now())).clone())
}

/// Capture and encoding of this computer, with nothing open yet. How the encoders fared is remembered in
/// the data folder; where that is missing or old they are tested now, in the background, so that the first
/// broadcast need not wait for it.
#[must_use]
pub fn rig(runtime: &Handle, data: Option<&Path>) -> Box<dyn Rig> {
    // Without the table, what needs it says why.
    if let Ok(encoders) = table(data.map(Memory::in_folder)) {
        std::thread::spawn(move || encoders.refresh(WallTime::now()));
    }
    Box::new(PipelineRig { runtime: runtime.clone(), encoders: None, open: None })
}

/// The same, with encoders tested by another program, as tests need it: they are not this program.
#[must_use]
pub fn rig_with(runtime: &Handle, encoders: Encoders) -> Box<dyn Rig> {
    Box::new(PipelineRig { runtime: runtime.clone(), encoders: Some(encoders), open: None })
}

/// What there is to capture from.
///
/// # Errors
/// `Internal` when looking crashed.
pub async fn devices() -> Result<Devices, ApiError> {
    blocking(|| Ok(crate::capture::devices())).await
}

/// How the encoders of this computer fare. The first call tests them, which takes seconds.
///
/// # Errors
/// `Internal` when this program's path is not known.
pub async fn encoders() -> Result<Vec<EncoderReport>, ApiError> {
    blocking(|| Ok(table(None)?.reports())).await
}

async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let crashed = |_| ApiError::new(ErrorCode::Internal, "Looking at this computer's devices crashed.");
    tokio::task::spawn_blocking(run).await.map_err(crashed)?
}

struct PipelineRig {
    runtime: Handle,
    /// None: those of [`table`].
    encoders: Option<Encoders>,
    open: Option<Open>,
}

struct Open {
    pipeline: Pipeline,
    /// Where it all goes; changed when the session asks for another mode.
    sink: Arc<Mutex<Sink>>,
    /// What is listened to: a microphone's id, and an output's.
    heard: [Option<String>; 2],
    shown: Option<(VideoSource, Preset)>,
    live: Option<Live>,
    preview: Option<AbortOnDropHandle<()>>,
    _forwarders: [AbortOnDropHandle<()>; 3],
}

struct Live {
    control: FeedControl,
    /// Size and rate, and the encoder that was asked for.
    quality: (Preset, Option<String>),
    tap: Arc<Mutex<Tap>>,
    task: AbortOnDropHandle<()>,
}

impl Rig for PipelineRig {
    fn run(&mut self, mode: Mode, settings: &StudioSettings, sink: &Sink) -> Result<(), ApiError> {
        if mode == Mode::Off {
            // What is encoded already still goes out.
            if let Some(live) = self.open.take().and_then(Open::stop_live) {
                self.runtime.spawn(live);
            }
            return Ok(());
        }
        let result = self.show(mode, settings, sink);
        // On air, what was shown goes on; a broadcast that could not begin leaves nothing open.
        if result.is_err() && self.open.as_ref().is_some_and(|o| o.live.is_none()) {
            self.open = None;
        }
        result
    }

    fn complete(&mut self, mode: Mode, settings: &StudioSettings, sink: &Sink) {
        if matches!(mode, Mode::Preview | Mode::Live)
            && let Some(open) = &self.open
        {
            open.pipeline.knows(sink.closings());
            open.show_inset(settings, sink);
        }
    }

    fn set_preview(&mut self, wanted: bool) {
        if let Some(open) = &mut self.open {
            open.set_preview(wanted, &self.runtime);
        }
    }

    fn retake(&mut self) {
        if let Some(open) = &self.open {
            open.retake();
        }
    }

    fn record(&mut self, order: Option<Order>) {
        let Some(open) = &self.open else { return };
        match (&open.live, order) {
            (Some(live), Some(order)) => open.record(live, order),
            (Some(live), None) => live.tap.lock().end(),
            // The broadcast that begins looks at its settings.
            (None, _) => {}
        }
    }
}

impl PipelineRig {
    fn show(&mut self, mode: Mode, settings: &StudioSettings, sink: &Sink) -> Result<(), ApiError> {
        let away = if let Mode::Away { keep_sound } = mode { Some(keep_sound) } else { None };
        // Away without sound, nobody listens either; and never to what the computer plays: calls come in, notes are read
        // out, and nobody sits there who would hear what the audience hears.
        let settings = &match away {
            Some(false) => StudioSettings { microphone: None, output: None, ..settings.clone() },
            Some(true) => StudioSettings { output: None, ..settings.clone() },
            None => settings.clone(),
        };
        let open = match &mut self.open {
            Some(open) => {
                *open.sink.lock() = sink.clone();
                // First of all: what takes long comes after.
                if let Some(keep_sound) = away {
                    open.close_source(keep_sound, sink, &self.runtime);
                }
                open
            }
            None => {
                let open = self.open.insert(Open::new(settings, sink, &self.runtime)?);
                if let Some(keep_sound) = away {
                    open.close_source(keep_sound, sink, &self.runtime);
                }
                open
            }
        };
        open.listen(settings);
        open.pipeline.knows(sink.closings());
        open.set_preview(sink.preview_wanted(), &self.runtime);
        let live = away.is_some() || mode == Mode::Live;
        let begins = live && open.live.is_none();
        let encoders = match &self.encoders {
            Some(encoders) => encoders.clone(),
            None => table(None)?,
        };
        // A file plays from its start when the server takes the stream: until then it would play for nobody.
        if begins || !live {
            sink.hold(begins);
        }
        let settings = &if live { open.change_quality(settings, &encoders, sink) } else { settings.clone() };
        if away.is_none() {
            open.make_room_for(&settings.source);
            open.show_source(settings, begins, sink)?;
        }
        open.tell_all(sink);
        if !live {
            if let Some(live) = open.live.take() {
                live.control.end();
                self.runtime.spawn(live.drain());
            }
        } else if begins {
            open.go_live(settings, &encoders, &self.runtime)?;
        }
        Ok(())
    }
}

impl Live {
    /// Waits until what was encoded has gone to the sink.
    async fn drain(self) {
        // A task that crashed has nothing more to give.
        let _ = self.task.await;
    }
}

impl Open {
    fn new(settings: &StudioSettings, sink: &Sink, runtime: &Handle) -> Result<Self, ApiError> {
        let pipeline = Pipeline::start(sink.gate(), sink.faders()).map_err(|e| capture_error(&settings.source, &e))?;
        let sink = Arc::new(Mutex::new(sink.clone()));
        let (mut status, told) = (pipeline.status(), Arc::clone(&sink));
        let telling = async move {
            let mut before = PipelineStatus::default();
            loop {
                let now = status.borrow_and_update().clone();
                let sink = told.lock().clone();
                tell(&before, &now, &sink);
                before = now;
                if status.changed().await.is_err() {
                    return;
                }
            }
        };
        let metering = |way| {
            let (mut levels, told) = (pipeline.levels(way), Arc::clone(&sink));
            runtime.spawn(async move {
                while levels.changed().await.is_ok() {
                    let level = *levels.borrow_and_update();
                    told.lock().event(RigEvent::Level(way, level));
                }
            })
        };
        let forwarders = [runtime.spawn(telling), metering(Way::Microphone), metering(Way::Output)];
        Ok(Self {
            pipeline,
            sink,
            heard: [None, None],
            shown: None,
            live: None,
            preview: None,
            _forwarders: forwarders.map(AbortOnDropHandle::new),
        })
    }

    /// Listens to what the settings say, and goes on listening to what is listened to.
    fn listen(&mut self, settings: &StudioSettings) {
        for (way, wanted) in [(Way::Microphone, &settings.microphone), (Way::Output, &settings.output)] {
            let heard = &mut self.heard[way as usize];
            if heard != wanted {
                self.pipeline.listen(way, wanted.as_deref());
                heard.clone_from(wanted);
            }
        }
    }

    /// Closes the picture's source, and says so when its device is free.
    fn close_source(&mut self, keep_sound: bool, sink: &Sink, runtime: &Handle) {
        let closing = self.pipeline.close_source(keep_sound);
        let sink = sink.clone();
        runtime.spawn_blocking(move || {
            closing.wait();
            sink.event(RigEvent::SourceClosed);
        });
    }

    /// On air: the size, rate and encoder that the settings say, from the next picture on. The settings as they hold then.
    fn change_quality(&mut self, settings: &StudioSettings, encoders: &Encoders, sink: &Sink) -> StudioSettings {
        let mut settings = settings.clone();
        let wanted = (settings.preset, settings.encoder.clone());
        let Some(live) = self.live.as_mut().filter(|live| live.quality != wanted) else { return settings };
        let quality = LiveSettings { preset: settings.preset, encoder: settings.encoder.clone() };
        match self.pipeline.change_encoding(&live.control, &quality, encoders) {
            Ok(()) => {
                live.quality = wanted;
                // The old encoder's own bitrate may be asked for still.
                live.control.set_bitrate(sink.limit(preset(settings.preset).1));
            }
            Err(error) => {
                (settings.preset, settings.encoder) = live.quality.clone();
                let error = encode_error(&settings.source, &error);
                let notice =
                    Notice::new(NoticeCode::QualityRefused, format!("{} The stream goes on as it was.", error.message));
                let (preset, encoder) = live.quality.clone();
                sink.event(RigEvent::QualityStays(preset, encoder, notice.about(error.problem.map(|p| *p))));
            }
        }
        settings
    }

    /// Shows the source that the settings say, unless it is shown.
    fn show_source(&mut self, settings: &StudioSettings, begins: bool, sink: &Sink) -> Result<(), ApiError> {
        let running = self.pipeline.reopen_source();
        let wanted = (settings.source.clone(), settings.preset);
        let held = match (&settings.source, sink.held()) {
            (VideoSource::File { path, looped }, Some(hold)) => Some((path, *looped, hold)),
            _ => None,
        };
        if running && self.shown.as_ref() == Some(&wanted) && !(begins && held.is_some()) {
            return Ok(());
        }
        // For another size alone, on air: a file would begin anew, and a camera, which opens only once, would have to be
        // closed for it. Their pictures are scaled.
        let stays = matches!(settings.source, VideoSource::File { .. } | VideoSource::Camera { .. });
        let same = self.shown.as_ref().is_some_and(|(source, _)| *source == settings.source);
        if running && !begins && self.live.is_some() && stays && same {
            return Ok(());
        }
        let shown = match held {
            Some((path, looped, hold)) => self.pipeline.set_held_file(path, looped, settings.preset, hold),
            None => self.pipeline.set_source(&settings.source, settings.preset),
        };
        match shown {
            Ok(()) => self.shown = Some(wanted),
            Err(error) if running && self.live.is_some() => {
                let message = format!("{error} The picture that was on air stays.");
                let problem = problem::of_source(&settings.source, &error);
                sink.event(RigEvent::Notice(Notice::new(NoticeCode::SourceFailed, message).about(problem)));
            }
            Err(error) => return Err(capture_error(&settings.source, &error)),
        }
        Ok(())
    }

    /// What is to be the large picture is not the small one any more: a device opens once only.
    fn make_room_for(&self, source: &VideoSource) {
        if self.pipeline.inset_source().as_ref() == Some(source) {
            self.pipeline.hide_inset();
        }
    }

    /// Shows the small picture that the settings say, or none. The large one is shown without it where it does not open.
    fn show_inset(&self, settings: &StudioSettings, sink: &Sink) {
        match (self.pipeline.set_inset(settings.inset.as_ref(), settings.preset), &settings.inset) {
            (Err(error), Some(inset)) => {
                let message = format!("{error} The picture is shown without it.");
                let problem = problem::of_source(&inset.source, &error);
                sink.event(RigEvent::Notice(Notice::new(NoticeCode::InsetFailed, message).about(problem)));
            }
            _ => sink.event(RigEvent::NoticeOver(NoticeCode::InsetFailed)),
        }
        sink.event(RigEvent::Inset(self.pipeline.inset_shape()));
    }

    /// What is lost is opened again: by whoever watches over it, or here where nobody does, as with files.
    fn retake(&self) {
        self.pipeline.retake();
        if self.pipeline.source_is_over()
            && let Some((source, preset)) = &self.shown
            && let Err(error) = self.pipeline.set_source(source, *preset)
        {
            tracing::info!(%error, "the source does not open again");
        }
    }

    /// A new sink has heard nothing yet.
    fn tell_all(&self, sink: &Sink) {
        tell(&PipelineStatus::default(), &self.pipeline.status().borrow(), sink);
    }

    fn set_preview(&mut self, wanted: bool, runtime: &Handle) {
        if !wanted {
            self.preview = None;
        } else if self.preview.is_none() {
            let (mut frames, sink) = (self.pipeline.preview(), Arc::clone(&self.sink));
            self.preview = Some(AbortOnDropHandle::new(runtime.spawn(async move {
                while frames.changed().await.is_ok() {
                    let jpeg = frames.borrow_and_update().clone();
                    sink.lock().preview(jpeg);
                }
            })));
        }
    }

    fn go_live(&mut self, settings: &StudioSettings, encoders: &Encoders, runtime: &Handle) -> Result<(), ApiError> {
        let live = LiveSettings { preset: settings.preset, encoder: settings.encoder.clone() };
        let feed = self.pipeline.go_live(&live, encoders).map_err(|e| encode_error(&settings.source, &e))?;
        let control = feed.control();
        self.sink.lock().begins(control.origin(), preset(settings.preset).1, SOUND);
        let tap = Arc::new(Mutex::new(Tap::new(self.sink.lock().gate(), control.origin())));
        let pumping = pump(feed, Arc::clone(&self.sink), Arc::clone(&tap), settings.source.clone());
        let quality = (settings.preset, settings.encoder.clone());
        let live = Live { control, quality, tap, task: AbortOnDropHandle::new(runtime.spawn(pumping)) };
        if let Some(order) = Order::of(settings) {
            self.record(&live, order);
        }
        self.live = Some(live);
        Ok(())
    }

    fn record(&self, live: &Live, order: Order) {
        let told = Arc::clone(&self.sink);
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
        live.tap.lock().begin(order, move |how| told.lock().event(RigEvent::Recording(number, how)));
        live.control.request_key_frame();
    }

    /// Ends the stream and closes the devices; the future ends when the last item is out.
    fn stop_live(mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let live = self.live.take()?;
        live.control.end();
        Some(live.drain())
    }
}

/// Hands encoded items on until the stream ends.
async fn pump(mut feed: Feed, sink: Arc<Mutex<Sink>>, tap: Arc<Mutex<Tap>>, source: VideoSource) {
    let control = feed.control();
    while let Some(item) = feed.recv().await {
        // Before the line can drop anything of it.
        tap.lock().item(&item);
        let wanted = sink.lock().item(item);
        // First, so that the key frame is one that the line can carry.
        if let Some(bits) = wanted.bitrate {
            control.set_bitrate(bits);
        }
        if wanted.key {
            control.request_key_frame();
        }
    }
    tap.lock().end();
    if let Some(error) = feed.error() {
        sink.lock().event(RigEvent::Failed(encode_error(&source, &error)));
    }
}

/// What changed, as events.
fn tell(before: &PipelineStatus, now: &PipelineStatus, sink: &Sink) {
    for gone in before.notices.iter().filter(|n| !now.notices.iter().any(|m| m.code == n.code)) {
        sink.event(RigEvent::NoticeOver(gone.code));
    }
    for notice in now.notices.iter().filter(|n| !before.notices.contains(n)) {
        sink.event(RigEvent::Notice(notice.clone()));
    }
    if now.encoder != before.encoder
        && let Some(encoder) = &now.encoder
    {
        sink.event(RigEvent::Opened(encoder.clone()));
    }
    if now.finished && !before.finished {
        sink.event(RigEvent::Ended);
    }
}

fn capture_error(source: &VideoSource, error: &CaptureError) -> ApiError {
    let code = if matches!(source, VideoSource::File { .. }) { ErrorCode::UnsupportedMedia } else { ErrorCode::Device };
    ApiError::new(code, error.to_string()).about(problem::of_source(source, error))
}

fn encode_error(source: &VideoSource, error: &EncodeError) -> ApiError {
    let problem = match error {
        EncodeError::Capture(error) => return capture_error(source, error),
        EncodeError::Av(error) => problem::of_encoder("H.264", error),
        EncodeError::Unusable { name, why } => Problem::EncoderFailed { name: name.clone(), why: why.clone() },
        EncodeError::NoneWorks => Problem::EncoderNone,
        EncodeError::AlreadyLive => Problem::OnAir,
    };
    ApiError::new(ErrorCode::Device, error.to_string()).about(problem)
}
