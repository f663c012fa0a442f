//! End-to-end tests: real programs on both sides, one at a time.
#![allow(clippy::unwrap_used, missing_docs)]

mod accessible;
mod account;
mod app;
mod away;
mod backup;
mod cli;
mod corpus;
mod evening;
mod hall;
mod harness;
mod hls;
mod hostile;
mod killed;
mod leave;
mod loss;
mod measure;
mod owner;
mod placeholders;
mod publish;
mod refusals;
mod replay;
mod roads;
mod unattended;
mod watching;
mod web;
