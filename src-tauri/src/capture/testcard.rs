//! The test card as a source, locked to the wall clock.

use mujian_av::sound::{RATE, Sample, index_of};
use mujian_av::testcard::{TestCard, beep, local_offset};
use mujian_media::time::MediaTime;

use super::clock::wall_micros;
use super::{CaptureError, Clock, End, Outlet, Source, Stop, Voice, Wanted};

/// The tone is written this far ahead of the picture, so that the mixer never waits for it.
const AHEAD: i64 = RATE as i64 / 5;

/// Draws the test card. Frame k belongs to the moment k / fps of the wall clock, so the first frame
/// of a flash is that of the second itself.
pub struct TestCardSource {
    wanted: Wanted,
}

impl TestCardSource {
    /// A card of the stream's size.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted }
    }
}

impl Source for TestCardSource {
    fn label(&self) -> String {
        "the test card".into()
    }

    fn run(&mut self, clock: Clock, outlet: &Outlet, stop: &Stop, voice: &Voice<'_>) -> Result<End, CaptureError> {
        let mut card = TestCard::new(self.wanted.width, self.wanted.height, local_offset());
        let fps = i64::from(self.wanted.fps.max(1));
        let frame_after = |micros: i64| (micros * fps).div_euclid(1_000_000) + 1;
        let mut frame = frame_after(wall_micros());
        let mut sound = None;
        let mut first = true;
        loop {
            // Frames are counted from the wall clock's epoch; a step of that clock moves the count.
            let due = frame * 1_000_000 / fps;
            let at = clock.at_wall(due);
            if stop.wait_until(clock.instant(at)) {
                return Ok(End::Stopped);
            }
            let wall_ms = u64::try_from((frame * 1000).div_euclid(fps)).unwrap_or(0);
            tone(&clock, outlet, &mut sound);
            outlet.picture(card.draw(wall_ms, at));
            if std::mem::take(&mut first) {
                voice.ready();
            }
            // Later than a frame: skip rather than pile up. A wall clock that was set back
            // or far forward counts anew.
            let now = frame_after(wall_micros());
            frame = if (frame + 1..=frame + 2).contains(&now) { frame + 1 } else { now };
        }
    }
}

/// Writes the tone up to [`AHEAD`] of now.
fn tone(clock: &Clock, outlet: &Outlet, written: &mut Option<i64>) {
    let now = clock.now();
    let wall = wall_micros();
    let here = index_of(now);
    let from = written.filter(|w| *w > here).unwrap_or(here);
    let until = here + AHEAD;
    if from < until {
        let mut samples: Vec<Sample> = vec![[0.0; 2]; usize::try_from(until - from).unwrap_or(0)];
        let ahead = mujian_av::sound::time_of(from).saturating_sub(now);
        beep::fill(wall + micros(ahead), &mut samples);
        outlet.sound_at(from, &samples);
        *written = Some(until);
    }
}

fn micros(t: MediaTime) -> i64 {
    t.to_scale(1_000_000)
}
