//! The mixer: microphone, what the computer plays, and the source's own sound; metered, encoded while live.

use std::sync::Arc;
use std::time::Duration;

use mujian_av::encode::{AacEncoder, aac::FRAME};
use mujian_av::sound::{Gain, Level, Meter, NoiseGate, Sample, index_of, limit, time_of};
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use mujian_protocol::studio::SoundLevel;
use parking_lot::Mutex;

use super::feed::Outgoing;
use super::line::{Faders, Line, Voicing, Way};
use crate::capture::{Clock, Gate, Program, SoundTrack, Stop};

/// Longest that the mix waits for sound that is late.
const PATIENCE: Duration = Duration::from_millis(150);
/// Bits a second of the sound.
pub const BITRATE: u32 = 160_000;
/// Further behind than this (the computer slept), the mixer jumps to now.
const BEHIND: MediaTime = MediaTime::from_millis(1000);

/// What the mixer is told from outside.
#[derive(Clone)]
pub(super) struct Controls {
    pub(super) lines: [Line; 2],
    pub(super) faders: Faders,
    /// Where encoded sound goes; none while not live.
    pub(super) live: Arc<Mutex<Option<Arc<Outgoing>>>>,
    /// What is said after a press is not heard, unless sound is kept.
    pub(super) gate: Gate,
}

pub(super) struct Mixer {
    pub(super) clock: Clock,
    pub(super) program: Program,
    pub(super) controls: Controls,
}

/// What happens on a way into the mix: gain, meter, noise gate.
struct Voice {
    gain: Gain,
    meter: Meter,
    gate: NoiseGate,
    /// Since the last level was told.
    clips: bool,
}

impl Voice {
    fn new(voicing: Voicing) -> Self {
        Self {
            gain: Gain::new(voicing.gain_db, voicing.muted),
            meter: Meter::default(),
            gate: NoiseGate::new(voicing.noise_gate_db),
            clips: false,
        }
    }

    fn set(&mut self, voicing: Voicing) {
        self.gain.set(voicing.gain_db, voicing.muted);
        self.gate.set(voicing.noise_gate_db);
    }

    /// Makes what is heard of what was captured; the level when one is due.
    fn apply(&mut self, samples: &mut [Sample]) -> Option<SoundLevel> {
        // What the device itself cut off stays cut off, however low the gain.
        self.clips |= reaches(samples, FULL);
        self.gain.apply(samples);
        self.clips |= reaches(samples, 1.0);
        let level: Option<Level> = self.meter.push(samples);
        self.gate.apply(samples);
        let (open, clips) = (self.gate.is_open(), self.clips);
        level.map(|Level { rms_db, peak_db }| {
            self.clips = false;
            SoundLevel { rms_db, peak_db, clips, open }
        })
    }
}

/// The largest sample of 16 bits, nearly.
const FULL: f32 = 0.9999;

fn reaches(samples: &[Sample], size: f32) -> bool {
    samples.iter().any(|s| s[0].abs() >= size || s[1].abs() >= size)
}

struct Encoding {
    out: Arc<Outgoing>,
    encoder: AacEncoder,
    origin: i64,
}

impl Mixer {
    /// Mixes until asked to stop: a block of 1024 samples at a time, in step with the clock.
    pub(super) fn run(self, stop: &Stop) {
        let mut index = index_of(self.clock.now());
        let mut voices = self.controls.lines.each_ref().map(|line| Voice::new(self.controls.faders.of(line.way())));
        let mut encoding: Option<Encoding> = None;
        let mut source = self.program.sound();
        let mut items = Vec::new();
        loop {
            let end = index + FRAME as i64;
            let due = self.clock.instant(time_of(end));
            if stop.wait_until(due) {
                break;
            }
            let tracks = self.controls.lines.each_ref().map(Line::track);
            for track in tracks.iter().flatten() {
                track.wait(end, due + PATIENCE);
            }
            let now_source = self.program.sound();
            now_source.wait(end, due + PATIENCE);

            let mut mix = [[0.0; 2]; FRAME];
            for ((line, voice), track) in self.controls.lines.iter().zip(&mut voices).zip(tracks) {
                voice.set(self.controls.faders.of(line.way()));
                let Some(track) = track else { continue };
                let mut block = [[0.0; 2]; FRAME];
                track.read(index, &mut block);
                if let Some(level) = voice.apply(&mut block) {
                    line.tell(&track, level);
                }
                // Sound that is kept is the streamer's own, and that of a file or a test card.
                if line.way() == Way::Output {
                    self.controls.gate.silence_unseen(index, &mut block);
                }
                add(&mut mix, &block);
            }
            add_source(&mut mix, index, &mut source, now_source);
            mix.iter_mut().for_each(|s| *s = limit(*s));
            self.controls.gate.silence(index, &mut mix);

            self.encode(&mut encoding, index, &mix, &mut items);
            index = end;
            let now = self.clock.now();
            if now.saturating_sub(time_of(index)) > BEHIND {
                tracing::warn!("the mixer was held up; sound has a hole");
                index = index_of(now);
            }
        }
        finish(&mut encoding, &mut items);
    }

    fn encode(&self, encoding: &mut Option<Encoding>, index: i64, mix: &[Sample; FRAME], items: &mut Vec<FeedItem>) {
        let live = self.controls.live.lock().clone();
        let same = match (&live, &*encoding) {
            (Some(out), Some(e)) => Arc::ptr_eq(out, &e.out),
            (None, None) => true,
            _ => false,
        };
        if !same {
            finish(encoding, items);
            if let Some(out) = live {
                match AacEncoder::open(BITRATE) {
                    Ok(encoder) => *encoding = Some(Encoding { origin: index_of(out.origin), out, encoder }),
                    Err(e) => out.fail(e.into()),
                }
            }
        }
        let Some(e) = encoding else { return };
        // The first whole block after the stream's origin; samples count from there.
        if index < e.origin {
            return;
        }
        if let Err(error) = e.encoder.encode(index - e.origin, mix, items) {
            e.out.fail(error.into());
            *encoding = None;
            return;
        }
        items.drain(..).for_each(|item| e.out.send(item));
    }
}

fn finish(encoding: &mut Option<Encoding>, items: &mut Vec<FeedItem>) {
    if let Some(e) = encoding.take() {
        if let Err(error) = e.encoder.finish(items) {
            tracing::debug!(%error, "the end of the sound is lost");
        }
        items.drain(..).for_each(|item| e.out.send(item));
    }
}

/// Adds the source's sound; when the source changed, the old one fades into the new one.
fn add_source(mix: &mut [Sample; FRAME], index: i64, present: &mut SoundTrack, next: SoundTrack) {
    let mut block = [[0.0; 2]; FRAME];
    if !present.is_same(&next) {
        let mut old = [[0.0; 2]; FRAME];
        present.read(index, &mut old);
        for (i, (to, s)) in mix.iter_mut().zip(&old).enumerate() {
            let fade = 1.0 - i as f32 / FRAME as f32;
            to[0] += s[0] * fade;
            to[1] += s[1] * fade;
        }
        *present = next;
    }
    // A track that is read for the first time fades in by itself.
    present.read(index, &mut block);
    add(mix, &block);
}

fn add(mix: &mut [Sample; FRAME], block: &[Sample; FRAME]) {
    for (to, s) in mix.iter_mut().zip(block) {
        to[0] += s[0];
        to[1] += s[1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(voice: &mut Voice, size: f32) -> SoundLevel {
        let mut samples = vec![[size; 2]; 3200];
        voice.apply(&mut samples).unwrap()
    }

    #[test]
    fn what_is_too_loud_is_told_once() {
        let mut voice = Voice::new(Voicing::default());
        assert!(!levels(&mut voice, 0.9).clips);
        assert!(levels(&mut voice, 1.0).clips);
        assert!(!levels(&mut voice, 0.9).clips, "it is over");
        // The gain makes it so.
        voice.set(Voicing { gain_db: 6.0, ..Voicing::default() });
        assert!(levels(&mut voice, 0.6).clips);
        // A low gain does not mend what the microphone cut off.
        voice.set(Voicing { gain_db: -20.0, ..Voicing::default() });
        levels(&mut voice, 0.1);
        assert!(levels(&mut voice, 1.0).clips);
    }

    #[test]
    fn the_level_is_that_of_before_the_gate() {
        let mut voice = Voice::new(Voicing { noise_gate_db: Some(-40.0), ..Voicing::default() });
        let mut noise = vec![[0.002; 2]; 3200];
        let level = voice.apply(&mut noise).unwrap();
        assert!(!level.open && level.peak_db > -55.0, "{level:?}");
        assert!(noise.iter().all(|s| *s == [0.0; 2]), "and nothing is heard");
        assert!(levels(&mut voice, 0.1).open);
    }
}
