//! Live pictures from a device of libavdevice: a camera, a screen.

use std::sync::Arc;
use std::time::Duration;

use ffmpeg_next::codec::{self, decoder};
use ffmpeg_next::format::context;
use ffmpeg_next::{Error, Packet, Rational, frame, media};

use crate::AvError;
use crate::decode::time_of;
use crate::error::text;
use crate::open::{self, Watch};

/// How to open a device.
#[derive(Clone, Debug)]
pub struct DeviceRequest<'a> {
    /// libavdevice's format, as `x11grab`.
    pub format: &'a str,
    /// The device's name within it.
    pub url: &'a str,
    /// What a person calls it.
    pub label: &'a str,
    /// Options of the format.
    pub options: &'a [(&'a str, &'a str)],
    /// Longest time until it is open, and from one picture to the next.
    pub limit: Duration,
}

/// An open device.
pub struct LivePictures {
    label: String,
    limit: Duration,
    input: context::Input,
    watch: Arc<Watch>,
    index: usize,
    base: Rational,
    decoder: decoder::Video,
}

impl LivePictures {
    /// Opens a device. Waiting for it can be cancelled through `watch`.
    ///
    /// # Errors
    /// As [`open::device`].
    pub fn open(request: &DeviceRequest<'_>, watch: Arc<Watch>) -> Result<Self, AvError> {
        let DeviceRequest { format, url, label, options, limit } = *request;
        let input = open::device(format, url, label, options, limit, &watch)?;
        let fail = |e: Error| AvError::Device { device: label.to_owned(), reason: text(e) };
        let (index, base, parameters) = match input.streams().best(media::Type::Video) {
            Some(s) => (s.index(), s.time_base(), s.parameters()),
            None => return Err(fail(Error::StreamNotFound)),
        };
        let mut context = codec::Context::from_parameters(parameters).map_err(fail)?;
        context.set_threading(codec::threading::Config { count: 1, ..Default::default() });
        let decoder = context.decoder().video().map_err(fail)?;
        Ok(Self { label: label.to_owned(), limit, input, watch, index, base, decoder })
    }

    /// Waits for the next picture. With it comes how long ago it was captured, by the device's own
    /// account; none where that cannot be.
    ///
    /// # Errors
    /// [`AvError::Gone`] when the device went away, [`AvError::TimedOut`] when it gives nothing.
    pub fn read(&mut self) -> Result<(frame::Video, Option<Duration>), AvError> {
        let mut packet = Packet::empty();
        let mut picture = frame::Video::empty();
        self.watch.allow(self.limit);
        loop {
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => {
                    let micros = picture.timestamp().map(|pts| time_of(pts, self.base).to_scale(1_000_000));
                    return Ok((picture, micros.and_then(age)));
                }
                Err(Error::Eof) => return Err(self.gone()),
                // Damaged pictures of a camera are common at its start; the next one will do.
                Err(_) => {}
            }
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.index => {
                    // What it cannot decode shows as a missing picture, and in the end as a time-out.
                    let _ = self.decoder.send_packet(&packet);
                }
                Ok(()) => {}
                Err(Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => {}
                Err(Error::Exit) if !self.watch.is_cancelled() => {
                    return Err(AvError::TimedOut { path: self.label.clone(), limit: self.limit });
                }
                Err(_) => return Err(self.gone()),
            }
        }
    }

    fn gone(&self) -> AvError {
        AvError::Gone { device: self.label.clone() }
    }
}

/// How long ago a timestamp was, in microseconds of the wall clock or of the monotonic clock:
/// devices use either, by version and by kind. More than two seconds is neither.
fn age(micros: i64) -> Option<Duration> {
    // SAFETY: both read a clock.
    let clocks = unsafe { [ffmpeg_next::ffi::av_gettime(), ffmpeg_next::ffi::av_gettime_relative()] };
    clocks
        .into_iter()
        .filter_map(|now| u64::try_from(now.saturating_sub(micros)).ok())
        .map(Duration::from_micros)
        .find(|age| *age < Duration::from_secs(2))
}
