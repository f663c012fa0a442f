//! Ingest: publishers come over RTMP, are let in, and feed their room's stage.
//!
//! The protocol is a state machine of `mujian-media`; what is here is its socket, its timers, its
//! limits, and [`Burst`](burst), which throws away what is too old to be shown live.
//!
//! **Who may take over.** A second publisher with the right key is let in by the stage when the
//! first has been silent for 3 s, when the owner admitted it, or when it is the same program
//! reconnecting. The same program is known by the id that it sends itself, and by nothing else:
//! OBS and ffmpeg send none, and taking the name and the address for one would let two of them
//! behind one router evict each other for ever. A reconnecting OBS does not need it: its old
//! connection is closed, or silent, by the time of its next attempt.

mod access;
mod burst;
mod keyframes;
mod listener;
mod publisher;

pub use access::{Admission, Denied, Publishers};
pub use listener::{Ingest, IngestConfig};
