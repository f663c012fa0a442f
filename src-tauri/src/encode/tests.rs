//! The whole machinery, with real encoders.

use std::time::Duration;

use mujian_av::encode::selftest::{decode, decode_sound};
use mujian_av::testcard::{cells, lamp_is_on};
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use mujian_protocol::studio::{Preset, VideoSource};

use super::*;
use crate::capture::{Clock, End, Outlet, Source, Stop};

/// Tests that keep real time do not run beside each other on a small machine.
static REAL_TIME: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

fn software() -> Encoders {
    let x264 = mujian_av::encode::candidate::X264;
    Encoders::with(vec![x264], |c| EncoderReport {
        name: c.name.into(),
        label: c.label.into(),
        hardware: c.hardware,
        works: true,
        reason: String::new(),
    })
}

use mujian_protocol::studio::EncoderReport;

fn quiet() -> Pipeline {
    Pipeline::start(&PipelineSettings { microphone: None, gain_db: 0.0, muted: false }).unwrap()
}

fn live(preset: Preset) -> LiveSettings {
    LiveSettings { preset, encoder: None }
}

/// Receives until `enough`, within a time.
fn collect(feed: &mut Feed, limit: Duration, mut enough: impl FnMut(&[FeedItem]) -> bool) -> Vec<FeedItem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut items = Vec::new();
        let all = async {
            while !enough(&items) {
                match feed.recv().await {
                    Some(item) => items.push(item),
                    None => break,
                }
            }
        };
        let done = tokio::time::timeout(limit, all).await;
        assert!(done.is_ok(), "only {} items in {limit:?}", items.len());
        items
    })
}

fn last_video(items: &[FeedItem]) -> MediaTime {
    items.iter().rev().find_map(|i| if let FeedItem::Video(v) = i { Some(v.pts) } else { None }).unwrap_or_default()
}

fn videos(items: &[FeedItem]) -> Vec<&mujian_media::frame::VideoFrame> {
    items.iter().filter_map(|i| if let FeedItem::Video(v) = i { Some(v) } else { None }).collect()
}

#[test]
fn the_test_card_goes_out_in_sync_and_on_time() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    pipeline.set_source(&VideoSource::TestCard, Preset::P540f30).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    assert_eq!(pipeline.go_live(&live(Preset::P540f30), &software()).err(), Some(EncodeError::AlreadyLive));
    assert_eq!(
        pipeline.status().borrow().encoder.as_ref().map(|e| e.name.clone()),
        None.or(Some("libx264".into())).filter(|_| pipeline.status().borrow().encoder.is_some())
    );
    let items = collect(&mut feed, Duration::from_secs(20), |i| last_video(i) > MediaTime::from_millis(5200));

    // Configurations come before what they describe.
    assert!(
        matches!(items.iter().find(|i| matches!(i, FeedItem::VideoConfig(_) | FeedItem::Video(_))), Some(FeedItem::VideoConfig(c)) if (c.width, c.height) == (960, 540))
    );
    assert!(
        matches!(items.iter().find(|i| matches!(i, FeedItem::AudioConfig(_) | FeedItem::Audio(_))), Some(FeedItem::AudioConfig(c)) if (c.sample_rate, c.channels) == (48_000, 2))
    );

    // A key frame every 2 seconds, no B-frames, a constant rate.
    let video = videos(&items);
    assert!(video[0].key && video[0].pts < MediaTime::from_millis(100));
    assert!(video.iter().all(|v| v.pts == v.dts));
    let keys: Vec<usize> = video.iter().enumerate().filter(|(_, v)| v.key).map(|(i, _)| i).collect();
    assert!(keys.len() >= 3 && keys.windows(2).all(|k| k[1] - k[0] == 60), "{keys:?}");
    let steps: Vec<i64> = video.windows(2).map(|w| w[1].pts.saturating_sub(w[0].pts).millis()).collect();
    assert!(steps.iter().all(|s| (32..=35).contains(s)), "{steps:?}");

    // Sound without a hole.
    let audio: Vec<_> =
        items.iter().filter_map(|i| if let FeedItem::Audio(a) = i { Some(a.pts) } else { None }).collect();
    assert!(audio.windows(2).all(|w| w[1].saturating_sub(w[0]) == MediaTime::from_scale(1024, 48_000)));

    // The card is readable after the encoder, and its clock runs with the timestamps.
    let pictures = decode(&items).unwrap();
    let read: Vec<(MediaTime, u64, bool)> = pictures
        .iter()
        .map(|p| {
            let (w, h) = (p.width(), p.height());
            let wall = cells::read(p.plane(0), p.stride(0), w as usize, h as usize).expect("cells are readable");
            (p.at, wall, lamp_is_on(p.plane(0), p.stride(0), w, h).unwrap())
        })
        .collect();
    let offset = |(at, wall, _): &(MediaTime, u64, bool)| *wall as i64 - at.millis();
    let first = offset(&read[0]);
    let worst = read.iter().map(|r| (offset(r) - first).abs()).max().unwrap();
    assert!(worst <= 4, "{worst} ms");

    // Flash and beep begin together.
    let flash = read.windows(2).find(|w| !w[0].2 && w[1].2).map(|w| w[1].0).expect("a flash");
    let sound = decode_sound(&items).unwrap();
    let near = MediaTime::from_millis(400);
    let beep = sound
        .iter()
        .flat_map(|(at, s)| {
            s.iter().enumerate().map(move |(i, v)| (at.saturating_add(MediaTime::from_scale(i as i64, 48_000)), v[0]))
        })
        .find(|(at, v)| at.abs_diff(flash) < near && v.abs() > 0.05)
        .expect("a beep")
        .0;
    assert!(beep.abs_diff(flash) < MediaTime::from_millis(5), "flash {flash}, beep {beep}");
    assert_eq!(feed.control().stats().dropped, 0);
}

#[test]
fn key_frames_come_when_asked_and_the_end_ends() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    pipeline.set_source(&VideoSource::TestCard, Preset::P540f30).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    collect(&mut feed, Duration::from_secs(10), |i| videos(i).len() >= 10);
    feed.control().request_key_frame();
    let more = collect(&mut feed, Duration::from_secs(10), |i| videos(i).iter().any(|v| v.key));
    assert!(videos(&more).len() < 10, "{}", videos(&more).len());
    feed.control().end();
    collect(&mut feed, Duration::from_secs(5), |_| false);
    assert_eq!(feed.error(), None);
    drop(feed);
    // Another stream can begin.
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    collect(&mut feed, Duration::from_secs(10), |i| videos(i).len() >= 2);
}

/// A camera that a test can unplug.
struct Pluggable {
    plugged: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Source for Pluggable {
    fn label(&self) -> String {
        "the camera of the test".into()
    }

    fn run(&mut self, clock: Clock, outlet: &Outlet, stop: &Stop, ready: &dyn Fn()) -> Result<End, CaptureError> {
        let mut next = clock.now();
        while self.plugged.load(std::sync::atomic::Ordering::SeqCst) {
            next = next.saturating_add(MediaTime::from_millis(33));
            if stop.wait_until(clock.instant(next)) {
                return Ok(End::Stopped);
            }
            outlet.picture(mujian_av::dark(320, 240).at(next));
            ready();
        }
        Err(mujian_av::AvError::Gone { device: self.label() }.into())
    }
}

#[test]
fn an_unplugged_camera_is_told_and_another_source_takes_over() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    let plugged = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    pipeline.set_custom_source(Box::new(Pluggable { plugged: plugged.clone() })).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    collect(&mut feed, Duration::from_secs(10), |i| videos(i).len() >= 5);
    let mut status = pipeline.status();
    plugged.store(false, std::sync::atomic::Ordering::SeqCst);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let told = runtime.block_on(async {
        let wait = status.wait_for(|s| s.notices.iter().any(|n| n.code == "camera_lost"));
        tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap().unwrap().clone()
    });
    assert!(told.source_error.unwrap().to_string().contains("camera of the test is not there"));
    // Sound goes on without the picture.
    collect(&mut feed, Duration::from_secs(5), |i| i.iter().filter(|i| matches!(i, FeedItem::Audio(_))).count() > 20);
    // A source that fails to start changes nothing; one that works clears the notice.
    let missing = VideoSource::File { path: "/nonexistent.mp4".into(), looped: false };
    let error = pipeline.set_source(&missing, Preset::P540f30).unwrap_err().to_string();
    assert!(error.contains("There is no file at /nonexistent.mp4"), "{error}");
    assert!(!pipeline.status().borrow().notices.is_empty());
    pipeline.set_source(&VideoSource::TestCard, Preset::P540f30).unwrap();
    assert!(pipeline.status().borrow().notices.is_empty());
    collect(&mut feed, Duration::from_secs(5), |i| videos(i).len() >= 5);
}

#[test]
fn hardware_that_fails_gives_way_to_software_with_a_remark() {
    let _alone = REAL_TIME.lock();
    let gpu = mujian_av::encode::Candidate { name: "h264_gpu_of_the_test", label: "A card", hardware: true };
    let encoders = Encoders::with(vec![gpu, mujian_av::encode::candidate::X264], |c| EncoderReport {
        name: c.name.into(),
        label: c.label.into(),
        hardware: c.hardware,
        works: true,
        reason: String::new(),
    });
    let pipeline = quiet();
    pipeline.set_source(&VideoSource::TestCard, Preset::P540f30).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &encoders).unwrap();
    collect(&mut feed, Duration::from_secs(10), |i| videos(i).len() >= 2);
    let status = pipeline.status().borrow().clone();
    assert_eq!(status.encoder.map(|e| e.name).as_deref(), Some("libx264"));
    assert!(status.notices.iter().any(|n| n.code == "encoder_fallback" && n.message.contains("A card failed")));
    assert!(!encoders.reports()[0].works);
    // Chosen by name, it is an error instead.
    drop(feed);
    let chosen = LiveSettings { preset: Preset::P540f30, encoder: Some(gpu.name.into()) };
    assert!(matches!(pipeline.go_live(&chosen, &encoders), Err(EncodeError::Unusable { .. })));
}

#[test]
fn previews_are_jpeg_and_only_made_when_looked_at() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    pipeline.set_source(&VideoSource::TestCard, Preset::P720f30).unwrap();
    let mut preview = pipeline.preview();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let began = std::time::Instant::now();
        for _ in 0..15 {
            tokio::time::timeout(Duration::from_secs(5), preview.changed()).await.unwrap().unwrap();
            let jpeg = preview.borrow_and_update().clone();
            assert_eq!(jpeg[..2], [0xff, 0xd8]);
            assert!((4_000..60_000).contains(&jpeg.len()), "{}", jpeg.len());
        }
        let took = began.elapsed().as_secs_f64();
        assert!((0.7..2.5).contains(&took), "{took}");
    });
}
