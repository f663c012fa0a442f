//! The programme: what a room sends out, packed once, in a ring that all its viewers read.
//!
//! A ring bounded by bytes holds shared, immutable [`Chunk`]s. One writer (the room's stage) pushes,
//! any number of [`Reader`]s follow at their own pace; nobody waits for anybody. A new reader starts
//! at the newest key frame in the ring. One that falls behind skips to the newest key frame.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use mujian_media::frame::{AudioConfig, AudioFrame, VideoConfig, VideoFrame};
use mujian_media::time::{MediaTime, Now};
use mujian_protocol::WallTime;
use mujian_protocol::room::Stage;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::pack;

/// Default bound of a room's ring, in packed bytes.
pub const RING_BYTES: usize = 24 * 1024 * 1024;
/// Default age at which a reader skips to the newest key frame.
pub const READER_AGE: Duration = Duration::from_millis(1500);

/// What decoders must know before the chunks that name it, packed for every protocol.
#[derive(Debug)]
pub struct ChunkConfig {
    /// From 1, never used again in this process's life of the room.
    pub id: u64,
    /// How the pictures are coded.
    pub video: Arc<VideoConfig>,
    /// How the sound is coded.
    pub audio: Arc<AudioConfig>,
    /// The fMP4 initialisation segment.
    pub init: Bytes,
    /// The same as one unmasked binary WebSocket message.
    pub ws_init: Bytes,
    /// FLV tags of both sequence headers, stamped with the time of the configuration's first chunk.
    pub flv_headers: Bytes,
}

impl ChunkConfig {
    /// Packs a configuration whose first chunk stands at `at`.
    #[must_use]
    pub fn new(id: u64, video: Arc<VideoConfig>, audio: Arc<AudioConfig>, at: MediaTime) -> Self {
        let init = pack::init_segment(&video, &audio);
        let ws_init = pack::ws_binary(&init);
        let flv_headers = pack::flv_headers(&video, &audio, at);
        Self { id, video, audio, init, ws_init, flv_headers }
    }

    /// FLV's sequence headers stamped with another time, for a reader that starts there.
    #[must_use]
    pub fn flv_headers_at(&self, at: MediaTime) -> Bytes {
        pack::flv_headers(&self.video, &self.audio, at)
    }
}

/// One picture with the sound that belongs to it, or a piece of sound alone.
#[derive(Debug)]
pub struct Chunk {
    /// Which owner of the room made it; 1 on a single server.
    pub epoch: u64,
    /// From 1, without holes, across the streams of a room.
    pub number: u64,
    /// The picture's decoding time; the first sound's time where there is no picture.
    pub dts: MediaTime,
    /// When it went out, by the server's clock.
    pub wall: WallTime,
    /// When it went out, for measuring age.
    pub at: Now,
    /// A viewer can start here.
    pub key: bool,
    /// What it shows.
    pub stage: Stage,
    /// How it is coded.
    pub config: Arc<ChunkConfig>,
    /// The picture. At the start of a configuration its data begins with SPS and PPS.
    pub video: Option<VideoFrame>,
    /// How long the picture stands, as far as is known when it goes out.
    pub video_duration: MediaTime,
    /// The sound, in order, on the programme's grid of 1024 samples.
    pub audio: Vec<AudioFrame>,
    flv: Bytes,
    ws: OnceLock<(Bytes, usize)>,
}

/// The parts of a chunk that its maker decides.
#[derive(Clone, Debug)]
pub struct ChunkParts {
    /// See [`Chunk::stage`].
    pub stage: Stage,
    /// See [`Chunk::video`].
    pub video: Option<VideoFrame>,
    /// See [`Chunk::video_duration`].
    pub video_duration: MediaTime,
    /// See [`Chunk::audio`].
    pub audio: Vec<AudioFrame>,
}

impl Chunk {
    /// Packs a chunk. `number` is its place in the room's sequence.
    #[must_use]
    pub fn new(
        (epoch, number): (u64, u64),
        config: Arc<ChunkConfig>,
        parts: ChunkParts,
        (wall, at): (WallTime, Now),
    ) -> Self {
        let ChunkParts { stage, mut video, video_duration, audio } = parts;
        let key = video.as_ref().is_some_and(|v| v.key);
        let dts = video.as_ref().map(|v| v.dts).or(audio.first().map(|a| a.pts)).unwrap_or_default();
        let (flv, picture) = pack::flv_tags(video.as_ref(), &audio);
        // The picture lies in the packed tags anyway: share it, so that the ring holds it once less.
        if let (Some(v), Some(range)) = (video.as_mut(), picture) {
            v.data = flv.slice(range);
        }
        Self {
            epoch,
            number,
            dts,
            wall,
            at,
            key,
            stage,
            config,
            video,
            video_duration,
            audio,
            flv,
            ws: OnceLock::new(),
        }
    }

    /// FLV tags, sound and picture in order of their times.
    #[must_use]
    pub fn flv(&self) -> &Bytes {
        &self.flv
    }

    /// One fMP4 fragment (`prft`, `moof`, `mdat`).
    #[must_use]
    pub fn fmp4(&self) -> Bytes {
        let (ws, head) = self.packed();
        ws.slice(*head..)
    }

    /// The fragment as one unmasked binary WebSocket message, with its frame header.
    #[must_use]
    pub fn ws(&self) -> &Bytes {
        &self.packed().0
    }

    fn packed(&self) -> &(Bytes, usize) {
        self.ws.get_or_init(|| pack::ws_fragment(self))
    }

    /// What it costs in the ring, in bytes: both packings and the bookkeeping.
    fn weight(&self) -> usize {
        self.flv.len() * 2 + self.audio.len() * 128 + 512
    }
}

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum ReadItem {
    /// The next chunk. Its configuration may differ from the last one's: look at `config.id`.
    Chunk(Arc<Chunk>),
    /// The reader was too slow: this many chunks were left out; the next one is a key frame.
    Skipped {
        /// How many.
        chunks: u64,
    },
    /// The stream is over. Reading on waits for the room's next stream.
    End,
}

#[derive(Default)]
struct Ring {
    chunks: VecDeque<Arc<Chunk>>,
    bytes: usize,
    /// Number of the next chunk.
    next: u64,
    newest_key: Option<u64>,
    /// Counts streams.
    stream: u64,
    ended: bool,
}

/// A room's output. One for the life of the room's stage, across its streams.
pub struct Programme {
    ring: Mutex<Ring>,
    head: watch::Sender<u64>,
    epoch: u64,
    max_bytes: usize,
    max_age: Duration,
}

impl Programme {
    /// An empty programme: `max_bytes` bounds its ring, `max_age` the lag of its readers.
    #[must_use]
    pub fn new(epoch: u64, max_bytes: usize, max_age: Duration) -> Self {
        let ring = Ring { next: 1, ended: true, ..Ring::default() };
        Self { ring: Mutex::new(ring), head: watch::Sender::new(0), epoch, max_bytes, max_age }
    }

    /// Packs a chunk, puts it into the ring and wakes the readers. Gives its number.
    pub fn push(&self, config: Arc<ChunkConfig>, parts: ChunkParts, wall: WallTime, at: Now) -> u64 {
        // Only the stage pushes, so the number cannot be taken by another between the two locks:
        // packing stays outside the lock that readers take.
        let number = self.ring.lock().next;
        let chunk = Arc::new(Chunk::new((self.epoch, number), config, parts, (wall, at)));
        {
            let mut ring = self.ring.lock();
            if ring.ended {
                let (next, stream) = (ring.next, ring.stream + 1);
                *ring = Ring { next, stream, ..Ring::default() };
            }
            ring.next += 1;
            ring.bytes += chunk.weight();
            if chunk.key {
                ring.newest_key = Some(number);
            }
            ring.chunks.push_back(chunk);
            while ring.bytes > self.max_bytes && ring.chunks.len() > 1 {
                if let Some(old) = ring.chunks.pop_front() {
                    ring.bytes -= old.weight();
                }
            }
            let front = ring.chunks.front().map_or(u64::MAX, |c| c.number);
            ring.newest_key = ring.newest_key.filter(|k| *k >= front);
        }
        self.head.send_modify(|n| *n += 1);
        number
    }

    /// The stream is over: readers get what is left, then [`ReadItem::End`].
    pub fn end(&self) {
        self.ring.lock().ended = true;
        self.head.send_modify(|n| *n += 1);
    }

    /// A reader that starts at the newest key frame, or waits for the first.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Reader {
        let head = self.head.subscribe();
        let (stream, running) = {
            let ring = self.ring.lock();
            (ring.stream, !ring.ended)
        };
        // Between streams a reader waits for the next one and is not told of the last one's end.
        let stream = if running { Some(stream) } else { None };
        Reader { programme: Arc::clone(self), head, stream, next: None, patient: false }
    }

    /// A reader that wants everything, for recording: it begins with the oldest key frame in the ring and skips only
    /// what the ring does not hold any more.
    #[must_use]
    pub fn recorder(self: &Arc<Self>) -> Reader {
        Reader { patient: true, ..self.reader() }
    }

    /// Changes with every chunk and with the end of a stream: for tasks that serve many readers.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// The newest chunk with its stream, for a task that serves many readers.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        let ring = self.ring.lock();
        let chunk = ring.chunks.back().filter(|_| !ring.ended)?;
        Some(Head { stream: ring.stream, chunk: Arc::clone(chunk) })
    }

    /// The newest chunk, while a stream runs.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Chunk>> {
        let ring = self.ring.lock();
        if ring.ended { None } else { ring.chunks.back().cloned() }
    }

    /// The newest key frame, while a stream runs: the last moment of which a still picture can be made.
    #[must_use]
    pub fn newest_key(&self) -> Option<Arc<Chunk>> {
        let ring = self.ring.lock();
        let front = ring.chunks.front()?.number;
        let at = ring.newest_key.filter(|_| !ring.ended)?.checked_sub(front)?;
        ring.chunks.get(usize::try_from(at).ok()?).cloned()
    }
}

/// The newest chunk of a stream.
pub struct Head {
    stream: u64,
    /// The chunk.
    pub chunk: Arc<Chunk>,
}

/// One viewer's place in a programme. Dropping it is leaving.
pub struct Reader {
    programme: Arc<Programme>,
    head: watch::Receiver<u64>,
    /// The stream that is being read; none before the first chunk is known.
    stream: Option<u64>,
    /// Number of the chunk to read next; none while a key frame is awaited.
    next: Option<u64>,
    /// Takes everything, however late.
    patient: bool,
}

impl Reader {
    /// The next item, once there is one. Safe to cancel.
    pub async fn next(&mut self) -> ReadItem {
        loop {
            self.head.mark_unchanged();
            if let Some(item) = self.try_next() {
                return item;
            }
            if self.head.changed().await.is_err() {
                // Cannot happen while `programme` is held; ends the reader rather than spin.
                return ReadItem::End;
            }
        }
    }

    /// The next item, if there is one now: for writing several chunks at once.
    pub fn try_next(&mut self) -> Option<ReadItem> {
        let ring = self.programme.ring.lock();
        let stream = match self.stream {
            Some(s) => s,
            None if ring.ended => return None,
            None => *self.stream.insert(ring.stream),
        };
        if stream != ring.stream {
            self.stream = Some(ring.stream);
            self.next = None;
            return Some(ReadItem::End);
        }
        let at = match self.next {
            Some(n) => n,
            None if ring.ended => {
                self.stream = None;
                return Some(ReadItem::End);
            }
            None if self.patient => ring.chunks.iter().find(|c| c.key)?.number,
            None => ring.newest_key?,
        };
        if at >= ring.next {
            if ring.ended {
                self.stream = None;
                self.next = None;
                return Some(ReadItem::End);
            }
            return None;
        }
        let front = ring.chunks.front()?;
        let newest = ring.chunks.back()?;
        if at < front.number {
            // Overtaken by the ring's bound: go on at the newest key frame, or wait for the next.
            self.next = ring.newest_key;
            if self.patient {
                self.next = ring.chunks.iter().find(|c| c.key).map(|c| c.number);
            }
            let to = self.next.unwrap_or(ring.next);
            return Some(ReadItem::Skipped { chunks: to - at });
        }
        let chunk = ring.chunks.get(usize::try_from(at - front.number).ok()?)?;
        if let Some(key) = ring.newest_key
            && !self.patient
            && self.next.is_some()
            && key > at
            && newest.at.since(chunk.at) > self.programme.max_age
        {
            self.next = Some(key);
            return Some(ReadItem::Skipped { chunks: key - at });
        }
        self.next = Some(at + 1);
        Some(ReadItem::Chunk(Arc::clone(chunk)))
    }

    /// This chunk is what [`Self::try_next`] would give: most readers wait for the newest chunk and nothing else, and need
    /// no look into the ring for it.
    #[must_use]
    pub fn is_at(&self, head: &Head) -> bool {
        self.stream == Some(head.stream) && self.next == Some(head.chunk.number)
    }

    /// The chunk that the reader [is at](Self::is_at) was read.
    pub fn pass(&mut self, head: &Head) {
        self.next = Some(head.chunk.number + 1);
    }

    /// How far this reader is behind the newest chunk.
    #[must_use]
    pub fn lag(&self) -> Duration {
        let ring = self.programme.ring.lock();
        let (Some(front), Some(newest), Some(next)) = (ring.chunks.front(), ring.chunks.back(), self.next) else {
            return Duration::ZERO;
        };
        let index = usize::try_from(next.saturating_sub(front.number)).unwrap_or(usize::MAX);
        ring.chunks.get(index).map_or(Duration::ZERO, |c| newest.at.since(c.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slate::format;

    fn config() -> Arc<ChunkConfig> {
        let slate = format::read(Bytes::from_static(include_bytes!("testdata/small.slate"))).unwrap();
        let audio = Arc::new(mujian_media::aac::make_asc(48_000, 2));
        Arc::new(ChunkConfig::new(1, Arc::clone(&slate.config), audio, MediaTime::ZERO))
    }

    fn push(programme: &Programme, config: &Arc<ChunkConfig>, ms: i64, key: bool, size: usize) -> u64 {
        let dts = MediaTime::from_millis(ms);
        let video = VideoFrame { dts, pts: dts, key, data: vec![7; size].into() };
        let parts = ChunkParts {
            stage: Stage::Live,
            video: Some(video),
            video_duration: MediaTime::from_millis(33),
            audio: vec![AudioFrame { pts: dts, data: Bytes::from_static(b"sound") }],
        };
        let at = Now::from_origin(Duration::from_millis(ms as u64));
        programme.push(Arc::clone(config), parts, WallTime(ms), at)
    }

    fn chunk(item: Option<ReadItem>) -> u64 {
        match item {
            Some(ReadItem::Chunk(c)) => c.number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_waits_for_the_newest_chunk_alone_is_told_from_others() {
        let (p, c) = (Arc::new(Programme::new(1, RING_BYTES, READER_AGE)), config());
        assert!(p.head().is_none());
        push(&p, &c, 0, true, 100);
        let mut reader = p.reader();
        let first = p.head().unwrap();
        assert!(!reader.is_at(&first), "it has not begun");
        assert_eq!(chunk(reader.try_next()), 1);
        assert!(!reader.is_at(&first), "it has it");
        push(&p, &c, 33, false, 100);
        let second = p.head().unwrap();
        assert!(reader.is_at(&second));
        push(&p, &c, 66, false, 100);
        let third = p.head().unwrap();
        assert!(!reader.is_at(&third), "it is behind");
        // The one that was the newest is the right one still.
        assert!(reader.is_at(&second));
        reader.pass(&second);
        assert!(reader.is_at(&third));
        reader.pass(&third);
        assert!(reader.try_next().is_none());
        p.end();
        assert!(p.head().is_none());
        assert!(matches!(reader.try_next(), Some(ReadItem::End)));
        // The numbers go on in another stream, which is not this one's.
        push(&p, &c, 0, true, 100);
        assert!(!reader.is_at(&p.head().unwrap()));
    }

    #[test]
    fn a_reader_starts_at_the_newest_key_frame_and_gets_all_that_follows() {
        let (p, c) = (Arc::new(Programme::new(1, RING_BYTES, READER_AGE)), config());
        let mut early = p.reader();
        assert!(early.try_next().is_none());
        for i in 0..10 {
            push(&p, &c, i * 33, i % 4 == 0, 100);
        }
        let mut late = p.reader();
        assert_eq!((chunk(late.try_next()), chunk(late.try_next())), (9, 10));
        assert!(late.try_next().is_none());
        assert_eq!(chunk(early.try_next()), 9, "nobody starts in the past");
        push(&p, &c, 330, false, 100);
        assert_eq!(chunk(late.try_next()), 11);
        assert_eq!(p.newest_key().map(|c| c.number), Some(9));
        p.end();
        assert!(p.newest_key().is_none(), "what is over is shown no more");
        assert!(matches!(late.try_next(), Some(ReadItem::End)) && late.try_next().is_none());
        assert_eq!((chunk(early.try_next()), chunk(early.try_next())), (10, 11), "what is left is read");
        assert!(matches!(early.try_next(), Some(ReadItem::End)));
        // The next stream, with numbers that go on.
        assert!(p.newest().is_none());
        push(&p, &c, 0, true, 100);
        assert_eq!((chunk(late.try_next()), chunk(early.try_next())), (12, 12));
    }

    #[test]
    fn a_recorder_gets_everything_that_the_ring_holds() {
        let p = Arc::new(Programme::new(1, 60_000, READER_AGE));
        let c = config();
        for i in 0..4 {
            push(&p, &c, i * 5000, i % 2 == 0, 10_000);
        }
        let mut r = p.recorder();
        assert_eq!(chunk(r.try_next()), 3, "the oldest key frame that is left");
        assert_eq!(chunk(r.try_next()), 4);
        push(&p, &c, 20_000, true, 10_000);
        push(&p, &c, 40_000, true, 10_000);
        assert_eq!((chunk(r.try_next()), chunk(r.try_next())), (5, 6), "however late");
        for i in 0..8 {
            push(&p, &c, 50_000 + i, i % 2 == 1, 10_000);
        }
        let Some(ReadItem::Skipped { chunks }) = r.try_next() else { panic!("what is gone is told") };
        assert_eq!(chunk(r.try_next()), 7 + chunks);
    }

    #[test]
    fn a_slow_reader_skips_to_the_newest_key_frame() {
        let (p, c) = (Arc::new(Programme::new(1, RING_BYTES, READER_AGE)), config());
        push(&p, &c, 0, true, 100);
        let mut r = p.reader();
        assert_eq!(chunk(r.try_next()), 1);
        for i in 1..100 {
            push(&p, &c, i * 33, i % 30 == 0, 100);
        }
        assert!(r.lag() > READER_AGE);
        assert!(matches!(r.try_next(), Some(ReadItem::Skipped { chunks: 89 })));
        assert_eq!(chunk(r.try_next()), 91);
        assert_eq!(chunk(r.try_next()), 92);
    }

    #[test]
    fn the_ring_is_bounded_and_whoever_it_overtakes_waits_for_a_key_frame() {
        let (p, c) = (Arc::new(Programme::new(1, 100_000, READER_AGE)), config());
        push(&p, &c, 0, true, 1000);
        let mut r = p.reader();
        assert_eq!(chunk(r.try_next()), 1);
        for i in 1..200 {
            push(&p, &c, i * 10, false, 1000);
            assert!(p.ring.lock().bytes <= 100_000);
        }
        assert!(matches!(r.try_next(), Some(ReadItem::Skipped { .. })));
        assert!(r.try_next().is_none() && p.reader().try_next().is_none(), "no key frame is left");
        let key = push(&p, &c, 2000, true, 1000);
        assert_eq!(chunk(r.try_next()), key);
    }

    #[test]
    fn a_chunk_is_packed_for_every_protocol_and_holds_its_picture_once() {
        let (p, c) = (Arc::new(Programme::new(1, RING_BYTES, READER_AGE)), config());
        push(&p, &c, 40, true, 70_000);
        let chunk = p.newest().unwrap();
        let picture = &chunk.video.as_ref().unwrap().data;
        assert_eq!(picture.len(), 70_000);
        assert!(chunk.flv().as_ptr_range().contains(&picture.as_ptr()), "a slice of the packed tags");
        let (ws, fragment) = (chunk.ws(), chunk.fmp4());
        assert_eq!((ws[0], ws[1]), (0x82, 127));
        assert_eq!(u64::from_be_bytes(ws[2..10].try_into().unwrap()), fragment.len() as u64);
        assert_eq!(ws[10..], fragment);
        assert!(c.ws_init.ends_with(&c.init));
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let (p, c) = (Arc::new(Programme::new(1, RING_BYTES, READER_AGE)), config());
        let mut r = p.reader();
        let waiting = tokio::spawn(async move { r.next().await });
        tokio::task::yield_now().await;
        push(&p, &c, 0, true, 10);
        assert!(matches!(waiting.await.unwrap(), ReadItem::Chunk(_)));
    }
}
