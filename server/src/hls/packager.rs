//! The task that cuts a room's programme: for live players, and for the recorder.

use std::sync::Arc;
use std::time::Duration;

use mujian_media::fmp4;
use mujian_media::hls::segmenter::{Cut, Opened, Piece, Segmenter};
use mujian_media::hls::window::{Begin, WINDOW_BYTES, Window};
use mujian_media::time::Now;
use mujian_protocol::room::Stage;
use mujian_protocol::{RoomId, WallTime};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Live;
use crate::clock::Clock;
use crate::replay::{Record, Recorder, Recording};
use crate::stage::StageStatus;
use crate::stage::programme::{Chunk, ChunkConfig, ReadItem, Reader};

/// Viewers that went are looked for so often.
const SWEEP: Duration = Duration::from_secs(5);
/// A stream that is over can still be watched to its end for so long.
const AFTER_END: Duration = Duration::from_secs(60);
/// After a part the next one takes about as long as that one did: until then nobody need be woken for every picture. Measured
/// with nobody watching, it is a fifth of what a room costs.
const REST: Duration = Duration::from_millis(170);
/// What players are told of a stream's rate while it is not known, in bits a second.
const RATE: u64 = 3_000_000;

/// What a segment is of: what it shows, and how it is coded.
type Kind = (Stage, u64);

/// See the module.
pub struct Packager {
    /// Whose programme.
    pub room: RoomId,
    /// Where live players look.
    pub live: Arc<Live>,
    /// The programme.
    pub reader: Reader,
    /// What the stage does; ends with it.
    pub status: watch::Receiver<StageStatus>,
    /// Where recordings go.
    pub recorder: Recorder,
    /// The clocks.
    pub clock: Clock,
}

/// A stream that is being cut.
struct Stream {
    segmenter: Segmenter<Kind>,
    recording: Option<Recording>,
    config: Arc<ChunkConfig>,
    open: Option<(Opened<Kind>, Arc<ChunkConfig>, Vec<bytes::Bytes>)>,
}

impl Packager {
    /// Runs until the stage ends or the server stops. What is cut by then is kept.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut stream: Option<Stream> = None;
        let mut ended_at: Option<Now> = None;
        let mut rest = Instant::now();
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = self.status.changed() => if changed.is_err() { break },
                item = next_after(&mut self.reader, rest) => {
                    let mut items = Some(item);
                    while let Some(item) = items {
                        if self.take(item, &mut stream, &mut ended_at) {
                            rest = Instant::now() + REST;
                        }
                        items = self.reader.try_next();
                    }
                }
                _ = sweep.tick() => {
                    let now = self.clock.now();
                    self.live.sweep(now);
                    if ended_at.is_some_and(|at| now.since(at) > AFTER_END) {
                        ended_at = None;
                        self.live.change(|window| *window = None);
                    }
                }
            }
        }
        self.end(stream.take());
    }

    /// Whether a part became complete.
    fn take(&self, item: ReadItem, stream: &mut Option<Stream>, ended_at: &mut Option<Now>) -> bool {
        match item {
            ReadItem::Chunk(chunk) => {
                *ended_at = None;
                stream.get_or_insert_with(|| self.begin(&chunk)).push(&chunk, &self.live)
            }
            ReadItem::Skipped { chunks } => {
                tracing::warn!(room = %self.room, chunks, "HLS and the recording miss a piece of the programme.");
                if let Some(stream) = stream {
                    let cuts = stream.segmenter.skip();
                    stream.take(cuts, &self.live);
                }
                false
            }
            ReadItem::End => {
                self.end(stream.take());
                *ended_at = Some(self.clock.now());
                false
            }
        }
    }

    fn begin(&self, first: &Chunk) -> Stream {
        let run = format!("{:x}", first.wall.millis().max(0));
        self.live.change(|window| *window = Some(Window::new(run, WINDOW_BYTES)));
        let (id, started) = {
            let status = self.status.borrow();
            (status.stream.clone(), status.started)
        };
        let recording = id.and_then(|id| self.recorder.begin(&self.room, &id, started.unwrap_or(first.wall)));
        Stream { segmenter: Segmenter::default(), recording, config: Arc::clone(&first.config), open: None }
    }

    fn end(&self, stream: Option<Stream>) {
        if let Some(mut stream) = stream {
            let cuts = stream.segmenter.end();
            stream.take(cuts, &self.live);
        }
        self.live.change(|window| {
            if let Some(window) = window {
                window.end();
            }
        });
        self.live.set_variant(None);
    }
}

impl Stream {
    /// Whether a part became complete.
    fn push(&mut self, chunk: &Chunk, live: &Live) -> bool {
        let kind = (chunk.stage, chunk.config.id);
        if self.config.id != chunk.config.id {
            self.config = Arc::clone(&chunk.config);
        }
        let cuts = self.segmenter.push(&Piece {
            kind: &kind,
            video: chunk.video.as_ref(),
            duration: chunk.video_duration,
            audio: &chunk.audio,
            sample_rate: chunk.config.audio.sample_rate,
            wall: since_1970(chunk.wall),
        });
        let complete = cuts.iter().any(|cut| matches!(cut, Cut::Part(_)));
        self.take(cuts, live);
        complete
    }

    fn take(&mut self, cuts: Vec<Cut<Kind>>, live: &Live) {
        if cuts.is_empty() {
            return;
        }
        live.change(|window| {
            for cut in cuts {
                match cut {
                    Cut::Open(opened) => {
                        live.set_variant(Some(variant(&self.config)));
                        if let Some(window) = window {
                            window.open(Begin {
                                map: self.config.id,
                                init: self.config.init.clone(),
                                wall: opened.wall,
                                gap: opened.gap,
                            });
                        }
                        self.open = Some((opened, Arc::clone(&self.config), Vec::new()));
                    }
                    Cut::Part(part) => {
                        if let Some((.., parts)) = &mut self.open {
                            parts.push(part.bytes.clone());
                        }
                        if let Some(window) = window {
                            window.part(part.bytes, part.duration, part.independent);
                        }
                    }
                    Cut::Closed(closed) => {
                        if let Some(window) = window {
                            window.close(closed.duration);
                        }
                        let Some((opened, config, parts)) = self.open.take() else { continue };
                        let Some(recording) = &mut self.recording else { continue };
                        recording.segment(Record {
                            parts,
                            config,
                            stage: opened.kind.0,
                            start: opened.start,
                            duration: closed.duration,
                            wall: WallTime(i64::try_from(opened.wall.as_millis()).unwrap_or(i64::MAX)),
                            key: opened.key,
                            gap: opened.gap,
                            sound_at: closed.sound_at,
                            sounds: closed.sounds,
                        });
                    }
                }
            }
        });
    }
}

/// The next item, but not before a moment. Safe to cancel.
async fn next_after(reader: &mut Reader, rest: Instant) -> ReadItem {
    tokio::time::sleep_until(rest).await;
    reader.next().await
}

fn since_1970(wall: WallTime) -> Duration {
    Duration::from_millis(u64::try_from(wall.millis()).unwrap_or(0))
}

fn variant(config: &ChunkConfig) -> String {
    let codecs = fmp4::codecs_string(&config.video, &config.audio);
    let (width, height) = (config.video.width, config.video.height);
    format!("#EXT-X-STREAM-INF:BANDWIDTH={RATE},CODECS=\"{codecs}\",RESOLUTION={width}x{height}")
}
