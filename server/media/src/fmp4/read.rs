//! Reading back what [`super::Part`] wrote.
//!
//! A recording is our own, but it lies on a disk: every length is checked, and what does not fit is an error.

use super::{AUDIO_TRACK, VIDEO_TRACK};

/// Samples of one `moof` at most; a part has a second's worth.
const SAMPLES_MAX: u32 = 100_000;

/// The bytes are not what a part begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// More bytes are needed to tell.
    #[error("the part is cut off")]
    Short,
    /// It is something else.
    #[error("this is not a part of a recording")]
    NotAPart,
}

/// A picture's place and times, in units of the video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoPlace {
    /// Its first byte, from the beginning of the part.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u32,
    /// When it is decoded.
    pub dts: u64,
    /// Until the next one is decoded.
    pub duration: u32,
    /// How much later it is shown.
    pub composition: i32,
    /// Decoding can start here.
    pub key: bool,
}

/// A sound frame's place; frames follow each other 1024 samples apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioPlace {
    /// Its first byte, from the beginning of the part.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u32,
}

/// What a part holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The pictures.
    pub video: Vec<VideoPlace>,
    /// When the first sound frame is heard, in samples.
    pub audio_at: u64,
    /// The sound.
    pub audio: Vec<AudioPlace>,
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(ReadError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, ReadError> {
        let head = self.take(4)?;
        Ok(head.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }

    fn u64(&mut self) -> Result<u64, ReadError> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    /// The next box: its kind, its length with its head, and its content.
    fn next(&mut self) -> Result<([u8; 4], usize, Bytes<'a>), ReadError> {
        let size = self.u32()? as usize;
        let kind = self.take(4)?.try_into().map_err(|_| ReadError::Short)?;
        let body = self.take(size.checked_sub(8).ok_or(ReadError::NotAPart)?)?;
        Ok((kind, size, Bytes(body)))
    }
}

/// Where the samples of a part are. `head` holds the part up to the end of its `moof` at least.
///
/// # Errors
/// The `moof` is not there as a whole, or it is not one of ours.
pub fn places(head: &[u8]) -> Result<Places, ReadError> {
    let mut bytes = Bytes(head);
    let mut before = 0;
    loop {
        // Only boxes that may stand before the `moof` are passed over.
        match bytes.next()? {
            (kind, size, _) if kind == *b"prft" => before += size,
            (kind, _, body) if kind == *b"moof" => return moof(body, before as u64),
            _ => return Err(ReadError::NotAPart),
        }
    }
}

fn moof(mut moof: Bytes<'_>, start: u64) -> Result<Places, ReadError> {
    let mut places = Places::default();
    while !moof.0.is_empty() {
        let (kind, _, body) = moof.next()?;
        if kind == *b"traf" {
            traf(body, start, &mut places)?;
        }
    }
    Ok(places)
}

fn traf(mut traf: Bytes<'_>, start: u64, places: &mut Places) -> Result<(), ReadError> {
    const SYNC_IS_NOT: u32 = 0x0001_0000;
    let (mut track, mut at) = (0, 0);
    while !traf.0.is_empty() {
        let (kind, _, mut body) = traf.next()?;
        match &kind {
            b"tfhd" => {
                body.u32()?;
                track = body.u32()?;
            }
            b"tfdt" => {
                body.u32()?;
                at = body.u64()?;
            }
            b"trun" => {
                body.u32()?;
                let count = body.u32()?;
                let mut offset = start + u64::from(body.u32()?);
                if count > SAMPLES_MAX {
                    return Err(ReadError::NotAPart);
                }
                match track {
                    VIDEO_TRACK => {
                        for _ in 0..count {
                            let (duration, size, flags) = (body.u32()?, body.u32()?, body.u32()?);
                            let composition = body.u32()? as i32;
                            let key = flags & SYNC_IS_NOT == 0;
                            places.video.push(VideoPlace { offset, size, dts: at, duration, composition, key });
                            offset += u64::from(size);
                            at += u64::from(duration);
                        }
                    }
                    AUDIO_TRACK => {
                        places.audio_at = at;
                        for _ in 0..count {
                            let size = body.u32()?;
                            places.audio.push(AudioPlace { offset, size });
                            offset += u64::from(size);
                        }
                    }
                    _ => return Err(ReadError::NotAPart),
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::fmp4::{Part, VideoSample};
    use crate::frame::{AudioFrame, VideoFrame};
    use crate::time::MediaTime;

    fn part() -> (Bytes, Vec<VideoFrame>, Vec<AudioFrame>) {
        let step = MediaTime::from_scale(1, 30);
        let video: Vec<_> = (0..6)
            .map(|i| VideoFrame {
                dts: step.times(10 + i),
                pts: step.times(12 + i),
                key: i == 0,
                data: vec![i as u8; 10 + i as usize].into(),
            })
            .collect();
        let audio: Vec<_> = (0..9)
            .map(|i| AudioFrame {
                pts: MediaTime::from_scale(1024 * (16 + i), 48_000),
                data: vec![100 + i as u8; 7].into(),
            })
            .collect();
        let samples: Vec<_> = video.iter().map(|frame| VideoSample { frame, duration: step }).collect();
        let wall = Some(std::time::Duration::from_secs(5));
        let bytes = Part { sequence: 3, wall, video: &samples, audio: &audio, sample_rate: 48_000 }.write();
        (bytes, video, audio)
    }

    #[test]
    fn what_is_written_is_found_again() {
        let (bytes, video, audio) = part();
        let found = places(&bytes).unwrap();
        assert_eq!(found.audio_at, 16 * 1024);
        assert_eq!((found.video.len(), found.audio.len()), (6, 9));
        for (frame, place) in video.iter().zip(&found.video) {
            assert_eq!((place.dts, place.composition, place.key), (frame.dts.to_scale(90_000) as u64, 6000, frame.key));
            assert_eq!(place.duration, 3000);
            assert_eq!(bytes[place.offset as usize..][..place.size as usize], frame.data);
        }
        for (frame, place) in audio.iter().zip(&found.audio) {
            assert_eq!(bytes[place.offset as usize..][..place.size as usize], frame.data);
        }
    }

    #[test]
    fn cut_or_broken_bytes_are_errors() {
        let (bytes, ..) = part();
        let whole = places(&bytes).unwrap();
        for end in 0..bytes.len() {
            match places(&bytes[..end]) {
                Ok(found) => assert_eq!(found, whole, "{end}"),
                Err(error) => assert_eq!(error, ReadError::Short, "{end}"),
            }
        }
        for at in 0..400.min(bytes.len()) {
            let mut broken = bytes.to_vec();
            broken[at] ^= 0xff;
            // Whatever it gives, it gives it without a fault.
            let _ = places(&broken);
        }
    }
}
