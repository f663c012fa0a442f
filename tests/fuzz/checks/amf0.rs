//! AMF0: any bytes are read or refused, and what is read survives a round trip.

use mujian_media::amf;

pub fn check(data: &[u8]) {
    let (kept, error) = amf::decode_lenient(data);
    match amf::decode_all(data) {
        Ok(values) => {
            assert!(error.is_none());
            // Compared as text, where not-a-number equals itself.
            let again = amf::decode_all(&amf::encode_all(&values)).expect("what was written is read");
            assert_eq!(format!("{again:?}"), format!("{values:?}"));
            assert_eq!(format!("{kept:?}"), format!("{values:?}"));
        }
        Err(e) => assert_eq!(error, Some(e)),
    }
}
