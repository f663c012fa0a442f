//! The encoded stream between the encoders' threads and the one who sends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use mujian_av::encode::VideoEncoder;
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use mujian_protocol::studio::{EncoderReport, NoticeCode};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::EncodeError;
use super::status::PipelineStatus;
use crate::capture::Clock;

/// Frames and sounds that may wait for the one who sends them: some 5 seconds.
const WAITING: usize = 400;

/// Counts of a stream since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedStats {
    /// Pictures encoded, repeated ones included.
    pub frames: u64,
    /// Pictures that are missing: places left empty because the encoder was behind, and frames that
    /// nobody took in time.
    pub dropped: u64,
    /// Pictures shown twice because the source was late.
    pub repeated: u64,
    /// Bytes of picture and sound.
    pub bytes: u64,
    /// Microseconds that encoding took, all together.
    pub encode_micros: u64,
}

#[derive(Default)]
struct OutState {
    sender: Option<mpsc::Sender<FeedItem>>,
    /// Configurations that found the queue full.
    pending: Vec<FeedItem>,
    /// Frames were lost: none goes out before the next key frame.
    await_key: bool,
    failed: Option<EncodeError>,
    stats: FeedStats,
}

/// Between the encoders' threads and the one who sends.
pub(super) struct Outgoing {
    /// Clock time of the stream's zero.
    pub(super) origin: MediaTime,
    state: Mutex<OutState>,
    key: AtomicBool,
    bitrate: AtomicU32,
    over: AtomicBool,
    status: watch::Sender<PipelineStatus>,
    reports: Mutex<Vec<EncoderReport>>,
    /// One that is to go on from the next picture.
    next: Mutex<Option<VideoEncoder>>,
}

impl Outgoing {
    /// Both ends of a stream that begins at `origin`.
    pub(super) fn open(
        origin: MediaTime,
        status: watch::Sender<PipelineStatus>,
        reports: Vec<EncoderReport>,
    ) -> (Arc<Self>, Feed) {
        let (sender, items) = mpsc::channel(WAITING);
        let out = Self::new(origin, sender, status, reports);
        (Arc::clone(&out), Feed { items, out })
    }

    pub(super) fn new(
        origin: MediaTime,
        sender: mpsc::Sender<FeedItem>,
        status: watch::Sender<PipelineStatus>,
        reports: Vec<EncoderReport>,
    ) -> Arc<Self> {
        Arc::new(Self {
            origin,
            state: Mutex::new(OutState { sender: Some(sender), ..OutState::default() }),
            key: AtomicBool::new(false),
            bitrate: AtomicU32::new(0),
            over: AtomicBool::new(false),
            status,
            reports: Mutex::new(reports),
            next: Mutex::default(),
        })
    }

    /// Sends an item or, where the other side does not take any more, drops until the next key frame.
    pub(super) fn send(&self, item: FeedItem) {
        let mut state = self.state.lock();
        let OutState { sender: Some(sender), .. } = &*state else { return };
        let sender = sender.clone();
        while let Some(config) = state.pending.first().cloned() {
            if sender.try_send(config).is_err() {
                break;
            }
            state.pending.remove(0);
        }
        let blocked = !state.pending.is_empty();
        let size = match &item {
            FeedItem::Video(v) if state.await_key && !v.key => {
                state.stats.dropped += 1;
                return;
            }
            FeedItem::Video(v) => v.data.len(),
            FeedItem::Audio(a) => a.data.len(),
            config => {
                if blocked || sender.try_send(config.clone()).is_err() {
                    state.pending.push(item);
                }
                return;
            }
        };
        let is_video = matches!(item, FeedItem::Video(_));
        match if blocked { Err(mpsc::error::TrySendError::Full(item)) } else { sender.try_send(item) } {
            Ok(()) => {
                state.stats.bytes += size as u64;
                state.await_key &= !is_video;
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                if is_video {
                    state.stats.dropped += 1;
                    state.await_key = true;
                    self.key.store(true, Ordering::Relaxed);
                }
            }
            Err(mpsc::error::TrySendError::Closed(_)) => self.over.store(true, Ordering::Relaxed),
        }
    }

    pub(super) fn fail(&self, error: EncodeError) {
        tracing::error!(%error, "encoding ended");
        let mut state = self.state.lock();
        state.failed.get_or_insert(error);
        state.sender = None;
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> FeedStats {
        self.state.lock().stats
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.state.lock().sender = None;
        self.status.send_modify(|s| {
            s.encoder = None;
            s.notices.retain(|n| n.code != NoticeCode::EncoderFallback);
        });
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn request_key_frame(&self) {
        self.key.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_key_request(&self) -> bool {
        self.key.swap(false, Ordering::Relaxed)
    }

    pub(super) fn take_bitrate(&self) -> Option<u32> {
        Some(self.bitrate.swap(0, Ordering::Relaxed)).filter(|b| *b > 0)
    }

    pub(super) fn set_next_encoder(&self, encoder: VideoEncoder) {
        *self.next.lock() = Some(encoder);
    }

    pub(super) fn take_encoder(&self) -> Option<VideoEncoder> {
        self.next.lock().take()
    }

    /// What is known by now of encoders that [`Self::set_encoder`] may name.
    pub(super) fn report(&self, found: impl IntoIterator<Item = EncoderReport>) {
        let mut reports = self.reports.lock();
        for report in found {
            reports.retain(|r| r.name != report.name);
            reports.push(report);
        }
    }

    pub(super) fn set_encoder(&self, name: &str) {
        let report = self.reports.lock().iter().find(|r| r.name == name).cloned();
        self.status.send_modify(|s| s.encoder = report);
    }

    pub(super) fn count_dropped(&self, count: u64) {
        self.state.lock().stats.dropped += count;
    }

    pub(super) fn count_repeated(&self) {
        self.state.lock().stats.repeated += 1;
    }

    pub(super) fn count_encoded(&self, took: Duration) {
        let mut state = self.state.lock();
        state.stats.frames += 1;
        state.stats.encode_micros += u64::try_from(took.as_micros()).unwrap_or(0);
    }
}

/// The encoded stream, for the one who sends it. Dropping it ends the encoding.
pub struct Feed {
    items: mpsc::Receiver<FeedItem>,
    out: Arc<Outgoing>,
}

impl Feed {
    /// The next item: configurations before what they describe; each track in order of its time.
    /// Times begin near zero, at the moment of [`super::Pipeline::go_live`]. None: it ended.
    pub async fn recv(&mut self) -> Option<FeedItem> {
        self.items.recv().await
    }

    /// Why it ended, if nobody ended it on purpose.
    #[must_use]
    pub fn error(&self) -> Option<EncodeError> {
        self.out.state.lock().failed.clone()
    }

    /// A handle to steer it with from elsewhere.
    #[must_use]
    pub fn control(&self) -> FeedControl {
        FeedControl { out: Arc::clone(&self.out) }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.out.end();
    }
}

/// Steers a running stream.
#[derive(Clone)]
pub struct FeedControl {
    out: Arc<Outgoing>,
}

impl FeedControl {
    /// Another encoder goes on from the next picture.
    pub(super) fn continue_with(&self, encoder: VideoEncoder, found: Vec<EncoderReport>) {
        self.out.report(found);
        self.out.set_next_encoder(encoder);
    }

    /// The next picture becomes a key frame.
    pub fn request_key_frame(&self) {
        self.out.request_key_frame();
    }

    /// The capture clock's time of the stream's zero.
    #[must_use]
    pub fn origin(&self) -> MediaTime {
        self.out.origin
    }

    /// Another bitrate of the picture, in bits a second, where the encoder can change it while it runs.
    pub fn set_bitrate(&self, bits: u32) {
        self.out.bitrate.store(bits, Ordering::Relaxed);
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> FeedStats {
        self.out.stats()
    }

    /// The time of the stream's own timeline now: what is captured later has a later one.
    #[must_use]
    pub fn now(&self, clock: &Clock) -> MediaTime {
        clock.now().saturating_sub(self.out.origin)
    }

    /// Ends the stream; what is encoded already still comes out.
    pub fn end(&self) {
        self.out.end();
    }
}
