//! Drawing the card: the background once, then only what changes.

use std::sync::Arc;

use ffmpeg_next::frame;
use mujian_media::time::MediaTime;

use super::canvas::{Canvas, Colour, blit, hex};
use super::{LAMP, PULSE_MS, cells, glyph};
use crate::Picture;

// The house's colours.
const INK0: Colour = hex(0x0d0c0b);
const INK1: Colour = hex(0x151311);
const LINE: Colour = hex(0x37312b);
const PAPER1: Colour = hex(0xf3eadb);
const PAPER3: Colour = hex(0x968b7c);
const CINNABAR: Colour = hex(0xe4472f);
const CINNABAR_DEEP: Colour = hex(0x8e1f16);
const GOLD: Colour = hex(0xdcb46a);
const JADE: Colour = hex(0x5bb89b);
const WHITE: Colour = [1.0; 3];

/// Characters of the clock: `HH:MM:SS.mmm`.
const CLOCK: usize = 12;

struct Sheet {
    frame: Arc<frame::Video>,
    digits: [u8; CLOCK],
    lamp: bool,
    bits: Option<u64>,
    dot: Option<usize>,
}

/// Draws test cards of one size. Frames that nobody holds any more are drawn on again.
pub struct TestCard {
    width: usize,
    height: usize,
    background: frame::Video,
    lamp_on: frame::Video,
    digits: Vec<frame::Video>,
    dot: frame::Video,
    sheets: Vec<Sheet>,
    utc_offset_ms: i64,
}

/// The offset of this computer's local time from UTC now, in seconds; 0 where it is not known.
#[must_use]
pub fn local_offset() -> i32 {
    #[cfg(unix)]
    {
        // SAFETY: both calls write only into the locals given to them; an all-zero `tm` is valid.
        unsafe {
            let now = libc::time(std::ptr::null_mut());
            let mut parts: libc::tm = std::mem::zeroed();
            if !libc::localtime_r(&now, &mut parts).is_null() {
                return i32::try_from(parts.tm_gmtoff).unwrap_or(0);
            }
        }
    }
    0
}

impl TestCard {
    /// A card of `width` x `height` pixels (rounded down to even, at least 64 x 36), whose readable
    /// clock is `utc_offset` seconds ahead of UTC.
    #[must_use]
    pub fn new(width: u32, height: u32, utc_offset: i32) -> Self {
        crate::init();
        let (width, height) = ((width.max(64) & !1) as usize, (height.max(36) & !1) as usize);
        let background = draw_background(width, height, false);
        let lit = draw_background(width, height, true);
        let ((lx, ly), size) = lamp_box(width, height);
        let mut lamp_on = frame::Video::new(ffmpeg_next::format::Pixel::YUV420P, size.0 as u32, size.1 as u32);
        blit(&lit, (lx, ly), &mut lamp_on, (0, 0), size);
        let (_, tile) = clock_box(width, height, 0);
        let digits = ('0'..='9').map(|c| draw_digit(c, tile, height)).collect();
        let r = dot_radius(height);
        let mut dot = Canvas::new(4 * r, 2 * r, INK1);
        dot.disc(2.0 * r as f32, r as f32, r as f32 * 0.8, GOLD);
        // The rail that the dot runs on passes behind it.
        Self {
            width,
            height,
            background,
            lamp_on,
            digits,
            dot: dot.to_frame(),
            sheets: Vec::new(),
            utc_offset_ms: i64::from(utc_offset) * 1000,
        }
    }

    /// The card at a wall time (milliseconds since the epoch), captured at `at` of the media clock.
    pub fn draw(&mut self, wall_ms: u64, at: MediaTime) -> Picture {
        let free =
            self.sheets.iter().position(|s| Arc::strong_count(&s.frame) == 1 && crate::picture::is_writable(&s.frame));
        let index = free.unwrap_or_else(|| {
            // An encoder, a preview and what is in flight: a handful. More means that somebody
            // keeps them; those are given up.
            if self.sheets.len() >= 16 {
                self.sheets.remove(0);
            }
            self.sheets.push(self.fresh());
            self.sheets.len() - 1
        });
        let mut sheet = self.sheets.swap_remove(index);
        if let Some(frame) = Arc::get_mut(&mut sheet.frame) {
            let mut marks = (sheet.digits, sheet.lamp, sheet.bits, sheet.dot);
            self.update(frame, &mut marks, wall_ms);
            (sheet.digits, sheet.lamp, sheet.bits, sheet.dot) = marks;
        }
        let picture = Picture::from_shared(Arc::clone(&sheet.frame), at);
        self.sheets.push(sheet);
        picture
    }

    fn fresh(&self) -> Sheet {
        let mut frame = frame::Video::new(self.background.format(), self.width as u32, self.height as u32);
        blit(&self.background, (0, 0), &mut frame, (0, 0), (self.width, self.height));
        Sheet { frame: Arc::new(frame), digits: [b' '; CLOCK], lamp: false, bits: None, dot: None }
    }

    fn update(
        &self,
        frame: &mut frame::Video,
        (digits, lamp, bits, dot): &mut ([u8; CLOCK], bool, Option<u64>, Option<usize>),
        wall_ms: u64,
    ) {
        let text = clock_text(wall_ms, self.utc_offset_ms);
        for (i, c) in text.into_iter().enumerate() {
            if digits[i] != c && c.is_ascii_digit() {
                let (at, size) = clock_box(self.width, self.height, i);
                blit(&self.digits[usize::from(c - b'0')], (0, 0), frame, at, size);
                digits[i] = c;
            }
        }
        let on = wall_ms % 1000 < PULSE_MS;
        if *lamp != on {
            let (at, size) = lamp_box(self.width, self.height);
            match on {
                true => blit(&self.lamp_on, (0, 0), frame, at, size),
                false => blit(&self.background, at, frame, at, size),
            }
            *lamp = on;
        }
        let (rail, size) = dot_rail(self.width, self.height);
        let x = (rail.0 + (wall_ms % 1000) as usize * (rail.1 - rail.0) / 1000) & !1;
        if *dot != Some(x) {
            if let Some(old) = *dot {
                blit(&self.background, (old, rail.2), frame, (old, rail.2), size);
            }
            blit(&self.dot, (0, 0), frame, (x, rail.2), size);
            *dot = Some(x);
        }
        let now = cells::encode(wall_ms);
        let changed = bits.map_or(u64::MAX, |b| b ^ now);
        for i in (0..64).filter(|i| changed >> (63 - i) & 1 != 0) {
            let (x0, x1, y0, y1) = cells::rectangle(i / cells::COLUMNS, i % cells::COLUMNS, self.width, self.height);
            let level = if now >> (63 - i) & 1 != 0 { 235 } else { 16 };
            let stride = frame.stride(0);
            for y in y0..y1 {
                frame.data_mut(0)[y * stride + x0..y * stride + x1].fill(level);
            }
        }
        *bits = Some(now);
    }
}

fn clock_text(wall_ms: u64, utc_offset_ms: i64) -> [u8; CLOCK] {
    let local = i64::try_from(wall_ms).unwrap_or(0).saturating_add(utc_offset_ms);
    let day = local.rem_euclid(86_400_000);
    let digit = |v: i64, unit: i64| b'0' + u8::try_from(v / unit % 10).unwrap_or(0);
    let (h, m, s, ms) = (day / 3_600_000, day / 60_000 % 60, day / 1000 % 60, day % 1000);
    [
        digit(h, 10),
        digit(h, 1),
        b':',
        digit(m, 10),
        digit(m, 1),
        b':',
        digit(s, 10),
        digit(s, 1),
        b'.',
        digit(ms, 100),
        digit(ms, 10),
        digit(ms, 1),
    ]
}

fn even(v: f32) -> usize {
    (v.max(0.0) as usize) & !1
}

/// Left advance of each character of the clock, in units.
fn advance(i: usize) -> f32 {
    // Digits take 4.2 units, the marks between them 1.9.
    [0.0, 4.2, 8.4, 10.3, 14.5, 18.7, 20.6, 24.8, 29.0, 30.9, 35.1, 39.3][i]
}

/// Position and size of a character of the clock.
fn clock_box(width: usize, height: usize, i: usize) -> ((usize, usize), (usize, usize)) {
    let (ux, uy) = (width as f32 / 64.0, height as f32 / 36.0);
    let wide = if matches!(i, 2 | 5 | 8) { 1.9 } else { 4.2 };
    ((even((10.25 + advance(i)) * ux), even(13.2 * uy)), (even(wide * ux), even(8.4 * uy)))
}

fn lamp_box(width: usize, height: usize) -> ((usize, usize), (usize, usize)) {
    let (ux, uy) = (width as f32 / 64.0, height as f32 / 36.0);
    let r = LAMP.2 + 0.6;
    ((even((LAMP.0 - r) * ux), even((LAMP.1 - r) * uy)), (even(2.0 * r * ux), even(2.0 * r * uy)))
}

fn dot_radius(height: usize) -> usize {
    (height / 72).max(2) & !1
}

/// The rail of the moving dot: first and last left edge and the top edge, and the size of the dot's tile.
fn dot_rail(width: usize, height: usize) -> ((usize, usize, usize), (usize, usize)) {
    let r = dot_radius(height);
    let (ux, uy) = (width as f32 / 64.0, height as f32 / 36.0);
    ((even(8.0 * ux), even(56.0 * ux) - 4 * r, even(24.0 * uy) - r), (4 * r, 2 * r))
}

fn draw_digit(c: char, tile: (usize, usize), height: usize) -> frame::Video {
    let mut canvas = Canvas::new(tile.0, tile.1, INK1);
    let size = height as f32 / 36.0 * 5.6;
    let stroke = size * 0.105;
    let x = (tile.0 as f32 - glyph::WIDTH * size) / 2.0;
    let y = (tile.1 as f32 - size) / 2.0;
    canvas.strokes(&glyph::placed(glyph::strokes(c), x, y, size), stroke, PAPER1);
    canvas.to_frame()
}

fn text(canvas: &mut Canvas, words: &str, x: f32, y: f32, size: f32, colour: Colour) {
    let mut x = x;
    for c in words.chars() {
        canvas.strokes(&glyph::placed(glyph::strokes(c), x, y, size), size * 0.12, colour);
        x += size * if matches!(c, ' ' | 'I') { 0.58 } else { 0.92 };
    }
}

fn draw_background(width: usize, height: usize, lamp: bool) -> frame::Video {
    let (w, h) = (width as f32, height as f32);
    let (ux, uy) = (w / 64.0, h / 36.0);
    let mut c = Canvas::new(width, height, INK1);
    // The curtain, in folds, drawn aside.
    for side in [0.0, 1.0] {
        let (from, to) = if side == 0.0 { (0.0, 5.0 * ux) } else { (w - 5.0 * ux, w) };
        c.paint([from, to], [0.0, 32.0 * uy], |x, y| {
            let fold = 0.5 + 0.5 * ((x - from) / (5.0 * ux) * std::f32::consts::TAU * 2.5 + side * 1.3).cos();
            let light = (0.30 + 0.70 * fold) * (1.0 - 0.25 * y / (32.0 * uy));
            [0, 1, 2].map(|i| (CINNABAR_DEEP[i] + (CINNABAR[i] - CINNABAR_DEEP[i]) * fold * 0.55) * light)
        });
    }
    // The stage's frame: hairlines.
    let hair = (uy * 0.08).max(1.0);
    for (x, y) in [([7.0, 57.0], [11.6, 11.6]), ([7.0, 57.0], [22.8, 22.8])] {
        c.paint([x[0] * ux, x[1] * ux], [y[0] * uy, y[1] * uy + hair], |_, _| LINE);
    }
    // The seal and the name.
    let (sx, sy, s) = (8.0 * ux, 3.4 * uy, 6.6 * uy);
    let corner = s * 0.12;
    c.cover(
        [sx, sx + s],
        [sy, sy + s],
        |x, y| {
            let dx = ((x - sx - s / 2.0).abs() - (s / 2.0 - corner)).max(0.0);
            let dy = ((y - sy - s / 2.0).abs() - (s / 2.0 - corner)).max(0.0);
            corner + 0.5 - dx.hypot(dy)
        },
        |_, _| CINNABAR,
    );
    for (i, strokes) in glyph::name().into_iter().enumerate() {
        let size = s * 0.36;
        let x = sx + s * 0.10 + i as f32 * s * 0.44;
        c.strokes(&glyph::placed(strokes, x, sy + s * 0.5 - size * 0.52, size), size * 0.085, PAPER1);
    }
    text(&mut c, "MUJIAN", sx + s + 1.8 * ux, sy + 0.5 * uy, 2.9 * uy, PAPER1);
    text(&mut c, "TEST CARD", sx + s + 1.8 * ux, sy + 4.7 * uy, 1.4 * uy, PAPER3);
    // The lamp.
    let (lx, ly, lr) = (LAMP.0 * ux, LAMP.1 * uy, LAMP.2 * uy);
    c.disc(lx, ly, lr + hair * 2.0, if lamp { GOLD } else { LINE });
    c.disc(lx, ly, lr, if lamp { WHITE } else { hex(0x1d1a17) });
    // The clock's marks; its digits change.
    for (i, mark) in [(2, ':'), (5, ':'), (8, '.')] {
        let (at, tile) = clock_box(width, height, i);
        let size = 5.6 * uy;
        let x = at.0 as f32 + (tile.0 as f32 - glyph::WIDTH * size) / 2.0;
        let y = at.1 as f32 + (tile.1 as f32 - size) / 2.0;
        c.strokes(&glyph::placed(glyph::strokes(mark), x, y, size), size * 0.13, GOLD);
    }
    // The second's rail, with tenths.
    c.paint([8.0 * ux, 56.0 * ux], [24.0 * uy, 24.0 * uy + hair], |_, _| LINE);
    for tenth in 0..=10 {
        let x = (8.0 + 4.8 * tenth as f32) * ux;
        c.paint([x, x + hair], [25.0 * uy, 25.6 * uy], |_, _| PAPER3);
    }
    // Colours and greys, to judge the picture by.
    let patches = [CINNABAR_DEEP, CINNABAR, GOLD, PAPER1, JADE, [0.1, 0.3, 0.9], [0.85, 0.1, 0.75], INK0];
    c.paint([8.0 * ux, 56.0 * ux], [27.0 * uy, 29.0 * uy], |x, _| {
        patches[((x / ux - 8.0) / 6.0).clamp(0.0, 7.0) as usize]
    });
    c.paint([8.0 * ux, 56.0 * ux], [29.0 * uy, 30.4 * uy], |x, _| {
        [((x / ux - 8.0) / 3.0).floor().clamp(0.0, 15.0) / 15.0; 3]
    });
    // Below lie the cells: black until they are drawn.
    c.paint([0.0, w], [(32 * height / 36) as f32, h], |_, _| [0.0; 3]);
    c.to_frame()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testcard::lamp_is_on;

    fn luma(p: &Picture) -> (&[u8], usize) {
        (p.plane(0), p.stride(0))
    }

    #[test]
    fn every_size_is_readable() {
        for (w, h) in [(960, 540), (1280, 720), (1920, 1080), (320, 180), (640, 480), (65, 37)] {
            let mut card = TestCard::new(w, h, 3600);
            for wall in [0, 1_763_700_000_000, 1_763_700_000_099, 1_763_700_000_100, 0xffff_ffff_ffff] {
                let p = card.draw(wall, MediaTime::ZERO);
                let (plane, stride) = luma(&p);
                let read = cells::read(plane, stride, p.width() as usize, p.height() as usize);
                assert_eq!(read, Some(wall), "{w}x{h}");
                if w >= 320 {
                    assert_eq!(
                        lamp_is_on(plane, stride, p.width(), p.height()),
                        Some(wall % 1000 < 100),
                        "{w}x{h} {wall}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_frame_that_is_drawn_on_again_equals_a_new_one() {
        let mut card = TestCard::new(640, 360, 0);
        for wall in [1_763_700_000_000_u64, 1_763_700_000_033, 1_763_700_000_999, 1_763_703_661_050] {
            let reused = card.draw(wall, MediaTime::ZERO);
            let fresh = TestCard::new(640, 360, 0).draw(wall, MediaTime::ZERO);
            for plane in 0..3 {
                assert!(reused.plane(plane) == fresh.plane(plane), "plane {plane} at {wall}");
            }
            assert!(card.sheets.len() == 1, "nobody held the frame, so it is used again");
        }
    }

    #[test]
    fn a_held_frame_is_left_alone() {
        let mut card = TestCard::new(320, 180, 0);
        let held = card.draw(1000, MediaTime::ZERO);
        let _next = card.draw(2033, MediaTime::ZERO);
        let (plane, stride) = luma(&held);
        assert_eq!(cells::read(plane, stride, 320, 180), Some(1000));
    }

    #[test]
    fn the_clock_reads_local_time() {
        let text = |ms, offset| String::from_utf8(clock_text(ms, offset).to_vec()).unwrap();
        assert_eq!(text(86_400_000 * 3 + 3_723_004, 0), "01:02:03.004");
        assert_eq!(text(0, -1000), "23:59:59.000");
    }
}
