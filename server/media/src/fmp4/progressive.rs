//! A plain MP4 file (ISO/IEC 14496-12): everything that a player must know first, then the samples.
//!
//! The head is made from the samples' sizes and times alone, so a download can begin before a byte of the
//! samples was read, and its length is known.

use bytes::{BufMut, Bytes, BytesMut};

use super::boxes::Boxes;
use super::init::{avc1, matrix, mp4a};
use super::{AUDIO_TRACK, VIDEO_TIMESCALE, VIDEO_TRACK};
use crate::frame::{AudioConfig, VideoConfig};

/// Samples of an AAC frame.
const FRAME: u32 = 1024;
/// Units a second of the film as a whole.
const MOVIE_TIMESCALE: u32 = 1000;

/// A picture as the tables of a file tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovieSample {
    /// Its bytes.
    pub size: u32,
    /// Units of the video track until the next one is decoded.
    pub duration: u32,
    /// How much later it is shown.
    pub composition: u32,
    /// Decoding can start here.
    pub key: bool,
}

/// Pictures and then the sound that belongs to them, one after the other in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// How many pictures.
    pub pictures: u32,
    /// How many sound frames.
    pub sounds: u32,
}

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub struct Movie<'a> {
    /// How its pictures are coded.
    pub video: &'a VideoConfig,
    /// How its sound is coded.
    pub audio: &'a AudioConfig,
    /// All pictures in decoding order.
    pub pictures: &'a [MovieSample],
    /// The sizes of all sound frames, which follow each other without holes.
    pub sounds: &'a [u32],
    /// How they lie in the file.
    pub blocks: &'a [Block],
}

impl Movie<'_> {
    /// The bytes of all samples.
    #[must_use]
    pub fn data_length(&self) -> u64 {
        self.pictures.iter().map(|p| u64::from(p.size)).sum::<u64>()
            + self.sounds.iter().map(|s| u64::from(*s)).sum::<u64>()
    }

    /// The beginning of the file; the samples of the blocks, in their order, are the rest.
    #[must_use]
    pub fn head(&self) -> Bytes {
        let data = self.data_length();
        // The head itself is far smaller than the room left here.
        let large = data > u64::from(u32::MAX) - (256 << 20);
        let mut out = BytesMut::new();
        let ftyp: &[u8] = b"isom\0\0\x02\0isomiso2avc1mp41";
        out.put_u32(ftyp.len() as u32 + 8);
        out.put_slice(b"ftyp");
        out.put_slice(ftyp);
        let mdat_head = if large { 16 } else { 8 };
        // The offsets have the same length whatever they are: measured first, then written.
        let first = out.len() + self.moov(0, large).len() + mdat_head;
        out.put_slice(&self.moov(first as u64, large));
        if large {
            out.put_u32(1);
            out.put_slice(b"mdat");
            out.put_u64(data + 16);
        } else {
            out.put_u32(data as u32 + 8);
            out.put_slice(b"mdat");
        }
        out.freeze()
    }

    fn moov(&self, first: u64, large: bool) -> BytesMut {
        let video = self.pictures.iter().map(|p| u64::from(p.duration)).sum::<u64>();
        let audio = self.sounds.len() as u64 * u64::from(FRAME);
        let in_movie = |units: u64, scale: u32| units * u64::from(MOVIE_TIMESCALE) / u64::from(scale.max(1));
        let (video_ms, audio_ms) = (in_movie(video, VIDEO_TIMESCALE), in_movie(audio, self.audio.sample_rate));
        let mut b = Boxes::with_capacity(4096 + self.pictures.len() * 8 + self.sounds.len() * 4);
        b.plain(b"moov", |b| {
            b.full(b"mvhd", 0, 0, |b| {
                b.zeros(8);
                b.u32(MOVIE_TIMESCALE);
                b.u32(u32::try_from(video_ms.max(audio_ms)).unwrap_or(u32::MAX));
                b.u32(0x0001_0000);
                b.u16(0x0100);
                b.zeros(10);
                matrix(b);
                b.zeros(24);
                b.u32(AUDIO_TRACK + 1);
            });
            let (width, height) = (self.video.width, self.video.height);
            let places = self.places(first);
            if !self.pictures.is_empty() {
                let track = Track { id: VIDEO_TRACK, scale: VIDEO_TIMESCALE, units: video, shown: video_ms };
                track.write(b, Some((width, height)), |b| {
                    b.full(b"stsd", 0, 0, |b| {
                        b.u32(1);
                        avc1(b, self.video);
                    });
                    self.picture_times(b);
                    chunks(b, self.blocks.iter().map(|block| block.pictures));
                    sizes(b, self.pictures.iter().map(|p| p.size));
                    offsets(b, places.iter().filter_map(|(video, _)| *video), large);
                });
            }
            if !self.sounds.is_empty() {
                let track = Track { id: AUDIO_TRACK, scale: self.audio.sample_rate, units: audio, shown: audio_ms };
                track.write(b, None, |b| {
                    b.full(b"stsd", 0, 0, |b| {
                        b.u32(1);
                        mp4a(b, self.audio);
                    });
                    b.full(b"stts", 0, 0, |b| {
                        b.u32(1);
                        b.u32(self.sounds.len() as u32);
                        b.u32(FRAME);
                    });
                    chunks(b, self.blocks.iter().map(|block| block.sounds));
                    sizes(b, self.sounds.iter().copied());
                    offsets(b, places.iter().filter_map(|(_, audio)| *audio), large);
                });
            }
        });
        b.out
    }

    /// Where each block's pictures and sound begin; none where it has none.
    fn places(&self, first: u64) -> Vec<(Option<u64>, Option<u64>)> {
        let (mut pictures, mut sounds) = (self.pictures.iter(), self.sounds.iter());
        let mut at = first;
        let mut places = Vec::with_capacity(self.blocks.len());
        for block in self.blocks {
            let video = (block.pictures > 0).then_some(at);
            at += pictures.by_ref().take(block.pictures as usize).map(|p| u64::from(p.size)).sum::<u64>();
            let audio = (block.sounds > 0).then_some(at);
            at += sounds.by_ref().take(block.sounds as usize).map(|s| u64::from(*s)).sum::<u64>();
            places.push((video, audio));
        }
        places
    }

    /// Durations (`stts`), how much later pictures are shown (`ctts`), and where decoding can start (`stss`).
    fn picture_times(&self, b: &mut Boxes) {
        runs(b, b"stts", self.pictures.iter().map(|p| p.duration));
        if self.pictures.iter().any(|p| p.composition != 0) {
            runs(b, b"ctts", self.pictures.iter().map(|p| p.composition));
        }
        let keys: Vec<u32> =
            self.pictures.iter().enumerate().filter(|(_, p)| p.key).map(|(i, _)| i as u32 + 1).collect();
        b.full(b"stss", 0, 0, |b| {
            b.u32(keys.len() as u32);
            for key in keys {
                b.u32(key);
            }
        });
    }
}

struct Track {
    id: u32,
    scale: u32,
    units: u64,
    /// Its length in the film's units.
    shown: u64,
}

impl Track {
    /// A `trak`, for pictures of a size or for sound.
    fn write(&self, b: &mut Boxes, size: Option<(u32, u32)>, tables: impl FnOnce(&mut Boxes)) {
        const ENABLED_IN_MOVIE: u32 = 3;
        const UNDETERMINED: u16 = 0x55c4;
        let (handler, name): (&[u8], &[u8]) =
            if size.is_some() { (b"vide", b"video\0") } else { (b"soun", b"audio\0") };
        b.plain(b"trak", |b| {
            b.full(b"tkhd", 1, ENABLED_IN_MOVIE, |b| {
                b.zeros(16);
                b.u32(self.id);
                b.zeros(4);
                b.u64(self.shown);
                b.zeros(8 + 4);
                b.u16(if size.is_some() { 0 } else { 0x0100 });
                b.u16(0);
                matrix(b);
                let (width, height) = size.unwrap_or_default();
                b.u32(width << 16);
                b.u32(height << 16);
            });
            b.plain(b"mdia", |b| {
                b.full(b"mdhd", 1, 0, |b| {
                    b.zeros(16);
                    b.u32(self.scale);
                    b.u64(self.units);
                    b.u16(UNDETERMINED);
                    b.u16(0);
                });
                b.full(b"hdlr", 0, 0, |b| {
                    b.u32(0);
                    b.slice(handler);
                    b.zeros(12);
                    b.slice(name);
                });
                b.plain(b"minf", |b| {
                    if size.is_some() {
                        b.full(b"vmhd", 0, 1, |b| b.zeros(8));
                    } else {
                        b.full(b"smhd", 0, 0, |b| b.zeros(4));
                    }
                    b.plain(b"dinf", |b| {
                        b.full(b"dref", 0, 0, |b| {
                            b.u32(1);
                            b.full(b"url ", 0, 1, |_| {});
                        });
                    });
                    b.plain(b"stbl", tables);
                });
            });
        });
    }
}

/// Values that repeat, as counts and values.
fn runs(b: &mut Boxes, kind: &[u8; 4], values: impl Iterator<Item = u32>) {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match found.last_mut() {
            Some((count, last)) if *last == value => *count += 1,
            _ => found.push((1, value)),
        }
    }
    b.full(kind, 0, 0, |b| {
        b.u32(found.len() as u32);
        for (count, value) in found {
            b.u32(count);
            b.u32(value);
        }
    });
}

/// How many samples each chunk has (`stsc`); empty ones are not written at all.
fn chunks(b: &mut Boxes, counts: impl Iterator<Item = u32>) {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for (i, count) in counts.filter(|count| *count > 0).enumerate() {
        if found.last().is_none_or(|(_, last)| *last != count) {
            found.push((i as u32 + 1, count));
        }
    }
    b.full(b"stsc", 0, 0, |b| {
        b.u32(found.len() as u32);
        for (first, count) in found {
            b.u32(first);
            b.u32(count);
            b.u32(1);
        }
    });
}

fn sizes(b: &mut Boxes, sizes: impl ExactSizeIterator<Item = u32>) {
    b.full(b"stsz", 0, 0, |b| {
        b.u32(0);
        b.u32(sizes.len() as u32);
        for size in sizes {
            b.u32(size);
        }
    });
}

fn offsets(b: &mut Boxes, offsets: impl Iterator<Item = u64>, large: bool) {
    let offsets: Vec<u64> = offsets.collect();
    b.full(if large { b"co64" } else { b"stco" }, 0, 0, |b| {
        b.u32(offsets.len() as u32);
        for offset in offsets {
            if large { b.u64(offset) } else { b.u32(offset as u32) }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{aac, testing};

    /// A file of uneven blocks, played by the real ffmpeg: every picture is bit-exact and in its place.
    #[test]
    fn ffmpeg_plays_it() {
        let encoded = testing::encode(60, "-profile:v high -tune zerolatency -g 30");
        let audio = aac::make_asc(48_000, 2);
        let silent = aac::silent_frame(2);
        let pictures: Vec<_> = encoded
            .units
            .iter()
            .map(|u| MovieSample { size: u.data.len() as u32, duration: 3000, composition: 0, key: u.key })
            .collect();
        let sounds = vec![silent.len() as u32; 94];
        let blocks = [(7, 11), (0, 3), (23, 40), (30, 40)].map(|(pictures, sounds)| Block { pictures, sounds });
        let movie =
            Movie { video: &encoded.config, audio: &audio, pictures: &pictures, sounds: &sounds, blocks: &blocks };
        let mut file = movie.head().to_vec();
        let head = file.len();
        let mut units = encoded.units.iter();
        for block in blocks {
            units.by_ref().take(block.pictures as usize).for_each(|u| file.extend_from_slice(&u.data));
            (0..block.sounds).for_each(|_| file.extend_from_slice(&silent));
        }
        assert_eq!(file.len() as u64, head as u64 + movie.data_length());
        let strict = "-xerror -err_detect explode -f mp4 -i -";
        let played = testing::ffmpeg(&format!("{strict} -map 0:v -fps_mode passthrough -f framemd5 -"), &file);
        let original = testing::byte_stream(&encoded.config, encoded.units.iter().map(|u| (u.key, u.data.clone())));
        assert_eq!(testing::sums(&played), testing::picture_sums(&original));
        let samples = testing::ffmpeg(&format!("{strict} -map 0:a -f s16le -"), &file);
        assert_eq!(samples.len() / 4, 94 * 1024);
    }

    #[test]
    fn a_file_past_4_gib_has_long_offsets() {
        let encoded = testing::encode(1, "");
        let audio = aac::make_asc(48_000, 2);
        let pictures = vec![MovieSample { size: 1 << 30, duration: 3000, composition: 0, key: true }; 5];
        let blocks = [Block { pictures: 3, sounds: 0 }, Block { pictures: 2, sounds: 1 }];
        let movie = Movie { video: &encoded.config, audio: &audio, pictures: &pictures, sounds: &[9], blocks: &blocks };
        let head = movie.head();
        let at = head.windows(4).position(|w| w == b"co64").unwrap();
        let u64_at = |at: usize| u64::from_be_bytes(head[at..at + 8].try_into().unwrap());
        assert_eq!(u64_at(at + 12), head.len() as u64);
        assert_eq!(u64_at(at + 20), head.len() as u64 + (3 << 30));
        assert_eq!(u64_at(head.len() - 8), (5 << 30) + 9 + 16);
        assert!(!head.windows(4).any(|w| w == b"stco"));
    }
}
