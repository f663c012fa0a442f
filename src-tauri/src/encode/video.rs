//! The picture's way while live: paced, scaled, encoded; another encoder where the first one fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mujian_av::encode::{VideoEncoder, VideoSettings};
use mujian_av::scale::{Quality, Scaler};
use mujian_av::{AvError, Picture};
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use parking_lot::Mutex;

use super::feed::Outgoing;
use super::inset::{Layer, Shown};
use super::pacer::{Pace, Pacer};
use crate::capture::{Clock, Gate, Next, Pictures, Stop};

/// An encoder is opened anew only for a bitrate that is lower than this share of the present one,
const STEP_DOWN: f64 = 0.8;
/// or higher than this.
const STEP_UP: f64 = 1.3;

pub(super) type FallBack = Box<dyn Fn(VideoSettings, &AvError) -> Result<VideoEncoder, AvError> + Send>;

/// A stream that the video thread is to begin.
pub(super) struct Start {
    pub(super) out: Arc<Outgoing>,
    pub(super) encoder: VideoEncoder,
    /// Opens the encoder to fall back on, and says why it was needed.
    pub(super) fall_back: FallBack,
}

struct Live {
    out: Arc<Outgoing>,
    fall_back: FallBack,
    encoder: VideoEncoder,
    scaler: Scaler,
    pacer: Pacer,
    /// The last picture as the encoder takes it, without the small one over it, and as it was captured.
    last: Option<Picture>,
    captured: Option<Picture>,
    last_key: Option<MediaTime>,
    items: Vec<FeedItem>,
    gate: Gate,
    closings: u64,
    layer: Layer,
}

impl Live {
    fn new(start: Start, gate: &Gate, inset: &Shown) -> Self {
        let Start { out, encoder, fall_back } = start;
        let closings = gate.closings();
        let settings = encoder.settings();
        let scaler = Scaler::new(encoder.input_format(), settings.width, settings.height, Quality::Stream);
        out.set_encoder(encoder.name());
        let pacer = Pacer::new(settings.fps);
        let (gate, items) = (gate.clone(), Vec::new());
        Self {
            out,
            fall_back,
            encoder,
            scaler,
            pacer,
            last: None,
            captured: None,
            last_key: None,
            items,
            gate,
            closings,
            layer: Layer::new(inset),
        }
    }

    /// While the streamer is away nothing is encoded but what was captured before the press, and that once: no picture of
    /// then is repeated, not after the return either. The first one after it is a key frame.
    fn look_at_the_gate(&mut self) {
        let closings = self.gate.closings();
        if closings != self.closings {
            self.closings = closings;
            self.forget();
            self.out.request_key_frame();
        }
    }

    /// No picture is repeated until another one came.
    fn forget(&mut self) {
        (self.last, self.captured) = (None, None);
        self.pacer.pause();
    }

    /// A captured picture. `false`: nothing can be encoded any more.
    fn picture(&mut self, picture: &Picture, now: MediaTime, behind: bool) -> bool {
        self.look_at_the_gate();
        if !self.gate.passes(picture.at) {
            return true;
        }
        let at = picture.at.saturating_sub(self.out.origin);
        if at < MediaTime::ZERO {
            return true;
        }
        let (pts, repeats) = match self.pacer.picture(at, now.saturating_sub(self.out.origin), behind) {
            Pace::Drop => return true,
            Pace::Show { pts, repeats, left_out } => {
                self.out.count_dropped(u64::from(left_out));
                (pts, repeats)
            }
        };
        if let Some(last) = self.last.clone() {
            for back in (1..=repeats).rev() {
                self.out.count_repeated();
                if !self.encode(&last, self.pacer.before(pts, back)) {
                    return false;
                }
            }
        }
        match self.scaler.run(picture) {
            Ok(scaled) => {
                self.captured = Some(picture.clone());
                // An encoder that fails now may make room for one that takes another format.
                self.last = Some(scaled.clone());
                let goes_on = self.encode(&scaled, pts);
                // It was captured before a press that is heard of already.
                if !self.gate.passes(picture.at) || !self.gate.is_open() {
                    self.forget();
                }
                goes_on
            }
            Err(e) => {
                tracing::warn!(error = %e, "a picture could not be scaled");
                self.out.count_dropped(1);
                true
            }
        }
    }

    fn repeat(&mut self, now: MediaTime) -> bool {
        self.look_at_the_gate();
        let repeated = self.pacer.repeat(now.saturating_sub(self.out.origin));
        let (Some(last), Some((pts, left_out))) = (self.last.clone(), repeated) else { return true };
        self.out.count_dropped(u64::from(left_out));
        self.out.count_repeated();
        self.encode(&last, pts)
    }

    /// Another encoder that was asked for, of another size perhaps, goes on from the next picture.
    fn look_for_another(&mut self) {
        let Some(encoder) = self.out.take_encoder() else { return };
        self.pacer.set_rate(encoder.settings().fps);
        let before = self.replace(encoder);
        if let Err(e) = before.finish(&mut self.items) {
            tracing::debug!(error = %e, "the end of the picture is lost");
        }
        self.items.drain(..).for_each(|item| self.out.send(item));
    }

    /// Puts another encoder in the place of this one, which is given back.
    fn replace(&mut self, encoder: VideoEncoder) -> VideoEncoder {
        let settings = encoder.settings();
        self.scaler = Scaler::new(encoder.input_format(), settings.width, settings.height, Quality::Stream);
        // The last picture may be one that the new encoder does not take.
        self.last = self.captured.as_ref().and_then(|picture| self.scaler.run(picture).ok());
        self.out.set_encoder(encoder.name());
        std::mem::replace(&mut self.encoder, encoder)
    }

    /// Encodes with another bitrate from now on.
    fn adapt(&mut self, bitrate: u32) {
        let now = f64::from(self.encoder.settings().bitrate);
        let step = f64::from(bitrate) / now.max(1.0);
        if !self.encoder.set_bitrate(bitrate) && !(STEP_DOWN..=STEP_UP).contains(&step) {
            self.reopen(bitrate);
        }
    }

    /// An encoder that cannot change its bitrate while it runs makes room for one like it, which begins with a key
    /// frame.
    fn reopen(&mut self, bitrate: u32) {
        let settings = VideoSettings { bitrate, ..self.encoder.settings() };
        match VideoEncoder::open(self.encoder.name(), settings) {
            Ok(encoder) => {
                let before = std::mem::replace(&mut self.encoder, encoder);
                if let Err(e) = before.finish(&mut self.items) {
                    tracing::debug!(error = %e, "the end of the picture is lost");
                }
                self.items.drain(..).for_each(|item| self.out.send(item));
            }
            // It may open only once.
            Err(e) => tracing::warn!(error = %e, "the encoder keeps its bitrate"),
        }
    }

    fn encode(&mut self, picture: &Picture, pts: MediaTime) -> bool {
        if let Some(bitrate) = self.out.take_bitrate() {
            self.adapt(bitrate);
        }
        let out = &self.out;
        // The encoder counts frames; where frames were left out, the clock decides.
        let settings = self.encoder.settings();
        let interval = MediaTime::from_scale(i64::from(settings.key_interval), settings.fps);
        let half = MediaTime::from_scale(1, settings.fps * 2);
        let due = self.last_key.is_some_and(|k| pts >= k.saturating_add(interval).saturating_sub(half));
        // While away it is the first one after the return that was asked for, not one of before that is late.
        let key = (self.gate.is_open() && out.take_key_request()) || due;
        let began = Instant::now();
        // Only now: while the large picture stands still, the small one goes on.
        let moment = self.out.origin.saturating_add(pts);
        let whole = self.layer.over_by(picture, moment, &self.gate);
        let done = self.encoder.encode(&whole, pts, key, &mut self.items);
        out.count_encoded(began.elapsed());
        for item in self.items.drain(..) {
            if let FeedItem::Video(v) = &item
                && v.key
            {
                self.last_key = Some(v.pts);
            }
            out.send(item);
        }
        match done {
            Ok(()) => true,
            Err(e) => self.fall_back(&e),
        }
    }

    fn fall_back(&mut self, error: &AvError) -> bool {
        match (self.fall_back)(self.encoder.settings(), error) {
            Ok(encoder) => {
                drop(self.replace(encoder));
                true
            }
            Err(e) => {
                self.out.fail(e.into());
                false
            }
        }
    }

    fn finish(mut self) {
        if let Err(e) = self.encoder.finish(&mut self.items) {
            tracing::debug!(error = %e, "the end of the picture is lost");
        }
        self.items.drain(..).for_each(|item| self.out.send(item));
    }
}

/// Encodes what comes while live, until asked to stop.
pub(super) fn run(
    clock: Clock,
    pictures: &Pictures,
    inset: &Shown,
    next: &Mutex<Option<Start>>,
    gate: &Gate,
    stop: &Stop,
) {
    let mut live: Option<Live> = None;
    while !stop.is_stopped() {
        if live.as_ref().is_some_and(|l| l.out.is_over()) {
            finish(&mut live);
        }
        if let Some(start) = next.lock().take() {
            finish(&mut live);
            live = Some(Live::new(start, gate, inset));
        }
        if let Some(live) = &mut live {
            live.look_at_the_gate();
            live.look_for_another();
        }
        let idle = Instant::now() + Duration::from_millis(100);
        let repeat = live.as_ref().and_then(|l| Some(l.pacer.repeat_due()?.saturating_add(l.out.origin)));
        let until = repeat.map_or(idle, |at| clock.instant(at).min(idle));
        let fine = match (pictures.next(until), &mut live) {
            (Next::Closed, _) => break,
            (Next::Picture(picture), Some(l)) => l.picture(&picture, clock.now(), !pictures.is_empty()),
            (Next::TimedOut, Some(l)) if repeat.is_some_and(|at| clock.now() >= at) => l.repeat(clock.now()),
            _ => true,
        };
        if !fine {
            live = None;
        }
    }
    finish(&mut live);
}

fn finish(live: &mut Option<Live>) {
    if let Some(live) = live.take() {
        live.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::status::PipelineStatus;
    use tokio::sync::{mpsc, watch};

    fn live(waiting: usize) -> (Live, mpsc::Receiver<FeedItem>, Arc<Mutex<Vec<String>>>) {
        live_behind(&Gate::default(), waiting)
    }

    fn live_behind(gate: &Gate, waiting: usize) -> (Live, mpsc::Receiver<FeedItem>, Arc<Mutex<Vec<String>>>) {
        let (sender, items) = mpsc::channel(waiting);
        let out = Outgoing::new(MediaTime::ZERO, sender, watch::Sender::new(PipelineStatus::default()), Vec::new());
        let settings = VideoSettings::live(320, 180, 30, 500_000);
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let fall_back: FallBack = Box::new(move |settings, error| {
            heard.lock().push(error.to_string());
            VideoEncoder::open("libx264", settings)
        });
        let encoder = VideoEncoder::open("libx264", settings).unwrap();
        (Live::new(Start { out, encoder, fall_back }, gate, &Shown::default()), items, said)
    }

    fn at(ms: i64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    fn received(items: &mut mpsc::Receiver<FeedItem>) -> Vec<FeedItem> {
        std::iter::from_fn(|| items.try_recv().ok()).collect()
    }

    #[test]
    fn an_encoder_that_fails_while_it_runs_is_replaced() {
        let (mut live, mut items, said) = live(100);
        let picture = mujian_av::dark(320, 180);
        assert!(live.picture(&picture.at(at(0)), at(5), false));
        assert!(live.picture(&picture.at(at(33)), at(38), false));
        received(&mut items);
        // What no encoder takes: a picture of another size.
        assert!(live.encode(&mujian_av::dark(64, 64), at(67)));
        assert_eq!(said.lock().len(), 1);
        assert!(live.picture(&picture.at(at(100)), at(105), false));
        let after = received(&mut items);
        // The new one begins like a stream: with its configuration and a key frame.
        assert!(matches!(&after[0], FeedItem::VideoConfig(_)), "{after:?}");
        assert!(matches!(&after[1], FeedItem::Video(v) if v.key && v.pts > at(34)), "{after:?}");
        // Where the source is lost just then, the last picture goes on all the same.
        assert!(live.encode(&mujian_av::dark(64, 64), at(134)));
        let due = live.pacer.repeat_due().unwrap();
        assert!(live.repeat(due));
        let after = received(&mut items);
        assert!(matches!(after.last(), Some(FeedItem::Video(v)) if v.pts > at(100)), "{after:?}");
    }

    #[test]
    fn an_encoder_is_opened_anew_for_another_bitrate_without_a_hole() {
        let (mut live, mut items, said) = live(100);
        let picture = mujian_av::dark(320, 180);
        let show = |live: &mut Live, n: i64| {
            let t = MediaTime::from_scale(n, 30);
            assert!(live.picture(&picture.at(t), t, false));
        };
        (0..3).for_each(|n| show(&mut live, n));
        live.reopen(200_000);
        (3..6).for_each(|n| show(&mut live, n));
        assert_eq!(live.encoder.settings().bitrate, 200_000);
        let keys: Vec<bool> = received(&mut items)
            .iter()
            .filter_map(|i| if let FeedItem::Video(v) = i { Some(v.key) } else { None })
            .collect();
        assert_eq!(keys, [true, false, false, true, false, false]);
        assert!(said.lock().is_empty(), "nothing failed");
    }

    #[test]
    fn another_size_and_rate_go_on_without_a_hole() {
        let (mut live, mut items, said) = live(100);
        let picture = mujian_av::dark(640, 360);
        let show = |live: &mut Live, t: i64| {
            live.look_for_another();
            assert!(live.picture(&picture.at(at(t)), at(t), false));
        };
        [0, 33, 67, 100].into_iter().for_each(|t| show(&mut live, t));
        let encoder = VideoEncoder::open("libx264", VideoSettings::live(640, 360, 60, 800_000)).unwrap();
        live.out.set_next_encoder(encoder);
        [117, 133, 150, 167].into_iter().for_each(|t| show(&mut live, t));
        let received = received(&mut items);
        let configs = received.iter().filter(|i| matches!(i, FeedItem::VideoConfig(_))).count();
        assert_eq!(configs, 2, "{received:?}");
        let frames: Vec<(i64, bool)> = received
            .iter()
            .filter_map(|i| if let FeedItem::Video(v) = i { Some((v.pts.millis(), v.key)) } else { None })
            .collect();
        assert_eq!(frames.iter().filter(|f| f.1).count(), 2, "{frames:?}");
        assert!(frames[4].1, "the first of the other size is a key frame: {frames:?}");
        assert_eq!(frames.len(), 8, "none is lost: {frames:?}");
        assert!(frames.windows(2).all(|w| w[1].0 > w[0].0 && w[1].0 - w[0].0 < 40), "{frames:?}");
        assert!(said.lock().is_empty(), "nothing failed");
    }

    #[test]
    fn when_nobody_takes_them_frames_are_left_out_up_to_a_key_frame() {
        let (mut live, mut items, _) = live(4);
        let picture = mujian_av::dark(320, 180);
        let show = |live: &mut Live, n: i64| {
            let t = MediaTime::from_scale(n, 30);
            assert!(live.picture(&picture.at(t), t, false));
        };
        (0..20).for_each(|n| show(&mut live, n));
        // A configuration and three frames fit.
        assert_eq!(received(&mut items).len(), 4);
        // The first that goes out again is a key frame, asked for because frames were lost.
        (20..30).for_each(|n| {
            show(&mut live, n);
            let more = received(&mut items);
            if n == 20 {
                assert!(matches!(more.first(), Some(FeedItem::Video(v)) if v.key), "{more:?}");
            }
        });
        let stats = live.out.stats();
        assert_eq!((stats.frames, stats.dropped), (30, 17));
    }

    #[test]
    fn while_away_nothing_is_encoded_and_the_return_is_a_key_frame() {
        let gate = Gate::default();
        let (mut live, mut items, _) = live_behind(&gate, 100);
        let picture = mujian_av::dark(320, 180);
        assert!(live.picture(&picture.at(at(0)), at(5), false));
        assert!(live.picture(&picture.at(at(33)), at(38), false));
        received(&mut items);
        gate.close(at(70), true);
        assert!(live.picture(&picture.at(at(100)), at(102), false));
        assert!(live.repeat(at(102)));
        assert_eq!(live.pacer.repeat_due(), None, "and the thread does not wait for a repeat");
        // Captured before the press, late: it may go.
        assert!(live.picture(&picture.at(at(67)), at(104), false));
        let before: Vec<_> = received(&mut items);
        assert!(matches!(&before[..], [FeedItem::Video(v)] if v.pts <= at(70)), "{before:?}");
        // It is not repeated: not while the streamer is away, and not after the return.
        assert_eq!(live.pacer.repeat_due(), None);
        gate.open(at(500));
        live.look_at_the_gate();
        assert_eq!(live.pacer.repeat_due(), None);
        // What was captured for the self-view waits in nobody's queue.
        assert!(live.picture(&picture.at(at(467)), at(500), false));
        assert_eq!(received(&mut items), []);
        assert!(live.picture(&picture.at(at(503)), at(506), false));
        let after = received(&mut items);
        assert!(matches!(&after[..], [FeedItem::Video(v)] if v.key && v.pts == at(503)), "{after:?}");
    }

    #[test]
    fn a_key_frame_comes_every_two_seconds_of_the_clock() {
        let (mut live, mut items, _) = live(1000);
        let picture = mujian_av::dark(320, 180);
        // An encoder that is behind: every third place is filled.
        for n in (0..300).step_by(3) {
            let t = MediaTime::from_scale(n, 30);
            assert!(live.picture(&picture.at(t), t, true));
        }
        let keys: Vec<i64> = received(&mut items)
            .iter()
            .filter_map(|i| if let FeedItem::Video(v) = i { v.key.then_some(v.pts.millis()) } else { None })
            .collect();
        assert_eq!(keys, [0, 2000, 4000, 6000, 8000]);
    }
}
