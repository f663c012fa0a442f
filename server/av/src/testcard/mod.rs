//! The test card: a drawn picture and a beep by which latency and lip sync can be measured.
//!
//! - The wall clock, for a person: local time, `HH:MM:SS.mmm`.
//! - The wall clock, for a machine: two rows of black and white [`cells`] along the lower edge.
//! - Every wall second, for 100 ms from its first millisecond on, the lamp at the upper right is
//!   white and a tone of 1 kHz sounds ([`beep`]). The frame whose cells say `…000` is the first
//!   with the lamp on, and the tone's first sample is that of the same moment.
//!
//! Positions are told in units of 1/64 of the width and 1/36 of the height, from the upper left.
//! The lamp is a disc of radius 3 around (55, 7); [`lamp_is_on`] looks at the square of 3 x 3 units around
//! its centre: mean luma above 150 is on (drawn: 235), below is off (drawn: about 35).

pub mod beep;
mod canvas;
mod card;
pub mod cells;
mod glyph;

pub use card::{TestCard, local_offset};

/// Time that the lamp and the tone are on from the start of every wall second, in milliseconds.
pub const PULSE_MS: u64 = 100;

pub(crate) const LAMP: (f32, f32, f32) = (55.0, 7.0, 3.0);

/// Whether the lamp is on in a luma plane with rows `stride` bytes apart; none if the plane is
/// smaller than it claims.
#[must_use]
pub fn lamp_is_on(luma: &[u8], stride: usize, width: u32, height: u32) -> Option<bool> {
    let at = |x: f32, y: f32| {
        let (x, y) = ((x / 64.0 * width as f32) as usize, (y / 36.0 * height as f32) as usize);
        luma.get(y * stride + x).map(|v| u32::from(*v))
    };
    let mut sum = 0;
    for i in 0..7 {
        for j in 0..7 {
            let offset = |n: i32| (n - 3) as f32 * 0.5 * 0.95;
            sum += at(LAMP.0 + offset(i), LAMP.1 + offset(j))?;
        }
    }
    Some(sum / 49 > 150)
}
