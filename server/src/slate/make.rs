//! Making a slate: drawn, encoded with libx264 to the form of a room's stream. Runs in a worker.

use std::sync::Arc;

use bytes::Bytes;
use ffmpeg_next::frame;
use mujian_av::encode::jpeg::JpegEncoder;
use mujian_av::encode::video::{VideoEncoder, VideoSettings};
use mujian_av::scale::{Quality, Scaler};
use mujian_av::{AvError, Picture, Pixel};
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use resvg::tiny_skia::Pixmap;

use super::draw::{Art, SECONDS, Scene};
use super::{SlateError, SlateFrame, SlateLoop, SlateRequest, Theme};

/// The motion is slow: so many different pictures a second are enough.
const DRAWN_PER_SECOND: u32 = 15;

impl From<AvError> for SlateError {
    fn from(error: AvError) -> Self {
        Self(error.to_string())
    }
}

/// Makes a slate. Takes seconds of processor time.
///
/// # Errors
/// FFmpeg was built without libx264, or the form is one that it does not take.
pub fn make(art: &Art, request: SlateRequest) -> Result<SlateLoop, SlateError> {
    let SlateRequest { width, height, fps } = request;
    let scene = Scene::new(art, width, height)?;
    let count = fps * SECONDS;
    let bitrate = u32::try_from(u64::from(width) * u64::from(height) * 27 / 10).unwrap_or(u32::MAX);
    let bitrate = bitrate.clamp(300_000, 8_000_000);
    let settings = VideoSettings { width, height, fps, bitrate, key_interval: count };
    let mut encoder = VideoEncoder::open("libx264", settings)?;
    let mut scaler = Scaler::new(encoder.input_format(), width, height, Quality::Stream);
    let mut items = Vec::new();
    let every = (fps / DRAWN_PER_SECOND).max(1);
    let mut drawn = None;
    for i in 0..count {
        if i % every == 0 {
            drawn = Some(scaler.run(&picture(&scene, i as f32 / count as f32, width, height))?);
        }
        let Some(picture) = &drawn else { continue };
        encoder.encode(picture, MediaTime::from_scale(i64::from(i), fps), i == 0, &mut items)?;
    }
    encoder.finish(&mut items)?;
    let mut config = None;
    let mut frames = Vec::new();
    for item in items {
        match item {
            FeedItem::VideoConfig(c) => config = Some(c),
            FeedItem::Video(v) => frames.push(SlateFrame { key: v.key, data: v.data }),
            FeedItem::AudioConfig(_) | FeedItem::Audio(_) | FeedItem::AwayMark { .. } | FeedItem::BackMark { .. } => {}
        }
    }
    let config: Arc<_> = config.ok_or_else(|| SlateError("the encoder told no configuration".into()))?;
    if frames.len() != count as usize || !frames[0].key {
        return Err(SlateError(format!("the encoder gave {} pictures instead of {count}", frames.len())));
    }
    Ok(SlateLoop { config, frame_duration: MediaTime::from_scale(1, fps), frames, tape: None })
}

fn picture(scene: &Scene, phase: f32, width: u32, height: u32) -> Picture {
    from_pixmap(&scene.at(phase), width, height)
}

fn from_pixmap(drawn: &Pixmap, width: u32, height: u32) -> Picture {
    let mut video = frame::Video::new(Pixel::RGBA, width, height);
    let stride = video.stride(0);
    let row = width as usize * 4;
    for (from, to) in drawn.data().chunks_exact(row).zip(video.data_mut(0).chunks_mut(stride)) {
        to[..row].copy_from_slice(from);
    }
    Picture::new(video, MediaTime::ZERO)
}

/// Where in its loop a slate is shown as a still picture.
const POSTER_PHASE: f32 = 0.3;

/// A still picture of a slate, as JPEG.
///
/// # Errors
/// It could not be drawn.
pub fn poster(art: &Art, width: u32, height: u32) -> Result<Vec<u8>, SlateError> {
    let picture = picture(&Scene::new(art, width, height)?, POSTER_PHASE, width, height);
    let mut encoder = JpegEncoder::open(width, height, 3)?;
    Ok(encoder.encode(&picture)?.into())
}

/// One of the system's placeholders as a picture.
///
/// # Errors
/// It could not be drawn.
pub(crate) fn board_picture(theme: Theme, name: &str, width: u32, height: u32) -> Result<Picture, SlateError> {
    let scene = Scene::new(&Art::Theme(theme, name.to_owned()), width, height)?;
    Ok(picture(&scene, POSTER_PHASE, width, height))
}

/// The curtain alone as a picture.
///
/// # Errors
/// It could not be drawn.
pub(crate) fn curtain_picture(width: u32, height: u32) -> Result<Picture, SlateError> {
    Ok(from_pixmap(&super::draw::curtain(width, height)?, width, height))
}

/// The bytes of a slate, as a worker writes them.
///
/// # Errors
/// As [`make`].
pub fn make_bytes(art: &Art, request: SlateRequest) -> Result<Bytes, SlateError> {
    Ok(super::format::write(&make(art, request)?, request.fps))
}
