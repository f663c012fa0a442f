//! The broadcaster's session: what is captured goes out, survives a broken connection, and ends properly.

pub mod backoff;
pub mod machine;
pub mod queue;
