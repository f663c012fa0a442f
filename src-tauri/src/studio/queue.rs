//! What waits to be sent: bounded by how long it would play, never by how much memory there is.
//!
//! A link that is too slow shows as frames that age here. Then pictures are dropped up to a key
//! frame (a decoder cannot use what comes between) and the encoder is asked for one; sound is kept,
//! because a gap in it is worse than a still picture. Seen in OBS (rtmp-stream.c). Sound also goes before
//! pictures that wait, but nothing ever passes a mark of leaving or coming back.

use std::collections::VecDeque;
use std::sync::Arc;

use mujian_media::frame::{AudioConfig, FeedItem, VideoConfig};
use mujian_media::time::MediaTime;
use mujian_protocol::LeaveId;

/// How much video may wait before it is dropped.
pub const LIMIT: MediaTime = MediaTime::from_millis(700);
/// How much sound may wait at most: past that the link is dead, and the write time-out will say so.
pub const AUDIO_LIMIT: MediaTime = MediaTime::from_millis(15_000);
/// How long the encoder is given to answer a request for a key frame before it is asked again.
const ASK_AGAIN: MediaTime = MediaTime::from_millis(1000);

/// A frame of sound reaches this far past its own time, in the samples that it was made of.
const REACH: MediaTime = MediaTime::from_millis(43);

/// Whether the streamer is there.
#[derive(Clone, Debug, Default, PartialEq)]
enum Presence {
    /// As ever.
    #[default]
    Here,
    /// Away: no picture goes out.
    Away { id: LeaveId, keep_sound: bool, last: MediaTime },
    /// Back; what was captured before `from` goes out no more.
    Back { id: LeaveId, from: MediaTime },
}

/// The queue between the encoder and the connection.
#[derive(Debug, Default)]
pub struct SendQueue {
    items: VecDeque<FeedItem>,
    video: Option<Arc<VideoConfig>>,
    audio: Option<Arc<AudioConfig>>,
    open: bool,
    /// There was a connection: from then on what is not sent counts as dropped.
    started: bool,
    /// Pictures are useless until the next key frame.
    needs_key: bool,
    asked_at: Option<MediaTime>,
    dropped: u64,
    /// How often pictures were dropped because they had waited too long.
    drops: u64,
    presence: Presence,
    /// Sound of before this time is not sent: it may hold what was said after the press.
    sound_from: MediaTime,
}

impl SendQueue {
    /// A connection stands: what it gets first is whether the streamer is there, then the
    /// configuration, then the next key frame.
    pub fn open(&mut self) {
        self.items.clear();
        match &self.presence {
            Presence::Here => {}
            // The connection before may have ended with the mark on it, so this one is told again.
            Presence::Away { id, keep_sound, .. } => {
                let (leave_id, keep_sound) = (id.clone(), *keep_sound);
                self.items.push_back(FeedItem::AwayMark { leave_id, last: MediaTime::ZERO, keep_sound });
            }
            Presence::Back { id, .. } => self.items.push_back(FeedItem::BackMark { leave_id: id.clone() }),
        }
        self.items.extend(self.video.clone().map(FeedItem::VideoConfig));
        self.items.extend(self.audio.clone().map(FeedItem::AudioConfig));
        self.open = true;
        self.started = true;
        self.needs_key = true;
        self.asked_at = None;
    }

    /// The connection is gone: nothing waits any more.
    pub fn close(&mut self) {
        self.dropped += self.items.iter().filter(|i| matches!(i, FeedItem::Video(_))).count() as u64;
        self.items.clear();
        self.open = false;
    }

    /// Takes what the encoder made. True: the encoder is to make a key frame now.
    pub fn push(&mut self, item: FeedItem) -> bool {
        match &item {
            FeedItem::VideoConfig(config) => {
                self.video = Some(Arc::clone(config));
                if self.is_away() {
                    return false;
                }
            }
            FeedItem::AudioConfig(config) => self.audio = Some(Arc::clone(config)),
            FeedItem::Video(frame) => {
                if !self.may_go(frame.pts) {
                    return false;
                }
                if !self.open {
                    self.dropped += u64::from(self.started);
                    return false;
                }
                let (dts, key) = (frame.dts, frame.key);
                if self.needs_key && !key {
                    self.dropped += 1;
                    return self.ask(dts);
                }
                self.needs_key = false;
                self.items.push_back(item);
                return self.shed() && self.ask(dts);
            }
            FeedItem::Audio(frame) if frame.pts < self.sound_from => return false,
            FeedItem::Audio(_) => {}
            // Marks are made here, in step with what is let through.
            FeedItem::AwayMark { .. } | FeedItem::BackMark { .. } => return false,
        }
        if self.open {
            self.items.push_back(item);
            self.shed_audio();
        }
        false
    }

    /// The streamer left at `press`, told at `now`, both on the stream's timeline: pictures later than
    /// `last` are thrown away, and so is what was said after the press unless sound is kept. Already
    /// away, nothing changes.
    pub fn leave(&mut self, id: &LeaveId, keep_sound: bool, last: MediaTime, press: MediaTime, now: MediaTime) {
        if self.is_away() {
            return;
        }
        self.items.retain(|item| match item {
            FeedItem::Video(frame) => frame.pts <= last,
            FeedItem::Audio(frame) => keep_sound || frame.pts.saturating_add(REACH) <= press,
            _ => true,
        });
        if !keep_sound {
            self.sound_from = now;
        }
        self.needs_key = true;
        self.asked_at = None;
        self.away(id.clone(), keep_sound, last);
    }

    /// The stay away has another name: the server knew of one before this.
    pub fn rename(&mut self, id: &LeaveId) {
        match self.presence.clone() {
            Presence::Away { id: old, keep_sound, last } if old != *id => self.away(id.clone(), keep_sound, last),
            _ => {}
        }
    }

    fn away(&mut self, id: LeaveId, keep_sound: bool, last: MediaTime) {
        if self.open {
            self.items.push_back(FeedItem::AwayMark { leave_id: id.clone(), last, keep_sound });
        }
        self.presence = Presence::Away { id, keep_sound, last };
    }

    /// The streamer is back since `from`.
    pub fn back(&mut self, from: MediaTime) {
        let Presence::Away { id, .. } = &self.presence else { return };
        let id = id.clone();
        if self.open {
            self.items.push_back(FeedItem::BackMark { leave_id: id.clone() });
            // It may have changed meanwhile.
            self.items.extend(self.video.clone().map(FeedItem::VideoConfig));
        }
        self.needs_key = true;
        self.asked_at = None;
        self.presence = Presence::Back { id, from };
    }

    /// Whether the streamer is away.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self.presence, Presence::Away { .. })
    }

    fn may_go(&self, at: MediaTime) -> bool {
        match self.presence {
            Presence::Here => true,
            Presence::Away { .. } => false,
            Presence::Back { from, .. } => at >= from,
        }
    }

    /// The next to be sent: sound before pictures, and no pictures where they are `held`.
    pub fn pop(&mut self, held: bool) -> Option<FeedItem> {
        let at = self.items.iter().position(|item| !matches!(item, FeedItem::Video(_)));
        match at.and_then(|at| Some((at, self.items.get(at)?))) {
            Some((at, FeedItem::Audio(_))) => self.items.remove(at),
            // A mark or a configuration waits for the pictures before it.
            Some((0, _)) => self.items.pop_front(),
            _ if held => None,
            _ => self.items.pop_front(),
        }
    }

    /// Whether there is a connection.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// How often pictures were dropped because they had waited too long.
    #[must_use]
    pub const fn drops(&self) -> u64 {
        self.drops
    }

    /// How long the oldest has waited, pictures or sound.
    #[must_use]
    pub fn age(&self) -> MediaTime {
        self.waiting().max(self.sound_waiting())
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Frames not sent since the start.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How much video waits.
    #[must_use]
    pub fn waiting(&self) -> MediaTime {
        span(self.items.iter().filter_map(video_time), self.items.iter().rev().filter_map(video_time))
    }

    /// Drops pictures if they wait too long. True if a key frame is needed.
    fn shed(&mut self) -> bool {
        if self.waiting() <= LIMIT {
            return false;
        }
        // The newest key frame that is not itself the front starts a group worth keeping, if
        // keeping it makes the queue short again.
        let newest = self.items.iter().rev().find_map(video_time);
        let keep = self.items.iter().rposition(|i| matches!(i, FeedItem::Video(f) if f.key)).filter(|at| {
            let from = self.items.get(*at).and_then(video_time);
            from.zip(newest).is_some_and(|(a, b)| b.saturating_sub(a).times(2) <= LIMIT)
        });
        let before = self.items.len();
        let mut at = 0;
        self.items.retain(|item| {
            let keeps = !matches!(item, FeedItem::Video(_)) || keep.is_some_and(|k| at >= k);
            at += 1;
            keeps
        });
        self.dropped += (before - self.items.len()) as u64;
        self.drops += 1;
        self.needs_key = keep.is_none();
        self.needs_key
    }

    fn sound_waiting(&self) -> MediaTime {
        span(self.items.iter().filter_map(sound_time), self.items.iter().rev().filter_map(sound_time))
    }

    fn shed_audio(&mut self) {
        if self.sound_waiting() > AUDIO_LIMIT
            && let Some(at) = self.items.iter().position(|i| sound_time(i).is_some())
        {
            self.items.remove(at);
        }
    }

    fn ask(&mut self, at: MediaTime) -> bool {
        if self.asked_at.is_some_and(|before| at.abs_diff(before) < ASK_AGAIN) {
            return false;
        }
        self.asked_at = Some(at);
        true
    }
}

fn video_time(item: &FeedItem) -> Option<MediaTime> {
    if let FeedItem::Video(frame) = item { Some(frame.dts) } else { None }
}

fn sound_time(item: &FeedItem) -> Option<MediaTime> {
    if let FeedItem::Audio(frame) = item { Some(frame.pts) } else { None }
}

fn span(mut forward: impl Iterator<Item = MediaTime>, mut backward: impl Iterator<Item = MediaTime>) -> MediaTime {
    match (forward.next(), backward.next()) {
        (Some(first), Some(last)) => last.saturating_sub(first),
        _ => MediaTime::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use mujian_media::frame::{AudioFrame, VideoFrame};
    use proptest::prelude::*;

    fn video(ms: i64, key: bool) -> FeedItem {
        let t = MediaTime::from_millis(ms);
        FeedItem::Video(VideoFrame { dts: t, pts: t, key, data: Bytes::from_static(b"v") })
    }

    fn audio(ms: i64) -> FeedItem {
        FeedItem::Audio(AudioFrame { pts: MediaTime::from_millis(ms), data: Bytes::from_static(b"a") })
    }

    fn all(queue: &mut SendQueue) -> Vec<FeedItem> {
        std::iter::from_fn(|| queue.pop(false)).collect()
    }

    fn config() -> FeedItem {
        FeedItem::VideoConfig(Arc::new(VideoConfig { avcc: Bytes::new(), width: 2, height: 2, frame_duration: None }))
    }

    #[test]
    fn a_new_connection_starts_with_configuration_and_a_key_frame() {
        let mut queue = SendQueue::default();
        queue.push(config());
        assert!(!queue.push(video(0, true)), "nobody is connected, so no key frame is asked for");
        queue.open();
        assert!(queue.push(video(33, false)), "a key frame is asked for");
        assert!(!queue.push(video(66, false)), "and not with every frame");
        queue.push(audio(70));
        queue.push(video(100, true));
        let got = all(&mut queue);
        assert_eq!(got, [config(), audio(70), video(100, true)]);
        assert_eq!(queue.dropped(), 2, "what came before the connection is not missed");
    }

    #[test]
    fn a_slow_link_loses_pictures_and_keeps_sound() {
        let mut queue = SendQueue::default();
        queue.open();
        let mut asked = 0;
        for n in 0..60 {
            asked += u32::from(queue.push(video(n * 33, n == 0)));
            queue.push(audio(n * 33));
        }
        assert!(asked >= 1);
        let got = all(&mut queue);
        assert_eq!(got.iter().filter(|i| matches!(i, FeedItem::Audio(_))).count(), 60);
        assert!(got.iter().all(|i| !matches!(i, FeedItem::Video(_))));
    }

    #[test]
    fn a_fresh_group_is_kept() {
        let mut queue = SendQueue::default();
        queue.open();
        for n in 0..=22 {
            assert!(!queue.push(video(n * 33, n == 0 || n == 18)));
        }
        assert_eq!(all(&mut queue).first(), Some(&video(18 * 33, true)));
        assert_eq!((queue.dropped(), queue.drops()), (18, 1));
    }

    #[test]
    fn sound_goes_before_pictures_and_nothing_before_a_mark() {
        let mut queue = SendQueue::default();
        queue.open();
        queue.push(video(0, true));
        queue.push(audio(1));
        queue.push(video(40, false));
        queue.push(audio(41));
        let t = MediaTime::from_millis;
        queue.leave(&stay(1), true, t(40), t(50), t(60));
        queue.push(audio(61));
        assert_eq!(queue.age(), t(60));
        assert_eq!((queue.pop(true), queue.pop(true)), (Some(audio(1)), Some(audio(41))));
        assert_eq!(
            queue.pop(true),
            None,
            "the mark waits for the pictures before it, and what is behind it for the mark"
        );
        assert_eq!((queue.pop(false), queue.pop(false)), (Some(video(0, true)), Some(video(40, false))));
        assert!(matches!(queue.pop(true), Some(FeedItem::AwayMark { .. })));
        assert_eq!((queue.pop(true), queue.pop(true)), (Some(audio(61)), None));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Video(bool),
        Audio,
        Pop(bool),
        Open,
        Close,
    }

    proptest! {
        /// Whatever the link does: video starts at a key frame after every hole, sound is all
        /// there in order, and what waits stays bounded.
        #[test]
        fn holes_end_at_key_frames(steps in proptest::collection::vec(prop_oneof![
            6 => any::<bool>().prop_map(Step::Video), 3 => Just(Step::Audio), 4 => any::<bool>().prop_map(Step::Pop),
            1 => Just(Step::Open), 1 => Just(Step::Close)], 0..600)) {
            let mut queue = SendQueue::default();
            let (mut ms, mut sequence) = (0i64, Vec::new());
            let (mut open, mut expected): (bool, Option<i64>) = (false, None);
            let mut sound: VecDeque<i64> = VecDeque::new();
            for step in steps {
                match step {
                    Step::Video(key) => { ms += 40; sequence.push((ms, key)); queue.push(video(ms, key)); }
                    Step::Audio => { ms += 1; queue.push(audio(ms)); if open { sound.push_back(ms); } }
                    Step::Open => { queue.open(); open = true; expected = None; sound.clear(); }
                    Step::Close => { queue.close(); open = false; sound.clear(); }
                    Step::Pop(held) => match queue.pop(held) {
                        Some(FeedItem::Video(f)) => {
                            let at = sequence.iter().position(|(t, _)| *t == f.dts.millis()).unwrap();
                            prop_assert!(f.key || expected == Some(at as i64), "a hole must end at a key frame");
                            expected = Some(at as i64 + 1);
                        }
                        Some(FeedItem::Audio(f)) => prop_assert_eq!(sound.pop_front(), Some(f.pts.millis())),
                        _ => {}
                    },
                }
                prop_assert!(queue.waiting() <= LIMIT);
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Move {
        /// A picture is captured, and comes out of the encoder some steps later.
        Capture(bool, u8),
        Sound,
        Leave {
            keep_sound: bool,
            ago: u8,
        },
        Back,
        Open,
        Close,
        Pop(bool),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            8 => (any::<bool>(), 0u8..6).prop_map(|(key, late)| Move::Capture(key, late)),
            6 => Just(Move::Sound),
            8 => any::<bool>().prop_map(Move::Pop),
            1 => (any::<bool>(), 0u8..3).prop_map(|(keep_sound, ago)| Move::Leave { keep_sound, ago }),
            1 => Just(Move::Back),
            1 => Just(Move::Open),
            1 => Just(Move::Close),
        ];
        proptest::collection::vec(one, 0..400)
    }

    fn stay(n: usize) -> LeaveId {
        format!("s{n}").parse().unwrap()
    }

    proptest! {
        /// B3 against a model: whatever the order in which pictures are captured, encoded, queued and
        /// sent, and presses, returns and connections come, nothing captured after a press goes out
        /// before the return; each connection is told first which of the two it is; the first picture
        /// after a return is a key frame behind the mark; sound that is kept is all there.
        #[test]
        fn nothing_captured_while_away_goes_out(moves in moves()) {
            let mut queue = SendQueue::default();
            let mut now = 1000i64;
            // What the encoder still holds: when it comes out, when it was captured.
            let mut encoder: Vec<(usize, i64, bool)> = Vec::new();
            let mut stays: Vec<(i64, i64, bool)> = Vec::new();
            let (mut away, mut open, mut stated, mut behind_mark) = (false, false, true, true);
            let mut wanted_sound: VecDeque<i64> = VecDeque::new();
            for (at, step) in moves.iter().enumerate() {
                now += 10;
                match step {
                    Move::Capture(key, late) => encoder.push((at + usize::from(*late), now, *key)),
                    Move::Sound => {
                        queue.push(audio(now));
                        if open && (!away || stays.last().is_some_and(|s| s.2)) { wanted_sound.push_back(now); }
                    }
                    Move::Leave { keep_sound, ago } => {
                        let press = now - 10 * i64::from(*ago);
                        let t = MediaTime::from_millis;
                        queue.leave(&stay(at), *keep_sound, t(press - 1), t(press), t(now));
                        if !away {
                            stays.push((press, i64::MAX, *keep_sound));
                            if !keep_sound { wanted_sound.retain(|s| s + 43 <= press); }
                        }
                        away = true;
                    }
                    Move::Back => {
                        queue.back(MediaTime::from_millis(now));
                        if away { stays.last_mut().unwrap().1 = now; behind_mark = false; }
                        away = false;
                    }
                    Move::Open => { queue.open(); open = true; stated = stays.is_empty(); wanted_sound.clear(); }
                    Move::Close => { queue.close(); open = false; wanted_sound.clear(); }
                    Move::Pop(held) => match queue.pop(*held) {
                        Some(FeedItem::Video(f)) => {
                            let captured = f.pts.millis();
                            let hidden = stays.iter().any(|(from, to, _)| *from < captured && captured < *to);
                            prop_assert!(!hidden, "captured at {captured}, away {stays:?}");
                            prop_assert!(stated, "the connection does not know yet");
                            if stays.last().is_some_and(|(_, to, _)| *to <= captured) {
                                prop_assert!(behind_mark || f.key, "a key frame first");
                                behind_mark = true;
                            }
                        }
                        Some(FeedItem::Audio(f)) => {
                            let said = f.pts.millis();
                            if let Some(i) = wanted_sound.iter().position(|s| *s == said) {
                                prop_assert_eq!(i, 0, "in order, without holes");
                                wanted_sound.pop_front();
                            }
                            prop_assert!(stated);
                        }
                        Some(FeedItem::AwayMark { .. } | FeedItem::BackMark { .. }) => stated = true,
                        _ => {}
                    },
                }
                for (_, captured, key) in encoder.extract_if(.., |(due, ..)| *due <= at) {
                    queue.push(video(captured, key));
                }
            }
        }
    }
}
