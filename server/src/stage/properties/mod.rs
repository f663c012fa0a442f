//! Properties of the whole engine under any sequence of inputs, against a [`model`] of the world.
//!
//! Every run tries other sequences; `PROPTEST_CASES` says how many (`make soak`: 100,000). A run that fails
//! prints its seed, which `PROPTEST_RNG_SEED` repeats, and shrinks the sequence to the shortest: that goes
//! to [`regressions`].

#![allow(clippy::unwrap_used)]

mod checks;
mod model;
mod outcomes;
mod publisher;
mod regressions;
mod returns;

use std::hash::{BuildHasher, RandomState};

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use model::{Api, Model, Op};
use publisher::Shape;

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        4 => Just(Shape::Plain),
        2 => Just(Shape::Wide),
        2 => Just(Shape::Reordered),
        2 => Just(Shape::Far),
        1 => Just(Shape::Mute),
        1 => Just(Shape::SoundOnly),
    ]
}

fn api() -> impl Strategy<Value = Api> {
    prop_oneof![Just(Api::Cut), Just(Api::Now), Just(Api::Late)]
}

fn op() -> impl Strategy<Value = Op> {
    let hours = 3_600_000i64;
    let jump = prop_oneof![Just(hours), Just(-hours), -900i64..0, -900i64..900, Just(1i64 << 32), Just(-5000)];
    prop_oneof![
        6 => (1u64..4000).prop_map(Op::Run),
        2 => (1u64..1500).prop_map(Op::Stall),
        1 => (1500u64..9000).prop_map(Op::Stall),
        2 => (1u64..5000).prop_map(Op::Hold),
        1 => (1u64..3000).prop_map(Op::Slower),
        1 => (1u64..6).prop_map(Op::Thin),
        2 => (1u64..2500).prop_map(Op::NoPicture),
        1 => (1u64..2500).prop_map(Op::NoSound),
        2 => Just(Op::Lose),
        1 => Just(Op::Goodbye),
        3 => (shape(), any::<bool>()).prop_map(|(shape, marks)| Op::Come(shape, marks)),
        2 => any::<bool>().prop_map(|keep_sound| Op::Leave { keep_sound }),
        2 => Just(Op::Back),
        3 => (any::<bool>(), api()).prop_map(|(keep_sound, api)| Op::AppLeave { keep_sound, api }),
        3 => any::<bool>().prop_map(|api| Op::AppBack { api }),
        1 => Just(Op::AppHears),
        1 => Just(Op::HeldUp),
        2 => Just(Op::Cover),
        3 => Just(Op::Restore),
        1 => Just(Op::End),
        2 => jump.prop_map(Op::Jump),
        1 => shape().prop_map(Op::Change),
        2 => Just(Op::SlatesReady),
    ]
}

#[test]
fn whatever_happens_the_programme_is_whole_and_hides_what_it_must() {
    let seed = match ProptestConfig::default().rng_seed {
        // Drawn here, so that it can be told.
        RngSeed::Random => RandomState::new().hash_one("a seed"),
        RngSeed::Fixed(seed) => seed,
    };
    let mut runner = TestRunner::new(ProptestConfig {
        max_shrink_iters: 4000,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let case = (
        prop_oneof![4 => Just(0u64), 1 => Just(2000)],
        prop_oneof![Just(0u64), Just(90), Just(4000)],
        (shape(), any::<bool>()),
        prop::collection::vec(op(), 1..25),
    );
    let result = runner.run(&case, |(delay, store, (first, marks), ops)| {
        let mut model = Model::new(delay);
        model.store = store;
        model.come(first, marks);
        for op in &ops {
            model.apply(op)?;
        }
        model.settles()
    });
    if let Err(error) = result {
        panic!("PROPTEST_RNG_SEED={seed}: {error}\n(delay, store, (first, marks), ops)");
    }
}

#[test]
fn a_publisher_that_sends_too_fast_waits_and_loses_nothing() {
    let mut model = Model::new(0);
    model.come(Shape::Plain, false);
    model.pass(1000, true, true).unwrap();
    // Twenty seconds in one moment, but for what a start with a burst may leave out.
    let end = model.now + 20_000;
    model.capture(end, true, true);
    model.hurry();
    let live = model.seen.live_chunks;
    model.disturbed = u64::MAX;
    model.pass(19_000, false, false).unwrap();
    let seen = model.seen.live_chunks - live;
    assert!((595..=605).contains(&seen), "{seen} of 600 pictures");
}

#[test]
fn a_jump_of_the_publishers_clock_is_not_seen() {
    for jump in [3_600_000, -3_600_000, 1i64 << 32, -(1i64 << 32), 5000, -5000] {
        let mut model = Model::new(0);
        model.come(Shape::Plain, false);
        model.pass(3000, true, true).unwrap();
        let (live, sounds) = (model.seen.live_chunks, model.seen.sounds);
        model.base += jump;
        model.pass(2000, true, true).unwrap();
        assert_eq!(model.seen.stage, Some(mujian_protocol::room::Stage::Live));
        let (live, sounds) = (model.seen.live_chunks - live, model.seen.sounds - sounds);
        assert!(live >= 59 && sounds >= 90, "{jump}: {live} pictures, {sounds} sounds");
        model.disturbed = 0;
        model.pass(1000, true, true).unwrap();
    }
}
