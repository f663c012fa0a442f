//! The broadcaster's session: what is captured goes out, survives a broken connection, and ends properly.

pub mod absence;
mod connection;
pub mod machine;
pub mod outbox;
mod pipeline;
pub mod publisher;
pub mod queue;
pub mod rig;
pub mod session;
mod settings;
pub mod target;
pub mod transit;
pub mod uplink;

pub use pipeline::{devices, encoders, rig, rig_with};
pub use session::{Start, Studio};
pub use target::{Keys, Target};
