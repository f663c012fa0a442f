//! An FLV stream: the same items whatever the pieces it arrives in, and never a picture before its configuration.

use mujian_media::flv::Demuxer;
use mujian_media::frame::FeedItem;

fn read(data: &[u8], piece: usize) -> (Vec<FeedItem>, bool) {
    let mut d = Demuxer::new();
    let mut items = Vec::new();
    let mut whole = true;
    for part in data.chunks(piece) {
        whole = d.input(part).is_ok();
        items.extend(std::iter::from_fn(|| d.poll()));
        if !whole {
            break;
        }
    }
    (items, whole)
}

pub fn check(data: &[u8]) {
    let (items, whole) = read(data, data.len().max(1));
    let (video, audio) = (
        items.iter().position(|i| matches!(i, FeedItem::VideoConfig(_))),
        items.iter().position(|i| matches!(i, FeedItem::AudioConfig(_))),
    );
    for (at, item) in items.iter().enumerate() {
        match item {
            FeedItem::Video(f) => {
                assert!(video.is_some_and(|v| v < at) && f.pts >= f.dts && f.data.len() >= 5);
            }
            FeedItem::Audio(f) => assert!(audio.is_some_and(|a| a < at) && !f.data.is_empty()),
            _ => {}
        }
    }
    if data.len() < 4096 {
        assert_eq!(read(data, 3), (items, whole));
    }
}
