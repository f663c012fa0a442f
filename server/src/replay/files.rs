//! The two files of a recording, and the order in which they are written.
//!
//! First segments, then, once they are on the disk for good, the lines that tell of them: whatever ends the program or the
//! computer, a line that is there tells of bytes that are there. Each time that costs two waits for the disk, however many
//! segments are written at once, so a slow disk is asked less often.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mujian_protocol::{RoomId, StreamId, WallTime};

use super::index::{self, Entry, INDEX, MEDIA};
use super::recorder::Record;
use crate::stage::programme::ChunkConfig;

/// What recordings are written to.
pub(super) trait Disk: Write {
    /// Returns when what was written outlives a power cut.
    fn keep(&mut self) -> io::Result<()>;
    /// Takes back what is behind this length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Disk for File {
    fn keep(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// The files of a recording.
pub(super) struct Files<D> {
    media: D,
    index: D,
    media_at: u64,
    index_at: u64,
    configs: Vec<Arc<ChunkConfig>>,
}

impl Files<File> {
    pub(super) fn create(folder: &Path, room: &RoomId, stream: &StreamId, at: WallTime) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let open = |name| OpenOptions::new().create(true).append(true).open(folder.join(name));
        let (media, index) = (open(MEDIA)?, open(INDEX)?);
        let media_at = media.metadata()?.len();
        let files = Self::begin(media, index, media_at, &index::head(room, stream, at)?)?;
        // The names of the files, of their folder, and of the room's. Where the file system cannot be told, it keeps
        // them in its own time.
        for named_in in folder.ancestors().take(3) {
            let _ = File::open(named_in).and_then(|folder| folder.sync_all());
        }
        Ok(files)
    }
}

impl<D: Disk> Files<D> {
    fn begin(media: D, index: D, media_at: u64, head: &[u8]) -> io::Result<Self> {
        let mut files = Self { media, index, media_at, index_at: 0, configs: Vec::new() };
        files.line(head)?;
        Ok(files)
    }

    /// How long the media is.
    pub(super) fn bytes(&self) -> u64 {
        self.media_at
    }

    /// Writes segments. How many of them are there, and what failed then: after that nothing more must be written.
    pub(super) fn segments(&mut self, records: &[Record]) -> (usize, Option<io::Error>) {
        let begins = self.media_at;
        let mut failed = None;
        let mut offsets = Vec::with_capacity(records.len());
        for record in records {
            offsets.push(self.media_at);
            if let Err(error) = append(&mut self.media, &mut self.media_at, &record.parts) {
                offsets.pop();
                failed = Some(error);
                break;
            }
        }
        if let Err(error) = self.media.keep() {
            // Nobody knows what of it is there.
            let _ = self.media.cut(begins);
            self.media_at = begins;
            return (0, failed.or(Some(error)));
        }
        let mut told = 0;
        for (record, offset) in records.iter().zip(offsets) {
            if let Err(error) = self.tell(record, offset) {
                failed = failed.or(Some(error));
                break;
            }
            told += 1;
        }
        if let Err(error) = self.index.keep() {
            failed = failed.or(Some(error));
        }
        (told, failed)
    }

    /// The last line.
    pub(super) fn end(&mut self, at: WallTime) -> io::Result<()> {
        self.line(&index::end(at)?)?;
        self.index.keep()
    }

    fn tell(&mut self, record: &Record, offset: u64) -> io::Result<()> {
        let config = self.config(&record.config)?;
        let entry = Entry {
            offset,
            parts: record.parts.iter().map(|p| u32::try_from(p.len()).unwrap_or(u32::MAX)).collect(),
            config,
            stage: record.stage,
            start: record.start.flicks(),
            duration: record.duration.flicks(),
            wall: record.wall,
            key: record.key,
            gap: record.gap,
            sound_at: record.sound_at.map(|at| at.to_scale(record.config.audio.sample_rate)),
            sounds: record.sounds,
        };
        self.line(&index::segment(&entry)?)
    }

    /// The number of a configuration; a new one gets a line.
    fn config(&mut self, config: &Arc<ChunkConfig>) -> io::Result<u32> {
        let same = |c: &Arc<ChunkConfig>| c.video.avcc == config.video.avcc && c.audio.asc == config.audio.asc;
        let known = self.configs.iter().position(same);
        let number = match known {
            Some(number) => number,
            None => {
                self.line(&index::config(&config.video, &config.audio)?)?;
                self.configs.push(Arc::clone(config));
                self.configs.len() - 1
            }
        };
        u32::try_from(number).map_err(io::Error::other)
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        append(&mut self.index, &mut self.index_at, &[Bytes::copy_from_slice(line)])
    }
}

/// Writes to a file as a whole, or takes back what was written of it.
fn append(file: &mut impl Disk, at: &mut u64, pieces: &[Bytes]) -> io::Result<()> {
    let written = pieces.iter().try_for_each(|piece| file.write_all(piece));
    match written {
        Ok(()) => {
            *at += pieces.iter().map(|p| p.len() as u64).sum::<u64>();
            Ok(())
        }
        Err(error) => {
            // Failing leaves bytes that no line tells of; they are never read.
            let _ = file.cut(*at);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::super::index::Index;
    use super::super::recorder::tests::{config, record};
    use super::*;
    use mujian_protocol::room::Stage;

    /// A disk of the test's: what was written, and up to where it outlives a power cut. Both files are on one.
    #[derive(Default)]
    struct Platter {
        media: (Vec<u8>, usize),
        index: (Vec<u8>, usize),
        /// After each step: what of the media outlives a power cut, and what of the index was written.
        steps: Vec<(Vec<u8>, Vec<u8>)>,
        /// So many bytes fit.
        room: usize,
        /// What the next wait for the disk says.
        fails: Option<io::ErrorKind>,
    }

    #[derive(Clone)]
    struct OnPlatter(Rc<RefCell<Platter>>, bool);

    impl OnPlatter {
        fn with<T>(&self, act: impl FnOnce(&mut (Vec<u8>, usize)) -> T) -> T {
            let platter = &mut *self.0.borrow_mut();
            let done = act(if self.1 { &mut platter.media } else { &mut platter.index });
            let kept = platter.media.0.get(..platter.media.1).unwrap_or(&platter.media.0).to_vec();
            platter.steps.push((kept, platter.index.0.clone()));
            done
        }
    }

    impl Write for OnPlatter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let left = {
                let platter = self.0.borrow();
                platter.room.saturating_sub(platter.media.0.len() + platter.index.0.len())
            };
            // In pieces, as a disk may take them.
            let n = bytes.len().min(700).min(left);
            if n == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.with(|(written, _)| written.extend_from_slice(&bytes[..n]));
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk for OnPlatter {
        fn keep(&mut self) -> io::Result<()> {
            if let Some(kind) = self.0.borrow_mut().fails.take() {
                return Err(kind.into());
            }
            self.with(|(written, kept)| *kept = written.len());
            Ok(())
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.with(|(written, _)| written.truncate(usize::try_from(length).unwrap()));
            Ok(())
        }
    }

    fn files(room: usize) -> (Files<OnPlatter>, Rc<RefCell<Platter>>) {
        let platter = Rc::new(RefCell::new(Platter { room, ..Platter::default() }));
        let on = |media| OnPlatter(Rc::clone(&platter), media);
        let head = index::head(&"room".parse().unwrap(), &StreamId::new(), WallTime(5)).unwrap();
        (Files::begin(on(true), on(false), 0, &head).unwrap(), platter)
    }

    /// What is read of a recording of these bytes.
    fn read(media: &[u8], index: &[u8]) -> Index {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MEDIA), media).unwrap();
        std::fs::write(folder.path().join(INDEX), index).unwrap();
        Index::read(folder.path()).unwrap()
    }

    /// Wherever the power goes, and whatever of the index was on the disk by then: no line tells of bytes that are not.
    #[test]
    fn a_segment_is_on_the_disk_before_the_index_tells_of_it() {
        let (mut files, platter) = files(usize::MAX);
        let (one, two) = (config(1, 48_000), config(2, 44_100));
        let records: Vec<Record> = (0..5).map(|i| record(i, Stage::Live, if i == 3 { &two } else { &one })).collect();
        for some in [&records[..1], &records[1..4], &records[4..]] {
            let (kept, failed) = files.segments(some);
            assert!(kept == some.len() && failed.is_none());
        }
        files.end(WallTime(9)).unwrap();
        let steps = std::mem::take(&mut platter.borrow_mut().steps);
        let mut most = 0;
        for (kept, index) in &steps {
            let there = read(kept, index).entries.len();
            assert!(there >= most, "what was told of stays");
            most = there;
            // As many as lines tell of: none was passed over for want of its bytes.
            assert_eq!(String::from_utf8_lossy(index).matches("\"line\":\"segment\"").count(), there);
        }
        assert_eq!(most, 5);
        let platter = platter.borrow();
        assert_eq!(platter.index.1, platter.index.0.len(), "the end is kept as well");
        assert_eq!(read(&platter.media.0, &platter.index.0).ended, Some(WallTime(9)));
    }

    #[test]
    fn what_the_disk_does_not_keep_is_not_told_of() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
            let (mut files, platter) = files(usize::MAX);
            let one = config(1, 48_000);
            assert_eq!(files.segments(&[record(0, Stage::Live, &one)]).0, 1);
            platter.borrow_mut().fails = Some(kind);
            let (kept, failed) = files.segments(&[record(1, Stage::Live, &one), record(2, Stage::Live, &one)]);
            assert_eq!((kept, failed.map(|e| e.kind()), files.bytes()), (0, Some(kind), 1500));
            let platter = platter.borrow();
            assert_eq!((platter.media.0.len(), read(&platter.media.0, &platter.index.0).entries.len()), (1500, 1));
        }
    }

    #[test]
    fn a_disk_that_fills_up_keeps_what_fitted() {
        let (mut files, platter) = files(4000);
        let one = config(1, 48_000);
        let records: Vec<Record> = (0..3).map(|i| record(i, Stage::Live, &one)).collect();
        let (kept, failed) = files.segments(&records);
        assert_eq!(failed.map(|e| e.kind()), Some(io::ErrorKind::StorageFull));
        let platter = platter.borrow();
        assert_eq!((kept, platter.media.0.len() % 1500), (2, 0), "no half segment is left");
        assert_eq!(read(&platter.media.0, &platter.index.0).entries.len(), 2);
    }
}
