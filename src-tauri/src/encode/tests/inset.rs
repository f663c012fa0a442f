//! A small picture over the large one, with real encoders.

use mujian_av::inset::Place;
use mujian_protocol::studio::Inset;

use super::*;

/// The brightest point of the left upper quarter, and of the right lower one.
fn corners(picture: &mujian_av::Picture) -> [u8; 2] {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let brightest = |left: usize, top: usize| {
        let rows = (top..top + height / 2).map(|y| &picture.plane(0)[y * picture.stride(0) + left..][..width / 2]);
        rows.flatten().copied().max().unwrap_or_default()
    };
    [brightest(0, 0), brightest(width / 2, height / 2)]
}

#[test]
fn a_small_picture_lies_over_the_large_one_and_goes_on_while_that_stands_still() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    let camera = Arc::new(Pluggable::default());
    pipeline.set_custom_source(camera.source()).unwrap();
    let inset = Inset { source: VideoSource::TestCard, width: 0.5, x: 0.0, y: 0.0 };
    pipeline.set_inset(Some(&inset), Preset::P540f30).unwrap();
    assert!((pipeline.inset_shape().unwrap() - 16.0 / 9.0).abs() < 0.02);
    let mut feed = pipeline.go_live(&live(Preset::P540f30), &software()).unwrap();
    let mut items = Vec::new();
    let mut shown = |feed: &mut Feed, more: usize| {
        items.extend(collect(feed, Duration::from_secs(20), |i| videos(i).len() >= more));
        decode(&items).unwrap()
    };
    let is = |picture: &mujian_av::Picture, bright: [bool; 2]| {
        let found = corners(picture);
        let as_wanted = found.iter().zip(bright).all(|(luma, bright)| if bright { *luma > 150 } else { *luma < 60 });
        assert!(as_wanted, "{found:?}, {bright:?}");
    };
    is(shown(&mut feed, 30).last().unwrap(), [true, false]);
    pipeline.set_inset(Some(&Inset { x: 1.0, y: 1.0, ..inset }), Preset::P540f30).unwrap();
    is(shown(&mut feed, 30).last().unwrap(), [false, true]);
    // The card's clock goes on over the last picture of a lost camera.
    camera.set(Plug::Out);
    told(&pipeline, "that it is lost", camera_is_lost);
    let pictures = shown(&mut feed, 60);
    let differ = |a: &mujian_av::Picture, b: &mujian_av::Picture| {
        a.plane(0).iter().zip(b.plane(0)).filter(|(a, b)| a.abs_diff(**b) > 60).count()
    };
    let (before, after) = (&pictures[pictures.len() - 20], &pictures[pictures.len() - 1]);
    assert!(differ(before, after) > 50, "it stands still");
    is(after, [false, true]);
    pipeline.set_inset(None, Preset::P540f30).unwrap();
    assert_eq!((pipeline.inset_shape(), pipeline.inset_source()), (None, None));
    is(shown(&mut feed, 30).last().unwrap(), [false, false]);
}

#[test]
fn leaving_closes_the_small_picture_too() {
    let _alone = REAL_TIME.lock();
    let gate = Gate::default();
    let pipeline = Pipeline::start(&gate, &Faders::default()).unwrap();
    pipeline.set_source(&VideoSource::TestCard, Preset::P540f30).unwrap();
    let inset = Inset { source: VideoSource::TestCard, width: 0.25, x: 0.0, y: 0.0 };
    pipeline.set_inset(Some(&inset), Preset::P540f30).unwrap();
    gate.close(MediaTime::ZERO, true);
    pipeline.close_source(true).wait();
    assert_eq!((pipeline.inset_shape(), pipeline.inset_source()), (None, None));
    assert!(pipeline.set_inset(Some(&inset), Preset::P540f30).is_err(), "whoever asks has not heard of the press");
    pipeline.knows(gate.closings());
    pipeline.set_inset(Some(&inset), Preset::P540f30).unwrap();
    // And once more, before anybody else hears of it.
    gate.close(MediaTime::ZERO, true);
    assert!(pipeline.set_inset(Some(&inset), Preset::P540f30).is_err());
}

#[test]
fn a_small_picture_that_is_lost_is_told_and_comes_back_by_itself() {
    let _alone = REAL_TIME.lock();
    let pipeline = quiet();
    let (camera, choice) = (Arc::new(Pluggable::default()), VideoSource::Camera { device: "front".into() });
    let corner = Place { width: 0.25, x: 1.0, y: 1.0 };
    pipeline.open_inset(&choice, camera.source(), corner).unwrap();
    camera.set(Plug::Out);
    let lost = |s: &PipelineStatus| s.notices.iter().any(|n| n.code == NoticeCode::InsetLost);
    let status = told(&pipeline, "that it is lost", lost);
    // The large one is well.
    assert_eq!((status.notices.len(), status.source_error), (1, None));
    assert!(pipeline.inset_shape().is_some(), "its last picture stays");
    camera.set(Plug::In);
    told(&pipeline, "that it is back", |s| !lost(s));
    camera.set(Plug::Out);
    told(&pipeline, "that it is lost again", lost);
    pipeline.hide_inset();
    assert!(!lost(&pipeline.status().borrow()), "nobody misses what is not shown");
    assert_eq!(Arc::strong_count(&camera), 1);
}
