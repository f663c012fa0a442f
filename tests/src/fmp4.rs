//! A viewer of fMP4 over WebSocket that keeps what it gets and when. It walks the boxes by itself (ISO/IEC 14496-12),
//! so that a fault of our own reader cannot hide one of our writer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use crate::wait;

/// The track of the picture.
const VIDEO: u32 = 1;

/// What plays with one init segment.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// The init segment and the fragments behind it.
    pub bytes: Vec<u8>,
    /// When each picture arrived, in the order in which they are decoded.
    pub pictures: Vec<Instant>,
}

#[derive(Default)]
struct Kept {
    messages: Vec<(Bytes, Instant)>,
    pictures: usize,
    end: Option<String>,
}

/// Takes what comes.
pub(crate) struct Keeper(Arc<Mutex<Kept>>);

impl Keeper {
    /// An init segment or a fragment, which came now.
    pub(crate) fn keep(&self, bytes: Bytes) {
        let at = Instant::now();
        let pictures = pictures_in(&bytes).unwrap_or(0);
        if let Ok(mut kept) = self.0.lock() {
            kept.pictures += pictures;
            kept.messages.push((bytes, at));
        }
    }
}

/// A viewer that reads in the background.
pub struct Viewer {
    kept: Arc<Mutex<Kept>>,
    task: JoinHandle<()>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Viewer {
    /// Opens the address (`ws://…/live/ROOM.mp4`) and reads until it is dropped.
    ///
    /// # Errors
    ///
    /// The server does not take the socket.
    pub async fn open(url: &str) -> Result<Self> {
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
        Ok(Self::fed(async move |keeper: Keeper| {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Binary(bytes))) => keeper.keep(bytes),
                    Some(Ok(Message::Close(_))) | None => break "the server closed it".to_owned(),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break error.to_string(),
                }
            }
        }))
    }

    /// What `read` is given, until it says why it ended.
    pub(crate) fn fed<F>(read: impl FnOnce(Keeper) -> F) -> Self
    where
        F: Future<Output = String> + Send + 'static,
    {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let reading = read(Keeper(Arc::clone(&kept)));
        let writer = Arc::clone(&kept);
        let task = tokio::spawn(async move {
            let end = reading.await;
            if let Ok(mut kept) = writer.lock() {
                kept.end = Some(end);
            }
        });
        Self { kept, task }
    }

    fn with<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        match self.kept.lock() {
            Ok(kept) => look(&kept),
            Err(poisoned) => look(&poisoned.into_inner()),
        }
    }

    /// Why the stream ended, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.with(|kept| kept.end.clone())
    }

    /// Waits for so many more pictures than there are now.
    ///
    /// # Errors
    ///
    /// They did not come within `limit`.
    pub async fn more_pictures(&self, count: usize, limit: Duration) -> Result<()> {
        let wanted = self.with(|kept| kept.pictures) + count;
        wait::until(&format!("{count} more pictures"), limit, || async {
            if let Some(end) = self.ended() {
                bail!("the stream ended: {end}");
            }
            Ok((self.with(|kept| kept.pictures) >= wanted).then_some(()))
        })
        .await
    }

    /// What came so far, cut where a new init segment came.
    ///
    /// # Errors
    ///
    /// It is not made of boxes, or begins without an init segment.
    pub fn pieces(&self) -> Result<Vec<Piece>> {
        let messages = self.with(|kept| kept.messages.clone());
        let mut pieces: Vec<Piece> = Vec::new();
        for (bytes, at) in messages {
            if boxes(&bytes)?.iter().any(|(kind, _)| kind == b"moov") {
                pieces.push(Piece::default());
            }
            let piece = pieces.last_mut().context("a fragment came before an init segment")?;
            let pictures = pictures_in(&bytes)?;
            piece.bytes.extend_from_slice(&bytes);
            piece.pictures.extend(std::iter::repeat_n(at, pictures));
        }
        Ok(pieces)
    }
}

/// The boxes side by side in some bytes: type and content.
fn boxes(mut bytes: &[u8]) -> Result<Vec<([u8; 4], &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let head: [u8; 8] = bytes.get(..8).context("half a box")?.try_into()?;
        let size = usize::try_from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]))?;
        let content = bytes.get(8..size).with_context(|| format!("a box of {size} bytes in {}", bytes.len()))?;
        found.push(([head[4], head[5], head[6], head[7]], content));
        bytes = &bytes[size..];
    }
    Ok(found)
}

/// Pictures in a message.
fn pictures_in(bytes: &[u8]) -> Result<usize> {
    let mut count = 0;
    for (_, moof) in boxes(bytes)?.iter().filter(|(kind, _)| kind == b"moof") {
        for (_, traf) in boxes(moof)?.iter().filter(|(kind, _)| kind == b"traf") {
            let parts = boxes(traf)?;
            let number = |kind: &[u8; 4]| -> Result<u32> {
                let content = parts.iter().find(|(k, _)| k == kind).context("a track without a head")?.1;
                Ok(u32::from_be_bytes(content.get(4..8).context("a short box")?.try_into()?))
            };
            if number(b"tfhd")? == VIDEO {
                count += usize::try_from(number(b"trun")?)?;
            }
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(content.len() + 8).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(kind);
        out.extend_from_slice(content);
        out
    }

    #[test]
    fn pictures_are_counted_and_broken_boxes_are_seen() {
        let track = |id: u8, samples: u8| {
            let head = boxed(b"tfhd", &[0, 0, 0, 0, 0, 0, 0, id]);
            boxed(b"traf", &[head, boxed(b"trun", &[0, 0, 0, 0, 0, 0, 0, samples])].concat())
        };
        let moof = boxed(b"moof", &[track(1, 1), track(2, 5)].concat());
        assert_eq!(pictures_in(&[boxed(b"prft", &[]), moof.clone()].concat()).unwrap(), 1);
        assert_eq!(pictures_in(&boxed(b"moof", &track(2, 5))).unwrap(), 0);
        assert!(pictures_in(&moof[..moof.len() - 1]).is_err());
    }
}
