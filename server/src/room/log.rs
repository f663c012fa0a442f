//! Where a room's sequence of events stands, and what somebody who comes is told of it.

use std::collections::VecDeque;
use std::sync::Arc;

use mujian_protocol::AccountId;
use mujian_protocol::room::{EventId, RoomEvent, RoomEventBody};

/// Events that somebody new is shown.
pub(super) const SNAPSHOT: usize = 50;
/// Events kept in memory: most who come back missed fewer.
pub(super) const TAIL: usize = 256;
/// Most events that somebody who comes back is told one by one; who missed more gets a snapshot.
pub(super) const MISSED: u64 = 500;

/// What somebody who comes is told first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Catchup {
    /// Just what was missed.
    Exact(Vec<Arc<RoomEvent>>),
    /// What was missed is on the disk: after `after`, up to `upto`.
    Load {
        /// The last that the client has.
        after: EventId,
        /// The last that there was when it came.
        upto: EventId,
    },
    /// The last few. What the client has from before stands beside a hole.
    Snapshot(Vec<Arc<RoomEvent>>),
}

/// The end of a room's sequence.
#[derive(Debug)]
pub(super) struct Log {
    last: EventId,
    /// Without holes, ends with `last`.
    tail: VecDeque<Arc<RoomEvent>>,
}

impl Log {
    /// A log that stands at `last`; `tail` are the events before and with it, oldest first.
    pub(super) fn new(last: EventId, tail: Vec<RoomEvent>) -> Self {
        Self { last, tail: tail.into_iter().map(Arc::new).collect() }
    }

    pub(super) fn last(&self) -> EventId {
        self.last
    }

    /// Takes an event that was numbered. None if it was taken before.
    pub(super) fn append(&mut self, event: RoomEvent) -> Option<Arc<RoomEvent>> {
        if event.id <= self.last {
            return None;
        }
        self.last = event.id;
        let event = Arc::new(event);
        self.tail.push_back(Arc::clone(&event));
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
        Some(event)
    }

    /// Takes an author's name out of what is kept.
    pub(super) fn forget(&mut self, account: &AccountId) {
        for event in &mut self.tail {
            if matches!(&event.body, RoomEventBody::Danmaku(d) if d.author.id == *account) {
                let mut nameless = event.as_ref().clone();
                if let RoomEventBody::Danmaku(danmaku) = &mut nameless.body {
                    danmaku.author.name.clear();
                }
                *event = Arc::new(nameless);
            }
        }
    }

    /// What somebody is told who has everything up to `after`, or nothing.
    pub(super) fn join(&self, after: Option<EventId>) -> Catchup {
        let Some(after) = after else { return self.snapshot() };
        if after == self.last {
            return Catchup::Exact(Vec::new());
        }
        // From another epoch, or from a future that this server never had: a restored backup.
        if after.epoch != self.last.epoch || after > self.last {
            return self.snapshot();
        }
        let missed = self.last.number - after.number;
        let in_memory = self.tail.iter().rev().take_while(|e| e.id > after).count();
        match usize::try_from(missed) {
            Ok(missed) if missed == in_memory => {
                Catchup::Exact(self.tail.iter().skip(self.tail.len() - missed).cloned().collect())
            }
            _ if missed <= MISSED => Catchup::Load { after, upto: self.last },
            _ => self.snapshot(),
        }
    }

    fn snapshot(&self) -> Catchup {
        Catchup::Snapshot(self.tail.iter().skip(self.tail.len().saturating_sub(SNAPSHOT)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use mujian_protocol::WallTime;
    use mujian_protocol::room::{RoomEventBody, Stage};
    use proptest::prelude::*;

    use super::*;

    fn event(number: u64) -> RoomEvent {
        RoomEvent {
            id: EventId { epoch: 1, number },
            at: WallTime(0),
            body: RoomEventBody::StageChanged { stage: Stage::Live, away: None },
        }
    }

    #[test]
    fn an_event_is_taken_once() {
        let mut log = Log::new(EventId { epoch: 1, number: 0 }, Vec::new());
        assert!(log.append(event(1)).is_some());
        assert!(log.append(event(1)).is_none());
        assert_eq!(log.last().number, 1);
    }

    #[test]
    fn strange_places_get_a_snapshot() {
        let mut log = Log::new(EventId { epoch: 2, number: 0 }, Vec::new());
        let mut new = event(1);
        new.id.epoch = 2;
        log.append(new);
        for (epoch, number) in [(2, 9), (9, 1), (1, 1), (u64::MAX, u64::MAX), (0, 0)] {
            assert!(matches!(log.join(Some(EventId { epoch, number })), Catchup::Snapshot(_)), "{epoch} {number}");
        }
    }

    /// One step in the life of a room and of one client in it.
    #[derive(Clone, Debug)]
    enum Step {
        Events(u16),
        Leave,
        Come,
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0u16..20).prop_map(Step::Events),
            1 => (200u16..700).prop_map(Step::Events),
            2 => Just(Step::Leave),
            3 => Just(Step::Come),
            1 => Just(Step::Restart),
        ]
    }

    proptest! {
        /// Whatever happens, a client never has an event twice or out of order, and there is a hole
        /// in what it has only where it was told so.
        #[test]
        fn nothing_lost_and_nothing_twice(steps in prop::collection::vec(step(), 1..60)) {
            let mut disk: Vec<RoomEvent> = Vec::new();
            let mut log = Log::new(EventId { epoch: 1, number: 0 }, Vec::new());
            let mut here = false;
            let mut has: Vec<u64> = Vec::new();
            for step in steps {
                match step {
                    Step::Events(n) => for _ in 0..n {
                        let new = event(disk.len() as u64 + 1);
                        disk.push(new.clone());
                        let sent = log.append(new);
                        prop_assert!(sent.is_some());
                        if let (true, Some(sent)) = (here, sent) { has.push(sent.id.number); }
                    },
                    Step::Leave => here = false,
                    Step::Restart => {
                        here = false;
                        let tail = disk.iter().skip(disk.len().saturating_sub(SNAPSHOT)).cloned().collect();
                        log = Log::new(EventId { epoch: 1, number: disk.len() as u64 }, tail);
                    }
                    Step::Come => if !here {
                        here = true;
                        let after = has.last().map(|number| EventId { epoch: 1, number: *number });
                        match log.join(after) {
                            Catchup::Exact(missed) => has.extend(missed.iter().map(|e| e.id.number)),
                            Catchup::Load { after, upto } => {
                                has.extend(disk.iter().map(|e| e.id).filter(|id| *id > after && *id <= upto).map(|id| id.number));
                            }
                            Catchup::Snapshot(last) => {
                                prop_assert!(last.len() == SNAPSHOT.min(disk.len()));
                                has = last.iter().map(|e| e.id.number).collect();
                            }
                        }
                        prop_assert_eq!(has.last().copied().unwrap_or(0), disk.len() as u64);
                    }
                }
                prop_assert!(has.windows(2).all(|w| w[1] == w[0] + 1), "{:?}", has);
                prop_assert!(log.tail.len() <= TAIL);
            }
        }
    }
}
