//! Writing boxes: a length that is filled in when the box is complete.

use bytes::{BufMut, BytesMut};

/// Writes boxes one after the other into one buffer.
pub(crate) struct Boxes {
    pub(crate) out: BytesMut,
}

impl Boxes {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: BytesMut::with_capacity(bytes) }
    }

    /// A box whose content `fill` writes.
    pub(crate) fn plain(&mut self, kind: &[u8; 4], fill: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.out.put_u32(0);
        self.out.put_slice(kind);
        fill(self);
        // Boxes of ours hold a frame at most: far below 4 GiB.
        let length = (self.out.len() - start) as u32;
        self.out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// A box with version and flags.
    pub(crate) fn full(&mut self, kind: &[u8; 4], version: u8, flags: u32, fill: impl FnOnce(&mut Self)) {
        self.plain(kind, |b| {
            b.out.put_u32(u32::from(version) << 24 | flags);
            fill(b);
        });
    }

    pub(crate) fn zeros(&mut self, count: usize) {
        self.out.put_bytes(0, count);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.out.put_u16(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.out.put_u32(value);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.out.put_u64(value);
    }

    pub(crate) fn slice(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }
}
