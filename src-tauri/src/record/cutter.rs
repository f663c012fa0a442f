//! What the encoders make, cut into the pieces of a file, as a pure state machine: items go in, bytes come out.
//!
//! Nothing is let out before it is [`HOLD`] old: a press of "leave" may be heard of late, and then what was captured after
//! it is still here to be thrown away. The stretches in which the streamer is away are left out, so the file goes on where
//! it stopped.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use mujian_media::fmp4::{Part, VideoSample, init_segment};
use mujian_media::frame::{AudioConfig, AudioFrame, FeedItem, VideoConfig, VideoFrame};
use mujian_media::time::MediaTime;

/// What is younger is kept back: presses are not older than 2 s when they are heard of, and what is thrown away then reaches
/// a little further back.
pub(super) const HOLD: MediaTime = MediaTime::from_millis(2100);
/// Most that is written at once: so much is lost by a crash, besides what is kept back.
const PIECE: MediaTime = MediaTime::from_millis(1000);
/// A longer stretch without a picture is one in which there was none to record.
const HOLE: MediaTime = MediaTime::from_millis(500);
/// A picture is shown up to half a step of 1/30 s from its capture; see the outbox.
pub(super) const STEP: MediaTime = MediaTime::from_millis(34);
/// What is heard of a frame of sound reaches this far past its beginning; see the send queue.
const REACH: MediaTime = MediaTime::from_millis(43);
/// Most that waits for what a file must begin with.
const WAITING: usize = 1024;

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A file begins with this. What was written before belongs to another one, coded differently.
    Begin(Bytes),
    /// It goes on.
    More {
        /// To be written whole.
        bytes: Bytes,
        /// How long the file is with it.
        length: MediaTime,
    },
}

/// Pictures in a row, on the stream's own timeline.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where sound begins.
    start: MediaTime,
    /// Added to the stream's time, it gives the file's.
    shift: MediaTime,
}

/// The machine.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    video: Option<Arc<VideoConfig>>,
    audio: Option<Arc<AudioConfig>>,
    /// How the file under way is coded.
    begun: Option<(Arc<VideoConfig>, Arc<AudioConfig>)>,
    held: VecDeque<(Arc<VideoConfig>, VideoFrame)>,
    sounds: VecDeque<AudioFrame>,
    newest: Option<MediaTime>,
    /// Pictures were thrown away: those up to the next key frame show nothing.
    awaits_key: bool,
    run: Option<Run>,
    /// Pictures of the next piece.
    piece: Vec<VideoFrame>,
    /// Where the file under way ends.
    length: MediaTime,
    sequence: u32,
}

impl Cutter {
    /// One for a stream that is coded like this, as far as that is known.
    #[must_use]
    pub(super) fn new(video: Option<Arc<VideoConfig>>, audio: Option<Arc<AudioConfig>>) -> Self {
        Self { video, audio, ..Self::default() }
    }

    /// The streamer left: pictures captured after `pictures`, and sound after `sound` unless it is kept, are thrown away.
    pub(super) fn leave(&mut self, pictures: MediaTime, sound: Option<MediaTime>) {
        let stays = |frame: &VideoFrame| frame.pts.saturating_add(STEP) <= pictures;
        self.held.retain(|(_, frame)| stays(frame));
        let first = self.piece.iter().position(|frame| !stays(frame)).unwrap_or(self.piece.len());
        self.piece.truncate(first);
        self.sounds.retain(|frame| sound.is_none_or(|at| frame.pts.saturating_add(REACH) <= at));
        self.awaits_key = true;
    }

    /// Takes what the encoders made of what may be kept.
    pub(super) fn item(&mut self, item: &FeedItem) -> Vec<Piece> {
        match item {
            FeedItem::VideoConfig(config) => self.video = Some(Arc::clone(config)),
            FeedItem::AudioConfig(config) => self.audio = Some(Arc::clone(config)),
            FeedItem::Video(frame) => {
                self.newest = self.newest.max(Some(frame.dts));
                self.awaits_key &= !frame.key;
                if let Some(config) = self.video.as_ref().filter(|_| !self.awaits_key) {
                    self.held.push_back((Arc::clone(config), frame.clone()));
                }
            }
            FeedItem::Audio(frame) => {
                self.newest = self.newest.max(Some(frame.pts));
                self.sounds.push_back(frame.clone());
            }
            FeedItem::AwayMark { .. } | FeedItem::BackMark { .. } => {}
        }
        let until = self.newest.map_or(MediaTime::MIN, |newest| newest.saturating_sub(HOLD));
        self.let_out(until)
    }

    /// The rest, at the end.
    #[must_use]
    pub(super) fn finish(mut self) -> Vec<Piece> {
        let mut pieces = self.let_out(MediaTime::MAX);
        pieces.extend(self.cut(None));
        pieces
    }

    fn let_out(&mut self, until: MediaTime) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let Some(audio) = self.audio.clone() else {
            // Sound always comes; without it nothing can begin.
            while self.held.len() > WAITING {
                self.held.pop_front();
            }
            return pieces;
        };
        while let Some((config, frame)) = self.held.pop_front_if(|(_, frame)| frame.dts <= until) {
            let last = self.piece.last().map(|last| last.dts);
            let far = last.is_some_and(|last| frame.dts.saturating_sub(last) > HOLE);
            let coded = self.begun.as_ref().is_some_and(|(video, sound)| *video == config && *sound == audio);
            if far || !coded {
                pieces.extend(self.cut(None));
                self.run = None;
            }
            if self.run.is_none() && !frame.key {
                continue;
            }
            if !coded {
                self.begun = Some((Arc::clone(&config), Arc::clone(&audio)));
                (self.length, self.sequence) = (MediaTime::ZERO, 0);
                pieces.push(Piece::Begin(init_segment(&config, &audio)));
            }
            if self.run.is_none() {
                self.run = Some(Run { start: frame.dts, shift: self.length.saturating_sub(frame.dts) });
            }
            if self.piece.first().is_some_and(|first| frame.dts.saturating_sub(first.dts) >= PIECE) {
                pieces.extend(self.cut(Some(frame.dts)));
            }
            self.piece.push(frame);
        }
        // No picture follows: the streamer is away.
        if self.piece.last().is_some_and(|last| until.saturating_sub(last.dts) > HOLE) {
            pieces.extend(self.cut(None));
            self.run = None;
        }
        // Sound that is older than every picture that can still come is nobody's.
        if self.run.is_none() {
            let oldest = self.held.front().map_or(until, |(_, frame)| frame.dts.min(until));
            while self.sounds.pop_front_if(|sound| sound.pts < oldest).is_some() {}
        }
        pieces
    }

    /// The pictures that wait with their sound; the next picture is at `next`, if one follows without a hole.
    fn cut(&mut self, next: Option<MediaTime>) -> Vec<Piece> {
        let frames = std::mem::take(&mut self.piece);
        let (Some(run), Some((_, audio)), Some(last)) = (self.run, &self.begun, frames.last()) else {
            return Vec::new();
        };
        let before = frames.iter().rev().nth(1).map(|f| last.dts.saturating_sub(f.dts));
        let step = before.or(self.begun.as_ref().and_then(|(v, _)| v.frame_duration));
        let end = next.unwrap_or_else(|| last.dts.saturating_add(step.unwrap_or(MediaTime::from_scale(1, 30))));
        let sound_step = audio.frame_duration();
        let mut sounds = Vec::new();
        while let Some(sound) = self.sounds.pop_front_if(|sound| sound.pts < end) {
            // At the end of a run a whole frame must fit in, or the next run's sound would begin before it ends.
            let fits = next.is_some() || sound.pts.saturating_add(sound_step) <= end;
            if sound.pts >= run.start && fits {
                sounds.push(AudioFrame { pts: sound.pts.saturating_add(run.shift), ..sound });
            }
        }
        let shown: Vec<VideoFrame> = frames
            .iter()
            .map(|f| VideoFrame {
                dts: f.dts.saturating_add(run.shift),
                pts: f.pts.saturating_add(run.shift),
                ..f.clone()
            })
            .collect();
        self.length = end.saturating_add(run.shift);
        let ends = shown.iter().skip(1).map(|f| f.dts).chain([self.length]);
        let video: Vec<VideoSample<'_>> = shown
            .iter()
            .zip(ends)
            .map(|(frame, end)| VideoSample { frame, duration: end.saturating_sub(frame.dts) })
            .collect();
        let sample_rate = audio.sample_rate;
        let mut pieces = Vec::new();
        // A hole in the sound begins a part of its own.
        let mut parts = in_a_row(&sounds, sound_step);
        let first = parts.next().unwrap_or_default();
        for (video, audio) in std::iter::once((&video[..], first)).chain(parts.map(|sounds| (&[][..], sounds))) {
            self.sequence += 1;
            let part = Part { sequence: self.sequence, wall: None, video, audio, sample_rate };
            pieces.push(Piece::More { bytes: part.write(), length: self.length });
        }
        pieces
    }
}

/// Sounds without holes between them.
fn in_a_row(sounds: &[AudioFrame], step: MediaTime) -> impl Iterator<Item = &[AudioFrame]> {
    let half = MediaTime::from_flicks(step.flicks() / 2);
    sounds.chunk_by(move |a, b| b.pts.saturating_sub(a.pts.saturating_add(step)).abs_diff(MediaTime::ZERO) < half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(v: i64) -> MediaTime {
        MediaTime::from_millis(v)
    }

    fn config(level: u8) -> Arc<VideoConfig> {
        let avcc = Bytes::copy_from_slice(&[1, 0x64, 0, level, 0xff, 0xe0, 0]);
        Arc::new(VideoConfig { avcc, width: 640, height: 360, frame_duration: None })
    }

    fn sound() -> Arc<AudioConfig> {
        Arc::new(AudioConfig { asc: Bytes::from_static(&[0x11, 0x90]), sample_rate: 48_000, channels: 2 })
    }

    /// Pictures and sound of a stretch of the stream; a key frame at its beginning and every 2 s. Each picture's bytes
    /// say when it is.
    fn stretch(from: i64, to: i64) -> Vec<FeedItem> {
        let mut items = Vec::new();
        for n in (from * 30 / 1000)..(to * 30 / 1000) {
            let at = MediaTime::from_scale(n, 30);
            let key = n == from * 30 / 1000 || n % 60 == 0;
            let data = Bytes::copy_from_slice(&at.millis().to_be_bytes());
            items.push(FeedItem::Video(VideoFrame { dts: at, pts: at, key, data }));
        }
        for n in (from * 48 / 1024)..(to * 48 / 1024) {
            let pts = MediaTime::from_scale(n * 1024, 48_000);
            items.push(FeedItem::Audio(AudioFrame { pts, data: Bytes::copy_from_slice(&pts.millis().to_be_bytes()) }));
        }
        let time = |i: &FeedItem| match i {
            FeedItem::Video(v) => v.dts,
            FeedItem::Audio(a) => a.pts,
            _ => MediaTime::ZERO,
        };
        items.sort_by_key(time);
        items
    }

    fn begin() -> Vec<FeedItem> {
        vec![FeedItem::VideoConfig(config(31)), FeedItem::AudioConfig(sound())]
    }

    /// Pairs of times, in milliseconds.
    type Times = Vec<(i64, i64)>;

    /// What is in the pieces: for each picture its time in the file and in the stream, and where each row of sounds
    /// begins and ends; and when each sound was in the stream.
    fn read(pieces: &[Piece]) -> (Times, Times, Vec<i64>) {
        let (mut pictures, mut sounds, mut heard) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces {
            let Piece::More { bytes, .. } = piece else { continue };
            let places = mujian_media::fmp4::places(bytes).unwrap();
            for place in &places.video {
                let at = place.offset as usize;
                let in_stream = i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
                pictures.push((place.dts as i64 / 90, in_stream));
            }
            if !places.audio.is_empty() {
                let (from, frames) = (places.audio_at as i64, places.audio.len() as i64);
                sounds.push((from / 48, (from + 1024 * frames) / 48));
                heard.extend(places.audio.iter().map(|place| {
                    let at = place.offset as usize;
                    i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
                }));
            }
        }
        (pictures, sounds, heard)
    }

    fn all(items: &[FeedItem]) -> Vec<Piece> {
        let mut cutter = Cutter::default();
        let mut pieces: Vec<Piece> = items.iter().flat_map(|item| cutter.item(item)).collect();
        pieces.extend(cutter.finish());
        pieces
    }

    #[test]
    fn everything_is_in_the_file_in_order() {
        let items = [begin(), stretch(0, 7000)].concat();
        let pieces = all(&items);
        assert!(matches!(&pieces[0], Piece::Begin(init) if init.starts_with(b"\0\0\0\x1cftyp")), "{:?}", pieces[0]);
        let (pictures, sounds, _) = read(&pieces);
        assert_eq!((pictures.len(), pictures[0], pictures[209].1), (210, (0, 0), 6967));
        assert!(pictures.iter().all(|(file, stream)| (file - stream).abs() <= 1));
        assert!(sounds.windows(2).all(|w| (w[1].0 - w[0].1).abs() <= 1));
        assert!(matches!(pieces.last(), Some(Piece::More { length, .. }) if length.millis() == 7000));
    }

    #[test]
    fn nothing_goes_out_before_it_is_old_enough() {
        let mut cutter = Cutter::default();
        let pieces: Vec<Piece> =
            [begin(), stretch(0, 5000)].concat().iter().flat_map(|item| cutter.item(item)).collect();
        let (pictures, ..) = read(&pieces);
        let last = pictures.last().unwrap().1;
        assert!((1900..=3000).contains(&last), "{last}");
    }

    #[test]
    fn the_time_away_is_left_out_and_nothing_of_after_the_press_is_in() {
        // Pressed at 3 s, heard of at 3.5 s; back at 6 s.
        for sound in [None, Some(ms(3000))] {
            let mut cutter = Cutter::default();
            let mut pieces: Vec<Piece> =
                [begin(), stretch(0, 3500)].concat().iter().flat_map(|item| cutter.item(item)).collect();
            cutter.leave(ms(3000), sound);
            pieces.extend(stretch(6000, 9000).iter().flat_map(|item| cutter.item(item)));
            pieces.extend(cutter.finish());
            let (pictures, sounds, heard) = read(&pieces);
            assert!(pictures.iter().all(|(_, at)| *at < 2967 || *at >= 6000), "{pictures:?}");
            assert!(heard.iter().all(|at| *at < 3000 || *at >= 5980), "{heard:?}");
            let before = pictures.iter().filter(|(_, at)| *at < 3000).count();
            assert_eq!(before, 89, "and nothing of before it is missing");
            assert!(pictures.last().unwrap().1 > 8900);
            assert!(pictures.windows(2).all(|w| w[1].0 > w[0].0 && w[1].0 - w[0].0 <= 40), "no hole in the file");
            assert!(sounds.windows(2).all(|w| (-1..=90).contains(&(w[1].0 - w[0].1))), "nor in the sound: {sounds:?}");
        }
    }

    #[test]
    fn a_long_stay_away_fills_no_memory() {
        let mut cutter = Cutter::default();
        let mut pieces = Vec::new();
        let sound = |i: &FeedItem| matches!(i, FeedItem::Audio(_));
        let away: Vec<FeedItem> = stretch(3000, 60_000).into_iter().filter(sound).collect();
        for item in [begin(), stretch(0, 3000), away].concat() {
            pieces.extend(cutter.item(&item));
        }
        assert_eq!(read(&pieces).0.len(), 90, "all of it is written while away");
        assert!(cutter.sounds.len() < 120, "{}", cutter.sounds.len());
    }

    #[test]
    fn another_coding_begins_another_file() {
        let items = [begin(), stretch(0, 3000), vec![FeedItem::VideoConfig(config(40))], stretch(3000, 6000)].concat();
        let pieces = all(&items);
        let begins: Vec<usize> = (0..pieces.len()).filter(|i| matches!(pieces[*i], Piece::Begin(_))).collect();
        assert_eq!(begins.len(), 2);
        let (pictures, ..) = read(&pieces[begins[1]..]);
        assert_eq!(pictures[0], (0, 3000));
    }

    proptest! {
        /// However late presses are heard of, nothing of after them is in the file, and its times go on without stepping
        /// back, pictures and sound alike.
        #[test]
        fn nothing_of_after_a_press_is_in_the_file(
            aways in proptest::collection::vec((2100i64..4000, 100i64..3000, 0i64..2000, any::<bool>()), 0..5)
        ) {
            let (mut at, mut stays, mut cutter, mut pieces) = (0, Vec::new(), Cutter::default(), Vec::new());
            let give = |cutter: &mut Cutter, items: Vec<FeedItem>| -> Vec<Piece> {
                items.iter().flat_map(|item| cutter.item(item)).collect()
            };
            pieces.extend(give(&mut cutter, begin()));
            for (here, away, late, kept) in aways {
                pieces.extend(give(&mut cutter, stretch(at, at + here)));
                let press = at + here - late;
                cutter.leave(ms(press), (!kept).then(|| ms(press)));
                stays.push((press, at + here + away, kept));
                at += here + away;
            }
            pieces.extend(give(&mut cutter, stretch(at, at + 1500)));
            pieces.extend(cutter.finish());
            let (pictures, sounds, heard) = read(&pieces);
            for (_, stream) in &pictures {
                // A stretch of the test begins on a whole picture, up to one before its time.
                prop_assert!(!stays.iter().any(|(from, to, _)| (*from - 33..*to - 34).contains(stream)), "{stream} of {stays:?}");
            }
            for stream in &heard {
                let gone = |(from, to, kept): &(i64, i64, bool)| !kept && (*from - 42..*to - 22).contains(stream);
                prop_assert!(!stays.iter().any(gone), "sound of {stream} of {stays:?}");
            }
            prop_assert!(pictures.windows(2).all(|w| w[1].0 > w[0].0));
            prop_assert!(sounds.windows(2).all(|w| w[1].0 >= w[0].1 - 1), "{sounds:?}");
        }
    }
}
