//! AAC-LC, 48 kHz, stereo.

use std::sync::Arc;

use bytes::Bytes;
use ffmpeg_next::{ChannelLayout, Rational, codec, encoder, ffi, format, frame, packet::Packet};
use mujian_media::frame::{AudioConfig, AudioFrame, FeedItem};
use mujian_media::time::MediaTime;

use crate::sound::RATE;
use crate::{AvError, Fault};

/// Samples in a frame of AAC-LC.
pub const FRAME: usize = 1024;

/// A running encoder of sound.
pub struct AacEncoder {
    encoder: encoder::audio::Encoder,
    config: Arc<AudioConfig>,
    frame: frame::Audio,
    packet: Packet,
    started: bool,
}

const NAME: &str = "aac";

impl AacEncoder {
    /// Opens FFmpeg's own encoder.
    ///
    /// # Errors
    /// [`AvError::MissingEncoder`] or [`AvError::Encoder`].
    pub fn open(bitrate: u32) -> Result<Self, AvError> {
        crate::init();
        let codec = encoder::find_by_name(NAME).ok_or_else(|| AvError::MissingEncoder { name: NAME.into() })?;
        let fail = AvError::encoder(NAME);
        let mut audio = codec::Context::new_with_codec(codec).encoder().audio().map_err(&fail)?;
        let fltp = format::Sample::F32(format::sample::Type::Planar);
        audio.set_rate(RATE as i32);
        audio.set_channel_layout(ChannelLayout::STEREO);
        audio.set_format(fltp);
        audio.set_bit_rate(bitrate as usize);
        audio.set_time_base(Rational(1, RATE as i32));
        // SAFETY: a plain field of a context that is ours and not yet open.
        unsafe { (*audio.as_mut_ptr()).flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32 };
        let encoder = audio.open_as(codec).map_err(&fail)?;
        // SAFETY: extradata is null or points to extradata_size bytes owned by the open context.
        let asc = unsafe {
            let raw = encoder.as_ptr();
            let size = usize::try_from((*raw).extradata_size).unwrap_or(0);
            if (*raw).extradata.is_null() {
                Bytes::new()
            } else {
                Bytes::copy_from_slice(std::slice::from_raw_parts((*raw).extradata, size))
            }
        };
        let config = mujian_media::aac::parse_asc(asc)
            .map_err(|e| AvError::Encoder { name: NAME.into(), reason: Fault::Unstreamable(e.to_string()) })?;
        Ok(Self {
            encoder,
            config: Arc::new(config),
            frame: frame::Audio::new(fltp, FRAME, ChannelLayout::STEREO),
            packet: Packet::empty(),
            started: false,
        })
    }

    /// Encodes the next 1024 samples, the first of which is sample number `index` of the timeline.
    /// Calls follow each other without a gap. Frames before the timeline's zero (the encoder's
    /// lead-in) are left out.
    ///
    /// # Errors
    /// [`AvError::Encoder`].
    pub fn encode(&mut self, index: i64, samples: &[[f32; 2]; FRAME], out: &mut Vec<FeedItem>) -> Result<(), AvError> {
        if !std::mem::replace(&mut self.started, true) {
            out.push(FeedItem::AudioConfig(Arc::clone(&self.config)));
        }
        let fail = AvError::encoder(NAME);
        // SAFETY: makes our own frame's buffers ours alone again, since the encoder may hold on to
        // the last ones.
        crate::error::check(unsafe { ffi::av_frame_make_writable(self.frame.as_mut_ptr()) }).map_err(&fail)?;
        for channel in 0..2 {
            for (to, from) in self.frame.plane_mut::<f32>(channel).iter_mut().zip(samples) {
                *to = from[channel];
            }
        }
        self.frame.set_rate(RATE);
        self.frame.set_pts(Some(index));
        self.encoder.send_frame(&self.frame).map_err(&fail)?;
        self.receive(out)
    }

    /// Drains what the encoder still holds.
    ///
    /// # Errors
    /// [`AvError::Encoder`].
    pub fn finish(mut self, out: &mut Vec<FeedItem>) -> Result<(), AvError> {
        self.encoder.send_eof().map_err(AvError::encoder(NAME))?;
        self.receive(out)
    }

    fn receive(&mut self, out: &mut Vec<FeedItem>) -> Result<(), AvError> {
        loop {
            match self.encoder.receive_packet(&mut self.packet) {
                Ok(()) => {}
                Err(ffmpeg_next::Error::Eof) => return Ok(()),
                Err(ffmpeg_next::Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => return Ok(()),
                Err(e) => return Err(AvError::encoder(NAME)(e)),
            }
            if let (Some(data), Some(pts)) = (self.packet.data(), self.packet.pts())
                && pts >= 0
            {
                let data = Bytes::copy_from_slice(data);
                out.push(FeedItem::Audio(AudioFrame { pts: MediaTime::from_scale(pts, RATE), data }));
            }
        }
    }
}
