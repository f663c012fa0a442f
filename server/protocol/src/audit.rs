//! What moderators and operators did: the server's audit log, for its operator.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::api::{Person, Role};
use crate::ids::RoomId;
use crate::time::WallTime;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum AuditAction {
    /// With the set-up code an account became the operator.
    BecameOperator,
    /// An account was made while registration was closed.
    AccountMade,
    /// What an account may do was changed.
    RoleChanged {
        /// What it might do before.
        from: Role,
        /// What it may do from then on.
        to: Role,
    },
    /// Whether an account's uploads are shown without a moderator's word was changed.
    TrustChanged {
        /// They are.
        trusted: bool,
    },
    /// A code was made that sets an account's password.
    RecoveryMade,
    /// A placeholder was allowed.
    PlaceholderAllowed {
        /// Its name.
        name: String,
    },
    /// A placeholder was refused.
    PlaceholderRefused {
        /// Its name.
        name: String,
        /// The moderator's words; may be empty.
        reason: String,
    },
    /// All of the server's data was backed up.
    BackedUp,
    /// All of the server's data was replaced by a backup.
    Restored {
        /// When the backup was made.
        made_at: WallTime,
    },
    /// A call was made on somebody else's room, whether or not it was carried out.
    RoomCalled {
        /// Method and path, as the description of the calls has them: `POST /rooms/{room}/end`.
        call: String,
    },
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AuditEntry {
    /// Entries are numbered from 1, without holes.
    #[ts(type = "number")]
    pub number: u64,
    /// When.
    pub at: WallTime,
    /// Who, by their name now; none: somebody at the server's own terminal.
    pub by: Option<Person>,
    /// What.
    pub action: AuditAction,
    /// To whom, or whose the thing was.
    pub account: Option<Person>,
    /// In which room.
    pub room: Option<RoomId>,
}

/// `GET /audit`: entries, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AuditPage {
    /// At most 100.
    pub entries: Vec<AuditEntry>,
    /// There are older ones: ask with `before` and the last number.
    pub more: bool,
}
