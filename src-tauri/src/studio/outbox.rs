//! The send queue, shared between the threads that encode and the task that sends, and what the line does to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mujian_media::frame::FeedItem;
use mujian_media::time::{MediaTime, Now};
use mujian_protocol::LeaveId;
use mujian_protocol::studio::Uplink;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::queue::SendQueue;
use super::transit::Transit;
use super::uplink::{Load, Rate};
use crate::capture::{Clock, Gate, Hold};
use crate::clock;
use crate::encode::Faders;

/// A picture is shown up to half a step of 1/30 s from its capture, so a whole one before the press
/// everything later may have been captured after it.
const STEP: MediaTime = MediaTime::from_millis(34);
/// A press is no older than this when it is heard of.
const PRESS_AGO: Duration = Duration::from_secs(2);

/// What was sent, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes on the wire.
    pub bytes: u64,
    /// Pictures.
    pub frames: u64,
    /// Pictures that were not sent.
    pub dropped: u64,
    /// How much video waits.
    pub waiting: MediaTime,
    /// How the line does.
    pub uplink: Uplink,
}

/// What the encoder is to do from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Make a key frame now.
    pub key: bool,
    /// Make so many bits a second of the picture.
    pub bitrate: Option<u32>,
}

/// A press of "leave".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// Its number, for [`Outbox::back`].
    pub number: u64,
    /// How often the gate was closed with it ([`Gate::closings`]).
    pub closings: u64,
}

/// The queue with its figures. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    gate: Gate,
    faders: Faders,
    hold: Mutex<Option<Hold>>,
    clock: Clock,
    arrived: Notify,
    key_wanted: AtomicBool,
    bytes: AtomicU64,
    frames: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queue: SendQueue,
    /// The capture clock's time of the stream's zero, once there is a stream.
    origin: Option<MediaTime>,
    /// Presses of "leave", ever.
    presses: u64,
    /// What is on its way over the present connection.
    transit: Transit,
    /// The picture's bitrate, once there is a stream.
    rate: Option<Rate>,
}

impl State {
    /// A time of the capture clock on the stream's timeline.
    fn on_stream(&self, at: MediaTime) -> MediaTime {
        self.origin.map_or(MediaTime::ZERO, |origin| at.saturating_sub(origin))
    }

    /// Judges the line, while there is one.
    fn judge(&mut self, now: Now) -> Option<u32> {
        let rate = self.rate.as_mut().filter(|_| self.queue.is_open())?;
        let load = Load {
            queued: self.queue.age().to_duration(),
            transit: self.transit.delay(now),
            stalled: self.transit.stalled(now),
            passes: self.transit.passes(now),
            drops: self.queue.drops(),
            without: self.queue.is_away(),
        };
        tracing::trace!(?load, "the line");
        let changed = rate.judge(&load, now);
        if let Some(bits) = changed {
            tracing::info!(bits, ?load, "another bitrate of the picture");
        }
        changed
    }
}

impl Outbox {
    /// A file stands at its beginning from now on until the server takes the stream, or (false) does not any more.
    pub fn hold(&self, until_published: bool) {
        let before = std::mem::replace(&mut *self.inner.hold.lock(), until_published.then(Hold::default));
        // A file that waited for a broadcast that came to nothing plays all the same.
        if let Some(before) = before {
            before.release();
        }
    }

    /// What keeps a file at its beginning; none: it plays.
    #[must_use]
    pub fn held(&self) -> Option<Hold> {
        self.inner.hold.lock().clone()
    }

    /// The server takes the stream: what stood still goes on.
    pub fn published(&self) {
        if let Some(hold) = self.inner.hold.lock().take() {
            hold.release();
        }
    }

    /// What becomes of the sound that is captured for it.
    #[must_use]
    pub fn faders(&self) -> &Faders {
        &self.inner.faders
    }

    /// The gate that everything captured for it passes.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.inner.gate
    }

    /// A stream begins, whose zero is this time of the capture clock, with at most so many bits a second of
    /// picture and so many of sound.
    pub fn begins(&self, origin: MediaTime, video: u32, sound: u32) {
        let mut state = self.inner.state.lock();
        state.origin = Some(origin);
        state.rate = Some(Rate::new(video, sound));
    }

    /// The picture is another one from now on, with at most so many bits a second: those that it may have now.
    pub fn limit(&self, video: u32) -> u32 {
        self.inner.state.lock().rate.as_mut().map_or(video, |rate| rate.limit(video))
    }

    /// The streamer pressed "leave", so long ago: from here on no picture captured after that goes out.
    /// This is all that privacy needs, and it takes effect before anything else is told.
    pub fn press(&self, id: &LeaveId, keep_sound: bool, ago: Duration) -> Pressed {
        let mut state = self.inner.state.lock();
        self.close_gate(&mut state, id, keep_sound, ago);
        state.presses += 1;
        Pressed { number: state.presses, closings: self.inner.gate.closings() }
    }

    /// The streamer left elsewhere, or before this process; see [`Self::press`]. When that was is not known here, so what was
    /// captured in the last moments is taken for later; the server has kept it from viewers. The answer: how often the gate
    /// was closed with that; none if it was closed already.
    pub fn leave(&self, id: &LeaveId, keep_sound: bool) -> Option<u64> {
        let mut state = self.inner.state.lock();
        let away = state.queue.is_away();
        if away {
            state.queue.rename(id);
        } else {
            let long_ago = self.inner.clock.now().saturating_sub(MediaTime::from_duration(PRESS_AGO));
            self.inner.gate.close(long_ago, keep_sound);
            self.close_gate(&mut state, id, keep_sound, Duration::ZERO);
        }
        self.inner.arrived.notify_one();
        (!away).then(|| self.inner.gate.closings())
    }

    fn close_gate(&self, state: &mut State, id: &LeaveId, keep_sound: bool, ago: Duration) {
        // Under the lock: what is taken out later was looked at later.
        let now = self.inner.clock.now();
        let press = now.saturating_sub(MediaTime::from_duration(ago.min(PRESS_AGO)));
        self.inner.gate.close(press, keep_sound);
        let (press, now) = (state.on_stream(press), state.on_stream(now));
        state.queue.leave(id, keep_sound, press.saturating_sub(STEP), press, now);
        self.inner.arrived.notify_one();
    }

    /// The streamer is back, as far as is known of the press `number` and those before it: one that
    /// came later keeps the gate closed.
    pub fn back(&self, number: u64) {
        let mut state = self.inner.state.lock();
        if state.presses != number {
            return;
        }
        let now = self.inner.clock.now();
        let from = state.on_stream(now);
        state.queue.back(from);
        self.inner.gate.open(now);
        drop(state);
        self.inner.arrived.notify_one();
    }

    /// Takes what the encoder made, and says what it is to make.
    pub fn push(&self, item: FeedItem) -> Wanted {
        let mut state = self.inner.state.lock();
        let key = state.queue.push(item);
        // Something comes all the time, while away as well: that is what time is judged by.
        let bitrate = state.judge(clock::now());
        drop(state);
        self.inner.arrived.notify_one();
        Wanted { key: key | self.inner.key_wanted.swap(false, Ordering::Relaxed), bitrate }
    }

    /// A new broadcast begins: figures start from nothing, and the streamer is there.
    pub fn reset(&self) {
        let mut state = self.inner.state.lock();
        state.queue = SendQueue::default();
        (state.origin, state.rate) = (None, None);
        self.inner.gate.open(self.inner.clock.now());
        drop(state);
        self.inner.bytes.store(0, Ordering::Relaxed);
        self.inner.frames.store(0, Ordering::Relaxed);
    }

    /// A connection is made: bytes are counted from its first one.
    pub fn connecting(&self) {
        let mut state = self.inner.state.lock();
        state.transit = Transit::default();
        if let Some(rate) = &mut state.rate {
            rate.reconnected();
        }
    }

    /// A connection stands.
    pub fn open(&self) {
        self.inner.state.lock().queue.open();
        self.inner.key_wanted.store(true, Ordering::Relaxed);
        self.inner.arrived.notify_one();
    }

    /// The connection is gone.
    pub fn close(&self) {
        self.inner.state.lock().queue.close();
    }

    /// The next to be sent. Pictures are held back while the line is full, since here they can still be
    /// dropped; not if it is the `last` that is sent.
    pub fn pop(&self, last: bool) -> Option<FeedItem> {
        let mut state = self.inner.state.lock();
        let held = !last && state.transit.is_full(clock::now());
        state.queue.pop(held)
    }

    /// The system has taken bytes of the connection.
    pub fn wrote(&self, bytes: u64) {
        self.inner.state.lock().transit.wrote(bytes, clock::now());
        self.inner.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The server has said how many bytes of the connection it has read.
    pub fn acknowledged(&self, told: u32) {
        self.inner.state.lock().transit.acknowledged(told, clock::now());
    }

    /// Waits until something may have arrived.
    pub async fn arrived(&self) {
        self.inner.arrived.notified().await;
    }

    /// Counts pictures that went out.
    pub fn count(&self, frames: u64) {
        self.inner.frames.fetch_add(frames, Ordering::Relaxed);
    }

    /// The figures.
    #[must_use]
    pub fn sent(&self) -> Sent {
        let state = self.inner.state.lock();
        Sent {
            bytes: self.inner.bytes.load(Ordering::Relaxed),
            frames: self.inner.frames.load(Ordering::Relaxed),
            dropped: state.queue.dropped(),
            waiting: state.queue.waiting(),
            uplink: state.rate.as_ref().map_or_else(Uplink::default, |rate| rate.report(clock::now())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use mujian_media::frame::{AudioFrame, VideoFrame};
    use mujian_protocol::studio::UplinkWhy;

    fn picture(at: MediaTime) -> FeedItem {
        FeedItem::Video(VideoFrame { dts: at, pts: at, key: true, data: Bytes::from_static(b"v") })
    }

    fn pictures(outbox: &Outbox) -> usize {
        std::iter::from_fn(|| outbox.pop(false)).filter(|i| matches!(i, FeedItem::Video(_))).count()
    }

    #[test]
    fn a_file_that_waited_plays_whatever_becomes_of_the_broadcast() {
        let outbox = Outbox::default();
        let begun = || {
            outbox.hold(true);
            let held = outbox.held().unwrap();
            assert!(!held.is_released());
            held
        };
        let (before, begun_anew) = (begun(), begun());
        assert!(before.is_released() && !begun_anew.is_released());
        outbox.hold(false);
        assert!(begun_anew.is_released() && outbox.held().is_none());
        let published = begun();
        outbox.published();
        assert!(published.is_released() && outbox.held().is_none());
    }

    #[test]
    fn a_press_that_the_return_did_not_know_of_keeps_the_gate_closed() {
        let outbox = Outbox::default();
        outbox.begins(MediaTime::ZERO, 2_500_000, 160_000);
        outbox.open();
        let id = LeaveId::new();
        let first = outbox.press(&id, true, Duration::ZERO);
        let second = outbox.press(&LeaveId::new(), true, Duration::ZERO);
        outbox.back(first.number);
        assert!(!outbox.gate().is_open(), "pressed once more, meanwhile");
        outbox.push(picture(Clock::new().now()));
        assert_eq!(pictures(&outbox), 0);
        outbox.back(second.number);
        assert!(outbox.gate().is_open());
        outbox.push(picture(Clock::new().now()));
        assert_eq!(pictures(&outbox), 1);
    }

    #[test]
    fn a_press_counts_from_when_it_was_made() {
        let outbox = Outbox::default();
        outbox.begins(MediaTime::ZERO, 2_500_000, 160_000);
        outbox.open();
        // The clock may have begun a moment ago.
        while Clock::new().now() < MediaTime::from_millis(200) {
            std::thread::yield_now();
        }
        let now = Clock::new().now();
        let ago = |ms: i64| now.saturating_sub(MediaTime::from_millis(ms));
        for ms in [190, 140, 90, 40, 0] {
            outbox.push(picture(ago(ms)));
        }
        outbox.press(&LeaveId::new(), true, Duration::from_millis(50));
        assert!(pictures(&outbox) <= 3, "what came in the 50 ms between is taken out again");
        assert!(!outbox.gate().passes(ago(0)));
    }

    /// By the clock: pictures that nobody takes age here, and the encoder hears of it.
    #[test]
    fn the_encoder_hears_of_a_line_that_takes_nothing() {
        let outbox = Outbox::default();
        outbox.begins(MediaTime::ZERO, 2_500_000, 160_000);
        outbox.connecting();
        outbox.open();
        outbox.wrote(1000);
        for n in 0..15 {
            outbox.push(picture(MediaTime::from_millis(n * 33)));
        }
        let began = std::time::Instant::now();
        let bits = loop {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing is wanted");
            let sound = AudioFrame { pts: MediaTime::ZERO, data: Bytes::from_static(b"a") };
            if let Some(bits) = outbox.push(FeedItem::Audio(sound)).bitrate {
                break bits;
            }
            outbox.pop(false);
            std::thread::yield_now();
        };
        assert!(bits < 2_500_000);
        let uplink = outbox.sent().uplink;
        assert_eq!((uplink.video_kbps, uplink.why), (bits / 1000, Some(UplinkWhy::Narrow)));
    }
}
