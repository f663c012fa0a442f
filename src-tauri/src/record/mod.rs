//! Recording on this computer: what is sent, as the encoders made it, in a fragmented MP4 file of the streamer's.
//!
//! It hangs between the encoders and the send queue, so it has what the line drops, and it never holds anybody up: a
//! thread of its own writes. A file is readable up to its last fragment however this program ends. What stands in the
//! way of recording is told; the stream goes on.

mod cutter;
mod names;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use mujian_media::frame::{AudioConfig, FeedItem, VideoConfig};
use mujian_media::time::MediaTime;
use mujian_protocol::studio::StudioSettings;

pub use names::default_folder;
pub use writer::Told;

use self::cutter::Cutter;
use self::writer::Writer;
use crate::capture::Gate;

/// What is to be recorded where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// None: no folder is known.
    pub folder: Option<PathBuf>,
    /// Title of the stream, for the file's name.
    pub title: String,
}

impl Order {
    /// What the streamer chose; none: nothing is recorded.
    #[must_use]
    pub fn of(settings: &StudioSettings) -> Option<Self> {
        let folder = settings.record_folder.as_ref().map(PathBuf::from).or_else(default_folder);
        settings.record.then(|| Self { folder, title: settings.title.clone() })
    }
}

/// Where a recording listens to a stream.
pub struct Tap {
    gate: Gate,
    /// Clock time of the stream's zero.
    origin: MediaTime,
    video: Option<Arc<VideoConfig>>,
    audio: Option<Arc<AudioConfig>>,
    on: Option<(Cutter, Writer)>,
    /// How often the gate had been closed when it was looked at last.
    closings: u64,
}

impl Tap {
    /// At a stream that begins.
    #[must_use]
    pub fn new(gate: &Gate, origin: MediaTime) -> Self {
        Self { gate: gate.clone(), origin, video: None, audio: None, on: None, closings: gate.closings() }
    }

    /// Begins to record, anew if it did; `tell` hears how it goes. A key frame must follow.
    pub fn begin(&mut self, order: Order, tell: impl Fn(Told) + Send + Sync + 'static) {
        self.end();
        let writer = Writer::start(order, tell);
        self.on = Some((Cutter::new(self.video.clone(), self.audio.clone()), writer));
    }

    /// What the encoders made.
    pub fn item(&mut self, item: &FeedItem) {
        match item {
            FeedItem::VideoConfig(config) => self.video = Some(Arc::clone(config)),
            FeedItem::AudioConfig(config) => self.audio = Some(Arc::clone(config)),
            _ => {}
        }
        self.look_at_the_gate();
        let passes = |at: MediaTime| self.gate.passes(self.origin.saturating_add(at).saturating_add(cutter::STEP));
        if matches!(item, FeedItem::Video(frame) if !passes(frame.pts)) {
            return;
        }
        if let Some((cutter, writer)) = &mut self.on {
            let pieces = cutter.item(item);
            if !pieces.into_iter().all(|piece| writer.write(piece)) {
                // Why was told.
                self.on = None;
            }
        }
    }

    /// Whoever left did so up to two seconds ago: what came since is still held back.
    fn look_at_the_gate(&mut self) {
        let closings = self.gate.closings();
        if closings == self.closings {
            return;
        }
        self.closings = closings;
        let Some((cutter, _)) = &mut self.on else { return };
        let origin = self.origin;
        match self.gate.press() {
            (Some(pictures), sound) => {
                cutter.leave(pictures.saturating_sub(origin), sound.map(|at| at.saturating_sub(origin)));
            }
            // Back already: when it was is not known any more.
            (None, _) => cutter.leave(MediaTime::MIN, Some(MediaTime::MIN)),
        }
    }

    /// Ends the recording, if there is one. Its last bytes are written in the background.
    pub fn end(&mut self) {
        self.look_at_the_gate();
        if let Some((cutter, writer)) = self.on.take() {
            let _ = cutter.finish().into_iter().all(|piece| writer.write(piece));
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.end();
    }
}
