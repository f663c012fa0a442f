//! A microphone's stream through cpal, open on a thread of its own that may be left behind.
//!
//! On some systems a stream may not leave the thread that made it, and the system's library may hang in it for ever: in
//! opening, in reading, in closing (libasound does when the sound server dies at the wrong moment). So nobody waits for
//! this thread for long: what it gives comes through a channel, and when that is closed nothing of it counts.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, FromSample, SampleFormat, SizedSample, StreamConfig};
use mujian_av::AvError;
use mujian_av::sound::Sample;
use mujian_media::time::MediaTime;
use mujian_protocol::studio::Device;

use super::{DEFAULT, NONE_SET_UP};
use crate::capture::running::still_runs;
use crate::capture::{CaptureError, Clock};

/// Longest time from opening to the first samples.
pub(super) const FIRST: Duration = Duration::from_secs(5);
/// How long closing is waited for: a device that is not closed yet would refuse to be opened again.
const CLOSING: Duration = Duration::from_millis(400);
/// Threads that hang in the system's library, at most; after that no more are begun until one comes back.
const HUNG: usize = 8;
/// Frames asked for at a time: 10 ms at 48 kHz.
const BUFFER: u32 = 480;
/// Messages that may wait between the sound system's thread and ours (each 10 ms of sound or so).
const CHUNKS: usize = 64;

/// Samples, and when the first of them was heard.
pub(super) struct Chunk {
    pub(super) at: MediaTime,
    pub(super) samples: Vec<Sample>,
}

/// What comes from a stream.
pub(super) enum Message {
    /// It is open, at this rate in hertz.
    Open(u32),
    Chunk(Chunk),
    /// The sound system says that something is wrong; not of every thing it is the end.
    Error(cpal::Error),
    /// It could not be opened.
    Refused(CaptureError),
}

/// An open stream, or one that is being opened. Dropping it closes it.
pub(super) struct Stream {
    messages: Receiver<Message>,
    /// The thread closes the stream when this is gone.
    open: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    hung: Hung,
}

/// The threads that did not come back from the system's library in time.
#[derive(Clone, Default)]
pub(super) struct Hung(std::sync::Arc<parking_lot::Mutex<Vec<JoinHandle<()>>>>);

impl Hung {
    /// One for all microphones.
    pub(super) fn of_this_process() -> Self {
        static ALL: std::sync::LazyLock<Hung> = std::sync::LazyLock::new(Hung::default);
        ALL.clone()
    }

    fn count(&self) -> usize {
        let mut threads = self.0.lock();
        threads.retain(|t| !t.is_finished());
        threads.len()
    }
}

impl Stream {
    /// Begins to open the microphone with this id.
    ///
    /// # Errors
    /// Too many threads hang with it already, or the system has no thread for us.
    pub(super) fn open(id: &str, clock: Clock, hung: &Hung) -> Result<Self, CaptureError> {
        Self::begin(hung, id, {
            let id = id.to_owned();
            move |sender, closed| hold(&id, clock, &sender, &closed)
        })
    }

    fn begin(
        hung: &Hung,
        id: &str,
        hold: impl FnOnce(SyncSender<Message>, Receiver<()>) + Send + 'static,
    ) -> Result<Self, CaptureError> {
        if hung.count() >= HUNG {
            return Err(CaptureError::Stopped(name(id)));
        }
        let (sender, messages) = mpsc::sync_channel(CHUNKS);
        let (open, closed) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("microphone stream".into())
            .spawn(move || hold(sender, closed))
            .map_err(|e| CaptureError::Unsupported(format!("No thread could be started ({e}).")))?;
        Ok(Self { messages, open: Some(open), thread: Some(thread), hung: hung.clone() })
    }

    /// What comes next, waited for so long at most. An error that it is over says that the thread crashed.
    pub(super) fn next(&self, limit: Duration) -> Result<Message, mpsc::RecvTimeoutError> {
        self.messages.recv_timeout(limit)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        drop(self.open.take());
        if let Some(thread) = self.thread.take().and_then(|thread| still_runs(thread, CLOSING)) {
            tracing::warn!("the system's sound library hangs; its thread is left behind");
            self.hung.0.lock().push(thread);
        }
    }
}

/// Opens the stream, and closes it when nobody holds it open any more.
fn hold(id: &str, clock: Clock, sender: &SyncSender<Message>, closed: &Receiver<()>) {
    hush();
    let opened = || -> Result<_, CaptureError> {
        let device = find(id)?;
        let (stream, rate) = open(&device, id, clock, sender)?;
        // Before the first samples, which come once it plays.
        let _ = sender.send(Message::Open(rate));
        stream.play().map_err(|e| refused(id, &e))?;
        Ok(stream)
    };
    match opened() {
        Ok(_stream) => closed.recv().unwrap_or_default(),
        Err(error) => drop(sender.send(Message::Refused(error))),
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

pub(super) fn name(id: &str) -> String {
    if id == DEFAULT { "The system's microphone".into() } else { format!("The microphone {id}") }
}

pub(super) fn refused(id: &str, e: &cpal::Error) -> CaptureError {
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
            let _ = data.try_send(Message::Chunk(Chunk { at, samples }));
        },
        move |e| {
            let _ = errors.try_send(Message::Error(e));
        },
        Some(FIRST),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_library_that_hangs_is_left_behind_and_not_for_ever() {
        let hung = Hung::default();
        let mut ends = Vec::new();
        for _ in 0..HUNG {
            let (end, ended) = mpsc::channel::<()>();
            let stream = Stream::begin(&hung, DEFAULT, move |_, _| ended.recv().unwrap_or_default()).unwrap();
            ends.push(end);
            let began = Instant::now();
            drop(stream);
            assert!(began.elapsed() < CLOSING * 8, "nobody waits for it");
        }
        let refused = Stream::begin(&hung, DEFAULT, |_, _| {}).err().unwrap();
        assert_eq!(refused, CaptureError::Stopped(name(DEFAULT)));
        drop(ends.pop());
        while hung.count() == HUNG {
            std::thread::yield_now();
        }
        let stream = Stream::begin(&hung, DEFAULT, |sender, closed| {
            let _ = sender.send(Message::Open(48_000));
            let _ = closed.recv();
        });
        assert!(matches!(stream.unwrap().next(FIRST), Ok(Message::Open(48_000))));
    }

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
