//! The small picture over the large one: what it shows now, and where, for everybody who draws the two.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mujian_av::Picture;
use mujian_av::inset::{Insetter, Place};
use mujian_protocol::studio::{Notice, NoticeCode, VideoSource};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::status::PipelineStatus;
use crate::capture::{CaptureError, Clock, Gate, Pictures, Program, Running, Source, SourceEvent, Stop};
use crate::problem;

/// What becomes of it when it is lost.
const STAYS: &str = "Its last picture stays in the corner. It is taken back by itself when it is there again.";

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
        self.now().map(|(picture, _)| picture.shape())
    }

    fn now(&self) -> Option<(Picture, Place)> {
        let shown = self.0.lock();
        let (pictures, place) = shown.as_ref()?;
        Some((pictures.newest()?, *place))
    }
}

/// The small picture with its source.
pub(super) struct Small {
    shown: Shown,
    open: Mutex<Option<(Running, VideoSource)>>,
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
        self.open.lock().as_ref().map(|(_, choice)| choice.clone())
    }

    /// Puts it in another place. False: this is not what it shows.
    pub(super) fn place(&self, choice: &VideoSource, place: Place) -> bool {
        let shows = self.open.lock().as_ref().is_some_and(|(running, now)| now == choice && !running.is_stopped());
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
        let pictures = Pictures::new(1);
        let outlet = Program::new(vec![pictures.clone()]).outlet();
        let running = Running::start(source, clock, outlet, stop, event)?;
        self.shown.show(&pictures, place);
        *self.open.lock() = Some((running, choice.clone()));
        Ok(())
    }

    /// Takes it away; its source runs on until what is given back is dropped.
    pub(super) fn take(&self) -> Option<Running> {
        self.shown.hide();
        self.turn.fetch_add(1, Ordering::SeqCst);
        self.status.send_if_modified(forget);
        self.open.lock().take().map(|(running, _)| running)
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

    /// The large picture (as the encoder takes it) with the small one over it, if there is one and the gate lets it through;
    /// without a gate, for the streamer's own eyes.
    pub(super) fn over(&mut self, picture: &Picture, gate: Option<&Gate>) -> Picture {
        let Some((small, place)) = self.shown.now() else { return picture.clone() };
        if gate.is_some_and(|gate| !gate.passes(small.at)) {
            return picture.clone();
        }
        self.insetter.lay(&small, picture, place).unwrap_or_else(|error| {
            tracing::warn!(%error, "the small picture is left out");
            picture.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use mujian_media::time::MediaTime;

    use super::*;

    const CORNER: Place = Place { width: 0.5, x: 0.0, y: 0.0 };

    fn at(ms: i64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    #[test]
    fn what_was_captured_while_away_is_left_out() {
        let (shown, gate, pictures) = (Shown::default(), Gate::default(), Pictures::new(1));
        let large = mujian_av::dark(320, 180);
        let is_plain = |picture: &Picture| picture.plane(0).as_ptr() == large.plane(0).as_ptr();
        let (mut sent, mut own) = (Layer::new(&shown), Layer::new(&shown));
        assert!(is_plain(&sent.over(&large, Some(&gate))), "there is none");
        shown.show(&pictures, CORNER);
        assert!(is_plain(&sent.over(&large, Some(&gate))), "there is no picture of it yet");
        pictures.push(mujian_av::dark(64, 36).at(at(100)));
        assert!(!is_plain(&sent.over(&large, Some(&gate))));
        gate.close(at(50), true);
        assert!(is_plain(&sent.over(&large, Some(&gate))));
        assert!(!is_plain(&own.over(&large, None)), "the streamer's own eyes");
        gate.open(at(200));
        assert!(is_plain(&sent.over(&large, Some(&gate))), "it was captured while away");
        pictures.push(mujian_av::dark(64, 36).at(at(201)));
        assert!(!is_plain(&sent.over(&large, Some(&gate))));
        shown.hide();
        assert!(is_plain(&sent.over(&large, Some(&gate))));
    }
}
