//! The stage's decisions, without input, output or clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mujian_media::frame::{AudioConfig, AudioFrame, FeedItem, VideoConfig, VideoFrame};
use mujian_media::time::{MediaTime, Now};
use mujian_media::{aac, avc};
use mujian_protocol::room::Stage;

use super::programme::ChunkParts;
use super::{Leave, StageConfig};
use crate::slate::{SlateKind, SlateLoop, SlateRequest, SlateSource};

/// What the engine is told once.
#[derive(Clone, Debug)]
pub(super) struct EngineConfig {
    pub(super) grace: Duration,
    pub(super) grace_away: Duration,
    pub(super) delay: Duration,
    pub(super) away: Option<Leave>,
    pub(super) covered: bool,
}

impl From<&StageConfig> for EngineConfig {
    fn from(c: &StageConfig) -> Self {
        Self { grace: c.grace, grace_away: c.grace_away, delay: c.delay, away: c.away, covered: c.covered }
    }
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Out {
    /// The chunks that follow are coded like this.
    Config { video: Arc<VideoConfig>, audio: Arc<AudioConfig>, at: MediaTime },
    /// This goes out.
    Chunk(ChunkParts),
    /// Viewers are shown another thing from now on.
    Stage(Stage),
    /// A slate of this form would be good to have.
    WantSlate(SlateKind, SlateRequest),
    /// The stream is over.
    Ended,
}

/// The live path alone: what the publisher sends goes out from its first key frame on.
pub(super) struct Engine {
    config: EngineConfig,
    out: VecDeque<Out>,
    video: Option<Arc<VideoConfig>>,
    audio: Option<Arc<AudioConfig>>,
    offset: Option<MediaTime>,
    pending: Vec<AudioFrame>,
    session: Option<u64>,
    lost_at: Option<Now>,
}

impl Engine {
    pub(super) fn new(config: EngineConfig, _slates: &SlateSource) -> Self {
        Self {
            config,
            out: VecDeque::new(),
            video: None,
            audio: None,
            offset: None,
            pending: Vec::new(),
            session: None,
            lost_at: None,
        }
    }

    pub(super) fn came(&mut self, session: u64, _now: Now) {
        self.session = Some(session);
        self.lost_at = None;
    }

    pub(super) fn lost(&mut self, now: Now) {
        self.session = None;
        self.lost_at = Some(now);
    }

    pub(super) fn goodbye(&mut self, now: Now) {
        self.end(now);
    }

    pub(super) fn end(&mut self, _now: Now) {
        self.config.away = None;
        (self.session, self.lost_at, self.offset) = (None, None, None);
        self.out.push_back(Out::Ended);
    }

    pub(super) fn feed(&mut self, item: FeedItem, _now: Now) {
        match item {
            FeedItem::VideoConfig(c) => self.video = Some(c),
            FeedItem::AudioConfig(c) => self.audio = Some(c),
            FeedItem::Audio(a) => {
                if let Some(offset) = self.offset {
                    self.pending.push(AudioFrame { pts: a.pts.saturating_add(offset), data: a.data });
                }
            }
            FeedItem::Video(v) => self.picture(v),
            FeedItem::LeaveMark { .. } => {}
        }
    }

    fn picture(&mut self, mut v: VideoFrame) {
        let Some(video) = self.video.clone() else { return };
        let offset = match self.offset {
            Some(offset) => offset,
            None if v.key => {
                let offset = MediaTime::ZERO.saturating_sub(v.dts);
                self.offset = Some(offset);
                let audio = self.audio.clone().unwrap_or_else(|| Arc::new(aac::make_asc(48_000, 2)));
                let mut data = avc::in_band_parameter_sets(&video).to_vec();
                data.extend_from_slice(&v.data);
                v.data = data.into();
                self.out.push_back(Out::Config { video, audio, at: MediaTime::ZERO });
                self.out.push_back(Out::Stage(Stage::Live));
                offset
            }
            None => return,
        };
        v.dts = v.dts.saturating_add(offset);
        v.pts = v.pts.saturating_add(offset);
        self.out.push_back(Out::Chunk(ChunkParts {
            stage: Stage::Live,
            video: Some(v),
            video_duration: MediaTime::from_millis(33),
            audio: std::mem::take(&mut self.pending),
        }));
    }

    pub(super) fn leave(&mut self, leave: Leave, _now: Now) {
        self.config.away = Some(leave);
    }
    pub(super) fn leave_mark(&mut self, session: u64, last: MediaTime, now: Now) {
        if self.session == Some(session) {
            self.leave(Leave { last: Some(last), keep_sound: false }, now);
        }
    }
    pub(super) fn back(&mut self, _from: Option<MediaTime>, _now: Now) {
        self.config.away = None;
    }
    pub(super) fn cover(&mut self, _now: Now) {
        self.config.covered = true;
    }
    pub(super) fn restore(&mut self, _now: Now) {
        self.config.covered = false;
    }
    pub(super) fn slate_ready(&mut self, _kind: SlateKind, _slate: Arc<SlateLoop>) {}
    pub(super) fn is_away(&self) -> bool {
        self.config.away.is_some()
    }
    pub(super) fn is_covered(&self) -> bool {
        self.config.covered
    }
    pub(super) fn run(&mut self, now: Now) {
        let grace = if self.is_away() { self.config.grace_away } else { self.config.grace };
        if self.lost_at.is_some_and(|at| now.since(at) >= grace) {
            self.end(now);
        }
    }
    pub(super) fn wake_at(&self, _now: Now) -> Option<Now> {
        None
    }
    pub(super) fn hungry(&self, _now: Now) -> bool {
        true
    }
    pub(super) fn poll(&mut self) -> Option<Out> {
        self.out.pop_front()
    }
}
