//! The form of a slate on disk and between processes: a head, then the pictures, each behind its
//! length. Read as hostile: sizes are bounded, nothing is trusted.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mujian_media::avc;
use mujian_media::time::MediaTime;

use super::{SlateFrame, SlateLoop};

const MAGIC: &[u8; 8] = b"MJSLATE1";
/// Most bytes of a slate.
pub const SLATE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most pictures of a slate.
const FRAMES_MAX: u32 = 3600;
/// Rates that are believed.
const FPS_MAX: u32 = 240;

/// Bytes that are no slate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no slate: {0}")]
pub struct BadSlate(&'static str);

impl BadSlate {
    pub(super) fn new(why: &'static str) -> Self {
        Self(why)
    }
}

/// The bytes of a slate of `fps` pictures a second.
#[must_use]
pub fn write(slate: &SlateLoop, fps: u32) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(MAGIC);
    out.put_u32(fps);
    out.put_u32(slate.config.avcc.len() as u32);
    out.put_slice(&slate.config.avcc);
    out.put_u32(slate.frames.len() as u32);
    for frame in &slate.frames {
        out.put_u32(frame.data.len() as u32);
        out.put_u8(u8::from(frame.key));
        out.put_slice(&frame.data);
    }
    out.freeze()
}

/// A slate from its bytes, which it shares.
///
/// # Errors
/// [`BadSlate`]: they are cut off, too large, or do not begin with a key frame.
pub fn read(mut bytes: Bytes) -> Result<SlateLoop, BadSlate> {
    const CUT: BadSlate = BadSlate("it is cut off");
    if bytes.len() > SLATE_BYTES_MAX {
        return Err(BadSlate("it is too large"));
    }
    if bytes.len() < MAGIC.len() || &bytes.split_to(MAGIC.len())[..] != MAGIC {
        return Err(BadSlate("it begins with something else"));
    }
    let number = |bytes: &mut Bytes| bytes.try_get_u32().map_err(|_| CUT);
    let piece = |bytes: &mut Bytes, len: u32| {
        if bytes.len() < len as usize { Err(CUT) } else { Ok(bytes.split_to(len as usize)) }
    };
    let fps = number(&mut bytes)?;
    if !(1..=FPS_MAX).contains(&fps) {
        return Err(BadSlate("its rate is out of range"));
    }
    let len = number(&mut bytes)?;
    let avcc = Bytes::copy_from_slice(&piece(&mut bytes, len)?);
    let config = avc::parse_avcc(avcc).map_err(|_| BadSlate("its configuration is damaged"))?;
    let count = number(&mut bytes)?;
    if !(1..=FRAMES_MAX).contains(&count) {
        return Err(BadSlate("its number of pictures is out of range"));
    }
    let mut frames = Vec::new();
    for _ in 0..count {
        let len = number(&mut bytes)?;
        let key = bytes.try_get_u8().map_err(|_| CUT)? == 1;
        frames.push(SlateFrame { key, data: piece(&mut bytes, len)? });
    }
    if !frames[0].key {
        return Err(BadSlate("it does not begin with a key frame"));
    }
    Ok(SlateLoop { config: Arc::new(config), frame_duration: MediaTime::from_scale(1, fps), frames, tape: None })
}

#[cfg(test)]
use super::format;

#[cfg(test)]
#[allow(unreachable_pub, reason = "shared with the fuzz target")]
#[path = "../../../tests/fuzz/checks/slate.rs"]
mod check;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_reads_back_as_it_was_written() {
        for bytes in super::super::BUILT_IN {
            let slate = read(Bytes::from_static(bytes)).unwrap();
            let fps = u32::try_from(MediaTime::PER_SECOND / slate.frame_duration.flicks()).unwrap();
            assert_eq!(write(&slate, fps), *bytes);
            for cut in (0..bytes.len()).step_by(97) {
                assert!(read(Bytes::from_static(&bytes[..cut])).is_err(), "{cut}");
            }
        }
    }

    /// What fuzzing kept runs through the same checks as under the fuzzer.
    #[test]
    fn the_kept_corpus_passes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/slate");
        let (mut all, mut taken) = (0, 0);
        for entry in std::fs::read_dir(folder).unwrap() {
            let data = std::fs::read(entry.unwrap().path()).unwrap();
            check::check(&data);
            all += 1;
            taken += usize::from(read(data.into()).is_ok());
        }
        assert!(all >= 8 && taken >= 2, "{taken} of {all} are slates");
    }

    #[test]
    fn lies_are_refused() {
        let good = super::super::BUILT_IN[0];
        for (at, value) in [(0, 0), (8, 255), (12, 255), (16, 9)] {
            let mut bytes = good.to_vec();
            bytes[at] = value;
            assert!(read(bytes.into()).is_err(), "{at}");
        }
    }
}
