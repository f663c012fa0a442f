//! Small pictures of what the camera sees, for the studio's window.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mujian_av::encode::JpegEncoder;
use tokio::sync::watch;

use super::inset::{Layer, Shown};
use crate::capture::{Next, Pictures, Stop};

/// Size of a preview in pixels, bars included.
const SIZE: (u32, u32) = (480, 270);
/// From one preview to the next: 15 a second.
const STEP: Duration = Duration::from_micros(66_000);

/// Makes JPEG previews while somebody looks at them. Returns when asked to stop.
pub(super) fn run(pictures: &Pictures, inset: &Shown, out: &watch::Sender<Bytes>, stop: &Stop) {
    let mut encoder = None;
    let mut layer = Layer::new(inset);
    let mut next = Instant::now();
    while !stop.is_stopped() {
        match pictures.next(Instant::now() + Duration::from_millis(500)) {
            Next::Picture(picture) => {
                let now = Instant::now();
                if out.receiver_count() == 0 || now + STEP / 4 < next {
                    continue;
                }
                next = (next + STEP).max(now + STEP / 2);
                if encoder.is_none() {
                    encoder = JpegEncoder::open(SIZE.0, SIZE.1, 5)
                        .inspect_err(|e| tracing::warn!(error = %e, "no previews"))
                        .ok();
                }
                let Some(jpeg) = &mut encoder else { return };
                match jpeg.fit(&picture).and_then(|picture| jpeg.encode(&layer.over(&picture))) {
                    Ok(bytes) => {
                        out.send_replace(bytes);
                    }
                    Err(e) => {
                        tracing::warn!(error = %e, "preview");
                        encoder = None;
                    }
                }
            }
            Next::TimedOut => {}
            Next::Closed => return,
        }
    }
}
