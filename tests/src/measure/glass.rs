//! What a person at Chromium sees, and when: the cells of the test card are read from the page's own video.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::browser::{Browser, Page};

/// Reads the cells (layout: `mujian_av::testcard::cells`) of `count` pictures as they are presented; each gives
/// milliseconds from its capture to its presentation. The clocks are one, as everything runs on one computer.
const READER: &str = r"
(count) => new Promise((done, fail) => {
  const video = document.querySelector('video');
  if (!video) { fail(new Error('no video')); return; }
  const canvas = document.createElement('canvas');
  canvas.width = 320; canvas.height = 180;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const crc8 = (bytes) => bytes.reduce((crc, byte) => {
    let c = crc ^ byte;
    for (let i = 0; i < 8; i++) c = c & 0x80 ? ((c << 1) ^ 7) & 255 : (c << 1) & 255;
    return c;
  }, 0);
  const read = () => {
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
  const found = [];
  const seen = (now, data) => {
    const wall = read();
    const shown = performance.timeOrigin + Math.max(performance.now(), data.expectedDisplayTime ?? 0);
    if (wall !== null) found.push(shown - wall);
    if (found.length >= count) done(found); else video.requestVideoFrameCallback(seen);
  };
  video.requestVideoFrameCallback(seen);
  setTimeout(() => done(found), 20000 + count * 200);
})";

/// Milliseconds from capture to presentation of `count` pictures.
///
/// # Errors
///
/// The page has no video, or it shows no test card.
pub async fn to_glass(browser: &mut Browser, page: Page, count: usize) -> Result<Vec<f64>> {
    let value = browser.eval(page, &format!("({READER})({count})")).await?;
    let found: Vec<f64> = serde_json::from_value(value)?;
    anyhow::ensure!(found.len() >= count / 2, "the cells of only {} of {count} pictures could be read", found.len());
    Ok(found)
}

/// Put into the page before the click: from the click to the first picture that is presented.
const FIRST: &str = r"
(() => {
  window.__first = new Promise((done) => {
    addEventListener('click', (event) => {
      const began = event.timeStamp;
      const look = () => {
        const video = document.querySelector('video');
        if (video) video.requestVideoFrameCallback((now, data) => done((data.presentationTime ?? now) - began));
        else requestAnimationFrame(look);
      };
      look();
    }, { capture: true, once: true });
  });
  return true;
})()";

/// Milliseconds from a click on `selector` to the first picture of the video that it opens.
///
/// # Errors
///
/// No video, or no picture within 10 s.
pub async fn click_to_picture(browser: &mut Browser, page: Page, selector: &str) -> Result<f64> {
    browser.visible(page, selector, Duration::from_secs(10)).await?;
    browser.eval(page, FIRST).await?;
    browser.click(page, selector).await?;
    let race = "Promise.race([window.__first, new Promise((_, no) => setTimeout(() => no(new Error('no picture within 10 s')), 10000))])";
    browser.eval(page, race).await?.as_f64().context("no figure")
}
