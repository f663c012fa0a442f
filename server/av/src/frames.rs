//! Frames to draw on that are used again once nobody holds them any more.

use std::sync::Arc;

use ffmpeg_next::frame;

use crate::picture::is_writable;

/// Most that are kept: what waits to be encoded holds some of them.
const MOST: usize = 8;

/// Frames of one shape.
#[derive(Default)]
pub(crate) struct Frames(Vec<Arc<frame::Video>>);

impl Frames {
    /// One that nobody holds, or a new one.
    pub(crate) fn take(&mut self, fresh: impl FnOnce() -> frame::Video) -> Arc<frame::Video> {
        let free = self.0.iter().position(|f| Arc::strong_count(f) == 1 && is_writable(f));
        free.map_or_else(|| Arc::new(fresh()), |at| self.0.swap_remove(at))
    }

    /// It will be free some day.
    pub(crate) fn keep(&mut self, frame: &Arc<frame::Video>) {
        if self.0.len() < MOST {
            self.0.push(Arc::clone(frame));
        }
    }

    /// Another shape is drawn from now on.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
