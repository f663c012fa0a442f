//! Whose placeholder is made next. One worker at a time, since no placeholder is worth the live path's processor;
//! accounts take turns, and of an account's own the small ones come first. One that takes long makes room for a
//! second worker, so that nobody's file keeps everybody waiting; but an account has one worker at most.

use std::sync::Arc;
use std::time::Duration;

use mujian_protocol::AccountId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// One that has been made for so long is slow.
pub(super) const SLOW: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    owner: AccountId,
    bytes: u64,
}

/// Who waits and who works, without a clock.
#[derive(Debug, Default)]
struct Line {
    tickets: u64,
    waiting: Vec<Waiting>,
    /// The one place.
    working: Option<(u64, AccountId)>,
    /// It has worked for long.
    is_slow: bool,
    /// The place beside it, for one that is slow.
    slow: Option<(u64, AccountId)>,
    /// Who was served, the last one last.
    served: Vec<AccountId>,
}

impl Line {
    fn ask(&mut self, owner: AccountId, bytes: u64) -> u64 {
        self.tickets += 1;
        self.waiting.push(Waiting { ticket: self.tickets, owner, bytes });
        self.tickets
    }

    /// Whose turn it is, if there is a place.
    fn next(&self) -> Option<&Waiting> {
        if self.working.is_some() {
            return None;
        }
        let busy = |owner: &AccountId| self.slow.as_ref().is_some_and(|(_, slow)| slow == owner);
        let last = |owner: &AccountId| self.served.iter().position(|o| o == owner).map_or(0, |at| at + 1);
        let first = |owner: &AccountId| {
            self.waiting.iter().filter(|w| w.owner == *owner).map(|w| w.ticket).min().unwrap_or(u64::MAX)
        };
        let mine = self.waiting.iter().filter(|w| !busy(&w.owner));
        // Whoever was served longest ago; of those who never were, whoever asked first; then the smallest.
        mine.min_by_key(|w| (last(&w.owner), first(&w.owner), w.bytes, w.ticket))
    }

    fn begin(&mut self, ticket: u64) -> bool {
        if self.next().is_none_or(|w| w.ticket != ticket) {
            return false;
        }
        if let Some(at) = self.waiting.iter().position(|w| w.ticket == ticket) {
            let owner = self.waiting.remove(at).owner;
            self.served.retain(|o| *o != owner);
            // Who does not wait any more has forgotten when it was served.
            let waits = |o: &AccountId| self.waiting.iter().any(|w| w.owner == *o);
            self.served.retain(waits);
            self.served.push(owner.clone());
            self.working = Some((ticket, owner));
            self.is_slow = false;
        }
        true
    }

    fn slowed(&mut self, ticket: u64) {
        self.is_slow |= self.working.as_ref().is_some_and(|(t, _)| *t == ticket);
        self.step_aside();
    }

    fn step_aside(&mut self) {
        if self.is_slow && self.slow.is_none() {
            self.slow = self.working.take();
            self.is_slow = false;
        }
    }

    /// It is made, or nobody wants it any more.
    fn over(&mut self, ticket: u64) {
        self.waiting.retain(|w| w.ticket != ticket);
        for place in [&mut self.working, &mut self.slow] {
            if place.as_ref().is_some_and(|(t, _)| *t == ticket) {
                *place = None;
            }
        }
        self.step_aside();
    }
}

/// See the top of the file.
#[derive(Debug, Default)]
pub(super) struct Turns {
    line: Mutex<Line>,
    moved: Notify,
}

impl Turns {
    /// Waits for this owner's turn with a file of so many bytes.
    pub(super) async fn enter(self: &Arc<Self>, owner: &AccountId, bytes: u64) -> Turn {
        let ticket = self.line.lock().ask(owner.clone(), bytes);
        let turn = Turn { turns: Arc::clone(self), ticket };
        loop {
            let moved = self.moved.notified();
            if self.line.lock().begin(ticket) {
                return turn;
            }
            moved.await;
        }
    }
}

/// The right to run a worker, or to wait for it; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    ticket: u64,
}

impl Turn {
    /// It takes long: others may begin beside it.
    pub(super) fn slowed(&self) {
        self.turns.line.lock().slowed(self.ticket);
        self.turns.moved.notify_waiters();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.line.lock().over(self.ticket);
        self.turns.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(line: &mut Line) -> Option<u64> {
        let ticket = line.next()?.ticket;
        assert!(line.begin(ticket));
        Some(ticket)
    }

    #[test]
    fn accounts_take_turns_and_small_ones_come_first() {
        let (a, b, c) = (AccountId::new(), AccountId::new(), AccountId::new());
        let mut line = Line::default();
        let huge: Vec<u64> = (0..3).map(|_| line.ask(a.clone(), 200)).collect();
        assert_eq!(next(&mut line), Some(huge[0]));
        assert_eq!(next(&mut line), None, "one at a time");
        let small = line.ask(a.clone(), 1);
        let of_b = line.ask(b.clone(), 300);
        let of_c = line.ask(c.clone(), 5);
        let mut order = Vec::new();
        let mut now = huge[0];
        for _ in 0..5 {
            line.over(now);
            now = next(&mut line).unwrap();
            order.push(now);
        }
        assert_eq!(order, [of_b, of_c, small, huge[1], huge[2]]);
        line.over(now);
        assert_eq!(next(&mut line), None);
    }

    #[test]
    fn one_that_takes_long_steps_aside_once_and_its_owner_waits() {
        let (hostile, other, third) = (AccountId::new(), AccountId::new(), AccountId::new());
        let mut line = Line::default();
        let (endless, again) = (line.ask(hostile.clone(), 1), line.ask(hostile.clone(), 9));
        assert_eq!(next(&mut line), Some(endless));
        line.slowed(again);
        let of_other = line.ask(other, 50);
        assert_eq!(next(&mut line), None, "it is not slow yet");
        line.slowed(endless);
        assert_eq!(next(&mut line), Some(of_other));
        line.over(of_other);
        assert_eq!(next(&mut line), None, "an account has one worker");
        let of_third = line.ask(third, 7);
        assert_eq!(next(&mut line), Some(of_third));
        line.slowed(of_third);
        assert_eq!(next(&mut line), None, "two at most");
        line.over(endless);
        // The slow one moves over, and the place is free.
        assert_eq!(next(&mut line), Some(again));
        line.over(of_third);
        line.over(again);
        assert!(line.next().is_none() && line.slow.is_none() && line.working.is_none());
    }

    #[tokio::test]
    async fn whoever_gives_up_gives_the_turn_back() {
        let turns = Arc::new(Turns::default());
        let (a, b) = (AccountId::new(), AccountId::new());
        let held = turns.enter(&a, 1).await;
        let waiting = tokio::spawn({
            let (turns, b) = (Arc::clone(&turns), b.clone());
            async move { turns.enter(&b, 1).await }
        });
        let given_up = tokio::spawn({
            let (turns, a) = (Arc::clone(&turns), a.clone());
            async move { turns.enter(&a, 1).await }
        });
        while turns.line.lock().waiting.len() < 2 {
            tokio::task::yield_now().await;
        }
        given_up.abort();
        assert!(given_up.await.is_err());
        assert_eq!(turns.line.lock().waiting.len(), 1);
        held.slowed();
        drop(waiting.await.unwrap());
        drop(held);
        drop(turns.enter(&b, 1).await);
    }
}
