//! A recording that is opened for playing.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use mujian_media::aac;
use mujian_media::fmp4::{self, Part, Places, VIDEO_TIMESCALE, VideoSample};
use mujian_media::frame::{AudioFrame, VideoFrame};
use mujian_media::hls::playlist::{self, Listed};
use mujian_media::time::MediaTime;
use mujian_protocol::StreamId;
use mujian_protocol::room::Stage;
use parking_lot::Mutex;

use super::index::{Coding, Entry, Index, MEDIA};
use super::plan::{self, Plan};

/// Recordings that stay open.
const OPEN: usize = 8;
/// A segment is read at once up to this; a longer one is none of ours.
const SEGMENT_MAX: u64 = 256 << 20;
/// The head of a part lies in its first bytes, nearly always.
const HEAD: u64 = 4096;

/// Which version of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Without what was shown while the streamer was away.
    Cut,
    /// The whole.
    Full,
    /// The whole, for a player that leaves out by itself what was shown while the streamer was away.
    Apart,
}

/// A form that pictures had, for files to download: one for each size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Numbers of the configurations that are of this form.
    pub codings: Vec<u32>,
    /// How long it was shown live.
    pub live: MediaTime,
}

/// A recording whose index was read.
#[derive(Debug)]
pub struct Opened {
    /// Where its files are.
    pub folder: PathBuf,
    /// What it holds.
    pub index: Index,
    full: Plan,
    cut: Plan,
    apart: Plan,
}

impl Opened {
    /// Reads the index.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let index = Index::read(folder)?;
        let rate = |e: &Entry| index.codings.get(e.config as usize).map_or(48_000, |c| c.audio.sample_rate);
        let full = Plan::new(&index.entries, rate, |_| true);
        let cut = Plan::new(&index.entries, rate, |e| e.stage != Stage::Away);
        let apart = Plan::apart(&index.entries, rate);
        Ok(Self { folder: folder.to_owned(), full, cut, apart, index })
    }

    /// What is played of it.
    #[must_use]
    pub fn plan(&self, version: Version) -> &Plan {
        match version {
            Version::Cut => &self.cut,
            Version::Full => &self.full,
            Version::Apart => &self.apart,
        }
    }

    /// How a segment is coded.
    fn coding(&self, entry: &Entry) -> io::Result<&Coding> {
        self.index.codings.get(entry.config as usize).ok_or_else(broken)
    }

    /// The playlist. `query` is appended to every address.
    #[must_use]
    pub fn playlist(&self, version: Version, query: &str) -> String {
        let name = version.letter();
        let listed = self.plan(version).places.iter().enumerate().filter_map(|(i, place)| {
            let entry = self.index.entries.get(place.segment)?;
            Some(Listed {
                uri: format!("{name}{i}.m4s{query}"),
                map: format!("init{}.mp4{query}", entry.config),
                duration: entry.duration(),
            })
        });
        playlist::recording(&listed.collect::<Vec<_>>(), true)
    }

    /// The init segment of a configuration.
    #[must_use]
    pub fn init(&self, config: usize) -> Option<Bytes> {
        self.index.codings.get(config).map(|c| fmp4::init_segment(&c.video, &c.audio))
    }

    /// A segment as it is played: one fragment, its times those of what is played. Reads the disk.
    ///
    /// # Errors
    /// There is no such segment, or the disk failed.
    pub fn segment(&self, version: Version, number: usize) -> io::Result<Bytes> {
        let place = self.plan(version).places.get(number).ok_or(io::ErrorKind::NotFound)?;
        let entry = self.index.entries.get(place.segment).ok_or_else(broken)?;
        let coding = self.coding(entry)?;
        let rate = coding.audio.sample_rate;
        let mut file = self.media()?;
        if entry.length() > SEGMENT_MAX {
            return Err(broken());
        }
        let data: Bytes = read_at(&mut file, entry.offset, entry.length())?.into();
        let (mut video, mut audio) = (Vec::new(), Vec::new());
        let silence = aac::silent_frame(coding.audio.channels);
        let mut sound_at = place.sound_at;
        let mut sound = |data: Bytes, audio: &mut Vec<AudioFrame>| {
            audio.push(AudioFrame { pts: MediaTime::from_scale(sound_at, rate), data });
            sound_at += 1024;
        };
        (0..place.pad).for_each(|_| sound(silence.clone(), &mut audio));
        let times = Times::new(place.at, entry);
        let (mut start, mut heard) = (0, 0);
        let last_heard = entry.sounds.saturating_sub(place.trim);
        for length in &entry.parts {
            let part = data.slice(start..start + *length as usize);
            start += *length as usize;
            let places = fmp4::places(&part).map_err(io::Error::other)?;
            let bytes = |offset: u64, size: u32| {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let to = from.checked_add(size as usize).filter(|to| *to <= part.len()).ok_or_else(broken)?;
                Ok::<_, io::Error>(part.slice(from..to))
            };
            for v in &places.video {
                let dts = MediaTime::from_scale(times.played(v.dts), VIDEO_TIMESCALE);
                let pts = dts.saturating_add(MediaTime::from_scale(v.composition.into(), VIDEO_TIMESCALE));
                video.push(VideoFrame { dts, pts, key: v.key, data: bytes(v.offset, v.size)? });
            }
            for a in &places.audio {
                heard += 1;
                if heard > place.drop && heard <= last_heard {
                    sound(bytes(a.offset, a.size)?, &mut audio);
                }
            }
        }
        (0..place.tail).for_each(|_| sound(silence.clone(), &mut audio));
        let end = MediaTime::from_scale(times.end, VIDEO_TIMESCALE);
        let samples: Vec<VideoSample<'_>> = video
            .iter()
            .enumerate()
            .map(|(i, frame)| {
                let next = video.get(i + 1).map_or(end, |next| next.dts);
                VideoSample { frame, duration: next.saturating_sub(frame.dts) }
            })
            .collect();
        let sequence = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
        Ok(Part { sequence, wall: None, video: &samples, audio: &audio, sample_rate: rate }.write())
    }

    /// The forms that the publisher's pictures had, the one that was shown longest first.
    #[must_use]
    pub fn forms(&self) -> Vec<Form> {
        let mut forms: Vec<(Form, &[u8])> = Vec::new();
        for (i, coding) in self.index.codings.iter().enumerate() {
            let (width, height, asc) = (coding.video.width, coding.video.height, &coding.audio.asc[..]);
            let number = i as u32;
            let shown = self.index.entries.iter().filter(|e| e.config == number && e.stage == Stage::Live);
            let live = shown.fold(MediaTime::ZERO, |sum, e| sum.saturating_add(e.duration()));
            match forms.iter_mut().find(|(f, a)| (f.width, f.height) == (width, height) && *a == asc) {
                Some((form, _)) => {
                    form.codings.push(number);
                    form.live = form.live.saturating_add(live);
                }
                None => forms.push((Form { width, height, codings: vec![number], live }, asc)),
            }
        }
        // A size that only slates had is no film.
        let mut forms: Vec<Form> =
            forms.into_iter().map(|(form, _)| form).filter(|f| f.live > MediaTime::ZERO).collect();
        forms.sort_by(|a, b| b.live.cmp(&a.live).then(a.codings.cmp(&b.codings)));
        forms
    }

    /// What is played of one form.
    #[must_use]
    pub fn form_plan(&self, version: Version, form: &Form) -> Plan {
        let rate = |e: &Entry| self.index.codings.get(e.config as usize).map_or(48_000, |c| c.audio.sample_rate);
        Plan::new(&self.index.entries, rate, |e| {
            form.codings.contains(&e.config) && (version != Version::Cut || e.stage != Stage::Away)
        })
    }

    /// The file that holds the segments.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn media(&self) -> io::Result<File> {
        File::open(self.folder.join(MEDIA))
    }

    /// When the streamer left and came back.
    #[must_use]
    pub fn moments(&self) -> Vec<plan::Moment> {
        plan::moments(&self.index.entries)
    }
}

impl Version {
    fn letter(self) -> char {
        match self {
            Self::Cut => 'c',
            Self::Full => 'f',
            Self::Apart => 'a',
        }
    }
}

/// Takes the times of a segment's pictures from the programme to what is played, in units of the video track.
pub(super) struct Times {
    base: i64,
    at: i64,
    /// Where the segment ends.
    pub(super) end: i64,
}

impl Times {
    pub(super) fn new(at: MediaTime, entry: &Entry) -> Self {
        Self {
            base: entry.start().to_scale(VIDEO_TIMESCALE),
            at: at.to_scale(VIDEO_TIMESCALE),
            end: at.saturating_add(entry.duration()).to_scale(VIDEO_TIMESCALE),
        }
    }

    pub(super) fn played(&self, dts: u64) -> i64 {
        let since = i64::try_from(dts).unwrap_or(i64::MAX).saturating_sub(self.base);
        self.at.saturating_add(since.max(0))
    }
}

pub(super) fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the recording is damaged")
}

pub(super) fn read_at(file: &mut File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut data = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut data)?;
    Ok(data)
}

/// Where a part's samples are, reading little more than its head.
pub(super) fn head_of(file: &mut File, offset: u64, length: u32) -> io::Result<Places> {
    let length = u64::from(length);
    let first = read_at(file, offset, length.min(HEAD))?;
    match fmp4::places(&first) {
        Err(fmp4::ReadError::Short) if length > HEAD => {
            fmp4::places(&read_at(file, offset, length)?).map_err(io::Error::other)
        }
        other => other.map_err(io::Error::other),
    }
}

/// The recordings that were opened lately, so that a player's every segment does not read the index again.
#[derive(Debug, Default)]
pub struct Shelf {
    open: Mutex<HashMap<StreamId, (u64, Arc<Opened>)>>,
}

impl Shelf {
    /// A recording, opened if it is not. It must be complete: an index that still grows is not looked at again.
    ///
    /// # Errors
    /// The files cannot be read.
    pub async fn get(&self, id: &StreamId, folder: PathBuf) -> io::Result<Arc<Opened>> {
        if let Some(found) = self.touch(id) {
            return Ok(found);
        }
        let opened = tokio::task::spawn_blocking(move || Opened::open(&folder)).await.map_err(io::Error::other)??;
        let opened = Arc::new(opened);
        let mut open = self.open.lock();
        let newest = open.values().map(|(used, _)| *used).max().unwrap_or(0) + 1;
        open.insert(id.clone(), (newest, Arc::clone(&opened)));
        while open.len() > OPEN {
            let Some(oldest) = open.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| id.clone()) else { break };
            open.remove(&oldest);
        }
        Ok(opened)
    }

    fn touch(&self, id: &StreamId) -> Option<Arc<Opened>> {
        let mut open = self.open.lock();
        let newest = open.values().map(|(used, _)| *used).max().unwrap_or(0) + 1;
        let (used, opened) = open.get_mut(id)?;
        *used = newest;
        Some(Arc::clone(opened))
    }

    /// Closes one that is deleted.
    pub fn forget(&self, id: &StreamId) {
        self.open.lock().remove(id);
    }
}
