//! The broadcaster's session: what is captured goes out, survives a broken connection, and ends properly.

pub mod backoff;
pub mod machine;
pub mod outbox;
pub mod publisher;
pub mod queue;
pub mod rig;
pub mod session;
pub mod target;

pub use session::Studio;
pub use target::Target;
