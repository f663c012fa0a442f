//! The timeline: one continuous output, whatever is switched to and whoever publishes.
//!
//! Pictures run through [`VideoTrack`], sound through [`Grid`], both against one [`Pace`]. A change of
//! configuration happens at key frames alone, with SPS and PPS in band.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mujian_media::avc::skip::SkipPictures;
use mujian_media::frame::{AudioConfig, VideoConfig, VideoFrame};
use mujian_media::time::{MediaTime, Now};
use mujian_media::{aac, avc};
use mujian_protocol::room::Stage;

use super::engine::Out;
use super::grid::Grid;
use super::pace::{LEAD_MAX, Pace};
use super::programme::ChunkParts;
use super::video::VideoTrack;
use crate::slate::{SOUND_RATE, SlateLoop};

/// Sound that waits for a picture goes out alone after this time.
const SOUND_ALONE: Duration = Duration::from_millis(50);
/// Furthest that the sound may be behind the end of the picture that it goes out with, however long it is waited for.
const SOUND_BEHIND: MediaTime = MediaTime::from_millis(1500);
/// How late a picture is that was made in place of one that has not come.
const NEVER_CAME: Duration = Duration::MAX;
/// More than this is not made up for after the machine slept.
const MISSED_MAX: MediaTime = MediaTime::from_millis(5000);
/// A slate starts ahead of the edge by at most this.
const EAGER: MediaTime = MediaTime::from_millis(100);
/// Longest that an honest encoder's reordering puts between decoding and showing.
const REORDER_MAX: MediaTime = MediaTime::from_millis(400);

/// One and a half frames: a longer step between two pictures is a hole.
fn hole(duration: MediaTime) -> MediaTime {
    MediaTime::from_flicks(duration.flicks() / 2 * 3)
}

/// A loop that is being played.
#[derive(Debug)]
struct Player {
    slate: Arc<SlateLoop>,
    next: usize,
    /// Where its first picture stands, of this turn.
    since: MediaTime,
    /// Its own sound is heard.
    own_sound: bool,
}

/// A picture of the publisher, mapped to the programme's timeline.
#[derive(Debug)]
pub(super) struct LivePicture<'a> {
    pub(super) frame: VideoFrame,
    pub(super) dts: MediaTime,
    pub(super) pts: MediaTime,
    pub(super) duration: MediaTime,
    pub(super) config: &'a Arc<VideoConfig>,
}

/// One stream's output.
#[derive(Debug)]
pub(super) struct Timeline {
    out: VecDeque<Out>,
    pace: Option<Pace>,
    video: VideoTrack,
    grid: Grid,
    config: Option<(Arc<VideoConfig>, Arc<AudioConfig>)>,
    /// How the publisher's sound is coded.
    theirs: Option<Arc<AudioConfig>>,
    /// How a slate's own sound is coded.
    own_sound: Arc<AudioConfig>,
    /// The publisher's sound is taken.
    sound: bool,
    /// There is a publisher.
    session: bool,
    skip: Option<SkipPictures>,
    player: Option<Player>,
    stage: Stage,
}

impl Timeline {
    pub(super) fn new() -> Self {
        Self {
            out: VecDeque::new(),
            pace: None,
            video: VideoTrack::default(),
            grid: Grid::new(Arc::new(aac::make_asc(48_000, 2)), MediaTime::ZERO),
            config: None,
            theirs: None,
            own_sound: Arc::new(aac::make_asc(SOUND_RATE, 2)),
            sound: false,
            session: false,
            skip: None,
            player: None,
            stage: Stage::Off,
        }
    }

    pub(super) fn poll(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// The clock of the output, which starts when first asked for.
    pub(super) fn pace(&mut self, now: Now) -> &mut Pace {
        self.pace.get_or_insert_with(|| Pace::start(MediaTime::ZERO, now))
    }

    pub(super) fn has_started(&self) -> bool {
        self.video.last().is_some()
    }

    /// The last picture's decoding time.
    pub(super) fn last(&self) -> Option<MediaTime> {
        self.video.last()
    }

    /// Where a new session's first picture goes.
    pub(super) fn next_place(&mut self, duration: MediaTime, now: Now) -> MediaTime {
        let edge = self.pace(now).edge(now);
        self.video.last().map_or(edge, |last| edge.max(last.saturating_add(duration)))
    }

    /// How late a picture of this mapped time is; zero or less is in time.
    pub(super) fn lateness(&self, dts: MediaTime) -> MediaTime {
        self.video.last().map_or(MediaTime::MIN, |last| last.saturating_sub(dts))
    }

    /// Whether the output is so far ahead of the clock that the publisher must wait.
    pub(super) fn is_ahead(&self, now: Now) -> bool {
        self.ahead_until(now).is_some()
    }

    /// Until when it is.
    pub(super) fn ahead_until(&self, now: Now) -> Option<Now> {
        let (pace, last) = (self.pace?, self.video.last()?);
        let over = last.saturating_sub(pace.clock(now)).saturating_sub(LEAD_MAX);
        (over > MediaTime::ZERO).then(|| now.plus(over.to_duration() + Duration::from_millis(1)))
    }

    pub(super) fn set_stage(&mut self, stage: Stage) {
        if self.stage != stage {
            self.stage = stage;
            self.out.push_back(Out::Stage(stage));
        }
    }

    /// Another session, or none: its sound is not known yet.
    pub(super) fn set_session(&mut self, present: bool) {
        self.session = present;
        self.theirs = None;
        self.set_sound(false);
    }

    pub(super) fn set_audio_config(&mut self, config: Arc<AudioConfig>) {
        self.theirs = Some(config);
    }

    /// Whether the publisher's sound is to be heard. Where it is not, silence is.
    pub(super) fn set_sound(&mut self, wanted: bool) {
        let sound = wanted && self.theirs.is_some();
        if self.sound && !sound {
            self.grid.discard();
        }
        self.sound = sound;
    }

    /// The publisher's sound needs a configuration that has not gone out.
    fn sound_needs_key(&self) -> bool {
        self.sound && self.theirs.as_ref().is_some_and(|theirs| theirs != self.grid.config())
    }

    /// Sound of the publisher, mapped.
    pub(super) fn sound(&mut self, data: Bytes, at: MediaTime, now: Now) {
        if self.sound && self.has_started() && !self.sound_needs_key() {
            let edge = self.pace(now).edge(now);
            self.grid.live(data, at, edge, now);
        }
    }

    /// A picture of the publisher that is to be shown.
    pub(super) fn live(&mut self, picture: LivePicture<'_>, now: Now) {
        let LivePicture { frame, dts, pts, duration, config } = picture;
        let most = hole(duration);
        if self.player.is_some() {
            self.video.straighten();
            // The slate reaches to where the picture is shown, too, but no lie of a publisher is followed far.
            let shown = pts.min(dts.saturating_add(REORDER_MAX));
            while self.video.last().is_some_and(|last| last.saturating_add(most) < dts)
                || self.video.shown_until().saturating_add(most) < shown
            {
                // A slate's own step may be longer than the publisher's.
                self.next_slate(now);
            }
        } else {
            while self.video.last().is_some_and(|last| last.saturating_add(most) < self.video.preview(dts)) {
                if !self.skip_picture(duration, now) {
                    self.video.stretch(dts, duration);
                    break;
                }
            }
        }
        self.set_stage(Stage::Live);
        let fresh = self.player.take().is_some() || self.skip.is_none() || self.changes(config);
        if fresh && frame.key {
            self.skip = Some(SkipPictures::new(config));
        }
        if let Some(skip) = &mut self.skip {
            skip.observe(&frame);
        }
        let late = self.edge(now).saturating_sub(dts).to_duration();
        let (dts, pts, exact) = self.video.place(dts, pts);
        let frame = VideoFrame { dts, pts, ..frame };
        self.picture(frame, config, duration, late, now);
        if exact {
            self.pace(now).live(dts, now);
        }
    }

    fn changes(&self, config: &Arc<VideoConfig>) -> bool {
        self.config.as_ref().is_none_or(|(video, _)| video != config)
    }

    /// Holes in the publisher's picture are filled up to the edge; with what cannot be filled, the
    /// next picture or the slate goes on.
    pub(super) fn fill_live(&mut self, duration: MediaTime, now: Now) {
        let edge = self.edge(now);
        while self.video.last().is_some_and(|last| last.saturating_add(duration) <= edge) {
            if !self.skip_picture(duration, now) {
                break;
            }
        }
    }

    /// When the next filling picture is due.
    pub(super) fn next_fill(&self, duration: MediaTime, now: Now) -> Option<Now> {
        let (pace, last) = (self.pace?, self.video.last()?);
        Some(pace.when(last.saturating_add(duration), now))
    }

    fn skip_picture(&mut self, duration: MediaTime, now: Now) -> bool {
        let Some((config, _)) = self.config.clone() else { return false };
        let Some(data) = self.skip.as_mut().and_then(SkipPictures::make) else { return false };
        let (dts, pts) = self.video.fill(duration);
        let frame = VideoFrame { dts, pts, key: false, data };
        self.picture(frame, &config, duration, NEVER_CAME, now);
        true
    }

    /// Plays a slate up to the edge, with its own sound if that is wanted and it has any.
    pub(super) fn play(&mut self, slate: &Arc<SlateLoop>, own_sound: bool, now: Now) {
        self.skip = None;
        let own_sound = own_sound && slate.has_sound();
        if let Some(player) = &mut self.player
            && Arc::ptr_eq(&player.slate, slate)
        {
            // Its own sound begins with its pictures, but stops anywhere.
            player.own_sound &= own_sound;
        }
        let another = self.player.as_ref().is_none_or(|p| !Arc::ptr_eq(&p.slate, slate) || p.own_sound != own_sound);
        if another || self.sound_needs_key() {
            let since = MediaTime::ZERO;
            self.player = Some(Player { slate: Arc::clone(slate), next: 0, since, own_sound });
            if self.video.last().is_none_or(|last| last <= self.edge(now).saturating_add(EAGER)) {
                self.next_slate(now);
            }
        }
        let step = slate.frame_duration;
        let missed = self.video.last().map_or(MediaTime::ZERO, |last| self.edge(now).saturating_sub(last));
        if missed > MISSED_MAX {
            self.pace(now).forgive(missed);
        }
        let edge = self.edge(now);
        while self.video.last().is_some_and(|last| last.saturating_add(step) <= edge) {
            self.next_slate(now);
        }
    }

    /// When the slate's next picture is due.
    pub(super) fn next_play(&self, now: Now) -> Option<Now> {
        let player = self.player.as_ref()?;
        self.next_fill(player.slate.frame_duration, now)
    }

    fn next_slate(&mut self, now: Now) {
        let Some(player) = &mut self.player else { return };
        let slate = Arc::clone(&player.slate);
        let frame = slate.frame(player.next).or_else(|| {
            // The disk is too slow: it begins again, which is always possible.
            player.next = 0;
            slate.frame(0)
        });
        let Some(frame) = frame else { return };
        let (dts, pts) = self.video.fill(slate.frame_duration);
        if player.next == 0 {
            player.since = dts;
        }
        player.next = (player.next + 1) % slate.len();
        let frame = VideoFrame { dts, pts, key: frame.key, data: frame.data };
        self.picture(frame, &slate.config, slate.frame_duration, Duration::ZERO, now);
        let melt = !self.session;
        self.pace(now).slate(melt, now);
    }

    /// Something skipped over more than can be filled: the clock waits for it.
    pub(super) fn forgive(&mut self, missed: MediaTime, now: Now) {
        self.pace(now).forgive(missed);
    }

    /// Sound that has waited long enough goes out without a picture.
    pub(super) fn sound_alone(&mut self, now: Now) {
        if self.config.is_none() || self.grid.waiting_since().is_none_or(|at| now.since(at) < SOUND_ALONE) {
            return;
        }
        let audio = self.grid.take(MediaTime::MAX);
        self.out.push_back(Out::Chunk(ChunkParts {
            stage: self.stage,
            video: None,
            video_duration: MediaTime::ZERO,
            audio,
        }));
    }

    /// When that will be.
    pub(super) fn next_sound_alone(&self) -> Option<Now> {
        self.grid.waiting_since().map(|at| at.plus(SOUND_ALONE))
    }

    /// Where the output should have come to, once there is one.
    pub(super) fn edge_if_started(&self, now: Now) -> Option<MediaTime> {
        self.pace.map(|p| p.edge(now))
    }

    fn edge(&self, now: Now) -> MediaTime {
        self.pace.map_or(MediaTime::ZERO, |p| p.edge(now))
    }

    /// A placed picture, which came so `late`, goes out with the sound that belongs to it.
    fn picture(
        &mut self,
        mut frame: VideoFrame,
        video: &Arc<VideoConfig>,
        duration: MediaTime,
        late: Duration,
        now: Now,
    ) {
        if frame.key {
            self.configure(&mut frame, video);
        }
        let end = frame.dts.saturating_add(duration);
        let silence = if self.sound && !self.sound_needs_key() {
            // The publisher's sound may still come. The edge may have given up a lead that these pictures had used.
            let waits = self.edge(now).saturating_sub(self.grid.patience(late));
            end.min(waits.max(end.saturating_sub(SOUND_BEHIND)))
        } else {
            end
        };
        match &self.player {
            Some(player) if player.own_sound => {
                let (slate, since) = (&player.slate, player.since);
                self.grid.fill(silence, now, |at| slate.sound(at.saturating_sub(since)));
            }
            _ => self.grid.silence(silence, now),
        }
        let audio = self.grid.take(end);
        self.out.push_back(Out::Chunk(ChunkParts {
            stage: self.stage,
            video: Some(frame),
            video_duration: duration,
            audio,
        }));
    }

    fn configure(&mut self, frame: &mut VideoFrame, video: &Arc<VideoConfig>) {
        let own = self.player.as_ref().filter(|p| p.own_sound).map(|_| &self.own_sound);
        let audio = own.or(self.theirs.as_ref()).unwrap_or(self.grid.config());
        let same = self.config.as_ref().is_some_and(|(v, a)| v == video && a == audio);
        if same {
            return;
        }
        let audio = Arc::clone(audio);
        if &audio != self.grid.config() {
            self.grid.reconfigure(Arc::clone(&audio));
        }
        let sets = avc::in_band_parameter_sets(video);
        let mut data = BytesMut::with_capacity(sets.len() + frame.data.len());
        data.extend_from_slice(&sets);
        data.extend_from_slice(&frame.data);
        frame.data = data.freeze();
        self.config = Some((Arc::clone(video), Arc::clone(&audio)));
        self.out.push_back(Out::Config { video: Arc::clone(video), audio, at: frame.dts });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::slate::tape::{TapeWriter, open};
    use crate::slate::{SlateKind, SlateSource};

    /// A slate of two seconds with sound whose frames are numbered.
    pub(in crate::stage) fn with_sound(folder: &std::path::Path) -> Arc<SlateLoop> {
        let path = folder.join("slate");
        let mut out = TapeWriter::create(&path).unwrap();
        for i in 0..60u32 {
            out.picture(i == 0, &[0, 0, 0, 1, 0x41]).unwrap();
        }
        for n in 0..94u8 {
            out.sound(&[n]).unwrap();
        }
        let config = &SlateSource::built_in().unwrap().fallback(SlateKind::Moment).config;
        out.finish(config, 30).unwrap();
        Arc::new(open(&path).unwrap().0)
    }

    /// Plays for `millis`; the sound that went out, with its times and the time of the first picture.
    fn play(
        timeline: &mut Timeline,
        slate: &Arc<SlateLoop>,
        own: bool,
        from: u64,
        millis: u64,
    ) -> Vec<(MediaTime, u8)> {
        let mut out = Vec::new();
        for now in (from..from + millis).step_by(10) {
            timeline.play(slate, own, Now::from_origin(Duration::from_millis(now)));
            while let Some(next) = timeline.poll() {
                if let Out::Chunk(chunk) = next {
                    out.extend(chunk.audio.iter().map(|a| (a.pts, a.data.first().copied().unwrap_or(255))));
                }
            }
        }
        out
    }

    #[test]
    fn a_slates_own_sound_keeps_with_its_pictures_round_after_round() {
        let folder = tempfile::tempdir().unwrap();
        let slate = with_sound(folder.path());
        let mut timeline = Timeline::new();
        let silent = aac::silent_frame(2)[0];
        let sound = play(&mut timeline, &slate, true, 1000, 7000);
        assert!(sound.len() > 300);
        let step = MediaTime::from_scale(1024, 48_000);
        for (i, (at, what)) in sound.iter().enumerate() {
            assert_eq!(*at, MediaTime::from_scale(i as i64 * 1024, 48_000), "no hole");
            // Where in its round of two seconds this belongs.
            let round = at.flicks() % MediaTime::from_millis(2000).flicks();
            let belongs = MediaTime::from_flicks(i64::from(*what) * step.flicks());
            let off = belongs.abs_diff(MediaTime::from_flicks(round));
            let wrapped = MediaTime::from_millis(2000).saturating_sub(off);
            assert!(*what == silent || off.min(wrapped) <= MediaTime::from_millis(11), "{i}: {what} at {round}");
        }
        assert!(sound.iter().filter(|(_, what)| *what == silent).count() <= 8, "silence between rounds at most");
        let kept = play(&mut timeline, &slate, false, 8000, 1000);
        assert!(kept.iter().skip(3).all(|(_, what)| *what == silent), "silent where the streamer is heard");
    }

    /// Whoever is back is heard; the placeholder does not begin anew for that.
    #[test]
    fn a_slates_own_sound_stops_in_its_midst() {
        let folder = tempfile::tempdir().unwrap();
        let slate = with_sound(folder.path());
        let mut timeline = Timeline::new();
        assert!(play(&mut timeline, &slate, true, 1000, 1500).len() > 60);
        for now in (2500..2900).step_by(10) {
            timeline.play(&slate, false, Now::from_origin(Duration::from_millis(now)));
            while let Some(next) = timeline.poll() {
                if let Out::Chunk(chunk) = next {
                    assert!(chunk.video.is_some_and(|picture| !picture.key), "it began anew at {now}");
                }
            }
        }
    }
}
