//! What Mujian's programs say to each other: ids, times, room messages, errors.
//!
//! JSON in `snake_case`. The interface's TypeScript types are generated from these
//! (`make generate`, into `ui/src/lib/generated`), so a message is written down once.
#![forbid(unsafe_code)]

pub mod api;
pub mod app;
pub mod audit;
pub mod ballot;
pub mod error;
pub mod export;
pub mod hall;
pub mod ids;
pub mod placeholder;
pub mod problem;
pub mod relay;
pub mod replay;
pub mod room;
pub mod studio;
pub mod time;
pub mod typescript;

pub use error::{ApiError, ErrorCode};
pub use ids::{AccountId, BallotId, LeaveId, RelayId, RoomId, StreamId};
pub use problem::{EncoderFault, Field, Part, Problem};
pub use time::WallTime;
