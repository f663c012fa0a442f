//! Identifiers. Each is a type of its own, checked when it is parsed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// An identifier was not of its form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}")]
pub struct InvalidId {
    what: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[ts(as = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as it travels.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(s: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(s) { Ok(Self(s.to_owned())) } else { Err(InvalidId { what: $what }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(s: String) -> Result<Self, InvalidId> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn is_slug(s: &str) -> bool {
    (4..=32).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_leave_id(s: &str) -> bool {
    (1..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn is_uuid(s: &str) -> bool {
    uuid::Uuid::try_parse(s).is_ok() && s.len() == 36
}

id! {
    /// A room: 4 to 32 of `a-z`, `0-9` and `-`, so that it reads well in an address.
    RoomId, "room id", is_slug
}
id! {
    /// An account: a UUID.
    AccountId, "account id", is_uuid
}
id! {
    /// One stream of a room, from going live to the end: a UUID.
    StreamId, "stream id", is_uuid
}
id! {
    /// One stay away, chosen by who leaves: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`. Told twice, on
    /// two ways, it is known for the same by this.
    LeaveId, "leave id", is_leave_id
}
id! {
    /// One ballot, and what the streamer owes by it: a UUID.
    BallotId, "ballot id", is_uuid
}

id! {
    /// One further address to which a room is restreamed: a UUID.
    RelayId, "relay id", is_uuid
}

impl RoomId {
    /// A room id from eight random bytes: eight letters and digits that are hard to confuse.
    #[must_use]
    pub fn from_random(bytes: [u8; 8]) -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
        Self(bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect())
    }
}

impl AccountId {
    /// A new identifier, ordered by time.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Default for AccountId {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamId {
    /// A new identifier, ordered by time.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Default for StreamId {
    fn default() -> Self {
        Self::new()
    }
}

impl LeaveId {
    /// A new identifier, for who leaves without choosing one.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// For a stay away that was told without a usable name: one made of a number.
    #[must_use]
    pub fn unnamed(number: u32) -> Self {
        Self(format!("unnamed-{number}"))
    }
}

impl Default for LeaveId {
    fn default() -> Self {
        Self::new()
    }
}

impl BallotId {
    /// A new identifier, ordered by time.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Default for BallotId {
    fn default() -> Self {
        Self::new()
    }
}

impl RelayId {
    /// A new identifier, ordered by time.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Default for RelayId {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leave_ids_are_checked() {
        for good in ["a", "lunch", "A_b-9", &"x".repeat(64), LeaveId::new().as_str(), LeaveId::unnamed(7).as_str()] {
            assert!(good.parse::<LeaveId>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "离开", &"x".repeat(65)] {
            assert!(bad.parse::<LeaveId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn room_ids_are_checked() {
        assert!("demo".parse::<RoomId>().is_ok());
        for bad in ["", "abc", "UPPER", "a/b-c", "../etc", "房间房间", &"a".repeat(33)] {
            assert!(bad.parse::<RoomId>().is_err(), "{bad}");
        }
        let id = RoomId::from_random([0, 1, 31, 32, 255, 7, 8, 9]);
        assert_eq!(id.as_str().parse::<RoomId>(), Ok(id));
    }
}
