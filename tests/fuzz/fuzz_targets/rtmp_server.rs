//! A publisher that says anything: the server's session refuses or survives it within bounded memory.
#![no_main]
#[path = "../checks/rtmp_server.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
