//! Measuring: what `make bench` and `make soak` print, and what some end-to-end tests assert.

pub mod cpu;
pub mod fanout;
pub mod figures;
pub mod glass;
pub mod heard;
pub mod join;
pub mod leave;
pub mod light;
pub mod lipsync;
pub mod table;
pub mod uplink;
pub mod votes;
