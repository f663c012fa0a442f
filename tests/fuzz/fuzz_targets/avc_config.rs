//! H.264 configuration records, parameter sets and access units.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mujian_media::fuzzing::avc_config(data));
