//! A slate as a worker, or the disk, hands it to the server: whatever the bytes are, it is refused or what it says it is.
//! Whoever includes this file has the parser beside it as `format`.

use bytes::Bytes;
use mujian_media::time::MediaTime;

use super::format::{read, write};

pub fn check(data: &[u8]) {
    let Ok(slate) = read(Bytes::copy_from_slice(data)) else { return };
    assert!(slate.frames.first().is_some_and(|f| f.key), "it begins with a key frame");
    assert!(slate.frames.iter().map(|f| f.data.len()).sum::<usize>() <= data.len(), "nothing is made of nothing");
    // Some rates are no whole number of flicks.
    let long = slate.frame_duration.flicks();
    let fps = u32::try_from((MediaTime::PER_SECOND + long / 2) / long).expect("a rate of its range");
    let again = read(write(&slate, fps)).expect("what was read can be written");
    assert_eq!(again.frame_duration, slate.frame_duration);
    assert_eq!(again.config, slate.config);
    let parts = |frames: &[super::SlateFrame]| frames.iter().map(|f| (f.key, f.data.clone())).collect::<Vec<_>>();
    assert_eq!(parts(&again.frames), parts(&slate.frames));
}
