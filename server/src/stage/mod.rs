//! The stage: one task per room decides what its viewers see, second by second.
//!
//! ```text
//! feed ─► delay line ─► switcher ─► timeline ─► programme ─► readers
//!                          ▲
//!        slates ───────────┘
//! ```
//!
//! Everything but [`task`] is a state machine without input, output or clock. [`StageHandle`] is how
//! the rest of the server talks to a room's stage; [`Programme`] is what comes out of it.

mod delay;
mod engine;
mod gate;
mod grid;
mod handle;
mod pace;
mod pack;
pub mod programme;
#[cfg(test)]
mod properties;
mod session;
mod switcher;
mod task;
mod timeline;
mod video;

pub use handle::{
    Feed, FeedClosed, Leave, PublishRefused, Publisher, PublisherInfo, StageConfig, StageGone, StageHandle,
    StageStatus, Told,
};
pub use programme::{Chunk, ChunkConfig, Programme, ReadItem, Reader};
pub use task::spawn;
