//! Many pictures and their sound in one `moof` and `mdat`: a CMAF chunk (ISO/IEC 23000-19, 7.3.3.2).

use std::time::Duration;

use bytes::Bytes;

use super::boxes::Boxes;
use super::fragment::{
    DEFAULT_BASE_IS_MOOF, SAMPLE_DEPENDS, SAMPLE_SYNC, TRUN_COMPOSITION, TRUN_DATA_OFFSET, TRUN_DURATION, TRUN_FLAGS,
    TRUN_SIZE, audio_track, producer_time, track_header, units,
};
use super::{VIDEO_TIMESCALE, VIDEO_TRACK, VideoSample};
use crate::frame::AudioFrame;

/// A stretch of a stream, in decoding order and without holes.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Counts up from 1 along a stream.
    pub sequence: u32,
    /// When the server made its first picture, since 1970 UTC: written as producer reference time.
    pub wall: Option<Duration>,
    /// The pictures. All but the last stand until the next one's time.
    pub video: &'a [VideoSample<'a>],
    /// Sound without holes between the frames. The first one's time counts.
    pub audio: &'a [AudioFrame],
    /// Samples a second of the sound.
    pub sample_rate: u32,
}

impl Part<'_> {
    /// The bytes. Times before zero are written as zero.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let video_size: usize = self.video.iter().map(|v| v.frame.data.len()).sum();
        let audio_size: usize = self.audio.iter().map(|a| a.data.len()).sum();
        let heads = 256 + 16 * self.video.len() + 4 * self.audio.len();
        let mut b = Boxes::with_capacity(heads + video_size + audio_size);
        producer_time(&mut b, self.wall, self.video, self.audio, self.sample_rate);
        let moof = b.out.len();
        let (mut video_offset, mut audio_offset) = (None, None);
        b.plain(b"moof", |b| {
            b.full(b"mfhd", 0, 0, |b| b.u32(self.sequence));
            if !self.video.is_empty() {
                b.plain(b"traf", |b| video_offset = Some(video_track(b, self.video)));
            }
            if !self.audio.is_empty() {
                b.plain(b"traf", |b| audio_offset = Some(audio_track(b, self.audio, self.sample_rate)));
            }
        });
        let data = b.out.len() + 8 - moof;
        for (place, offset) in [(video_offset, data), (audio_offset, data + video_size)] {
            if let Some(place) = place {
                b.out[place..place + 4].copy_from_slice(&(offset as u32).to_be_bytes());
            }
        }
        b.plain(b"mdat", |b| {
            for sample in self.video {
                b.slice(&sample.frame.data);
            }
            for frame in self.audio {
                b.slice(&frame.data);
            }
        });
        b.out.freeze()
    }
}

/// Gives the place of the data offset.
fn video_track(b: &mut Boxes, samples: &[VideoSample<'_>]) -> usize {
    let at = |i: usize| samples.get(i).map(|s| units(s.frame.dts, VIDEO_TIMESCALE));
    track_header(b, VIDEO_TRACK, DEFAULT_BASE_IS_MOOF, at(0).unwrap_or(0), |_| {});
    let mut place = 0;
    b.full(b"trun", 1, TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS | TRUN_COMPOSITION, |b| {
        b.u32(samples.len() as u32);
        place = b.out.len();
        b.u32(0);
        for (i, VideoSample { frame, duration }) in samples.iter().enumerate() {
            let dts = at(i).unwrap_or(0);
            // From rounded start to rounded start, so that rounding never adds up to a hole.
            let end = at(i + 1).unwrap_or_else(|| units(frame.dts.saturating_add(*duration), VIDEO_TIMESCALE));
            let composition = i64::try_from(units(frame.pts, VIDEO_TIMESCALE)).unwrap_or(i64::MAX) - dts as i64;
            b.u32(u32::try_from(end.saturating_sub(dts)).unwrap_or(u32::MAX).max(1));
            b.u32(frame.data.len() as u32);
            b.u32(if frame.key { SAMPLE_SYNC } else { SAMPLE_DEPENDS });
            b.u32(composition.clamp(i32::MIN.into(), i32::MAX.into()) as i32 as u32);
        }
    });
    place
}
