//! A recording as one plain MP4 file, cut like the replay, without encoding anything again.
//!
//! Only the heads of the parts are read to make the file's tables; the samples are copied as they are sent, so memory
//! is bounded by their number, about 30 bytes each. The length is known at the start, and any range can be asked for.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use mujian_media::fmp4::{Block, Movie, MovieSample};
use mujian_media::{aac, avc};

use super::plan::Place;
use super::reading::{Form, Opened, Times, Version, broken, head_of, read_at};

/// Bytes that are read and sent at once.
const STEP: u64 = 256 * 1024;

/// Where bytes of the file come from.
#[derive(Clone, Debug)]
enum Source {
    /// From the recording, at this offset.
    Disk(u64),
    /// From here.
    Here(Bytes),
}

/// A file that could be sent.
#[derive(Debug)]
pub struct Film {
    opened: Arc<Opened>,
    /// Each with where it begins in the file; the next one's beginning is its end.
    pieces: Vec<(u64, Source)>,
    length: u64,
}

#[derive(Default)]
struct Building {
    pictures: Vec<MovieSample>,
    sounds: Vec<u32>,
    blocks: Vec<Block>,
    /// Lengths and sources, in the file's order.
    data: Vec<(u64, Source)>,
}

impl Building {
    fn disk(&mut self, offset: u64, size: u32) {
        let size = u64::from(size);
        if let Some((length, Source::Disk(from))) = self.data.last_mut()
            && *from + *length == offset
        {
            *length += size;
            return;
        }
        self.data.push((size, Source::Disk(offset)));
    }
}

impl Film {
    /// Reads the heads of all parts of one form. Takes a while for long recordings.
    ///
    /// # Errors
    /// The disk failed, or nothing of this form is played.
    pub fn build(opened: Arc<Opened>, version: Version, form: &Form) -> io::Result<Self> {
        let plan = opened.form_plan(version, form);
        let first = form.codings.first().and_then(|c| opened.index.codings.get(*c as usize)).ok_or_else(broken)?;
        // Where the parameters changed, every key frame carries its own, so that a player may start at any.
        let in_band = form.codings.len() > 1;
        let mut file = opened.media()?;
        let mut building = Building::default();
        for place in &plan.places {
            block(&mut building, &opened, place, in_band, &mut file)?;
        }
        if building.pictures.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let Building { pictures, sounds, blocks, data } = building;
        let movie =
            Movie { video: &first.video, audio: &first.audio, pictures: &pictures, sounds: &sounds, blocks: &blocks };
        let head = movie.head();
        let mut at = head.len() as u64;
        let mut pieces = vec![(0, Source::Here(head))];
        for (length, source) in data {
            pieces.push((at, source));
            at += length;
        }
        drop(file);
        Ok(Self { opened, pieces, length: at })
    }

    /// Its bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Up to [`STEP`] bytes of a range.
    fn read(&self, file: &mut File, range: &Range<u64>) -> io::Result<Bytes> {
        let first = self.pieces.partition_point(|(at, _)| *at <= range.start).saturating_sub(1);
        let mut out = Vec::new();
        let mut at = range.start;
        let end = range.end.min(range.start + STEP);
        for (i, (from, source)) in self.pieces.iter().enumerate().skip(first) {
            if at >= end {
                break;
            }
            let to = self.pieces.get(i + 1).map_or(self.length, |(next, _)| *next).min(end);
            let into = at - from;
            match source {
                Source::Disk(offset) => out.extend_from_slice(&read_at(file, offset + into, to - at)?),
                Source::Here(bytes) => {
                    let (from, to) = (usize::try_from(into), usize::try_from(to - from));
                    let piece = bytes.get(from.map_err(io::Error::other)?..to.map_err(io::Error::other)?);
                    out.extend_from_slice(piece.ok_or_else(broken)?);
                }
            }
            at = to;
        }
        Ok(out.into())
    }

    /// The bytes of a range, read as they are taken.
    pub fn stream(self: Arc<Self>, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send {
        futures_util::stream::unfold(Some((self, None::<File>, range)), |state| async move {
            let (film, file, range) = state?;
            if range.is_empty() {
                return None;
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut file = match file {
                    Some(file) => file,
                    None => film.opened.media()?,
                };
                let bytes = film.read(&mut file, &range)?;
                let rest = range.start + bytes.len() as u64..range.end;
                Ok::<_, io::Error>((bytes, (film, Some(file), rest)))
            });
            match read.await.map_err(io::Error::other).and_then(|read| read) {
                Ok((bytes, next)) => Some((Ok(bytes), Some(next))),
                // The connection breaks off: whoever downloads sees that the file is not whole.
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

/// One segment: its pictures, then its sound.
fn block(building: &mut Building, opened: &Opened, place: &Place, in_band: bool, file: &mut File) -> io::Result<()> {
    let entry = opened.index.entries.get(place.segment).ok_or_else(broken)?;
    let coding = opened.index.codings.get(entry.config as usize).ok_or_else(broken)?;
    let times = Times::new(place.at, entry);
    let sets = in_band.then(|| avc::in_band_parameter_sets(&coding.video));
    let mut block = Block::default();
    let mut parts = Vec::with_capacity(entry.parts.len());
    let mut offset = entry.offset;
    for length in &entry.parts {
        parts.push((offset, head_of(file, offset, *length)?));
        offset += u64::from(*length);
    }
    let mut previous: Option<i64> = None;
    for (offset, places) in &parts {
        for v in &places.video {
            let dts = times.played(v.dts);
            if let (Some(before), Some(last)) = (previous.replace(dts), building.pictures.last_mut()) {
                last.duration = u32::try_from(dts - before).unwrap_or(1).max(1);
            }
            let mut size = v.size;
            if v.key
                && let Some(sets) = &sets
            {
                size += sets.len() as u32;
                building.data.push((sets.len() as u64, Source::Here(sets.clone())));
            }
            building.disk(offset + v.offset, v.size);
            let composition = u32::try_from(v.composition).unwrap_or(0);
            building.pictures.push(MovieSample { size, duration: 1, composition, key: v.key });
            block.pictures += 1;
        }
    }
    if let (Some(before), Some(last)) = (previous, building.pictures.last_mut()) {
        last.duration = u32::try_from(times.end - before).unwrap_or(1).max(1);
    }
    let silence = aac::silent_frame(coding.audio.channels);
    for _ in 0..place.pad {
        building.sounds.push(silence.len() as u32);
        building.data.push((silence.len() as u64, Source::Here(silence.clone())));
        block.sounds += 1;
    }
    let mut heard = 0;
    for (offset, places) in &parts {
        for a in &places.audio {
            heard += 1;
            if heard > place.drop {
                building.disk(offset + a.offset, a.size);
                building.sounds.push(a.size);
                block.sounds += 1;
            }
        }
    }
    building.blocks.push(block);
    Ok(())
}
