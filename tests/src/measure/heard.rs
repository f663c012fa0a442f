//! Kept sound, in the samples: the tone that the publisher sends goes on, without a gap, a jump or a click.
//!
//! Where the publisher or the server is held up by its machine for longer than the stage waits for sound, silence is
//! right; so that is excused, and nothing else is: it is seen from outside, by when bytes came and pictures went.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mujian_media::aac;

use super::figures::median;
use crate::flv::Tag;
use crate::tone;

const RATE: f32 = 48_000.0;
/// Samples of a frame.
const FRAME: usize = 1024;
/// Samples that are judged as one, a fiftieth of a second, and how far the next ones are.
const WINDOW: usize = 960;
const STEP: usize = 240;
/// Nothing came for so long: held up.
const PAUSE: Duration = Duration::from_millis(100);
/// So long after that its silence may come out.
const AFTER: Duration = Duration::from_secs(1);
/// Frames around silence in which it is heard, and what a decoder adds at its start.
const AROUND: usize = 4;
/// The tone begins within so many frames.
const BEGINS: usize = 100;

/// A stream's sound as a viewer got it.
pub struct Heard<'a> {
    samples: &'a [f32],
    frequency: f32,
    /// For each frame: whether it is silence, and that is excused.
    frames: Vec<Option<bool>>,
}

impl<'a> Heard<'a> {
    /// Of a viewer's tags and the samples that ffmpeg makes of them. `held_up`: when nothing came from the publisher.
    #[must_use]
    pub fn new(tags: &[Tag], samples: &'a [f32], mut held_up: Vec<(Instant, Instant)>, frequency: f32) -> Self {
        let gaps = tags.windows(2).filter(|pair| pair[1].at - pair[0].at > PAUSE).map(|pair| (pair[0].at, pair[1].at));
        held_up.extend(gaps);
        let silent = aac::silent_frame(2);
        let frame = |tag: &Tag| {
            let excused = || held_up.iter().any(|(from, until)| tag.at >= *from && tag.at <= *until + AFTER);
            (tag.body.get(2..) == Some(&silent[..])).then(excused)
        };
        let frames = tags.iter().filter(|tag| tag.is_sound()).map(frame).collect();
        Self { samples, frequency, frames }
    }

    /// The tone alone is heard, as loud as ever, up to the frame `kept`; gives at how many of the `switches` (places among
    /// the frames) nothing had to be excused within half a second.
    ///
    /// # Errors
    ///
    /// Where it is not.
    pub fn tone(&self, kept: usize, switches: &[usize]) -> Result<usize> {
        let frames = self.frames.get(..kept).context("fewer frames than were counted")?;
        let begins = frames.iter().position(Option::is_none).context("nothing but silence")?;
        ensure!(begins < BEGINS, "the sound begins after {begins} frames");
        if let Some(at) = frames.iter().skip(begins).position(|frame| *frame == Some(false)) {
            anyhow::bail!("silence at frame {} of {kept}, while the publisher's sound came", begins + at);
        }
        // Frames in which silence may be heard.
        let near = |frame: usize, around: usize| {
            let some = frames.get(frame.saturating_sub(around).max(begins)..(frame + around + 1).min(kept));
            some.is_some_and(|some| some.iter().any(Option::is_some))
        };
        let from = (begins + AROUND) * FRAME;
        let until = kept.saturating_sub(AROUND) * FRAME;
        let tone = self.samples.get(from..until.min(self.samples.len())).context("too short")?;
        ensure!(tone.len() as f32 > 3.0 * RATE, "only {} samples", tone.len());
        let whole = |at: usize| !near((from + at) / FRAME, AROUND) && !near((from + at + WINDOW) / FRAME, AROUND);
        let loudness = |w: &[f32]| f64::from(tone::rms(w));
        let all: Vec<f64> = tone.chunks_exact(WINDOW).map(loudness).collect();
        let loud = median(&all).context("no sound")?;
        for (at, window) in tone.windows(WINDOW).enumerate().step_by(STEP).filter(|(at, _)| whole(*at)) {
            let (share, rms) = (tone::share(window, RATE, self.frequency), loudness(window));
            ensure!(
                share > 0.95 && (rms / loud - 1.0).abs() < 0.1,
                "at sample {at} of {}: {share} of the power, {rms} of {loud}",
                tone.len()
            );
        }
        Ok(switches.iter().filter(|at| !near(**at, 24)).count())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Five seconds of frames that come in time but for those behind `pause`, and are silence at `silence`.
    fn heard(silence: std::ops::Range<usize>, pause: Option<usize>, click: Option<usize>) -> Result<usize> {
        let (began, count) = (Instant::now(), 240);
        let mut samples: Vec<f32> =
            (0..count * FRAME).map(|n| 0.1 * (std::f32::consts::TAU * 1000.0 * n as f32 / RATE).sin()).collect();
        samples[silence.start * FRAME..silence.end * FRAME].fill(0.0);
        if let Some(at) = click {
            samples[at * FRAME..at * FRAME + 30].fill(0.4);
        }
        let tag = |n: usize| {
            let body = if silence.contains(&n) { aac::silent_frame(2) } else { Bytes::from_static(b"tone") };
            let late = if pause.is_some_and(|p| n >= p) { 300 } else { 0 };
            let at = began + Duration::from_millis(n as u64 * 21 + late);
            Tag { kind: 8, dts: 0, body: [&[0xaf, 1], &body[..]].concat().into(), at }
        };
        let tags: Vec<Tag> = (0..count).map(tag).collect();
        Heard::new(&tags, &samples, Vec::new(), 1000.0).tone(count, &[60, 180])
    }

    #[test]
    fn silence_is_excused_where_nothing_came_and_nowhere_else() {
        assert_eq!(heard(0..0, None, None).unwrap(), 2);
        assert_eq!(heard(0..20, None, None).unwrap(), 2, "it may begin late");
        assert!(heard(100..104, None, None).unwrap_err().to_string().contains("silence at frame 100"));
        assert_eq!(heard(100..104, Some(98), None).unwrap(), 2);
        assert_eq!(heard(182..190, Some(180), None).unwrap(), 1, "there the switch is not proved");
        assert!(heard(0..0, None, Some(120)).unwrap_err().to_string().contains("at sample"));
        assert!(heard(0..0, Some(118), Some(120)).is_err(), "no excuse for a click");
    }
}
