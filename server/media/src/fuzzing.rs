//! What the fuzz targets of tests/fuzz do with their bytes, here so that a plain test replays the
//! kept corpus through the very same code. Each panics if something that must hold does not.
#![allow(missing_docs)]

use bytes::Bytes;

use crate::{aac, avc, websocket};

pub fn avc_config(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(config) = avc::parse_avcc(bytes.clone()) {
        assert!((1..=avc::MAX_SIDE).contains(&config.width) && (1..=avc::MAX_SIDE).contains(&config.height));
        assert_eq!(avc::parse_avcc(config.avcc.clone()).as_ref(), Ok(&config), "writing it anew changes nothing");
        let in_band = avc::access_unit(&avc::in_band_parameter_sets(&config), 4).expect("ours");
        assert!(in_band.data.is_empty() && !in_band.sps.is_empty() && !in_band.pps.is_empty());
    }
    let units = [1, 2, 4].map(|size| avc::access_unit(&bytes, size));
    for unit in units.into_iter().chain([avc::annexb_to_avcc(data)]).flatten() {
        let again = avc::access_unit(&unit.data, 4).expect("ours");
        assert_eq!((&again.data, again.key, again.picture), (&unit.data, unit.key, unit.picture));
        if let (Some(sps), Some(pps)) = (unit.sps.first(), unit.pps.first()) {
            let _ = avc::config_from_parameter_sets(sps, pps);
        }
    }
}

pub fn aac_config(data: &[u8]) {
    if let Ok(config) = aac::parse_asc(Bytes::copy_from_slice(data)) {
        assert_eq!(config, aac::make_asc(config.sample_rate, config.channels));
    }
}

/// The bytes are pieces behind lengths of one byte: a sequence parameter set, a picture parameter set
/// (both without their header byte), slices (with it).
pub fn skip_picture(data: &[u8]) {
    let mut rest = data;
    let mut piece = || {
        let (length, after) = rest.split_first()?;
        let (piece, after) = after.split_at_checked(usize::from(*length)).unwrap_or((after, &[]));
        rest = after;
        Some(piece)
    };
    let (Some(sps), Some(pps)) = (piece(), piece()) else { return };
    avc::skip::fuzz(sps, pps, std::iter::from_fn(piece));
}

/// What comes in pieces means the same as what comes at once.
pub fn viewer_frames(data: &[u8]) {
    let read = |size: usize| {
        let mut frames = websocket::ViewerFrames::default();
        let mut requests = Vec::new();
        for mut piece in data.chunks(size) {
            while !piece.is_empty() {
                match frames.read(&mut piece) {
                    Ok(request) => requests.extend(request),
                    Err(violation) => return (requests, Some(violation)),
                }
            }
        }
        (requests, None)
    };
    assert_eq!(read(1), read(data.len().max(1)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn replay(name: &str, target: fn(&[u8])) {
        let folder = format!("{}/../../tests/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut count = 0;
        for file in std::fs::read_dir(&folder).unwrap() {
            target(&std::fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{folder} is empty");
    }

    #[test]
    fn the_kept_corpus_passes() {
        replay("avc_config", avc_config);
        replay("aac_config", aac_config);
        replay("skip_picture", skip_picture);
        replay("viewer_frames", viewer_frames);
    }

    /// The seeds are of use only while real streams reach the depths of the parsers.
    #[test]
    fn real_streams_make_skipped_pictures_in_the_target() {
        let encoded = testing::encode(4, "-profile:v high -bf 2 -x264-params b-adapt=0");
        let mut seed = Vec::new();
        let mut put = |piece: &[u8]| {
            let piece = &piece[..piece.len().min(255)];
            seed.push(piece.len() as u8);
            seed.extend_from_slice(piece);
        };
        put(&encoded.units[0].sps[0][1..]);
        put(&encoded.units[0].pps[0][1..]);
        for unit in &encoded.units {
            let slice = avc::nals(&unit.data).find(|nal| matches!(nal[0] & 0x1f, 1 | 5)).unwrap();
            put(&slice[..slice.len().min(40)]);
        }
        skip_picture(&seed);
    }
}
