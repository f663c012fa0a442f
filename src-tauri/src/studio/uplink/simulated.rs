//! The queue, the measurement and the bitrate together, on simulated lines: one millisecond after the other.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use mujian_media::frame::{AudioFrame, FeedItem, VideoFrame};
use mujian_media::time::{MediaTime, Now};
use mujian_protocol::studio::UplinkLevel;

use super::{LEAST, Load, Rate};
use crate::studio::queue::SendQueue;
use crate::studio::transit::Transit;

const MOST: u32 = 2_500_000;
const SOUND: u32 = 160_000;
/// The server acknowledges so many bytes at once.
const STEP: u64 = 16 << 10;

/// A line as it is in each millisecond.
struct Line {
    /// Bits a second at a millisecond.
    rate: Box<dyn Fn(u64) -> u64>,
    /// Milliseconds to the server, and as much back.
    road: u64,
    /// At most so many more, by chance.
    jitter: u64,
    /// Once in so many milliseconds something is lost, and for 200 ms nothing comes through.
    loss: Option<u64>,
    /// Bytes that wait outside: in the kernel and in the router.
    buffer: usize,
}

impl Line {
    fn new(rate: impl Fn(u64) -> u64 + 'static) -> Self {
        Self { rate: Box::new(rate), road: 20, jitter: 0, loss: None, buffer: 48 << 10 }
    }
}

/// Random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What came to the server, and when (milliseconds).
#[derive(Clone, Copy, Debug)]
struct Came {
    at: u64,
    captured: u64,
    picture: bool,
}

#[derive(Default)]
struct Seen {
    came: Vec<Came>,
    /// Millisecond, bits a second.
    rates: Vec<(u64, u32)>,
    bad: Vec<u64>,
    sounds: usize,
    drops: u64,
}

impl Seen {
    fn pictures(&self, from: u64, until: u64) -> impl Iterator<Item = &Came> {
        self.came.iter().filter(move |c| c.picture && c.at >= from && c.at < until)
    }

    /// The latest picture, and the latest sound, of those that came in a time: milliseconds.
    fn latest(&self, from: u64, until: u64) -> (u64, u64) {
        let late = |picture| {
            let these = self.came.iter().filter(|c| c.picture == picture && c.at >= from && c.at < until);
            these.map(|c| c.at - c.captured).max().unwrap_or(u64::MAX)
        };
        (late(true), late(false))
    }

    fn rate_at(&self, ms: u64) -> u32 {
        self.rates.iter().rev().find(|(at, _)| *at <= ms).map_or(MOST, |(_, bits)| *bits)
    }

    /// Each sound came, in its order.
    fn sound_is_whole(&self) {
        let sounds: Vec<u64> = self.came.iter().filter(|c| !c.picture).map(|c| c.captured).collect();
        assert!(sounds.windows(2).all(|w| w[0] < w[1] && w[1] - w[0] <= 22), "a gap in the sound");
        assert!(self.sounds - sounds.len() < 100, "{} of {}", sounds.len(), self.sounds);
    }
}

/// A broadcast over a line, for so many milliseconds.
fn broadcast(line: &Line, until: u64, seed: u64) -> Seen {
    let mut dice = Dice(seed);
    let (mut queue, mut transit, mut rate) = (SendQueue::default(), Transit::default(), Rate::new(MOST, SOUND));
    queue.open();
    let mut seen = Seen::default();
    // What is outside: bytes that are left of each item, and the item.
    let mut outside: VecDeque<(usize, Option<Came>)> = VecDeque::new();
    let (mut arriving, mut answers) = (VecDeque::<(u64, u64, Option<Came>)>::new(), VecDeque::<(u64, u64)>::new());
    let (mut credit, mut received, mut told, mut lost_until) = (0.0, 0u64, 0u64, 0);
    let (mut pictures, mut sounds, mut key) = (0u64, 0u64, true);
    for ms in 0..until {
        let now = Now::from_origin(Duration::from_millis(ms));
        let t = MediaTime::from_millis(ms as i64);
        // The encoder: a key frame has as many bits as eight others.
        let mut made = Vec::new();
        if ms >= pictures * 1000 / 30 {
            let key = std::mem::take(&mut key) || pictures.is_multiple_of(60);
            let size = rate.video() as usize / 8 / 30 * if key { 8 } else { 1 } * 60 / 67;
            made.push(FeedItem::Video(VideoFrame { dts: t, pts: t, key, data: Bytes::from(vec![0; size]) }));
            pictures += 1;
        }
        if ms >= sounds * 1024 / 48 {
            let data = Bytes::from(vec![0; SOUND as usize / 8 * 1024 / 48_000]);
            made.push(FeedItem::Audio(AudioFrame { pts: t, data }));
            sounds += 1;
        }
        for item in made {
            key |= queue.push(item);
            let load = Load {
                queued: queue.age().to_duration(),
                transit: transit.delay(now),
                stalled: transit.stalled(now),
                passes: transit.passes(now),
                drops: queue.drops(),
                without: false,
            };
            if let Some(bits) = rate.judge(&load, now) {
                seen.rates.push((ms, bits));
            }
        }
        if rate.report(now).level == UplinkLevel::Bad {
            seen.bad.push(ms);
        }
        // The publisher: as long as the system takes something.
        while outside.iter().map(|(bytes, _)| bytes).sum::<usize>() < line.buffer
            && let Some(item) = queue.pop(transit.is_full(now))
        {
            let (size, came) = match &item {
                FeedItem::Video(f) => (f.data.len(), (f.pts.millis() as u64, true)),
                FeedItem::Audio(f) => (f.data.len(), (f.pts.millis() as u64, false)),
                _ => continue,
            };
            transit.wrote(size as u64 + 12, now);
            outside.push_back((size + 12, Some(Came { at: 0, captured: came.0, picture: came.1 })));
        }
        // The line.
        if line.loss.is_some_and(|every| dice.below(every) == 0) {
            lost_until = ms + 200;
        }
        credit = if ms < lost_until { 0.0 } else { f64::min(credit + (line.rate)(ms) as f64 / 8000.0, 3000.0) };
        while credit >= 1.0
            && let Some((left, came)) = outside.front_mut()
        {
            let goes = (*left).min(credit as usize);
            *left -= goes;
            credit -= goes as f64;
            let whole = if *left == 0 { came.take() } else { None };
            if *left == 0 {
                outside.pop_front();
            }
            let jitter = if line.jitter > 0 { dice.below(line.jitter + 1) } else { 0 };
            let there = (ms + line.road + jitter).max(arriving.back().map_or(0, |(at, ..)| *at));
            arriving.push_back((there, goes as u64, whole));
        }
        // The server.
        while let Some((at, bytes, came)) = arriving.pop_front_if(|(at, ..)| *at <= ms) {
            received += bytes;
            seen.came.extend(came.map(|came| Came { at, ..came }));
            if received - told >= STEP {
                told = received;
                answers.push_back((ms + line.road, told));
            }
        }
        while let Some((_, told)) = answers.pop_front_if(|(at, _)| *at <= ms) {
            transit.acknowledged(told as u32, now);
        }
    }
    (seen.sounds, seen.drops) = (sounds as usize, queue.drops());
    seen
}

/// 3 Mbit/s, 600 kbit/s from 10 s to 30 s, 3 Mbit/s again.
fn narrow_for_a_while(ms: u64) -> u64 {
    if (10_000..30_000).contains(&ms) { 600_000 } else { 3_000_000 }
}

/// `late`: how late the sound may be at worst, at the fall: what is under way just then takes its time.
fn holds_on_a_narrow_line(line: &Line, late: u64) {
    let seen = broadcast(line, 75_000, 1);
    seen.sound_is_whole();
    let worst = seen.latest(0, 75_000).1 - line.road;
    assert!(worst < late, "sound came {worst} ms late");
    let back = seen.pictures(10_100, 75_000).find(|c| c.captured > 10_100 && c.at - c.captured < 1000).unwrap();
    assert!(back.at < 13_000, "the picture is back at {back:?}");
    assert!(seen.latest(13_000, 30_000).0 < 1000, "narrow: {:?}", seen.latest(13_000, 30_000));
    assert!(seen.latest(33_000, 75_000).0 < 500, "wide again: {:?}", seen.latest(33_000, 75_000));
    let narrow: Vec<u32> = (13_000..30_000).step_by(100).map(|ms| seen.rate_at(ms)).collect();
    assert!(narrow.iter().all(|bits| (LEAST..=560_000).contains(bits)), "{:?}", seen.rates);
    assert_eq!(seen.rate_at(75_000), MOST, "{:?}", seen.rates);
    assert!(seen.bad.iter().all(|ms| (10_000..25_000).contains(ms)), "bad only after the fall");
    let gap =
        seen.pictures(16_000, 75_000).zip(seen.pictures(16_000, 75_000).skip(1)).map(|(a, b)| b.captured - a.captured);
    assert!(gap.max().unwrap() < 100, "no picture is missing once it has settled: {:?}", seen.rates);
}

#[test]
fn from_three_megabits_to_six_hundred_kilobits_and_back() {
    // The stage waits a second for sound while no picture comes.
    holds_on_a_narrow_line(&Line::new(narrow_for_a_while), 1000);
}

#[test]
fn the_same_where_half_a_megabyte_waits_outside() {
    holds_on_a_narrow_line(&Line { buffer: 512 << 10, ..Line::new(narrow_for_a_while) }, 1500);
}

#[test]
fn the_same_on_a_long_road() {
    holds_on_a_narrow_line(&Line { road: 60, buffer: 128 << 10, ..Line::new(narrow_for_a_while) }, 1500);
}

#[test]
fn a_line_that_carries_it_is_left_alone() {
    let seen = broadcast(&Line::new(|_| 3_000_000), 60_000, 1);
    assert!((seen.rates.len(), seen.drops) == (0, 0) && seen.bad.is_empty(), "{:?}", seen.rates);
}

#[test]
fn jitter_costs_nothing() {
    for seed in 0..5 {
        let seen = broadcast(&Line { jitter: 80, ..Line::new(|_| 6_000_000) }, 60_000, seed);
        seen.sound_is_whole();
        assert!(seen.drops == 0 && (0..60_000).all(|ms| seen.rate_at(ms) > 2_000_000), "{:?}", seen.rates);
    }
}

#[test]
fn a_lossy_line_is_used_and_sound_is_kept() {
    for seed in 0..5 {
        let seen = broadcast(&Line { loss: Some(4000), ..Line::new(|_| 4_000_000) }, 120_000, seed);
        seen.sound_is_whole();
        assert!(seen.latest(0, 120_000).0 < 1500, "{:?}", seen.latest(0, 120_000));
        let mean = (0..120).map(|s| u64::from(seen.rate_at(s * 1000))).sum::<u64>() / 120;
        assert!(mean > 1_000_000, "{mean}: {:?}", seen.rates);
    }
}

#[test]
fn a_stall_of_three_seconds_is_over_when_it_is_over() {
    let stalls = |ms| if (10_000..13_000).contains(&ms) { 0 } else { 4_000_000 };
    let seen = broadcast(&Line { buffer: 128 << 10, ..Line::new(stalls) }, 40_000, 1);
    seen.sound_is_whole();
    assert!(seen.bad.iter().any(|ms| (11_500..13_000).contains(ms)), "it is told of");
    assert!(seen.latest(15_000, 40_000).0 < 1000, "{:?}", seen.latest(15_000, 40_000));
    assert!(seen.rate_at(25_000) > MOST / 2, "{:?}", seen.rates);
}

/// A line below the least: pictures are missing, and the streamer is told; what comes is not old, and the sound is whole.
#[test]
fn where_even_the_least_is_too_much_the_sound_goes_on() {
    let seen = broadcast(&Line::new(|ms| if ms < 5000 { 3_000_000 } else { 280_000 }), 60_000, 1);
    seen.sound_is_whole();
    assert!(seen.latest(10_000, 60_000).1 < 2500, "{:?}", seen.latest(10_000, 60_000));
    assert!(seen.drops > 3 && seen.bad.len() > 20_000, "{} {}", seen.drops, seen.bad.len());
}
