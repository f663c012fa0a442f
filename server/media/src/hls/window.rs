//! The newest segments of a live stream, and the media playlist that tells of them.
//!
//! Numbers in brackets are sections of RFC 8216bis. A player asks for the playlist that has a certain segment and part
//! (`_HLS_msn`, `_HLS_part`: 6.2.5.2) and for the part that is hinted at (4.4.5.3) before they exist; [`Window`] says
//! whether the time has come, the caller does the waiting. Memory is bounded by bytes.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;

use super::Date;
use super::segmenter::PART_TARGET;
use crate::time::MediaTime;

/// `EXT-X-TARGETDURATION` (4.4.3.1), in seconds: no segment is longer, rounded.
pub const TARGET_SECONDS: u32 = 6;
/// `HOLD-BACK` (4.4.3.8): how far from the end players start that do not know parts; three targets at least.
const HOLD_BACK: u32 = 3 * TARGET_SECONDS;
/// `PART-HOLD-BACK` (4.4.3.8): how far from the end the others play; three parts at least.
pub const PART_HOLD_BACK: MediaTime = PART_TARGET.times(4);
/// So much is listed.
const LISTED: MediaTime = MediaTime::from_millis(24_000);
/// What is not listed any more can still be fetched for as long as the playlist was (6.2.2).
const KEPT: MediaTime = MediaTime::from_millis(48_000);
/// Parts are listed for so many segments before the newest (6.2.2: those near the end).
const WITH_PARTS: usize = 4;
/// Bound of a stream's window in bytes; a player that fetches what went for it gets a 404.
pub const WINDOW_BYTES: usize = 32 * 1024 * 1024;
/// Fewer segments than this are never kept, however large.
const LEAST: usize = 3;
/// A playlist may be asked for that is at most so many segments ahead (6.2.5.2).
const AHEAD: u64 = 2;

#[derive(Clone, Debug)]
struct Part {
    bytes: Bytes,
    duration: MediaTime,
    independent: bool,
}

#[derive(Clone, Debug)]
struct Segment {
    number: u64,
    map: u64,
    wall: Duration,
    discontinuity: bool,
    parts: Vec<Part>,
    /// None: it is being made.
    duration: Option<MediaTime>,
}

impl Segment {
    fn length(&self) -> usize {
        self.parts.iter().map(|p| p.bytes.len()).sum()
    }
}

/// Whether something that was asked for is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// It is.
    Now(T),
    /// It will be.
    Later,
    /// It never will, or it went.
    Never,
}

/// How a segment begins.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The configuration's id.
    pub map: u64,
    /// Its init segment.
    pub init: Bytes,
    /// When its first picture went out, since 1970 UTC.
    pub wall: Duration,
    /// Something is missing before it.
    pub gap: bool,
}

/// A stream's newest segments.
#[derive(Debug)]
pub struct Window {
    /// Names this stream in addresses, so that caches never mix two streams of a room.
    run: String,
    segments: VecDeque<Segment>,
    maps: VecDeque<(u64, Bytes)>,
    next: u64,
    bytes: usize,
    /// Discontinuities before the first that is kept.
    discontinuities: u64,
    ended: bool,
    max_bytes: usize,
}

impl Window {
    /// For a stream that begins. `run` must be another one for every stream of the room.
    #[must_use]
    pub fn new(run: String, max_bytes: usize) -> Self {
        Self {
            run,
            segments: VecDeque::new(),
            maps: VecDeque::new(),
            next: 0,
            bytes: 0,
            discontinuities: 0,
            ended: false,
            max_bytes,
        }
    }

    /// A segment begins.
    pub fn open(&mut self, begin: Begin) {
        if !self.maps.iter().any(|(id, _)| *id == begin.map) {
            self.maps.push_back((begin.map, begin.init));
        }
        let discontinuity = self.segments.back().is_some_and(|last| last.map != begin.map || begin.gap);
        let number = self.next;
        self.next += 1;
        self.segments.push_back(Segment {
            number,
            map: begin.map,
            wall: begin.wall,
            discontinuity,
            parts: Vec::new(),
            duration: None,
        });
    }

    /// A part of it is there.
    pub fn part(&mut self, bytes: Bytes, duration: MediaTime, independent: bool) {
        if let Some(last) = self.segments.back_mut() {
            self.bytes += bytes.len();
            last.parts.push(Part { bytes, duration, independent });
        }
    }

    /// It is complete.
    pub fn close(&mut self, duration: MediaTime) {
        if let Some(last) = self.segments.back_mut() {
            last.duration = Some(duration);
        }
        self.forget();
    }

    /// The stream is over.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether it is.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether there is anything to list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|s| s.parts.is_empty())
    }

    /// Whether there is something for players that know no parts.
    #[must_use]
    pub fn has_segment(&self) -> bool {
        self.segments.iter().any(|s| s.duration.is_some())
    }

    fn forget(&mut self) {
        loop {
            let length: MediaTime = self
                .segments
                .iter()
                .skip(1)
                .filter_map(|s| s.duration)
                .fold(MediaTime::ZERO, MediaTime::saturating_add);
            let spare = self.segments.len() > LEAST && (length >= KEPT || self.bytes > self.max_bytes);
            let Some(old) = spare.then(|| self.segments.pop_front()).flatten() else { break };
            self.bytes -= old.length();
            // 6.2.2: a discontinuity counts once the segment that it stands before is gone.
            self.discontinuities += u64::from(old.discontinuity);
        }
        let used: Vec<u64> = self.segments.iter().map(|s| s.map).collect();
        self.maps.retain(|(id, _)| used.contains(id));
    }

    /// The first segment that is listed.
    fn first_listed(&self) -> usize {
        let mut length = MediaTime::ZERO;
        let mut first = self.segments.len();
        for (i, segment) in self.segments.iter().enumerate().rev() {
            if length >= LISTED {
                break;
            }
            length = length.saturating_add(segment.duration.unwrap_or_default());
            first = i;
        }
        first
    }

    /// The playlist, once it has this segment and, if one is named, this part of it (6.2.5.2). `query` is appended to
    /// every address.
    #[must_use]
    pub fn playlist(&self, wanted: Option<(u64, Option<usize>)>, query: &str) -> Found<String> {
        if let Some((number, part)) = wanted {
            if number > self.next + AHEAD {
                return Found::Never;
            }
            if !self.ended && !self.has(number, part) {
                return Found::Later;
            }
        }
        if self.is_empty() {
            return if self.ended { Found::Never } else { Found::Later };
        }
        Found::Now(self.written(query))
    }

    fn has(&self, number: u64, part: Option<usize>) -> bool {
        let Some(newest) = self.segments.back() else { return false };
        if number < newest.number {
            return true;
        }
        if number > newest.number {
            return false;
        }
        // A part past a segment's last one is the next segment's first (6.2.5.2).
        newest.duration.is_some() && part.is_none_or(|part| part < newest.parts.len())
            || part.is_some_and(|part| part < newest.parts.len())
    }

    fn written(&self, query: &str) -> String {
        let first = self.first_listed();
        let mut out = String::with_capacity(4096);
        let put = |out: &mut String, line: std::fmt::Arguments<'_>| {
            // Writing into a string does not fail.
            let _ = writeln!(out, "{line}");
        };
        let seconds = MediaTime::as_secs_f64;
        let target = seconds(PART_TARGET);
        put(&mut out, format_args!("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{TARGET_SECONDS}"));
        put(
            &mut out,
            format_args!(
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},HOLD-BACK={HOLD_BACK}.0",
                seconds(PART_HOLD_BACK)
            ),
        );
        put(&mut out, format_args!("#EXT-X-PART-INF:PART-TARGET={target:.3}"));
        let before = self.segments.iter().take(first).filter(|s| s.discontinuity).count() as u64;
        let number = self.segments.get(first).map_or(self.next, |s| s.number);
        put(&mut out, format_args!("#EXT-X-MEDIA-SEQUENCE:{number}"));
        put(&mut out, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuities + before));
        let mut map = None;
        let with_parts = self.segments.len().saturating_sub(WITH_PARTS);
        let run = &self.run;
        for (i, segment) in self.segments.iter().enumerate().skip(first) {
            if segment.parts.is_empty() {
                continue;
            }
            if segment.discontinuity {
                put(&mut out, format_args!("#EXT-X-DISCONTINUITY"));
            }
            if map.replace(segment.map) != Some(segment.map) {
                put(&mut out, format_args!("#EXT-X-MAP:URI=\"{run}-i{}.mp4{query}\"", segment.map));
            }
            put(&mut out, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", Date(segment.wall)));
            if i >= with_parts && !self.ended {
                for (n, part) in segment.parts.iter().enumerate() {
                    let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
                    put(
                        &mut out,
                        format_args!(
                            "#EXT-X-PART:DURATION={:.5},URI=\"{run}-{}.{n}.m4s{query}\"{independent}",
                            seconds(part.duration.min(PART_TARGET)),
                            segment.number
                        ),
                    );
                }
            }
            if let Some(duration) = segment.duration {
                put(&mut out, format_args!("#EXTINF:{:.5},\n{run}-{}.m4s{query}", seconds(duration), segment.number));
            }
        }
        if self.ended {
            put(&mut out, format_args!("#EXT-X-ENDLIST"));
        } else {
            let (number, part) = self.next_part();
            put(&mut out, format_args!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{run}-{number}.{part}.m4s{query}\""));
        }
        out
    }

    fn next_part(&self) -> (u64, usize) {
        match self.segments.back() {
            Some(last) if last.duration.is_none() => (last.number, last.parts.len()),
            _ => (self.next, 0),
        }
    }

    /// What a name in the playlist stands for: the init segment, a segment, or a part.
    #[must_use]
    pub fn file(&self, name: &str) -> Found<Vec<Bytes>> {
        let Some(rest) = name.strip_prefix(self.run.as_str()).and_then(|r| r.strip_prefix('-')) else {
            return Found::Never;
        };
        if let Some(id) = rest.strip_prefix('i').and_then(|r| r.strip_suffix(".mp4")) {
            let id: Option<u64> = id.parse().ok();
            let map = self.maps.iter().find(|(map, _)| Some(*map) == id);
            return map.map_or(Found::Never, |(_, init)| Found::Now(vec![init.clone()]));
        }
        let Some(rest) = rest.strip_suffix(".m4s") else { return Found::Never };
        match rest.split_once('.') {
            None => rest.parse().map_or(Found::Never, |number| self.segment(number)),
            Some((number, part)) => match (number.parse(), part.parse()) {
                (Ok(number), Ok(part)) => self.one_part(number, part),
                _ => Found::Never,
            },
        }
    }

    fn get(&self, number: u64) -> Option<&Segment> {
        let front = self.segments.front()?.number;
        self.segments.get(usize::try_from(number.checked_sub(front)?).ok()?)
    }

    fn segment(&self, number: u64) -> Found<Vec<Bytes>> {
        match self.get(number) {
            Some(segment) if segment.duration.is_some() => {
                Found::Now(segment.parts.iter().map(|p| p.bytes.clone()).collect())
            }
            _ => Found::Never,
        }
    }

    fn one_part(&self, number: u64, part: usize) -> Found<Vec<Bytes>> {
        if let Some(found) = self.get(number).and_then(|s| s.parts.get(part)) {
            return Found::Now(vec![found.bytes.clone()]);
        }
        // Only the one that is hinted at is waited for.
        if !self.ended && self.next_part() == (number, part) { Found::Later } else { Found::Never }
    }

    /// Bytes that are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(map: u64, ms: u64) -> Begin {
        Begin { map, init: Bytes::from(format!("init{map}")), wall: Duration::from_millis(ms), gap: false }
    }

    fn segment(window: &mut Window, map: u64, parts: usize) {
        window.open(begin(map, 1000));
        for i in 0..parts {
            window.part(Bytes::from(vec![i as u8; 1000]), MediaTime::from_millis(200), i == 0);
        }
        window.close(MediaTime::from_millis(200 * parts as i64));
    }

    fn lines(window: &Window) -> Vec<String> {
        match window.playlist(None, "?s=x") {
            Found::Now(text) => text.lines().map(str::to_owned).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_playlist_tells_segments_parts_maps_and_what_comes_next() {
        let mut window = Window::new("r".into(), WINDOW_BYTES);
        assert_eq!(window.playlist(None, ""), Found::Later);
        segment(&mut window, 1, 2);
        segment(&mut window, 2, 1);
        window.open(begin(2, 1_795_243_447_089));
        window.part(Bytes::from_static(b"p"), MediaTime::from_millis(200), true);
        let text = lines(&window).join("\n");
        let expected = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:6\n\
            #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.840,HOLD-BACK=18.0\n\
            #EXT-X-PART-INF:PART-TARGET=0.210\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n\
            #EXT-X-MAP:URI=\"r-i1.mp4?s=x\"\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.000Z\n\
            #EXT-X-PART:DURATION=0.20000,URI=\"r-0.0.m4s?s=x\",INDEPENDENT=YES\n\
            #EXT-X-PART:DURATION=0.20000,URI=\"r-0.1.m4s?s=x\"\n#EXTINF:0.40000,\nr-0.m4s?s=x\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"r-i2.mp4?s=x\"\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.000Z\n\
            #EXT-X-PART:DURATION=0.20000,URI=\"r-1.0.m4s?s=x\",INDEPENDENT=YES\n#EXTINF:0.20000,\nr-1.m4s?s=x\n\
            #EXT-X-PROGRAM-DATE-TIME:2026-11-21T06:44:07.089Z\n\
            #EXT-X-PART:DURATION=0.20000,URI=\"r-2.0.m4s?s=x\",INDEPENDENT=YES\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"r-2.1.m4s?s=x\"";
        assert_eq!(text, expected);
        window.close(MediaTime::from_millis(200));
        window.end();
        let text = lines(&window).join("\n");
        assert!(text.ends_with("#EXT-X-ENDLIST") && !text.contains("HINT") && !text.contains("EXT-X-PART:"), "{text}");
    }

    #[test]
    fn what_is_asked_for_early_comes_when_it_is_there() {
        let mut window = Window::new("r".into(), WINDOW_BYTES);
        segment(&mut window, 1, 2);
        let asked = |w: &Window, number, part| match w.playlist(Some((number, part)), "") {
            Found::Now(_) => "now",
            Found::Later => "later",
            Found::Never => "never",
        };
        assert_eq!(asked(&window, 0, None), "now");
        assert_eq!(asked(&window, 0, Some(1)), "now");
        // 6.2.5.2: a part past the last stands for the next segment's first.
        assert_eq!(asked(&window, 0, Some(2)), "later");
        assert_eq!(asked(&window, 1, Some(0)), "later");
        assert_eq!(asked(&window, 9, None), "never");
        window.open(begin(1, 0));
        assert_eq!(window.file("r-1.0.m4s"), Found::Later);
        assert_eq!(window.file("r-1.1.m4s"), Found::Never);
        window.part(Bytes::from_static(b"p"), MediaTime::from_millis(200), true);
        assert_eq!(asked(&window, 0, Some(2)), "now");
        assert_eq!(asked(&window, 1, Some(0)), "now");
        assert_eq!(asked(&window, 1, Some(1)), "later");
        assert_eq!(asked(&window, 1, None), "later", "a segment is there when it is whole");
        assert_eq!(window.file("r-1.m4s"), Found::Never);
        assert_eq!(window.file("r-1.0.m4s"), Found::Now(vec![Bytes::from_static(b"p")]));
        assert_eq!(window.file("r-i1.mp4"), Found::Now(vec![Bytes::from_static(b"init1")]));
        window.end();
        assert_eq!(asked(&window, 2, Some(7)), "now", "nobody waits for what will not come");
        for wrong in ["", "r", "r-", "q-0.m4s", "r-0.mp4", "r-0.0.0.m4s", "r--1.m4s", "r-99999999999999999999.m4s"] {
            assert_eq!(window.file(wrong), Found::Never, "{wrong}");
        }
    }

    #[test]
    fn memory_is_bounded_and_numbers_go_on() {
        let mut window = Window::new("r".into(), 100_000);
        for i in 0..200 {
            segment(&mut window, 1 + i / 10, 10);
            assert!(window.bytes() <= 100_000);
        }
        let text = lines(&window);
        assert!(text.contains(&"#EXT-X-MEDIA-SEQUENCE:190".to_owned()), "{text:?}");
        // 20 configurations: 19 changes, of which the last stands before segment 190 and is listed.
        assert!(text.contains(&"#EXT-X-DISCONTINUITY-SEQUENCE:18".to_owned()), "{text:?}");
        assert_eq!(text.iter().filter(|l| *l == "#EXT-X-DISCONTINUITY").count(), 1);
        assert_eq!(window.maps.len(), 1);
    }

    #[test]
    fn what_left_the_list_can_still_be_fetched_for_a_while() {
        let mut window = Window::new("r".into(), WINDOW_BYTES);
        for _ in 0..100 {
            segment(&mut window, 1, 10);
        }
        let text = lines(&window);
        assert!(text.contains(&"#EXT-X-MEDIA-SEQUENCE:88".to_owned()), "{text:?}");
        assert!(matches!(window.file("r-80.m4s"), Found::Now(_)));
        assert_eq!(window.file("r-40.m4s"), Found::Never);
    }
}
