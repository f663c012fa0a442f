//! The whole machinery, with real encoders.

mod inset;

use std::sync::Arc;
use std::time::Duration;

use mujian_av::encode::selftest::{decode, decode_sound};
use mujian_av::open::Watch;
use mujian_av::testcard::{cells, lamp_is_on};
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use mujian_protocol::studio::{EncoderReport, NoticeCode, Preset, VideoSource};

use super::*;
use crate::capture::{Clock, Device, End, Gate, Hold, LiveSource, Opened, Outlet, Source, Stop, Voice};

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
        fault: None,
    })
}

fn quiet() -> Pipeline {
    Pipeline::start(&Gate::default(), &Faders::default()).unwrap()
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

/// A constant rate. A machine that is too busy may leave frames out, never bend the grid; it must say so.
fn assert_steps(steps: &[i64], feed: &Feed) {
    let holes = steps.iter().filter(|s| !(32..=35).contains(*s)).count() as u64;
    let on_grid = |s: &i64| (s - (s + 16) / 33 * 1000 / 30).abs() <= 4 || *s > 500;
    assert!(steps.iter().all(on_grid), "{steps:?}");
    assert!(holes <= feed.control().stats().dropped, "{holes} holes nobody counted: {steps:?}");
}

#[test]
fn the_test_card_goes_out_in_sync_and_on_time() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    pipeline.set_source(&VideoSource::TestCard, Preset::P540f30).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    assert_eq!(pipeline.go_live(&live(Preset::P540f30), &software()).err(), Some(EncodeError::AlreadyLive));
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
    let keys: Vec<i64> = video.iter().filter(|v| v.key).map(|v| v.pts.millis()).collect();
    assert!(keys.len() >= 3 && keys.windows(2).all(|k| k[1] - k[0] < 2200), "{keys:?}");
    let steps: Vec<i64> = video.windows(2).map(|w| w[1].pts.saturating_sub(w[0].pts).millis()).collect();
    assert_steps(&steps, &feed);

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
    // A picture that was repeated shows its time twice; the first one counts.
    let mut shown = std::collections::HashSet::new();
    let read: Vec<_> = read.into_iter().filter(|r| shown.insert(r.1)).collect();
    let offset = |(at, wall, _): &(MediaTime, u64, bool)| *wall as i64 - at.millis();
    let first = offset(&read[0]);
    let worst = read.iter().map(|r| (offset(r) - first).abs()).max().unwrap();
    assert!(worst <= 4, "{worst} ms");

    // Flash and beep begin together. Where a picture was left out, the flash's first one may have been it.
    let next = |w: &[(MediaTime, u64, bool)]| w[1].0.saturating_sub(w[0].0) < MediaTime::from_millis(40);
    let flash = read.windows(2).find(|w| next(w) && !w[0].2 && w[1].2).map(|w| w[1].0).expect("a flash");
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
    assert_eq!(pipeline.status().borrow().encoder.as_ref().map(|e| e.name.as_str()), Some("libx264"));
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

/// A camera that a test can unplug, and whose driver can hang.
#[derive(Default)]
struct Pluggable {
    plug: parking_lot::Mutex<Plug>,
    changed: parking_lot::Condvar,
    opened: std::sync::atomic::AtomicU32,
    closed: std::sync::atomic::AtomicU32,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Plug {
    #[default]
    In,
    Out,
    Hangs,
}

impl Pluggable {
    fn set(&self, plug: Plug) {
        *self.plug.lock() = plug;
        self.changed.notify_all();
    }

    fn opened(&self) -> u32 {
        self.opened.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Waits until it was closed so often.
    fn closed(&self, times: u32) {
        let mut plug = self.plug.lock();
        while self.closed.load(std::sync::atomic::Ordering::SeqCst) < times {
            let waited = self.changed.wait_for(&mut plug, Duration::from_secs(20));
            assert!(!waited.timed_out(), "the camera stays open");
        }
    }

    fn source(self: &Arc<Self>) -> Box<dyn Source> {
        Box::new(LiveSource::new("the camera of the test", Arc::clone(self) as Arc<dyn Device>))
    }
}

struct Plugged(Arc<Pluggable>);

impl Device for Pluggable {
    fn open(self: Arc<Self>, _: &Arc<Watch>) -> Result<Box<dyn Opened>, CaptureError> {
        if *self.plug.lock() == Plug::Out {
            return Err(gone());
        }
        self.opened.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(Box::new(Plugged(self)))
    }
}

impl Opened for Plugged {
    fn next(&mut self, clock: &Clock) -> Result<mujian_av::Picture, CaptureError> {
        // Its own pace.
        std::thread::sleep(Duration::from_millis(33));
        let mut plug = self.0.plug.lock();
        while *plug == Plug::Hangs {
            self.0.changed.wait(&mut plug);
        }
        if *plug == Plug::Out { Err(gone()) } else { Ok(mujian_av::dark(320, 240).at(clock.now())) }
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        let _plug = self.0.plug.lock();
        self.0.closed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.0.changed.notify_all();
    }
}

fn gone() -> CaptureError {
    mujian_av::AvError::Gone { device: "the camera of the test".into() }.into()
}

/// Waits for what the pipeline tells of itself.
fn told(pipeline: &Pipeline, what: &str, is: impl FnMut(&PipelineStatus) -> bool) -> PipelineStatus {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut status = pipeline.status();
    runtime.block_on(async {
        let wait = tokio::time::timeout(Duration::from_secs(30), status.wait_for(is)).await;
        wait.unwrap_or_else(|_| panic!("not told: {what}")).unwrap().clone()
    })
}

fn camera_is_lost(s: &PipelineStatus) -> bool {
    s.notices.iter().any(|n| n.code == NoticeCode::CameraLost)
}

/// A camera that opens and gives nothing.
struct Mute;

impl Source for Mute {
    fn label(&self) -> String {
        "The camera of the test".into()
    }

    fn run(&mut self, _: Clock, _: &Outlet, stop: &Stop, _: &Voice<'_>) -> Result<End, CaptureError> {
        while !stop.wait_until(std::time::Instant::now() + Duration::from_secs(60)) {}
        Ok(End::Stopped)
    }

    fn first_limit(&self) -> Duration {
        Duration::from_millis(1100)
    }
}

#[test]
fn a_silent_camera_is_told() {
    let silent = quiet().set_custom_source(Box::new(Mute)).unwrap_err();
    assert_eq!(
        silent.to_string(),
        "The camera of the test opened but gave nothing for 1 s. Check that it is switched on and that this \
         program may use it, or choose another."
    );
}

#[test]
fn an_unplugged_camera_is_told_and_another_source_takes_over() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    let camera = Arc::new(Pluggable::default());
    pipeline.set_custom_source(camera.source()).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    collect(&mut feed, Duration::from_secs(10), |i| videos(i).len() >= 5);
    camera.set(Plug::Out);
    let status = told(&pipeline, "that it is lost", camera_is_lost);
    let why = status.source_error.unwrap().to_string();
    assert!(why.contains("camera of the test is not there"), "{why}");
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
fn the_last_picture_of_a_lost_camera_goes_on_until_it_is_back() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    let camera = Arc::new(Pluggable::default());
    pipeline.set_custom_source(camera.source()).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    let mut items = collect(&mut feed, Duration::from_secs(10), |i| videos(i).len() >= 30);
    camera.set(Plug::Out);
    told(&pipeline, "that it is lost", camera_is_lost);
    let lost = feed.control().now(&pipeline.clock());
    // Longer than any hold-up that is filled afterwards.
    let enough = lost.saturating_add(MediaTime::from_millis(3000));
    items.extend(collect(&mut feed, Duration::from_secs(20), |i| last_video(i) > enough));
    camera.set(Plug::In);
    told(&pipeline, "that it is back", |s| s.notices.is_empty() && s.source_error.is_none());
    assert_eq!(camera.opened(), 2);
    items.extend(collect(&mut feed, Duration::from_secs(20), |i| videos(i).len() >= 30));
    let steps: Vec<i64> = videos(&items).windows(2).map(|w| w[1].pts.saturating_sub(w[0].pts).millis()).collect();
    assert_steps(&steps, &feed);
}

#[test]
fn a_camera_whose_driver_hangs_is_told_of_and_a_press_opens_it_anew_once_it_lets_go() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    let camera = Arc::new(Pluggable::default());
    pipeline.set_custom_source(camera.source()).unwrap();
    camera.set(Plug::Hangs);
    let status = told(&pipeline, "that it hangs", camera_is_lost);
    let why = status.source_error.unwrap().to_string();
    assert!(why.contains("gave no data for 1 s"), "{why}");
    camera.set(Plug::In);
    told(&pipeline, "that it was only held up", |s| s.notices.is_empty());
    assert_eq!(camera.opened(), 1);
    camera.set(Plug::Hangs);
    told(&pipeline, "that it hangs again", camera_is_lost);
    pipeline.retake();
    // A device that still hangs is not opened a second time.
    assert_eq!(camera.opened(), 1);
    camera.set(Plug::In);
    told(&pipeline, "that it is back", |s| s.notices.is_empty());
}

#[test]
fn while_away_a_lost_camera_stays_free() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    let camera = Arc::new(Pluggable::default());
    pipeline.set_custom_source(camera.source()).unwrap();
    camera.set(Plug::Out);
    told(&pipeline, "that it is lost", camera_is_lost);
    pipeline.close_source(false).wait();
    assert_eq!(pipeline.status().borrow().notices, [], "nothing is missed while away");
    camera.set(Plug::In);
    pipeline.retake();
    // Nobody holds it any more, so nobody can open it.
    assert_eq!((Arc::strong_count(&camera), camera.opened()), (1, 1));
}

#[test]
fn a_press_closes_the_camera_while_another_source_is_still_opening() {
    let _alone = REAL_TIME.lock();
    let gate = Gate::default();
    let pipeline = Pipeline::start(&gate, &Faders::default()).unwrap();
    let (camera, slow) = (Arc::new(Pluggable::default()), Arc::new(Pluggable::default()));
    slow.set(Plug::Hangs);
    pipeline.set_custom_source(camera.source()).unwrap();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| pipeline.set_custom_source(slow.source()));
        while slow.opened() == 0 {
            std::thread::yield_now();
        }
        gate.close(MediaTime::ZERO, true);
        camera.closed(1);
        assert!(!opening.is_finished(), "the other one was not waited for");
        slow.set(Plug::In);
        slow.closed(1);
        assert!(opening.join().unwrap().is_err());
    });
    assert!(!pipeline.reopen_source(), "what was closed must be chosen again");
    // Whoever chooses does not know yet that the gate was closed: nothing is opened.
    assert!(pipeline.set_custom_source(camera.source()).is_err());
    assert_eq!(camera.opened(), 1);
    pipeline.knows(gate.closings());
    pipeline.close_source(true).wait();
    pipeline.set_custom_source(camera.source()).unwrap();
    assert!(pipeline.reopen_source());
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
        fault: None,
    });
    let pipeline = quiet();
    pipeline.set_source(&VideoSource::TestCard, Preset::P540f30).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &encoders).unwrap();
    collect(&mut feed, Duration::from_secs(10), |i| videos(i).len() >= 2);
    let status = pipeline.status().borrow().clone();
    assert_eq!(status.encoder.map(|e| e.name).as_deref(), Some("libx264"));
    assert!(
        status.notices.iter().any(|n| n.code == NoticeCode::EncoderFallback && n.message.contains("A card failed"))
    );
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
        // Not more often than was said; how slow a busy machine may be, the limit above says.
        assert!(took > 0.7, "{took}");
    });
}

/// A process that ends with the test.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(program: &str, arguments: &[&str], set: impl FnOnce(&mut std::process::Command)) -> Child {
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    set(&mut command);
    Child(command.spawn().unwrap_or_else(|e| panic!("this test needs {program}: {e}")))
}

/// An X server without a screen, on a display that it chose itself.
fn display(size: &str) -> (Child, String) {
    let mut server = spawn("Xvfb", &["-displayfd", "1", "-screen", "0", size, "-nolisten", "tcp", "-wr"], |c| {
        c.stdout(std::process::Stdio::piped());
    });
    let out = server.0.stdout.take().unwrap();
    let mut number = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut number).unwrap();
    (server, format!(":{}", number.trim()))
}

#[test]
fn the_screen_is_captured_with_its_own_colours() {
    let _alone = REAL_TIME.lock();
    let (server, display) = display("640x480x24");
    let pipeline = quiet();
    pipeline.set_source(&VideoSource::Screen { device: display.clone() }, Preset::P540f30).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    let items = collect(&mut feed, Duration::from_secs(10), |i| videos(i).len() >= 45);
    let pictures = decode(&items).unwrap();
    let last = pictures.last().unwrap();
    let at = |plane: usize, x: usize, y: usize| last.plane(plane)[y * last.stride(plane) + x];
    // 4:3 in 16:9: black bars at the sides.
    assert_eq!(at(0, 20, 270), 16);
    // Off the centre, where the pointer is.
    let centre = at(0, 400, 150);
    assert!(centre > 225, "the white root window has luma {centre}");
    let steps: Vec<i64> = videos(&items).windows(2).map(|w| w[1].pts.saturating_sub(w[0].pts).millis()).collect();
    assert_steps(&steps, &feed);
    // The screen goes away.
    drop(server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut status = pipeline.status();
    runtime.block_on(async {
        let wait = status.wait_for(|s| s.notices.iter().any(|n| n.code == NoticeCode::ScreenLost));
        tokio::time::timeout(Duration::from_secs(8), wait).await.unwrap().unwrap();
    });
    let gone = VideoSource::Screen { device: display.clone() };
    let again = quiet().set_source(&gone, Preset::P540f30).unwrap_err().to_string();
    assert!(again.ends_with('.') && again.contains("screen"), "{again}");
    // It comes back on the same display, and so does the picture.
    let _server = spawn("Xvfb", &[&display, "-screen", "0", "640x480x24", "-nolisten", "tcp", "-wr"], |_| {});
    runtime.block_on(async {
        let wait = status.wait_for(|s| s.notices.is_empty() && s.source_error.is_none());
        tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap().unwrap();
    });
    let before = last_video(&items);
    collect(&mut feed, Duration::from_secs(10), |i| {
        last_video(i) > before.saturating_add(MediaTime::from_millis(1500))
    });
}

/// Makes a file with the real ffmpeg.
fn make(path: &std::path::Path, arguments: &[&str]) {
    let made = std::process::Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(path).output();
    let made = made.expect("this test needs the ffmpeg program");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Times at which the picture's centre turns bright, and at which the sound turns loud.
fn marks(items: &[FeedItem]) -> (Vec<MediaTime>, Vec<MediaTime>) {
    let bright: Vec<(MediaTime, bool)> = decode(items)
        .unwrap()
        .iter()
        .map(|p| (p.at, p.plane(0)[p.height() as usize / 2 * p.stride(0) + p.width() as usize / 2] > 120))
        .collect();
    let flashes = bright.windows(2).filter(|w| !w[0].1 && w[1].1).map(|w| w[1].0).collect();
    let mut beeps: Vec<MediaTime> = Vec::new();
    let mut quiet_since = MediaTime::MIN;
    for (at, samples) in decode_sound(items).unwrap() {
        for (i, s) in samples.iter().enumerate() {
            let now = at.saturating_add(MediaTime::from_scale(i as i64, 48_000));
            if s[0].abs() > 0.05 {
                if now.saturating_sub(quiet_since) > MediaTime::from_millis(200) {
                    beeps.push(now);
                }
                quiet_since = now;
            }
        }
    }
    (flashes, beeps)
}

#[test]
fn a_file_plays_in_sync_over_and_over_and_gives_way_to_another_source() {
    let _alone = REAL_TIME.lock();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clap.mkv");
    let picture = "color=black:size=640x360:rate=25:duration=2,drawbox=enable='lt(mod(t,1),0.1)':color=white:t=fill";
    let sound = "aevalsrc='if(lt(mod(t,1),0.1),0.25*sin(2*PI*1000*t),0)':s=44100:d=2";
    make(&path, &["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-c:v", "libx264", "-c:a", "libopus"]);
    let pipeline = quiet();
    let file = VideoSource::File { path: path.display().to_string(), looped: true };
    pipeline.set_source(&file, Preset::P540f30).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    let items = collect(&mut feed, Duration::from_secs(20), |i| last_video(i) > MediaTime::from_millis(5600));
    let (flashes, beeps) = marks(&items);
    // Five seconds of a file of two: one clap a second, across the loop too.
    assert!((4..=6).contains(&flashes.len()), "{flashes:?}");
    let near = |flash: &MediaTime| beeps.iter().map(|b| b.abs_diff(*flash)).min().unwrap_or(MediaTime::MAX);
    let mut off: Vec<MediaTime> = flashes.iter().map(near).collect();
    off.sort_unstable();
    // What a busy machine holds up is one picture or another; what is out of sync is all of them.
    assert!(off[off.len() / 2] < MediaTime::from_millis(40), "flashes {flashes:?}, beeps {beeps:?}");
    assert!(off.iter().all(|o| *o < MediaTime::from_millis(150)), "flashes {flashes:?}, beeps {beeps:?}");
    // The stream may begin within a beep.
    let apart: Vec<i64> = beeps[1..].windows(2).map(|w| w[1].saturating_sub(w[0]).millis()).collect();
    assert!(apart.iter().all(|a| (960..1060).contains(a)), "{apart:?}");

    // Sound alone has a dark picture.
    let song = dir.path().join("song.ogg");
    make(&song, &["-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-c:a", "libvorbis"]);
    pipeline
        .set_source(&VideoSource::File { path: song.display().to_string(), looped: false }, Preset::P540f30)
        .unwrap();
    let mut items: Vec<FeedItem> =
        items.into_iter().filter(|i| matches!(i, FeedItem::VideoConfig(_) | FeedItem::AudioConfig(_))).collect();
    let began = feed.control().now(&pipeline.clock());
    let until = began.saturating_add(MediaTime::from_millis(2000));
    items.extend(collect(&mut feed, Duration::from_secs(10), |i| last_video(i) > until));
    let times: Vec<i64> = videos(&items).windows(2).map(|w| w[1].pts.saturating_sub(w[0].pts).millis()).collect();
    assert!(times.iter().all(|t| *t > 0 && *t < 500), "{times:?}");
    let sound = decode_sound(&items).unwrap();
    let song: Vec<_> = sound.iter().filter(|(at, _)| *at > began.saturating_add(MediaTime::from_millis(200))).collect();
    let loud = song.iter().filter(|(_, s)| s.iter().any(|v| v[0].abs() > 0.05)).count();
    assert!(song.len() > 60 && loud * 10 > song.len() * 9, "{loud} of {}", song.len());
    // And comes to its end.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut status = pipeline.status();
    runtime.block_on(async {
        let wait = status.wait_for(|s| s.finished && s.notices.iter().any(|n| n.code == NoticeCode::FileEnded));
        tokio::time::timeout(Duration::from_secs(8), wait).await.unwrap().unwrap();
    });
}

#[test]
fn a_file_that_is_held_begins_at_its_beginning_when_it_is_released() {
    let _alone = REAL_TIME.lock();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clap.mkv");
    // The first clap 0.3 s into the file.
    let picture =
        "color=black:size=640x360:rate=25:duration=3,drawbox=enable='lt(mod(t+0.7,1),0.1)':color=white:t=fill";
    let sound = "aevalsrc='if(lt(mod(t+0.7,1),0.1),0.25*sin(2*PI*1000*t),0)':s=48000:d=3";
    make(&path, &["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-c:v", "libx264", "-c:a", "aac"]);
    let pipeline = quiet();
    let hold = Hold::default();
    pipeline.set_held_file(&path.display().to_string(), false, Preset::P540f30, hold.clone()).unwrap();
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    let mut items = collect(&mut feed, Duration::from_secs(20), |i| last_video(i) > MediaTime::from_millis(1600));
    assert_eq!(marks(&items), (Vec::new(), Vec::new()), "it waits");
    let released = feed.control().now(&pipeline.clock());
    hold.release();
    let enough = released.saturating_add(MediaTime::from_millis(1000));
    items.extend(collect(&mut feed, Duration::from_secs(20), |i| last_video(i) > enough));
    let (flashes, beeps) = marks(&items);
    let flash = flashes.first().unwrap().saturating_sub(released).millis();
    assert!((300..800).contains(&flash), "the first clap {flash} ms after the release");
    assert!(beeps.first().unwrap().abs_diff(*flashes.first().unwrap()) < MediaTime::from_millis(40), "{beeps:?}");
}

/// A sound server with two sinks, and a tone of 1 kHz into the one whose monitor is the microphone.
struct SoundCard {
    dir: tempfile::TempDir,
    _processes: Vec<Child>,
}

impl SoundCard {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = format!("module-native-protocol-unix auth-anonymous=1 socket={}/pulse.sock", dir.path().display());
        let home = dir.path().to_owned();
        let daemon = spawn(
            "pulseaudio",
            &[
                "-n",
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--use-pid-file=no",
                "-L",
                &socket,
                "-L",
                "module-null-sink sink_name=spk rate=48000 channels=2",
                "-L",
                "module-null-sink sink_name=mic rate=48000 channels=2",
            ],
            |c| {
                c.env("XDG_RUNTIME_DIR", &home).env("HOME", &home).stdout(std::process::Stdio::null());
            },
        );
        let mut this = Self { dir, _processes: vec![daemon] };
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !this.pactl(&["set-default-sink", "spk"]) {
            assert!(std::time::Instant::now() < deadline, "pulseaudio does not answer");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        assert!(this.pactl(&["set-default-source", "mic.monitor"]));
        let tone = "ffmpeg -v error -re -f lavfi -i sine=frequency=1000:sample_rate=48000 -ac 2 -f s16le - | exec pacat --playback -d mic --latency-msec=20 --raw --format=s16le --rate=48000 --channels=2";
        let server = this.server();
        let home = this.dir.path().to_owned();
        this._processes.push(spawn("setsid", &["--wait", "sh", "-c", tone], |c| {
            c.env("XDG_RUNTIME_DIR", home).env("PULSE_SERVER", server);
        }));
        this
    }

    fn server(&self) -> String {
        format!("unix:{}/pulse.sock", self.dir.path().display())
    }

    fn pactl(&self, arguments: &[&str]) -> bool {
        let mut command = std::process::Command::new("pactl");
        command.args(arguments).env("XDG_RUNTIME_DIR", self.dir.path()).env("PULSE_SERVER", self.server());
        command.output().expect("this test needs pactl").status.success()
    }
}

/// The sound library finds the sound server by the environment, so the test runs in a process of its own.
#[test]
fn a_microphone_is_heard_muted_and_unplugged() {
    let _alone = REAL_TIME.lock();
    let card = SoundCard::start();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "encode::tests::with_a_microphone", "--ignored", "--nocapture"])
        .env("XDG_RUNTIME_DIR", card.dir.path())
        .env("PULSE_SERVER", card.server())
        .env_remove("DISPLAY")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "run by a_microphone_is_heard_muted_and_unplugged, with a sound server in the environment"]
fn with_a_microphone() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let listed = crate::capture::listen::list_microphones().unwrap();
    assert!(listed[0].is_default && listed.iter().any(|d| d.id == "pulse"), "{listed:?}");
    let faders = Faders::default();
    let pipeline = Pipeline::start(&Gate::default(), &faders).unwrap();
    pipeline.listen(Way::Microphone, Some("default"));
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    let mut all = Vec::new();
    // Receives until 43 frames (most of a second) have one thing in common.
    let mut until = |what: &str, holds: &dyn Fn(f32) -> bool| {
        let mut run = 0;
        let started = std::time::Instant::now();
        while run < 43 {
            assert!(started.elapsed() < Duration::from_secs(20), "not in time: {what}");
            let had = all.iter().filter(|i| matches!(i, FeedItem::Audio(_))).count();
            let more =
                collect(&mut feed, Duration::from_secs(5), |i| i.iter().any(|i| matches!(i, FeedItem::Audio(_))));
            all.extend(more);
            let recent: Vec<FeedItem> = {
                let config = all.iter().find(|i| matches!(i, FeedItem::AudioConfig(_))).cloned();
                let skip = had.saturating_sub(2);
                let audio = all.iter().filter(|i| matches!(i, FeedItem::Audio(_))).skip(skip).cloned();
                config.into_iter().chain(audio).collect()
            };
            let sound = decode_sound(&recent).unwrap();
            let peak = sound.last().map_or(0.0, |(_, s)| s.iter().map(|v| v[0].abs()).fold(0.0, f32::max));
            run = if holds(peak) { run + 1 } else { 0 };
        }
    };
    // ffmpeg's sine has 1/8 of full scale, and mixing it to stereo takes 3 dB.
    until("the tone", &|peak| (0.08..0.1).contains(&peak));
    faders.set(Way::Microphone, Voicing { gain_db: 6.0, ..Voicing::default() });
    until("twice the tone", &|peak| (0.16..0.2).contains(&peak));
    let level = *pipeline.levels(Way::Microphone).borrow();
    assert!((level.peak_db + 15.0).abs() < 1.5 && (level.rms_db + 18.0).abs() < 4.0, "{level:?}");
    faders.set(Way::Microphone, Voicing { gain_db: 6.0, muted: true, ..Voicing::default() });
    until("silence when muted", &|peak| peak < 0.001);
    faders.set(Way::Microphone, Voicing { noise_gate_db: Some(-20.0), ..Voicing::default() });
    until("silence behind the noise gate", &|peak| peak < 0.001);
    faders.set(Way::Microphone, Voicing { noise_gate_db: Some(-30.0), ..Voicing::default() });
    until("the tone again", &|peak| (0.08..0.1).contains(&peak));

    // Both sinks go: there is no source left.
    let pactl =
        |arguments: &[&str]| std::process::Command::new("pactl").args(arguments).output().unwrap().status.success();
    let mut status = pipeline.status();
    let mut wait = |what: &str, lost: bool| {
        let done = runtime.block_on(async {
            let changed = status.wait_for(|s| s.notices.iter().any(|n| n.code == NoticeCode::MicrophoneLost) == lost);
            tokio::time::timeout(Duration::from_secs(15), changed).await.map(|s| s.map(|s| s.clone()))
        });
        done.unwrap_or_else(|_| panic!("not in time: {what}")).unwrap()
    };
    assert!(pactl(&["unload-module", "module-null-sink"]));
    let told = wait("the loss is told", true);
    assert!(told.notices[0].message.ends_with('.'));
    until("silence without a microphone", &|peak| peak < 0.001);
    assert!(pactl(&["load-module", "module-null-sink", "sink_name=mic"]));
    assert!(pactl(&["set-default-source", "mic.monitor"]));
    wait("it comes back by itself", false);
}
