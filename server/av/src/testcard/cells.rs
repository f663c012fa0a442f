//! The machine-readable wall clock of the test card.
//!
//! # Layout
//! The lowest ninth of the picture is a grid of 2 rows of 32 cells over the full width. Cell
//! (row `r`, column `c`) covers, as fractions of the picture's width and height (of the coded
//! picture as decoded: measure the video's own rectangle, without bars that a page adds):
//!
//! - x from `c / 32` to `(c + 1) / 32`
//! - y from `(32 + 2 r) / 36` to `(34 + 2 r) / 36`
//!
//! On 16:9 pictures cells are square: 30 pixels at 960 x 540. White is 1 and black is 0.
//!
//! Bits are numbered 0 to 63, row 0 from left to right, then row 1 from left to right:
//!
//! | bits | meaning |
//! | --- | --- |
//! | 0 to 3 | always 1 0 1 0 |
//! | 4 to 51 | milliseconds since 1970-01-01T00:00:00Z when the frame was captured, most significant bit first |
//! | 52 to 59 | CRC-8 of these 48 bits, most significant bit first |
//! | 60 to 63 | always 0 1 0 1 |
//!
//! The CRC has the polynomial x^8 + x^2 + x + 1 (0x07), starts at 0, is neither reflected nor
//! inverted, and runs over the 6 bytes from the most significant on (CRC-8/SMBUS: the check value of
//! the ASCII digits `123456789` is 0xF4).
//!
//! # Reading
//! For each cell take the mean luma of its middle half (in both directions; a grid of a few points will do).
//! The threshold is the middle between the mean of the four white and the mean of the four black
//! fixed cells; if these differ by less than 40 of 255 there is no card. Then the fixed bits and the CRC must be
//! right. In a browser: draw the video into a canvas of 320 x 180 or more and use the green channel as luma.
//!
//! Example: 1,763,700,000,000 ms is 0x019AA4B64500, its CRC is 0x7B, and the rows are, in hexadecimal,
//! `A019AA4B` and `645007B5`.

/// Cells in a row.
pub const COLUMNS: usize = 32;
/// Rows.
pub const ROWS: usize = 2;

const HEAD: u64 = 0b1010;
const TAIL: u64 = 0b0101;

/// CRC-8 with polynomial 0x07.
#[must_use]
pub fn crc8(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |crc, byte| (0..8).fold(crc ^ byte, |c: u8, _| if c & 0x80 != 0 { (c << 1) ^ 0x07 } else { c << 1 }))
}

/// The 64 bits for a time (its low 48 bits), bit 0 of the layout being the most significant.
#[must_use]
pub fn encode(wall_ms: u64) -> u64 {
    let ms = wall_ms & 0xffff_ffff_ffff;
    let crc = crc8(&ms.to_be_bytes()[2..]);
    HEAD << 60 | ms << 12 | u64::from(crc) << 4 | TAIL
}

/// The time in 64 bits, if they are intact.
#[must_use]
pub fn decode(bits: u64) -> Option<u64> {
    let ms = bits >> 12 & 0xffff_ffff_ffff;
    (encode(ms) == bits).then_some(ms)
}

/// The rectangle of a cell in pixels: x from, x to, y from, y to (ends excluded).
#[must_use]
pub fn rectangle(row: usize, column: usize, width: usize, height: usize) -> (usize, usize, usize, usize) {
    (
        column * width / COLUMNS,
        (column + 1) * width / COLUMNS,
        (32 + 2 * row) * height / 36,
        (34 + 2 * row) * height / 36,
    )
}

/// Reads the cells of a luma plane (one byte a pixel, rows `stride` bytes apart): milliseconds
/// since the epoch, or none if there is no intact card.
#[must_use]
pub fn read(luma: &[u8], stride: usize, width: usize, height: usize) -> Option<u64> {
    if width < COLUMNS * 2 || height < 36 || stride < width || luma.len() < stride.checked_mul(height - 1)? + width {
        return None;
    }
    let mut levels = [0u32; COLUMNS * ROWS];
    for (i, level) in levels.iter_mut().enumerate() {
        let (x0, x1, y0, y1) = rectangle(i / COLUMNS, i % COLUMNS, width, height);
        let (qx, qy) = ((x1 - x0) / 4, (y1 - y0) / 4);
        let (xs, ys) = (x0 + qx..(x1 - qx).max(x0 + qx + 1), y0 + qy..(y1 - qy).max(y0 + qy + 1));
        let count = u32::try_from(xs.len() * ys.len()).ok()?;
        let sum: u32 = ys.flat_map(|y| luma[y * stride..][xs.clone()].iter()).map(|v| u32::from(*v)).sum();
        *level = sum * 16 / count.max(1);
    }
    let white = (levels[0] + levels[2] + levels[61] + levels[63]) / 4;
    let black = (levels[1] + levels[3] + levels[60] + levels[62]) / 4;
    if white < black + 40 * 16 {
        return None;
    }
    let threshold = u32::midpoint(white, black);
    decode(levels.iter().fold(0, |bits, level| bits << 1 | u64::from(*level > threshold)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_holds() {
        assert_eq!(crc8(b"123456789"), 0xf4);
        let bits = encode(1_763_700_000_000);
        assert_eq!(format!("{bits:016X}"), "A019AA4B645007B5");
        assert_eq!(decode(bits), Some(1_763_700_000_000));
    }

    #[test]
    fn one_wrong_bit_is_noticed() {
        let bits = encode(1_763_700_123_456);
        for i in 0..64 {
            assert_eq!(decode(bits ^ 1 << i), None, "bit {i}");
        }
    }

    #[test]
    fn planes_of_odd_shapes_are_refused_not_indexed() {
        assert_eq!(read(&[], 0, 0, 0), None);
        assert_eq!(read(&[0; 100], 64, 64, 36), None);
        assert_eq!(read(&[200; 64 * 36], 64, 64, 36), None);
    }
}
