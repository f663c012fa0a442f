//! H.264: decoder configuration, access units, and pictures made to fill holes.
//!
//! Inside Mujian an access unit is a row of NAL units, each behind a 4-byte length, without
//! parameter sets; those live in the [`VideoConfig`]. This module turns what publishers send
//! into that form.

mod bits;
mod cabac;
mod nal;
mod pps;
mod record;
pub mod skip;
mod slice;
mod sps;

#[cfg(test)]
mod tests;

use mujian_protocol::Problem;
use thiserror::Error;

pub(crate) use self::bits::BitWriter;
#[cfg(test)]
pub(crate) use self::nal::nals;
pub use self::nal::{AccessUnit, access_unit, annexb_to_avcc};
pub use self::record::{config_from_parameter_sets, in_band_parameter_sets, length_size, parse_avcc};
pub use self::sps::MAX_SIDE;
#[cfg(doc)]
use crate::frame::VideoConfig;

/// Why a publisher's H.264 was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AvcError {
    /// A part cannot be read.
    #[error(
        "The video's H.264 {0} is damaged or cut off. Stop the stream and start it again; if this comes back, choose another encoder."
    )]
    Malformed(&'static str),
    /// The record has no parameter set of a kind.
    #[error(
        "The video's H.264 configuration holds no {0}. Stop the stream and start it again; if this comes back, choose another encoder."
    )]
    Missing(&'static str),
    /// Larger than [`MAX_SIDE`].
    #[error("The picture is {width}x{height}; at most {max}x{max} is taken. Choose a smaller output size.", max = MAX_SIDE)]
    TooLarge {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// Browsers and most players would show nothing.
    #[error(
        "The video is coded as {0}, which viewers' players cannot show. Choose 8-bit 4:2:0 (the profile baseline, main or high; in OBS the colour format NV12)."
    )]
    Unsupported(&'static str),
}

impl AvcError {
    /// The same, for the interface.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match *self {
            Self::Malformed(_) | Self::Missing(_) => Problem::VideoDamaged,
            Self::TooLarge { width, height } => Problem::PictureTooLarge { width, height, max: MAX_SIDE },
            Self::Unsupported(_) => Problem::VideoForm,
        }
    }
}
