//! The index of a recording: lines of JSON, each complete or not there.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mujian_media::frame::{AudioConfig, VideoConfig};
use mujian_media::time::MediaTime;
use mujian_media::{aac, avc};
use mujian_protocol::room::Stage;
use mujian_protocol::{RoomId, StreamId, WallTime};
use serde::{Deserialize, Serialize};

/// Name of the file that holds the segments.
pub const MEDIA: &str = "media.m4s";
/// Name of the index beside it.
pub const INDEX: &str = "index.jsonl";
/// Version of the index.
const VERSION: u32 = 1;
/// Longest line that is read, in bytes.
const LINE_MAX: usize = 64 * 1024;
/// Most segments of a recording: three weeks.
const ENTRIES_MAX: usize = 1_000_000;

/// A segment of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it begins in the media file.
    pub offset: u64,
    /// The lengths of its parts.
    pub parts: Vec<u32>,
    /// Number of its configuration, from 0.
    pub config: u32,
    /// What it shows.
    pub stage: Stage,
    /// Programme time of its first picture, in flicks.
    pub start: i64,
    /// How long it is, in flicks.
    pub duration: i64,
    /// When its first picture went out.
    pub wall: WallTime,
    /// Decoding can start with it.
    pub key: bool,
    /// Something is missing before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
    /// When its first sound frame is heard, in samples; none: it has no sound.
    pub sound_at: Option<i64>,
    /// How many sound frames it has.
    pub sounds: u32,
}

impl Entry {
    /// Its bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.parts.iter().map(|p| u64::from(*p)).sum()
    }

    /// Programme time of its first picture.
    #[must_use]
    pub fn start(&self) -> MediaTime {
        MediaTime::from_flicks(self.start)
    }

    /// How long it is.
    #[must_use]
    pub fn duration(&self) -> MediaTime {
        MediaTime::from_flicks(self.duration)
    }
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line {
    Head { version: u32, room: RoomId, stream: StreamId, started: WallTime },
    Config { video: String, audio: String },
    Segment(Entry),
    End { at: WallTime },
}

/// How a stretch of a recording is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coding {
    /// Its pictures.
    pub video: VideoConfig,
    /// Its sound.
    pub audio: AudioConfig,
}

/// An index that was read.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The configurations, by number.
    pub codings: Vec<Coding>,
    /// The segments, in order.
    pub entries: Vec<Entry>,
    /// When it ended; none: it is being made, or was broken off.
    pub ended: Option<WallTime>,
}

fn text(line: &Line) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text)
}

/// The first line.
pub(super) fn head(room: &RoomId, stream: &StreamId, started: WallTime) -> io::Result<Vec<u8>> {
    text(&Line::Head { version: VERSION, room: room.clone(), stream: stream.clone(), started })
}

/// The line of a configuration. Its number is how many were before it.
pub(super) fn config(video: &VideoConfig, audio: &AudioConfig) -> io::Result<Vec<u8>> {
    text(&Line::Config { video: STANDARD.encode(&video.avcc), audio: STANDARD.encode(&audio.asc) })
}

/// The line of a segment, to be written after its bytes.
pub(super) fn segment(entry: &Entry) -> io::Result<Vec<u8>> {
    text(&Line::Segment(entry.clone()))
}

/// The last line.
pub(super) fn end(at: WallTime) -> io::Result<Vec<u8>> {
    text(&Line::End { at })
}

impl Index {
    /// Reads a recording's index: everything up to the first line that is not whole, and no segment whose bytes are not
    /// there.
    ///
    /// # Errors
    /// The files cannot be read, or they are of a newer version.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let length = std::fs::metadata(folder.join(MEDIA))?.len();
        let mut reader = BufReader::new(File::open(folder.join(INDEX))?);
        let mut index = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            io::Read::take(&mut reader, LINE_MAX as u64).read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                return Ok(index);
            }
            match serde_json::from_slice(&line) {
                Ok(Line::Head { version, .. }) if version > VERSION => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the recording was made by a newer version of Mujian",
                    ));
                }
                Ok(Line::Head { .. }) => {}
                Ok(Line::Config { video, audio }) => match coding(&video, &audio) {
                    Some(coding) => index.codings.push(coding),
                    None => return Ok(index),
                },
                Ok(Line::Segment(entry)) => {
                    let there = entry.offset.checked_add(entry.length()).is_some_and(|end| end <= length);
                    let known = (entry.config as usize) < index.codings.len();
                    if !there || !known || entry.duration < 0 || index.entries.len() >= ENTRIES_MAX {
                        return Ok(index);
                    }
                    index.entries.push(entry);
                }
                Ok(Line::End { at }) => index.ended = Some(at),
                Err(_) => return Ok(index),
            }
        }
    }

    /// How long it is, and how much of it was shown while the streamer was away.
    #[must_use]
    pub fn lengths(&self) -> (MediaTime, MediaTime) {
        let sum = |away: bool| {
            let some = self.entries.iter().filter(|e| !away || e.stage == Stage::Away);
            some.fold(MediaTime::ZERO, |sum, e| sum.saturating_add(e.duration()))
        };
        (sum(false), sum(true))
    }
}

fn coding(video: &str, audio: &str) -> Option<Coding> {
    let bytes = |text: &str| STANDARD.decode(text).ok().map(Bytes::from);
    let video = avc::parse_avcc(bytes(video)?).ok()?;
    let audio = aac::parse_asc(bytes(audio)?).ok()?;
    Some(Coding { video, audio })
}
