//! Splitting access units into NAL units, in both forms that publishers use.

use bytes::{BufMut, Bytes, BytesMut};

use super::AvcError;

const TYPE_SLICE: u8 = 1;
const TYPE_IDR: u8 = 5;
const TYPE_SPS: u8 = 7;
const TYPE_PPS: u8 = 8;
const TYPE_DELIMITER: u8 = 9;
const TYPE_FILLER: u8 = 12;
const TYPE_SPS_EXTENSION: u8 = 13;

/// More parameter sets than this in one access unit are not kept: there are 32 ids of one kind
/// and 256 of the other.
const MAX_PARAMETER_SETS: usize = 32 + 256;

/// An access unit in Mujian's form, and what was taken out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessUnit {
    /// NAL units, each behind a 4-byte length; no parameter sets, delimiters or filler.
    pub data: Bytes,
    /// It holds slices of an IDR picture.
    pub key: bool,
    /// It holds slices at all. One without carries at most a configuration.
    pub picture: bool,
    /// Sequence parameter sets that stood in it, header byte included.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets that stood in it, header byte included.
    pub pps: Vec<Bytes>,
}

impl AccessUnit {
    /// Notes what a NAL unit is; true if it stays in the access unit.
    fn take(&mut self, nal: Bytes) -> bool {
        let Some(header) = nal.first() else { return false };
        match header & 0x1f {
            kind @ TYPE_SLICE..=TYPE_IDR => {
                self.picture = true;
                self.key |= kind == TYPE_IDR;
                true
            }
            TYPE_SPS | TYPE_PPS => {
                if self.sps.len() + self.pps.len() < MAX_PARAMETER_SETS {
                    if header & 0x1f == TYPE_SPS { &mut self.sps } else { &mut self.pps }.push(nal);
                }
                false
            }
            TYPE_DELIMITER..=TYPE_FILLER | TYPE_SPS_EXTENSION => false,
            _ => true,
        }
    }
}

/// Goes through NAL units that stand behind lengths of `size` bytes.
pub(crate) struct LengthPrefixed<'a> {
    data: &'a [u8],
    size: usize,
}

impl<'a> LengthPrefixed<'a> {
    pub(crate) fn new(data: &'a [u8], size: u8) -> Self {
        Self { data, size: usize::from(size) }
    }
}

impl<'a> Iterator for LengthPrefixed<'a> {
    type Item = Result<&'a [u8], AvcError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.data.is_empty() {
            return None;
        }
        let split = self.data.split_at_checked(self.size).and_then(|(length, rest)| {
            let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
            rest.split_at_checked(length)
        });
        match split {
            Some((nal, rest)) => {
                self.data = rest;
                Some(Ok(nal))
            }
            None => {
                self.data = &[];
                Some(Err(AvcError::Malformed("frame")))
            }
        }
    }
}

/// Brings an access unit whose NAL units stand behind lengths of `length_size` bytes (see
/// [`super::length_size`]) into Mujian's form. Bytes that have it already are not copied.
///
/// # Errors
/// A length reaches past the end.
pub fn access_unit(data: &Bytes, length_size: u8) -> Result<AccessUnit, AvcError> {
    let mut unit = AccessUnit::default();
    let mut kept = Vec::new();
    let mut changed = length_size != 4;
    for nal in LengthPrefixed::new(data, length_size) {
        let nal = nal?;
        if unit.take(data.slice_ref(nal)) {
            kept.push(nal);
        } else {
            changed = true;
        }
    }
    unit.data = if changed { join(&kept) } else { data.clone() };
    Ok(unit)
}

/// Brings an access unit in the byte stream format (ITU-T H.264, annex B) into Mujian's form.
///
/// # Errors
/// There is no start code in it.
pub fn annexb_to_avcc(stream: &[u8]) -> Result<AccessUnit, AvcError> {
    let mut unit = AccessUnit::default();
    let mut kept = Vec::new();
    let mut rest = match next_start_code(stream) {
        Some((_, after)) => Some(after),
        None if stream.iter().all(|byte| *byte == 0) => None,
        None => return Err(AvcError::Malformed("frame")),
    };
    while let Some(data) = rest {
        let (mut nal, after) = match next_start_code(data) {
            Some((before, after)) => (before, Some(after)),
            None => (data, None),
        };
        while let [head @ .., 0] = nal {
            nal = head;
        }
        let stays = match nal.first().map(|header| header & 0x1f) {
            Some(TYPE_SPS | TYPE_PPS) => unit.take(Bytes::copy_from_slice(nal)),
            // Only the kind is looked at: no need for a copy of it all.
            Some(_) => unit.take(Bytes::copy_from_slice(&nal[..1])),
            None => false,
        };
        if stays {
            kept.push(nal);
        }
        rest = after;
    }
    unit.data = join(&kept);
    Ok(unit)
}

/// What stands before the next `00 00 01`, and what behind it.
fn next_start_code(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    // Looks at every third byte only, as long as that cannot be a part of a start code.
    while let Some(third) = data.get(at + 2) {
        match third {
            1 if data[at] == 0 && data[at + 1] == 0 => return Some((&data[..at], &data[at + 3..])),
            0 => at += 1,
            _ => at += 3,
        }
    }
    None
}

/// The NAL units of an access unit in Mujian's form, as far as it is not damaged.
#[cfg(test)]
pub(crate) fn nals(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    LengthPrefixed::new(data, 4).map_while(Result::ok)
}

fn join(nals: &[&[u8]]) -> Bytes {
    let mut out = BytesMut::with_capacity(nals.iter().map(|nal| nal.len() + 4).sum());
    for nal in nals {
        put_nal(&mut out, nal);
    }
    out.freeze()
}

/// Appends a NAL unit behind its 4-byte length.
pub(crate) fn put_nal(out: &mut impl BufMut, nal: &[u8]) {
    // A NAL unit comes out of a message, and those are bounded far below 4 GiB.
    out.put_u32(nal.len() as u32);
    out.put_slice(nal);
}
