//! What the page has open: rooms, programmes, the preview, the studio's events. A page that is
//! loaded again, or whose process crashed, has nothing open any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use mujian_protocol::{ApiError, ErrorCode};
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::viewer::media::Media;
use crate::viewer::room::Room;

/// Most things of one kind that the page may have open.
const MOST: usize = 16;

/// Things with a number that the page knows.
#[derive(Debug)]
pub(super) struct Table<T> {
    next: AtomicU32,
    open: Mutex<HashMap<u32, T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { next: AtomicU32::new(1), open: Mutex::default() }
    }
}

impl<T> Table<T> {
    pub(super) fn add(&self, make: impl FnOnce() -> T) -> Result<u32, ApiError> {
        let mut open = self.open.lock();
        if open.len() >= MOST {
            return Err(ApiError::new(ErrorCode::RateLimited, "Too much is open at once. Close something first."));
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        open.insert(id, make());
        Ok(id)
    }

    pub(super) fn remove(&self, id: u32) {
        self.open.lock().remove(&id);
    }

    pub(super) fn clear(&self) {
        self.open.lock().clear();
    }

    pub(super) fn with<R>(&self, id: u32, act: impl FnOnce(&T) -> R) -> Option<R> {
        self.open.lock().get(&id).map(act)
    }

    pub(super) fn each(&self, act: impl FnMut(&T)) {
        self.open.lock().values().for_each(act);
    }
}

/// All that the page has open.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    pub(super) rooms: Table<Room>,
    pub(super) media: Table<Media>,
    pub(super) events: Mutex<Option<AbortOnDropHandle<()>>>,
    pub(super) preview: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Pipes {
    /// The page is gone.
    pub(super) fn clear(&self) {
        self.rooms.clear();
        self.media.clear();
        self.events.lock().take();
        self.preview.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_bounded() {
        let table = Table::default();
        let ids: Vec<u32> = (0..MOST).map(|n| table.add(|| n).unwrap()).collect();
        assert!(table.add(|| 0).is_err());
        table.remove(*ids.first().unwrap());
        assert!(table.add(|| 0).is_ok());
        table.clear();
        assert_eq!(table.with(*ids.last().unwrap(), |n| *n), None);
    }
}
