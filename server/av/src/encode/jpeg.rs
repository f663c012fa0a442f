//! JPEG, for previews.

use bytes::Bytes;
use ffmpeg_next::{Rational, codec, encoder, ffi, format::Pixel, packet::Packet};

use crate::scale::{Quality, Scaler};
use crate::{AvError, Picture};

/// Makes small JPEG pictures of large ones.
pub struct JpegEncoder {
    scaler: Scaler,
    encoder: encoder::video::Encoder,
    packet: Packet,
    number: i64,
}

const NAME: &str = "mjpeg";

impl JpegEncoder {
    /// An encoder to `width` x `height` (even), `quality` from 2 (best) to 31.
    ///
    /// # Errors
    /// [`AvError::MissingEncoder`] or [`AvError::Encoder`].
    pub fn open(width: u32, height: u32, quality: u32) -> Result<Self, AvError> {
        crate::init();
        let codec = encoder::find_by_name(NAME).ok_or_else(|| AvError::MissingEncoder { name: NAME.into() })?;
        let fail = AvError::encoder(NAME);
        let mut video = codec::Context::new_with_codec(codec).encoder().video().map_err(&fail)?;
        video.set_width(width);
        video.set_height(height);
        video.set_format(Pixel::YUVJ420P);
        video.set_color_range(ffmpeg_next::color::Range::JPEG);
        video.set_time_base(Rational(1, 1000));
        let quality = i32::try_from(quality.clamp(2, 31)).unwrap_or(6) * ffi::FF_QP2LAMBDA;
        video.set_global_quality(quality);
        // SAFETY: plain fields of a context that is ours and not yet open.
        unsafe {
            let raw = video.as_mut_ptr();
            (*raw).flags |= ffi::AV_CODEC_FLAG_QSCALE as i32;
            (*raw).thread_count = 1;
        }
        let encoder = video.open_as(codec).map_err(&fail)?;
        let scaler = Scaler::new(Pixel::YUVJ420P, width, height, Quality::Preview);
        Ok(Self { scaler, encoder, packet: Packet::empty(), number: 0 })
    }

    /// The picture in the size of the JPEG files, its aspect kept: what is drawn on it, [`JpegEncoder::encode`] takes as it is.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`].
    pub fn fit(&mut self, picture: &Picture) -> Result<Picture, AvError> {
        self.scaler.run(picture)
    }

    /// The picture as a JPEG file, scaled with its aspect kept.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`] or [`AvError::Encoder`].
    pub fn encode(&mut self, picture: &Picture) -> Result<Bytes, AvError> {
        let fail = AvError::encoder(NAME);
        let mut frame = self.scaler.run(picture)?.reference()?;
        self.number += 1;
        frame.set_pts(Some(self.number));
        // SAFETY: a plain field of our own frame header; mjpeg takes each frame's quality from it.
        unsafe { (*frame.as_mut_ptr()).quality = (*self.encoder.as_ptr()).global_quality };
        self.encoder.send_frame(&frame).map_err(&fail)?;
        self.encoder.receive_packet(&mut self.packet).map_err(&fail)?;
        Ok(Bytes::copy_from_slice(self.packet.data().unwrap_or_default()))
    }
}
