//! Placeholders: what viewers see while the streamer is away, and how one is chosen.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::api::Person;
use crate::error::ApiError;
use crate::ids::RoomId;
use crate::time::WallTime;

/// Largest file of a placeholder, in bytes.
pub const PLACEHOLDER_BYTES_MAX: usize = 200 * 1024 * 1024;
/// Longest placeholder, in seconds.
pub const PLACEHOLDER_SECONDS_MAX: usize = 600;
/// Most placeholders on a room's shelf.
pub const PLACEHOLDERS_MAX: usize = 64;
/// Longest name of one, in characters.
pub const PLACEHOLDER_NAME_MAX: usize = 40;
/// Most keywords of one.
pub const KEYWORDS_MAX: usize = 12;
/// Longest keyword, in characters.
pub const KEYWORD_MAX: usize = 24;
/// Longest words on one, in characters.
pub const PLACEHOLDER_TEXT_MAX: usize = 120;
/// Longest key of one, in bytes.
pub const PLACEHOLDER_KEY_MAX: usize = 64;

/// What a placeholder shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlaceholderKind {
    /// Words on a curtain.
    Text,
    /// A picture that stands still.
    Picture,
    /// A picture that moves.
    Animation,
    /// Sound under a curtain.
    Audio,
    /// A video.
    Video,
}

/// Why a placeholder is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No picture, sound or video that is known.
    Unknown,
    /// The file is another thing than it says.
    Lies,
    /// The picture is too large.
    TooManyPixels,
    /// The animation has too many pictures.
    TooManyPictures,
    /// Longer than ten minutes.
    TooLong,
    /// It cannot be read, or ends in the middle.
    Damaged,
    /// An SVG with scripts or references to other files.
    Unsafe,
    /// The server has no font for these words.
    NoFont,
    /// It took more memory or time than one may.
    TooCostly,
    /// The word list refused its words.
    Words,
    /// A moderator refused it.
    Moderator,
    /// The server makes no placeholders.
    NoWorkshop,
}

/// Whether a placeholder can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PlaceholderState {
    /// It is being read and made ready.
    Checking,
    /// It waits for a moderator.
    Waiting,
    /// It can be shown.
    Ready,
    /// It is not shown.
    Refused {
        /// Why, for programs.
        code: RefusalCode,
        /// Why, for a person.
        message: String,
        /// The moderator's own words, if there are any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        words: Option<String>,
    },
}

/// A placeholder on a room's shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct PlaceholderView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub keywords: Vec<String>,
    /// The words on it; may be empty.
    pub text: String,
    /// What it shows.
    pub kind: PlaceholderKind,
    /// Whether it has sound.
    pub sound: bool,
    /// Bytes of its files.
    #[ts(type = "number")]
    pub bytes: u64,
    /// What it is made of, `FILE+SOUND~WORDS`: SHA-256 of its file and of its added sound, in hexadecimal, and a
    /// sign of its words once they were changed. How a client knows its own, and what a verdict is about.
    pub digest: String,
    /// How long it is, once that is known.
    pub duration_ms: Option<u32>,
    /// Whether it can be shown.
    pub state: PlaceholderState,
    /// Its words were changed: until the new ones can be shown, viewers see it as it was before.
    #[serde(default)]
    pub stands: bool,
    /// When it was put there.
    pub created_at: WallTime,
    /// When its name, keywords, words or sound last changed.
    #[serde(default = "long_ago")]
    pub changed_at: WallTime,
    /// The uploading program's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub key: Option<String>,
    /// How the shelf on the streamer's computer and the server's agree about it; only the app says this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub mirror: Option<Mirror>,
}

const fn long_ago() -> WallTime {
    WallTime(0)
}

/// How the shelf on the streamer's computer and the server's agree about a placeholder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Mirror {
    /// The server has it as it is here.
    Mirrored,
    /// It is on its way, or waits until the server can be reached.
    Waiting {
        /// What it waits for, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        error: Option<ApiError>,
    },
    /// It cannot be brought there as it is.
    Refused {
        /// Why.
        error: ApiError,
    },
    /// The server has it and gives its file to nobody: this computer has none.
    OnlyServer,
}

/// A placeholder that was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RemovedView {
    /// Its id.
    pub id: String,
    /// The uploading program's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub key: Option<String>,
    /// When.
    pub at: WallTime,
}

/// A placeholder that the system brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct BuiltInView {
    /// Its id, the same in every room.
    pub id: String,
    /// The words on it in Chinese.
    pub zh: String,
    /// The words on it in English.
    pub en: String,
}

/// How the placeholder was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceReason {
    /// The streamer picked it.
    Picked,
    /// It is the only one on the shelf.
    Only,
    /// It fits the room best.
    Matched,
    /// None fits well enough: the default.
    NoneFits,
    /// The shelf is empty: the default.
    Empty,
    /// The one that was picked cannot be shown: the default.
    NotShown,
}

/// How well a placeholder fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct RankedView {
    /// Which.
    pub id: String,
    /// How well it fits, 0 to 1.
    pub score: f32,
    /// The words that speak for it, the strongest first.
    pub words: Vec<String>,
}

/// Which placeholder is shown, or would be, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct ChoiceView {
    /// Which.
    pub id: String,
    /// How it came to be chosen.
    pub reason: ChoiceReason,
    /// The words that speak for it.
    pub words: Vec<String>,
    /// From which score on one fits.
    pub threshold: f32,
    /// All, the best first.
    pub ranking: Vec<RankedView>,
    /// Why the one that was picked is not shown.
    pub why_not: Option<String>,
}

/// A room's placeholders, for its owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct ShelfView {
    /// The streamer's own, in order.
    pub placeholders: Vec<PlaceholderView>,
    /// Those that the system brings.
    pub built_in: Vec<BuiltInView>,
    /// The one picked for the next time, if one is.
    pub next: Option<String>,
    /// What is shown now, or would be if the streamer left now.
    pub choice: ChoiceView,
    /// When they were last put in another order.
    #[serde(default = "long_ago")]
    pub ordered_at: WallTime,
    /// Those that were deleted last, so that a copy of the shelf does not bring them back.
    #[serde(default)]
    pub removed: Vec<RemovedView>,
}

/// `PATCH /rooms/ID/placeholders/PLACEHOLDER`: what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
#[ts(optional_fields)]
pub struct PlaceholderPatch {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new keywords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keywords: Option<Vec<String>>,
    /// The new words on it: it is made and judged again, and shown as it was until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its new place, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
}

/// `POST /rooms/ID/away`: which placeholder is shown; the present time away, or the next.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
#[ts(optional_fields)]
pub struct AwayRequest {
    /// One of the shelf's or the system's; none: by rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder_id: Option<String>,
}

/// A placeholder that waits for a moderator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReviewItem {
    /// In which room.
    pub room: RoomId,
    /// Whose.
    pub owner: Person,
    /// What.
    pub placeholder: PlaceholderView,
}

/// `POST /review/placeholders/PLACEHOLDER/verdict`.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
#[ts(optional_fields)]
pub struct VerdictRequest {
    /// Whether it may be shown.
    pub allow: bool,
    /// The digest of what was looked at: what changed since then is not judged by this.
    pub digest: String,
    /// Why not, for the streamer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `PUT /accounts/ID/trust`, by the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct TrustRequest {
    /// What the account uploads is shown without a moderator's word.
    pub trusted: bool,
}
