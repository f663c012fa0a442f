//! The small picture over the large one: what it shows now, and where, for everybody who draws the two.

use std::sync::Arc;

use mujian_av::Picture;
use mujian_av::inset::{Insetter, Place};
use parking_lot::Mutex;

use crate::capture::{Gate, Pictures};

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
