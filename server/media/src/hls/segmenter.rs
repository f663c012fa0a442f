//! Cuts a programme into parts and segments.
//!
//! A segment begins at a key frame where that is possible, and always where what is shown changes (its *kind*: the
//! stage and the configuration). Such a change comes with a key frame, so whole segments can be left out later and
//! what remains is decodable. Where key frames are far apart a segment is cut between them.

use std::time::Duration;

use bytes::Bytes;

use crate::fmp4::{Part, VideoSample};
use crate::frame::{AudioFrame, VideoFrame};
use crate::time::MediaTime;

/// Longest part, as players are told (`PART-TARGET`): five pictures at 24 a second, six at 30.
pub const PART_TARGET: MediaTime = MediaTime::from_millis(210);
/// A key frame after so long begins a new segment.
pub const SEGMENT_MIN: MediaTime = MediaTime::from_millis(1900);
/// A segment is cut after so long even without one.
pub const SEGMENT_MAX: MediaTime = MediaTime::from_millis(5800);
/// Sound may be off its place by so much and still follow what was before.
const SOUND_STEP: MediaTime = MediaTime::from_millis(10);

/// A picture with its sound, or sound alone: what goes in.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a, K> {
    /// What it shows and how it is coded.
    pub kind: &'a K,
    /// The picture.
    pub video: Option<&'a VideoFrame>,
    /// How long the picture stands, as far as is known.
    pub duration: MediaTime,
    /// The sound.
    pub audio: &'a [AudioFrame],
    /// Samples a second of the sound.
    pub sample_rate: u32,
    /// When it went out, since 1970 UTC.
    pub wall: Duration,
}

/// What comes out, in this order for each segment: one `Open`, parts, one `Closed`.
#[derive(Clone, Debug, PartialEq)]
pub enum Cut<K> {
    /// A segment begins.
    Open(Opened<K>),
    /// A part of it is complete.
    Part(MadePart),
    /// It is complete.
    Closed(Closed),
}

/// How a segment begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened<K> {
    /// What it shows and how it is coded.
    pub kind: K,
    /// Its first picture's decoding time.
    pub start: MediaTime,
    /// When that went out, since 1970 UTC.
    pub wall: Duration,
    /// Decoding can start with it.
    pub key: bool,
    /// Something is missing before it.
    pub gap: bool,
}

/// A part: one `moof` and `mdat`.
#[derive(Clone, Debug, PartialEq)]
pub struct MadePart {
    /// The bytes.
    pub bytes: Bytes,
    /// How long it is.
    pub duration: MediaTime,
    /// Decoding can start with it.
    pub independent: bool,
}

/// How a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// From its first picture to the next segment's.
    pub duration: MediaTime,
    /// When its first sound frame is heard; none: it has no sound.
    pub sound_at: Option<MediaTime>,
    /// How many sound frames it has.
    pub sounds: u32,
}

#[derive(Debug)]
struct Segment<K> {
    kind: K,
    start: MediaTime,
    /// Where its last picture ends.
    end: MediaTime,
    sound_at: Option<MediaTime>,
    sounds: u32,
}

/// The state machine. `K` is what a segment is of.
#[derive(Debug)]
pub struct Segmenter<K> {
    segment: Option<Segment<K>>,
    gap: bool,
    sequence: u32,
    // The part that is being gathered.
    video: Vec<(VideoFrame, MediaTime)>,
    audio: Vec<AudioFrame>,
    sample_rate: u32,
    wall: Duration,
    out: Vec<Cut<K>>,
}

impl<K: Clone + PartialEq> Default for Segmenter<K> {
    fn default() -> Self {
        Self {
            segment: None,
            gap: false,
            sequence: 0,
            video: Vec::new(),
            audio: Vec::new(),
            sample_rate: 48_000,
            wall: Duration::ZERO,
            out: Vec::new(),
        }
    }
}

impl<K: Clone + PartialEq> Segmenter<K> {
    /// Takes the next piece. Gives what is complete by it.
    pub fn push(&mut self, piece: &Piece<'_, K>) -> Vec<Cut<K>> {
        if let Some(video) = piece.video {
            if let Some(segment) = &self.segment {
                let length = video.dts.saturating_sub(segment.start);
                let another = segment.kind != *piece.kind;
                if another || (video.key && length >= SEGMENT_MIN) || length >= SEGMENT_MAX {
                    self.close(Some(video.dts));
                }
            }
            if self.segment.is_none() && (video.key || !self.out.is_empty()) {
                self.open(piece, video);
            }
        }
        if self.segment.is_none() {
            // Sound before the first picture, or a picture that nothing can be done with.
            return std::mem::take(&mut self.out);
        }
        let follows = match (self.audio.last(), piece.audio.first()) {
            (Some(last), Some(next)) => {
                let expected = last.pts.saturating_add(MediaTime::from_scale(1024, self.sample_rate));
                expected.abs_diff(next.pts) <= SOUND_STEP
            }
            _ => true,
        };
        let too_long = piece.video.is_some() && self.part_length().saturating_add(piece.duration) > PART_TARGET;
        if !follows || (too_long && !self.video.is_empty()) {
            self.part();
        }
        self.sample_rate = piece.sample_rate;
        if self.video.is_empty() && self.audio.is_empty() {
            self.wall = piece.wall;
        }
        self.audio.extend_from_slice(piece.audio);
        if let Some(segment) = &mut self.segment {
            segment.sound_at = segment.sound_at.or(piece.audio.first().map(|a| a.pts));
            segment.sounds += piece.audio.len() as u32;
            if let Some(video) = piece.video {
                segment.end = video.dts.saturating_add(piece.duration);
            }
        }
        if let Some(video) = piece.video {
            self.video.push((video.clone(), piece.duration));
            let next = self.part_length().saturating_add(piece.duration);
            if next > PART_TARGET {
                self.part();
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Something was left out: the next segment does not follow the one before.
    pub fn skip(&mut self) -> Vec<Cut<K>> {
        self.close(None);
        self.gap = true;
        std::mem::take(&mut self.out)
    }

    /// The stream is over.
    pub fn end(&mut self) -> Vec<Cut<K>> {
        self.close(None);
        self.gap = false;
        std::mem::take(&mut self.out)
    }

    fn open(&mut self, piece: &Piece<'_, K>, video: &VideoFrame) {
        let opened = Opened {
            kind: piece.kind.clone(),
            start: video.dts,
            wall: piece.wall,
            key: video.key,
            gap: std::mem::take(&mut self.gap),
        };
        self.out.push(Cut::Open(opened));
        self.segment =
            Some(Segment { kind: piece.kind.clone(), start: video.dts, end: video.dts, sound_at: None, sounds: 0 });
    }

    fn part_length(&self) -> MediaTime {
        match (self.video.first(), self.video.last()) {
            (Some((first, _)), Some((last, duration))) => last.dts.saturating_add(*duration).saturating_sub(first.dts),
            _ => MediaTime::ZERO,
        }
    }

    fn part(&mut self) {
        let (video, audio) = (std::mem::take(&mut self.video), std::mem::take(&mut self.audio));
        if video.is_empty() && audio.is_empty() {
            return;
        }
        let duration = match (video.first(), video.last()) {
            (Some((first, _)), Some((last, duration))) => last.dts.saturating_add(*duration).saturating_sub(first.dts),
            _ => MediaTime::from_scale(1024 * audio.len() as i64, self.sample_rate),
        };
        let samples: Vec<VideoSample<'_>> =
            video.iter().map(|(frame, duration)| VideoSample { frame, duration: *duration }).collect();
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = Part {
            sequence: self.sequence,
            wall: Some(self.wall),
            video: &samples,
            audio: &audio,
            sample_rate: self.sample_rate,
        }
        .write();
        let independent = video.first().is_some_and(|(frame, _)| frame.key);
        self.out.push(Cut::Part(MadePart { bytes, duration, independent }));
    }

    /// `next`: the decoding time of the picture that follows without a hole.
    fn close(&mut self, next: Option<MediaTime>) {
        self.part();
        if let Some(segment) = self.segment.take() {
            let end = next.unwrap_or(segment.end).max(segment.start);
            let duration = end.saturating_sub(segment.start);
            let closed = Closed { duration, sound_at: segment.sound_at, sounds: segment.sounds };
            self.out.push(Cut::Closed(closed));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fmp4::places;

    fn frame(at: MediaTime, key: bool) -> VideoFrame {
        VideoFrame { dts: at, pts: at, key, data: Bytes::from_static(b"picture") }
    }

    struct Feed {
        segmenter: Segmenter<u32>,
        at: MediaTime,
        sound: i64,
        cuts: Vec<Cut<u32>>,
    }

    impl Feed {
        fn new() -> Self {
            Self { segmenter: Segmenter::default(), at: MediaTime::ZERO, sound: 0, cuts: Vec::new() }
        }

        fn push(&mut self, kind: u32, step: MediaTime, key: bool) {
            let video = frame(self.at, key);
            let end = self.at.saturating_add(step);
            let mut audio = Vec::new();
            while MediaTime::from_scale(1024 * self.sound, 48_000) < end {
                let pts = MediaTime::from_scale(1024 * self.sound, 48_000);
                audio.push(AudioFrame { pts, data: Bytes::from_static(b"s") });
                self.sound += 1;
            }
            let wall = self.at.to_duration();
            let piece =
                Piece { kind: &kind, video: Some(&video), duration: step, audio: &audio, sample_rate: 48_000, wall };
            self.cuts.extend(self.segmenter.push(&piece));
            self.at = end;
        }

        fn segments(&self) -> Vec<(u32, MediaTime, MediaTime, bool, usize)> {
            let mut found = Vec::new();
            let mut open: Option<(&Opened<u32>, usize)> = None;
            for cut in &self.cuts {
                match cut {
                    Cut::Open(opened) => {
                        assert!(open.is_none());
                        open = Some((opened, 0));
                    }
                    Cut::Part(_) => open.as_mut().unwrap().1 += 1,
                    Cut::Closed(closed) => {
                        let (o, parts) = open.take().unwrap();
                        found.push((o.kind, o.start, closed.duration, o.key, parts));
                    }
                }
            }
            found
        }
    }

    #[test]
    fn thirty_a_second_with_a_key_each_second_makes_parts_of_200_ms_and_segments_of_2_s() {
        let mut feed = Feed::new();
        let step = MediaTime::from_scale(1, 30);
        for i in 0..150 {
            feed.push(1, step, i % 30 == 0);
        }
        feed.cuts.extend(feed.segmenter.end());
        let lengths: Vec<_> = feed.segments().iter().map(|s| (s.2.millis(), s.3, s.4)).collect();
        assert_eq!(lengths, [(2000, true, 10), (2000, true, 10), (1000, true, 5)]);
        for cut in &feed.cuts {
            if let Cut::Part(part) = cut {
                assert_eq!(part.duration.millis(), 200);
            }
        }
    }

    #[test]
    fn other_rates_fill_the_target() {
        for (rate, pictures) in [(24, 5), (25, 5), (50, 10), (60, 12), (15, 3)] {
            let mut feed = Feed::new();
            for i in 0..rate * 4 {
                feed.push(1, MediaTime::from_scale(1, rate), i % (rate * 2) == 0);
            }
            let Some(Cut::Part(part)) = feed.cuts.get(1) else { panic!("{rate}") };
            assert_eq!(part.duration, MediaTime::from_scale(pictures, rate), "{rate}");
            assert!(part.duration <= PART_TARGET && part.duration.flicks() * 100 >= PART_TARGET.flicks() * 85);
        }
    }

    #[test]
    fn a_change_of_kind_and_a_hole_begin_segments() {
        let mut feed = Feed::new();
        let step = MediaTime::from_scale(1, 30);
        for i in 0..10 {
            feed.push(1, step, i == 0);
        }
        feed.push(2, step, true);
        feed.cuts.extend(feed.segmenter.skip());
        // Not before a key frame.
        feed.push(2, step, false);
        feed.push(2, step, true);
        feed.cuts.extend(feed.segmenter.end());
        let kinds: Vec<_> = feed.segments().iter().map(|s| (s.0, s.2)).collect();
        assert_eq!(kinds, [(1, step.times(10)), (2, step), (2, step)]);
        let gaps = feed.cuts.iter().filter_map(|c| if let Cut::Open(o) = c { Some(o.gap) } else { None });
        assert_eq!(gaps.collect::<Vec<_>>(), [false, false, true]);
    }

    proptest! {
        /// Nothing is lost, doubled or moved; segments join; parts keep within the target.
        #[test]
        fn nothing_is_lost(
            steps in prop::collection::vec((1u32..3, prop::bool::weighted(0.05), 10i64..100), 1..400),
        ) {
            let mut feed = Feed::new();
            let (mut kind, mut first) = (1, true);
            let mut expected = Vec::new();
            for (next, key, ms) in steps {
                // A change of kind comes with a key frame.
                let key = key || first;
                kind = if key { next } else { kind };
                first = false;
                expected.push((feed.at.to_scale(90_000) as u64, kind, key));
                feed.push(kind, MediaTime::from_millis(ms), key);
            }
            let end = feed.at;
            let sounds = feed.sound as usize;
            feed.cuts.extend(feed.segmenter.end());
            let (mut found, mut heard, mut at, mut open) = (Vec::new(), 0, MediaTime::ZERO, 0);
            let (mut start, mut promised) = (MediaTime::ZERO, 0);
            for cut in &feed.cuts {
                match cut {
                    Cut::Open(o) => {
                        prop_assert_eq!(o.start, at);
                        (open, start, promised) = (o.kind, o.start, 0);
                    }
                    Cut::Part(part) => {
                        prop_assert!(part.duration <= PART_TARGET);
                        let places = places(&part.bytes).unwrap();
                        prop_assert_eq!(places.video.first().is_some_and(|v| v.key), part.independent);
                        found.extend(places.video.iter().map(|v| (v.dts, open, v.key)));
                        if !places.audio.is_empty() {
                            prop_assert_eq!(places.audio_at, heard as u64 * 1024);
                        }
                        heard += places.audio.len();
                        promised += places.audio.len();
                    }
                    Cut::Closed(closed) => {
                        at = start.saturating_add(closed.duration);
                        prop_assert_eq!(closed.sounds as usize, promised);
                        prop_assert!(closed.duration <= SEGMENT_MAX.saturating_add(MediaTime::from_millis(100)));
                    }
                }
            }
            prop_assert_eq!(at, end);
            prop_assert_eq!(found, expected);
            prop_assert_eq!(heard, sounds);
        }
    }
}
