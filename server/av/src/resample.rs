//! Changing the rate of sound with swresample.

use ffmpeg_next::{ChannelLayout, Dictionary, ffi, format, frame, software::resampling};

use crate::AvError;
use crate::error::{check, text};
use crate::sound::{RATE, Sample};

/// Turns sound of any rate and layout into stereo at 48 kHz, with a small correction of the rate
/// that can change at any moment without a click.
pub struct Resampler {
    context: resampling::Context,
    input: (format::Sample, ChannelLayout, u32),
    ppm: f64,
    converted: u64,
}

const DEFAULT_CHUNK: usize = 4096;

impl Resampler {
    /// A resampler for frames of this shape.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`] for a rate or layout that swresample does not take.
    pub fn new(sample: format::Sample, layout: ChannelLayout, rate: u32) -> Result<Self, AvError> {
        crate::init();
        let fail = |reason: String| AvError::Ffmpeg { what: "resample sound", reason };
        if !(1000..=768_000).contains(&rate) {
            return Err(fail(format!("a rate of {rate} Hz")));
        }
        // Resampling is on from the start, so that a later correction does not rebuild it in the
        // middle of the sound.
        let options: Dictionary = [("flags", "res"), ("linear_interp", "1"), ("filter_size", "32")].iter().collect();
        let flt = format::Sample::F32(format::sample::Type::Packed);
        let context = resampling::Context::get_with(sample, layout, rate, flt, ChannelLayout::STEREO, RATE, options)
            .map_err(|e| fail(text(e)))?;
        Ok(Self { context, input: (sample, layout, rate), ppm: 0.0, converted: 0 })
    }

    /// A resampler for interleaved stereo floats.
    ///
    /// # Errors
    /// As [`Resampler::new`].
    pub fn stereo(rate: u32) -> Result<Self, AvError> {
        let mut this = Self::new(format::Sample::F32(format::sample::Type::Packed), ChannelLayout::STEREO, rate)?;
        // The filter's phases are laid out for corrections from here on.
        this.set_correction(0.0)?;
        Ok(this)
    }

    /// What it was made for.
    #[must_use]
    pub fn input(&self) -> (format::Sample, ChannelLayout, u32) {
        self.input
    }

    /// Output samples that are still inside: the next input sample comes out after so many.
    #[must_use]
    pub fn delay(&self) -> i64 {
        // SAFETY: the context is valid and initialised; the call only reads it.
        unsafe { ffi::swr_get_delay(self.context.as_ptr().cast_mut(), i64::from(RATE)) }
    }

    /// Makes the output longer (positive) or shorter by so many millionths, from now on.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`].
    pub fn set_correction(&mut self, ppm: f64) -> Result<(), AvError> {
        // Over a distance that is never reached, because a call comes again long before.
        const DISTANCE: i32 = RATE as i32 * 20;
        let delta = (ppm.clamp(-5000.0, 5000.0) * 1e-6 * f64::from(DISTANCE)).round() as i32;
        // SAFETY: the context is valid and initialised; numbers only.
        check(unsafe { ffi::swr_set_compensation(self.context.as_mut_ptr(), delta, DISTANCE) })
            .map_err(AvError::ffmpeg("correct the rate of sound"))?;
        self.ppm = ppm;
        self.converted = 0;
        Ok(())
    }

    fn renew(&mut self, count: usize) -> Result<(), AvError> {
        self.converted += count as u64;
        if self.ppm != 0.0 && self.converted > u64::from(RATE) * 10 {
            self.set_correction(self.ppm)?;
        }
        Ok(())
    }

    /// Converts interleaved stereo (a resampler made by [`Resampler::stereo`]) and adds to `out`.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`].
    pub fn push_stereo(&mut self, samples: &[Sample], out: &mut Vec<Sample>) -> Result<(), AvError> {
        let packed = format::Sample::F32(format::sample::Type::Packed);
        if self.input.0 != packed || self.input.1 != ChannelLayout::STEREO {
            return Err(AvError::Ffmpeg { what: "resample sound", reason: "made for another layout".into() });
        }
        for chunk in samples.chunks(DEFAULT_CHUNK) {
            let planes = [chunk.as_ptr().cast::<u8>()];
            // SAFETY: one packed plane of `chunk.len()` stereo floats, alive for the call, as the
            // check above guarantees the context expects.
            unsafe { self.convert(planes.as_ptr(), chunk.len(), out)? };
        }
        Ok(())
    }

    /// Converts a decoded frame of the shape that this was made for and adds to `out`.
    ///
    /// # Errors
    /// [`AvError::Ffmpeg`] if the frame's shape is another.
    pub fn push_frame(&mut self, frame: &frame::Audio, out: &mut Vec<Sample>) -> Result<(), AvError> {
        if (frame.format(), frame.rate()) != (self.input.0, self.input.2)
            || i32::from(frame.channels()) != self.input.1.channels()
        {
            return Err(AvError::Ffmpeg { what: "resample sound", reason: "the frame's shape changed".into() });
        }
        // SAFETY: extended_data has a pointer for each plane of a frame whose format and channel
        // count were just compared with the context's; samples() is what these planes hold.
        unsafe { self.convert((*frame.as_ptr()).extended_data as *const *const u8, frame.samples(), out) }
    }

    /// # Safety
    /// `planes` points to as many plane pointers as the input format has, each with `count` samples.
    unsafe fn convert(&mut self, planes: *const *const u8, count: usize, out: &mut Vec<Sample>) -> Result<(), AvError> {
        let fail = AvError::ffmpeg("resample sound");
        let count = i32::try_from(count).map_err(|_| fail(ffmpeg_next::Error::InvalidData))?;
        // SAFETY: as the caller promises; the output has room for as many samples as swresample
        // says it may write, and only those that it wrote become part of the vector.
        unsafe {
            let room = check(ffi::swr_get_out_samples(self.context.as_mut_ptr(), count)).map_err(&fail)?;
            let room = room.max(0) as usize + 32;
            out.reserve(room);
            let at = out.len();
            let mut target = out.as_mut_ptr().add(at).cast::<u8>();
            let written = check(ffi::swr_convert(
                self.context.as_mut_ptr(),
                (&raw mut target).cast(),
                room as i32,
                planes.cast_mut().cast(),
                count,
            ))
            .map_err(&fail)?;
            out.set_len(at + (written as usize).min(room));
            self.renew(written as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_do_not_click_and_have_the_right_size() {
        let mut r = Resampler::stereo(48_000).unwrap();
        let mut out = Vec::new();
        let tone = |i: usize| [((i as f64 / 48.0 * std::f64::consts::TAU).sin() * 0.5) as f32; 2];
        let mut counts = Vec::new();
        for second in 0..6usize {
            let before = out.len();
            for part in 0..100 {
                r.set_correction(if (second + part) % 2 == 0 { 1500.0 } else { 500.0 }).unwrap();
                let from = (second * 100 + part) * 480;
                let input: Vec<Sample> = (from..from + 480).map(tone).collect();
                r.push_stereo(&input, &mut out).unwrap();
            }
            counts.push(out.len() - before);
        }
        assert!(counts[1..].iter().all(|c| c.abs_diff(48_048) <= 2), "{counts:?}");
        // The steepest step of this tone is 0.0654; a click would be a larger one.
        let steep = out[200..].windows(2).map(|w| (w[1][0] - w[0][0]).abs()).fold(0.0, f32::max);
        assert!(steep < 0.0656, "{steep}");
        let bend = out[200..].windows(3).map(|w| (w[2][0] - 2.0 * w[1][0] + w[0][0]).abs()).fold(0.0, f32::max);
        assert!(bend < 0.00862, "{bend}");
    }

    #[test]
    fn a_rate_of_nonsense_is_an_error() {
        assert!(Resampler::stereo(0).is_err());
        assert!(Resampler::stereo(u32::MAX).is_err());
    }
}
