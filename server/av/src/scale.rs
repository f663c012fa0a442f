//! Scaling and converting pictures, with the aspect kept by bars.

use ffmpeg_next::software::scaling::Flags;
use ffmpeg_next::{ffi, format::Pixel, frame};

use crate::error::check;
use crate::frames::Frames;
use crate::{AvError, Picture};

/// Where a picture of one shape lies inside one of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Left edge, even.
    pub x: u32,
    /// Top edge, even.
    pub y: u32,
    /// Width, even, at least 2.
    pub width: u32,
    /// Height, even, at least 2.
    pub height: u32,
}

/// The largest centred rectangle of the shape `width` x `height` (pixels `sar` times as wide as
/// they are high) inside `into`. All edges are even, since chroma is at half resolution.
#[must_use]
pub fn fit(width: u32, height: u32, sar: (u32, u32), into: (u32, u32)) -> Fit {
    let (sn, sd) = if sar.0 == 0 || sar.1 == 0 { (1, 1) } else { sar };
    let shape_w = u128::from(width.max(1)) * u128::from(sn);
    let shape_h = u128::from(height.max(1)) * u128::from(sd);
    let (bw, bh) = (u128::from(into.0.max(2)), u128::from(into.1.max(2)));
    // Compare shape_w/shape_h with bw/bh without dividing.
    let (w, h) = if shape_w * bh > bw * shape_h {
        (bw, (bw * shape_h + shape_w / 2) / shape_w)
    } else {
        ((bh * shape_w + shape_h / 2) / shape_h, bh)
    };
    let even = |v: u128, limit: u32| -> u32 { (u32::try_from(v + 1).unwrap_or(limit).min(limit) & !1).max(2) };
    let (w, h) = (even(w, into.0.max(2)), even(h, into.1.max(2)));
    Fit { x: ((into.0.max(2) - w) / 2) & !1, y: ((into.1.max(2) - h) / 2) & !1, width: w, height: h }
}

/// How carefully to scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Bilinear: for the stream, where the time counts.
    Stream,
    /// The cheapest: for the small preview.
    Preview,
}

struct Sws(*mut ffi::SwsContext);
// SAFETY: an SwsContext has no ties to a thread; it is used by one thread at a time (`&mut self`).
unsafe impl Send for Sws {}
impl Drop for Sws {
    fn drop(&mut self) {
        // SAFETY: the pointer came from sws_getContext or is null, which sws_freeContext takes.
        unsafe { ffi::sws_freeContext(self.0) };
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
struct Shape {
    format: Pixel,
    width: u32,
    height: u32,
    sar: (u32, u32),
    space: i32,
    full: bool,
}

/// Turns pictures of any size and format into one size and format. It follows the input when that
/// changes in mid-stream. The output is BT.709, limited range (full range for `YUVJ420P`).
pub struct Scaler {
    format: Pixel,
    width: u32,
    height: u32,
    quality: Quality,
    current: Option<(Shape, Fit, Sws)>,
    frames: Frames,
}

impl Scaler {
    /// A scaler to `width` x `height` pixels (both even) of `format`: YUV420P, YUVJ420P or NV12.
    #[must_use]
    pub fn new(format: Pixel, width: u32, height: u32, quality: Quality) -> Self {
        crate::init();
        Self { format, width, height, quality, current: None, frames: Frames::default() }
    }

    /// The picture in the wanted shape; the same one if it already has it.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`] if swscale cannot read the format.
    pub fn run(&mut self, picture: &Picture) -> Result<Picture, AvError> {
        let input = picture.frame();
        let sar = aspect(input);
        if picture.format() == self.format
            && picture.width() == self.width
            && picture.height() == self.height
            && sar.0 == sar.1
        {
            return Ok(picture.clone());
        }
        let shape = Shape {
            format: picture.format(),
            width: picture.width(),
            height: picture.height(),
            sar,
            space: colour_space(input),
            full: is_full_range(input),
        };
        if self.current.as_ref().is_none_or(|(s, ..)| *s != shape) {
            self.current = None;
            self.frames.clear();
            let (fit, sws) = self.prepare(shape)?;
            self.current = Some((shape, fit, sws));
        }
        let (format, width, height) = (self.format, self.width, self.height);
        let mut shared = self.frames.take(|| barred(format, width, height));
        let Some((_, fit, sws)) = &self.current else { return Err(scale_error("no context")) };
        let Some(output) = std::sync::Arc::get_mut(&mut shared) else { return Err(scale_error("frame in use")) };
        let (data, lines) = planes_at(output, self.format, *fit);
        // SAFETY: the context was made for exactly this input shape and for `fit`'s size; `data`
        // points into `output` at `fit`'s corner, and fit lies inside it, so every row written is
        // inside the frame. Input pointers and strides are those of a live frame.
        let done = unsafe {
            ffi::sws_scale(
                sws.0,
                (*input.as_ptr()).data.as_ptr().cast(),
                (*input.as_ptr()).linesize.as_ptr(),
                0,
                i32::try_from(shape.height).unwrap_or(i32::MAX),
                data.as_ptr(),
                lines.as_ptr(),
            )
        };
        check(done).map_err(AvError::ffmpeg("scale a picture"))?;
        self.frames.keep(&shared);
        Ok(Picture::from_shared(shared, picture.at))
    }

    fn prepare(&self, shape: Shape) -> Result<(Fit, Sws), AvError> {
        let fit = fit(shape.width, shape.height, shape.sar, (self.width, self.height));
        let int = |v: u32| i32::try_from(v).unwrap_or(i32::MAX);
        let same = fit.width == shape.width && fit.height == shape.height;
        let flags = match self.quality {
            // Nothing is scaled but the chroma of RGB input; the cheapest filter is right.
            _ if same => Flags::FAST_BILINEAR.bits(),
            Quality::Stream => Flags::BILINEAR.bits(),
            Quality::Preview => Flags::FAST_BILINEAR.bits(),
        };
        // SAFETY: plain integers in, a context or null out; the null filters mean "default".
        let sws = Sws(unsafe {
            ffi::sws_getContext(
                int(shape.width),
                int(shape.height),
                shape.format.into(),
                int(fit.width),
                int(fit.height),
                self.format.into(),
                flags,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        });
        if sws.0.is_null() {
            return Err(scale_error("this pixel format cannot be converted"));
        }
        let out_full = i32::from(self.format == Pixel::YUVJ420P);
        // SAFETY: the context is valid; sws_getCoefficients returns static tables. The call has no
        // effect (and says so by -1) where neither side is YUV, which does not matter here.
        unsafe {
            ffi::sws_setColorspaceDetails(
                sws.0,
                ffi::sws_getCoefficients(shape.space),
                i32::from(shape.full),
                ffi::sws_getCoefficients(ffi::SWS_CS_ITU709),
                out_full,
                0,
                1 << 16,
                1 << 16,
            );
        }
        Ok((fit, sws))
    }
}

/// A frame with its bars already in it.
fn barred(format: Pixel, width: u32, height: u32) -> frame::Video {
    let mut fresh = frame::Video::new(format, width, height);
    blacken(&mut fresh, format);
    fresh
}

fn scale_error(reason: &str) -> AvError {
    AvError::Ffmpeg { what: "scale a picture", reason: reason.into() }
}

pub(crate) fn aspect(frame: &frame::Video) -> (u32, u32) {
    let r = frame.aspect_ratio();
    match (u32::try_from(r.numerator()), u32::try_from(r.denominator())) {
        (Ok(n), Ok(d)) if n > 0 && d > 0 && n <= d.saturating_mul(16) && d <= n.saturating_mul(16) => (n, d),
        _ => (1, 1),
    }
}

fn colour_space(frame: &frame::Video) -> i32 {
    use ffmpeg_next::color::Space;
    match frame.color_space() {
        Space::BT709 => ffi::SWS_CS_ITU709,
        Space::BT2020NCL | Space::BT2020CL => ffi::SWS_CS_BT2020,
        Space::SMPTE240M => ffi::SWS_CS_SMPTE240M,
        Space::FCC => ffi::SWS_CS_FCC,
        Space::BT470BG | Space::SMPTE170M => ffi::SWS_CS_ITU601,
        // Untagged: what players assume, by size.
        _ if frame.height() >= 720 => ffi::SWS_CS_ITU709,
        _ => ffi::SWS_CS_ITU601,
    }
}

fn is_full_range(frame: &frame::Video) -> bool {
    frame.color_range() == ffmpeg_next::color::Range::JPEG
        || matches!(frame.format(), Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P)
}

/// Fills a YUV frame with black.
pub(crate) fn blacken(frame: &mut frame::Video, format: Pixel) {
    let luma = if format == Pixel::YUVJ420P { 0 } else { 16 };
    frame.data_mut(0).fill(luma);
    for plane in 1..frame.planes() {
        frame.data_mut(plane).fill(128);
    }
}

/// For each byte of a row of a 4:2:0 plane so many pixels, and for each row.
pub(crate) fn subsampling(plane: usize, format: Pixel) -> (usize, usize) {
    match (plane, format) {
        (0, _) => (1, 1),
        // Interleaved chroma: two bytes for two pixels.
        (_, Pixel::NV12) => (1, 2),
        _ => (2, 2),
    }
}

/// Pointers to the planes of a 4:2:0 frame, moved to the corner of `fit`.
fn planes_at(frame: &mut frame::Video, format: Pixel, fit: Fit) -> ([*mut u8; 4], [i32; 4]) {
    let mut data = [std::ptr::null_mut(); 4];
    let mut lines = [0; 4];
    let (x, y) = (fit.x as usize, fit.y as usize);
    for plane in 0..frame.planes().min(4) {
        let stride = frame.stride(plane);
        lines[plane] = i32::try_from(stride).unwrap_or(i32::MAX);
        let (across, down) = subsampling(plane, format);
        let offset = (y / down) * stride + x / across;
        data[plane] = frame.data_mut(plane)[offset..].as_mut_ptr();
    }
    (data, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_media::time::MediaTime;

    #[test]
    fn shapes_are_kept() {
        assert_eq!(fit(1920, 1080, (1, 1), (1280, 720)), Fit { x: 0, y: 0, width: 1280, height: 720 });
        assert_eq!(fit(640, 480, (1, 1), (1280, 720)), Fit { x: 160, y: 0, width: 960, height: 720 });
        assert_eq!(fit(1080, 1920, (1, 1), (1280, 720)), Fit { x: 436, y: 0, width: 406, height: 720 });
        assert_eq!(fit(2560, 1080, (1, 1), (1280, 720)), Fit { x: 0, y: 90, width: 1280, height: 540 });
        // Anamorphic PAL.
        assert_eq!(fit(720, 576, (64, 45), (1280, 720)), Fit { x: 0, y: 0, width: 1280, height: 720 });
        // Absurd shapes stay inside.
        for (w, h) in [(1, 100_000), (100_000, 1), (0, 0), (u32::MAX, u32::MAX)] {
            let f = fit(w, h, (1, 1), (960, 540));
            assert!(f.x + f.width <= 960 && f.y + f.height <= 540 && f.width >= 2 && f.height >= 2, "{f:?}");
        }
    }

    #[test]
    fn white_rgb_becomes_white_between_black_bars() {
        let mut rgb = frame::Video::new(Pixel::BGRA, 100, 100);
        rgb.data_mut(0).fill(255);
        let mut scaler = Scaler::new(Pixel::YUV420P, 320, 180, Quality::Stream);
        let out = scaler.run(&Picture::new(rgb, MediaTime::ZERO)).unwrap();
        assert_eq!((out.width(), out.height(), out.format()), (320, 180, Pixel::YUV420P));
        let row = &out.plane(0)[90 * out.stride(0)..];
        assert_eq!(row[10], 16);
        assert_eq!(row[310], 16);
        assert!(row[160] >= 234, "{}", row[160]);
        assert!(out.plane(1)[45 * out.stride(1) + 80].abs_diff(128) <= 1);
    }

    #[test]
    fn nothing_is_copied_when_the_shape_is_right() {
        let p = Picture::new(frame::Video::new(Pixel::YUV420P, 320, 180), MediaTime::ZERO);
        let out = Scaler::new(Pixel::YUV420P, 320, 180, Quality::Stream).run(&p).unwrap();
        assert_eq!(out.plane(0).as_ptr(), p.plane(0).as_ptr());
    }
}
