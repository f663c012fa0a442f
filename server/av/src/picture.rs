//! A picture that many may look at.

use std::sync::Arc;

use ffmpeg_next::{ffi, format::Pixel, frame};
use mujian_media::time::MediaTime;

use crate::AvError;

/// A decoded or captured picture with the moment of its capture. Cloning shares the pixels.
#[derive(Clone)]
pub struct Picture {
    frame: Arc<frame::Video>,
    /// When it was captured, on the clock of its source.
    pub at: MediaTime,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({:?} {}x{} at {:?})", self.format(), self.width(), self.height(), self.at)
    }
}

impl Picture {
    /// Takes over a frame of FFmpeg.
    #[must_use]
    pub fn new(frame: frame::Video, at: MediaTime) -> Self {
        Self { frame: Arc::new(frame), at }
    }

    /// Shares a frame that its owner means to draw on again once nobody else holds it.
    #[must_use]
    pub fn from_shared(frame: Arc<frame::Video>, at: MediaTime) -> Self {
        Self { frame, at }
    }

    /// The same pixels at another moment.
    #[must_use]
    pub fn at(&self, at: MediaTime) -> Self {
        Self { frame: Arc::clone(&self.frame), at }
    }

    /// Pixel format.
    #[must_use]
    pub fn format(&self) -> Pixel {
        self.frame.format()
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.frame.width()
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.frame.height()
    }

    /// Width by height, as it is shown: pixels may be wider than they are high.
    #[must_use]
    pub fn shape(&self) -> f32 {
        let (across, down) = crate::scale::aspect(&self.frame);
        (self.width().max(1) as f32 * across as f32) / (self.height().max(1) as f32 * down as f32)
    }

    /// The bytes of a plane, rows [`Picture::stride`] apart.
    #[must_use]
    pub fn plane(&self, index: usize) -> &[u8] {
        self.frame.data(index)
    }

    /// Bytes from one row of a plane to the next.
    #[must_use]
    pub fn stride(&self, index: usize) -> usize {
        self.frame.stride(index)
    }

    /// FFmpeg's frame.
    #[must_use]
    pub fn frame(&self) -> &frame::Video {
        &self.frame
    }

    /// A frame of its own that refers to the same pixels, so that its timestamp and type can be set.
    pub(crate) fn reference(&self) -> Result<frame::Video, AvError> {
        let mut copy = frame::Video::empty();
        // SAFETY: `copy` is a blank frame that we own, the source lives as long as `self`;
        // av_frame_ref takes its own reference to the pixel buffers.
        crate::error::check(unsafe { ffi::av_frame_ref(copy.as_mut_ptr(), self.frame.as_ptr()) })
            .map_err(AvError::ffmpeg("share a picture"))?;
        Ok(copy)
    }
}

/// A frame whose pixels nobody else refers to can be drawn on in place.
#[must_use]
pub(crate) fn is_writable(frame: &frame::Video) -> bool {
    // SAFETY: reads the reference counts of a valid frame; the signature takes a mutable pointer
    // but the function does not write.
    unsafe { ffi::av_frame_is_writable(frame.as_ptr().cast_mut()) > 0 }
}

/// A picture in the darkest colour of the house, for where there is none.
#[must_use]
pub fn dark(width: u32, height: u32) -> Picture {
    crate::init();
    let mut frame = frame::Video::new(Pixel::YUV420P, width.max(2) & !1, height.max(2) & !1);
    crate::scale::blacken(&mut frame, Pixel::YUV420P);
    // #0d0c0b in BT.709 with limited range.
    frame.data_mut(0).fill(26);
    Picture::new(frame, MediaTime::ZERO)
}
