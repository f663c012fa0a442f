//! Reading FLV as a stream of bytes: what HTTP-FLV gives, or a file.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::clock::Unroll;
use super::{FlvError, Metadata, TAG_AUDIO, TAG_DATA, TAG_VIDEO, Tracks};
use crate::amf;
use crate::frame::FeedItem;

/// Largest tag that is taken, in bytes.
const TAG_MAX: usize = 4 << 20;
/// Longest file header that is taken, in bytes; the format's own has 9.
const HEADER_MAX: usize = 64;

/// Reads FLV from bytes that arrive in pieces of any size.
///
/// It holds at most one tag, and what the caller has not polled yet.
#[derive(Debug, Default)]
pub struct Demuxer {
    buffer: BytesMut,
    header_read: bool,
    tracks: Tracks,
    clock: Unroll,
    items: VecDeque<FeedItem>,
    scratch: Vec<FeedItem>,
    metadata: Option<Metadata>,
    skipped: u64,
}

impl Demuxer {
    /// A reader at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When this is no FLV, or its codecs are not taken. A broken tag is left out and counted.
    pub fn input(&mut self, bytes: &[u8]) -> Result<(), FlvError> {
        self.buffer.extend_from_slice(bytes);
        if !self.header_read && !self.read_header()? {
            return Ok(());
        }
        while self.read_tag()? {}
        Ok(())
    }

    /// The next configuration or frame.
    pub fn poll(&mut self) -> Option<FeedItem> {
        self.items.pop_front()
    }

    /// What the last `onMetaData` said.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Tags that were left out because they are broken.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn read_header(&mut self) -> Result<bool, FlvError> {
        let have = self.buffer.len().min(3);
        if self.buffer[..have] != b"FLV"[..have] {
            return Err(FlvError::NotFlv("it does not begin with FLV"));
        }
        if self.buffer.len() < 9 {
            return Ok(false);
        }
        let [a, b, c, d] = [self.buffer[5], self.buffer[6], self.buffer[7], self.buffer[8]];
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(9..=HEADER_MAX).contains(&size) {
            return Err(FlvError::NotFlv("its header's length is wrong"));
        }
        if self.buffer.len() < size + 4 {
            return Ok(false);
        }
        self.buffer.advance(size + 4);
        self.header_read = true;
        Ok(true)
    }

    fn read_tag(&mut self) -> Result<bool, FlvError> {
        let Some(head) = self.buffer.first_chunk::<11>() else { return Ok(false) };
        let kind = head[0];
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let at = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        if kind & 0x20 != 0 {
            return Err(FlvError::NotFlv("it is encrypted"));
        }
        if size > TAG_MAX {
            return Err(FlvError::NotFlv("a tag is longer than 4 MiB"));
        }
        if self.buffer.len() < 11 + size + 4 {
            return Ok(false);
        }
        self.buffer.advance(11);
        let payload = self.buffer.split_to(size).freeze();
        let back = self.buffer.get_u32() as usize;
        // Writers disagree about the back pointer of an empty stream; a wild one means that the tags are lost.
        if back != size + 11 && back != 0 {
            return Err(FlvError::NotFlv("a tag's two lengths do not match"));
        }
        match self.tag(kind & 0x1F, at, payload) {
            Err(e) if e.is_survivable() => self.skipped += 1,
            other => other?,
        }
        Ok(true)
    }

    fn tag(&mut self, kind: u8, at: u32, payload: Bytes) -> Result<(), FlvError> {
        self.scratch.clear();
        match kind {
            TAG_VIDEO => self.tracks.video(self.clock.peek(at), payload, &mut self.scratch)?,
            TAG_AUDIO => self.tracks.audio(self.clock.peek(at), payload, &mut self.scratch)?,
            TAG_DATA => {
                let (values, _) = amf::decode_lenient(&payload);
                if let [amf::Value::String(name), object, ..] = &values[..]
                    && name == "onMetaData"
                {
                    self.metadata = Some(Metadata::from_amf(object));
                }
            }
            _ => return Err(FlvError::Bad("a tag of an unknown type")),
        }
        // Only frames move the clock: a configuration's timestamp may be anything.
        if self.scratch.iter().any(|i| matches!(i, FeedItem::Video(_) | FeedItem::Audio(_))) {
            self.clock.next(at);
        }
        self.items.extend(self.scratch.drain(..));
        Ok(())
    }
}
