//! From payloads to the internal unit of media: configurations kept, NAL units put in order.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::packet::{AudioPacket, VideoPacket, parse_audio, parse_video};
use super::FlvError;
use crate::frame::{AudioConfig, AudioFrame, FeedItem, VideoConfig, VideoFrame};
use crate::time::MediaTime;
use crate::{aac, avc};

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
    /// Bytes of each NAL unit's length as the publisher writes it: 1 to 4.
    length_size: usize,
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
        let config = aac::parse_asc(header.clone()).map_err(|e| FlvError::Unsupported(sentence("sound", &e)))?;
        let config = Arc::new(config);
        self.audio = Some((header, Arc::clone(&config)));
        out.push(FeedItem::AudioConfig(config));
        Ok(())
    }

    fn video_header(&mut self, header: Bytes, out: &mut Vec<FeedItem>) -> Result<(), FlvError> {
        if header.len() < 7 {
            return Err(FlvError::Bad("the video's configuration is cut short"));
        }
        if self.video.as_ref().is_some_and(|v| v.header == header) {
            return Ok(());
        }
        let length_size = usize::from(header[4] & 3) + 1;
        // Frames are rewritten to lengths of four bytes, so the configuration says four.
        let mut four = BytesMut::from(&header[..]);
        four[4] |= 3;
        let config = avc::parse_avcc(four.freeze()).map_err(|e| FlvError::Unsupported(sentence("video", &e)))?;
        self.set_video(Bytes::copy_from_slice(&header), config, length_size, out);
        Ok(())
    }

    fn set_video(&mut self, header: Bytes, config: VideoConfig, length_size: usize, out: &mut Vec<FeedItem>) {
        let config = Arc::new(config);
        if self.video.as_ref().is_none_or(|v| v.config.avcc != config.avcc) {
            out.push(FeedItem::VideoConfig(Arc::clone(&config)));
        }
        self.video = Some(Video { header, config, length_size });
    }

    fn picture(
        &mut self,
        dts: MediaTime,
        pts: MediaTime,
        data: &Bytes,
        out: &mut Vec<FeedItem>,
    ) -> Result<(), FlvError> {
        let length_size = self.video.as_ref().map_or(4, |v| v.length_size);
        let unit = AccessUnit::read(data, length_size)?;
        self.in_band_sets(&unit, length_size, out)?;
        if self.video.is_none() {
            return Err(FlvError::Bad("a picture came before the video's configuration"));
        }
        if !unit.has_picture {
            return Ok(());
        }
        let data = if unit.as_is { data.clone() } else { unit.rewrite(data, length_size) };
        out.push(FeedItem::Video(VideoFrame { dts, pts, key: unit.key, data }));
        Ok(())
    }

    /// Parameter sets inside a frame that are not the ones known make a new configuration.
    fn in_band_sets(
        &mut self,
        unit: &AccessUnit<'_>,
        length_size: usize,
        out: &mut Vec<FeedItem>,
    ) -> Result<(), FlvError> {
        if unit.sps.is_empty() && unit.pps.is_empty() {
            return Ok(());
        }
        let avcc = self.video.as_ref().map(|v| v.config.avcc.clone()).unwrap_or_default();
        let (known_sps, known_pps) = sets_of(&avcc);
        if unit.sps.iter().all(|s| known_sps.contains(s)) && unit.pps.iter().all(|p| known_pps.contains(p)) {
            return Ok(());
        }
        let sps = if unit.sps.is_empty() { &known_sps } else { &unit.sps };
        let pps = if unit.pps.is_empty() { &known_pps } else { &unit.pps };
        let config = match (&sps[..], &pps[..]) {
            ([], _) | (_, []) => return Err(FlvError::Bad("a frame carries half of a video configuration")),
            ([sps], [pps]) => avc::config_from_parameter_sets(sps, pps),
            (sps, pps) => avc::parse_avcc(avcc_of(sps, pps)?),
        };
        let config = config.map_err(|e| FlvError::Unsupported(sentence("video", &e)))?;
        let header = self.video.as_ref().map(|v| v.header.clone()).unwrap_or_default();
        self.set_video(header, config, length_size, out);
        Ok(())
    }
}

fn sentence(what: &str, error: &dyn std::error::Error) -> String {
    format!("The {what} cannot be taken: {error}.")
}

/// What an access unit is made of.
struct AccessUnit<'a> {
    sps: Vec<&'a [u8]>,
    pps: Vec<&'a [u8]>,
    has_picture: bool,
    key: bool,
    /// The data is already in the form that a `VideoFrame` promises.
    as_is: bool,
}

impl<'a> AccessUnit<'a> {
    fn read(data: &'a [u8], length_size: usize) -> Result<Self, FlvError> {
        let mut unit = Self { sps: Vec::new(), pps: Vec::new(), has_picture: false, key: false, as_is: length_size == 4 };
        for nal in Nals { rest: data, length_size } {
            let nal = nal?;
            let kind = nal.first().map_or(0, |b| b & 0x1F);
            match kind {
                7 => push_distinct(&mut unit.sps, nal)?,
                8 => push_distinct(&mut unit.pps, nal)?,
                1..=5 => {
                    unit.has_picture = true;
                    unit.key |= kind == 5;
                }
                _ => {}
            }
            unit.as_is &= is_kept(nal);
        }
        Ok(unit)
    }

    fn rewrite(&self, data: &[u8], length_size: usize) -> Bytes {
        let mut out = BytesMut::with_capacity(data.len() + 64);
        for nal in (Nals { rest: data, length_size }).flatten().filter(|n| is_kept(n)) {
            out.put_u32(nal.len() as u32);
            out.put_slice(nal);
        }
        out.freeze()
    }
}

/// Parameter sets travel apart; delimiters, fillers and ends of sequences tell a player nothing.
fn is_kept(nal: &[u8]) -> bool {
    nal.first().is_some_and(|b| matches!(b & 0x1F, 1..=6 | 14 | 16..))
}

fn push_distinct<'a>(sets: &mut Vec<&'a [u8]>, nal: &'a [u8]) -> Result<(), FlvError> {
    const MOST: usize = 16;
    if sets.contains(&nal) {
        return Ok(());
    }
    if sets.len() >= MOST || nal.len() > 1024 {
        return Err(FlvError::Bad("a frame carries too many parameter sets"));
    }
    sets.push(nal);
    Ok(())
}

struct Nals<'a> {
    rest: &'a [u8],
    length_size: usize,
}

impl<'a> Iterator for Nals<'a> {
    type Item = Result<&'a [u8], FlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((length, rest)) = self.rest.split_at_checked(self.length_size) else {
            self.rest = &[];
            return Some(Err(FlvError::Bad("a picture ends inside a NAL unit's length")));
        };
        let length = length.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
        let Some((nal, rest)) = rest.split_at_checked(length) else {
            self.rest = &[];
            return Some(Err(FlvError::Bad("a NAL unit is longer than its picture")));
        };
        self.rest = rest;
        Some(Ok(nal))
    }
}

/// The parameter sets of a configuration record; what is cut short is left out.
fn sets_of(avcc: &[u8]) -> (Vec<&[u8]>, Vec<&[u8]>) {
    fn list<'a>(rest: &mut &'a [u8], mask: u8) -> Vec<&'a [u8]> {
        let mut out = Vec::new();
        let Some((count, tail)) = rest.split_first() else { return out };
        *rest = tail;
        for _ in 0..count & mask {
            let Some((length, tail)) = rest.split_first_chunk::<2>() else { break };
            let Some((nal, tail)) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
            out.push(nal);
            *rest = tail;
        }
        out
    }
    let mut rest = avcc.get(5..).unwrap_or_default();
    let sps = list(&mut rest, 0x1F);
    (sps, list(&mut rest, 0xFF))
}

/// A configuration record of several parameter sets.
fn avcc_of(sps: &[&[u8]], pps: &[&[u8]]) -> Result<Bytes, FlvError> {
    let [_, profile, compatibility, level, ..] = *sps[0] else {
        return Err(FlvError::Bad("a parameter set is cut short"));
    };
    let mut out = BytesMut::new();
    out.put_slice(&[1, profile, compatibility, level, 0xFF, 0xE0 | sps.len() as u8]);
    let put = |out: &mut BytesMut, set: &[u8]| {
        out.put_u16(set.len() as u16);
        out.put_slice(set);
    };
    sps.iter().for_each(|s| put(&mut out, s));
    out.put_u8(pps.len() as u8);
    pps.iter().for_each(|p| put(&mut out, p));
    Ok(out.freeze())
}
