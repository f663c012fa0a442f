//! Covers: what a room's viewers are being shown, as a still picture for the hall.
//!
//! A cover is seen by people who did not come into the room, so it is made of nothing but what the room's viewers were
//! shown as `live`: a key frame of the *programme*, behind gate, delay and switcher, in a chunk that says so. Placeholders,
//! slates and covered pictures stand in chunks that say otherwise. It belongs to one *stretch* of `live`: when the stage
//! becomes anything else, or the streamer's stay away begins, it is forgotten, and so is one that was being made. It is
//! kept in memory alone and nobody may cache it. A room that nobody looks at has none: it is made when it is asked for.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mujian_av::Picture;
use mujian_av::encode::jpeg::JpegEncoder;
use mujian_av::encode::selftest;
use mujian_media::frame::{FeedItem, VideoConfig, VideoFrame};
use mujian_media::time::{MediaTime, Now};
use mujian_protocol::room::Stage;
use mujian_protocol::{StreamId, WallTime};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::rooms::Room;
use crate::stage::StageStatus;
use crate::stage::programme::{Chunk, Programme};
use crate::worker;

/// For how long a cover is new enough.
const FRESH: Duration = Duration::from_secs(30);
/// Longest that a person who looks waits for one.
const WAIT: Duration = Duration::from_secs(10);
/// Largest coded picture that one is made of, in bytes.
const CODED_MAX: usize = 4 * 1024 * 1024;
/// Longest order to a worker, in bytes: the coded picture in base64, with some room.
pub(crate) const ORDER_MAX: u64 = 6 * 1024 * 1024;
/// Largest cover, in bytes.
const COVER_MAX: u64 = 512 * 1024;
/// The longer side of a cover, in pixels.
const SIDE: u32 = 640;
/// The shorter side is not less.
const SIDE_MIN: u32 = 64;
/// As the JPEG encoder counts, from 2, the best, to 31.
const QUALITY: u32 = 5;

/// One at a time for the whole server: covers are never worth the live path's processor.
static TURN: Semaphore = Semaphore::const_new(1);

/// Since when which stream is shown, without a break.
type Stretch = (Option<StreamId>, WallTime);

/// A room's cover.
pub struct Cover {
    status: watch::Receiver<StageStatus>,
    programme: Arc<Programme>,
    kept: Mutex<Option<Kept>>,
    making: tokio::sync::Mutex<()>,
}

struct Kept {
    of: Stretch,
    at: Now,
    /// None: it could not be made, which is not tried again at once.
    jpeg: Option<Bytes>,
}

impl Cover {
    /// The cover of a room that shows this.
    #[must_use]
    pub fn new(status: watch::Receiver<StageStatus>, programme: Arc<Programme>) -> Self {
        Self { status, programme, kept: Mutex::default(), making: tokio::sync::Mutex::default() }
    }

    /// The stretch of `live` that goes on now.
    fn stretch(&self) -> Option<Stretch> {
        let s = self.status.borrow();
        // The fact that the streamer is away, or that the room is covered, is told before the stage follows.
        let shown = s.stage == Stage::Live && s.away.is_none() && !s.covered;
        shown.then(|| (s.stream.clone(), s.since))
    }

    fn kept(&self, now: Option<Now>) -> Option<Option<Bytes>> {
        let kept = self.kept.lock();
        let stretch = self.stretch();
        let good = kept.as_ref().filter(|k| Some(&k.of) == stretch.as_ref());
        good.filter(|k| now.is_none_or(|now| now.since(k.at) < FRESH)).map(|k| k.jpeg.clone())
    }

    /// The cover now, as JPEG, made by a worker of `program` if there is none that is new enough. None: nothing is shown
    /// that one could be made of.
    pub async fn picture(&self, program: &Path, now: Now) -> Option<Bytes> {
        if let Some(jpeg) = self.kept(Some(now)) {
            return jpeg;
        }
        match tokio::time::timeout(WAIT, self.make(program, now)).await {
            Ok(jpeg) => jpeg,
            // An older one of the same stretch is better than none.
            Err(_) => self.kept(None).flatten(),
        }
    }

    async fn make(&self, program: &Path, now: Now) -> Option<Bytes> {
        let _one = self.making.lock().await;
        // Somebody may have made it while this one waited.
        if let Some(jpeg) = self.kept(Some(now)) {
            return jpeg;
        }
        let _turn = TURN.acquire().await.ok()?;
        let of = self.stretch()?;
        let chunk = self.programme.newest_key().filter(|chunk| chunk.stage == Stage::Live)?;
        let jpeg = hire(program, &chunk).await;
        // Under the lock: whoever forgets covers comes after this, or the stretch is over already.
        let mut kept = self.kept.lock();
        if self.stretch().as_ref() != Some(&of) {
            return None;
        }
        *kept = Some(Kept { of, at: now, jpeg: jpeg.clone() });
        jpeg
    }

    fn forget(&self) {
        if self.stretch().is_none() {
            *self.kept.lock() = None;
        }
    }

    #[cfg(test)]
    fn keep(&self, jpeg: &'static [u8], now: Now) {
        let jpeg = Some(Bytes::from_static(jpeg));
        *self.kept.lock() = self.stretch().map(|of| Kept { of, at: now, jpeg });
    }
}

/// Forgets a room's cover when it is not shown any more, for as long as the room is there.
pub(crate) async fn mind(room: Weak<Room>, mut status: watch::Receiver<StageStatus>, stop: CancellationToken) {
    loop {
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        match room.upgrade() {
            Some(room) => room.cover.forget(),
            None => return,
        }
    }
}

/// What a worker makes a cover of.
#[derive(Serialize, Deserialize)]
struct Order {
    avcc: String,
    picture: String,
}

async fn hire(program: &Path, chunk: &Chunk) -> Option<Bytes> {
    let coded = &chunk.video.as_ref().filter(|v| v.key && v.data.len() <= CODED_MAX)?.data;
    let order = Order { avcc: STANDARD.encode(&chunk.config.video.avcc), picture: STANDARD.encode(coded) };
    let order = serde_json::to_vec(&order).ok()?;
    match worker::hire(program, ["cover"], &order, COVER_MAX + 1).await {
        Ok((jpeg, status)) if status.success() && jpeg.len() as u64 <= COVER_MAX && !jpeg.is_empty() => {
            Some(jpeg.into())
        }
        Ok((_, status)) => {
            tracing::warn!(%status, "A cover could not be made of what is shown.");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "A worker for a cover could not be started.");
            None
        }
    }
}

/// The worker's part.
pub(crate) fn draw(order: &str) -> Result<Vec<u8>, String> {
    let order: Order = serde_json::from_str(order).map_err(|e| e.to_string())?;
    let bytes = |text: &str| STANDARD.decode(text).map(Bytes::from).map_err(|e| e.to_string());
    let config = VideoConfig { avcc: bytes(&order.avcc)?, width: 0, height: 0, frame_duration: None };
    let (dts, pts) = (MediaTime::ZERO, MediaTime::ZERO);
    let frame = VideoFrame { dts, pts, key: true, data: bytes(&order.picture)? };
    let pictures = selftest::decode(&[FeedItem::VideoConfig(Arc::new(config)), FeedItem::Video(frame)])?;
    let picture = pictures.first().ok_or("the decoder gave no picture")?;
    let (width, height) = size(picture);
    let jpeg = JpegEncoder::open(width, height, QUALITY).and_then(|mut encoder| encoder.encode(picture));
    jpeg.map(Vec::from).map_err(|e| e.to_string())
}

/// The form of a picture, made small.
fn size(picture: &Picture) -> (u32, u32) {
    let (width, height) = (picture.width().max(1), picture.height().max(1));
    let side = |short: u32, long: u32| {
        let scaled = u64::from(SIDE) * u64::from(short) / u64::from(long);
        u32::try_from(scaled).unwrap_or(SIDE).clamp(SIDE_MIN, SIDE) & !1
    };
    if width >= height { (SIDE, side(height, width)) } else { (side(width, height), SIDE) }
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::{format::Pixel, frame};
    use mujian_protocol::room::Away;

    use super::*;
    use crate::stage::programme::{ChunkConfig, ChunkParts, READER_AGE, RING_BYTES};

    fn status(stage: Stage, since: i64) -> StageStatus {
        StageStatus {
            stage,
            since: WallTime(since),
            stream: None,
            started: None,
            size: None,
            publisher: None,
            away: None,
            covered: false,
        }
    }

    fn gone() -> Away {
        Away { since: WallTime(6), leave_id: "stay".parse().unwrap(), keep_sound: true, back_at: None }
    }

    /// A picture as publishers send them.
    fn coded() -> (Arc<VideoConfig>, VideoFrame) {
        let slate = include_bytes!("stage/testdata/small.slate");
        let slate = crate::slate::format::read(Bytes::from_static(slate)).unwrap();
        let (dts, pts) = (MediaTime::ZERO, MediaTime::ZERO);
        (Arc::clone(&slate.config), VideoFrame { dts, pts, key: true, data: slate.frames[0].data.clone() })
    }

    #[test]
    fn a_cover_is_the_pictures_form_made_small() {
        let (config, frame) = coded();
        let order = Order { avcc: STANDARD.encode(&config.avcc), picture: STANDARD.encode(&frame.data) };
        let jpeg = draw(&serde_json::to_string(&order).unwrap()).unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.len() as u64 <= COVER_MAX, "{} bytes", jpeg.len());
        for wrong in ["", "{}", r#"{"avcc":"!","picture":""}"#, r#"{"avcc":"AAAA","picture":"AAAA"}"#] {
            assert!(draw(wrong).is_err(), "{wrong}");
        }
        let formed = |w, h| size(&Picture::new(frame::Video::new(Pixel::YUV420P, w, h), MediaTime::ZERO));
        assert_eq!((formed(90, 160), formed(1920, 1080), formed(4096, 2)), ((360, 640), (640, 360), (640, 64)));
    }

    #[tokio::test]
    async fn a_cover_is_forgotten_with_what_it_shows() {
        let (tell, status_now) = watch::channel(status(Stage::Live, 5));
        let programme = Arc::new(Programme::new(1, RING_BYTES, READER_AGE));
        let cover = Cover::new(status_now, programme);
        let now = Now::from_origin(Duration::from_secs(1));
        let nobody = Path::new("/nonexistent");
        let leave = |s: &mut StageStatus| s.away = Some(gone());
        let lay_over = |s: &mut StageStatus| s.covered = true;
        let lose = |s: &mut StageStatus| *s = status(Stage::Lost, 6);
        let end = |s: &mut StageStatus| *s = status(Stage::Off, 6);
        let changes: [&dyn Fn(&mut StageStatus); 4] = [&leave, &lay_over, &lose, &end];
        for change in changes {
            tell.send_replace(status(Stage::Live, 5));
            cover.keep(b"jpeg", now);
            assert_eq!(cover.picture(nobody, now).await.as_deref(), Some(b"jpeg".as_slice()));
            tell.send_modify(change);
            // Before anybody had the time to forget it.
            assert_eq!(cover.picture(nobody, now).await, None, "{:?}", tell.borrow());
            cover.forget();
            // Shown again, by another stretch or as before: what was is not there any more.
            tell.send_replace(status(Stage::Live, 5));
            assert_eq!(cover.picture(nobody, now).await, None);
            cover.keep(b"jpeg", now);
            tell.send_replace(status(Stage::Live, 7));
            assert_eq!(cover.picture(nobody, now).await, None, "of another stretch");
        }
    }

    /// A worker is started for a picture that is shown as live, and for no other.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_cover_is_made_of_live_pictures_only() {
        let (_tell, status_now) = watch::channel(status(Stage::Live, 5));
        let programme = Arc::new(Programme::new(1, RING_BYTES, READER_AGE));
        let (video, frame) = coded();
        let audio = Arc::new(mujian_media::aac::make_asc(48_000, 2));
        let config = Arc::new(ChunkConfig::new(1, video, audio, MediaTime::ZERO));
        let folder = tempfile::tempdir().unwrap();
        let (program, hired) = (folder.path().join("worker"), folder.path().join("hired"));
        std::fs::write(&program, format!("#!/bin/sh\ntouch {}\nprintf cover\n", hired.display())).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for stage in [Stage::Away, Stage::Covered, Stage::Lost, Stage::Live] {
            // Told to be live, with something else still in the ring.
            let cover = Cover::new(status_now.clone(), Arc::clone(&programme));
            let parts = ChunkParts {
                stage,
                video: Some(frame.clone()),
                video_duration: MediaTime::from_millis(33),
                audio: Vec::new(),
            };
            let now = Now::from_origin(Duration::from_secs(1));
            programme.push(Arc::clone(&config), parts, WallTime(6), now);
            let made = cover.picture(&program, now).await;
            assert_eq!((made.is_some(), hired.exists()), (stage == Stage::Live, stage == Stage::Live), "{stage:?}");
        }
    }
}
