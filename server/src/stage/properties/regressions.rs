//! Sequences that once broke something, kept for good: what the properties found, at its shortest.

use super::model::{Api, Model, Op};
use super::publisher::Shape;

fn passes(marks: bool, first: Shape, ops: &[Op]) {
    passes_after(0, marks, first, ops);
}

/// The same for viewers who see all so many milliseconds later.
fn passes_after(delay: u64, marks: bool, first: Shape, ops: &[Op]) {
    for store in [0, 90, 4000] {
        let mut model = Model::new(delay);
        model.store = store;
        model.come(first, marks);
        for op in ops {
            model.apply(op).unwrap();
        }
        model.settles().unwrap();
    }
}

/// A held group must not go on behind a key frame that was passed over for a newer one.
#[test]
fn what_is_held_back_is_whole_when_it_is_shown() {
    let ops = [Op::Stall(3148), Op::Run(7102), Op::Jump(-257), Op::Stall(475), Op::Stall(1308), Op::Stall(1500)];
    passes(false, Shape::Plain, &ops);
}

/// The distance from decoding to showing changed in mid-session, and the estimate of "back" with it.
#[test]
fn reordering_begins_in_mid_session() {
    for stall in [300, 900, 2000] {
        let ops = [
            Op::Run(1200),
            Op::Change(Shape::Reordered),
            Op::Run(700),
            Op::Leave { keep_sound: false },
            Op::Hold(stall + 300),
            Op::Run(stall),
            Op::Back,
            Op::Run(3000),
        ];
        passes(false, Shape::Plain, &ops);
    }
}

/// The publisher's clock jumped among the frames that were held up.
#[test]
fn the_clock_jumps_behind_what_was_held_up() {
    for jump in [-5000, -700, -3_600_000, 3_600_000] {
        let ops = [
            Op::Run(2000),
            Op::Leave { keep_sound: false },
            Op::Hold(3000),
            Op::Run(1500),
            Op::Jump(jump),
            Op::Run(1000),
            Op::Back,
            Op::Run(3000),
        ];
        passes(false, Shape::Plain, &ops);
    }
}

/// The app takes an absence over again from which it is just coming back.
#[test]
fn the_same_absence_twice_on_one_connection() {
    let leave = Op::AppLeave { keep_sound: false, api: Api::Now };
    let back = Op::AppBack { api: false };
    passes(true, Shape::Plain, &[leave, back.clone(), Op::AppHears, Op::Run(66), Op::Run(3000)]);
    let cut = Op::AppLeave { keep_sound: false, api: Api::Cut };
    passes(true, Shape::Plain, &[cut, back, Op::Run(107), Op::AppHears]);
}

/// The app lets its sound go on, another device does not: the sound that is on the road stays out.
#[test]
fn sound_that_one_of_two_absences_keeps_out() {
    let app = Op::AppLeave { keep_sound: true, api: Api::Cut };
    let leave = Op::Leave { keep_sound: false };
    let come = Op::Come(Shape::Plain, true);
    passes(true, Shape::Plain, &[leave.clone(), app, leave, come, Op::Run(3099)]);
}

/// The app is back over the API before its away mark has come.
#[test]
fn both_marks_are_held_up() {
    for api in [Api::Now, Api::Late, Api::Cut] {
        let ops = [
            Op::Run(2000),
            Op::Hold(3000),
            Op::AppLeave { keep_sound: false, api },
            Op::Run(1500),
            Op::AppBack { api: api == Api::Now },
            Op::Run(500),
            Op::HeldUp,
            Op::Run(3000),
        ];
        passes(true, Shape::Plain, &ops);
    }
}

/// The app leaves twice within what is held up: the room hears late of the first return, and behind both of them
/// nothing is kept back.
#[test]
fn two_absences_of_the_app_are_held_up() {
    let ops = [
        Op::AppLeave { keep_sound: false, api: Api::Late },
        Op::Hold(911),
        Op::AppBack { api: false },
        Op::AppLeave { keep_sound: false, api: Api::Now },
    ];
    passes(true, Shape::Plain, &ops);
}

/// The clock jumps after the first frame of one track and before the first of the other, which comes much later.
#[test]
fn the_clock_jumps_before_the_other_track_begins() {
    for jump in [-3_600_000, -5000, 3_600_000] {
        let leave = Op::AppLeave { keep_sound: true, api: Api::Cut };
        passes(true, Shape::Plain, &[leave, Op::Run(61), Op::Leave { keep_sound: false }, Op::Jump(jump)]);
        passes(false, Shape::Plain, &[Op::NoSound(66), Op::Jump(jump), Op::Run(1)]);
    }
}

/// A publisher that reorders its pictures becomes one that does not, and leaves some out.
#[test]
fn reordering_ends_in_mid_session() {
    let ops = [Op::Change(Shape::Reordered), Op::Thin(2), Op::Run(642), Op::Change(Shape::Plain), Op::Run(66)];
    passes(false, Shape::Plain, &ops);
}

/// The clock jumps ahead twice, each time before much has come.
#[test]
fn the_clock_jumps_twice() {
    let (hour, wrap) = (Op::Jump(3_600_000), Op::Jump(1 << 32));
    for shape in [Shape::Mute, Shape::Plain] {
        let ops = [Op::Come(shape, false), Op::Run(66), hour.clone(), Op::Stall(2067), wrap.clone(), Op::Stall(2973)];
        passes(false, Shape::Plain, &ops);
    }
}

/// The app comes back from its own absence while another device has left, of which it has not heard: what it sent
/// meanwhile is held up until both are over.
#[test]
fn the_app_comes_back_while_another_device_is_away() {
    for keep_sound in [true, false] {
        let ops = [
            Op::AppLeave { keep_sound, api: Api::Cut },
            Op::Run(40),
            Op::Hold(3059),
            Op::AppBack { api: false },
            Op::Leave { keep_sound: false },
            Op::Run(78),
            Op::Hold(2982),
        ];
        passes(true, Shape::Plain, &ops);
    }
}

/// The app leaves again, with its sound, before it was heard that it was back from an absence without.
#[test]
fn sound_of_the_absence_before_stays_out() {
    let ops = [
        Op::AppLeave { keep_sound: false, api: Api::Cut },
        Op::NoPicture(40),
        Op::Back,
        Op::Hold(2249),
        Op::Run(258),
        Op::AppBack { api: false },
        Op::AppLeave { keep_sound: true, api: Api::Cut },
    ];
    passes(true, Shape::Plain, &ops);
}

/// Frames that were held up carried the edge ahead, which it gave up again when the pictures had used it: the sound was
/// waited for behind the edge, and was further behind the picture.
#[test]
fn sound_is_not_waited_for_behind_an_edge_that_went_back() {
    let ops = [
        Op::Back,
        Op::Hold(2107),
        Op::Restore,
        Op::Change(Shape::Reordered),
        Op::Run(80),
        Op::NoPicture(1080),
        Op::Jump(-3_600_000),
    ];
    passes(false, Shape::Plain, &ops);
}

/// A track that begins after the first absence of its connection: how old its first frame is, nobody can know.
#[test]
fn sound_begins_while_the_streamer_is_away() {
    let ops =
        [Op::Leave { keep_sound: false }, Op::Run(2454), Op::Run(1403), Op::Stall(8031), Op::Change(Shape::Reordered)];
    passes(false, Shape::Mute, &ops);
    passes(true, Shape::Mute, &ops);
}

/// Few pictures, after a stall.
#[test]
fn lips_are_right_where_pictures_are_few() {
    passes(
        false,
        Shape::Plain,
        &[Op::Stall(133), Op::Thin(4), Op::Run(1229), Op::Run(286), Op::Run(1826), Op::Run(2559)],
    );
}

/// The streamer comes back while the programme is ahead of its clock: that is seen when it is not any more.
#[test]
fn a_return_waits_behind_what_came_in_one_burst() {
    let ops = [Op::Stall(3080), Op::Lose, Op::Hold(1027), Op::Leave { keep_sound: false }];
    passes(false, Shape::Far, &ops);
}

/// The streamer comes back behind a cover, which is lifted before the delay has passed: the placeholder goes on until the line
/// gives something again, and does not give way to another slate in between.
#[test]
fn a_return_behind_a_cover_that_is_lifted_before_it_is_seen() {
    let ops = [
        Op::Leave { keep_sound: false },
        Op::Come(Shape::Reordered, false),
        Op::NoSound(383),
        Op::Stall(148),
        Op::Stall(8517),
        Op::Back,
        Op::Cover,
        Op::Run(1792),
    ];
    passes_after(2000, false, Shape::Plain, &ops);
}

/// Most pictures are left out, and the road becomes longer: each stands behind what filled its place.
#[test]
fn few_pictures_on_a_longer_road_stay_with_their_sound() {
    let ops = [Op::Run(66), Op::Thin(4), Op::Slower(47), Op::Run(2626), Op::Run(3546), Op::Run(20_000)];
    passes(false, Shape::Plain, &ops);
}

/// The publisher comes back just before the grace time is over, and viewers see all two seconds later: the stream goes on.
#[test]
fn who_comes_back_within_the_grace_time_goes_on_whatever_the_delay() {
    let ops = [
        Op::Run(106),
        Op::Lose,
        Op::Run(1389),
        Op::Run(3997),
        Op::Run(1979),
        Op::Run(3971),
        Op::Stall(6168),
        Op::Run(2500),
    ];
    passes_after(2000, false, Shape::Plain, &ops);
}
