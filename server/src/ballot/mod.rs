//! A ballot: what viewers choose while the streamer is away. Without input, output or clock.
//!
//! An account has one vote, which it may change until the ballot is closed. The option with the most
//! votes wins; of several with as many, the one that had that many first, whatever happened in
//! between. The order is that in which votes count, which is that in which the store keeps them: the
//! same votes in the same order give the same result.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use mujian_protocol::ballot::{BallotOption, BallotResult, BallotSettings, BallotView, Interaction, Owed};
use mujian_protocol::{AccountId, BallotId, WallTime};

/// There is no such option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ballot has no such option")]
pub struct NoSuchOption;

/// How one option stands.
#[derive(Clone, Debug)]
struct Standing {
    interaction: Interaction,
    votes: u32,
    /// For each number of votes that it ever had, from 1 on: which vote of the ballot brought it there first.
    reached: Vec<u64>,
}

/// A ballot that is open.
#[derive(Clone, Debug)]
pub struct Ballot {
    id: BallotId,
    opened_at: WallTime,
    closes_at: Option<WallTime>,
    options: Vec<Standing>,
    votes: HashMap<AccountId, u32>,
    /// Votes that counted, changes included.
    cast: u64,
}

impl Ballot {
    /// What would be voted on in a room with these settings. None: nothing.
    #[must_use]
    pub fn wanted(settings: &BallotSettings, id: BallotId, at: WallTime) -> Option<BallotView> {
        if !settings.enabled || settings.interactions.is_empty() {
            return None;
        }
        let closes_at = (settings.seconds > 0).then(|| WallTime(at.millis() + i64::from(settings.seconds) * 1000));
        let options = settings.interactions.iter();
        let options = options.map(|interaction| BallotOption { interaction: interaction.clone(), votes: 0 }).collect();
        Some(BallotView { id, opened_at: at, closes_at, options })
    }

    /// A ballot on what `view` says, without a vote yet.
    #[must_use]
    pub fn open(view: BallotView) -> Self {
        let standing =
            |option: BallotOption| Standing { interaction: option.interaction, votes: 0, reached: Vec::new() };
        Self {
            id: view.id,
            opened_at: view.opened_at,
            closes_at: view.closes_at,
            options: view.options.into_iter().map(standing).collect(),
            votes: HashMap::new(),
            cast: 0,
        }
    }

    /// Which it is.
    #[must_use]
    pub fn id(&self) -> &BallotId {
        &self.id
    }

    /// When it closes by itself.
    #[must_use]
    pub fn closes_at(&self) -> Option<WallTime> {
        self.closes_at
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: WallTime) -> bool {
        self.closes_at.is_some_and(|at| at <= now)
    }

    /// Whether it has an option.
    #[must_use]
    pub fn has(&self, option: u32) -> bool {
        (option as usize) < self.options.len()
    }

    /// Counts a vote. False: the account votes for this already.
    ///
    /// # Errors
    /// There is no such option.
    pub fn cast(&mut self, voter: &AccountId, option: u32) -> Result<bool, NoSuchOption> {
        if !self.has(option) {
            return Err(NoSuchOption);
        }
        let before = self.votes.insert(voter.clone(), option);
        if before == Some(option) {
            return Ok(false);
        }
        if let Some(before) = before.and_then(|b| self.options.get_mut(b as usize)) {
            before.votes -= 1;
        }
        self.cast += 1;
        if let Some(now) = self.options.get_mut(option as usize) {
            now.votes += 1;
            if now.reached.len() < now.votes as usize {
                now.reached.push(self.cast);
            }
        }
        Ok(true)
    }

    /// What an account votes for.
    #[must_use]
    pub fn vote_of(&self, voter: &AccountId) -> Option<u32> {
        self.votes.get(voter).copied()
    }

    /// Votes for each option.
    #[must_use]
    pub fn tally(&self) -> Vec<u32> {
        self.options.iter().map(|o| o.votes).collect()
    }

    /// As everybody sees it.
    #[must_use]
    pub fn view(&self) -> BallotView {
        BallotView {
            id: self.id.clone(),
            opened_at: self.opened_at,
            closes_at: self.closes_at,
            options: self.counted(),
        }
    }

    /// What came out, if it is closed now.
    #[must_use]
    pub fn result(&self) -> BallotResult {
        let most = self.options.iter().map(|o| o.votes).max().unwrap_or(0);
        let mut leaders: Vec<(u64, u32)> = (0u32..)
            .zip(&self.options)
            .filter(|(_, o)| most > 0 && o.votes == most)
            .map(|(n, o)| (o.reached.get(most as usize - 1).copied().unwrap_or(u64::MAX), n))
            .collect();
        leaders.sort_unstable();
        BallotResult {
            id: self.id.clone(),
            options: self.counted(),
            winner: leaders.first().map(|(_, option)| *option),
            tie: leaders.len() > 1,
        }
    }

    fn counted(&self) -> Vec<BallotOption> {
        let option = |o: &Standing| BallotOption { interaction: o.interaction.clone(), votes: o.votes };
        self.options.iter().map(option).collect()
    }
}

/// What is owed by a result, from `since` on. None: nobody voted.
#[must_use]
pub fn owed(result: &BallotResult, since: WallTime) -> Option<Owed> {
    let won = result.options.get(result.winner? as usize)?;
    Some(Owed { id: result.id.clone(), interaction: won.interaction.clone(), votes: won.votes, tie: result.tie, since })
}
