//! What the end-to-end tests and the benches stand on: it starts the real programs (ours, ffmpeg, mpv, Chromium,
//! the app's window), watches them, measures what comes out, and takes them down again.
//!
//! Everything waits on a condition with a deadline ([`wait`]); nothing sleeps and hopes.

pub mod browser;
pub mod chat;
pub mod desk;
pub mod dice;
pub mod ffmpeg;
pub mod flv;
pub mod fmp4;
pub mod hand_out;
pub mod hands;
pub mod hls;
pub mod keyring;
pub mod link;
pub mod live;
pub mod measure;
pub mod namespace;
pub mod picture;
pub mod process;
pub mod screen;
pub mod server;
pub mod sound;
pub mod tone;
pub mod wait;
pub mod webdriver;
