//! The delay line: what a publisher sent waits here for a set time, so that a moderator sees it first.
//!
//! Bounded by bytes. Items leave in order of arrival. Marks (a publisher came, was lost, is back)
//! travel through it with the frames; they weigh nothing and are never refused.

use std::collections::VecDeque;
use std::time::Duration;

use mujian_media::time::Now;

/// A queue whose items become due a set time after they came in.
#[derive(Debug)]
pub(super) struct DelayLine<T> {
    delay: Duration,
    max_bytes: usize,
    bytes: usize,
    items: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    due: Now,
    bytes: usize,
    item: T,
}

impl<T> DelayLine<T> {
    /// An empty line. `max_bytes` bounds the weight of what waits.
    pub(super) fn new(delay: Duration, max_bytes: usize) -> Self {
        Self { delay, max_bytes, bytes: 0, items: VecDeque::new() }
    }

    /// How long an item waits.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    /// Puts an item of this weight in. Gives it back if the line is full.
    pub(super) fn push(&mut self, item: T, bytes: usize, now: Now) -> Result<(), T> {
        if bytes > 0 && self.bytes + bytes > self.max_bytes {
            return Err(item);
        }
        self.bytes += bytes;
        self.items.push_back(Waiting { due: now.plus(self.delay), bytes, item });
        Ok(())
    }

    /// Takes the oldest item out, if it is due and wanted.
    pub(super) fn pop_if(&mut self, now: Now, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let first = self.items.front()?;
        if first.due > now || !wanted(&first.item) {
            return None;
        }
        let first = self.items.pop_front()?;
        self.bytes -= first.bytes;
        Some(first.item)
    }

    /// What is due, oldest first, without taking it.
    pub(super) fn due(&self, now: Now) -> impl DoubleEndedIterator<Item = &T> {
        let due = self.items.partition_point(|w| w.due <= now);
        self.items.range(..due).map(|w| &w.item)
    }

    /// When the oldest item is due.
    pub(super) fn next_due(&self) -> Option<Now> {
        self.items.front().map(|w| w.due)
    }

    /// Throws away what does not pass.
    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.items.retain(|w| keep(&w.item));
        self.bytes = self.items.iter().map(|w| w.bytes).sum();
    }

    /// Whether anything waits that passes.
    pub(super) fn any(&self, wanted: impl Fn(&T) -> bool) -> bool {
        self.items.iter().any(|w| wanted(&w.item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn items_wait_their_time_and_leave_in_order() {
        let mut line = DelayLine::new(Duration::from_secs(2), 100);
        line.push('a', 1, at(0)).unwrap();
        line.push('b', 1, at(500)).unwrap();
        assert_eq!(line.pop_if(at(1999), |_| true), None);
        assert_eq!(line.pop_if(at(2000), |_| true), Some('a'));
        assert_eq!(line.pop_if(at(2000), |_| true), None);
        assert_eq!(line.next_due(), Some(at(2500)));
        assert_eq!(line.due(at(2500)).copied().collect::<Vec<_>>(), ['b']);
    }

    #[test]
    fn it_is_bounded_by_bytes_and_never_refuses_a_mark() {
        let mut line = DelayLine::new(Duration::ZERO, 10);
        line.push("ten", 10, at(0)).unwrap();
        assert_eq!(line.push("one more", 1, at(0)), Err("one more"));
        line.push("mark", 0, at(0)).unwrap();
        line.retain(|i| *i == "mark");
        line.push("fits again", 10, at(0)).unwrap();
        assert_eq!(line.pop_if(at(0), |_| true), Some("mark"));
    }
}
