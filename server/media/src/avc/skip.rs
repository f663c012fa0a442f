//! Pictures made from nothing: a hole in the video is filled with P pictures in which every
//! macroblock is skipped, so that the last picture stands still.
//!
//! They are not references, so what comes after them decodes as if they were not there.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::bits::{BitWriter, escape_into};
use super::cabac;
use super::nal::{LengthPrefixed, put_nal};
use super::pps::Pps;
use super::record;
use super::slice::{self, SliceHeader};
use super::sps::{PocType, Sps};
use crate::frame::{VideoConfig, VideoFrame};

/// Follows a stream and makes the pictures that fill its holes.
#[derive(Clone, Debug, Default)]
pub struct SkipPictures {
    sets: Arc<Sets>,
    /// None until the first key frame, and after damage.
    state: Option<State>,
}

#[derive(Debug, Default)]
struct Sets {
    sps: Vec<Sps>,
    pps: Vec<Pps>,
}

/// What decoding has come to (8.2.1, 8.2.5).
#[derive(Clone, Copy, Debug)]
struct State {
    /// The picture parameter set in use.
    pps_id: u32,
    /// `frame_num` of the last reference picture.
    ref_frame_num: u32,
    /// How the order continues from the last reference picture (`prevPicOrderCntMsb` and `Lsb`).
    prev_poc: (i64, i64),
    /// The last in output of all pictures since the last IDR picture.
    max_poc: i64,
    /// The reference picture that is shown last, which is repeated: how many places of `frame_num`
    /// before the last reference picture, and its order.
    shown: (u32, i64),
}

impl SkipPictures {
    /// For a stream of this configuration, from its next key frame on.
    #[must_use]
    pub fn new(config: &VideoConfig) -> Self {
        let sets = record::split(&config.avcc).unwrap_or_default();
        Self {
            sets: Arc::new(Sets {
                sps: sets.sps.iter().filter_map(|nal| Sps::parse(nal).ok()).collect(),
                pps: sets.pps.iter().filter_map(|nal| Pps::parse(nal).ok()).collect(),
            }),
            state: None,
        }
    }

    /// Follows a picture of the stream. To be called with every one, in decoding order; a stream out
    /// of which some were dropped must go on with a key frame.
    pub fn observe(&mut self, frame: &VideoFrame) {
        let slice = LengthPrefixed::new(&frame.data, 4)
            .map_while(Result::ok)
            .find(|nal| matches!(nal.first().map(|header| header & 0x1f), Some(1 | 5)));
        self.state = slice.and_then(|nal| self.follow(nal));
    }

    fn follow(&self, nal: &[u8]) -> Option<State> {
        let pps_id = slice::parameter_set_id(nal)?;
        let (sps, pps) = self.sets.find(pps_id)?;
        let slice = SliceHeader::parse(nal, sps, pps).ok()?;
        let last = if slice.idr { None } else { Some(self.state?) };

        let (poc, prev_poc) = match sps.poc {
            PocType::Lsb { bits } => {
                let half = 1i64 << (bits - 1);
                let (prev_msb, prev_lsb) = last.map_or((0, 0), |last| last.prev_poc);
                let lsb = i64::from(slice.poc_lsb);
                let msb = if lsb < prev_lsb && prev_lsb - lsb >= half {
                    prev_msb + 2 * half
                } else if lsb > prev_lsb && lsb - prev_lsb > half {
                    prev_msb - 2 * half
                } else {
                    prev_msb
                };
                (msb + lsb, (msb, lsb))
            }
            // Not used for anything: the order of output is that of decoding.
            _ => (0, (0, 0)),
        };
        let max_of_frame = poc + i64::from(slice.delta_poc_bottom.max(0));
        let mut state = State {
            pps_id,
            ref_frame_num: slice.frame_num,
            prev_poc,
            max_poc: last.map_or(max_of_frame, |last| last.max_poc.max(max_of_frame)),
            shown: (0, poc),
        };
        let Some(last) = last else { return Some(state) };
        if !slice.reference {
            // The picture itself leaves no trace but its place in the order of output.
            return Some(State { pps_id, max_poc: state.max_poc, ..last });
        }
        if slice.marking.long_term {
            // The default list would begin with another picture. No encoder for live does this.
            return None;
        }
        if slice.marking.reset {
            // 8.2.1: the picture counts as the first of a new sequence.
            state.ref_frame_num = 0;
            let bottom = i64::from(slice.delta_poc_bottom);
            let top = -bottom.min(0);
            state.prev_poc = (0, top);
            state.max_poc = bottom.abs();
            state.shown = (0, top);
            return Some(state);
        }
        let (behind, shown_poc) = last.shown;
        let still_there = if slice.marking.explicit {
            behind < 32 && slice.marking.removed >> behind & 1 == 0
        } else {
            behind + 1 < sps.max_ref_frames
        };
        if still_there && matches!(sps.poc, PocType::Lsb { .. }) && shown_poc > poc {
            // A reference between two others (a pyramid of B pictures): the later one is on screen last.
            state.shown = (behind + 1, shown_poc);
        }
        Some(state)
    }

    /// An access unit, in Mujian's form, of one picture that repeats the reference picture shown last.
    ///
    /// It goes after the last picture observed, any number of times, and is shown after it. None before the
    /// first key frame, and for streams of a shape that this is not made for: interlaced ones, several
    /// slice groups, redundant pictures, order of output in cycles (type 1).
    #[must_use]
    pub fn make(&mut self) -> Option<Bytes> {
        let state = self.state?;
        let (sps, pps) = self.sets.find(state.pps_id)?;
        if !sps.frame_mbs_only || sps.separate_colour_planes || pps.slice_groups || pps.redundant_pictures {
            return None;
        }
        let frame_nums = 1u32 << sps.frame_num_bits;
        let mut w = BitWriter::new();
        let (first_macroblock, all_p) = (0, 5);
        w.ue(first_macroblock);
        w.ue(all_p);
        w.ue(pps.id);
        w.bits((state.ref_frame_num + 1) % frame_nums, sps.frame_num_bits);
        match sps.poc {
            PocType::Lsb { bits } => {
                let poc = state.max_poc + 1;
                let (msb, lsb) = state.prev_poc;
                // Decoders take the nearest order that has these low bits.
                if poc - (msb + lsb) >= 1 << (bits - 1) {
                    return None;
                }
                w.bits(poc.rem_euclid(1 << bits) as u32, bits);
                if pps.bottom_field_order {
                    w.se(0);
                }
            }
            PocType::Cycle { .. } => return None,
            PocType::FrameNum => {}
        }
        let override_count = true;
        w.flag(override_count);
        w.ue(0);
        let (behind, _) = state.shown;
        w.flag(behind > 0);
        if behind > 0 {
            let (subtract, end) = (0, 3);
            w.ue(subtract);
            // By default the list begins with the picture one frame_num back.
            w.ue(behind);
            w.ue(end);
        }
        if pps.weighted_pred {
            // Denominators of 1, and no weights.
            w.ue(0);
            w.ue(0);
            w.bits(0, 2);
        }
        if pps.cabac {
            let init_idc = 0;
            w.ue(init_idc);
            w.se(cabac::SLICE_QP - pps.init_qp);
        } else {
            w.se(0);
        }
        if pps.deblocking_control {
            let disabled = 1;
            w.ue(disabled);
        }
        let macroblocks = sps.width_mbs * sps.height_mbs;
        if pps.cabac {
            cabac::skipped_macroblocks(&mut w, macroblocks);
        } else {
            w.ue(macroblocks);
            let stop = true;
            w.flag(stop);
        }
        Some(unit(&w.into_bytes()))
    }
}

impl Sets {
    fn find(&self, pps_id: u32) -> Option<(&Sps, &Pps)> {
        let pps = self.pps.iter().find(|pps| pps.id == pps_id)?;
        Some((self.sps.iter().find(|sps| sps.id == pps.sps_id)?, pps))
    }
}

/// The slice behind an access unit delimiter: two of these pictures in a row have equal headers, and
/// where they travel as a byte stream only the delimiter tells them apart (7.4.1.2.4).
fn unit(payload: &[u8]) -> Bytes {
    const DELIMITER_I_OR_P: [u8; 2] = [9, 0x30];
    const NON_REFERENCE_SLICE: u8 = 1;
    let mut nal = Vec::with_capacity(payload.len() + 8);
    nal.push(NON_REFERENCE_SLICE);
    escape_into(&mut nal, payload);
    let mut out = BytesMut::with_capacity(nal.len() + 10);
    put_nal(&mut out, &DELIMITER_I_OR_P);
    put_nal(&mut out, &nal);
    out.freeze()
}

/// For fuzzing: any parameter sets and slices are followed and filled without a panic, and what is
/// made is one slice that reads back as a picture that nothing refers to.
///
/// # Panics
/// If that does not hold.
pub(crate) fn fuzz<'a>(sps: &[u8], pps: &[u8], slices: impl Iterator<Item = &'a [u8]>) {
    let (sps, pps) = ([&[0x67], sps].concat(), [&[0x68], pps].concat());
    let Ok(config) = record::config_from_parameter_sets(&sps, &pps) else { return };
    let mut skip = SkipPictures::new(&config);
    for slice in slices {
        let mut data = BytesMut::new();
        put_nal(&mut data, slice);
        let time = crate::time::MediaTime::ZERO;
        skip.observe(&VideoFrame { dts: time, pts: time, key: false, data: data.freeze() });
        let Some(made) = skip.make() else { continue };
        let nals: Vec<_> = LengthPrefixed::new(&made, 4).map_while(Result::ok).collect();
        let [_, slice] = nals[..] else { panic!("a delimiter and a slice") };
        let (sps, pps) = slice::parameter_set_id(slice).and_then(|id| skip.sets.find(id)).expect("known");
        let header = SliceHeader::parse(slice, sps, pps).expect("it reads back");
        assert!(!header.reference && !header.idr);
        let before = skip.state.map(|s| s.max_poc);
        let after = skip.follow(slice).map(|s| s.max_poc - i64::from(matches!(sps.poc, PocType::Lsb { .. })));
        assert_eq!(before, after, "it is shown just after the last picture");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Encoded};

    /// Puts `count` made pictures behind each picture whose index is in `at`.
    fn with_holes_filled(encoded: &Encoded, at: &[usize], count: usize) -> Vec<u8> {
        let mut skip = SkipPictures::new(&encoded.config);
        let mut units = Vec::new();
        for (i, frame) in testing::frames(&encoded.units).into_iter().enumerate() {
            skip.observe(&frame);
            units.push((frame.key, frame.data));
            if at.contains(&i) {
                for _ in 0..count {
                    units.push((false, skip.make().expect("this stream can be filled")));
                }
            }
        }
        testing::byte_stream(&encoded.config, units)
    }

    fn original(encoded: &Encoded) -> Vec<String> {
        let units = encoded.units.iter().map(|unit| (unit.key, unit.data.clone()));
        testing::picture_sums(&testing::byte_stream(&encoded.config, units))
    }

    #[test]
    fn the_last_picture_stands_still_and_the_rest_is_untouched() {
        for x264 in [
            "-profile:v baseline -tune zerolatency -g 30",
            "-profile:v main -tune zerolatency -g 30 -refs 4",
            "-profile:v high -tune zerolatency -g 30 -x264-params slices=3",
            "-profile:v high -bf 0 -g 30 -qp 12",
            "-profile:v high -bf 0 -g 30 -coder 0",
            "-profile:v main -bf 0 -g 30 -weightp 2 -preset slow",
            "-profile:v high -bf 0 -g 30 -x264-params no-deblock=1",
            "-profile:v high -bf 0 -g 300 -refs 1 -x264-params intra-refresh=1",
        ] {
            let encoded = testing::encode_source("testsrc2=s=322x178:r=30,fade=out:20:20", 60, x264);
            let at = [0, 1, 17, 29, 30, 59];
            for count in [1, 20] {
                let mut expected = Vec::new();
                for (i, sum) in original(&encoded).into_iter().enumerate() {
                    let copies = if at.contains(&i) { count } else { 0 };
                    expected.extend(std::iter::repeat_n(sum, 1 + copies));
                }
                let filled = testing::picture_sums(&with_holes_filled(&encoded, &at, count));
                assert_eq!(filled, expected, "{x264}, {count} in a row");
            }
        }
    }

    /// Decoding order is I0 P3 B1 B2 P6 B4 B5 and so on: where a group of B pictures is complete, the
    /// picture on screen is the P before them.
    #[test]
    fn with_b_pictures_the_one_on_screen_stands_still() {
        for x264 in [
            "-profile:v main -bf 2 -g 31 -x264-params b-adapt=0:b-pyramid=none:scenecut=0",
            "-profile:v high -bf 2 -g 31 -x264-params b-adapt=0:b-pyramid=none:scenecut=0:weightb=1:ref=5",
            "-profile:v main -coder 0 -bf 2 -g 31 -x264-params b-adapt=0:b-pyramid=none:scenecut=0",
        ] {
            let encoded = testing::encode(61, x264);
            let complete = [3, 18, 27];
            for count in [1, 20] {
                let mut expected = Vec::new();
                for (i, sum) in original(&encoded).into_iter().enumerate() {
                    let copies = if complete.contains(&i) { count } else { 0 };
                    expected.extend(std::iter::repeat_n(sum, 1 + copies));
                }
                let filled = testing::picture_sums(&with_holes_filled(&encoded, &complete, count));
                assert_eq!(filled, expected, "{x264}, {count} in a row");
            }
        }
    }

    #[test]
    fn in_a_pyramid_the_later_reference_stands_still() {
        let x264 = "-profile:v high -bf 3 -g 33 -x264-params b-adapt=0:b-pyramid=strict:scenecut=0";
        let encoded = testing::encode(65, x264);
        // Decoding order is I0 P4 B2 B1 B3 P8 and so on.
        let mut expected = Vec::new();
        for (i, sum) in original(&encoded).into_iter().enumerate() {
            expected.extend(std::iter::repeat_n(sum, if [4, 16].contains(&i) { 6 } else { 1 }));
        }
        assert_eq!(testing::picture_sums(&with_holes_filled(&encoded, &[4, 16], 5)), expected);
    }

    /// In the middle of a group the B pictures that come late may not be shown, but nothing breaks, and
    /// every reference is as it was.
    #[test]
    fn in_the_middle_of_a_group_nothing_breaks() {
        let encoded = testing::encode(62, "-profile:v high -bf 2 -g 31 -x264-params b-adapt=0:scenecut=0:open-gop=0");
        let original = original(&encoded);
        for at in [1, 2, 4, 5] {
            let filled = testing::picture_sums(&with_holes_filled(&encoded, &[at], 3));
            assert!(filled.ends_with(&original[6..]), "{at}");
        }
    }

    #[test]
    fn what_it_is_not_made_for_it_leaves_alone() {
        let interlaced = testing::encode(3, "-profile:v high -flags +ildct+ilme -weightp 0");
        let mut skip = SkipPictures::new(&interlaced.config);
        for frame in testing::frames(&interlaced.units) {
            skip.observe(&frame);
            assert_eq!(skip.make(), None);
        }
        let plain = testing::encode(3, "-profile:v high");
        let frames = testing::frames(&plain.units);
        let mut skip = SkipPictures::new(&plain.config);
        assert_eq!(skip.make(), None, "nothing to repeat yet");
        skip.observe(&frames[1]);
        assert_eq!(skip.make(), None, "decoding has not started");
        skip.observe(&frames[0]);
        assert!(skip.make().is_some());
        skip.observe(&VideoFrame { data: Bytes::from_static(&[0, 0, 0, 2, 0x41, 0]), ..frames[1].clone() });
        assert_eq!(skip.make(), None, "the stream is damaged");
    }

    #[test]
    fn it_is_small() {
        for (x264, limit) in [("-profile:v baseline", 32), ("-profile:v high", 96)] {
            let encoded = testing::encode_source("testsrc2=s=1920x1080:r=30", 1, x264);
            let mut skip = SkipPictures::new(&encoded.config);
            skip.observe(&testing::frames(&encoded.units)[0]);
            let size = skip.make().unwrap().len();
            assert!(size <= limit, "{size} bytes, {x264}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_slice_ends_in_a_state(
            sps in proptest::collection::vec(proptest::num::u8::ANY, 4..40),
            pps in proptest::collection::vec(proptest::num::u8::ANY, 2..10),
            slices in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 1..40), 0..6),
        ) {
            fuzz(&sps, &pps, slices.iter().map(Vec::as_slice));
        }
    }
}
