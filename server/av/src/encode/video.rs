//! H.264 for live: no B-frames, no look-ahead, key frames at a fixed interval and on demand.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use ffmpeg_next::{Dictionary, Rational, codec, color, encoder, ffi, format::Pixel, packet::Packet, picture};
use mujian_media::frame::{FeedItem, VideoConfig, VideoFrame};
use mujian_media::time::MediaTime;

use super::hardware::Upload;
use super::nal;
use crate::{AvError, Fault, Picture};

/// What to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoSettings {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// Bits a second; also the ceiling over one second.
    pub bitrate: u32,
    /// Frames from one key frame to the next, at most.
    pub key_interval: u32,
}

impl VideoSettings {
    /// Settings with a key frame every 2 seconds.
    #[must_use]
    pub fn live(width: u32, height: u32, fps: u32, bitrate: u32) -> Self {
        Self { width, height, fps, bitrate, key_interval: fps * 2 }
    }

    /// Threads for an encoder on the processor. One keeps up with 720p30 at the lowest cost;
    /// more only where one does not.
    fn threads(&self) -> usize {
        let rate = u64::from(self.width) * u64::from(self.height) * u64::from(self.fps);
        let wanted = rate.div_ceil(40_000_000).clamp(1, 4);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        usize::try_from(wanted).unwrap_or(1).min(cores)
    }
}

/// A running encoder.
pub struct VideoEncoder {
    name: String,
    settings: VideoSettings,
    /// The bitrate that it was opened with.
    opened: u32,
    encoder: encoder::video::Encoder,
    upload: Option<Upload>,
    format: Pixel,
    /// Encoder's frame numbers on their way through, with their times.
    times: VecDeque<(i64, MediaTime)>,
    number: i64,
    lengths: bool,
    sets: (Option<Bytes>, Option<Bytes>),
    config: Option<Arc<VideoConfig>>,
    packet: Packet,
}

impl VideoEncoder {
    /// Opens an encoder by FFmpeg's name.
    ///
    /// # Errors
    /// [`AvError::MissingEncoder`] if FFmpeg was built without it, [`AvError::Encoder`] if it refuses.
    pub fn open(name: &str, settings: VideoSettings) -> Result<Self, AvError> {
        crate::init();
        let missing = || AvError::MissingEncoder { name: name.to_owned() };
        if name.contains('\0') {
            return Err(missing());
        }
        let codec = encoder::find_by_name(name).ok_or_else(missing)?;
        let fail = AvError::encoder(name);
        let mut video = codec::Context::new_with_codec(codec).encoder().video().map_err(&fail)?;
        let rate = i32::try_from(settings.fps.max(1)).unwrap_or(30);
        video.set_width(settings.width);
        video.set_height(settings.height);
        video.set_time_base(Rational(1, rate));
        video.set_frame_rate(Some(Rational(rate, 1)));
        video.set_gop(settings.key_interval);
        video.set_max_b_frames(0);
        video.set_bit_rate(settings.bitrate as usize);
        video.set_max_bit_rate(settings.bitrate as usize);
        video.set_colorspace(color::Space::BT709);
        video.set_color_primaries(color::Primaries::BT709);
        video.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
        video.set_color_range(color::Range::MPEG);
        let format = input_format(name);
        let upload = match name {
            "h264_vaapi" => Some(Upload::vaapi(settings.width, settings.height)?),
            _ => None,
        };
        video.set_format(upload.as_ref().map_or(format, |_| Pixel::VAAPI));
        let software = matches!(name, "libx264" | "libopenh264");
        // SAFETY: plain fields of a context that is ours and not yet open; the hardware frames
        // context is a new reference that the codec context owns from here on.
        unsafe {
            let raw = video.as_mut_ptr();
            (*raw).rc_buffer_size = i32::try_from(settings.bitrate).unwrap_or(i32::MAX);
            (*raw).flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32;
            if software {
                (*raw).thread_count = i32::try_from(settings.threads()).unwrap_or(1);
            }
            if let Some(upload) = &upload {
                (*raw).hw_frames_ctx = upload.frames_reference();
            }
        }
        let encoder = video.open_as_with(codec, options(name)).map_err(&fail)?;
        let mut this = Self {
            name: name.to_owned(),
            settings,
            opened: settings.bitrate,
            encoder,
            upload,
            format,
            times: VecDeque::new(),
            number: -1,
            lengths: false,
            sets: (None, None),
            config: None,
            packet: Packet::empty(),
        };
        this.read_header();
        Ok(this)
    }

    /// FFmpeg's name of it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pixel format that it takes.
    #[must_use]
    pub fn input_format(&self) -> Pixel {
        self.format
    }

    /// What it was opened with, the bitrate as last set.
    #[must_use]
    pub fn settings(&self) -> VideoSettings {
        self.settings
    }

    /// Encodes a picture of the settings' size and [`VideoEncoder::input_format`], to be shown at
    /// `pts` (increasing). What comes out is added to `out`: a configuration before the first frame
    /// and whenever it changes, then frames.
    ///
    /// # Errors
    /// [`AvError::Encoder`]; the encoder is of no use after that.
    pub fn encode(
        &mut self,
        picture: &Picture,
        pts: MediaTime,
        key: bool,
        out: &mut Vec<FeedItem>,
    ) -> Result<(), AvError> {
        let shape = (picture.format(), picture.width(), picture.height());
        if shape != (self.format, self.settings.width, self.settings.height) {
            return Err(AvError::Encoder {
                name: self.name.clone(),
                reason: format!("a picture of {shape:?} came in").into(),
            });
        }
        let mut frame = match &self.upload {
            Some(upload) => upload.upload(picture)?,
            None => picture.reference()?,
        };
        // Rate control wants whole frame numbers that follow the time.
        self.number = pts.to_scale(self.settings.fps).max(self.number + 1);
        frame.set_pts(Some(self.number));
        frame.set_kind(if key { picture::Type::I } else { picture::Type::None });
        self.times.push_back((self.number, pts));
        self.encoder.send_frame(&frame).map_err(AvError::encoder(&self.name))?;
        self.receive(out)
    }

    /// Drains the encoder. Some hang when they are dropped undrained.
    ///
    /// # Errors
    /// [`AvError::Encoder`].
    pub fn finish(mut self, out: &mut Vec<FeedItem>) -> Result<(), AvError> {
        self.encoder.send_eof().map_err(AvError::encoder(&self.name))?;
        self.receive(out)
    }

    /// Changes the bitrate from the next frame on, in bits a second. `false`: this encoder cannot
    /// while it runs.
    pub fn set_bitrate(&mut self, bitrate: u32) -> bool {
        if !matches!(self.name.as_str(), "libx264" | "h264_nvenc" | "h264_qsv") {
            return false;
        }
        self.settings.bitrate = bitrate;
        self.encoder.set_bit_rate(bitrate as usize);
        self.encoder.set_max_bit_rate(bitrate as usize);
        // What is less than was asked for at first is what a line carries: there a key frame must not take a second.
        let buffer = if bitrate < self.opened { bitrate / 2 } else { bitrate };
        // SAFETY: a plain field of our open context, which these encoders compare at every frame.
        unsafe { (*self.encoder.as_mut_ptr()).rc_buffer_size = i32::try_from(buffer).unwrap_or(i32::MAX) };
        true
    }

    fn read_header(&mut self) {
        // SAFETY: extradata is null or points to extradata_size bytes that the open context owns;
        // the slice does not outlive this call.
        let header: &[u8] = unsafe {
            let raw = self.encoder.as_ptr();
            let size = usize::try_from((*raw).extradata_size).unwrap_or(0);
            if (*raw).extradata.is_null() || size == 0 {
                &[]
            } else {
                std::slice::from_raw_parts((*raw).extradata, size)
            }
        };
        // A record begins with its version, 1; Annex B begins with zeros.
        if header.first() == Some(&1) {
            self.lengths = true;
            if let Some((sps, pps)) = nal::from_avcc(header) {
                self.sets = (Some(sps), Some(pps));
            }
        } else {
            let unit = nal::from_annexb(header);
            self.sets = (unit.sps, unit.pps);
        }
    }

    fn receive(&mut self, out: &mut Vec<FeedItem>) -> Result<(), AvError> {
        loop {
            match self.encoder.receive_packet(&mut self.packet) {
                Ok(()) => self.take_packet(out)?,
                Err(ffmpeg_next::Error::Eof) => return Ok(()),
                Err(ffmpeg_next::Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => return Ok(()),
                Err(e) => return Err(AvError::encoder(&self.name)(e)),
            }
        }
    }

    fn unstreamable(&self, why: impl std::fmt::Display) -> AvError {
        AvError::Encoder { name: self.name.clone(), reason: Fault::Unstreamable(why.to_string()) }
    }

    fn take_packet(&mut self, out: &mut Vec<FeedItem>) -> Result<(), AvError> {
        let Some(bytes) = self.packet.data() else { return Ok(()) };
        let unit = if self.lengths { nal::from_lengths(bytes) } else { nal::from_annexb(bytes) };
        if unit.data.is_empty() {
            return Ok(());
        }
        let changed = [(&unit.sps, &self.sets.0), (&unit.pps, &self.sets.1)].iter().any(|(n, o)| n.is_some() && n != o);
        if changed {
            self.sets = (unit.sps.or(self.sets.0.take()), unit.pps.or(self.sets.1.take()));
            self.config = None;
        }
        if self.config.is_none() {
            let (Some(sps), Some(pps)) = &self.sets else {
                return Err(self.unstreamable("it gave no parameter sets"));
            };
            let config = mujian_media::avc::config_from_parameter_sets(sps, pps).map_err(|e| self.unstreamable(e))?;
            let config = Arc::new(config);
            self.config = Some(Arc::clone(&config));
            out.push(FeedItem::VideoConfig(config));
        }
        let number = self.packet.pts().unwrap_or(self.number);
        // Encoders without B-frames keep the order; one that dropped a frame skips its time.
        let mut pts = None;
        while let Some(&(n, t)) = self.times.front() {
            if n > number {
                break;
            }
            self.times.pop_front();
            pts = Some(t);
        }
        let Some(pts) = pts else {
            return Err(self.unstreamable("it reordered frames"));
        };
        out.push(FeedItem::Video(VideoFrame { dts: pts, pts, key: unit.idr, data: Bytes::from(unit.data) }));
        Ok(())
    }
}

fn input_format(name: &str) -> Pixel {
    match name {
        "h264_qsv" | "h264_vaapi" | "h264_mf" | "h264_amf" | "h264_nvenc" | "h264_videotoolbox" => Pixel::NV12,
        _ => Pixel::YUV420P,
    }
}

/// Private options. One that this version of an encoder does not know is left unused by FFmpeg.
fn options(name: &str) -> Dictionary<'static> {
    let list: &[(&str, &str)] = match name {
        "libx264" => &[
            ("preset", "veryfast"),
            ("tune", "zerolatency"),
            ("profile", "high"),
            // A forced I picture is one that decoding can start at.
            ("forced-idr", "1"),
            // The interval is exact: no extra key frames at scene changes.
            ("sc_threshold", "0"),
        ],
        "libopenh264" => &[("rc_mode", "bitrate"), ("allow_skip_frames", "0")],
        "h264_nvenc" => &[
            ("preset", "p4"),
            ("tune", "ull"),
            ("rc", "cbr"),
            ("zerolatency", "1"),
            ("delay", "0"),
            ("forced-idr", "1"),
            ("no-scenecut", "1"),
        ],
        "h264_qsv" => &[("preset", "veryfast"), ("async_depth", "1"), ("look_ahead", "0"), ("forced_idr", "1")],
        "h264_amf" => &[("usage", "lowlatency"), ("rc", "cbr"), ("quality", "balanced"), ("forced_idr", "1")],
        "h264_vaapi" => &[("async_depth", "1")],
        "h264_videotoolbox" => &[("realtime", "1"), ("allow_sw", "0"), ("profile", "high")],
        "h264_mf" => &[("rate_control", "cbr"), ("scenario", "live_streaming"), ("hw_encoding", "1")],
        _ => &[],
    };
    list.iter().collect()
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::frame;

    use super::*;

    /// Noise, which takes all the bits that it may have.
    fn noise(seed: u64) -> Picture {
        let mut frame = frame::Video::new(Pixel::YUV420P, 640, 360);
        let mut number = seed;
        for plane in 0..3 {
            for byte in frame.data_mut(plane) {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = 112 + (number >> 59) as u8;
            }
        }
        Picture::new(frame, MediaTime::ZERO)
    }

    #[test]
    fn the_bitrate_follows_from_the_next_frame_on() {
        let mut encoder = VideoEncoder::open("libx264", VideoSettings::live(640, 360, 30, 2_000_000)).unwrap();
        let bits = |encoder: &mut VideoEncoder, from: i64, until: i64, key: bool| {
            let mut items = Vec::new();
            for n in from..until {
                let picture = noise(n as u64);
                encoder.encode(&picture, MediaTime::from_scale(n, 30), key && n == from, &mut items).unwrap();
            }
            let sizes: Vec<usize> = items
                .iter()
                .filter_map(|i| if let FeedItem::Video(v) = i { Some(v.data.len() * 8) } else { None })
                .collect();
            assert_eq!(sizes.len() as i64, until - from);
            (sizes.iter().sum::<usize>() as f64 * 30.0 / (until - from) as f64, sizes[0])
        };
        let (before, _) = bits(&mut encoder, 0, 60, false);
        assert!((1_400_000.0..2_600_000.0).contains(&before), "{before}");
        assert!(encoder.set_bitrate(300_000));
        let (after, first) = bits(&mut encoder, 60, 150, true);
        assert!(after < 390_000.0, "{after}");
        assert!(first < 200_000, "a key frame takes no more than half a second: {first} bits");
        assert!(encoder.set_bitrate(2_000_000));
        let (again, _) = bits(&mut encoder, 150, 240, false);
        assert!(again > 1_400_000.0, "{again}");
    }
}
