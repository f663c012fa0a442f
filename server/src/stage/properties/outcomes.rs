//! Leaving and coming back at odd moments: each has one obvious outcome.

use std::sync::Arc;

use bytes::Bytes;
use mujian_media::frame::{AudioFrame, FeedItem, VideoFrame};
use mujian_protocol::room::Stage;
use mujian_protocol::{LeaveId, WallTime};

use super::super::engine::{Engine, EngineConfig, Out, Slates};
use super::super::timeline::tests::with_sound;
use super::super::{Leave, StageConfig};
use super::model::{Api, Model, Op, at, t};
use super::publisher::Shape;

const LEAVE: Op = Op::Leave { keep_sound: false };

/// Does these, and expects this to be shown after each of them and half a second.
fn shows(marks: bool, steps: &[(Op, Stage)]) -> Model {
    let mut model = Model::new(0);
    model.come(Shape::Plain, marks);
    model.pass(1500, true, true).unwrap();
    for (n, (op, stage)) in steps.iter().enumerate() {
        model.apply(op).unwrap();
        model.pass(1600, true, true).unwrap();
        assert_eq!(model.seen.stage, Some(*stage), "after {n}: {op:?}");
    }
    model
}

#[test]
fn each_press_has_one_outcome() {
    use Stage::{Away, Covered, Live, Lost};
    let come = || Op::Come(Shape::Plain, false);
    shows(false, &[(LEAVE, Away), (LEAVE, Away), (Op::Back, Live), (Op::Back, Live)]);
    shows(false, &[(Op::Lose, Lost), (LEAVE, Away), (come(), Away), (Op::Back, Live)]);
    shows(false, &[(LEAVE, Away), (Op::Lose, Away), (Op::Back, Lost), (come(), Live)]);
    shows(false, &[(Op::Cover, Covered), (LEAVE, Covered), (Op::Restore, Away), (Op::Back, Live)]);
    shows(false, &[(LEAVE, Away), (Op::Cover, Covered), (Op::Back, Covered), (Op::Restore, Live)]);
    // From two devices at once: whichever comes back, the streamer is back.
    let app = |api| Op::AppLeave { keep_sound: true, api };
    shows(true, &[(LEAVE, Away), (app(Api::Cut), Away), (Op::AppBack { api: false }, Live)]);
    shows(true, &[(app(Api::Late), Away), (Op::AppBack { api: false }, Live), (Op::HeldUp, Live)]);
    // The app's own word stands until it hears of the other device's.
    shows(true, &[(app(Api::Now), Away), (Op::Back, Away), (Op::AppHears, Live)]);
}

#[test]
fn a_leave_before_the_show_is_obeyed_and_the_end_ends_it() {
    let mut model = Model::new(0);
    model.apply(&LEAVE).unwrap();
    model.pass(1000, false, false).unwrap();
    assert_eq!(model.seen.stage, None);
    model.come(Shape::Plain, false);
    model.pass(2000, true, true).unwrap();
    assert_eq!(model.seen.stage, Some(Stage::Away));
    model.apply(&Op::End).unwrap();
    assert!(model.engine.away().is_none());
    model.come(Shape::Plain, false);
    model.pass(2000, true, true).unwrap();
    assert_eq!(model.seen.stage, Some(Stage::Live));
}

/// The grace time is long while away (60 s here), and the short one (20 s) begins at the return.
#[test]
fn the_short_grace_time_begins_at_the_return() {
    for op in [Op::Lose, Op::Thin(1)] {
        let mut model = shows(false, &[(LEAVE, Stage::Away)]);
        model.apply(&op).unwrap();
        // Lost, or connected with nothing to send.
        model.pass(50_000, false, false).unwrap();
        assert_eq!(model.seen.stage, Some(Stage::Away), "{op:?}");
        model.apply(&Op::Back).unwrap();
        model.pass(15_000, false, false).unwrap();
        assert_eq!(model.seen.stage, Some(Stage::Lost), "{op:?}");
        model.pass(6_000, false, false).unwrap();
        assert_eq!(model.seen.stage, None, "{op:?}: it is over");
    }
}

#[test]
fn kept_sound_goes_through_both_switches_without_a_seam() {
    for marks in [false, true] {
        for keep_sound in [true, false] {
            let mut model = Model::new(0);
            model.come(Shape::Plain, marks);
            model.pass(3000, true, true).unwrap();
            let before = (model.seen.silences, model.seen.seams);
            let leave = if marks { Op::AppLeave { keep_sound, api: Api::Now } } else { Op::Leave { keep_sound } };
            model.apply(&leave).unwrap();
            model.pass(2000, true, true).unwrap();
            let away = (model.seen.silences, model.seen.sounds);
            model.pass(1000, true, true).unwrap();
            let heard = (model.seen.silences - away.0, model.seen.sounds - away.1);
            assert!(
                if keep_sound { heard.0 == 0 && heard.1 >= 46 } else { heard.0 >= 46 && heard.1 == 0 },
                "{heard:?}"
            );
            model.apply(&if marks { Op::AppBack { api: true } } else { Op::Back }).unwrap();
            model.pass(3000, true, true).unwrap();
            assert_eq!(model.seen.stage, Some(Stage::Live));
            if keep_sound {
                assert_eq!((model.seen.silences, model.seen.seams), before, "marks: {marks}");
            }
        }
    }
}

/// Where the picture does not come either, it is the road that is slow, and the sound is on it: it is waited for, but not
/// for long.
#[test]
fn sound_that_is_held_up_with_the_picture_is_heard() {
    for (stall, heard) in [(400, true), (900, true), (2500, false)] {
        let mut model = Model::new(0);
        model.come(Shape::Plain, false);
        model.pass(3000, true, true).unwrap();
        let before = (model.seen.silences, model.seen.seams);
        model.apply(&Op::Stall(stall)).unwrap();
        model.pass(3000, true, true).unwrap();
        assert_eq!((model.seen.silences, model.seen.seams) == before, heard, "after {stall} ms");
    }
}

/// The key frame behind the back mark is shown at once: the road and no more.
#[test]
fn the_first_key_frame_behind_the_mark_is_taken() {
    for store in [0, 90] {
        let mut model = Model::new(0);
        model.store = store;
        model.come(Shape::Plain, true);
        model.pass(3010, true, true).unwrap();
        model.apply(&Op::AppLeave { keep_sound: false, api: Api::Now }).unwrap();
        model.pass(2000, true, true).unwrap();
        let live = model.seen.live_chunks;
        model.apply(&Op::AppBack { api: false }).unwrap();
        // Two pictures in the encoder, 40 ms on the road.
        model.pass(120 + store, true, true).unwrap();
        assert!(model.seen.live_chunks > live, "after {store} ms in the store");
    }
}

/// A second after the return from the publisher whose key frames are 8 s apart, 5 s before its next one.
fn waits_for_a_key_frame(delay: u64) -> Model {
    let mut model = Model::new(delay);
    model.come(Shape::Far, false);
    model.pass(9000 + delay, true, true).unwrap();
    assert_eq!(model.seen.stage, Some(Stage::Live));
    model.apply(&LEAVE).unwrap();
    model.pass(1000, true, true).unwrap();
    model.apply(&Op::Back).unwrap();
    model.pass(1000 + delay, true, true).unwrap();
    assert_eq!(model.seen.stage, Some(Stage::Away));
    model
}

#[test]
fn the_placeholder_goes_on_until_a_key_frame_that_is_far_off() {
    for delay in [0, 2000] {
        let mut model = waits_for_a_key_frame(delay);
        // Its sound is let in meanwhile.
        model.pass(200, true, true).unwrap();
        let (sounds, rest) = (model.seen.sounds, 4700 - delay);
        model.pass(rest, true, true).unwrap();
        assert_eq!(model.seen.stage, Some(Stage::Away), "{delay}");
        let heard = model.seen.sounds - sounds;
        assert!(heard >= (rest - 300) / 24, "{delay}: {heard} sounds in {rest} ms");
        model.pass(400, true, true).unwrap();
        assert_eq!(model.seen.stage, Some(Stage::Live), "{delay}");
    }
}

#[test]
fn pictures_that_stop_while_one_waits_leave_the_sound_alone() {
    for delay in [0, 2000] {
        let mut model = waits_for_a_key_frame(delay);
        model.pass(900 + delay, false, true).unwrap();
        assert_eq!(model.seen.stage, Some(Stage::Away), "{delay}");
        model.pass(600, false, true).unwrap();
        assert_eq!(model.seen.stage, Some(Stage::Lost), "{delay}");
        // When they come again, they begin with a key frame.
        model.pass(500 + delay, true, true).unwrap();
        assert_eq!(model.seen.stage, Some(Stage::Live), "{delay}");
    }
}

/// Each of these while one waits, and what is shown after it.
#[test]
fn a_press_while_one_waits_has_one_outcome() {
    for (op, stage) in [
        (LEAVE, Stage::Away),
        (Op::Cover, Stage::Covered),
        (Op::Lose, Stage::Lost),
        (Op::Back, Stage::Away),
        (Op::Come(Shape::Plain, false), Stage::Live),
    ] {
        let mut model = waits_for_a_key_frame(0);
        model.apply(&op).unwrap();
        model.pass(1100, true, true).unwrap();
        assert_eq!(model.seen.stage, Some(stage), "{op:?}");
        model.settles().unwrap();
    }
}

/// A placeholder with music of its own, coded otherwise than the publisher's sound: whoever is back is heard, and no music.
#[test]
fn who_is_back_is_not_talked_over() {
    let folder = tempfile::tempdir().unwrap();
    let slate = with_sound(folder.path());
    let fallback = || Arc::clone(&slate);
    let slates = Slates { moment: fallback(), sound_only: fallback(), away: fallback() };
    let mut engine = Engine::new(EngineConfig::from(&StageConfig::new("room-1".parse().unwrap())), slates);
    let heard = |engine: &mut Engine| {
        let mut heard = Vec::new();
        while let Some(out) = engine.poll() {
            if let Out::Chunk(chunk) = out {
                heard.extend(chunk.audio.into_iter().map(|frame| frame.data));
            }
        }
        heard
    };
    engine.came(1, at(0));
    engine.feed(FeedItem::VideoConfig(Shape::Plain.video()), at(0));
    engine.feed(FeedItem::AudioConfig(Arc::new(Shape::Far.audio())), at(0));
    let voice = Bytes::from_static(b"voice");
    let music = |heard: &[Bytes]| heard.iter().filter(|sound| sound.len() == 1).count();
    let mut sounds = 0;
    for ms in (0..8000u64).step_by(10) {
        let now = at(ms);
        if ms == 1000 {
            let leave = Leave { leave_id: LeaveId::new(), since: WallTime(0), keep_sound: false, back_at: None };
            engine.leave(leave, now);
        }
        if ms == 3000 {
            assert!(music(&heard(&mut engine)) > 80, "the music is heard while away");
            engine.back(None, now);
        }
        while sounds * 10_240 / 441 <= ms {
            let pts = t((sounds * 10_240 / 441) as i64);
            engine.feed(FeedItem::Audio(AudioFrame { pts, data: voice.clone() }), now);
            sounds += 1;
        }
        if ms % 40 == 0 {
            let (pts, data) = (t(ms as i64), Bytes::from_static(b"picture"));
            engine.feed(FeedItem::Video(VideoFrame { dts: pts, pts, key: ms == 0, data }), now);
        }
        engine.run(now);
        if ms == 4500 {
            assert!(music(&heard(&mut engine)) > 20, "and for a second more");
        }
    }
    let heard = heard(&mut engine);
    let voices = heard.iter().filter(|sound| **sound == voice).count();
    assert!(music(&heard) == 0 && voices > 120, "{} of the music, {voices} of the voice", music(&heard));
}
