//! Slice headers, and the pictures made to fill a hole after them.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mujian_media::fuzzing::skip_picture(data));
