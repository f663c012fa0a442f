//! A way into the sound: the microphone, or what the computer plays. Who listens, what becomes of it, how loud it is.

use std::sync::Arc;

use mujian_av::sound::Level;
use mujian_protocol::studio::{Notice, NoticeCode, SoundLevel, StudioSettings};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::PipelineStatus;
use crate::capture::listen::{Ear, Hearing, Listener};
use crate::capture::{Clock, SoundTrack};
use crate::problem;

/// The ways into the sound, besides that of the picture's own source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The microphone.
    Microphone,
    /// What the computer plays.
    Output,
}

impl Way {
    fn ear(self, id: &str) -> Ear {
        match self {
            Self::Microphone => Ear::Microphone(id.to_owned()),
            Self::Output => Ear::Output(id.to_owned()),
        }
    }

    /// What is said when it is lost.
    const fn lost(self) -> NoticeCode {
        match self {
            Self::Microphone => NoticeCode::MicrophoneLost,
            Self::Output => NoticeCode::OutputLost,
        }
    }

    /// What is said when only digital silence comes. What a computer plays may well be silent.
    const fn silent(self) -> Option<NoticeCode> {
        match self {
            Self::Microphone => Some(NoticeCode::MicrophoneSilent),
            Self::Output => None,
        }
    }
}

/// What becomes of the sound of one way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Voicing {
    /// Gain in decibels, -40 to 20.
    pub gain_db: f32,
    /// Not heard.
    pub muted: bool,
    /// What is quieter than this after the gain is not heard (see [`mujian_av::sound::THRESHOLDS`]); none: everything is.
    pub noise_gate_db: Option<f32>,
}

impl Voicing {
    /// What the streamer chose.
    #[must_use]
    pub fn of(way: Way, settings: &StudioSettings) -> Self {
        match way {
            Way::Microphone => {
                Self { gain_db: settings.gain_db, muted: settings.muted, noise_gate_db: settings.noise_gate_db }
            }
            Way::Output => Self { gain_db: settings.output_gain_db, muted: settings.output_muted, noise_gate_db: None },
        }
    }
}

/// What becomes of all ways' sound. Copies are the same ones, and hold at once, whatever those who open devices are busy
/// with.
#[derive(Clone, Debug, Default)]
pub struct Faders(Arc<Mutex<[Voicing; 2]>>);

impl Faders {
    /// Puts one way's where it is wanted.
    pub fn set(&self, way: Way, voicing: Voicing) {
        self.0.lock()[way as usize] = voicing;
    }

    /// Puts all where the streamer wants them.
    pub fn follow(&self, settings: &StudioSettings) {
        *self.0.lock() = [Way::Microphone, Way::Output].map(|way| Voicing::of(way, settings));
    }

    /// Where one way's stands.
    #[must_use]
    pub fn of(&self, way: Way) -> Voicing {
        self.0.lock()[way as usize]
    }
}

/// One way, as whoever opens devices and the mixer share it.
#[derive(Clone)]
pub(super) struct Line {
    way: Way,
    listener: Arc<Mutex<Option<Listener>>>,
    track: Arc<Mutex<Option<SoundTrack>>>,
    level: watch::Sender<SoundLevel>,
    status: watch::Sender<PipelineStatus>,
}

const SILENT: SoundLevel =
    SoundLevel { rms_db: Level::SILENCE.rms_db, peak_db: Level::SILENCE.peak_db, clips: false, open: false };

impl Line {
    /// A way that nobody listens at.
    pub(super) fn new(way: Way, status: &watch::Sender<PipelineStatus>) -> Self {
        let level = watch::Sender::new(SILENT);
        Self { way, listener: Arc::default(), track: Arc::default(), level, status: status.clone() }
    }

    pub(super) const fn way(&self) -> Way {
        self.way
    }

    /// Listens to another device by its id, or to none. It is opened in the background; see the status.
    pub(super) fn listen(&self, id: Option<&str>, clock: Clock) {
        let mut listener = self.listener.lock();
        *listener = None;
        {
            let mut track = self.track.lock();
            *track = None;
            self.level.send_replace(SILENT);
        }
        let way = self.way;
        self.status.send_if_modified(|s| clear(s, way));
        if let Some(id) = id {
            let track = SoundTrack::new();
            *self.track.lock() = Some(track.clone());
            let (status, ear) = (self.status.clone(), way.ear(id));
            let event = {
                let ear = ear.clone();
                move |event| heard(&status, way, &ear, event)
            };
            *listener = Some(Listener::start(ear, clock, track, event));
        }
    }

    /// What is lost is opened again now.
    pub(super) fn press(&self) {
        if let Some(listener) = &*self.listener.lock() {
            listener.press();
        }
    }

    /// What is heard; none: nobody listens.
    pub(super) fn track(&self) -> Option<SoundTrack> {
        self.track.lock().clone()
    }

    /// How loud a track is, if it is still what is heard.
    pub(super) fn tell(&self, track: &SoundTrack, level: SoundLevel) {
        let present = self.track.lock();
        if present.as_ref().is_some_and(|present| present.is_same(track)) {
            self.level.send_replace(level);
        }
    }

    pub(super) fn levels(&self) -> watch::Receiver<SoundLevel> {
        self.level.subscribe()
    }
}

/// What becomes of the stream when a device is lost.
const GOES_ON: &str = "The stream goes on without its sound. It is taken back by itself when it is there again.";

fn clear(s: &mut PipelineStatus, way: Way) -> bool {
    let before = s.notices.len();
    s.notices.retain(|n| n.code != way.lost() && Some(n.code) != way.silent());
    before != s.notices.len()
}

fn heard(status: &watch::Sender<PipelineStatus>, way: Way, ear: &Ear, event: Hearing) {
    let notice = match event {
        Hearing::Back | Hearing::Silent(false) => None,
        Hearing::Silent(true) => way.silent().map(|code| {
            let message =
                "The microphone gives only silence. Look for a switch on it, and at the system's sound settings.";
            Notice::new(code, message)
        }),
        Hearing::Lost(error) => {
            let message = format!("{error} {GOES_ON}");
            Some(Notice::new(way.lost(), message).about(problem::of_ear(ear, &error)))
        }
    };
    status.send_if_modified(|s| {
        let changed = clear(s, way) || notice.is_some();
        s.notices.extend(notice);
        changed
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::CaptureError;

    fn codes(status: &watch::Sender<PipelineStatus>) -> Vec<NoticeCode> {
        status.borrow().notices.iter().map(|n| n.code).collect()
    }

    #[test]
    fn each_way_tells_of_itself_alone() {
        let status = watch::Sender::new(PipelineStatus::default());
        let lost = || Hearing::Lost(CaptureError::Stopped("It".into()));
        let (yeti, hdmi) = (Ear::Microphone("yeti".into()), Ear::Output("hdmi".into()));
        heard(&status, Way::Microphone, &yeti, lost());
        heard(&status, Way::Output, &hdmi, lost());
        assert_eq!(codes(&status), [NoticeCode::MicrophoneLost, NoticeCode::OutputLost]);
        heard(&status, Way::Microphone, &yeti, Hearing::Silent(true));
        heard(&status, Way::Output, &hdmi, Hearing::Silent(true));
        assert_eq!(codes(&status), [NoticeCode::MicrophoneSilent], "a computer may be silent");
        heard(&status, Way::Microphone, &yeti, Hearing::Back);
        assert_eq!(codes(&status), []);
    }

    #[test]
    fn only_what_is_heard_now_is_metered() {
        let line = Line::new(Way::Output, &watch::Sender::new(PipelineStatus::default()));
        let (before, now) = (SoundTrack::new(), SoundTrack::new());
        *line.track.lock() = Some(now.clone());
        let loud = SoundLevel { rms_db: -9.0, ..SILENT };
        // The mixer had the one before in hand.
        line.tell(&before, loud);
        assert_eq!(*line.levels().borrow(), SILENT);
        line.tell(&now, loud);
        assert_eq!(*line.levels().borrow(), loud);
        line.listen(None, Clock::new());
        line.tell(&now, loud);
        assert_eq!(*line.levels().borrow(), SILENT);
    }

    #[test]
    fn faders_stand_where_the_settings_say() {
        let faders = Faders::default();
        let settings = StudioSettings {
            gain_db: 3.0,
            noise_gate_db: Some(-40.0),
            output_gain_db: -6.0,
            output_muted: true,
            ..StudioSettings::default()
        };
        faders.clone().follow(&settings);
        let (microphone, output) = (faders.of(Way::Microphone), faders.of(Way::Output));
        assert_eq!((microphone.gain_db, microphone.muted, microphone.noise_gate_db), (3.0, false, Some(-40.0)));
        assert_eq!((output.gain_db, output.muted, output.noise_gate_db), (-6.0, true, None));
    }
}
