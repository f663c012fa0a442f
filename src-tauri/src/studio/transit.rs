//! What is on its way: bytes that the system has taken and that the server's program has not read yet.
//!
//! RTMP's acknowledgements tell it, on every system and whatever lies between: the kernel's buffer, a router's, a
//! proxy's. What the kernel could tell of its socket (`TCP_INFO`, `SIOCOUTQ`) ends at the first machine that answers
//! for the server, and is not to be had without unsafe code. From a server that acknowledges nothing, only what the
//! system takes is known.

use std::collections::VecDeque;
use std::time::Duration;

use mujian_media::time::Now;

/// Acknowledgements after which they are relied on.
const RELIABLE: u32 = 3;
/// A count that is further behind than this is none of this connection's bytes.
const FAR: u32 = 256 << 20;
/// Writes that came closer together are one.
const GRAIN: Duration = Duration::from_millis(5);
/// Most writes, and most acknowledgements, that are remembered.
const REMEMBERED: usize = 1024;
/// What passes is measured over so long.
const WINDOW: Duration = Duration::from_millis(600);
/// Over less than this nothing can be said.
const SHORT: Duration = Duration::from_millis(150);
/// Nothing came through for so long: what passed before says nothing of what passes then.
const PAUSE: Duration = Duration::from_millis(1000);
/// Of so many acknowledgements the fastest counts: a single late one is the road's jitter.
const FEW: usize = 3;
/// The shortest time that the road takes is looked for in so long, and so long before.
const ROAD: Duration = Duration::from_secs(15);
/// Pictures are held back when bytes are later than this beyond what the road takes.
const LATE: Duration = Duration::from_millis(100);
/// And when more is under way than passes in so long beyond what the road takes,
const AHEAD: Duration = Duration::from_millis(200);
/// or than this where little passes, beside what is acknowledged at once.
const LITTLE: u64 = 16 << 10;
/// But not for longer than this without a word from the server: it may acknowledge in its own way.
const SILENT: Duration = Duration::from_millis(1500);

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Bytes of the connection up to here.
    end: u64,
    at: Now,
}

/// The shortest time lately.
#[derive(Debug, Default)]
struct Least {
    now: Option<Duration>,
    before: Option<Duration>,
    since: Now,
}

impl Least {
    fn note(&mut self, took: Duration, now: Now) {
        if now.since(self.since) > ROAD {
            self.before = self.now.take();
            self.since = now;
        }
        self.now = Some(self.now.map_or(took, |least| least.min(took)));
    }

    fn get(&self) -> Duration {
        self.now.into_iter().chain(self.before).min().unwrap_or_default()
    }
}

/// One connection's bytes on their way. Pure: the time is passed in.
#[derive(Debug, Default)]
pub struct Transit {
    sent: u64,
    /// Writes that the server has not read as a whole.
    written: VecDeque<Mark>,
    read: u64,
    read_at: Now,
    acknowledgements: u32,
    /// The fewest bytes from one acknowledgement to the next: after so many more the next is due.
    step: Option<u64>,
    /// How long it took from writing to hearing that it was read, the last few times.
    took: VecDeque<Duration>,
    road: Least,
    /// What had passed when.
    passed: VecDeque<Mark>,
}

impl Transit {
    /// The system has taken bytes.
    pub fn wrote(&mut self, bytes: u64, now: Now) {
        self.sent += bytes;
        match self.written.back_mut() {
            Some(last) if now.since(last.at) < GRAIN => last.end = self.sent,
            _ => remember(&mut self.written, Mark { end: self.sent, at: now }),
        }
        if self.acknowledgements == 0 {
            self.pass(self.sent, now);
        }
    }

    /// The server has said how many of the connection's bytes it has read, counted round at 2^32.
    pub fn acknowledged(&mut self, told: u32, now: Now) {
        let behind = (self.sent as u32).wrapping_sub(told);
        let Some(read) = self.sent.checked_sub(u64::from(behind)).filter(|_| behind < FAR) else { return };
        if read <= self.read {
            return;
        }
        if self.acknowledgements == 0 {
            // What the system took is not what passed.
            self.passed.clear();
        } else {
            let gap = read - self.read;
            self.step = Some(self.step.map_or(gap, |step| step.min(gap)));
        }
        self.acknowledgements = self.acknowledgements.saturating_add(1);
        if let Some(at) = self.written_at(read) {
            let took = now.since(at);
            self.road.note(took, now);
            if self.took.len() == FEW {
                self.took.pop_front();
            }
            self.took.push_back(took);
        }
        while self.written.front().is_some_and(|piece| piece.end <= read) {
            self.written.pop_front();
        }
        (self.read, self.read_at) = (read, now);
        self.pass(read, now);
    }

    fn pass(&mut self, end: u64, now: Now) {
        if self.passed.back().is_some_and(|last| now.since(last.at) > PAUSE) {
            self.passed.clear();
        }
        remember(&mut self.passed, Mark { end, at: now });
        while self.passed.len() > 2 && self.passed.front().is_some_and(|first| now.since(first.at) > WINDOW) {
            self.passed.pop_front();
        }
    }

    /// When a byte was written.
    fn written_at(&self, byte: u64) -> Option<Now> {
        self.written.iter().find(|piece| piece.end >= byte).map(|piece| piece.at)
    }

    /// When that was written of which the server should be heard next; none: nothing is due.
    fn due(&self) -> Option<Now> {
        self.written_at(self.read + self.step.filter(|_| self.acknowledgements >= RELIABLE)?)
    }

    /// Bits a second that pass; none where that is not known yet. It is what the line carries only while something
    /// waits for it.
    #[must_use]
    pub fn passes(&self, now: Now) -> Option<u32> {
        let (first, last) = (self.passed.front()?, self.passed.back()?);
        let until = if now.since(last.at) > WINDOW { now } else { last.at };
        let took = until.since(first.at);
        if took < SHORT {
            return None;
        }
        Some(((last.end - first.end) as f64 * 8.0 / took.as_secs_f64()).min(f64::from(u32::MAX)) as u32)
    }

    /// How much later bytes come through than the road needs.
    #[must_use]
    pub fn delay(&self, now: Now) -> Duration {
        let waits = self.due().map(|at| now.since(at));
        // What came through long ago says nothing of now.
        let lately = self.acknowledgements >= RELIABLE && now.since(self.read_at) < PAUSE * 2;
        let took = self.took.iter().min().copied().filter(|_| lately);
        waits.into_iter().chain(took).max().unwrap_or_default().saturating_sub(self.road.get())
    }

    /// For how long nothing has come through that was due.
    #[must_use]
    pub fn stalled(&self, now: Now) -> Duration {
        self.due().map_or(Duration::ZERO, |at| now.since(at.max(self.read_at)))
    }

    /// Whether more pictures would only wait outside, where they cannot be dropped any more.
    #[must_use]
    pub fn is_full(&self, now: Now) -> bool {
        let (Some(due), Some(step)) = (self.due(), self.step) else { return false };
        let late = now.since(due) > self.road.get() + LATE;
        let passes = f64::from(self.passes(now).unwrap_or_default()) / 8.0;
        let ahead = (passes * (self.road.get() + AHEAD).as_secs_f64()) as u64;
        let many = self.sent - self.read > step + ahead.max(LITTLE);
        (late || many) && self.stalled(now) < SILENT
    }
}

fn remember(marks: &mut VecDeque<Mark>, mark: Mark) {
    if marks.len() == REMEMBERED {
        marks.pop_front();
    }
    marks.push_back(mark);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    /// 10 kB written every 40 ms, read 30 ms later, acknowledged every 20 kB.
    fn steady(until: u64) -> Transit {
        let mut transit = Transit::default();
        for ms in (0..until).step_by(10) {
            if ms % 40 == 0 {
                transit.wrote(10_000, at(ms));
            }
            if ms % 80 == 70 {
                transit.acknowledged((ms / 80 + 1) as u32 * 20_000, at(ms));
            }
        }
        transit
    }

    #[test]
    fn a_steady_road_is_neither_late_nor_full() {
        let transit = steady(4000);
        assert_eq!((transit.delay(at(4000)), transit.is_full(at(4000))), (Duration::ZERO, false));
        let passes = transit.passes(at(4000)).unwrap();
        assert!((1_900_000..=2_100_000).contains(&passes), "{passes}");
    }

    #[test]
    fn a_road_on_which_nothing_comes_through_is_full_and_not_for_ever() {
        let mut transit = steady(4000);
        for ms in (4000..4400).step_by(40) {
            transit.wrote(10_000, at(ms));
        }
        assert!(transit.is_full(at(4400)), "{transit:?}");
        assert!(transit.delay(at(4400)) > Duration::from_millis(250));
        assert!(transit.stalled(at(5000)) > Duration::from_millis(800));
        assert!(!transit.is_full(at(6000)), "the server may have another way to acknowledge");
        transit.acknowledged(1_010_000, at(6100));
        assert!(transit.is_full(at(6101)), "it has not, and there is still more than enough outside");
        transit.acknowledged(1_100_000, at(6200));
        assert!(!transit.is_full(at(6201)));
    }

    #[test]
    fn a_road_that_became_longer_for_good_is_the_road_after_a_while() {
        let mut transit = Transit::default();
        for ms in (0..60_000u64).step_by(50) {
            transit.wrote(20_000, at(ms));
            let road = if ms < 10_000 { 50 } else { 300 };
            let read = (ms + 50).saturating_sub(road) / 50 * 20_000;
            transit.acknowledged(read as u32, at(ms));
            if ms == 12_000 {
                assert!(transit.delay(at(ms)) >= Duration::from_millis(200));
            }
        }
        assert!(transit.delay(at(60_000)) < Duration::from_millis(60), "{:?}", transit.delay(at(60_000)));
    }

    #[test]
    fn without_acknowledgements_what_the_system_takes_counts() {
        let mut transit = Transit::default();
        for ms in (0..2000).step_by(20) {
            transit.wrote(2500, at(ms));
        }
        let passes = transit.passes(at(2000)).unwrap();
        assert!((950_000..=1_050_000).contains(&passes), "{passes}");
        assert_eq!((transit.delay(at(9000)), transit.is_full(at(9000))), (Duration::ZERO, false));
    }

    #[test]
    fn the_count_goes_round() {
        let mut transit = Transit::default();
        let start = u64::from(u32::MAX) - 50_000;
        transit.wrote(start, at(0));
        transit.acknowledged(start as u32, at(10));
        for n in 1..=10u64 {
            transit.wrote(20_000, at(n * 100));
            transit.acknowledged((start + n * 20_000) as u32, at(n * 100 + 20));
        }
        assert_eq!(transit.read, start + 200_000);
        assert!(transit.delay(at(1100)) <= Duration::from_millis(10));
    }

    proptest! {
        /// Whatever a server says, and when: nothing is believed that was not sent, and memory is bounded.
        #[test]
        fn any_answers_are_survived(steps in prop::collection::vec((any::<bool>(), any::<u32>(), 0u64..3000), 0..400)) {
            let (mut transit, mut ms) = (Transit::default(), 0);
            for (writes, number, later) in steps {
                ms += later;
                if writes { transit.wrote(u64::from(number % 500_000), at(ms)); } else { transit.acknowledged(number, at(ms)); }
                prop_assert!(transit.read <= transit.sent);
                prop_assert!(transit.written.len() <= REMEMBERED && transit.passed.len() <= REMEMBERED);
                let _ = (transit.passes(at(ms)), transit.delay(at(ms)), transit.is_full(at(ms)));
                prop_assert!(!transit.is_full(at(ms + 60_000)), "no silence holds pictures back for good");
            }
        }
    }
}
