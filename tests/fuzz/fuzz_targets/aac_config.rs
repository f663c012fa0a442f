//! AAC configurations.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mujian_media::fuzzing::aac_config(data));
