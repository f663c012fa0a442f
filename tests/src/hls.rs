//! A viewer of low-latency HLS (RFC 8216bis) that fetches each part as soon as the playlist names it, as a player at the
//! live end does, and keeps what it gets and when.

use std::collections::HashSet;

use anyhow::{Context, Result};
use reqwest::Client;
use url::Url;

use crate::fmp4::{Keeper, Viewer};

/// Opens a room's `index.m3u8` and reads until it is dropped.
///
/// # Errors
///
/// There is no stream.
pub async fn open(index: &str) -> Result<Viewer> {
    let client = Client::builder().tcp_nodelay(true).build()?;
    let text = client.get(index).send().await?.error_for_status()?.text().await?;
    let media = text.lines().last().context("no rendition")?;
    let media = Url::parse(index)?.join(media)?;
    Ok(Viewer::fed(|keeper| async move {
        match follow(&client, &media, &keeper).await {
            Ok(()) => "the stream is over".to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }))
}

/// What a playlist names at its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    /// The parts: address of the init segment, address, whether decoding can start with it.
    parts: Vec<(String, String, bool)>,
    /// The part after the last one: its segment's number, and its place there.
    next: (u64, usize),
    /// Nothing follows.
    ended: bool,
}

fn read(playlist: &str) -> Named {
    let mut named = Named::default();
    let mut map = String::new();
    let uri =
        |line: &str| line.split_once("URI=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(u, _)| u.to_owned());
    for line in playlist.lines() {
        if let Some(number) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            named.next.0 = number.parse().unwrap_or(0);
        } else if line.starts_with("#EXT-X-MAP:") {
            map = uri(line).unwrap_or_default();
        } else if line.starts_with("#EXT-X-PART:") {
            named.parts.extend(uri(line).map(|uri| (map.clone(), uri, line.contains("INDEPENDENT=YES"))));
            named.next.1 += 1;
        } else if line.starts_with("#EXTINF:") {
            named.next = (named.next.0 + 1, 0);
        } else if line == "#EXT-X-ENDLIST" {
            named.ended = true;
        }
    }
    named
}

async fn follow(client: &Client, media: &Url, keeper: &Keeper) -> Result<()> {
    let (mut seen, mut map, mut url) = (HashSet::new(), String::new(), media.clone());
    loop {
        let playlist = client.get(url.clone()).send().await?.error_for_status()?.text().await?;
        let named = read(&playlist);
        for (init, part, independent) in named.parts {
            // A player begins near the end, where decoding can start.
            if (map.is_empty() && !independent) || !seen.insert(part.clone()) {
                continue;
            }
            for (address, wanted) in [(&init, init != map), (&part, true)] {
                if wanted {
                    let answer = client.get(media.join(address)?).send().await?.error_for_status()?;
                    keeper.keep(answer.bytes().await?);
                }
            }
            map = init;
        }
        if named.ended {
            return Ok(());
        }
        url = media.clone();
        let (number, part) = named.next;
        url.query_pairs_mut().append_pair("_HLS_msn", &number.to_string()).append_pair("_HLS_part", &part.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_at_the_end_are_named() {
        let named = read(
            "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"i0.mp4\"\n#EXTINF:2.0,\n7.m4s\n\
             #EXT-X-PART:DURATION=0.2,URI=\"8.0.m4s\",INDEPENDENT=YES\n#EXTINF:0.2,\n8.m4s\n\
             #EXT-X-MAP:URI=\"i1.mp4\"\n#EXT-X-PART:DURATION=0.2,URI=\"9.0.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=0.2,URI=\"9.1.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"9.2.m4s\"\n",
        );
        let part = |map: &str, uri: &str, independent| (map.to_owned(), uri.to_owned(), independent);
        let parts =
            vec![part("i0.mp4", "8.0.m4s", true), part("i1.mp4", "9.0.m4s", true), part("i1.mp4", "9.1.m4s", false)];
        assert_eq!(named, Named { parts, next: (9, 2), ended: false });
    }
}
