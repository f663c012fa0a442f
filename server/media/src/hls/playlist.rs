//! The playlist of a recording: everything, with its end (4.4.3.5 of RFC 8216bis, `VOD`).

use std::fmt::Write;

use crate::time::MediaTime;

/// A segment of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its address.
    pub uri: String,
    /// The address of its init segment. Another one than the last segment's is a discontinuity.
    pub map: String,
    /// How long it is.
    pub duration: MediaTime,
}

/// The playlist. `whole` says that more will not come; otherwise it is a recording that still grows (`EVENT`).
#[must_use]
pub fn recording(segments: &[Listed], whole: bool) -> String {
    let target = segments.iter().map(|s| s.duration.as_secs_f64().round() as u64).max().unwrap_or(0).max(1);
    let mut out = String::with_capacity(200 + segments.len() * 64);
    // 4.4.1.2: EXT-X-MAP without I-frames only asks for version 6; 7 is what players know fMP4 by.
    let _ = write!(out, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n");
    let _ = writeln!(out, "#EXT-X-PLAYLIST-TYPE:{}", if whole { "VOD" } else { "EVENT" });
    let mut map: Option<&str> = None;
    // Ends are rounded, not durations, so that they do not drift apart from the media's own times.
    let (mut at, mut told) = (MediaTime::ZERO, 0);
    for segment in segments {
        if map != Some(&segment.map) {
            if map.is_some() {
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
            let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}\"", segment.map);
            map = Some(&segment.map);
        }
        at = at.saturating_add(segment.duration);
        let end = at.to_scale(100_000);
        let _ = writeln!(out, "#EXTINF:{}.{:05},\n{}", (end - told) / 100_000, (end - told) % 100_000, segment.uri);
        told = end;
    }
    if whole {
        out.push_str("#EXT-X-ENDLIST\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discontinuities_stand_only_where_the_map_changes() {
        let listed = |uri: &str, map: &str, ms| Listed {
            uri: uri.into(),
            map: map.into(),
            duration: MediaTime::from_millis(ms),
        };
        let text = recording(&[listed("a", "m", 2000), listed("b", "m", 1967), listed("c", "n", 3500)], true);
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n\
             #EXT-X-MAP:URI=\"m\"\n#EXTINF:2.00000,\na\n#EXTINF:1.96700,\nb\n#EXT-X-DISCONTINUITY\n\
             #EXT-X-MAP:URI=\"n\"\n#EXTINF:3.50000,\nc\n#EXT-X-ENDLIST\n"
        );
        assert!(recording(&[], false).ends_with("EVENT\n"));
    }

    #[test]
    fn many_thirds_of_a_frame_do_not_drift() {
        let listed =
            Listed { uri: "a".into(), map: "m".into(), duration: MediaTime::from_scale(2002, 24_000).times(25) };
        let text = recording(&vec![listed.clone(); 7200], true);
        let sum: f64 =
            text.lines().filter_map(|l| l.strip_prefix("#EXTINF:")?.strip_suffix(',')?.parse::<f64>().ok()).sum();
        assert!((sum - listed.duration.times(7200).as_secs_f64()).abs() < 1e-4, "{sum}");
    }
}
