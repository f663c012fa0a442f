//! Ballots: while the streamer is away, viewers vote what is owed for it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::ids::BallotId;
use crate::time::WallTime;

/// Most interactions that a room offers.
pub const INTERACTIONS_MAX: usize = 12;
/// Longest interaction in the streamer's own words, in characters.
pub const INTERACTION_MAX: usize = 40;
/// Longest time that a ballot stays open, in seconds.
pub const BALLOT_SECONDS_MAX: u32 = 3600;

/// Interactions that every room has; the interface has their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuiltInInteraction {
    /// Sing a song.
    Sing,
    /// Tell a joke.
    Joke,
    /// Give a red packet.
    RedPacket,
    /// Dance.
    Dance,
    /// Tell a fact about oneself.
    Fact,
}

impl BuiltInInteraction {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 5] = [Self::Sing, Self::Joke, Self::RedPacket, Self::Dance, Self::Fact];
}

/// What a streamer can owe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Interaction {
    /// One that every room has.
    BuiltIn {
        /// Which.
        key: BuiltInInteraction,
    },
    /// One in the streamer's own words.
    Own {
        /// 1 to [`INTERACTION_MAX`] characters.
        text: String,
    },
}

/// What a room's viewers can vote for, and when: `GET /rooms/ID/interactions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct BallotSettings {
    /// A ballot opens whenever the streamer leaves.
    pub enabled: bool,
    /// It closes after so many seconds, to [`BALLOT_SECONDS_MAX`]; 0: when the streamer is back.
    pub seconds: u32,
    /// What is offered, at most [`INTERACTIONS_MAX`].
    pub interactions: Vec<Interaction>,
}

impl Default for BallotSettings {
    fn default() -> Self {
        let interactions = BuiltInInteraction::ALL.map(|key| Interaction::BuiltIn { key }).to_vec();
        Self { enabled: true, seconds: 0, interactions }
    }
}

/// `PATCH /rooms/ID/interactions`: what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[ts(optional_fields)]
pub struct BallotSettingsPatch {
    /// See [`BallotSettings::enabled`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// See [`BallotSettings::seconds`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// The whole list, as it is from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interactions: Option<Vec<Interaction>>,
}

/// One thing that can be voted for, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct BallotOption {
    /// What.
    pub interaction: Interaction,
    /// Votes for it.
    pub votes: u32,
}

/// A ballot that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct BallotView {
    /// Its id.
    pub id: BallotId,
    /// When it was opened.
    pub opened_at: WallTime,
    /// When it closes, unless the streamer is back before; none: when the streamer is back.
    pub closes_at: Option<WallTime>,
    /// What can be voted for. An option is named by its place here, from 0.
    pub options: Vec<BallotOption>,
}

/// What came out of a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct BallotResult {
    /// Of which.
    pub id: BallotId,
    /// The options with their votes.
    pub options: Vec<BallotOption>,
    /// The option that won; none if nobody voted.
    pub winner: Option<u32>,
    /// Others had as many votes; the winner reached that number first.
    pub tie: bool,
}

/// What the streamer owes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Owed {
    /// The ballot that it comes from; names it for `POST /rooms/ID/owed/OWED/done`.
    pub id: BallotId,
    /// What.
    pub interaction: Interaction,
    /// Votes for it.
    pub votes: u32,
    /// Others had as many; this reached the number first.
    pub tie: bool,
    /// Since when it is owed.
    pub since: WallTime,
}

/// `POST /rooms/ID/ballot/vote`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct VoteRequest {
    /// In which ballot.
    pub ballot: BallotId,
    /// For which of its options, counted from 0.
    pub option: u32,
}

/// `GET /rooms/ID/ballot`: what is voted on, and what is owed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct BallotState {
    /// The ballot that is open.
    pub ballot: Option<BallotView>,
    /// What is owed and not done yet, oldest first.
    pub owed: Vec<Owed>,
}
