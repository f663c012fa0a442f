//! The small picture over the large one: what it shows now, and where, for everybody who draws the two.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mujian_av::Picture;
use mujian_av::inset::{Insetter, Place};
use mujian_media::time::MediaTime;
use mujian_protocol::studio::{Notice, NoticeCode, VideoSource};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::status::PipelineStatus;
use crate::capture::{CaptureError, Clock, Gate, Pictures, Program, Running, Source, SourceEvent, Stop};
use crate::problem;

/// What becomes of it when it is lost.
const STAYS: &str = "Its last picture stays in the corner. It is taken back by itself when it is there again.";

/// Pictures of it that are kept: the large one may be some of them older when it is encoded.
const KEPT: usize = 8;

/// What is shown over the large picture. Copies are the same one.
#[derive(Clone, Default)]
pub(super) struct Shown(Arc<Mutex<Option<(Pictures, Place)>>>);

impl Shown {
    /// The newest of these pictures is shown.
    pub(super) fn show(&self, pictures: &Pictures, place: Place) {
        *self.0.lock() = Some((pictures.clone(), place));
    }

    /// In another place; nothing, where nothing is shown.
    pub(super) fn place(&self, place: Place) {
        if let Some((_, before)) = &mut *self.0.lock() {
            *before = place;
        }
    }

    /// Nothing is shown.
    pub(super) fn hide(&self) {
        *self.0.lock() = None;
    }

    /// Width by height of what is shown.
    pub(super) fn shape(&self) -> Option<f32> {
        self.newest(MediaTime::MAX).map(|(picture, _)| picture.shape())
    }

    fn newest(&self, by: MediaTime) -> Option<(Picture, Place)> {
        let shown = self.0.lock();
        let (pictures, place) = shown.as_ref()?;
        Some((pictures.newest(by)?, *place))
    }
}

/// Its source.
struct Open {
    running: Running,
    choice: VideoSource,
    program: Program,
}

/// The small picture with its source.
pub(super) struct Small {
    shown: Shown,
    open: Mutex<Option<Open>>,
    /// Events of an earlier turn are old.
    turn: Arc<AtomicU64>,
    status: watch::Sender<PipelineStatus>,
}

impl Small {
    pub(super) fn new(status: &watch::Sender<PipelineStatus>) -> Self {
        Self { shown: Shown::default(), open: Mutex::default(), turn: Arc::default(), status: status.clone() }
    }

    /// What is shown, for who draws it.
    pub(super) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// What it shows, if there is one.
    pub(super) fn source(&self) -> Option<VideoSource> {
        self.open.lock().as_ref().map(|open| open.choice.clone())
    }

    /// Puts it in another place. False: this is not what it shows.
    pub(super) fn place(&self, choice: &VideoSource, place: Place) -> bool {
        let shows = self
            .open
            .lock()
            .as_ref()
            .is_some_and(|open| open.choice == *choice && !open.running.is_stopped() && !open.running.is_over());
        if shows {
            self.shown.place(place);
        }
        shows
    }

    /// Shows a source once its first picture is there; until then, and if it fails, there is none.
    pub(super) fn open(
        &self,
        choice: &VideoSource,
        source: Box<dyn Source>,
        place: Place,
        clock: Clock,
        stop: Stop,
    ) -> Result<(), CaptureError> {
        // A device opens once only.
        drop(self.take());
        let turn = self.turn.load(Ordering::SeqCst);
        let event = {
            let (status, turns, choice) = (self.status.clone(), Arc::clone(&self.turn), choice.clone());
            move |event| {
                if turns.load(Ordering::SeqCst) == turn {
                    told(&status, &choice, event);
                }
            }
        };
        let pictures = Pictures::new(KEPT);
        let program = Program::new(vec![pictures.clone()]);
        let outlet = program.outlet();
        let running = Running::start(source, clock, outlet, stop, event)?;
        self.shown.show(&pictures, place);
        *self.open.lock() = Some(Open { running, choice: choice.clone(), program });
        Ok(())
    }

    /// Where it is lost it is opened again now, without waiting for the next attempt.
    pub(super) fn retake(&self) {
        if let Some(open) = &*self.open.lock() {
            open.program.press();
        }
    }

    /// Takes it away; its source runs on until what is given back is dropped.
    pub(super) fn take(&self) -> Option<Running> {
        self.shown.hide();
        self.turn.fetch_add(1, Ordering::SeqCst);
        self.status.send_if_modified(forget);
        self.open.lock().take().map(|open| open.running)
    }
}

fn forget(s: &mut PipelineStatus) -> bool {
    let before = s.notices.len();
    s.notices.retain(|n| n.code != NoticeCode::InsetLost);
    s.notices.len() != before
}

fn told(status: &watch::Sender<PipelineStatus>, choice: &VideoSource, event: SourceEvent) {
    status.send_modify(|s| {
        forget(s);
        if let SourceEvent::Lost(e) = event {
            let notice = Notice::new(NoticeCode::InsetLost, format!("{e} {STAYS}"));
            s.notices.push(notice.about(problem::of_source(choice, &e)));
        }
    });
}

/// Draws it, for one of those who do.
pub(super) struct Layer {
    shown: Shown,
    insetter: Insetter,
}

impl Layer {
    pub(super) fn new(shown: &Shown) -> Self {
        Self { shown: shown.clone(), insetter: Insetter::default() }
    }

    /// The large picture (as the encoder takes it) with the small one over it, for the streamer's own eyes.
    pub(super) fn over(&mut self, picture: &Picture) -> Picture {
        let small = self.shown.newest(MediaTime::MAX);
        self.lay(picture, small)
    }

    /// The same for everybody else: the small one as it was at the moment that the whole will be known by, where the gate
    /// lets that through. A press that is heard of later takes back what is past it by that moment alone, so nothing
    /// in the picture may be newer.
    pub(super) fn over_by(&mut self, picture: &Picture, moment: MediaTime, gate: &Gate) -> Picture {
        let small = self.shown.newest(moment).filter(|(small, _)| gate.passes(small.at));
        self.lay(picture, small)
    }

    fn lay(&mut self, picture: &Picture, small: Option<(Picture, Place)>) -> Picture {
        let Some((small, place)) = small else { return picture.clone() };
        self.insetter.lay(&small, picture, place).unwrap_or_else(|error| {
            tracing::warn!(%error, "the small picture is left out");
            picture.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORNER: Place = Place { width: 0.5, x: 0.0, y: 0.0 };

    fn at(ms: i64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    fn is_plain(picture: &Picture, large: &Picture) -> bool {
        picture.plane(0).as_ptr() == large.plane(0).as_ptr()
    }

    #[test]
    fn what_was_captured_while_away_is_left_out() {
        let (shown, gate, pictures) = (Shown::default(), Gate::default(), Pictures::new(1));
        let large = mujian_av::dark(320, 180);
        let (mut sent, mut own) = (Layer::new(&shown), Layer::new(&shown));
        let mut plain = |ms| is_plain(&sent.over_by(&large, at(ms), &gate), &large);
        assert!(plain(100), "there is none");
        shown.show(&pictures, CORNER);
        assert!(plain(100), "there is no picture of it yet");
        pictures.push(mujian_av::dark(64, 36).at(at(100)));
        assert!(!plain(100));
        gate.close(at(50), true);
        assert!(plain(100));
        assert!(!is_plain(&own.over(&large), &large), "the streamer's own eyes");
        gate.open(at(200));
        assert!(plain(300), "it was captured while away");
        pictures.push(mujian_av::dark(64, 36).at(at(201)));
        assert!(!plain(300));
        shown.hide();
        assert!(plain(300));
    }

    #[test]
    fn nothing_in_a_picture_is_newer_than_the_picture_says() {
        let (shown, gate, pictures) = (Shown::default(), Gate::default(), Pictures::new(KEPT));
        shown.show(&pictures, CORNER);
        let large = mujian_av::dark(320, 180);
        let mut sent = Layer::new(&shown);
        // The large one is 60 ms old when it is encoded. A press at 80 that is heard of later takes back what is past 80.
        pictures.push(mujian_av::dark(64, 36).at(at(100)));
        assert!(is_plain(&sent.over_by(&large, at(40), &gate), &large));
        assert!(is_plain(&sent.over_by(&large, at(99), &gate), &large));
        assert!(!is_plain(&sent.over_by(&large, at(100), &gate), &large));
        // One that came meanwhile does not take the place of the one that belongs there.
        pictures.push(mujian_av::dark(64, 36).at(at(133)));
        assert!(!is_plain(&sent.over_by(&large, at(110), &gate), &large));
        assert_eq!(shown.newest(at(110)).map(|(small, _)| small.at), Some(at(100)));
        assert_eq!(shown.newest(at(140)).map(|(small, _)| small.at), Some(at(133)));
    }
}
