//! End-to-end tests: real programs on both sides, one at a time.
#![allow(clippy::unwrap_used, missing_docs)]

mod corpus;
mod harness;
mod measure;
mod refusals;
