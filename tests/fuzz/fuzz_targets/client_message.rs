//! A message from a room's client: any bytes are taken or refused, never a panic, and what is taken survives a round trip.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mujian_protocol::room::ClientMessage;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = serde_json::from_slice::<ClientMessage>(data) {
        let text = serde_json::to_vec(&message).expect("a message that was read can be written");
        assert_eq!(serde_json::from_slice::<ClientMessage>(&text).ok(), Some(message));
    }
});
