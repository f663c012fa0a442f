//! The sequence parameter set (ITU-T H.264, 7.3.2.1.1 and E.1.1).

use super::AvcError;
use super::bits::{BitReader, OutOfBits};
use crate::time::MediaTime;

/// Pictures larger than this in either direction, in pixels, are refused.
pub const MAX_SIDE: u32 = 4096;

/// How the order of output is coded (8.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PocType {
    /// The low bits stand in each slice header.
    Lsb { bits: u32 },
    /// Expected deltas; `deltas` when slice headers carry differences.
    Cycle { deltas: bool },
    /// Output order is decoding order.
    FrameNum,
}

/// What we need of a sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    pub(crate) id: u32,
    pub(crate) profile: u8,
    pub(crate) chroma_format: u32,
    pub(crate) bit_depth_luma: u32,
    pub(crate) bit_depth_chroma: u32,
    pub(crate) separate_colour_planes: bool,
    pub(crate) frame_num_bits: u32,
    pub(crate) poc: PocType,
    pub(crate) max_ref_frames: u32,
    /// Macroblocks in a row.
    pub(crate) width_mbs: u32,
    /// Rows of macroblocks in a frame.
    pub(crate) height_mbs: u32,
    pub(crate) frame_mbs_only: bool,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frame_duration: Option<MediaTime>,
}

/// Profiles whose parameter set has the chroma format and scaling lists.
pub(crate) const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

impl Sps {
    /// Parses a NAL unit of type 7, header byte included.
    pub(crate) fn parse(nal: &[u8]) -> Result<Self, AvcError> {
        match nal.first() {
            Some(header) if header & 0x1f == 7 => {}
            _ => return Err(AvcError::Malformed("sequence parameter set")),
        }
        Self::read(&mut BitReader::new(&nal[1..])).map_err(|OutOfBits| AvcError::Malformed("sequence parameter set"))?
    }

    fn read(r: &mut BitReader<'_>) -> Result<Result<Self, AvcError>, OutOfBits> {
        let profile = r.bits(8)? as u8;
        let _constraints_and_level = r.bits(16)?;
        let id = at_most(r.ue()?, 31)?;
        let (mut chroma_format, mut bit_depth_luma, mut bit_depth_chroma) = (1, 8, 8);
        let mut separate_colour_planes = false;
        if HIGH_PROFILES.contains(&profile) {
            chroma_format = at_most(r.ue()?, 3)?;
            if chroma_format == 3 {
                separate_colour_planes = r.flag()?;
            }
            bit_depth_luma = 8 + at_most(r.ue()?, 6)?;
            bit_depth_chroma = 8 + at_most(r.ue()?, 6)?;
            let _transform_bypass = r.flag()?;
            if r.flag()? {
                for i in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if r.flag()? {
                        skip_scaling_list(r, if i < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        let frame_num_bits = 4 + at_most(r.ue()?, 12)?;
        let poc = match r.ue()? {
            0 => PocType::Lsb { bits: 4 + at_most(r.ue()?, 12)? },
            1 => {
                let always_zero = r.flag()?;
                r.se()?;
                r.se()?;
                for _ in 0..at_most(r.ue()?, 255)? {
                    r.se()?;
                }
                PocType::Cycle { deltas: !always_zero }
            }
            2 => PocType::FrameNum,
            _ => return Err(OutOfBits),
        };
        let max_ref_frames = at_most(r.ue()?, 16)?;
        let _gaps_allowed = r.flag()?;
        // Bounded before they are multiplied: 2^16 macroblocks are far past MAX_SIDE.
        let width_mbs = at_most(r.ue()?, 0xffff)? + 1;
        let height_units = at_most(r.ue()?, 0xffff)? + 1;
        let frame_mbs_only = r.flag()?;
        if !frame_mbs_only {
            let _adaptive = r.flag()?;
        }
        let _direct_8x8 = r.flag()?;
        let height_mbs = height_units * if frame_mbs_only { 1 } else { 2 };
        let (coded_width, coded_height) = (width_mbs * 16, height_mbs * 16);
        let (mut width, mut height) = (coded_width, coded_height);
        if r.flag()? {
            let (left, right, top, bottom) = (r.ue()?, r.ue()?, r.ue()?, r.ue()?);
            let sub_width = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
            let sub_height = if chroma_format == 1 { 2 } else { 1 };
            let unit_y = sub_height * if frame_mbs_only { 1 } else { 2 };
            width = crop(coded_width, left, right, sub_width)?;
            height = crop(coded_height, top, bottom, unit_y)?;
        }
        if width > MAX_SIDE || height > MAX_SIDE || coded_width > MAX_SIDE + 16 || coded_height > MAX_SIDE + 32 {
            return Ok(Err(AvcError::TooLarge { width, height }));
        }
        // Timing is a help only: usability information that is cut off counts as absent.
        let frame_duration = if r.flag()? { read_timing(r).unwrap_or(None) } else { None };
        Ok(Ok(Self {
            id,
            profile,
            chroma_format,
            bit_depth_luma,
            bit_depth_chroma,
            separate_colour_planes,
            frame_num_bits,
            poc,
            max_ref_frames,
            width_mbs,
            height_mbs,
            frame_mbs_only,
            width,
            height,
            frame_duration,
        }))
    }
}

fn at_most(value: u32, max: u32) -> Result<u32, OutOfBits> {
    if value <= max { Ok(value) } else { Err(OutOfBits) }
}

fn crop(side: u32, before: u32, after: u32, unit: u32) -> Result<u32, OutOfBits> {
    let cut = (u64::from(before) + u64::from(after)) * u64::from(unit);
    match u64::from(side).checked_sub(cut) {
        Some(left) if left > 0 => Ok(left as u32),
        _ => Err(OutOfBits),
    }
}

/// 7.3.2.1.1.1: the values do not matter here, only where the list ends.
fn skip_scaling_list(r: &mut BitReader<'_>, size: u32) -> Result<(), OutOfBits> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            let delta = r.se()?;
            if !(-128..=127).contains(&delta) {
                return Err(OutOfBits);
            }
            next = (last + delta + 256) % 256;
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

/// E.1.1 as far as the timing information.
fn read_timing(r: &mut BitReader<'_>) -> Result<Option<MediaTime>, OutOfBits> {
    const EXTENDED_SAR: u32 = 255;
    if r.flag()? && r.bits(8)? == EXTENDED_SAR {
        r.bits(32)?;
    }
    if r.flag()? {
        let _overscan = r.flag()?;
    }
    if r.flag()? {
        let _format_and_range = r.bits(4)?;
        if r.flag()? {
            let _colours = r.bits(24)?;
        }
    }
    if r.flag()? {
        r.ue()?;
        r.ue()?;
    }
    if !r.flag()? {
        return Ok(None);
    }
    let (tick, scale) = (r.bits(32)?, r.bits(32)?);
    // A tick is a field, and a frame has two (E.2.1). Outside of 1 to 240 frames a second it is a lie.
    let plausible = tick > 0 && scale > 0 && {
        let fps = f64::from(scale) / (2.0 * f64::from(tick));
        (1.0..=240.0).contains(&fps)
    };
    Ok(plausible.then(|| MediaTime::from_scale(2 * i64::from(tick), scale)))
}
