//! AMF0: any bytes are read or refused, and what is read survives a round trip.
#![no_main]
#[path = "../checks/amf0.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
