//! The server that the app hosts: a process of its own, which outlives a crashed window by the grace
//! time and is found again.

pub mod client;
pub mod control;
pub mod info;
pub mod lease;
pub mod process;
pub mod share;
