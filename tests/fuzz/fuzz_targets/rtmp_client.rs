//! A server that says anything to our publisher, and the chunk stream by itself: cut anywhere, the messages are the same.
#![no_main]
#[path = "../checks/rtmp_client.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
