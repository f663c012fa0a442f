//! Decoding a media file of any kind into pictures and sound.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use ffmpeg_next::codec::{self, decoder};
use ffmpeg_next::format::{context, stream::Disposition};
use ffmpeg_next::{ChannelLayout, Error, Packet, Rational, frame, media};
use mujian_media::time::MediaTime;

use crate::error::text;
use crate::open::{self, READ_LIMIT, Watch};
use crate::resample::Resampler;
use crate::sound::{RATE, Sample};
use crate::{AvError, Picture};

/// What comes out of a file, in the order in which it lies there.
#[derive(Debug)]
pub enum Decoded {
    /// A picture; its time is relative to the start of the file.
    Picture(Picture),
    /// Sound at 48 kHz, stereo.
    Sound {
        /// Time of its first sample, relative to the start of the file.
        at: MediaTime,
        /// The samples.
        samples: Vec<Sample>,
    },
}

/// Sound that the file puts this near to the end of what came before follows it without a seam: many
/// containers round times to a millisecond, and moving samples by that would be heard.
const ROUNDING: MediaTime = MediaTime::from_millis(10);

/// Packets that may fail to decode in a row before the file counts as broken.
const PATIENCE: u32 = 300;

struct Audio {
    index: usize,
    base: Rational,
    decoder: decoder::Audio,
    resampler: Option<(Resampler, i32)>,
    /// Time for which the next decoded sample is due; none before the first.
    next: Option<MediaTime>,
}

struct Video {
    index: usize,
    base: Rational,
    decoder: decoder::Video,
    next: MediaTime,
    step: MediaTime,
}

/// Reads and decodes one file.
pub struct Reader {
    path: String,
    input: context::Input,
    watch: Arc<Watch>,
    video: Option<Video>,
    audio: Option<Audio>,
    start: MediaTime,
    ready: VecDeque<Decoded>,
    failures: u32,
    last_failure: Option<String>,
    decoded: u64,
    ended: bool,
}

impl Reader {
    /// Opens a file and its decoders. Reading can be cancelled through `watch`.
    ///
    /// # Errors
    /// As [`open::file`], and [`AvError::NoStreams`], [`AvError::Undecodable`].
    pub fn open(path: &Path, watch: Arc<Watch>) -> Result<Self, AvError> {
        let input = open::file(path, &watch)?;
        let shown = path.display().to_string();
        let mut reasons = Vec::new();
        let mut note = |what: &str, e: Error| reasons.push(format!("{what}: {}", text(e)));
        let video = open_video(&input).unwrap_or_else(|e| {
            note("picture", e);
            None
        });
        let audio = open_audio(&input).unwrap_or_else(|e| {
            note("sound", e);
            None
        });
        if video.is_none() && audio.is_none() {
            return Err(match reasons.is_empty() {
                true => AvError::NoStreams { path: shown },
                false => AvError::Undecodable { path: shown, reason: reasons.join("; ") },
            });
        }
        // SAFETY: a plain field of the open context that `input` owns.
        let start = match unsafe { (*input.as_ptr()).start_time } {
            ffmpeg_next::ffi::AV_NOPTS_VALUE => MediaTime::ZERO,
            micros => MediaTime::from_scale(micros, 1_000_000),
        };
        Ok(Self {
            path: shown,
            input,
            watch,
            video,
            audio,
            start,
            ready: VecDeque::new(),
            failures: 0,
            last_failure: None,
            decoded: 0,
            ended: false,
        })
    }

    /// FFmpeg's name of the file's format.
    #[must_use]
    pub fn format_name(&self) -> String {
        self.input.format().name().to_owned()
    }

    /// The same, for its sound alone.
    #[must_use]
    pub fn without_video(mut self) -> Self {
        self.video = None;
        self
    }

    /// How long the file is by its packets; none: it tells, or has, a moment later than `limit`. Reads on without
    /// decoding; what was read is gone.
    ///
    /// # Errors
    /// [`AvError::TimedOut`].
    pub fn length_within(mut self, limit: MediaTime) -> Result<Option<MediaTime>, AvError> {
        let told = self.input.duration();
        if told > 0 && MediaTime::from_scale(told, 1_000_000) > limit {
            return Ok(None);
        }
        let mut last = MediaTime::ZERO;
        let mut packet = Packet::empty();
        loop {
            self.watch.allow(READ_LIMIT);
            match packet.read(&mut self.input) {
                Ok(()) => {}
                Err(Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => continue,
                Err(Error::Exit) => return Err(AvError::TimedOut { path: self.path.clone(), limit: READ_LIMIT }),
                Err(_) => return Ok(Some(last)),
            }
            let base = self.input.stream(packet.stream()).map(|s| s.time_base());
            if let (Some(pts), Some(base)) = (packet.pts().or(packet.dts()), base) {
                last = last.max(time_of(pts, base).saturating_sub(self.start));
            }
            if last > limit {
                return Ok(None);
            }
        }
    }

    /// There are pictures in it.
    #[must_use]
    pub fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// There is sound in it.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// The next piece; none at the end of the file. A damaged part is passed over; a file that was
    /// cut short ends where it was cut.
    ///
    /// # Errors
    /// [`AvError::Undecodable`] if nothing at all could be decoded, [`AvError::TimedOut`].
    pub fn read(&mut self) -> Result<Option<Decoded>, AvError> {
        let mut packet = Packet::empty();
        loop {
            if let Some(piece) = self.ready.pop_front() {
                self.decoded += 1;
                return Ok(Some(piece));
            }
            if self.ended {
                return match (self.decoded, self.last_failure.take()) {
                    (0, reason) => Err(self.undecodable(reason)),
                    _ => Ok(None),
                };
            }
            self.watch.allow(READ_LIMIT);
            match packet.read(&mut self.input) {
                Ok(()) => self.take(&packet)?,
                Err(Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => {}
                Err(Error::Exit) => return Err(AvError::TimedOut { path: self.path.clone(), limit: READ_LIMIT }),
                Err(e) => {
                    if e != Error::Eof {
                        tracing::warn!(path = %self.path, error = %e, "the file ends early");
                        self.last_failure = Some(text(e));
                    }
                    self.drain();
                    self.ended = true;
                }
            }
        }
    }

    fn undecodable(&self, reason: Option<String>) -> AvError {
        let reason = reason.unwrap_or_else(|| "no picture and no sound came out".into());
        AvError::Undecodable { path: self.path.clone(), reason }
    }

    fn take(&mut self, packet: &Packet) -> Result<(), AvError> {
        let index = packet.stream();
        let sent = match (&mut self.video, &mut self.audio) {
            (Some(v), _) if v.index == index => v.decoder.send_packet(packet),
            (_, Some(a)) if a.index == index => a.decoder.send_packet(packet),
            _ => return Ok(()),
        };
        match sent {
            Ok(()) => self.failures = 0,
            Err(e) => {
                self.failures += 1;
                self.last_failure = Some(text(e));
                if self.failures > PATIENCE {
                    return Err(self.undecodable(self.last_failure.clone()));
                }
            }
        }
        self.receive();
        Ok(())
    }

    fn drain(&mut self) {
        // Decoders that were never fed refuse; what they hold comes out below either way.
        if let Some(v) = &mut self.video {
            let _ = v.decoder.send_eof();
        }
        if let Some(a) = &mut self.audio {
            let _ = a.decoder.send_eof();
        }
        self.receive();
    }

    fn receive(&mut self) {
        let start = self.start;
        let relative = |pts: Option<i64>, base: Rational, or: MediaTime| match pts {
            Some(pts) => time_of(pts, base).saturating_sub(start),
            None => or,
        };
        if let Some(v) = &mut self.video {
            let mut frame = frame::Video::empty();
            while v.decoder.receive_frame(&mut frame).is_ok() {
                let at = relative(frame.timestamp(), v.base, v.next);
                v.next = at.saturating_add(v.step);
                let done = std::mem::replace(&mut frame, frame::Video::empty());
                self.ready.push_back(Decoded::Picture(Picture::new(done, at)));
            }
        }
        if let Some(a) = &mut self.audio {
            let mut frame = frame::Audio::empty();
            while a.decoder.receive_frame(&mut frame).is_ok() {
                let told = relative(frame.timestamp(), a.base, a.next.unwrap_or(MediaTime::ZERO));
                let at = a.next.filter(|next| told.abs_diff(*next) < ROUNDING).unwrap_or(told);
                match a.convert(&frame) {
                    Ok(samples) => {
                        a.next = Some(at.saturating_add(MediaTime::from_scale(samples.len() as i64, RATE)));
                        if !samples.is_empty() {
                            self.ready.push_back(Decoded::Sound { at, samples });
                        }
                    }
                    Err(e) => self.last_failure = Some(e.to_string()),
                }
            }
        }
    }
}

impl Audio {
    fn convert(&mut self, frame: &frame::Audio) -> Result<Vec<Sample>, AvError> {
        let channels = i32::from(frame.channels());
        let shape = (frame.format(), frame.rate(), channels);
        let same = self.resampler.as_ref().is_some_and(|(r, c)| (r.input().0, r.input().2, *c) == shape);
        if !same {
            let layout = match frame.channel_layout() {
                layout if layout.is_empty() => ChannelLayout::default(channels),
                layout => layout,
            };
            self.resampler = Some((Resampler::new(shape.0, layout, shape.1)?, channels));
        }
        let mut out = Vec::new();
        if let Some((resampler, _)) = &mut self.resampler {
            resampler.push_frame(frame, &mut out)?;
        }
        Ok(out)
    }
}

fn open_video(input: &context::Input) -> Result<Option<Video>, Error> {
    let Some(stream) = input.streams().best(media::Type::Video) else { return Ok(None) };
    if stream.disposition().contains(Disposition::ATTACHED_PIC) {
        return Ok(None);
    }
    let mut context = codec::Context::from_parameters(stream.parameters())?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // SAFETY: a plain field of a context that is ours and not yet open. The kind of threading stays
    // FFmpeg's own choice for the codec.
    unsafe { (*context.as_mut_ptr()).thread_count = i32::try_from(cores.min(4)).unwrap_or(1) };
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(stream.time_base());
    let rate = stream.avg_frame_rate();
    let step = match (rate.numerator(), u32::try_from(rate.numerator())) {
        (n, Ok(scale)) if n > 0 => MediaTime::from_scale(i64::from(rate.denominator()), scale),
        _ => MediaTime::from_millis(40),
    };
    Ok(Some(Video {
        index: stream.index(),
        base: stream.time_base(),
        decoder: decoder.video()?,
        next: MediaTime::ZERO,
        step,
    }))
}

fn open_audio(input: &context::Input) -> Result<Option<Audio>, Error> {
    let Some(stream) = input.streams().best(media::Type::Audio) else { return Ok(None) };
    let mut decoder = codec::Context::from_parameters(stream.parameters())?.decoder();
    decoder.set_packet_time_base(stream.time_base());
    Ok(Some(Audio {
        index: stream.index(),
        base: stream.time_base(),
        decoder: decoder.audio()?,
        resampler: None,
        next: None,
    }))
}

pub(crate) fn time_of(pts: i64, base: Rational) -> MediaTime {
    let flicks = i128::from(pts) * i128::from(base.numerator()) * i128::from(MediaTime::PER_SECOND)
        / i128::from(base.denominator().max(1));
    MediaTime::from_flicks(flicks.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}
