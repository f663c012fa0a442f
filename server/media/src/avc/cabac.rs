//! Just enough of the arithmetic coder (ITU-T H.264, 9.3.4.5) to code a P slice in which every
//! macroblock is skipped.
//!
//! All of its `mb_skip_flag`s are 1, and a neighbour that is skipped or missing adds nothing to the
//! context's index, so one context (11) serves throughout. With the slice's QP at 51 that context starts
//! out believing in 1, so the less probable path never occurs.

use super::bits::BitWriter;

/// The QP for which [`skipped_macroblocks`] codes.
pub(crate) const SLICE_QP: i32 = 51;

/// `pStateIdx` of context 11 at [`SLICE_QP`] and `cabac_init_idc` 0 (m = 23, n = 33 in table 9-13), with
/// `valMPS` 1: ((23 * 51) >> 4) + 33 - 64.
const FIRST_STATE: usize = 42;

/// `rangeTabLPS` (table 9-44) from state 42 on.
const RANGE_LPS: [[u16; 4]; 21] = [
    [16, 20, 23, 27],
    [15, 19, 22, 25],
    [14, 18, 21, 24],
    [14, 17, 20, 23],
    [13, 16, 19, 22],
    [12, 15, 18, 21],
    [12, 14, 17, 20],
    [11, 14, 16, 19],
    [11, 13, 15, 18],
    [10, 12, 15, 17],
    [10, 12, 14, 16],
    [9, 11, 13, 15],
    [9, 11, 12, 14],
    [8, 10, 12, 14],
    [8, 9, 11, 13],
    [7, 9, 11, 12],
    [7, 9, 10, 12],
    [7, 8, 10, 11],
    [6, 8, 9, 11],
    [6, 7, 9, 10],
    [6, 7, 8, 9],
];
/// The most confident state but for the one that ends slices.
const LAST_STATE: usize = 62;

struct Encoder<'a> {
    out: &'a mut BitWriter,
    low: u32,
    range: u32,
    first: bool,
    outstanding: u32,
    state: usize,
}

impl Encoder<'_> {
    /// The more probable symbol of the one context.
    fn more_probable(&mut self) {
        let quarter = (self.range >> 6 & 3) as usize;
        self.range -= u32::from(RANGE_LPS[self.state - FIRST_STATE][quarter]);
        self.state = (self.state + 1).min(LAST_STATE);
        self.renormalise();
    }

    /// `end_of_slice_flag`; the last one brings the stop bit of the payload with it.
    fn terminate(&mut self, end: bool) {
        self.range -= 2;
        if !end {
            return self.renormalise();
        }
        self.low += self.range;
        self.range = 2;
        self.renormalise();
        self.put(self.low >> 9 & 1 == 1);
        self.out.bits(self.low >> 7 & 3 | 1, 2);
    }

    fn renormalise(&mut self) {
        while self.range < 256 {
            if self.low < 256 {
                self.put(false);
            } else if self.low >= 512 {
                self.low -= 512;
                self.put(true);
            } else {
                self.low -= 256;
                self.outstanding += 1;
            }
            self.range <<= 1;
            self.low <<= 1;
        }
    }

    fn put(&mut self, bit: bool) {
        if self.first {
            self.first = false;
        } else {
            self.out.flag(bit);
        }
        for _ in 0..std::mem::take(&mut self.outstanding) {
            self.out.flag(!bit);
        }
    }
}

/// Writes the slice data of `count` skipped macroblocks (at least 1), from `cabac_alignment_one_bit` to
/// the stop bit.
pub(crate) fn skipped_macroblocks(out: &mut BitWriter, count: u32) {
    while !out.aligned() {
        out.flag(true);
    }
    let mut coder = Encoder { out, low: 0, range: 510, first: true, outstanding: 0, state: FIRST_STATE };
    for left in (0..count).rev() {
        coder.more_probable();
        coder.terminate(left == 0);
    }
}
