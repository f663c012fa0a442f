//! The room client: the room's socket and the programme's bytes, each trying again by itself.

pub mod link;
pub mod media;
pub mod room;
pub mod socket;
