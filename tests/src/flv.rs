//! A viewer over HTTP-FLV that keeps what it gets and when. It walks the tags by itself (Adobe FLV 10.1, annex E), so
//! that a fault of our own reader cannot hide one of our writer.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::wait;

/// Furthest that two pictures of a stream with 30 a second may be apart, in milliseconds: a frame and a half, and
/// FLV's rounding. It does not depend on how busy the machine is, because it is counted in the stream's own time: how long
/// pictures were held up (60 ms or 600) is not seen in their times, and where the publisher leaves some out, or none comes
/// for 100 ms, the stage puts made ones between them at the stream's own rate.
pub const HOLE: u32 = 51;
/// The same where the built-in slate is shown too, whose 15 pictures a second follow each other exactly.
pub const SLATE_HOLE: u32 = 68;
/// Furthest that two sounds may be apart: 1024 samples at 44.1 kHz are 23.2 ms.
pub const SOUND_HOLE: u32 = 25;

/// A tag as it came.
#[derive(Clone, Debug)]
pub struct Tag {
    /// 8: audio, 9: video, 18: data.
    pub kind: u8,
    /// Its time stamp, in milliseconds.
    pub dts: u32,
    /// What is in it.
    pub body: Bytes,
    /// When its last byte arrived.
    pub at: Instant,
}

impl Tag {
    /// A coded picture (not a configuration).
    #[must_use]
    pub fn is_picture(&self) -> bool {
        self.kind == 9 && self.body.len() > 5 && self.body[0] & 0x0f == 7 && self.body[1] == 1
    }

    /// A coded picture where decoding can start.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.is_picture() && self.body[0] >> 4 == 1
    }

    /// Coded sound (not a configuration).
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.kind == 8 && self.body.len() > 2 && self.body[0] >> 4 == 10 && self.body[1] == 1
    }
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    tags: Vec<Tag>,
    end: Option<String>,
}

/// A viewer that reads in the background.
pub struct Viewer {
    kept: Arc<Mutex<Kept>>,
    task: JoinHandle<()>,
    /// When the request was sent.
    pub began: Instant,
}

impl Viewer {
    /// Opens the address and reads until it is dropped.
    ///
    /// # Errors
    ///
    /// The server did not answer with 200.
    pub async fn open(url: &str) -> Result<Self> {
        let began = Instant::now();
        let answer = reqwest::Client::builder().tcp_nodelay(true).build()?.get(url).send().await?;
        if answer.status() != 200 {
            bail!("{}: {}", answer.status(), answer.text().await?);
        }
        let kept = Arc::new(Mutex::new(Kept::default()));
        let task = tokio::spawn(read(answer, Arc::clone(&kept)));
        Ok(Self { kept, task, began })
    }

    fn with<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        match self.kept.lock() {
            Ok(kept) => look(&kept),
            Err(poisoned) => look(&poisoned.into_inner()),
        }
    }

    /// The tags so far.
    #[must_use]
    pub fn tags(&self) -> Vec<Tag> {
        self.with(|kept| kept.tags.clone())
    }

    /// Why the stream ended, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.with(|kept| kept.end.clone())
    }

    /// How many pictures came so far.
    #[must_use]
    pub fn pictures(&self) -> usize {
        self.with(|kept| kept.tags.iter().filter(|tag| tag.is_picture()).count())
    }

    /// Waits for so many more pictures than there are now.
    ///
    /// # Errors
    ///
    /// They did not come within `limit`.
    pub async fn more_pictures(&self, count: usize, limit: Duration) -> Result<()> {
        let wanted = self.pictures() + count;
        wait::until(&format!("{count} more pictures"), limit, || async {
            if self.pictures() >= wanted {
                return Ok(Some(()));
            }
            if let Some(end) = self.ended() {
                bail!("the stream ended: {end}");
            }
            Ok(None)
        })
        .await
    }

    /// Writes what came so far to a file, whole tags only, so that other programs can look at it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.with(|kept| std::fs::write(path, &kept.bytes))?;
        Ok(())
    }

    /// Checks what a player relies on: in each track time stamps never step back, two pictures are never further apart
    /// than `picture_gap` milliseconds, and neither are two sounds than `sound_gap`.
    ///
    /// # Errors
    ///
    /// It names the first place that is not so.
    pub fn check_timeline(&self, picture_gap: u32, sound_gap: u32) -> Result<()> {
        let tags = self.tags();
        check_track("picture", tags.iter().filter(|t| t.is_picture()), picture_gap)?;
        check_track("sound", tags.iter().filter(|t| t.is_sound()), sound_gap)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn check_track<'a>(what: &str, tags: impl Iterator<Item = &'a Tag>, gap: u32) -> Result<()> {
    let mut last: Option<u32> = None;
    let mut count = 0;
    for tag in tags {
        if let Some(last) = last {
            if tag.dts < last {
                bail!("{what} {count} steps back from {last} ms to {} ms", tag.dts);
            }
            if tag.dts - last > gap {
                bail!("{what} {count}: a hole from {last} ms to {} ms", tag.dts);
            }
        }
        last = Some(tag.dts);
        count += 1;
    }
    if count < 2 {
        bail!("only {count} of the track {what}");
    }
    Ok(())
}

async fn read(answer: reqwest::Response, kept: Arc<Mutex<Kept>>) {
    let mut stream = answer.bytes_stream();
    let mut buffer = BytesMut::new();
    let mut header = false;
    let end = loop {
        match stream.next().await {
            None => break "the server closed it".to_owned(),
            Some(Err(error)) => break error.to_string(),
            Some(Ok(bytes)) => buffer.extend_from_slice(&bytes),
        }
        let at = Instant::now();
        if !header {
            if buffer.len() < 13 {
                continue;
            }
            let head = buffer.split_to(13);
            if let Ok(mut kept) = kept.lock() {
                kept.bytes.extend_from_slice(&head);
            }
            header = true;
        }
        loop {
            match take_tag(&mut buffer, at) {
                Ok(Some((tag, raw))) => {
                    if let Ok(mut kept) = kept.lock() {
                        kept.bytes.extend_from_slice(&raw);
                        kept.tags.push(tag);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    if let Ok(mut kept) = kept.lock() {
                        kept.end = Some(error.to_string());
                    }
                    return;
                }
            }
        }
    };
    if let Ok(mut kept) = kept.lock() {
        kept.end = Some(end);
    }
}

fn take_tag(buffer: &mut BytesMut, at: Instant) -> Result<Option<(Tag, Bytes)>> {
    if buffer.len() < 11 {
        return Ok(None);
    }
    let size = usize::from(buffer[1]) << 16 | usize::from(buffer[2]) << 8 | usize::from(buffer[3]);
    if buffer.len() < 11 + size + 4 {
        return Ok(None);
    }
    let raw = buffer.split_to(11 + size + 4).freeze();
    let dts = u32::from_be_bytes([raw[7], raw[4], raw[5], raw[6]]);
    let body = raw.slice(11..11 + size);
    let back = raw.slice(11 + size..).get_u32();
    if usize::try_from(back).context("size")? != 11 + size {
        bail!("a tag of {} bytes says at its end that it has {back}", 11 + size);
    }
    Ok(Some((Tag { kind: raw[0] & 0x1f, dts, body, at }, raw)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_walked_and_a_wrong_back_pointer_is_seen() {
        let tag = [9u8, 0, 0, 6, 0, 0, 5, 1, 0, 0, 0, 0x17, 1, 0, 0, 0, 9, 0, 0, 0, 17];
        let mut buffer = BytesMut::from(&tag[..]);
        let (read, _) = take_tag(&mut buffer, Instant::now()).unwrap().unwrap();
        assert!(read.is_key() && read.dts == 0x0100_0005);
        let mut wrong = tag;
        wrong[20] = 3;
        assert!(take_tag(&mut BytesMut::from(&wrong[..]), Instant::now()).is_err());
        assert!(take_tag(&mut BytesMut::from(&tag[..20]), Instant::now()).unwrap().is_none());
    }
}
