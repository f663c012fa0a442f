//! A stream of sound, open on a thread of its own that may be left behind: a microphone's through cpal.
//!
//! On some systems a stream may not leave the thread that made it, and the system's library may hang in it for ever: in
//! opening, in reading, in closing (libasound does when the sound server dies at the wrong moment). So nobody waits for
//! this thread for long: what it gives comes through a channel, and when that is closed nothing of it counts.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, FromSample, SampleFormat, SizedSample, StreamConfig};
use mujian_av::sound::Sample;
use mujian_media::time::MediaTime;

use super::ear::{Ear, hush, microphone, refused};
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
    /// It is open, at this rate in hertz; said again when it follows the system elsewhere.
    Open(u32),
    Chunk(Chunk),
    /// It goes on elsewhere: what comes next belongs where its time says.
    Moved,
    /// It could not be opened, or is over.
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
    /// One for all streams.
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
    /// Begins to open what is to be listened to.
    ///
    /// # Errors
    /// Too many threads hang already, or the system has no thread for us.
    pub(super) fn open(ear: &Ear, clock: Clock, hung: &Hung) -> Result<Self, CaptureError> {
        Self::begin(hung, ear, {
            let ear = ear.clone();
            move |sender, closed| hold(&ear, clock, &sender, &closed)
        })
    }

    fn begin(
        hung: &Hung,
        ear: &Ear,
        hold: impl FnOnce(SyncSender<Message>, Receiver<()>) + Send + 'static,
    ) -> Result<Self, CaptureError> {
        if hung.count() >= HUNG {
            return Err(CaptureError::Stopped(ear.name()));
        }
        let (sender, messages) = mpsc::sync_channel(CHUNKS);
        let (open, closed) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("sound stream".into())
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
fn hold(ear: &Ear, clock: Clock, sender: &SyncSender<Message>, closed: &Receiver<()>) {
    let ended = match ear {
        Ear::Microphone(id) => hold_microphone(id, clock, sender, closed),
        #[cfg(target_os = "linux")]
        Ear::Output(id) => super::pulse::listen(ear, id, clock, sender, closed),
        #[cfg(not(target_os = "linux"))]
        Ear::Output(_) => Err(super::ear::not_here()),
    };
    if let Err(error) = ended {
        // Nobody listens any more if this fails.
        let _ = sender.send(Message::Refused(error));
    }
}

fn hold_microphone(
    id: &str,
    clock: Clock,
    sender: &SyncSender<Message>,
    closed: &Receiver<()>,
) -> Result<(), CaptureError> {
    hush();
    let (stream, rate) = open(id, clock, sender)?;
    // Before the first samples, which come once it plays.
    let _ = sender.send(Message::Open(rate));
    stream.play().map_err(|e| refused(id, &e))?;
    // It is closed when the other end is gone.
    let _ = closed.recv();
    Ok(())
}

fn open(id: &str, clock: Clock, sender: &SyncSender<Message>) -> Result<(cpal::Stream, u32), CaptureError> {
    let device = microphone(id)?;
    let best = device.default_input_config().map_err(|e| refused(id, &e))?;
    let mut config: StreamConfig = best.config();
    config.buffer_size = BufferSize::Fixed(BUFFER * config.sample_rate / 48_000);
    let format = best.sample_format();
    let heard = Heard { id: id.to_owned(), clock, sender: sender.clone() };
    // Some drivers take no wish about the size.
    let stream = build(&device, config, format, &heard)
        .or_else(|_| build(&device, StreamConfig { buffer_size: BufferSize::Default, ..config }, format, &heard))
        .map_err(|e| refused(id, &e))?;
    Ok((stream, config.sample_rate))
}

/// Where a microphone's stream says what it hears.
#[derive(Clone)]
struct Heard {
    id: String,
    clock: Clock,
    sender: SyncSender<Message>,
}

impl Heard {
    /// Samples of one channel or more, and how old they are.
    fn samples<T: SizedSample>(&self, input: &[T], channels: usize, age: Duration)
    where
        f32: FromSample<T>,
    {
        let at = self.clock.now().saturating_sub(MediaTime::from_duration(age.min(Duration::from_secs(1))));
        let convert = |v: T| <f32 as FromSample<T>>::from_sample_(v);
        let samples = input
            .chunks_exact(channels)
            .map(|frame| {
                let left = convert(frame[0]);
                [left, frame.get(1).map_or(left, |v| convert(*v))]
            })
            .collect();
        // A full channel means that our thread hangs; the sound system's must not.
        let _ = self.sender.try_send(Message::Chunk(Chunk { at, samples }));
    }

    fn error(&self, e: &cpal::Error) {
        let message = match e.kind() {
            ErrorKind::DeviceChanged => Message::Moved,
            // Some samples were lost, or there is no priority: not an end.
            ErrorKind::Xrun | ErrorKind::RealtimeDenied => {
                tracing::debug!(microphone = self.id, error = %e, "sound");
                return;
            }
            _ => Message::Refused(refused(&self.id, e)),
        };
        let _ = self.sender.try_send(message);
    }
}

fn build(
    device: &cpal::Device,
    config: StreamConfig,
    format: SampleFormat,
    heard: &Heard,
) -> Result<cpal::Stream, cpal::Error> {
    match format {
        SampleFormat::F32 => typed::<f32>(device, config, heard),
        SampleFormat::F64 => typed::<f64>(device, config, heard),
        SampleFormat::I32 => typed::<i32>(device, config, heard),
        SampleFormat::I16 => typed::<i16>(device, config, heard),
        SampleFormat::I8 => typed::<i8>(device, config, heard),
        SampleFormat::U16 => typed::<u16>(device, config, heard),
        SampleFormat::U8 => typed::<u8>(device, config, heard),
        _ => Err(cpal::Error::new(ErrorKind::UnsupportedConfig)),
    }
}

fn typed<T>(device: &cpal::Device, config: StreamConfig, heard: &Heard) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels).max(1);
    let (data, errors) = (heard.clone(), heard.clone());
    device.build_input_stream(
        config,
        move |input: &[T], info: &cpal::InputCallbackInfo| {
            let stamp = info.timestamp();
            data.samples(input, channels, stamp.callback.saturating_duration_since(stamp.capture));
        },
        move |e| errors.error(&e),
        Some(FIRST),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::capture::listen::DEFAULT;

    #[test]
    fn a_library_that_hangs_is_left_behind_and_not_for_ever() {
        let (hung, ear) = (Hung::default(), Ear::Microphone(DEFAULT.into()));
        let mut ends = Vec::new();
        for _ in 0..HUNG {
            let (end, ended) = mpsc::channel::<()>();
            let stream = Stream::begin(&hung, &ear, move |_, _| ended.recv().unwrap_or_default()).unwrap();
            ends.push(end);
            let began = Instant::now();
            drop(stream);
            assert!(began.elapsed() < CLOSING * 8, "nobody waits for it");
        }
        let refused = Stream::begin(&hung, &ear, |_, _| {}).err().unwrap();
        assert_eq!(refused, CaptureError::Stopped(ear.name()));
        drop(ends.pop());
        while hung.count() == HUNG {
            std::thread::yield_now();
        }
        let stream = Stream::begin(&hung, &ear, |sender, closed| {
            let _ = sender.send(Message::Open(48_000));
            let _ = closed.recv();
        });
        assert!(matches!(stream.unwrap().next(FIRST), Ok(Message::Open(48_000))));
    }
}
