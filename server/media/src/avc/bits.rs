//! Reading and writing the bits of a NAL unit: Exp-Golomb codes and emulation prevention
//! (ITU-T H.264, 7.2, 7.3.1 and 9.1).

/// The bits ended, or a code is longer than the syntax allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfBits;

type Result<T> = std::result::Result<T, OutOfBits>;

/// Reads the raw byte sequence payload of a NAL unit, skipping emulation prevention bytes on the way.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    data: &'a [u8],
    /// Index of the byte after `current`.
    next: usize,
    current: u8,
    /// Bits of `current` that were not read yet.
    left: u32,
    /// How many bytes of zero stand directly before `next`.
    zeros: u8,
}

impl<'a> BitReader<'a> {
    /// `payload` is the NAL unit behind its header byte, still with emulation prevention bytes.
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { data: payload, next: 0, current: 0, left: 0, zeros: 0 }
    }

    fn load(&mut self) -> Result<()> {
        let mut byte = *self.data.get(self.next).ok_or(OutOfBits)?;
        self.next += 1;
        if self.zeros >= 2 && byte == 3 {
            self.zeros = 0;
            byte = *self.data.get(self.next).ok_or(OutOfBits)?;
            self.next += 1;
        }
        self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        self.current = byte;
        self.left = 8;
        Ok(())
    }

    pub(crate) fn flag(&mut self) -> Result<bool> {
        if self.left == 0 {
            self.load()?;
        }
        self.left -= 1;
        Ok(self.current >> self.left & 1 == 1)
    }

    /// `u(n)`, at most 32 bits.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32> {
        debug_assert!(count <= 32);
        let mut value = 0u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// `ue(v)`, to 2^32 - 2.
    pub(crate) fn ue(&mut self) -> Result<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(OutOfBits);
            }
        }
        Ok((1u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// `se(v)`.
    pub(crate) fn se(&mut self) -> Result<i32> {
        let code = i64::from(self.ue()?);
        let value = (code + 1) / 2;
        // The code is below 2^32, so half of it fits.
        Ok(if code % 2 == 1 { value as i32 } else { -value as i32 })
    }
}

/// Collects bits, most significant first.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits used in the last byte; 0 when it is full.
    used: u32,
}

impl BitWriter {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn flag(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if bit && let Some(last) = self.bytes.last_mut() {
            *last |= 0x80 >> self.used;
        }
        self.used = (self.used + 1) % 8;
    }

    /// `u(n)`, at most 32 bits.
    pub(crate) fn bits(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 32);
        for i in (0..count).rev() {
            self.flag(value >> i & 1 == 1);
        }
    }

    pub(crate) fn ue(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let length = 64 - code.leading_zeros();
        for _ in 1..length {
            self.flag(false);
        }
        for i in (0..length).rev() {
            self.flag(code >> i & 1 == 1);
        }
    }

    pub(crate) fn se(&mut self, value: i32) {
        let twice = 2 * i64::from(value).abs();
        self.ue(if value > 0 { twice - 1 } else { twice } as u32);
    }

    pub(crate) fn aligned(&self) -> bool {
        self.used == 0
    }

    /// Fills the last byte with zeros and gives the bytes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Appends `payload` to `out` with emulation prevention bytes (7.4.1).
pub(crate) fn escape_into(out: &mut Vec<u8>, payload: &[u8]) {
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_round_trip(values in prop::collection::vec((0u32..u32::MAX, any::<i32>().prop_filter("range", |v| *v > i32::MIN), 0u32..=32), 0..40)) {
            let mut w = BitWriter::new();
            for (u, s, n) in &values {
                w.ue(*u);
                w.se(*s);
                w.bits((u64::from(*u) & ((1u64 << n) - 1)) as u32, *n);
            }
            w.flag(true);
            let mut escaped = Vec::new();
            escape_into(&mut escaped, &w.into_bytes());
            for window in escaped.windows(3) {
                prop_assert!(!(window[0] == 0 && window[1] == 0 && window[2] < 3));
            }
            let mut r = BitReader::new(&escaped);
            for (u, s, n) in &values {
                prop_assert_eq!(r.ue(), Ok(*u));
                prop_assert_eq!(r.se(), Ok(*s));
                prop_assert_eq!(r.bits(*n), Ok((u64::from(*u) & ((1u64 << n) - 1)) as u32));
            }
            prop_assert_eq!(r.flag(), Ok(true));
        }
    }

    #[test]
    fn ends_and_overlong_codes_are_errors() {
        assert_eq!(BitReader::new(&[]).flag(), Err(OutOfBits));
        assert_eq!(BitReader::new(&[0; 16]).ue(), Err(OutOfBits));
        assert_eq!(BitReader::new(&[0, 0, 3]).bits(24), Err(OutOfBits));
        assert_eq!(BitReader::new(&[0, 0, 3, 1]).bits(24), Ok(1));
    }
}
