//! The slice header (ITU-T H.264, 7.3.3), as far as it says how pictures refer to each other.

use super::bits::{BitReader, OutOfBits};
use super::pps::Pps;
use super::sps::{PocType, Sps};

/// What a slice header says about its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SliceHeader {
    pub(crate) idr: bool,
    pub(crate) reference: bool,
    pub(crate) frame_num: u32,
    /// `pic_order_cnt_lsb`; 0 where the type of order has none.
    pub(crate) poc_lsb: u32,
    pub(crate) delta_poc_bottom: i32,
    pub(crate) marking: Marking,
}

/// How the picture changes the set of references (8.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marking {
    /// The sliding window was not used.
    pub(crate) explicit: bool,
    /// Bit n: the short-term reference n + 1 places of `frame_num` back is one no longer.
    pub(crate) removed: u32,
    /// Everything before it was dropped, as by an IDR picture (operation 5).
    pub(crate) reset: bool,
    /// The picture itself became a long-term reference.
    pub(crate) long_term: bool,
}

impl Marking {
    fn remove(&mut self, places: u32) {
        self.removed |= 1u32.checked_shl(places).unwrap_or(0);
    }
}

/// More operations than this in one list are damage: there are at most 32 references.
const MAX_OPERATIONS: u32 = 66;

/// The id of the picture parameter set that a slice (NAL unit of type 1 or 5) refers to.
pub(crate) fn parameter_set_id(nal: &[u8]) -> Option<u32> {
    let mut r = BitReader::new(nal.get(1..)?);
    let _first_macroblock = r.ue().ok()?;
    let _kind = r.ue().ok()?;
    r.ue().ok()
}

impl SliceHeader {
    /// Parses a NAL unit of type 1 or 5, header byte included. Field pictures are not taken.
    pub(crate) fn parse(nal: &[u8], sps: &Sps, pps: &Pps) -> Result<Self, OutOfBits> {
        let (header, payload) = nal.split_first().ok_or(OutOfBits)?;
        let (idr, reference) = (header & 0x1f == 5, header & 0x60 != 0);
        let r = &mut BitReader::new(payload);
        let _first_macroblock = r.ue()?;
        let kind = r.ue()?;
        let _parameter_set = r.ue()?;
        if kind > 9 {
            return Err(OutOfBits);
        }
        let (is_p, is_b) = (matches!(kind % 5, 0 | 3), kind % 5 == 1);
        if sps.separate_colour_planes {
            let _plane = r.bits(2)?;
        }
        let frame_num = r.bits(sps.frame_num_bits)?;
        if !sps.frame_mbs_only && r.flag()? {
            return Err(OutOfBits);
        }
        if idr {
            let _idr_id = r.ue()?;
        }
        let (mut poc_lsb, mut delta_poc_bottom) = (0, 0);
        match sps.poc {
            PocType::Lsb { bits } => {
                poc_lsb = r.bits(bits)?;
                if pps.bottom_field_order {
                    delta_poc_bottom = r.se()?;
                }
            }
            PocType::Cycle { deltas: true } => {
                r.se()?;
                if pps.bottom_field_order {
                    r.se()?;
                }
            }
            PocType::Cycle { deltas: false } | PocType::FrameNum => {}
        }
        if pps.redundant_pictures {
            let _count = r.ue()?;
        }
        let (mut l0, mut l1) = (pps.ref_idx_l0, pps.ref_idx_l1);
        if is_b {
            let _direct_spatial = r.flag()?;
        }
        if (is_p || is_b) && r.flag()? {
            l0 = r.ue()?.saturating_add(1);
            if is_b {
                l1 = r.ue()?.saturating_add(1);
            }
            if l0 > 32 || l1 > 32 {
                return Err(OutOfBits);
            }
        }
        for _ in 0..if is_b { 2 } else { u32::from(is_p) } {
            skip_list_modification(r)?;
        }
        if pps.weighted_pred && is_p || pps.weighted_bipred == 1 && is_b {
            let chroma = sps.chroma_format != 0 && !sps.separate_colour_planes;
            skip_weights(r, if is_b { l0 + l1 } else { l0 }, chroma)?;
        }
        let marking = if reference { read_marking(r, idr)? } else { Marking::default() };
        Ok(Self { idr, reference, frame_num, poc_lsb, delta_poc_bottom, marking })
    }
}

/// 7.3.3.1
fn skip_list_modification(r: &mut BitReader<'_>) -> Result<(), OutOfBits> {
    if !r.flag()? {
        return Ok(());
    }
    for _ in 0..MAX_OPERATIONS {
        match r.ue()? {
            0..=2 => _ = r.ue()?,
            3 => return Ok(()),
            _ => return Err(OutOfBits),
        }
    }
    Err(OutOfBits)
}

/// 7.3.3.2
fn skip_weights(r: &mut BitReader<'_>, entries: u32, chroma: bool) -> Result<(), OutOfBits> {
    let _luma_denominator = r.ue()?;
    if chroma {
        let _chroma_denominator = r.ue()?;
    }
    for _ in 0..entries {
        if r.flag()? {
            r.se()?;
            r.se()?;
        }
        if chroma && r.flag()? {
            for _ in 0..4 {
                r.se()?;
            }
        }
    }
    Ok(())
}

/// 7.3.3.3
fn read_marking(r: &mut BitReader<'_>, idr: bool) -> Result<Marking, OutOfBits> {
    let mut marking = Marking::default();
    if idr {
        let _no_output_of_prior = r.flag()?;
        marking.long_term = r.flag()?;
        return Ok(marking);
    }
    marking.explicit = r.flag()?;
    if !marking.explicit {
        return Ok(marking);
    }
    for _ in 0..MAX_OPERATIONS {
        match r.ue()? {
            0 => return Ok(marking),
            1 => marking.remove(r.ue()?),
            2 | 4 => _ = r.ue()?,
            3 => {
                marking.remove(r.ue()?);
                r.ue()?;
            }
            5 => marking.reset = true,
            6 => {
                r.ue()?;
                marking.long_term = true;
            }
            _ => return Err(OutOfBits),
        }
    }
    Err(OutOfBits)
}
