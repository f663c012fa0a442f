//! From payloads to the internal unit of media: configurations kept, NAL units put in order.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::FlvError;
use super::packet::{AudioPacket, VideoPacket, parse_audio, parse_video};
use crate::aac;
use crate::avc::{self, AccessUnit};
use crate::frame::{AudioConfig, AudioFrame, FeedItem, VideoConfig, VideoFrame};
use crate::time::MediaTime;

/// Largest AAC frame that is taken, in bytes; one of two channels has at most 1536.
const AUDIO_FRAME_MAX: usize = 8192;

/// The state of one publisher's two tracks.
#[derive(Debug, Default)]
pub struct Tracks {
    video: Option<Video>,
    audio: Option<(Bytes, Arc<AudioConfig>)>,
}

#[derive(Debug)]
struct Video {
    /// The sequence header as it came, to see whether the next one is another.
    header: Bytes,
    config: Arc<VideoConfig>,
    /// Bytes of each NAL unit's length as the publisher writes it.
    length_size: u8,
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
}

impl Tracks {
    /// Takes a video payload that is decoded at `dts`, and appends what it means to `out`.
    ///
    /// # Errors
    /// [`FlvError`]; see [`FlvError::is_survivable`]. Nothing of a broken payload is appended.
    pub fn video(&mut self, dts: MediaTime, payload: Bytes, out: &mut Vec<FeedItem>) -> Result<(), FlvError> {
        match parse_video(payload)? {
            VideoPacket::Nothing => Ok(()),
            VideoPacket::SequenceHeader(header) => self.video_header(header, out),
            VideoPacket::Frame { composition_ms, data } => {
                // A composition time below zero breaks the format's promise; such a picture is shown when decoded.
                let composition = MediaTime::from_millis(i64::from(composition_ms.max(0)));
                self.picture(dts, dts.saturating_add(composition), &data, out)
            }
        }
    }

    /// Takes a sound payload that is heard at `pts`, and appends what it means to `out`.
    ///
    /// # Errors
    /// [`FlvError`]; see [`FlvError::is_survivable`]. Nothing of a broken payload is appended.
    pub fn audio(&mut self, pts: MediaTime, payload: Bytes, out: &mut Vec<FeedItem>) -> Result<(), FlvError> {
        match parse_audio(payload)? {
            AudioPacket::Nothing => Ok(()),
            AudioPacket::SequenceHeader(header) => self.audio_header(header, out),
            AudioPacket::Frame(data) => {
                if self.audio.is_none() {
                    return Err(FlvError::Bad("sound came before its configuration"));
                }
                if data.is_empty() || data.len() > AUDIO_FRAME_MAX {
                    return Err(FlvError::Bad("an AAC frame is empty or far too long"));
                }
                out.push(FeedItem::Audio(AudioFrame { pts, data }));
                Ok(())
            }
        }
    }

    fn audio_header(&mut self, header: Bytes, out: &mut Vec<FeedItem>) -> Result<(), FlvError> {
        if header.is_empty() {
            return Err(FlvError::Bad("the sound's configuration is empty"));
        }
        if self.audio.as_ref().is_some_and(|(known, _)| *known == header) {
            return Ok(());
        }
        // Copied, because a slice would keep the whole message alive as long as the configuration.
        let header = Bytes::copy_from_slice(&header);
        let config = aac::parse_asc(header.clone()).map_err(|e| FlvError::not_taken(e.problem(), e.to_string()))?;
        let config = Arc::new(config);
        self.audio = Some((header, Arc::clone(&config)));
        out.push(FeedItem::AudioConfig(config));
        Ok(())
    }

    fn video_header(&mut self, header: Bytes, out: &mut Vec<FeedItem>) -> Result<(), FlvError> {
        if header.is_empty() {
            return Err(FlvError::Bad("the video's configuration is empty"));
        }
        if self.video.as_ref().is_some_and(|v| v.header == header) {
            return Ok(());
        }
        let refused = |e: avc::AvcError| FlvError::not_taken(e.problem(), e.to_string());
        let header = Bytes::copy_from_slice(&header);
        let length_size = avc::length_size(&header).map_err(refused)?;
        let config = avc::parse_avcc(header.clone()).map_err(refused)?;
        self.set_video(header, config, length_size, out);
        Ok(())
    }

    fn set_video(&mut self, header: Bytes, config: VideoConfig, length_size: u8, out: &mut Vec<FeedItem>) {
        let config = Arc::new(config);
        if self.video.as_ref().is_none_or(|v| v.config.avcc != config.avcc) {
            out.push(FeedItem::VideoConfig(Arc::clone(&config)));
        }
        // What we wrote ourselves can be read; if it could not, every set would count as new.
        let sets = avc::access_unit(&avc::in_band_parameter_sets(&config), 4).unwrap_or_default();
        self.video = Some(Video { header, config, length_size, sps: sets.sps, pps: sets.pps });
    }

    fn picture(
        &mut self,
        dts: MediaTime,
        pts: MediaTime,
        data: &Bytes,
        out: &mut Vec<FeedItem>,
    ) -> Result<(), FlvError> {
        let length_size = self.video.as_ref().map_or(4, |v| v.length_size);
        let unit =
            avc::access_unit(data, length_size).map_err(|_| FlvError::Bad("a NAL unit is longer than its picture"))?;
        self.in_band_sets(&unit, length_size, out)?;
        if self.video.is_none() {
            return Err(FlvError::Bad("a picture came before the video's configuration"));
        }
        if unit.picture {
            out.push(FeedItem::Video(VideoFrame { dts, pts, key: unit.key, data: unit.data }));
        }
        Ok(())
    }

    /// Parameter sets inside a frame that are not the ones known make a new configuration.
    fn in_band_sets(&mut self, unit: &AccessUnit, length_size: u8, out: &mut Vec<FeedItem>) -> Result<(), FlvError> {
        if unit.sps.is_empty() && unit.pps.is_empty() {
            return Ok(());
        }
        let (header, known_sps, known_pps) =
            self.video.as_ref().map_or((&[][..], &[][..], &[][..]), |v| (&v.header, &v.sps, &v.pps));
        if unit.sps.iter().all(|s| known_sps.contains(s)) && unit.pps.iter().all(|p| known_pps.contains(p)) {
            return Ok(());
        }
        let sps = if unit.sps.is_empty() { known_sps.to_vec() } else { distinct(&unit.sps) };
        let pps = if unit.pps.is_empty() { known_pps.to_vec() } else { distinct(&unit.pps) };
        if sps.is_empty() || pps.is_empty() {
            return Err(FlvError::Bad("a frame carries half of a video configuration"));
        }
        let header = Bytes::copy_from_slice(header);
        let config =
            avc::parse_avcc(record_of(&sps, &pps)?).map_err(|e| FlvError::not_taken(e.problem(), e.to_string()))?;
        self.set_video(header, config, length_size, out);
        Ok(())
    }
}

fn distinct(sets: &[Bytes]) -> Vec<Bytes> {
    let mut out: Vec<Bytes> = Vec::new();
    for s in sets {
        if !out.contains(s) {
            out.push(s.clone());
        }
    }
    out
}

/// A configuration record of these parameter sets.
fn record_of(sps: &[Bytes], pps: &[Bytes]) -> Result<Bytes, FlvError> {
    const MOST: usize = 31;
    let Some(&[_, profile, compatibility, level, ..]) = sps.first().map(|s| &s[..]) else {
        return Err(FlvError::Bad("a parameter set is cut short"));
    };
    let fits = |sets: &[Bytes]| sets.len() <= MOST && sets.iter().all(|s| s.len() <= usize::from(u16::MAX));
    if !fits(sps) || !fits(pps) {
        return Err(FlvError::Bad("a frame carries too many parameter sets"));
    }
    let mut out = BytesMut::new();
    out.put_slice(&[1, profile, compatibility, level, 0xFF, 0xE0 | sps.len() as u8]);
    let put = |out: &mut BytesMut, set: &Bytes| {
        out.put_u16(set.len() as u16);
        out.put_slice(set);
    };
    sps.iter().for_each(|s| put(&mut out, s));
    out.put_u8(pps.len() as u8);
    pps.iter().for_each(|p| put(&mut out, p));
    Ok(out.freeze())
}
