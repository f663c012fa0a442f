//! An FLV stream: the same items whatever the pieces it arrives in, and never a picture before its configuration.
#![no_main]
#[path = "../checks/flv.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
