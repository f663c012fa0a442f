//! Restreaming: further addresses to which the server publishes what a room sends out.

use std::fmt;

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::ids::RelayId;
use crate::time::WallTime;

/// Most further addresses of one room.
pub const RELAYS_MAX: usize = 8;
/// Longest name, in characters.
pub const RELAY_NAME_MAX: usize = 40;
/// Longest address, in bytes.
pub const RELAY_URL_MAX: usize = 500;
/// Longest stream key, in bytes.
pub const RELAY_KEY_MAX: usize = 500;

const fn yes() -> bool {
    true
}

/// `POST /rooms/ID/relays`: another address.
#[derive(Clone, Deserialize, TS, ToSchema)]
pub struct NewRelay {
    /// What its owner calls it: 1 to 40 characters.
    pub name: String,
    /// `rtmp://` or `rtmps://`, host and application, as the platform tells them.
    pub url: String,
    /// The stream key that the platform gave: 1 to 500 visible ASCII characters. It is not told again.
    pub key: String,
    /// Whether it is published to while the room is on air.
    #[serde(default = "yes")]
    #[ts(as = "Option<bool>", optional)]
    pub on: bool,
}

/// `PATCH /rooms/ID/relays/RELAY`: what is left out stays.
#[derive(Clone, Default, Deserialize, TS, ToSchema)]
pub struct RelayPatch {
    /// Another name.
    #[serde(default)]
    #[ts(optional)]
    pub name: Option<String>,
    /// Another address. The key must come with it: a key is sent only where it was given for.
    #[serde(default)]
    #[ts(optional)]
    pub url: Option<String>,
    /// Another stream key.
    #[serde(default)]
    #[ts(optional)]
    pub key: Option<String>,
    /// On or off. On, where it was on: try again now.
    #[serde(default)]
    #[ts(optional)]
    pub on: Option<bool>,
}

impl fmt::Debug for NewRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRelay").field("name", &self.name).field("on", &self.on).finish_non_exhaustive()
    }
}

impl fmt::Debug for RelayPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayPatch").field("name", &self.name).field("on", &self.on).finish_non_exhaustive()
    }
}

/// A further address, as its room's owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RelayView {
    /// Its id.
    pub id: RelayId,
    /// What its owner calls it.
    pub name: String,
    /// The address, without the key.
    pub url: String,
    /// The key's last characters, to know it by; empty where the key is short.
    pub key_end: String,
    /// Whether it is published to while the room is on air.
    pub on: bool,
    /// How it stands.
    pub state: RelayState,
    /// Since when.
    pub since: WallTime,
}

/// How a further address stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RelayState {
    /// It is switched off.
    Off,
    /// It is on, and the room is not on air.
    Idle,
    /// The server connects.
    Connecting,
    /// What the room sends out goes there.
    Live,
    /// It failed, and is tried again by itself.
    Waiting {
        /// Why.
        error: ApiError,
        /// When.
        until: WallTime,
    },
    /// It was refused. It is tried again with the next stream, or when its owner changes it or switches it on again.
    Refused {
        /// Why.
        error: ApiError,
    },
}
