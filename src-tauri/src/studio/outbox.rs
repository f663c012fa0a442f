//! The send queue, shared between the threads that encode and the task that sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::queue::SendQueue;

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
}

/// The queue with its figures. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: Mutex<SendQueue>,
    arrived: Notify,
    key_wanted: AtomicBool,
    bytes: AtomicU64,
    frames: AtomicU64,
}

impl Outbox {
    /// Takes what the encoder made. True: it is to make a key frame now.
    pub fn push(&self, item: FeedItem) -> bool {
        let wants = self.inner.queue.lock().push(item);
        self.inner.arrived.notify_one();
        wants | self.inner.key_wanted.swap(false, Ordering::Relaxed)
    }

    /// A new broadcast begins: figures start from nothing.
    pub fn reset(&self) {
        *self.inner.queue.lock() = SendQueue::default();
        self.inner.bytes.store(0, Ordering::Relaxed);
        self.inner.frames.store(0, Ordering::Relaxed);
    }

    /// A connection stands.
    pub fn open(&self) {
        self.inner.queue.lock().open();
        self.inner.key_wanted.store(true, Ordering::Relaxed);
        self.inner.arrived.notify_one();
    }

    /// The connection is gone.
    pub fn close(&self) {
        self.inner.queue.lock().close();
    }

    /// The next to be sent.
    pub fn pop(&self) -> Option<FeedItem> {
        self.inner.queue.lock().pop()
    }

    /// Waits until something may have arrived.
    pub async fn arrived(&self) {
        self.inner.arrived.notified().await;
    }

    /// Counts what went out.
    pub fn count(&self, bytes: u64, frames: u64) {
        self.inner.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.inner.frames.fetch_add(frames, Ordering::Relaxed);
    }

    /// The figures.
    #[must_use]
    pub fn sent(&self) -> Sent {
        let queue = self.inner.queue.lock();
        Sent {
            bytes: self.inner.bytes.load(Ordering::Relaxed),
            frames: self.inner.frames.load(Ordering::Relaxed),
            dropped: queue.dropped(),
            waiting: queue.waiting(),
        }
    }
}
