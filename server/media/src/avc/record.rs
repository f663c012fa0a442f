//! The AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::AvcError;
use super::nal::put_nal;
use super::pps::Pps;
use super::sps::{HIGH_PROFILES, Sps};
use crate::frame::VideoConfig;

/// The parameter sets of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParameterSets {
    pub(crate) sps: Vec<Bytes>,
    pub(crate) pps: Vec<Bytes>,
}

/// Reads the record that a publisher sends, and writes it anew with NAL lengths of 4 bytes, so that
/// equal parameter sets make equal configurations. How long the lengths in the publisher's own
/// frames are, [`length_size`] tells.
///
/// # Errors
/// The record or a parameter set is damaged or missing, the picture is too large, or it is not
/// 8-bit 4:2:0.
pub fn parse_avcc(record: Bytes) -> Result<VideoConfig, AvcError> {
    length_size(&record)?;
    config_from_sets(&split(&record)?)
}

/// How many bytes the lengths before the NAL units of this record's frames have: 1, 2 or 4.
///
/// # Errors
/// The record is cut off, of another version, or says 3.
pub fn length_size(record: &[u8]) -> Result<u8, AvcError> {
    match record {
        [1, _, _, _, sizes, ..] if sizes & 3 != 2 => Ok((sizes & 3) + 1),
        _ => Err(AvcError::Malformed("configuration")),
    }
}

/// Makes a configuration of bare parameter sets, each with its NAL header byte.
///
/// # Errors
/// As [`parse_avcc`].
pub fn config_from_parameter_sets(sps: &[u8], pps: &[u8]) -> Result<VideoConfig, AvcError> {
    let sets = ParameterSets { sps: vec![Bytes::copy_from_slice(sps)], pps: vec![Bytes::copy_from_slice(pps)] };
    config_from_sets(&sets)
}

/// The parameter sets of a configuration as NAL units behind 4-byte lengths: they go before the key
/// frame where the configuration changes.
#[must_use]
pub fn in_band_parameter_sets(config: &VideoConfig) -> Bytes {
    let mut out = BytesMut::with_capacity(config.avcc.len() + 16);
    for nal in split(&config.avcc).iter().flat_map(|sets| sets.sps.iter().chain(&sets.pps)) {
        put_nal(&mut out, nal);
    }
    out.freeze()
}

/// Takes a record apart; what follows the picture parameter sets is left unread.
pub(crate) fn split(record: &Bytes) -> Result<ParameterSets, AvcError> {
    const DAMAGED: AvcError = AvcError::Malformed("configuration");
    let mut sets = ParameterSets::default();
    let mut at = 5;
    for (list, mask) in [(&mut sets.sps, 0x1f), (&mut sets.pps, 0xff)] {
        let count = record.get(at).ok_or(DAMAGED)? & mask;
        at += 1;
        for _ in 0..count {
            let [high, low] = record.get(at..at + 2).and_then(|l| l.try_into().ok()).ok_or(DAMAGED)?;
            let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
            if end > record.len() {
                return Err(DAMAGED);
            }
            list.push(record.slice(at + 2..end));
            at = end;
        }
    }
    Ok(sets)
}

fn config_from_sets(sets: &ParameterSets) -> Result<VideoConfig, AvcError> {
    let first = sets.sps.first().ok_or(AvcError::Missing("sequence parameter set"))?;
    if sets.pps.is_empty() {
        return Err(AvcError::Missing("picture parameter set"));
    }
    let sps = Sps::parse(first)?;
    for other in &sets.sps[1..] {
        Sps::parse(other)?;
    }
    for pps in &sets.pps {
        Pps::parse(pps)?;
    }
    match sps.chroma_format {
        0 => return Err(AvcError::Unsupported("grey without colour")),
        1 => {}
        2 => return Err(AvcError::Unsupported("4:2:2")),
        _ => return Err(AvcError::Unsupported("4:4:4")),
    }
    if sps.bit_depth_luma != 8 || sps.bit_depth_chroma != 8 {
        return Err(AvcError::Unsupported("more than 8 bits a sample"));
    }
    Ok(VideoConfig {
        avcc: write(&sps, sets)?,
        width: sps.width,
        height: sps.height,
        frame_duration: sps.frame_duration,
    })
}

fn write(sps: &Sps, sets: &ParameterSets) -> Result<Bytes, AvcError> {
    let mut out = BytesMut::with_capacity(64);
    out.put_u8(1);
    // Profile, constraints, level: an SPS that was parsed has them.
    out.put_slice(sets.sps.first().and_then(|nal| nal.get(1..4)).unwrap_or(&[0; 3]));
    out.put_u8(0xff);
    for (list, count_bits) in [(&sets.sps, 0xe0), (&sets.pps, 0)] {
        if list.len() > 31 {
            return Err(AvcError::Malformed("configuration"));
        }
        out.put_u8(count_bits | list.len() as u8);
        for nal in list {
            out.put_u16(u16::try_from(nal.len()).map_err(|_| AvcError::Malformed("configuration"))?);
            out.put_slice(nal);
        }
    }
    if HIGH_PROFILES.contains(&sps.profile) {
        out.put_u8(0xfc | sps.chroma_format as u8);
        out.put_u8(0xf8 | (sps.bit_depth_luma - 8) as u8);
        out.put_u8(0xf8 | (sps.bit_depth_chroma - 8) as u8);
        out.put_u8(0);
    }
    Ok(out.freeze())
}
