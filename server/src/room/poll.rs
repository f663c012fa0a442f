//! A room's ballots as its hub holds them: what is open, which votes wait for the store, what is owed.
//! Without input, output or clock.

use std::collections::VecDeque;

use mujian_protocol::ballot::{BallotSettings, BallotState, Owed};
use mujian_protocol::room::{Away, RoomEventBody, ServerMessage};
use mujian_protocol::{AccountId, ApiError, BallotId, ErrorCode, Problem, WallTime};
use tokio::sync::mpsc;

use crate::ballot::{self, Ballot};
use crate::store::BallotRow;

/// Votes that may wait for the store.
const WAITING: usize = 8192;
/// Most votes in one write.
const BATCH: usize = 512;
/// Things owed that are remembered; the oldest are forgotten, in memory and when the room is loaded.
pub(crate) const OWED: u32 = 20;

/// A vote as it comes in.
#[derive(Clone, Debug)]
pub(super) struct Vote {
    pub(super) voter: AccountId,
    pub(super) client_ref: String,
    pub(super) ballot: BallotId,
    pub(super) option: u32,
    pub(super) reply: mpsc::Sender<ServerMessage>,
}

impl Vote {
    pub(super) fn refuse(self, error: ApiError) {
        let _ = self.reply.try_send(ServerMessage::Refused { client_ref: Some(self.client_ref), error });
    }
}

fn same(told: Option<&Away>, now: Option<&Away>) -> bool {
    told.map(|a| &a.leave_id) == now.map(|a| &a.leave_id)
}

/// The ballots of one room.
pub(super) struct Poll {
    pub(super) settings: BallotSettings,
    open: Option<Ballot>,
    owed: Vec<Owed>,
    waiting: VecDeque<Vote>,
    /// The streamer is back: what has not come yet comes too late.
    closing: bool,
    told: Vec<u32>,
}

impl Poll {
    pub(super) fn new(settings: BallotSettings, open: Option<BallotRow>, owed: Vec<Owed>) -> Self {
        let open = open.map(|row| {
            let mut ballot = Ballot::open(row.ballot);
            for (voter, option) in &row.votes {
                // What is kept was checked when it came.
                let _ = ballot.cast(voter, *option);
            }
            ballot
        });
        let told = open.as_ref().map(Ballot::tally).unwrap_or_default();
        Self { settings, open, owed, waiting: VecDeque::new(), closing: false, told }
    }

    /// What everybody sees.
    pub(super) fn state(&self) -> BallotState {
        BallotState { ballot: self.open.as_ref().map(Ballot::view), owed: self.owed.clone() }
    }

    /// What an account votes for.
    pub(super) fn vote_of(&self, account: Option<&AccountId>) -> Option<u32> {
        self.open.as_ref()?.vote_of(account?)
    }

    /// Takes a vote, which then waits for the store; or refuses it at once.
    pub(super) fn take(&mut self, vote: Vote, now: WallTime) {
        let refused = match &self.open {
            Some(ballot) if *ballot.id() == vote.ballot && !self.closing && !ballot.is_over(now) => {
                if !ballot.has(vote.option) {
                    Some((ErrorCode::InvalidRequest, "The ballot has no such option."))
                } else if self.waiting.len() >= WAITING {
                    Some((ErrorCode::RateLimited, "Too many vote at this moment. Vote again in a moment."))
                } else {
                    None
                }
            }
            Some(ballot) if *ballot.id() == vote.ballot => Some((ErrorCode::Conflict, "The ballot is closed.")),
            _ => Some((ErrorCode::Conflict, "This ballot is not open. What can be voted on now, the room tells.")),
        };
        match refused {
            Some((code, words)) => {
                let problem = (code == ErrorCode::Conflict).then_some(Problem::BallotClosed);
                vote.refuse(ApiError::new(code, words).about(problem));
            }
            None => self.waiting.push_back(vote),
        }
    }

    /// The room was told of one stay away, and this is true now: whether votes that come from now on count.
    pub(super) fn away(&mut self, told: Option<&Away>, now: Option<&Away>) {
        self.closing = now.is_none() || !same(told, now);
    }

    /// Whether the votes that wait must be written before anything else: the ballot closes next.
    pub(super) fn is_closing(&self, now: WallTime) -> bool {
        self.open.is_some() && (self.closing || self.is_over(now))
    }

    /// Votes for the next write.
    pub(super) fn next_votes(&mut self) -> Option<(BallotId, Vec<Vote>)> {
        let ballot = self.open.as_ref()?.id().clone();
        let count = self.waiting.len().min(BATCH);
        let votes: Vec<Vote> = self.waiting.drain(..count).collect();
        (!votes.is_empty()).then_some((ballot, votes))
    }

    /// Counts votes that are on the disk, in the order in which they are there.
    pub(super) fn count(&mut self, votes: Vec<Vote>) {
        for vote in votes {
            if let Some(open) = self.open.as_mut() {
                // It was checked when it came.
                let _ = open.cast(&vote.voter, vote.option);
            }
            let Vote { client_ref, ballot, option, reply, .. } = vote;
            let _ = reply.try_send(ServerMessage::Voted { client_ref, ballot, option });
        }
    }

    /// When the open ballot closes by itself.
    pub(super) fn closes_at(&self) -> Option<WallTime> {
        self.open.as_ref()?.closes_at()
    }

    /// Whether the open ballot's time is over.
    pub(super) fn is_over(&self, now: WallTime) -> bool {
        self.open.as_ref().is_some_and(|b| b.is_over(now))
    }

    /// The events that close the open ballot, if there is one.
    pub(super) fn closing_events(&self, at: WallTime) -> Vec<RoomEventBody> {
        let Some(open) = &self.open else { return Vec::new() };
        let result = open.result();
        let owed = ballot::owed(&result, at).map(|owed| RoomEventBody::OwedAdded { owed });
        std::iter::once(RoomEventBody::BallotClosed { result }).chain(owed).collect()
    }

    /// The events that follow when the streamer leaves or comes back. `runs`: there is a stream.
    pub(super) fn follow(
        &self,
        told: Option<&Away>,
        now: Option<&Away>,
        runs: bool,
        at: WallTime,
    ) -> Vec<RoomEventBody> {
        if same(told, now) && now.is_some() {
            return Vec::new();
        }
        // Also one that was left open when the server was killed at the return.
        let mut events = self.closing_events(at);
        if now.is_some() && runs {
            let wanted = Ballot::wanted(&self.settings, BallotId::new(), at);
            events.extend(wanted.map(|ballot| RoomEventBody::BallotOpened { ballot }));
        }
        events
    }

    /// An event is on the disk.
    pub(super) fn happened(&mut self, body: &RoomEventBody) {
        match body {
            RoomEventBody::BallotOpened { ballot } => {
                let open = Ballot::open(ballot.clone());
                self.told = open.tally();
                self.open = Some(open);
                self.closing = false;
            }
            RoomEventBody::BallotClosed { .. } => {
                self.open = None;
                self.closing = false;
            }
            RoomEventBody::OwedAdded { owed } => {
                self.owed.push(owed.clone());
                if self.owed.len() > OWED as usize {
                    self.owed.remove(0);
                }
            }
            RoomEventBody::OwedDone { id, .. } => self.owed.retain(|o| o.id != *id),
            _ => {}
        }
    }

    /// The tally, if it is another than was told last.
    pub(super) fn news(&mut self) -> Option<ServerMessage> {
        let open = self.open.as_ref()?;
        let votes = open.tally();
        if votes == self.told {
            return None;
        }
        self.told.clone_from(&votes);
        Some(ServerMessage::Tally { ballot: open.id().clone(), votes })
    }
}
