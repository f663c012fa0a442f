use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::testing;
use crate::time::MediaTime;

#[test]
fn reads_what_libx264_writes() {
    for (source, x264, width, height, fps) in [
        ("testsrc2=s=320x176:r=30", "-profile:v baseline", 320, 176, 30),
        ("testsrc2=s=854x480:r=25", "-profile:v main", 854, 480, 25),
        ("testsrc2=s=1920x1080:r=60", "-profile:v high -preset veryfast", 1920, 1080, 60),
        ("testsrc2=s=322x178:r=30", "-profile:v high -x264-params cqm=jvt", 322, 178, 30),
        ("testsrc2=s=320x176:r=50", "-profile:v high -flags +ildct+ilme -weightp 0", 320, 176, 50),
    ] {
        let encoded = testing::encode_source(source, 2, x264);
        assert_eq!((encoded.config.width, encoded.config.height), (width, height), "{x264}");
        assert_eq!(encoded.config.frame_duration, Some(MediaTime::from_scale(1, fps)), "{x264}");
        assert_eq!(parse_avcc(encoded.config.avcc.clone()).as_ref(), Ok(&encoded.config));
        assert!(encoded.units[0].key && !encoded.units[1].key);
    }
}

#[test]
fn decodes_the_same_after_the_form_changed() {
    let encoded = testing::encode(20, "-profile:v high -g 10 -bf 2");
    let direct = testing::ffmpeg(
        "-f lavfi -i testsrc2=s=320x176:r=30 -frames:v 20 -pix_fmt yuv420p -c:v libx264 -threads 1 -profile:v high -g 10 -bf 2 -f h264 -",
        &[],
    );
    let again = testing::byte_stream(&encoded.config, encoded.units.iter().map(|unit| (unit.key, unit.data.clone())));
    assert_eq!(testing::picture_sums(&again), testing::picture_sums(&direct));
}

#[test]
fn lengths_of_every_size_become_four_bytes() {
    let encoded = testing::encode(1, "-profile:v main");
    let config = &encoded.config;
    let whole = [&in_band_parameter_sets(config)[..], &encoded.units[0].data].concat();
    for size in [1u8, 2, 4] {
        let mut record = BytesMut::from(&config.avcc[..]);
        record[4] = 0xfc | (size - 1);
        let record = record.freeze();
        assert_eq!(length_size(&record), Ok(size));
        assert_eq!(parse_avcc(record).as_ref(), Ok(config));
        let mut coded = BytesMut::new();
        let mut expected = BytesMut::new();
        for nal in nals(&whole).filter(|nal| size > 1 || nal.len() < 256) {
            coded.put_uint(nal.len() as u64, size.into());
            coded.put_slice(nal);
            if !matches!(nal[0] & 0x1f, 7 | 8) {
                expected.put_u32(nal.len() as u32);
                expected.put_slice(nal);
            }
        }
        let unit = access_unit(&coded.freeze(), size).unwrap();
        assert_eq!(unit.data, expected);
        assert_eq!((unit.sps.len(), unit.pps.len()), (1, 1));
        assert_eq!(config_from_parameter_sets(&unit.sps[0], &unit.pps[0]).as_ref(), Ok(config));
    }
}

#[test]
fn bytes_in_our_form_are_not_copied() {
    let data = Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88, 0, 0, 0, 1, 0x06]);
    let unit = access_unit(&data, 4).unwrap();
    assert_eq!(unit.data.as_ptr(), data.as_ptr());
    assert!(unit.key && unit.picture);
}

#[test]
fn refuses_what_players_cannot_show() {
    for (pixels, profile) in
        [("yuv422p", "high422"), ("yuv444p", "high444"), ("yuv420p10le", "high10"), ("gray", "high")]
    {
        let stream = testing::ffmpeg(
            &format!(
                "-f lavfi -i testsrc2=s=64x64 -frames:v 1 -pix_fmt {pixels} -c:v libx264 -profile:v {profile} -f h264 -"
            ),
            &[],
        );
        let unit = annexb_to_avcc(&stream).unwrap();
        let refused = config_from_parameter_sets(&unit.sps[0], &unit.pps[0]);
        assert!(matches!(refused, Err(AvcError::Unsupported(_))), "{pixels}: {refused:?}");
    }
}

#[test]
fn damaged_records_are_refused() {
    let avcc = testing::encode(1, "-profile:v high").config.avcc;
    // The last four bytes are the extension of the high profiles, which is not needed.
    for length in 0..avcc.len() - 4 {
        assert!(parse_avcc(avcc.slice(..length)).is_err(), "{length}");
    }
    assert_eq!(
        parse_avcc(Bytes::from_static(&[1, 0, 0, 0, 0xff, 0xe0, 0])),
        Err(AvcError::Missing("sequence parameter set"))
    );
    let three = [&avcc[..4], &[0xfe], &avcc[5..]].concat();
    assert_eq!(parse_avcc(three.into()), Err(AvcError::Malformed("configuration")));
    assert_eq!(annexb_to_avcc(b"no start code"), Err(AvcError::Malformed("frame")));
    assert_eq!(access_unit(&Bytes::from_static(&[0, 0, 0, 9, 1]), 4), Err(AvcError::Malformed("frame")));
}

#[test]
fn huge_pictures_are_refused() {
    let mut w = BitWriter::new();
    w.bits(0x42001e, 24);
    for value in [0, 0, 0, 0, 1] {
        w.ue(value);
    }
    w.flag(false);
    w.ue(0xffff);
    w.ue(0xffff);
    w.bits(0b1100, 4);
    let mut sps = vec![0x67];
    super::bits::escape_into(&mut sps, &w.into_bytes());
    assert_eq!(
        config_from_parameter_sets(&sps, &[0x68, 0xce, 0x3c, 0x80]),
        Err(AvcError::TooLarge { width: 1_048_576, height: 1_048_576 })
    );
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_result(data in prop::collection::vec(any::<u8>(), 0..200), size in 1u8..=4) {
        let _ = parse_avcc(data.clone().into());
        let _ = config_from_parameter_sets(&[&[0x67], &data[..]].concat(), &[&[0x68], &data[..]].concat());
        let _ = annexb_to_avcc(&data);
        if let Ok(unit) = access_unit(&data.into(), size) {
            prop_assert!(nals(&unit.data).all(|nal| !nal.is_empty()));
        }
    }
}
