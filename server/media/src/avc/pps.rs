//! The picture parameter set (ITU-T H.264, 7.3.2.2).

use super::AvcError;
use super::bits::{BitReader, OutOfBits};

/// What we need of a picture parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pps {
    pub(crate) id: u32,
    pub(crate) sps_id: u32,
    pub(crate) cabac: bool,
    /// Frames carry the difference between the orders of their two fields.
    pub(crate) bottom_field_order: bool,
    /// More than one slice group; the fields below are then not known.
    pub(crate) slice_groups: bool,
    pub(crate) ref_idx_l0: u32,
    pub(crate) ref_idx_l1: u32,
    pub(crate) weighted_pred: bool,
    pub(crate) weighted_bipred: u32,
    /// `26 + pic_init_qp_minus26`.
    pub(crate) init_qp: i32,
    pub(crate) deblocking_control: bool,
    pub(crate) redundant_pictures: bool,
}

impl Pps {
    /// Parses a NAL unit of type 8, header byte included.
    pub(crate) fn parse(nal: &[u8]) -> Result<Self, AvcError> {
        match nal.first() {
            Some(header) if header & 0x1f == 8 => {}
            _ => return Err(AvcError::Malformed("picture parameter set")),
        }
        Self::read(&mut BitReader::new(&nal[1..])).map_err(|OutOfBits| AvcError::Malformed("picture parameter set"))
    }

    fn read(r: &mut BitReader<'_>) -> Result<Self, OutOfBits> {
        let (id, sps_id) = (r.ue()?, r.ue()?);
        if id > 255 || sps_id > 31 {
            return Err(OutOfBits);
        }
        let mut pps = Self {
            id,
            sps_id,
            cabac: r.flag()?,
            bottom_field_order: r.flag()?,
            slice_groups: r.ue()? > 0,
            ref_idx_l0: 1,
            ref_idx_l1: 1,
            weighted_pred: false,
            weighted_bipred: 0,
            init_qp: 26,
            deblocking_control: false,
            redundant_pictures: false,
        };
        if pps.slice_groups {
            return Ok(pps);
        }
        pps.ref_idx_l0 = r.ue()?.saturating_add(1);
        pps.ref_idx_l1 = r.ue()?.saturating_add(1);
        pps.weighted_pred = r.flag()?;
        pps.weighted_bipred = r.bits(2)?;
        let init_qp_minus26 = r.se()?;
        let _init_qs = r.se()?;
        let _chroma_qp_offset = r.se()?;
        pps.deblocking_control = r.flag()?;
        let _constrained_intra = r.flag()?;
        pps.redundant_pictures = r.flag()?;
        if pps.ref_idx_l0 > 32 || pps.ref_idx_l1 > 32 || !(-62..=25).contains(&init_qp_minus26) {
            return Err(OutOfBits);
        }
        pps.init_qp = 26 + init_qp_minus26;
        Ok(pps)
    }
}
