//! Long placeholders: a file that is read in pieces while it is played, so that ten minutes of video
//! cost no more memory than a few seconds of it.
//!
//! The file: a head, the pictures and the sound in the order in which they are played, then an index.
//! A piece begins at a key frame. Three pieces ahead of the player are in memory, and the first one
//! always is, so that a placeholder starts at once, whatever the disk does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mujian_media::avc;
use mujian_media::frame::VideoConfig;
use mujian_media::time::MediaTime;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::format::BadSlate;
use super::{SlateFrame, SlateLoop};

const MAGIC: &[u8; 8] = b"MJSLATE2";
/// Most bytes of a file.
pub const TAPE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Most pictures and sound frames: ten minutes of 60 a second, and their sound.
const ENTRIES_MAX: u32 = 80_000;
/// Largest piece.
const PIECE_MAX: usize = 24 * 1024 * 1024;
/// Pieces that are read ahead of the one that is played.
const AHEAD: u32 = 2;
const FPS_MAX: u32 = 240;
/// What an index has for each entry: its kind and its length.
const ENTRY: usize = 5;
const PICTURE: u8 = 0;
const KEY: u8 = 1;
const SOUND: u8 = 2;

#[derive(Clone, Copy, Debug)]
struct Entry {
    piece: u32,
    at: u32,
    len: u32,
    key: bool,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u64,
    len: usize,
}

/// An open file of pictures and sound.
#[derive(Debug)]
pub struct Tape {
    path: PathBuf,
    pieces: Vec<Piece>,
    pictures: Vec<Entry>,
    sound: Vec<Entry>,
    kept: Mutex<BTreeMap<u32, Bytes>>,
    wanted: AtomicU32,
    wake: Arc<Notify>,
}

impl Drop for Tape {
    fn drop(&mut self) {
        // The reader finds nobody and ends.
        self.wake.notify_one();
    }
}

impl Tape {
    /// How many pictures.
    pub(super) fn pictures(&self) -> usize {
        self.pictures.len()
    }

    /// How many frames of sound.
    pub(super) fn sounds(&self) -> usize {
        self.sound.len()
    }

    /// Bytes that are in memory for it now.
    #[must_use]
    pub fn memory(&self) -> usize {
        let index = (self.pictures.len() + self.sound.len()) * size_of::<Entry>();
        index + self.kept.lock().values().map(Bytes::len).sum::<usize>()
    }

    /// A picture. None: the disk was too slow.
    pub(super) fn picture(&self, n: usize) -> Option<SlateFrame> {
        let entry = self.pictures.get(n)?;
        if self.wanted.swap(entry.piece, Ordering::Relaxed) != entry.piece {
            self.wake.notify_one();
        }
        Some(SlateFrame { key: entry.key, data: self.data(entry)? })
    }

    /// A picture, from the disk if it must be. Nobody else may play this tape.
    pub(crate) fn read(&self, n: usize) -> Option<SlateFrame> {
        self.picture(n).or_else(|| {
            self.turn().ok()?;
            self.picture(n)
        })
    }

    /// A frame of sound. None: there is none so late, or the disk was too slow.
    pub(super) fn sound(&self, n: usize) -> Option<Bytes> {
        self.data(self.sound.get(n)?)
    }

    fn data(&self, entry: &Entry) -> Option<Bytes> {
        let piece = self.kept.lock().get(&entry.piece).cloned()?;
        let at = entry.at as usize;
        (at + entry.len as usize <= piece.len()).then(|| piece.slice(at..at + entry.len as usize))
    }

    /// Which pieces should be in memory now.
    fn needed(&self) -> Vec<u32> {
        let count = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX).max(1);
        let wanted = self.wanted.load(Ordering::Relaxed);
        let mut all: Vec<u32> = (0..=AHEAD).map(|i| (wanted + i) % count).chain([0]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Reads what is needed and forgets the rest.
    fn turn(&self) -> io::Result<()> {
        let needed = self.needed();
        let missing: Vec<u32> = {
            let mut kept = self.kept.lock();
            kept.retain(|n, _| needed.contains(n));
            needed.into_iter().filter(|n| !kept.contains_key(n)).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        let mut file = File::open(&self.path)?;
        for n in missing {
            let Some(piece) = self.pieces.get(n as usize) else { continue };
            let mut data = vec![0; piece.len];
            file.seek(SeekFrom::Start(piece.offset))?;
            file.read_exact(&mut data)?;
            self.kept.lock().insert(n, data.into());
        }
        Ok(())
    }
}

/// Opens a file and reads its beginning. Blocks on the disk.
///
/// # Errors
/// The file cannot be read, or is no such file.
pub fn open(path: &Path) -> io::Result<(SlateLoop, Arc<Tape>)> {
    let bad = |why: &'static str| io::Error::new(io::ErrorKind::InvalidData, BadSlate::new(why));
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if !(32..=TAPE_BYTES_MAX).contains(&size) {
        return Err(bad("its size is out of range"));
    }
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    file.seek(SeekFrom::Start(size - 16))?;
    let mut tail = [0; 16];
    file.read_exact(&mut tail)?;
    let (offset, end) = ((&tail[..8]).get_u64(), &tail[8..]);
    if &head != MAGIC || end != MAGIC || !(8..size - 16).contains(&offset) {
        return Err(bad("it is cut off, or something else"));
    }
    let len = usize::try_from(size - 16 - offset).unwrap_or(usize::MAX);
    if len > ENTRIES_MAX as usize * ENTRY + 4096 {
        return Err(bad("its index is too large"));
    }
    let mut index = vec![0; len];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut index)?;
    let mut index = Bytes::from(index);
    let cut = || bad("its index is cut off");
    let fps = index.try_get_u32().map_err(|_| cut())?;
    let avcc = index.try_get_u32().map_err(|_| cut())? as usize;
    if !(1..=FPS_MAX).contains(&fps) || avcc > index.len() {
        return Err(bad("its head is damaged"));
    }
    let config = avc::parse_avcc(index.split_to(avcc)).map_err(|_| bad("its configuration is damaged"))?;
    let count = index.try_get_u32().map_err(|_| cut())?;
    if count > ENTRIES_MAX || index.len() != count as usize * ENTRY {
        return Err(cut());
    }
    let mut tape = Tape {
        path: path.to_owned(),
        pieces: Vec::new(),
        pictures: Vec::new(),
        sound: Vec::new(),
        kept: Mutex::default(),
        wanted: AtomicU32::new(0),
        wake: Arc::new(Notify::new()),
    };
    let mut at = 8u64;
    for _ in 0..count {
        let (kind, len) = (index.get_u8(), index.get_u32());
        if kind == KEY {
            tape.pieces.push(Piece { offset: at, len: 0 });
        }
        let number = u32::try_from(tape.pieces.len()).unwrap_or(u32::MAX);
        let Some(piece) = tape.pieces.last_mut() else { return Err(bad("it does not begin with a key frame")) };
        let entry = Entry { piece: number - 1, at: piece.len as u32, len, key: kind == KEY };
        piece.len += len as usize;
        at += u64::from(len);
        if piece.len > PIECE_MAX || at > offset {
            return Err(bad("its lengths are wrong"));
        }
        match kind {
            PICTURE | KEY => tape.pictures.push(entry),
            SOUND => tape.sound.push(entry),
            _ => return Err(bad("it has something unknown")),
        }
    }
    if at != offset || tape.pictures.is_empty() {
        return Err(bad("its lengths are wrong"));
    }
    tape.turn()?;
    let tape = Arc::new(tape);
    let slate = SlateLoop {
        config: Arc::new(config),
        frame_duration: MediaTime::from_scale(1, fps),
        frames: Vec::new(),
        tape: Some(Arc::clone(&tape)),
    };
    Ok((slate, tape))
}

/// Opens a file and reads on while it is played.
///
/// # Errors
/// As [`open`].
pub async fn play(path: PathBuf) -> io::Result<SlateLoop> {
    let (slate, tape) = tokio::task::spawn_blocking(move || open(&path)).await.map_err(io::Error::other)??;
    let (wake, weak) = (Arc::clone(&tape.wake), Arc::downgrade(&tape));
    drop(tape);
    tokio::spawn(async move {
        loop {
            wake.notified().await;
            let Some(tape) = weak.upgrade() else { return };
            match tokio::task::spawn_blocking(move || tape.turn()).await {
                Ok(Ok(())) => {}
                // The player starts again with the first piece, which is in memory.
                Ok(Err(error)) => tracing::warn!(%error, "a placeholder's file cannot be read on"),
                Err(_) => return,
            }
        }
    });
    Ok(slate)
}

/// Writes such a file.
pub struct TapeWriter {
    out: io::BufWriter<File>,
    index: BytesMut,
    entries: u32,
    at: u64,
    piece: usize,
}

impl TapeWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut out = io::BufWriter::new(File::create(path)?);
        out.write_all(MAGIC)?;
        Ok(Self { out, index: BytesMut::new(), entries: 0, at: 8, piece: 0 })
    }

    fn put(&mut self, kind: u8, data: &[u8]) -> io::Result<()> {
        let full = |what| Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        self.piece = if kind == KEY { data.len() } else { self.piece + data.len() };
        self.at += data.len() as u64;
        if self.entries >= ENTRIES_MAX || self.piece > PIECE_MAX || self.at > TAPE_BYTES_MAX - (1 << 20) {
            return full("the placeholder is too long");
        }
        self.entries += 1;
        self.index.put_u8(kind);
        self.index.put_u32(data.len() as u32);
        self.out.write_all(data)
    }

    /// The next picture; the first is a key frame.
    ///
    /// # Errors
    /// The disk is full, or the file is too long.
    pub fn picture(&mut self, key: bool, data: &[u8]) -> io::Result<()> {
        self.put(if key { KEY } else { PICTURE }, data)
    }

    /// The next 1024 samples, as AAC-LC at 48 kHz in stereo.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn sound(&mut self, data: &[u8]) -> io::Result<()> {
        self.put(SOUND, data)
    }

    /// Writes the index. Without this the file is not one.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(mut self, config: &VideoConfig, fps: u32) -> io::Result<()> {
        let mut end = BytesMut::new();
        end.put_u32(fps);
        end.put_u32(config.avcc.len() as u32);
        end.put_slice(&config.avcc);
        end.put_u32(self.entries);
        end.put_slice(&self.index);
        end.put_u64(self.at);
        end.put_slice(MAGIC);
        self.out.write_all(&end)?;
        self.out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> VideoConfig {
        let built = super::super::format::read(Bytes::from_static(super::super::BUILT_IN[0])).unwrap();
        VideoConfig::clone(&built.config)
    }

    /// `seconds` of pictures of `bytes` each, 30 a second, a key frame every second, with sound.
    fn write(path: &Path, seconds: u32, bytes: usize) {
        let mut out = TapeWriter::create(path).unwrap();
        let mut sound = 0u32;
        for i in 0..seconds * 30 {
            let mut data = vec![0u8; bytes];
            data[..4].copy_from_slice(&i.to_be_bytes());
            out.picture(i % 30 == 0, &data).unwrap();
            while u64::from(sound) * 1024 * 30 < u64::from(i + 1) * 48_000 {
                out.sound(&sound.to_be_bytes()).unwrap();
                sound += 1;
            }
        }
        out.finish(&config(), 30).unwrap();
    }

    #[tokio::test]
    async fn ten_minutes_are_played_whole_in_the_memory_of_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        write(&path, 600, 4000);
        let slate = play(path).await.unwrap();
        let tape = slate.tape.clone().unwrap();
        assert_eq!((slate.len(), tape.sounds()), (18_000, 28_125));
        let mut most = 0;
        for i in 0..18_000usize {
            let wanted = (i as u32).to_be_bytes();
            // As fast as the disk goes: the real player has 33 ms for each.
            let frame = loop {
                match slate.frame(i) {
                    Some(frame) => break frame,
                    None => tokio::task::yield_now().await,
                }
            };
            assert_eq!((&frame.data[..4], frame.key), (&wanted[..], i % 30 == 0));
            most = most.max(tape.memory());
        }
        assert!(slate.frame(0).is_some(), "the beginning is always there");
        assert!(most < 4 * 1024 * 1024, "{most} bytes of 72 MB were in memory");
    }

    #[test]
    fn lies_and_cuts_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short");
        write(&path, 2, 50);
        let good = std::fs::read(&path).unwrap();
        assert!(open(&path).is_ok());
        for cut in (0..good.len()).step_by(61) {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert!(open(&path).is_err(), "{cut}");
        }
        let index = good.len() - 16 - (good.len() - 16 - 8) / 4;
        for at in (index..good.len()).step_by(3).chain([0, 7]) {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            std::fs::write(&path, &bad).unwrap();
            // Whatever it says, it is read within bounds.
            let _ = open(&path);
        }
    }
}
