//! What a viewer sends on the WebSocket that carries media.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mujian_media::fuzzing::viewer_frames(data));
