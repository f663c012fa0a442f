//! Encoders write NAL units behind start codes (Annex B) or behind lengths; the house's unit of
//! media has 4-byte lengths and keeps parameter sets apart (ISO/IEC 14496-15, 5.3.2).

use bytes::Bytes;

/// An access unit, taken apart.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// NAL units behind 4-byte lengths, without parameter sets, delimiters and filler.
    pub data: Vec<u8>,
    /// The last sequence parameter set in it.
    pub sps: Option<Bytes>,
    /// The last picture parameter set in it.
    pub pps: Option<Bytes>,
    /// It holds an IDR picture.
    pub idr: bool,
}

impl Unit {
    fn take(&mut self, nal: &[u8]) {
        let Some(first) = nal.first() else { return };
        match first & 0x1f {
            7 => self.sps = Some(Bytes::copy_from_slice(nal)),
            8 => self.pps = Some(Bytes::copy_from_slice(nal)),
            // Delimiter, ends of sequence and stream, filler.
            9..=12 => {}
            kind => {
                self.idr |= kind == 5;
                // A NAL of 4 GiB cannot come out of an encoder; such a one is left out.
                if let Ok(length) = u32::try_from(nal.len()) {
                    self.data.extend_from_slice(&length.to_be_bytes());
                    self.data.extend_from_slice(nal);
                }
            }
        }
    }
}

/// Takes an Annex B access unit apart (H.264, annex B.1).
pub(super) fn from_annexb(bytes: &[u8]) -> Unit {
    let mut unit = Unit { data: Vec::with_capacity(bytes.len() + 16), ..Unit::default() };
    let mut rest = match next_start(bytes, 0) {
        Some((_, after)) => &bytes[after..],
        None => return unit,
    };
    loop {
        match next_start(rest, 0) {
            Some((at, after)) => {
                unit.take(without_trailing_zeros(&rest[..at]));
                rest = &rest[after..];
            }
            None => {
                unit.take(without_trailing_zeros(rest));
                return unit;
            }
        }
    }
}

/// Takes an access unit with lengths of 4 bytes apart. A length past the end ends it.
pub(super) fn from_lengths(mut bytes: &[u8]) -> Unit {
    let mut unit = Unit { data: Vec::with_capacity(bytes.len()), ..Unit::default() };
    while let Some((head, tail)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*head) as usize;
        let Some((nal, next)) = tail.split_at_checked(length) else { break };
        unit.take(nal);
        bytes = next;
    }
    unit
}

/// Parameter sets of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
pub(super) fn from_avcc(record: &[u8]) -> Option<(Bytes, Bytes)> {
    let mut at = 5;
    let mut sets: [Option<Bytes>; 2] = [None, None];
    for (set, mask) in sets.iter_mut().zip([0x1f, 0xff]) {
        let count = record.get(at)? & mask;
        at += 1;
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes([*record.get(at)?, *record.get(at + 1)?]));
            *set = Some(Bytes::copy_from_slice(record.get(at + 2..at + 2 + length)?));
            at += 2 + length;
        }
    }
    let [sps, pps] = sets;
    Some((sps?, pps?))
}

/// The next start code from `from` on: where it begins and where the NAL behind it does.
fn next_start(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while at + 3 <= bytes.len() {
        // The third byte of 00 00 01 is at most 1: anything larger rules out three positions.
        match bytes[at + 2] {
            2.. => at += 3,
            1 if bytes[at] == 0 && bytes[at + 1] == 0 => return Some((at, at + 3)),
            _ => at += 1,
        }
    }
    None
}

fn without_trailing_zeros(nal: &[u8]) -> &[u8] {
    let end = nal.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    &nal[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_both_lengths_are_found() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x65, 9, 0, 0, 3, 1];
        let u = from_annexb(&stream);
        assert_eq!(u.sps.as_deref(), Some(&[0x67, 1, 2][..]));
        assert_eq!(u.pps.as_deref(), Some(&[0x68, 3][..]));
        assert!(u.idr);
        assert_eq!(u.data, [0, 0, 0, 6, 0x65, 9, 0, 0, 3, 1]);
    }

    #[test]
    fn lengths_are_read_and_damage_ends_the_unit() {
        let u = from_lengths(&[0, 0, 0, 2, 0x41, 7, 0, 0, 0, 9, 1]);
        assert_eq!(u.data, [0, 0, 0, 2, 0x41, 7]);
        assert!(from_annexb(&[]).data.is_empty());
        assert!(from_annexb(&[0, 0, 1]).data.is_empty());
        assert!(from_annexb(&[1, 2, 3, 4]).data.is_empty());
    }

    #[test]
    fn a_record_gives_its_sets() {
        let record = [1, 100, 0, 31, 0xff, 0xe1, 0, 2, 0x67, 5, 1, 0, 1, 0x68];
        let (sps, pps) = from_avcc(&record).unwrap();
        assert_eq!((&sps[..], &pps[..]), (&[0x67, 5][..], &[0x68][..]));
        for cut in 0..record.len() {
            assert!(from_avcc(&record[..cut]).is_none());
        }
    }
}
