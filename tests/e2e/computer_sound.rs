//! What the computer plays is heard (issue 4, "Sources"): at the output where it plays now, after the sound server was
//! killed, not while the streamer is away, and not while it is muted. Measured in what a viewer gets.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use mujian_tests::desk::Desk;
use mujian_tests::flv::{SLATE_HOLE, SOUND_HOLE, Viewer};
use mujian_tests::screen::Screen;
use mujian_tests::sound::Sound;
use mujian_tests::{live, tone, wait};

use crate::app::{GO_LIVE, wait_stage};
use crate::devices::{OnAir, sound_of};

const SOON: Duration = Duration::from_secs(20);
/// Hertz of what is played at each output, and of what is said into the microphone.
const SPEAKERS: u32 = 1300;
const HEADPHONES: u32 = 1900;
const VOICE: u32 = 700;

/// Until a tone, and nothing else, is in what the viewer gets.
async fn is_heard(on_air: &OnAir, what: &str, hertz: u32) -> Result<()> {
    wait::until(what, SOON, || async {
        let stretch = on_air.stretch(30).await?;
        let samples = samples_of(on_air, stretch).await?;
        let heard = tone::heard(&samples, 48_000.0, hertz as f32);
        let loud = tone::rms(&samples);
        if heard > 0.8 { Ok(Some(())) } else { bail!("{hertz} Hz for {heard} of the time, {loud} loud") }
    })
    .await
}

async fn samples_of(on_air: &OnAir, stretch: (u32, u32)) -> Result<Vec<f32>> {
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    on_air.viewer.save(file.path())?;
    sound_of(&on_air.viewer, file.path(), stretch).await
}

async fn is_silent(on_air: &OnAir, what: &str) -> Result<()> {
    // What was still on its way has come by then.
    on_air.viewer.more_pictures(60, SOON).await?;
    let stretch = on_air.stretch(60).await?;
    let samples = samples_of(on_air, stretch).await?;
    ensure!(samples.len() > 48_000 && tone::rms(&samples) < 0.001, "{what}, it is silent");
    Ok(())
}

#[tokio::test]
async fn what_the_computer_plays_is_heard_wherever_it_plays_and_not_while_away() -> Result<()> {
    let (screen, mut sound) = (Screen::start(1280, 720).await?, Sound::start().await?);
    let _voice = sound.tone(VOICE)?;
    let played = sound.tone_at("spk", SPEAKERS)?;
    let on_air = OnAir::hearing(&screen, &sound, &["--mic", "none", "--computer-sound", "--keep-sound"]).await?;
    is_heard(&on_air, "the speakers", SPEAKERS).await?;

    // Headphones are plugged in, and the system plays there from now on.
    drop(played);
    sound.pactl(&["load-module", "module-null-sink", "sink_name=phones", "rate=44100", "channels=2"]).await?;
    let played = sound.tone_at("phones", HEADPHONES)?;
    sound.pactl(&["set-default-sink", "phones"]).await?;
    is_heard(&on_air, "the headphones", HEADPHONES).await?;

    on_air.program.signal(libc::SIGUSR1);
    on_air.server.wait_stage(&on_air.room, "away", SOON).await?;
    // Although sound is kept: that is the streamer's own.
    is_silent(&on_air, "away").await?;
    on_air.program.signal(libc::SIGUSR2);
    on_air.server.wait_stage(&on_air.room, "live", SOON).await?;
    is_heard(&on_air, "the headphones after the return", HEADPHONES).await?;

    sound.kill().await?;
    on_air.says("notice", "output_lost", 1).await?;
    is_silent(&on_air, "without a sound server").await?;
    drop(played);
    sound.again().await?;
    let _played = sound.tone_at("spk", SPEAKERS)?;
    on_air.says("notice_over", "output_lost", 1).await?;
    is_heard(&on_air, "the speakers at a new sound server", SPEAKERS).await?;
    on_air.viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)
}

/// A sound server gives who listened to what is gone the next best thing to listen to: here, the microphone.
#[tokio::test]
async fn an_output_that_is_gone_never_becomes_the_microphone() -> Result<()> {
    let (screen, sound) = (Screen::start(1280, 720).await?, Sound::start().await?);
    // With another default, the server moves what is played at that one as the output comes back.
    sound.pactl(&["set-default-sink", "mic"]).await?;
    let _voice = sound.tone(VOICE)?;
    let played = sound.tone_at("spk", SPEAKERS)?;
    let on_air = OnAir::hearing(&screen, &sound, &["--mic", "none", "--computer-sound", "spk"]).await?;
    is_heard(&on_air, "the speakers", SPEAKERS).await?;
    let from = on_air.stretch(1).await?.0;

    drop(played);
    sound.unplug_sink("spk").await?;
    on_air.says("notice", "output_lost", 1).await?;
    is_silent(&on_air, "without the output").await?;
    sound.pactl(&["load-module", "module-null-sink", "sink_name=spk", "rate=48000", "channels=2"]).await?;
    let _played = sound.tone_at("spk", SPEAKERS)?;
    on_air.says("notice_over", "output_lost", 1).await?;
    is_heard(&on_air, "the speakers once more", SPEAKERS).await?;

    let to = on_air.stretch(1).await?.1;
    let all = samples_of(&on_air, (from, to)).await?;
    let voices = all.chunks_exact(960).filter(|piece| tone::share(piece, 48_000.0, VOICE as f32) > 0.25).count();
    ensure!(voices == 0, "the microphone is in {voices} of {} pieces", all.len() / 960);
    Ok(())
}

#[tokio::test]
async fn outputs_are_listed_and_without_a_sound_server_it_is_said() -> Result<()> {
    let screen = Screen::start(640, 480).await?;
    let sound = Sound::start().await?;
    let [(runtime, folder), (server, socket)] = sound.environment();
    let list = live::devices_with(&screen.display, [(runtime, &folder), (server, &socket)]).await?;
    let ids: Vec<&str> = list["outputs"].as_array().into_iter().flatten().filter_map(|d| d["id"].as_str()).collect();
    assert_eq!(ids, ["default", "spk", "mic"]);

    let nowhere = format!("unix:{folder}/nowhere");
    let list = live::devices_with(&screen.display, [(runtime, &folder), (server, &nowhere)]).await?;
    assert_eq!(list["outputs"].as_array().map(Vec::len), Some(0));
    let notes = list["notes"].to_string();
    assert!(notes.contains("What this computer plays cannot be taken"), "{notes}");
    Ok(())
}

#[tokio::test]
async fn it_is_chosen_and_muted_in_the_window_beside_the_microphone() -> Result<()> {
    let desk = Desk::new().await?;
    let _voice = desk.sound.tone(VOICE)?;
    let _played = desk.sound.tone_at("spk", SPEAKERS)?;
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await?;
    let chosen = "(() => { const select = [...document.querySelectorAll('.setup select')].find((s) => \
                  [...s.options].some((o) => o.text === 'What this computer plays')); select.value = 'default'; \
                  select.dispatchEvent(new Event('change', { bubbles: true })); return true; })()";
    if let Some(folder) = std::env::var_os("MUJIAN_PICTURES") {
        app.picture(&std::path::Path::new(&folder).join("computer.png")).await?;
    }
    assert_eq!(app.eval(chosen).await?, true);
    // The meter moves.
    let level = "[...document.querySelectorAll('[role=meter]')].some((m) => m.ariaLabel.startsWith('Level of the computer') \
                 && Number(m.getAttribute('aria-valuenow')) > -40)";
    app.wait(level, SOON).await?;
    app.click(GO_LIVE).await?;
    let server = desk.hosted().await?;
    let room = wait_stage(&server, "live").await?;
    let viewer = Viewer::open(&format!("{server}/live/{}.flv", room["id"].as_str().unwrap_or_default())).await?;

    // Of the fiftieths of the last second, how many hold each of the two: a busy machine tears tones to pieces.
    let heard = async |what: &str, wanted: &dyn Fn(usize, usize) -> bool| {
        wait::until(what, SOON, || async {
            let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
            viewer.more_pictures(30, SOON).await?;
            viewer.save(file.path())?;
            let samples = mujian_tests::ffmpeg::samples(file.path()).await?;
            let last = &samples[samples.len().saturating_sub(48_000)..];
            let of = |hertz: u32| {
                let is_there = |piece: &&[f32]| tone::share(piece, 48_000.0, hertz as f32) > 0.25;
                last.chunks_exact(960).filter(is_there).count()
            };
            let (voice, played) = (of(VOICE), of(SPEAKERS));
            if wanted(voice, played) { Ok(Some(())) } else { bail!("the voice in {voice}, what is played in {played}") }
        })
        .await
    };
    heard("both", &|voice, played| voice > 15 && played > 15).await?;
    app.click("[aria-label=\"Mute the computer's sound\"]").await?;
    heard("the voice alone", &|voice, played| voice > 15 && played == 0).await?;
    app.click("[aria-label='Mute the microphone']").await?;
    app.click("[aria-label=\"Unmute the computer's sound\"]").await?;
    heard("what is played alone", &|voice, played| voice == 0 && played > 15).await
}
