//! What a person at Chromium sees, and when: the cells of the test card are read from the page's own video.

use std::time::Duration;

use anyhow::Result;

use crate::browser::{Browser, Page};

/// A function that reads the cells (layout: `mujian_av::testcard::cells`) of what a video shows: milliseconds of the
/// wall clock, or null.
const CELLS: &str = r"(() => {
  const canvas = document.createElement('canvas');
  canvas.width = 320; canvas.height = 180;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const crc8 = (bytes) => bytes.reduce((crc, byte) => {
    let c = crc ^ byte;
    for (let i = 0; i < 8; i++) c = c & 0x80 ? ((c << 1) ^ 7) & 255 : (c << 1) & 255;
    return c;
  }, 0);
  return (video) => {
    context.drawImage(video, 0, 0, 320, 180);
    const { data } = context.getImageData(0, 160, 320, 20);
    const levels = [];
    for (let row = 0; row < 2; row++) for (let column = 0; column < 32; column++) {
      let sum = 0;
      for (let y = 3; y < 7; y++) for (let x = 3; x < 7; x++) sum += data[4 * ((row * 10 + y) * 320 + column * 10 + x) + 1];
      levels.push(sum / 16);
    }
    const white = (levels[0] + levels[2] + levels[61] + levels[63]) / 4;
    const black = (levels[1] + levels[3] + levels[60] + levels[62]) / 4;
    if (white - black < 40) return null;
    const bits = levels.map((level) => (level > (white + black) / 2 ? 1 : 0));
    if (bits.slice(0, 4).join('') !== '1010' || bits.slice(60).join('') !== '0101') return null;
    const byte = (from) => bits.slice(from, from + 8).reduce((value, bit) => value * 2 + bit, 0);
    const bytes = [4, 12, 20, 28, 36, 44].map(byte);
    return crc8(bytes) === byte(52) ? bytes.reduce((value, b) => value * 256 + b, 0) : null;
  };
})()";

/// Reads the cells of `count` pictures as they are presented; each gives
/// milliseconds from its capture to its presentation. The clocks are one, as everything runs on one computer.
const READER: &str = r"
(count) => new Promise((done, fail) => {
  const video = document.querySelector('video');
  if (!video) { fail(new Error('no video')); return; }
  const read = READER_FUNCTION;
  const found = [];
  const seen = (now, data) => {
    const wall = read(video);
    const shown = performance.timeOrigin + Math.max(performance.now(), data.expectedDisplayTime ?? 0);
    if (wall !== null) found.push(shown - wall);
    if (found.length >= count) done(found); else video.requestVideoFrameCallback(seen);
  };
  video.requestVideoFrameCallback(seen);
  setTimeout(() => done(found), 20000 + count * 200);
})";

/// For each beep of the test card: how much later it leaves the page's sound output than the picture of the same
/// moment is displayed, in milliseconds. The page's sound goes through WebAudio, whose clock tells when a sample is heard.
const LIPS: &str = r"
(seconds) => new Promise((done, fail) => {
  const video = document.querySelector('video');
  if (!video) { fail(new Error('no video')); return; }
  video.muted = false; video.volume = 1;
  const audio = new AudioContext({ latencyHint: 'interactive' });
  const heard = [], shown = [];
  const source = audio.createMediaElementSource(video);
  const tap = audio.createScriptProcessor(256, 1, 1);
  let quietFor = 1;
  // When a sample of an event's input is heard, by the page's clock: one buffer before the event's own output. The two
  // clocks are compared each time, since they do not run alike.
  const moment = (event, i) => {
    const { contextTime, performanceTime } = audio.getOutputTimestamp();
    const at = event.playbackTime + (i - event.inputBuffer.length) / audio.sampleRate;
    return performanceTime + (at - contextTime) * 1000;
  };
  tap.onaudioprocess = (event) => {
    const input = event.inputBuffer.getChannelData(0);
    for (let i = 0; i < input.length; i++) {
      if (Math.abs(input[i]) > 0.06) { if (quietFor > 0.3) heard.push(moment(event, i)); quietFor = 0; }
      else quietFor += 1 / audio.sampleRate;
    }
  };
  source.connect(audio.destination); source.connect(tap); tap.connect(audio.destination);
  const READ = READER_FUNCTION;
  const seen = (now, data) => {
    const wall = READ(video);
    if (wall !== null) shown.push([wall, Math.max(performance.now(), data.expectedDisplayTime ?? 0)]);
    video.requestVideoFrameCallback(seen);
  };
  video.requestVideoFrameCallback(seen);
  audio.resume();
  setTimeout(() => {
    const found = [];
    for (const when of heard) {
      // The picture of a whole second nearest to it.
      let best = null;
      for (const [wall, display] of shown) {
        if (wall % 1000 < 34 && (best === null || Math.abs(display - when) < Math.abs(best.display - when))) best = { wall, display };
      }
      if (best && Math.abs(best.display - when) < 400) found.push(when - (best.display - best.wall % 1000));
    }
    done(found);
  }, seconds * 1000);
})";

/// Lip sync at a page, over so many seconds: for each beep the milliseconds that it is later than its picture.
///
/// # Errors
///
/// The page has no video, or fewer than half of the beeps were heard with their pictures.
pub async fn lips(browser: &mut Browser, page: Page, seconds: u64) -> Result<Vec<f64>> {
    let script = LIPS.replace("READER_FUNCTION", CELLS);
    let value = browser.eval(page, &format!("({script})({seconds})")).await?;
    let found: Vec<f64> = serde_json::from_value(value)?;
    anyhow::ensure!(found.len() as u64 >= seconds / 2, "only {} of {seconds} beeps", found.len());
    Ok(found)
}

/// Milliseconds from capture to presentation of `count` pictures.
///
/// # Errors
///
/// The page has no video, or it shows no test card.
pub async fn to_glass(browser: &mut Browser, page: Page, count: usize) -> Result<Vec<f64>> {
    let value = browser.eval(page, &format!("({})({count})", READER.replace("READER_FUNCTION", CELLS))).await?;
    let found: Vec<f64> = serde_json::from_value(value)?;
    anyhow::ensure!(found.len() >= count / 2, "the cells of only {} of {count} pictures could be read", found.len());
    Ok(found)
}

/// Put into the page before the click: from the click to the first picture that is presented, and to the first that is
/// not far behind what has arrived.
const FIRST: &str = r"
(() => {
  window.__first = new Promise((done) => {
    addEventListener('click', (event) => {
      const began = event.timeStamp;
      let first;
      const presented = (now, data) => {
        const video = document.querySelector('video');
        const after = (data.presentationTime ?? now) - began;
        first ??= after;
        const { buffered } = video;
        if (buffered.length > 0 && data.mediaTime > buffered.end(buffered.length - 1) - 0.5) done([first, after]);
        else video.requestVideoFrameCallback(presented);
      };
      const look = () => {
        const video = document.querySelector('video');
        if (video) video.requestVideoFrameCallback(presented);
        else requestAnimationFrame(look);
      };
      look();
    }, { capture: true, once: true });
  });
  return true;
})()";

/// Milliseconds from a click on `selector` to the first picture of the video that it opens, and to the first of what
/// is at most half a second behind the newest that has arrived: a group of pictures must be decoded up to there.
///
/// # Errors
///
/// No video, or no picture within 10 s.
pub async fn click_to_picture(browser: &mut Browser, page: Page, selector: &str) -> Result<(f64, f64)> {
    browser.visible(page, selector, Duration::from_secs(10)).await?;
    browser.eval(page, FIRST).await?;
    browser.click(page, selector).await?;
    let race = "Promise.race([window.__first, new Promise((_, no) => setTimeout(() => no(new Error('no picture within 10 s')), 10000))])";
    Ok(serde_json::from_value(browser.eval(page, race).await?)?)
}
