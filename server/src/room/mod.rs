//! What people in a room share: danmaku, presence, what is shown. One WebSocket a person.
//!
//! [`log`] and [`presence`] decide, without input, output or clock; [`Hub`] is the task that owns
//! them for one room; [`socket`] speaks with one person.

mod danmaku;
mod hub;
mod log;
mod poll;
mod presence;
pub(crate) mod socket;

pub(crate) use hub::TAIL;
pub use hub::{Hub, HubGone, Joined, Outgoing, Past, RoomStatus};
pub use log::Catchup;
pub(crate) use poll::OWED;
pub use presence::{Member, Presence};
