//! Leaving and coming back at odd moments: each has one obvious outcome.

use mujian_protocol::room::Stage;

use super::model::{Api, Model, Op};
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
