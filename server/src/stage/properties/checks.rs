//! What must hold of all that goes out.

use std::sync::Arc;

use mujian_media::frame::{AudioConfig, AudioFrame, VideoConfig, VideoFrame};
use mujian_media::time::MediaTime;
use mujian_media::{aac, avc};
use mujian_protocol::room::Stage;
use proptest::prelude::*;

use super::super::Told;
use super::super::engine::Out;
use super::super::programme::ChunkParts;
use super::model::{AWAY_SIZE, CALM, Model, at, t};
use super::publisher::tag_of;

/// Picture and sound may differ by so much, in milliseconds: the timers' and the grid's share.
const LIPS: i64 = 20;

/// What went out, as far as the checks need it.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) config: Option<(Arc<VideoConfig>, Arc<AudioConfig>)>,
    pub(super) fresh_config: bool,
    pub(super) last_video: Option<MediaTime>,
    pub(super) audio_end: Option<MediaTime>,
    /// When the last picture of a slate, or made to fill, was shown.
    pub(super) filled: Option<MediaTime>,
    pub(super) origin: Option<u64>,
    pub(super) stage: Option<Stage>,
    /// The publisher's picture that went out last, while it is the last real one; none after a slate.
    pub(super) chain: Option<usize>,
    pub(super) live_chunks: u64,
    pub(super) last_was_live: bool,
    pub(super) running: bool,
    pub(super) sound_offset: Option<(u64, MediaTime, u64)>,
    /// The configuration whose pictures were seen at the rate that it says, and the last picture's time.
    pub(super) paced: (u64, bool, u64),
    pub(super) picture_offset: Option<(u64, MediaTime, u64)>,
    pub(super) sounds: u64,
    /// Frames of silence, and frames of the publisher that do not follow the one before.
    pub(super) silences: u64,
    pub(super) seams: u64,
    pub(super) heard: Option<u64>,
}

impl Model {
    pub(super) fn check(&mut self) -> Result<(), TestCaseError> {
        let held = self.held || !self.engine.hungry(at(self.now));
        self.returns.pass(self.now, self.seen.stage, held);
        while let Some(out) = self.engine.poll() {
            match out {
                Out::WantSlate(..) => {}
                Out::Told(Told::Left(leave)) => self.is_away(leave.keep_sound, self.now),
                Out::Told(Told::Back(id)) => self.storing.push_back((self.now + self.store, id)),
                Out::Stage(stage) => {
                    prop_assert_ne!(self.seen.stage, Some(stage));
                    self.returns.changes(stage, self.now)?;
                    self.seen.stage = Some(stage);
                    if stage == Stage::Live {
                        // Where key frames are far apart it comes long after what it follows from.
                        self.disturb();
                    }
                    self.seen.running = true;
                }
                Out::Config { video, audio, .. } => {
                    prop_assert!(!self.seen.fresh_config, "two configurations in a row");
                    self.seen.fresh_config = true;
                    self.seen.config = Some((video, audio));
                }
                Out::Chunk(parts) => self.check_chunk(parts)?,
                Out::Ended => {
                    if self.session.take().is_some() {
                        self.road.clear();
                    }
                    if self.engine.away().is_none() {
                        (self.away_since, self.sound_off_since) = (None, None);
                    }
                    self.returns.ended(self.engine.away().is_some());
                    self.seen = Seen::default();
                    self.disturb();
                }
            }
        }
        self.check_pace()
    }

    fn check_pace(&self) -> Result<(), TestCaseError> {
        let (Some(origin), Some(last)) = (self.seen.origin, self.seen.last_video) else { return Ok(()) };
        let clock = t((self.now - origin) as i64);
        prop_assert!(last <= clock.saturating_add(t(4100)), "{last:?} runs ahead of {clock:?}");
        prop_assert!(last >= clock.saturating_sub(t(3600)), "{last:?} falls behind {clock:?}");
        Ok(())
    }

    fn check_chunk(&mut self, parts: ChunkParts) -> Result<(), TestCaseError> {
        let ChunkParts { stage, video, video_duration, audio } = parts;
        self.seen.origin.get_or_insert(self.now);
        prop_assert_eq!(Some(stage), self.seen.stage);
        let expected = if self.covered {
            Some(Stage::Covered)
        } else if self.away_since.is_some() {
            Some(Stage::Away)
        } else {
            None
        };
        if let Some(expected) = expected {
            prop_assert_eq!(stage, expected);
        }
        if stage == Stage::Away {
            self.returns.placeholder(self.now)?;
        }
        let (_, audio_config) = self.seen.config.clone().expect("a configuration comes before the first chunk");
        if let Some(frame) = video {
            self.check_picture(&frame, video_duration, stage)?;
        }
        for frame in audio {
            if let Some(end) = self.seen.audio_end {
                prop_assert!(
                    frame.pts.abs_diff(end) <= MediaTime::from_flicks(16_000),
                    "sound {end:?} {:?}",
                    frame.pts
                );
            } else {
                prop_assert_eq!(frame.pts, MediaTime::ZERO);
            }
            self.seen.audio_end = Some(frame.pts.saturating_add(audio_config.frame_duration()));
            if let Some(id) = tag_of(&frame.data) {
                self.check_sound(&frame, id)?;
            } else {
                self.seen.silences += 1;
                prop_assert_eq!(&frame.data, &aac::silent_frame(audio_config.channels));
            }
        }
        if let (Some(video), Some(audio)) = (self.seen.last_video, self.seen.audio_end) {
            // The sound of an unlucky publisher is waited for, but not for long.
            prop_assert!(audio >= video.saturating_sub(t(1500)), "sound {audio:?} far behind {video:?}");
            // It is taken from 2 s ahead of the edge, which a picture that cannot be filled is a second behind.
            prop_assert!(audio <= video.saturating_add(t(3100)), "sound {audio:?} far ahead of {video:?}");
        }
        Ok(())
    }

    fn check_sound(&mut self, frame: &AudioFrame, id: usize) -> Result<(), TestCaseError> {
        self.seen.sounds += 1;
        let truth = &self.truth[id];
        prop_assert!(!self.covered, "sound while covered");
        if let Some(since) = self.away_since {
            prop_assert!(self.keep_sound, "sound while away since {since}");
        }
        prop_assert!(!truth.hidden, "sound of {} from an absence, by the app's own word", truth.captured);
        for (from, to) in &self.secret_sound {
            let c = truth.captured;
            prop_assert!(c < *from || c >= *to, "sound of {c}, of {from} to {to}");
        }
        self.seen.seams += u64::from(
            self.seen
                .heard
                .replace(truth.captured)
                .is_none_or(|h| !(21..=24).contains(&(truth.captured.saturating_sub(h)))),
        );
        self.seen.sound_offset = Some((truth.session, frame.pts.saturating_sub(truth.theirs), self.now));
        self.check_lips()
    }

    fn check_lips(&self) -> Result<(), TestCaseError> {
        if self.now.saturating_sub(self.disturbed) < CALM {
            return Ok(());
        }
        if let (Some(sound), Some(picture)) = (self.seen.sound_offset, self.seen.picture_offset)
            && sound.0 == picture.0
            && sound.2.abs_diff(picture.2) < 200
        {
            // Where most pictures are left out, each comes behind some that filled its place, the last of which may besides
            // stand up to its own length too far.
            let filled = if self.thin > 1 { 1 + 1000 / self.shape.fps() as i64 } else { 0 };
            prop_assert!(sound.1.abs_diff(picture.1) <= t(LIPS + filled), "lips {:?} {:?}", sound.1, picture.1);
        }
        Ok(())
    }

    fn check_picture(&mut self, frame: &VideoFrame, duration: MediaTime, stage: Stage) -> Result<(), TestCaseError> {
        prop_assert!(frame.pts >= frame.dts);
        prop_assert!(self.seen.filled.is_none_or(|filled| frame.pts > filled), "shown before what filled the hole");
        if tag_of(&frame.data).is_none() {
            self.seen.filled = Some(frame.pts);
        }
        let config = self.seen.config.clone().map(|c| c.0).unwrap();
        let slate =
            self.slates.iter().find(|s| s.frames.iter().any(|f| frame.data.ends_with(&f.data)) && s.config == config);
        if let Some(last) = self.seen.last_video {
            let step = frame.dts.saturating_sub(last);
            prop_assert!(step >= t(1), "a step back from {last:?} to {:?}", frame.dts);
            let most = if slate.is_some() { duration } else { MediaTime::from_flicks(duration.flicks() / 2 * 3) };
            prop_assert!(step <= most.saturating_add(t(1)), "a hole of {step:?} at {last:?}, now {}", self.now);
        } else {
            prop_assert!(frame.dts <= t(100), "the first picture stands near 0");
            prop_assert!(frame.key);
        }
        self.seen.last_video = Some(frame.dts);
        if std::mem::take(&mut self.seen.fresh_config) {
            prop_assert!(frame.key, "another configuration without a key frame");
            prop_assert!(frame.data.starts_with(&avc::in_band_parameter_sets(&config)));
        }
        match (tag_of(&frame.data), slate) {
            (Some(id), None) => {
                let truth = &self.truth[id];
                prop_assert!(!self.covered, "a live picture while covered");
                prop_assert!(self.away_since.is_none(), "a live picture while away");
                prop_assert!(truth.came >= self.restored, "it waited in the line when the cover was lifted");
                prop_assert!(!truth.hidden, "captured at {} in an absence, by the app's own word", truth.captured);
                for (from, to) in &self.secret {
                    let c = truth.captured;
                    prop_assert!(c <= *from || c >= *to, "captured at {c}, between {from} and {to}");
                }
                prop_assert_eq!(frame.key, truth.key);
                prop_assert_eq!(&truth.config, &config, "the configuration of another");
                if !frame.key {
                    prop_assert_eq!(truth.before, self.seen.chain, "the picture it refers to did not go out");
                }
                prop_assert_eq!(stage, Stage::Live);
                if let Some(nominal) = config.frame_duration {
                    let (era, known, last) = self.seen.paced;
                    let adjacent = truth.slot.abs_diff(last) < 40;
                    let known = era == truth.era && (known || adjacent);
                    self.seen.paced = (truth.era, known, truth.slot);
                    // Pictures that are left out do not make it a slower stream, whose holes may be longer.
                    prop_assert!(!known || duration <= nominal.saturating_add(t(1)), "{duration:?} a picture");
                }
                self.seen.chain = Some(id);
                self.seen.live_chunks += 1;
                self.seen.last_was_live = true;
                self.seen.picture_offset = Some((truth.session, frame.dts.saturating_sub(truth.theirs), self.now));
                self.check_lips()?;
            }
            (None, None) => {
                // A made picture: it repeats what viewers saw live.
                prop_assert!(!self.covered && self.away_since.is_none(), "a live picture stands while hidden");
                prop_assert!(self.seen.chain.is_some() && !frame.key, "made of nothing");
                prop_assert_eq!(stage, Stage::Live);
            }
            (None, Some(slate)) => {
                prop_assert_eq!(&slate.config, &config);
                prop_assert_eq!(slate.config.width % 100 == AWAY_SIZE, stage == Stage::Away, "another slate");
                if self.seen.chain.take().is_some() || self.seen.live_chunks == 0 && self.seen.last_video.is_none() {
                    prop_assert!(frame.key, "a slate begins with its key frame");
                }
                self.seen.last_was_live = false;
                prop_assert_ne!(stage, Stage::Live);
            }
            (Some(_), Some(_)) => prop_assert!(false, "both slate and live"),
        }
        Ok(())
    }
}
