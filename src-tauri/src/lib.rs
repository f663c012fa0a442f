//! The Mujian app: the studio, the room client, the hosted server, and their window and command line.
//!
//! Arrows point down: `shell` and `cli` use `app`, `studio`, `viewer` and `host`; those use `capture`,
//! `encode`, `record`, `cache` and `api`. Only `shell` names Tauri.
#![forbid(unsafe_code)]

pub mod api;
pub mod app;
pub mod cache;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod encode;
pub mod exit;
pub mod home;
pub mod host;
pub mod instance;
pub mod keychain;
pub mod login;
pub mod notices;
pub mod own_room;
pub mod paths;
pub mod problem;
pub mod record;
pub mod shelf;
pub mod shell;
pub mod signal;
pub mod studio;
pub mod telling;
pub mod unattended;
pub mod viewer;
pub mod worker;
