//! Whether a page's player plays through: stops, jumps, reloads, watched from inside the page.
//!
//! A busy machine stops any player: what is judged is what the stream or the player are to blame for. It waits for want of
//! media where the stream or the page was held up, and nobody but a switch makes it wait at every switch of that kind. Jumps
//! over what is there count never: that is a slow computer's way back to the live end.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::leave::wall;
use crate::flv::Tag;

/// What happens so long after a switch, in milliseconds, may be its effect.
const SOON_AFTER: f64 = 1500.0;

/// Begins to watch the page's video.
pub const WATCH: &str = r"(() => {
  const video = document.querySelector('video');
  const seen = { waits: [], jumps: [], lags: [], reloads: 0, holes: 0, stops: 0, stopped: 0, from: video.currentTime, to: 0 };
  const ranges = () => Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]);
  const fed = (at) => ranges().some(([start, end]) => start - 0.1 <= at && end >= at + 0.1);
  let last = { time: video.currentTime, at: performance.now() }, still = last, jumping = false, ticked = last.at;
  video.addEventListener('waiting', () => {
    if (!fed(video.currentTime)) seen.waits.push({ at: Date.now(), time: video.currentTime });
  });
  video.addEventListener('seeking', () => {
    // Within what is there, it is no hole that was jumped.
    const over = !ranges().some(([start, end]) => start - 0.1 <= last.time && video.currentTime <= end + 0.1);
    seen.jumps.push({ from: last.time, to: video.currentTime, over });
    jumping = true;
  });
  video.addEventListener('seeked', () => { last = { time: video.currentTime, at: performance.now() }; jumping = false; });
  video.addEventListener('emptied', () => { seen.reloads += 1; });
  setInterval(() => {
    const now = performance.now(), time = video.currentTime;
    if (now - ticked > 150) seen.lags.push([Date.now() - (now - ticked), Date.now()]);
    ticked = now;
    if (video.buffered.length > 1) seen.holes += 1;
    if (!jumping) {
      const moved = time - last.time, passed = (now - last.at) / 1000;
      if (moved < -0.001 || moved > passed * 1.5 + 0.3) seen.jumps.push({ from: last.time, to: time, over: true });
      if (time !== still.time) {
        const stood = now - still.at;
        if (stood > 300) { seen.stops += 1; seen.stopped += stood; }
        still = { time, at: now };
      }
    }
    last = { time, at: now };
    seen.to = time;
    if (document.querySelector('video') !== video) seen.reloads += 1;
  }, 50);
  window.__playing = seen;
  return true;
})()";

/// Gives what was seen so far.
pub const SEEN: &str = "JSON.stringify(window.__playing)";

/// What was seen.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Playing {
    /// Times at which it waited for media that was not there.
    pub waits: Vec<Wait>,
    /// Steps of its time that playing does not explain.
    pub jumps: Vec<Jump>,
    /// From when to when the page itself was held up, in milliseconds since 1970.
    pub lags: Vec<(f64, f64)>,
    /// How often it began anew, with another source or another element.
    pub reloads: u32,
    /// How often more than one stretch was buffered.
    pub holes: u32,
    /// How often it stood still for more than 300 ms, for whatever reason.
    pub stops: u32,
    /// How long, all together, in milliseconds.
    pub stopped: f64,
    /// Where it was when the watching began, in seconds.
    pub from: f64,
    /// And where it is now.
    pub to: f64,
}

/// It waited.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Wait {
    /// When, in milliseconds since 1970.
    pub at: f64,
    /// Where, in seconds.
    pub time: f64,
}

/// It jumped.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Jump {
    /// From here, in seconds.
    pub from: f64,
    /// To here.
    pub to: f64,
    /// What lies between is not all there, or it was no jump of the player's.
    pub over: bool,
}

impl Playing {
    /// Reads what a page gave for [`SEEN`].
    ///
    /// # Errors
    ///
    /// Nobody watched.
    pub fn read(value: &Value) -> Result<Self> {
        Ok(serde_json::from_str(value.as_str().unwrap_or_default())?)
    }

    /// Whether it played through some switches: of what kind, and when, in milliseconds since 1970. `tags`: of another
    /// viewer of the same stream, which tell when that was held up.
    ///
    /// # Errors
    ///
    /// What was wrong.
    pub fn through(&self, switches: &[(&str, f64)], tags: &[Tag]) -> Result<()> {
        ensure!(self.reloads == 0, "it began anew: {self:?}");
        ensure!(self.holes == 0, "the stream has holes: {self:?}");
        ensure!(self.jumps.iter().all(|jump| !jump.over), "it jumped: {self:?}");
        let now = (wall(), Instant::now());
        let at = |tag: &Tag| now.0 - (now.1 - tag.at).as_secs_f64() * 1000.0;
        // Two pictures are at most 67 ms apart.
        let late = tags.windows(2).map(|pair| (at(&pair[0]), at(&pair[1]))).filter(|(a, b)| b - a > 120.0);
        let held_up: Vec<(f64, f64)> = late.chain(self.lags.iter().copied()).collect();
        let excused = |wait: &Wait| held_up.iter().any(|(from, until)| wait.at > *from && wait.at < until + 500.0);
        let waits: Vec<&Wait> = self.waits.iter().filter(|wait| !excused(wait)).collect();
        for (kind, _) in switches {
            let mut all = switches.iter().filter(|(other, _)| other == kind);
            let every = all.all(|(_, at)| waits.iter().any(|w| w.at > *at && w.at < at + SOON_AFTER));
            ensure!(!every, "it ran out of media at every {kind}: {waits:?} of {self:?}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_wait_is_excused_where_the_stream_was_held_up() {
        let (began, zero) = (Instant::now() - Duration::from_secs(2), wall() - 2000.0);
        let tag = |ms: u64| Tag { kind: 9, dts: 0, body: Bytes::new(), at: began + Duration::from_millis(ms) };
        let late = [tag(0), tag(40), tag(400), tag(440)];
        let through = |waits: &[f64]| {
            let waits = waits.iter().map(|ms| Wait { at: zero + ms, time: 1.0 }).collect();
            let switches = [("leave", zero - 900.0), ("back", zero), ("leave", zero + 2000.0)];
            Playing { waits, ..Playing::default() }.through(&switches, &late).is_ok()
        };
        assert!(through(&[]) && through(&[300.0]) && through(&[600.0]), "the stream was held up");
        assert!(!through(&[1200.0]), "at the only return");
        assert!(through(&[-500.0]) && through(&[2100.0]) && !through(&[-500.0, 2100.0]), "at every leave");
        assert!(Playing::default().through(&[], &late).is_ok());
        for bad in [
            Playing { reloads: 1, ..Playing::default() },
            Playing { holes: 1, ..Playing::default() },
            Playing { jumps: vec![Jump { from: 1.0, to: 3.0, over: true }], ..Playing::default() },
        ] {
            assert!(bad.through(&[], &late).is_err(), "{bad:?}");
        }
    }
}
