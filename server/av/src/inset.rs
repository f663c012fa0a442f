//! A small picture over a large one.

use std::sync::Arc;

use ffmpeg_next::{format::Pixel, frame};

use crate::frames::Frames;
use crate::scale::{Fit, Quality, Scaler, aspect, fit, subsampling};
use crate::{AvError, Picture};

/// Where the small picture lies, as shares of the large one: so it holds for every size of that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Its width, from 0 to 1.
    pub width: f32,
    /// How far to the right it lies, of the way that it has, from 0 to 1.
    pub x: f32,
    /// How far down it lies, of the way that it has, from 0 to 1.
    pub y: f32,
}

impl Place {
    /// The rectangle inside a picture of the size `into` (even, at least 2) for a small one of the size `of`, whose pixels are
    /// `sar` times as wide as they are high. Its shape is kept; it is never higher than the large one.
    #[must_use]
    pub fn spot(self, of: (u32, u32), sar: (u32, u32), into: (u32, u32)) -> Fit {
        let share = |v: f32| if v.is_finite() { v.clamp(0.0, 1.0) } else { 0.0 };
        let most = (into.0 as f32 * share(self.width)) as u32;
        let fit = fit(of.0, of.1, sar, (most.clamp(2, into.0.max(2)), into.1.max(2)));
        let at = |way: u32, part: f32| ((way as f32 * share(part)) as u32) & !1;
        Fit {
            x: at(into.0.saturating_sub(fit.width), self.x),
            y: at(into.1.saturating_sub(fit.height), self.y),
            width: fit.width,
            height: fit.height,
        }
    }
}

/// Lays small pictures over large ones. It follows both when they change their sizes in mid-stream.
#[derive(Default)]
pub struct Insetter {
    scaler: Option<(Pixel, (u32, u32), Scaler)>,
    /// Shape of the large one.
    shape: Option<(Pixel, u32, u32)>,
    frames: Frames,
}

impl Insetter {
    /// The large picture with the small one on it, at the large one's time. The large one must be of YUV420P, YUVJ420P or
    /// NV12; it is not changed.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`] for another format, or if swscale cannot read the small one's.
    pub fn lay(&mut self, small: &Picture, over: &Picture, place: Place) -> Result<Picture, AvError> {
        let format = over.format();
        if !matches!(format, Pixel::YUV420P | Pixel::YUVJ420P | Pixel::NV12) {
            return Err(failed("the large one's format is not one that is sent"));
        }
        let into = (over.width() & !1, over.height() & !1);
        let spot = place.spot((small.width(), small.height()), aspect(small.frame()), into);
        if into.0 < spot.width || into.1 < spot.height {
            return Err(failed("the large one is too small"));
        }
        let size = (spot.width, spot.height);
        if self.scaler.as_ref().is_none_or(|(f, s, _)| (*f, *s) != (format, size)) {
            self.scaler = Some((format, size, Scaler::new(format, size.0, size.1, Quality::Stream)));
        }
        let Some((.., scaler)) = &mut self.scaler else { return Err(failed("no scaler")) };
        let small = scaler.run(small)?;
        let mut shared = self.copy_of(over);
        let Some(frame) = Arc::get_mut(&mut shared) else { return Err(failed("frame in use")) };
        for plane in 0..frame.planes() {
            let (across, down) = subsampling(plane, format);
            let (x, width) = (spot.x as usize / across, spot.width as usize / across);
            let (y, height) = (spot.y as usize / down, spot.height as usize / down);
            let (stride, from) = (frame.stride(plane), small.stride(plane));
            let (rows, source) = (frame.data_mut(plane), small.plane(plane));
            for row in 0..height {
                let to = (y + row) * stride + x;
                rows[to..to + width].copy_from_slice(&source[row * from..row * from + width]);
            }
        }
        self.frames.keep(&shared);
        Ok(Picture::from_shared(shared, over.at))
    }

    /// A copy to draw on: in a frame of ours that nobody holds any more, or in a new one.
    fn copy_of(&mut self, picture: &Picture) -> Arc<frame::Video> {
        let shape = (picture.format(), picture.width(), picture.height());
        if self.shape.replace(shape) != Some(shape) {
            self.frames.clear();
        }
        let mut shared = self.frames.take(|| frame::Video::new(shape.0, shape.1, shape.2));
        if let Some(frame) = Arc::get_mut(&mut shared) {
            frame.set_color_range(picture.frame().color_range());
            frame.set_color_space(picture.frame().color_space());
            for plane in 0..frame.planes() {
                let (stride, from) = (frame.stride(plane), picture.stride(plane));
                let (rows, source) = (frame.data_mut(plane), picture.plane(plane));
                for (to, row) in rows.chunks_exact_mut(stride).zip(source.chunks_exact(from)) {
                    let bytes = stride.min(from);
                    to[..bytes].copy_from_slice(&row[..bytes]);
                }
            }
        }
        shared
    }
}

fn failed(reason: &str) -> AvError {
    AvError::Ffmpeg { what: "lay a picture over another", reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_media::time::MediaTime;
    use proptest::prelude::*;

    fn grey(format: Pixel, width: u32, height: u32, luma: u8) -> Picture {
        crate::init();
        let mut frame = frame::Video::new(format, width, height);
        crate::scale::blacken(&mut frame, format);
        frame.data_mut(0).fill(luma);
        Picture::new(frame, MediaTime::from_millis(7))
    }

    const CORNER: Place = Place { width: 0.25, x: 1.0, y: 1.0 };

    #[test]
    fn the_small_one_lies_in_its_corner_and_nothing_else_changes() {
        for format in [Pixel::YUV420P, Pixel::YUVJ420P, Pixel::NV12] {
            let (large, small) = (grey(format, 640, 360, 40), grey(Pixel::YUV420P, 320, 180, 200));
            let mut insetter = Insetter::default();
            let out = insetter.lay(&small, &large, CORNER).unwrap();
            assert_eq!((out.format(), out.width(), out.height(), out.at), (format, 640, 360, large.at));
            let at = |x: usize, y: usize| out.plane(0)[y * out.stride(0) + x];
            // 160 x 90, from (480, 270) on.
            assert!(at(480, 270) > 150 && at(639, 359) > 150 && at(560, 315) > 150, "{format:?}");
            assert!([(479, 270), (480, 269), (0, 0), (639, 269)].iter().all(|(x, y)| at(*x, *y) == 40), "{format:?}");
            // The large one is somebody else's.
            assert!(large.plane(0).iter().take(640).all(|v| *v == 40));
            assert_eq!(large.plane(0)[300 * large.stride(0) + 500], 40);
        }
    }

    #[test]
    fn frames_are_used_again_once_nobody_holds_them() {
        let (large, small) = (grey(Pixel::YUV420P, 320, 180, 40), grey(Pixel::BGRA, 64, 64, 255));
        let mut insetter = Insetter::default();
        let first = insetter.lay(&small, &large, CORNER).unwrap();
        let kept = first.clone();
        let second = insetter.lay(&small, &large, CORNER).unwrap();
        assert_ne!(first.plane(0).as_ptr(), second.plane(0).as_ptr());
        let free = first.plane(0).as_ptr();
        drop((first, kept));
        let third = insetter.lay(&small, &large, Place { x: 0.0, y: 0.0, ..CORNER }).unwrap();
        assert_eq!(third.plane(0).as_ptr(), free);
        // Nothing of what was drawn on it before is left.
        assert_eq!(third.plane(0)[179 * third.stride(0) + 319], 40);
    }

    #[test]
    fn what_is_not_sent_is_refused() {
        let small = grey(Pixel::YUV420P, 64, 64, 200);
        assert!(Insetter::default().lay(&small, &grey(Pixel::BGRA, 320, 180, 1), CORNER).is_err());
    }

    proptest! {
        /// Whatever is asked for, it lies inside.
        #[test]
        fn it_lies_inside(
            width in proptest::num::f32::ANY, x in proptest::num::f32::ANY, y in proptest::num::f32::ANY,
            of in (0u32..5000, 0u32..5000), into in (1u32..1000, 1u32..1000),
        ) {
            let into = (into.0 * 2, into.1 * 2);
            let spot = Place { width, x, y }.spot(of, (1, 1), into);
            prop_assert!(spot.x + spot.width <= into.0 && spot.y + spot.height <= into.1, "{spot:?} in {into:?}");
            prop_assert!(spot.width >= 2 && spot.height >= 2);
            prop_assert!([spot.x, spot.y, spot.width, spot.height].iter().all(|v| v % 2 == 0));
        }
    }
}
