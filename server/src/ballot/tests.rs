//! The ballot against a count by hand.

#![allow(clippy::unwrap_used)]

use mujian_protocol::ballot::BuiltInInteraction;
use proptest::prelude::*;

use super::*;

fn settings(options: usize) -> BallotSettings {
    let own = |n| Interaction::Own { text: format!("{n}") };
    BallotSettings { enabled: true, seconds: 60, interactions: (0..options).map(own).collect() }
}

fn ballot(options: usize) -> Ballot {
    Ballot::open(Ballot::wanted(&settings(options), BallotId::new(), WallTime(1000)).unwrap())
}

#[test]
fn a_room_may_want_none() {
    let id = BallotId::new;
    assert_eq!(Ballot::wanted(&BallotSettings { enabled: false, ..settings(2) }, id(), WallTime(0)), None);
    assert_eq!(Ballot::wanted(&settings(0), id(), WallTime(0)), None);
    let as_it_comes = Ballot::wanted(&BallotSettings::default(), id(), WallTime(5)).unwrap();
    assert_eq!(as_it_comes.options.len(), BuiltInInteraction::ALL.len());
    assert_eq!(as_it_comes.closes_at, None);
}

#[test]
fn its_time_is_over_when_it_was_said_to_be() {
    let ballot = ballot(2);
    assert!(!ballot.is_over(WallTime(60_999)));
    assert!(ballot.is_over(WallTime(61_000)));
}

#[test]
fn nobody_votes_and_nothing_is_owed() {
    let result = ballot(3).result();
    assert_eq!((result.winner, result.tie), (None, false));
    assert_eq!(owed(&result, WallTime(9)), None);
}

#[test]
fn of_equals_the_first_to_have_that_many_wins_and_it_is_told() {
    let voters: Vec<AccountId> = (0..5).map(|_| AccountId::new()).collect();
    let mut ballot = ballot(3);
    for (voter, option) in [(0, 2), (1, 0), (2, 0), (3, 2)] {
        assert_eq!(ballot.cast(&voters[voter], option), Ok(true));
    }
    let result = ballot.result();
    assert_eq!((result.winner, result.tie), (Some(0), true), "0 had two votes before 2 had");
    // A third for 2, who then goes to 1: two each again, and 0 was there first still.
    ballot.cast(&voters[4], 2).unwrap();
    assert_eq!((ballot.result().winner, ballot.result().tie), (Some(2), false));
    ballot.cast(&voters[4], 1).unwrap();
    let result = ballot.result();
    assert_eq!((result.winner, result.tie), (Some(0), true));
    let owed = owed(&result, WallTime(9)).unwrap();
    assert_eq!((owed.votes, owed.tie, owed.since), (2, true, WallTime(9)));
    assert_eq!(owed.interaction, Interaction::Own { text: "0".into() });
}

#[test]
fn what_is_not_offered_is_refused() {
    let mut ballot = ballot(2);
    let voter = AccountId::new();
    assert_eq!(ballot.cast(&voter, 2), Err(NoSuchOption));
    assert_eq!(ballot.cast(&voter, u32::MAX), Err(NoSuchOption));
    assert_eq!((ballot.vote_of(&voter), ballot.tally()), (None, vec![0, 0]));
}

proptest! {
    /// However often who votes for what, in whatever order, repeated or not, and started again from
    /// what the store keeps at any moment: the count is that by hand.
    #[test]
    fn every_account_counts_once(
        votes in prop::collection::vec((0usize..12, 0u32..4, 1usize..3), 0..120),
        restart in 0usize..120,
    ) {
        let voters: Vec<AccountId> = (0..12).map(|_| AccountId::new()).collect();
        let mut ballot = ballot(4);
        let view = ballot.view();
        let mut kept: Vec<(AccountId, u32)> = Vec::new();
        let mut standing: HashMap<usize, u32> = HashMap::new();
        // By hand: all counts after each vote that changed something.
        let mut history: Vec<[u32; 4]> = vec![[0; 4]];
        for (step, (voter, option, times)) in votes.into_iter().enumerate() {
            for _ in 0..times {
                let changes = standing.insert(voter, option) != Some(option);
                prop_assert_eq!(ballot.cast(&voters[voter], option), Ok(changes));
                if changes {
                    kept.push((voters[voter].clone(), option));
                    let mut counts = [0; 4];
                    standing.values().for_each(|o| counts[*o as usize] += 1);
                    history.push(counts);
                }
            }
            if step == restart {
                ballot = Ballot::open(view.clone());
                for (voter, option) in &kept {
                    ballot.cast(voter, *option).unwrap();
                }
            }
        }
        let counts = history[history.len() - 1];
        prop_assert_eq!(ballot.tally(), counts.to_vec());
        prop_assert_eq!(counts.iter().sum::<u32>() as usize, standing.len());
        for (voter, option) in &standing {
            prop_assert_eq!(ballot.vote_of(&voters[*voter]), Some(*option));
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        let leaders: Vec<usize> = (0..4).filter(|o| most > 0 && counts[*o] == most).collect();
        // The first moment in history at which each leader had that many.
        let first = leaders.iter().min_by_key(|o| history.iter().position(|c| c[**o] >= most)).copied();
        let result = ballot.result();
        prop_assert_eq!(result.winner, first.map(|o| o as u32));
        prop_assert_eq!(result.tie, leaders.len() > 1);
        prop_assert_eq!(owed(&result, WallTime(0)).map(|o| o.votes), first.map(|_| most));
    }
}
