//! A request to stop that a thread can wait on.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// See the module. Copies are the same one.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Asks to stop.
    pub fn stop(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    /// It was asked.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.0.lock()
    }

    /// Somebody else has it, who may be asked to stop.
    pub(super) fn is_held_elsewhere(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Waits until a moment, or until it is asked. `true`: it was asked.
    #[must_use]
    pub fn wait_until(&self, moment: Instant) -> bool {
        let mut stopped = self.0.0.lock();
        while !*stopped {
            if self.0.1.wait_until(&mut stopped, moment).timed_out() {
                break;
            }
        }
        *stopped
    }
}
