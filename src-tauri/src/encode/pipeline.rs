//! The studio's machinery as one thing: a source, what is listened to, previews, and while live an encoder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use mujian_av::encode::{VideoEncoder, VideoSettings};
use mujian_av::inset::Place;
use mujian_protocol::Problem;
use mujian_protocol::studio::{EncoderReport, Inset, Notice, NoticeCode, Preset, SoundLevel, VideoSource};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::feed::{Feed, FeedControl, Outgoing};
use super::inset::Small;
use super::line::{Faders, Line, Way};
use super::sound::{Controls, Mixer};
use super::status::PipelineStatus;
use super::{EncodeError, Encoders, preset, preview, video};
use crate::capture::{
    CaptureError, Clock, Closing, FileSource, Gate, Hold, Pictures, Program, Running, Source, SourceEvent, Stop, Wanted,
};
use crate::problem;

/// What to encode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSettings {
    /// Size and rate.
    pub preset: Preset,
    /// FFmpeg's name of the encoder; none: the first that works.
    pub encoder: Option<String>,
}

struct Air {
    running: Option<Running>,
    choice: Option<VideoSource>,
}

/// The studio's machinery. Its calls block: for a moment, or for as long as a device or a driver
/// takes to open (said with each); async code calls them on a blocking thread.
pub struct Pipeline {
    clock: Clock,
    program: Program,
    sinks: [Pictures; 2],
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
    controls: Controls,
    air: Mutex<Air>,
    start: Arc<Mutex<Option<video::Start>>>,
    status: watch::Sender<PipelineStatus>,
    preview: watch::Sender<Bytes>,
    turn: Arc<AtomicU64>,
    small: Small,
    /// See [`Pipeline::knows`].
    closings: AtomicU64,
}

impl Pipeline {
    /// Starts it without a source, and with nobody listening; only what passes the gate is encoded, and sound as the
    /// faders stand.
    ///
    /// # Errors
    /// [`CaptureError::Unsupported`] if no thread can be started.
    pub fn start(gate: &Gate, faders: &Faders) -> Result<Self, CaptureError> {
        let clock = Clock::new();
        // The preview is the streamer's own: the gate is not asked.
        let sinks = [Pictures::behind(gate, 4), Pictures::new(1)];
        let program = Program::new(sinks.to_vec());
        let status = watch::Sender::new(PipelineStatus::default());
        let lines = [Way::Microphone, Way::Output].map(|way| Line::new(way, &status));
        let controls = Controls { lines, faders: faders.clone(), live: Arc::default(), gate: gate.clone() };
        let mut this = Self {
            clock,
            program,
            sinks,
            stop: Stop::default(),
            threads: Vec::new(),
            controls,
            air: Mutex::new(Air { running: None, choice: None }),
            small: Small::new(&status),
            start: Arc::default(),
            status,
            preview: watch::Sender::new(Bytes::new()),
            turn: Arc::default(),
            closings: AtomicU64::new(gate.closings()),
        };
        let mixer = Mixer { clock, program: this.program.clone(), controls: this.controls.clone() };
        let (stop, start, pictures) = (this.stop.clone(), Arc::clone(&this.start), this.sinks[0].clone());
        this.spawn("mixer", {
            let stop = stop.clone();
            move || mixer.run(&stop)
        })?;
        this.spawn("encoder", {
            let (stop, gate) = (stop.clone(), gate.clone());
            let inset = this.small.shown().clone();
            move || video::run(clock, &pictures, &inset, &start, &gate, &stop)
        })?;
        let (pictures, inset, out) = (this.sinks[1].clone(), this.small.shown().clone(), this.preview.clone());
        this.spawn("preview", move || preview::run(&pictures, &inset, &out, &stop))?;
        Ok(this)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), CaptureError> {
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(run)
            .map_err(|e| CaptureError::Unsupported(format!("No thread could be started ({e}).")))?;
        self.threads.push(thread);
        Ok(())
    }

    /// The clock of everything captured here.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// How it fares, now and at every change.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<PipelineStatus> {
        self.status.subscribe()
    }

    /// The level of one way's sound after gain and mute, before the noise gate, 15 a second.
    #[must_use]
    pub fn levels(&self, way: Way) -> watch::Receiver<SoundLevel> {
        self.line(way).levels()
    }

    fn line(&self, way: Way) -> &Line {
        &self.controls.lines[way as usize]
    }

    /// JPEG pictures of the source, 480 x 270, up to 15 a second. They are made only while a
    /// receiver exists; each costs about 1 ms of one core.
    #[must_use]
    pub fn preview(&self) -> watch::Receiver<Bytes> {
        self.preview.subscribe()
    }

    /// Shows another source, once its first picture is there; the present one stays until then, and
    /// stays if the other one fails. Blocks until the first picture (at most some 12 seconds).
    ///
    /// # Errors
    /// Why the source gives no picture.
    pub fn set_source(&self, choice: &VideoSource, size: Preset) -> Result<(), CaptureError> {
        let wanted = preset(size).0;
        let source = crate::capture::source(choice, wanted)?;
        self.change(Some(choice), source)
    }

    /// The same for a file that waits at its first picture until it is released.
    ///
    /// # Errors
    /// As [`Pipeline::set_source`].
    pub fn set_held_file(&self, path: &str, looped: bool, size: Preset, hold: Hold) -> Result<(), CaptureError> {
        let choice = VideoSource::File { path: path.to_owned(), looped };
        self.change(Some(&choice), Box::new(FileSource::new(path.into(), looped, preset(size).0).held(hold)))
    }

    /// Shows a source of one's own making.
    ///
    /// # Errors
    /// As [`Pipeline::set_source`].
    pub fn set_custom_source(&self, source: Box<dyn Source>) -> Result<(), CaptureError> {
        self.change(None, source)
    }

    fn change(&self, choice: Option<&VideoSource>, source: Box<dyn Source>) -> Result<(), CaptureError> {
        let mut air = self.air.lock();
        // A device opens once only.
        let device = |c: &VideoSource| matches!(c, VideoSource::Camera { .. });
        if choice.is_some() && choice == air.choice.as_ref() && choice.is_some_and(device) {
            air.running = None;
        }
        let turn = self.turn.fetch_add(1, Ordering::SeqCst) + 1;
        let label = source.label();
        let event = {
            let (status, turns, choice) = (self.status.clone(), Arc::clone(&self.turn), choice.cloned());
            move |event| {
                if turns.load(Ordering::SeqCst) == turn {
                    source_ended(&status, choice.as_ref(), event);
                }
            }
        };
        let stop = Stop::default();
        // These go on, or end, when the rig hears of the press; no device hangs on them.
        if !matches!(choice, Some(VideoSource::File { .. } | VideoSource::TestCard)) {
            self.controls.gate.stops(&stop, self.closings.load(Ordering::SeqCst));
        }
        match Running::start(source, self.clock, self.program.outlet(), stop, event) {
            Ok(running) => {
                air.choice = choice.cloned();
                self.status.send_modify(|s| {
                    s.source = Some(label);
                    s.finished = false;
                    s.source_error = None;
                    s.notices.retain(|n| !SOURCE_CODES.contains(&n.code));
                });
                // Closes the old one.
                air.running = Some(running);
                Ok(())
            }
            Err(e) => {
                // The old one goes on, and so do its events.
                let _ = self.turn.compare_exchange(turn, turn - 1, Ordering::SeqCst, Ordering::SeqCst);
                Err(e)
            }
        }
    }

    /// The streamer is away: cameras and screens are closed. A file stands still, or is only heard, if
    /// `keep_sound` says so; a test card likewise is closed or only heard.
    #[must_use]
    pub fn close_source(&self, keep_sound: bool) -> Closing {
        let mut small = self.small.take().map(Running::close).unwrap_or_default();
        let mut air = self.air.lock();
        self.program.hold(!keep_sound);
        let stays = match &air.choice {
            Some(VideoSource::File { .. }) => true,
            Some(VideoSource::TestCard) => keep_sound,
            _ => false,
        };
        let Some(running) = air.running.take_if(|_| !stays) else { return small };
        // Events of the closed source are old.
        self.turn.fetch_add(1, Ordering::SeqCst);
        air.choice = None;
        self.status.send_if_modified(|s| {
            let before = s.notices.len();
            s.notices.retain(|n| !SOURCE_CODES.contains(&n.code));
            s.source_error.take().is_some() || s.notices.len() != before
        });
        small.join(running.close());
        small
    }

    /// Shows a small picture over the large one, once its first picture is there; `None`: no longer. One that is shown
    /// already goes to its new place at once. Blocks until the first picture (at most some 12 seconds).
    ///
    /// # Errors
    /// Why the source gives no picture; none is shown then.
    pub fn set_inset(&self, inset: Option<&Inset>, size: Preset) -> Result<(), CaptureError> {
        let Some(Inset { source: choice, width, x, y }) = inset else {
            self.hide_inset();
            return Ok(());
        };
        let place = Place { width: *width, x: *x, y: *y };
        if self.small.place(choice, place) {
            return Ok(());
        }
        let Wanted { width, height, fps } = preset(size).0;
        let source = crate::capture::source(choice, Wanted { width: width / 2, height: height / 2, fps })?;
        self.open_inset(choice, source, place)
    }

    pub(super) fn open_inset(
        &self,
        choice: &VideoSource,
        source: Box<dyn Source>,
        place: Place,
    ) -> Result<(), CaptureError> {
        let stop = Stop::default();
        self.controls.gate.stops(&stop, self.closings.load(Ordering::SeqCst));
        self.small.open(choice, source, place, self.clock, stop)
    }

    /// Shows no small picture any more, and closes its source.
    pub fn hide_inset(&self) {
        drop(self.small.take());
    }

    /// The small picture's width by its height, if there is one.
    #[must_use]
    pub fn inset_shape(&self) -> Option<f32> {
        self.small.shown().shape()
    }

    /// What the small picture shows, if there is one.
    #[must_use]
    pub fn inset_source(&self) -> Option<VideoSource> {
        self.small.source()
    }

    /// The streamer comes back: what stood still goes on. False: there is no source; choose it again.
    #[must_use]
    pub fn reopen_source(&self) -> bool {
        self.program.hold(false);
        self.air.lock().running.as_ref().is_some_and(|running| !running.is_stopped())
    }

    /// Whoever chooses sources knows of so many closings of the gate ([`Gate::closings`]): after another one, no device is
    /// opened until that is heard of as well.
    pub fn knows(&self, closings: u64) {
        self.closings.store(closings, Ordering::SeqCst);
    }

    /// What is lost is opened again now, without waiting for the next attempt. A source that is closed stays closed.
    pub fn retake(&self) {
        self.program.press();
        self.small.retake();
        self.controls.lines.iter().for_each(Line::press);
    }

    /// The source ended by itself for good: it must be chosen again.
    #[must_use]
    pub fn source_is_over(&self) -> bool {
        self.air.lock().running.as_ref().is_some_and(Running::is_over)
    }

    /// Listens to another microphone, or another output, by its id, or to none. It is opened in the background; see the
    /// status.
    pub fn listen(&self, way: Way, id: Option<&str>) {
        self.line(way).listen(id, self.clock);
    }

    /// Begins to encode. Blocks while encoders are tested that were not yet, and while one opens.
    ///
    /// # Errors
    /// [`EncodeError`], a sentence.
    pub fn go_live(&self, settings: &LiveSettings, encoders: &Encoders) -> Result<Feed, EncodeError> {
        if self.controls.live.lock().as_ref().is_some_and(|o| !o.is_over()) {
            return Err(EncodeError::AlreadyLive);
        }
        let (encoder, reports) = self.open_encoder(settings, encoders)?;
        let (out, feed) = Outgoing::open(self.clock.now(), self.status.clone(), reports);
        let fall_back = {
            let (encoders, status, out) = (encoders.clone(), self.status.clone(), Arc::downgrade(&out));
            Box::new(move |settings: VideoSettings, error: &mujian_av::AvError| {
                let failed = status.borrow().encoder.clone();
                let label = failed.as_ref().map_or_else(String::new, |r| r.label.clone());
                if let Some(failed) = failed {
                    encoders.failed(&failed.name, &problem::fault(error));
                }
                let soft = encoders.software().ok_or_else(|| error.clone())?;
                let encoder = VideoEncoder::open(&soft.name, settings)?;
                if let Some(out) = out.upgrade() {
                    out.report([soft]);
                }
                note_fall_back(&status, &label, error);
                Ok(encoder)
            })
        };
        *self.start.lock() = Some(video::Start { out: Arc::clone(&out), encoder, fall_back });
        *self.controls.live.lock() = Some(Arc::clone(&out));
        Ok(feed)
    }

    /// The encoder that is asked for, or the one that works where nobody asked for one by name; and what is known of those
    /// that were tried.
    fn open_encoder(
        &self,
        settings: &LiveSettings,
        encoders: &Encoders,
    ) -> Result<(VideoEncoder, Vec<EncoderReport>), EncodeError> {
        let report = encoders.choose(settings.encoder.as_deref())?;
        let video = video_settings(settings.preset);
        let mut reports = vec![report.clone()];
        let encoder = match VideoEncoder::open(&report.name, video) {
            Ok(encoder) => encoder,
            // It passed its test and refuses this size: software, unless it was chosen by name.
            Err(e) if settings.encoder.is_none() && report.hardware => {
                encoders.failed(&report.name, &problem::fault(&e));
                let soft = encoders.software().ok_or(EncodeError::NoneWorks)?;
                reports.push(soft.clone());
                note_fall_back(&self.status, &report.label, &e);
                VideoEncoder::open(&soft.name, video)?
            }
            Err(e) => return Err(e.into()),
        };
        Ok((encoder, reports))
    }

    /// A running stream goes on with another size, rate or encoder: from the next picture on, with a key frame and without a
    /// hole. Blocks while the encoder opens. The source stays as it is; see [`Pipeline::set_source`].
    ///
    /// # Errors
    /// [`EncodeError`], a sentence; then the stream goes on as it was.
    pub fn change_encoding(
        &self,
        stream: &FeedControl,
        settings: &LiveSettings,
        encoders: &Encoders,
    ) -> Result<(), EncodeError> {
        // What is remarked of the encoder that goes is not true of the one that comes.
        let before = self.status.borrow().notices.iter().find(|n| n.code == NoticeCode::EncoderFallback).cloned();
        self.status.send_if_modified(|s| {
            s.notices.retain(|n| n.code != NoticeCode::EncoderFallback);
            before.is_some()
        });
        let (encoder, found) = self.open_encoder(settings, encoders).inspect_err(|_| {
            self.status.send_if_modified(|s| {
                s.notices.extend(before);
                true
            });
        })?;
        stream.continue_with(encoder, found);
        Ok(())
    }
}

fn video_settings(size: Preset) -> VideoSettings {
    let (Wanted { width, height, fps }, bitrate) = preset(size);
    VideoSettings::live(width, height, fps, bitrate)
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.air.lock().running = None;
        self.hide_inset();
        self.controls.lines.iter().for_each(|line| line.listen(None, self.clock));
        self.stop.stop();
        self.sinks.iter().for_each(Pictures::close);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(out) = self.controls.live.lock().take() {
            out.end();
        }
    }
}

const SOURCE_CODES: [NoticeCode; 5] = [
    NoticeCode::CameraLost,
    NoticeCode::ScreenLost,
    NoticeCode::WindowLost,
    NoticeCode::FileFailed,
    NoticeCode::FileEnded,
];

/// What becomes of the stream when its picture is lost.
const PICTURE_STAYS: &str =
    "Viewers keep the last picture, and the sound goes on. It is taken back by itself when it is there again.";

fn source_ended(status: &watch::Sender<PipelineStatus>, choice: Option<&VideoSource>, event: SourceEvent) {
    let code = match (choice, &event) {
        (_, SourceEvent::Finished) => NoticeCode::FileEnded,
        (Some(VideoSource::Screen { .. }), _) => NoticeCode::ScreenLost,
        (Some(VideoSource::Window { .. }), _) => NoticeCode::WindowLost,
        (Some(VideoSource::File { .. }), _) => NoticeCode::FileFailed,
        _ => NoticeCode::CameraLost,
    };
    status.send_modify(|s| {
        s.notices.retain(|n| !SOURCE_CODES.contains(&n.code));
        let notice = match event {
            SourceEvent::Back => {
                s.source_error = None;
                return;
            }
            SourceEvent::Finished => {
                s.finished = true;
                Notice::new(code, "The file has come to its end. Choose another source.")
            }
            SourceEvent::Lost(e) => {
                let problem = choice.and_then(|source| problem::of_source(source, &e));
                let told = if code == NoticeCode::FileFailed { e.to_string() } else { format!("{e} {PICTURE_STAYS}") };
                let notice = Notice::new(code, told).about(problem);
                s.source_error = Some(e);
                notice
            }
        };
        s.notices.push(notice);
    });
}

fn note_fall_back(status: &watch::Sender<PipelineStatus>, label: &str, error: &mujian_av::AvError) {
    let message = format!("{label} failed, so the processor encodes now. {error}");
    status.send_modify(|s| {
        s.notices.retain(|n| n.code != NoticeCode::EncoderFallback);
        let problem = Problem::EncoderFailed { name: label.to_owned(), why: problem::fault(error) };
        s.notices.push(Notice::new(NoticeCode::EncoderFallback, message).about(problem));
    });
}
