//! The microphone, through cpal.
//!
//! A thread of its own holds the stream (on some systems it may not leave the thread that made it),
//! takes the device's samples, places them on the clock, and opens the device again when it vanished
//! (see [`super::watchman`]). While there is no microphone its track is silent; nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, FromSample, SampleFormat, SizedSample, StreamConfig};
use mujian_av::AvError;
use mujian_av::sound::{Aligner, Sample, SilenceWatch};
use mujian_media::time::MediaTime;
use mujian_protocol::studio::Device;

use super::watchman::{Do, Input, Watchman};
use super::{CaptureError, Clock, SoundTrack, Stop};
use crate::clock::now;

/// The id that follows the system's default microphone.
pub const DEFAULT: &str = "default";
/// The reason where the system has no microphone.
pub const NONE_SET_UP: &str = "none is set up";
/// Longest time from opening to the first samples.
const FIRST: Duration = Duration::from_secs(5);
/// A stream that gives nothing for so long is closed, and opened again.
const STALLED: Duration = Duration::from_secs(2);
/// How often it is looked whether it is to stop, while no samples come.
const LOOK: Duration = Duration::from_millis(50);
/// What it is said to have been silent for: it is told within a second.
const SAID: Duration = Duration::from_secs(1);
/// Frames asked for at a time: 10 ms at 48 kHz.
const BUFFER: u32 = 480;
/// Chunks that may wait between the sound system's thread and ours (each 10 ms or so).
const CHUNKS: usize = 64;
/// Seconds of exact zeros until it counts as silent.
const SILENT_AFTER: u32 = 10;

/// What a microphone tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MicrophoneEvent {
    /// Samples come again.
    Back,
    /// It was lost or could not be opened; it is tried again and again. Said again, with another reason, that one counts.
    Lost(CaptureError),
    /// Only digital silence comes, or (false) sound again.
    Silent(bool),
}

/// A microphone at work. Dropping it closes the device.
pub struct Microphone {
    stop: Stop,
    pressed: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Microphone {
    /// Opens a microphone by its id and writes its sound to `track`. `event` tells what becomes of it.
    #[must_use]
    pub fn start(
        id: &str,
        clock: Clock,
        track: SoundTrack,
        event: impl FnMut(MicrophoneEvent) + Send + 'static,
    ) -> Self {
        let stop = Stop::default();
        let pressed = Arc::<AtomicBool>::default();
        let mut worker = Worker {
            id: id.to_owned(),
            clock,
            track,
            stop: stop.clone(),
            pressed: Arc::clone(&pressed),
            event: Box::new(event),
            watchman: Watchman::default(),
        };
        let spawned = std::thread::Builder::new().name("microphone".into()).spawn(move || worker.run());
        if let Err(e) = &spawned {
            tracing::error!(error = %e, "no thread for the microphone");
        }
        Self { stop, pressed, thread: spawned.ok() }
    }

    /// Somebody wants it now, if it is lost, without waiting for the next attempt.
    pub fn press(&self) {
        self.pressed.store(true, Ordering::SeqCst);
    }
}

impl Drop for Microphone {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let deadline = Instant::now() + Duration::from_millis(500);
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::park_timeout(Duration::from_millis(2));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

/// libasound writes what it does not find to standard error, in the middle of a status line; what
/// matters comes back as an error as well. Holds for the thread that calls it.
fn hush() {
    #[cfg(target_os = "linux")]
    if let Err(error) = alsa::Output::local_error_handler() {
        tracing::debug!(%error, "libasound goes on writing to standard error");
    }
}

/// Lists microphones, the default first.
///
/// # Errors
/// [`CaptureError::NoMicrophone`] with the reason if there is none.
pub fn list() -> Result<Vec<Device>, CaptureError> {
    hush();
    let none = |reason: String| CaptureError::NoMicrophone { reason: reason.trim_end_matches('.').to_owned() };
    let host = cpal::default_host();
    let mut list = Vec::new();
    let default = host.default_input_device();
    let works = default.as_ref().map(|d| d.default_input_config());
    match works {
        Some(Ok(_)) => {
            list.push(Device { id: DEFAULT.into(), name: "The system's microphone".into(), is_default: true })
        }
        Some(Err(e)) => return Err(none(e.to_string())),
        None => return Err(none(NONE_SET_UP.into())),
    }
    for device in host.input_devices().map_err(|e| none(e.to_string()))?.take(64) {
        let (Ok(id), Ok(about)) = (device.id(), device.description()) else { continue };
        // ALSA lists each card many times over, and plugins that are no devices.
        let plugin =
            ["null", "default", "dsnoop", "sysdefault", "samplerate", "speex", "upmix", "vdownmix", "jack", "oss"];
        if cfg!(target_os = "linux") && (plugin.iter().any(|p| id.id().starts_with(p)) || id.id().starts_with("hw:")) {
            continue;
        }
        list.push(Device { id: id.id().to_owned(), name: about.name().to_owned(), is_default: false });
    }
    Ok(list)
}

struct Chunk {
    at: MediaTime,
    samples: Vec<Sample>,
}

enum Message {
    Chunk(Chunk),
    Error(cpal::Error),
}

struct Worker {
    id: String,
    clock: Clock,
    track: SoundTrack,
    stop: Stop,
    pressed: Arc<AtomicBool>,
    event: Box<dyn FnMut(MicrophoneEvent) + Send>,
    watchman: Watchman,
}

impl Worker {
    fn run(&mut self) {
        loop {
            let error = self.capture();
            self.track.pause();
            if self.stop.is_stopped() {
                return;
            }
            tracing::info!(microphone = %self.id, %error, "the microphone is closed");
            let mut todo = self.happened(Input::Ended, Some(&error));
            while !todo.contains(&Do::Open) {
                let wait = self.watchman.deadline().map_or(LOOK, |due| due.since(now()).min(LOOK));
                if self.stop.wait_until(Instant::now() + wait) {
                    return;
                }
                todo = self.happened(Input::Tick, None);
                todo.extend(self.look_at_presses());
            }
        }
    }

    /// Tells what is to be told of what happened; the rest is the caller's.
    fn happened(&mut self, input: Input, error: Option<&CaptureError>) -> Vec<Do> {
        let todo = self.watchman.handle(input, now());
        for todo in &todo {
            let event = match (todo, error) {
                (Do::Silent, _) => {
                    self.track.pause();
                    MicrophoneEvent::Lost(AvError::TimedOut { path: name(&self.id), limit: SAID }.into())
                }
                (Do::Lost, Some(error)) => MicrophoneEvent::Lost(error.clone()),
                (Do::Lost, None) => MicrophoneEvent::Lost(CaptureError::Stopped(name(&self.id))),
                (Do::Back, _) => MicrophoneEvent::Back,
                (Do::Open | Do::Cancel, _) => continue,
            };
            (self.event)(event);
        }
        todo
    }

    fn look_at_presses(&mut self) -> Vec<Do> {
        if self.pressed.swap(false, Ordering::SeqCst) { self.happened(Input::Press, None) } else { Vec::new() }
    }

    /// Captures until asked to stop: then, or why it ended.
    fn capture(&mut self) -> CaptureError {
        let ended = self.listen();
        ended.err().unwrap_or_else(|| CaptureError::Stopped(name(&self.id)))
    }

    /// As [`Self::capture`]; the stream is closed when it returns.
    fn listen(&mut self) -> Result<(), CaptureError> {
        hush();
        let (sender, messages) = mpsc::sync_channel(CHUNKS);
        let device = find(&self.id)?;
        let (stream, rate) = open(&device, &self.id, self.clock, &sender)?;
        stream.play().map_err(|e| refused(&self.id, &e))?;
        drop(sender);
        let mut aligner = Aligner::new(rate)?;
        let mut silence = SilenceWatch::new(SILENT_AFTER);
        let mut silent = false;
        let mut last = Instant::now();
        let mut limit = FIRST;
        loop {
            if self.stop.is_stopped() {
                return Ok(());
            }
            if self.look_at_presses().contains(&Do::Cancel) {
                return Ok(());
            }
            match messages.recv_timeout(LOOK) {
                Ok(Message::Chunk(chunk)) => {
                    self.happened(Input::Gave, None);
                    limit = STALLED;
                    last = Instant::now();
                    let (index, samples) = aligner.push(chunk.at, &chunk.samples)?;
                    if silent != silence.push(samples) {
                        silent = !silent;
                        (self.event)(MicrophoneEvent::Silent(silent));
                    }
                    self.track.write(index, samples);
                }
                Ok(Message::Error(e)) => match e.kind() {
                    // It goes on elsewhere, or lost some samples, or has no priority: not an end.
                    ErrorKind::DeviceChanged | ErrorKind::Xrun | ErrorKind::RealtimeDenied => {
                        self.happened(Input::Tick, None);
                        tracing::debug!(error = %e, "microphone");
                        if e.kind() == ErrorKind::DeviceChanged {
                            aligner.reset();
                        }
                    }
                    _ => return Err(refused(&self.id, &e)),
                },
                Err(RecvTimeoutError::Timeout) => drop(self.happened(Input::Tick, None)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(CaptureError::Stopped(name(&self.id)));
                }
            }
            // Some streams say all the time that something is wrong, and give nothing.
            if last.elapsed() > limit {
                return Err(CaptureError::NothingCame { device: name(&self.id), seconds: limit.as_secs() });
            }
        }
    }
}

fn name(id: &str) -> String {
    if id == DEFAULT { "The system's microphone".into() } else { format!("The microphone {id}") }
}

fn refused(id: &str, e: &cpal::Error) -> CaptureError {
    let device = if id == DEFAULT { "of the system".to_owned() } else { id.to_owned() };
    match e.kind() {
        ErrorKind::PermissionDenied => CaptureError::MicrophoneDenied { device },
        ErrorKind::DeviceBusy => AvError::Busy { device: name(id) }.into(),
        ErrorKind::DeviceNotAvailable => AvError::Gone { device: name(id) }.into(),
        ErrorKind::HostUnavailable => {
            CaptureError::NoMicrophone { reason: e.to_string().trim_end_matches('.').to_owned() }
        }
        _ => CaptureError::Microphone { device, reason: e.to_string().trim_end_matches('.').to_owned() },
    }
}

fn find(id: &str) -> Result<cpal::Device, CaptureError> {
    let host = cpal::default_host();
    if id == DEFAULT {
        let none = || CaptureError::NoMicrophone { reason: NONE_SET_UP.into() };
        return host.default_input_device().ok_or_else(none);
    }
    let gone = || AvError::Gone { device: name(id) }.into();
    host.device_by_id(&cpal::DeviceId::new(host.id(), id)).ok_or_else(gone)
}

fn open(
    device: &cpal::Device,
    id: &str,
    clock: Clock,
    sender: &SyncSender<Message>,
) -> Result<(cpal::Stream, u32), CaptureError> {
    let best = device.default_input_config().map_err(|e| refused(id, &e))?;
    let mut config: StreamConfig = best.config();
    config.buffer_size = BufferSize::Fixed(BUFFER * config.sample_rate / 48_000);
    // Some drivers take no wish about the size.
    let stream = build(device, config, best.sample_format(), clock, sender)
        .or_else(|_| {
            build(
                device,
                StreamConfig { buffer_size: BufferSize::Default, ..config },
                best.sample_format(),
                clock,
                sender,
            )
        })
        .map_err(|e| refused(id, &e))?;
    Ok((stream, config.sample_rate))
}

fn build(
    device: &cpal::Device,
    config: StreamConfig,
    format: SampleFormat,
    clock: Clock,
    sender: &SyncSender<Message>,
) -> Result<cpal::Stream, cpal::Error> {
    match format {
        SampleFormat::F32 => typed::<f32>(device, config, clock, sender),
        SampleFormat::F64 => typed::<f64>(device, config, clock, sender),
        SampleFormat::I32 => typed::<i32>(device, config, clock, sender),
        SampleFormat::I16 => typed::<i16>(device, config, clock, sender),
        SampleFormat::I8 => typed::<i8>(device, config, clock, sender),
        SampleFormat::U16 => typed::<u16>(device, config, clock, sender),
        SampleFormat::U8 => typed::<u8>(device, config, clock, sender),
        _ => Err(cpal::Error::new(ErrorKind::UnsupportedConfig)),
    }
}

fn typed<T>(
    device: &cpal::Device,
    config: StreamConfig,
    clock: Clock,
    sender: &SyncSender<Message>,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels).max(1);
    let data = sender.clone();
    let errors = sender.clone();
    let overflow = Arc::new(std::sync::atomic::AtomicU64::new(0));
    device.build_input_stream(
        config,
        move |input: &[T], info: &cpal::InputCallbackInfo| {
            let stamp = info.timestamp();
            let age = stamp.callback.saturating_duration_since(stamp.capture);
            let at = clock.now().saturating_sub(MediaTime::from_duration(age.min(Duration::from_secs(1))));
            let convert = |v: T| <f32 as FromSample<T>>::from_sample_(v);
            let samples = input
                .chunks_exact(channels)
                .map(|frame| {
                    let left = convert(frame[0]);
                    [left, frame.get(1).map_or(left, |v| convert(*v))]
                })
                .collect();
            // A full channel means that our thread hangs; the sound system's must not.
            if data.try_send(Message::Chunk(Chunk { at, samples })).is_err() {
                overflow.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        },
        move |e| {
            let _ = errors.try_send(Message::Error(e));
        },
        Some(FIRST),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_microphone_that_is_gone_busy_or_denied_is_told_apart() {
        let said = |id, kind: ErrorKind| refused(id, &cpal::Error::from(kind)).to_string();
        assert_eq!(
            said("yeti", ErrorKind::DeviceBusy),
            "The microphone yeti is in use by another program. Close that program, then try again."
        );
        assert_eq!(
            said(DEFAULT, ErrorKind::DeviceNotAvailable),
            "The system's microphone is not there. Plug it in, or choose another."
        );
        assert_eq!(
            said("yeti", ErrorKind::PermissionDenied),
            "The system does not let this program use the microphone yeti. Allow it in the system's privacy settings."
        );
        let none = said(DEFAULT, ErrorKind::HostUnavailable);
        assert!(none.starts_with("There is no microphone:") && none.contains("running)."), "{none}");
        let other = said("yeti", ErrorKind::UnsupportedConfig);
        assert!(other.starts_with("The microphone yeti could not be used (The requested stream"), "{other}");
    }
}
