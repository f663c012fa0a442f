//! The form of slates on disk and between processes.
#![no_main]
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mujian_media::frame::VideoConfig;
use mujian_media::time::MediaTime;

// The parser alone, without the server around it: these are all that it takes from there.
#[derive(Clone, Debug)]
pub struct SlateFrame {
    pub key: bool,
    pub data: Bytes,
}

#[derive(Clone, Debug)]
pub struct SlateLoop {
    pub config: Arc<VideoConfig>,
    pub frame_duration: MediaTime,
    pub frames: Vec<SlateFrame>,
    pub tape: Option<()>,
}

#[path = "../checks/slate.rs"]
mod check;
#[path = "../../../server/src/slate/format.rs"]
mod format;

fuzz_target!(|data: &[u8]| check::check(data));
