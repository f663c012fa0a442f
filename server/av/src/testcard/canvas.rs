//! A small RGB canvas with smooth edges, and its conversion to the frames that encoders take.

use ffmpeg_next::{format::Pixel, frame};

/// A colour with parts from 0 to 1, as sRGB writes them.
pub(super) type Colour = [f32; 3];

/// A colour written as in style sheets.
pub(super) const fn hex(rgb: u32) -> Colour {
    [(rgb >> 16 & 255) as f32 / 255.0, (rgb >> 8 & 255) as f32 / 255.0, (rgb & 255) as f32 / 255.0]
}

/// Pixels as RGB.
#[derive(Clone)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, height, pixels: vec![colour; width * height] }
    }

    /// Colours every pixel of a rectangle by a function of its position.
    pub(super) fn paint(&mut self, x: [f32; 2], y: [f32; 2], colour: impl Fn(f32, f32) -> Colour) {
        self.cover(x, y, |_, _| 1.0, colour);
    }

    /// Blends a colour into a rectangle, by a coverage from 0 to 1 of each pixel's centre.
    pub(super) fn cover(
        &mut self,
        x: [f32; 2],
        y: [f32; 2],
        coverage: impl Fn(f32, f32) -> f32,
        colour: impl Fn(f32, f32) -> Colour,
    ) {
        let span = |v: [f32; 2], end: usize| {
            (v[0].floor().max(0.0) as usize).min(end)..(v[1].ceil().max(0.0) as usize).min(end)
        };
        for py in span(y, self.height) {
            for px in span(x, self.width) {
                let (cx, cy) = (px as f32 + 0.5, py as f32 + 0.5);
                let a = coverage(cx, cy).clamp(0.0, 1.0);
                if a > 0.0 {
                    let over = colour(cx, cy);
                    let under = &mut self.pixels[py * self.width + px];
                    for (u, o) in under.iter_mut().zip(over) {
                        *u += (o - *u) * a;
                    }
                }
            }
        }
    }

    /// A filled disc.
    pub(super) fn disc(&mut self, cx: f32, cy: f32, r: f32, colour: Colour) {
        let (x, y) = ([cx - r - 1.0, cx + r + 1.0], [cy - r - 1.0, cy + r + 1.0]);
        self.cover(x, y, |px, py| r + 0.5 - (px - cx).hypot(py - cy), |_, _| colour);
    }

    /// Lines of a width with round ends.
    pub(super) fn strokes(&mut self, lines: &[Vec<(f32, f32)>], width: f32, colour: Colour) {
        let half = width / 2.0;
        for line in lines {
            let bound = |f: fn(&(f32, f32)) -> f32| {
                let low = line.iter().map(f).fold(f32::MAX, f32::min) - half - 1.0;
                let high = line.iter().map(f).fold(f32::MIN, f32::max) + half + 1.0;
                [low, high]
            };
            let near =
                |px: f32, py: f32| line.windows(2).map(|w| distance((px, py), w[0], w[1])).fold(f32::MAX, f32::min);
            self.cover(bound(|p| p.0), bound(|p| p.1), |px, py| half + 0.5 - near(px, py), |_, _| colour);
        }
    }

    /// The canvas as BT.709 with limited range.
    pub(super) fn to_frame(&self) -> frame::Video {
        let (w, h) = (self.width & !1, self.height & !1);
        let mut out = frame::Video::new(Pixel::YUV420P, w as u32, h as u32);
        let stride = out.stride(0);
        for y in 0..h {
            for x in 0..w {
                out.data_mut(0)[y * stride + x] = (16.0 + 219.0 * luma(self.pixels[y * self.width + x])).round() as u8;
            }
        }
        for y in 0..h / 2 {
            for x in 0..w / 2 {
                let mut mean = [0.0; 3];
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let p = self.pixels[(2 * y + dy) * self.width + 2 * x + dx];
                    (0..3).for_each(|i| mean[i] += p[i] / 4.0);
                }
                let l = luma(mean);
                let (su, sv) = (out.stride(1), out.stride(2));
                out.data_mut(1)[y * su + x] = (128.0 + 224.0 * (mean[2] - l) / 1.8556).round() as u8;
                out.data_mut(2)[y * sv + x] = (128.0 + 224.0 * (mean[0] - l) / 1.5748).round() as u8;
            }
        }
        out
    }
}

fn luma(p: Colour) -> f32 {
    0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2]
}

fn distance(p: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let t = if length > 0.0 { (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (p.0 - a.0 - t * dx).hypot(p.1 - a.1 - t * dy)
}

/// Copies a rectangle (even position and size) of 4:2:0 pixels from one frame to another.
pub(super) fn blit(
    from: &frame::Video,
    from_at: (usize, usize),
    to: &mut frame::Video,
    to_at: (usize, usize),
    size: (usize, usize),
) {
    for plane in 0..3 {
        let s = usize::from(plane > 0);
        let (fs, ts) = (from.stride(plane), to.stride(plane));
        let width = size.0 >> s;
        for row in 0..size.1 >> s {
            let source = &from.data(plane)[((from_at.1 >> s) + row) * fs + (from_at.0 >> s)..][..width];
            to.data_mut(plane)[((to_at.1 >> s) + row) * ts + (to_at.0 >> s)..][..width].copy_from_slice(source);
        }
    }
}
