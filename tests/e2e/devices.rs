//! Devices are lost while live and come back (row A8): it is told, the stream goes on with its last picture or with silence,
//! and what is back is taken back. Measured in what a viewer gets.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mujian_tests::desk::Desk;
use mujian_tests::flv::{HOLE, SOUND_HOLE, Viewer};
use mujian_tests::hands::Hands;
use mujian_tests::process::Program;
use mujian_tests::screen::Screen;
use mujian_tests::server::{Room, Server};
use mujian_tests::sound::Sound;
use mujian_tests::{ffmpeg, live, picture, tone, wait};

use crate::app::{GO_LIVE, wait_stage};

const SOON: Duration = Duration::from_secs(20);
const TONE: u32 = 1300;

/// A broadcast of a screen and a microphone, and somebody who watches it.
pub(crate) struct OnAir {
    pub(crate) server: Server,
    pub(crate) room: Room,
    pub(crate) program: Program,
    pub(crate) viewer: Viewer,
}

impl OnAir {
    async fn start(screen: &Screen, sound: &Sound) -> Result<Self> {
        Self::hearing(screen, sound, &["--mic", "default"]).await
    }

    /// The same with another choice of what is heard.
    pub(crate) async fn hearing(screen: &Screen, sound: &Sound, heard: &[&str]) -> Result<Self> {
        let server = Server::start().await?;
        let room = server.room("owner", "A room").await?;
        let arguments = [&["--screen", "--preset", "540p30"], heard].concat();
        let mut command = live::command(&server, &room, &arguments)?;
        command.env("DISPLAY", &screen.display).envs(sound.environment());
        let program = live::begin(&server, &room, &mut command).await?;
        let viewer = Viewer::open(&server.flv_url(&room)).await?;
        viewer.more_pictures(90, SOON).await?;
        Ok(Self { server, room, program, viewer })
    }

    /// Until the program has said so for the `nth` time.
    pub(crate) async fn says(&self, kind: &str, code: &str, nth: usize) -> Result<()> {
        let (kind, code) = (format!("\"type\":\"{kind}\""), format!("\"code\":\"{code}\""));
        wait::until(&format!("{kind} {code}"), SOON, || async {
            let words = self.program.words();
            Ok((words.lines().filter(|l| l.contains(&kind) && l.contains(&code)).count() >= nth).then_some(()))
        })
        .await
    }

    /// The stream's time that the viewer has come to, in milliseconds.
    fn at(&self) -> Result<u32> {
        self.viewer.tags().last().map(|t| t.dts).context("nothing came")
    }

    /// What comes during so many pictures: from when to when, in milliseconds.
    pub(crate) async fn stretch(&self, pictures: usize) -> Result<(u32, u32)> {
        let from = self.at()?;
        self.viewer.more_pictures(pictures, SOON).await?;
        Ok((from, self.at()?))
    }

    /// The stage all along, and nothing missing in what came.
    async fn went_on(&self, file: &Path) -> Result<()> {
        self.server.wait_stage(&self.room, "live", SOON).await?;
        ensure!(self.viewer.ended().is_none(), "the viewer's stream ended");
        self.viewer.check_timeline(HOLE, SOUND_HOLE)?;
        self.viewer.save(file)
    }
}

/// The samples of a stretch.
pub(crate) async fn sound_of(viewer: &Viewer, file: &Path, (from, to): (u32, u32)) -> Result<Vec<f32>> {
    let samples = ffmpeg::samples(file).await?;
    let first = viewer.tags().iter().find(|t| t.is_sound()).map(|t| t.dts).context("no sound")?;
    let index = |at: u32| (usize::try_from(at.saturating_sub(first)).unwrap_or(0) * 48).min(samples.len());
    Ok(samples[index(from)..index(to)].to_vec())
}

/// The pictures of a stretch, out of all that the viewer's file holds.
fn within<'a>(viewer: &Viewer, all: &'a [Vec<u8>], (from, to): (u32, u32)) -> Vec<&'a [u8]> {
    let tags = viewer.tags();
    let times = tags.iter().filter(|t| t.is_picture()).map(|t| t.dts);
    times.zip(all).filter(|(at, _)| (from..to).contains(at)).map(|(_, picture)| picture.as_slice()).collect()
}

fn most_moved(pictures: &[&[u8]]) -> f32 {
    pictures.iter().map(|p| picture::difference(pictures[0], p)).fold(0.0, f32::max)
}

#[tokio::test]
async fn a_screen_that_is_lost_stays_with_its_last_picture_and_comes_back_by_itself() -> Result<()> {
    let (mut screen, sound) = (Screen::start(1280, 720).await?, Sound::start().await?);
    let _tone = sound.tone(TONE)?;
    let content = screen.moving_content(1280, 720)?;
    let on_air = OnAir::start(&screen, &sound).await?;
    let moving = on_air.stretch(60).await?;

    let began = Instant::now();
    screen.unplug().await?;
    on_air.says("notice", "screen_lost", 1).await?;
    eprintln!("told after {:?}", began.elapsed());
    // What was still on its way has come by then.
    on_air.viewer.more_pictures(45, SOON).await?;
    let still = on_air.stretch(120).await?;
    drop(content);

    screen.plug().await?;
    let _content = screen.moving_content(1280, 720)?;
    on_air.says("notice_over", "screen_lost", 1).await?;
    on_air.viewer.more_pictures(90, SOON).await?;
    let again = on_air.stretch(60).await?;

    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    on_air.went_on(file.path()).await?;
    let all = ffmpeg::grey(file.path(), 64, 36).await?;
    let shown = |stretch| within(&on_air.viewer, &all, stretch);
    let (before, during, after) = (shown(moving), shown(still), shown(again));
    assert!(most_moved(&before) > 0.01 && most_moved(&after) > 0.01, "the screen moves");
    assert!(during.len() > 100 && most_moved(&during) < 0.01, "the last picture stays: {}", most_moved(&during));
    let likeness = before.iter().map(|p| picture::difference(p, during[0])).fold(1.0, f32::min);
    assert!(likeness < 0.1, "it is the screen's own, not a slate: {likeness}");
    let heard = tone::heard(&sound_of(&on_air.viewer, file.path(), still).await?, 48_000.0, TONE as f32);
    assert!(heard > 0.2, "the sound goes on: {heard}");
    Ok(())
}

/// A place of the picture is plainly of that colour.
fn has(picture: &[u8], is: impl Fn(&[u8]) -> bool) -> bool {
    picture.chunks_exact(3).any(is)
}

fn red(p: &[u8]) -> bool {
    p[0] > 140 && p[1] < 90
}

fn green(p: &[u8]) -> bool {
    p[1] > 110 && p[0] < 70
}

/// Until that colour is on the screen itself: a window is there before its program has painted anything into it.
async fn painted(screen: &Screen, is: fn(&[u8]) -> bool) -> Result<()> {
    let shot = tempfile::Builder::new().suffix(".png").tempfile()?;
    wait::until("a colour on the screen", SOON, || async {
        screen.picture(shot.path()).await?;
        Ok(picture::colours(shot.path()).await?.first().is_some_and(|p| has(p, is)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn one_window_is_shown_without_what_lies_over_it_and_taken_back_when_it_was_closed() -> Result<()> {
    let screen = Screen::start(1280, 720).await?;
    // The one half is green and the other is blue.
    const GAME: &str = "color=0x00a000:size=640x360:rate=30,drawbox=x=320:w=320:h=360:color=0x0000c0:t=fill";
    let game = screen.window("A game", GAME, (40, 40))?;
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut command = live::command(&server, &room, &["--window", "a GAME", "--mic", "none", "--preset", "540p30"])?;
    command.env("DISPLAY", &screen.display);
    painted(&screen, green).await?;
    let program = live::begin(&server, &room, &mut command).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    let on_air = OnAir { server, room, program, viewer };
    on_air.viewer.more_pictures(45, SOON).await?;
    let alone = on_air.stretch(60).await?;
    // It is made larger, and so is what is seen of it: a bit right of the middle it is blue, as before.
    let hands = Hands::at(&screen.display)?;
    hands.resize("A game", 800, 450)?;
    on_air.viewer.more_pictures(60, SOON).await?;
    let larger = tempfile::Builder::new().suffix(".flv").tempfile()?;
    on_air.viewer.save(larger.path())?;
    let last = picture::colours(larger.path()).await?.pop().context("no picture")?;
    let place = &last[(9 * 32 + 18) * 3..][..3];
    assert!(place[2] > 120 && place[1] < 80, "right of the middle: {place:?}");
    // Somebody's letter comes to lie over half of it.
    let letter = screen.window("A letter", "color=0xd00000:size=400x300:rate=30", (60, 60))?;
    painted(&screen, red).await?;
    let beneath = on_air.stretch(60).await?;

    drop(game);
    on_air.says("notice", "window_lost", 1).await?;
    on_air.viewer.more_pictures(45, SOON).await?;
    let lost = on_air.stretch(30).await?;
    let _again = screen.window("A game", "color=0x00a000:size=480x300:rate=30", (300, 40))?;
    on_air.says("notice_over", "window_lost", 1).await?;
    painted(&screen, green).await?;
    // What was still on its way has come by then.
    on_air.viewer.more_pictures(45, SOON).await?;
    let again = on_air.stretch(60).await?;
    // What a window manager says counts, where there is one.
    hands.manage("A letter")?;
    let list = live::devices(&screen.display).await?;
    let names: Vec<&str> =
        list["windows"].as_array().context("no list")?.iter().filter_map(|w| w["name"].as_str()).collect();
    assert_eq!(names, ["A letter"]);
    drop(letter);

    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    on_air.went_on(file.path()).await?;
    let all = picture::colours(file.path()).await?;
    let with_red = all.iter().filter(|p| has(p, red)).count();
    assert!(all.len() > 200 && with_red == 0, "the letter is in {with_red} pictures of {}", all.len());
    for (what, stretch) in [("alone", alone), ("beneath", beneath), ("lost", lost), ("again", again)] {
        let shown = within(&on_air.viewer, &all, stretch);
        let without = shown.iter().filter(|p| !has(p, green)).count();
        assert!(shown.len() > 20 && without == 0, "{what}: {without} pictures of {} without the game", shown.len());
    }
    Ok(())
}

#[tokio::test]
async fn a_microphone_or_the_whole_sound_server_that_is_lost_leaves_silence_and_comes_back() -> Result<()> {
    let (screen, mut sound) = (Screen::start(1280, 720).await?, Sound::start().await?);
    let tone_of = sound.tone(TONE)?;
    let on_air = OnAir::start(&screen, &sound).await?;
    let with = on_air.stretch(60).await?;

    let began = Instant::now();
    sound.unplug().await?;
    on_air.says("notice", "microphone_lost", 1).await?;
    eprintln!("told after {:?}", began.elapsed());
    on_air.viewer.more_pictures(45, SOON).await?;
    let without = on_air.stretch(60).await?;
    drop(tone_of);
    sound.plug().await?;
    let tone_of = sound.tone(TONE)?;
    on_air.says("notice_over", "microphone_lost", 1).await?;
    on_air.viewer.more_pictures(90, SOON).await?;
    let again = on_air.stretch(60).await?;

    let began = Instant::now();
    sound.kill().await?;
    on_air.says("notice", "microphone_lost", 2).await?;
    eprintln!("told after {:?}", began.elapsed());
    on_air.viewer.more_pictures(45, SOON).await?;
    let dead = on_air.stretch(60).await?;
    drop(tone_of);
    sound.again().await?;
    let _tone = sound.tone(TONE)?;
    on_air.says("notice_over", "microphone_lost", 2).await?;
    on_air.viewer.more_pictures(90, SOON).await?;
    let risen = on_air.stretch(60).await?;

    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    on_air.went_on(file.path()).await?;
    for (what, stretch) in [("at first", with), ("plugged in again", again), ("served again", risen)] {
        let heard = tone::heard(&sound_of(&on_air.viewer, file.path(), stretch).await?, 48_000.0, TONE as f32);
        assert!(heard > 0.2, "{what}, the microphone is heard for {heard} of the time");
    }
    for (what, stretch) in [("unplugged", without), ("without a sound server", dead)] {
        let samples = sound_of(&on_air.viewer, file.path(), stretch).await?;
        assert!(samples.len() > 48_000 && tone::rms(&samples) < 0.001, "{what}, it is silent");
    }
    Ok(())
}

#[tokio::test]
async fn the_window_tells_what_is_lost_and_takes_it_back_with_one_press() -> Result<()> {
    let desk = Desk::new().await?;
    let _tone = desk.sound.tone(TONE)?;
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    app.click(GO_LIVE).await?;
    let server = desk.hosted().await?;
    wait_stage(&server, "live").await?;

    desk.sound.unplug().await?;
    let alert = "[...document.querySelectorAll('[role=alert]')].some((e) => e.innerText.includes('The microphone cannot be used'))";
    app.wait(alert, SOON).await?;
    if let Some(folder) = std::env::var_os("MUJIAN_PICTURES") {
        app.picture(&Path::new(&folder).join("lost.png")).await?;
    }
    desk.sound.plug().await?;
    app.click("//button[normalize-space(.) = 'Try now']").await?;
    app.wait(&format!("!{alert}"), SOON).await?;
    app.wait("document.body.innerText.includes('The microphone is back.')", SOON).await.map(drop)
}
