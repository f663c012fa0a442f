//! A media file as a source: decoded a little ahead, played at its own pace.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mujian_av::decode::{Decoded, Reader};
use mujian_av::open::Watch;
use mujian_av::sound::{RATE, Sample};
use mujian_av::{AvError, Picture};
use mujian_media::time::MediaTime;

use super::{CaptureError, Clock, End, Hold, Outlet, Source, Stop, Voice, Wanted};

/// Time between decoding the first picture and showing it.
const LEAD: MediaTime = MediaTime::from_millis(150);
/// Pictures are decoded this far ahead, since sound lies somewhat after its picture in many files.
const PICTURES_AHEAD: MediaTime = MediaTime::from_millis(500);
/// Bytes of decoded pictures that may wait, whatever their size.
const PICTURES_BYTES: usize = 96 << 20;
/// Sound is handed over this far ahead.
const SOUND_AHEAD: MediaTime = MediaTime::from_millis(1000);
/// How often a file that is held shows its first picture.
const HELD: MediaTime = MediaTime::from_millis(40);
/// Later than this, the file's clock is moved instead of hurrying after it.
const LATE: MediaTime = MediaTime::from_millis(700);
/// How often a file that stands still looks whether it is to go on.
const STILL: Duration = Duration::from_millis(20);
/// A jump in the file's own timestamps that is taken for a defect.
const JUMP: MediaTime = MediaTime::from_millis(10_000);

/// Plays a file once or over and over.
pub struct FileSource {
    path: PathBuf,
    looped: bool,
    wanted: Wanted,
    hold: Option<Hold>,
}

impl FileSource {
    /// A file to play. Where it has no picture, a dark one of the wanted size is shown.
    #[must_use]
    pub fn new(path: PathBuf, looped: bool, wanted: Wanted) -> Self {
        Self { path, looped, wanted, hold: None }
    }

    /// Shows only the first picture, without sound, until it is released: so that nothing is missing at the
    /// beginning of a broadcast whose connection takes its time.
    #[must_use]
    pub fn held(self, hold: Hold) -> Self {
        Self { hold: Some(hold), ..self }
    }

    fn open(&self) -> Result<Reader, AvError> {
        Reader::open(&self.path, Arc::new(Watch::default()))
    }
}

/// What is decoded and waits for its time.
#[derive(Default)]
struct Waiting {
    pictures: VecDeque<Picture>,
    sound: VecDeque<(MediaTime, Vec<Sample>)>,
    bytes: usize,
    /// Sound that was handed over ahead of its time: given again if the file stands still before it.
    given: VecDeque<(MediaTime, Vec<Sample>)>,
}

/// When a piece of sound is over.
fn ends(at: MediaTime, samples: &[Sample]) -> MediaTime {
    at.saturating_add(MediaTime::from_scale(samples.len() as i64, RATE))
}

fn size(picture: &Picture) -> usize {
    picture.width() as usize * picture.height() as usize * 2
}

/// One run through the file.
struct Play<'a> {
    clock: Clock,
    outlet: &'a Outlet,
    stop: &'a Stop,
    voice: &'a Voice<'a>,
    /// Clock time of the file's start.
    base: MediaTime,
    /// Where the file ends so far, relative to its start.
    end: MediaTime,
    waiting: Waiting,
    dark: Option<Picture>,
}

impl Play<'_> {
    /// Takes a decoded piece in.
    fn take(&mut self, piece: Decoded) {
        match piece {
            Decoded::Picture(p) => {
                let step = MediaTime::from_millis(33);
                let at = self.sane(p.at);
                self.end = self.end.max(at.saturating_add(step));
                self.waiting.bytes += size(&p);
                self.waiting.pictures.push_back(p.at(self.base.saturating_add(at)));
            }
            Decoded::Sound { at, samples } => {
                let at = self.sane(at);
                let long = MediaTime::from_scale(samples.len() as i64, RATE);
                self.end = self.end.max(at.saturating_add(long));
                self.waiting.sound.push_back((self.base.saturating_add(at), samples));
            }
        }
    }

    /// A time of the file, unless it is absurd: then where the file has come to.
    fn sane(&self, at: MediaTime) -> MediaTime {
        if at.abs_diff(self.end) > JUMP { self.end } else { at }
    }

    /// Gives out what is due, and tells when the next piece is; none if nothing waits.
    fn give(&mut self) -> Option<MediaTime> {
        let now = self.clock.now();
        while let Some((at, _)) = self.waiting.sound.front()
            && *at <= now.saturating_add(SOUND_AHEAD)
        {
            if let Some((at, samples)) = self.waiting.sound.pop_front() {
                self.outlet.sound(at, &samples);
                if self.dark.is_some() && at <= now {
                    self.voice.ready();
                }
                self.waiting.given.push_back((at, samples));
            }
        }
        while self.waiting.given.front().is_some_and(|(at, s)| ends(*at, s) <= now) {
            self.waiting.given.pop_front();
        }
        if let Some(dark) = &self.dark {
            self.outlet.picture(dark.at(now));
            self.voice.ready();
            return Some(now.saturating_add(MediaTime::from_millis(50)));
        }
        while let Some(first) = self.waiting.pictures.front() {
            if first.at > now {
                return Some(first.at);
            }
            if let Some(picture) = self.waiting.pictures.pop_front() {
                self.waiting.bytes -= size(&picture);
                self.late(now.saturating_sub(picture.at));
                self.outlet.picture(picture);
                self.voice.ready();
            }
        }
        self.waiting.sound.front().map(|(at, _)| at.saturating_sub(SOUND_AHEAD))
    }

    /// Shows the first picture until it may go on. `false`: it was asked to stop.
    fn hold(&mut self, reader: &mut Reader, hold: &Hold) -> Result<bool, AvError> {
        let mut ended = false;
        while self.dark.is_none() && self.waiting.pictures.is_empty() && !ended && !self.is_full() {
            match reader.read()? {
                Some(piece) => self.take(piece),
                None => ended = true,
            }
        }
        while !hold.is_released() {
            let now = self.clock.now();
            if let Some(still) = self.dark.as_ref().or(self.waiting.pictures.front()) {
                self.outlet.picture(still.at(now));
                self.voice.ready();
            }
            if self.stop.wait_until(self.clock.instant(now.saturating_add(HELD))) {
                return Ok(false);
            }
        }
        let begins = self.clock.now().saturating_add(LEAD);
        self.later(begins.saturating_sub(self.base));
        Ok(true)
    }

    /// The computer does not keep up, or slept: the file's clock moves on.
    fn late(&mut self, by: MediaTime) {
        if by > LATE {
            self.later(by);
        }
    }

    fn later(&mut self, by: MediaTime) {
        self.base = self.base.saturating_add(by);
        for p in &mut self.waiting.pictures {
            p.at = p.at.saturating_add(by);
        }
        for (at, _) in &mut self.waiting.sound {
            *at = at.saturating_add(by);
        }
    }

    /// Stands still for as long as it is asked to. `false`: it was asked to stop.
    fn stand_still(&mut self) -> bool {
        let since = self.clock.now();
        if !self.outlet.is_held() {
            return true;
        }
        while self.outlet.is_held() {
            if self.stop.wait_until(Instant::now() + STILL) {
                return false;
            }
        }
        let unheard = self.waiting.given.iter().position(|(at, s)| ends(*at, s) > since);
        if let Some(first) = unheard {
            for piece in self.waiting.given.drain(..).skip(first).rev() {
                self.waiting.sound.push_front(piece);
            }
        }
        self.later(self.clock.now().saturating_sub(since));
        true
    }

    fn is_full(&self) -> bool {
        let ahead = self.clock.now().saturating_add(PICTURES_AHEAD);
        let pictures = self.waiting.pictures.len() >= 2
            && (self.waiting.bytes > PICTURES_BYTES || self.waiting.pictures.back().is_some_and(|p| p.at > ahead));
        let sound = self.waiting.sound.len() >= 2
            && self
                .waiting
                .sound
                .back()
                .is_some_and(|(at, _)| *at > ahead.saturating_add(SOUND_AHEAD).saturating_add(SOUND_AHEAD));
        pictures || sound
    }

    /// Plays to the end of the file, or only until all of it is decoded (`ahead`). `false`: it was
    /// asked to stop.
    fn run(&mut self, reader: &mut Reader, ahead: bool) -> Result<bool, AvError> {
        let mut ended = false;
        loop {
            if !self.stand_still() {
                return Ok(false);
            }
            while !ended && !self.is_full() {
                match reader.read()? {
                    Some(piece) => self.take(piece),
                    None => ended = true,
                }
                // A picture that is due does not wait until the queue is full.
                if self.waiting.pictures.front().is_some_and(|p| p.at <= self.clock.now()) {
                    break;
                }
            }
            if ended && ahead {
                return Ok(!self.stop.is_stopped());
            }
            let next = self.give();
            let over = self.clock.now() >= self.base.saturating_add(self.end);
            if ended && self.waiting.pictures.is_empty() && self.waiting.sound.is_empty() && over {
                return Ok(true);
            }
            let rest = self.clock.now().saturating_add(MediaTime::from_millis(20));
            let until = next.unwrap_or(rest).min(self.clock.now().saturating_add(MediaTime::from_millis(200)));
            let wait = ended || self.is_full() || self.dark.is_some();
            if wait && self.stop.wait_until(self.clock.instant(until)) || self.stop.is_stopped() {
                return Ok(false);
            }
        }
    }
}

impl Source for FileSource {
    fn label(&self) -> String {
        format!("the file {}", self.path.display())
    }

    fn run(&mut self, clock: Clock, outlet: &Outlet, stop: &Stop, voice: &Voice<'_>) -> Result<End, CaptureError> {
        let mut reader = self.open()?;
        let dark = (!reader.has_video()).then(|| mujian_av::dark(self.wanted.width, self.wanted.height));
        let mut play = Play {
            clock,
            outlet,
            stop,
            voice,
            base: clock.now().saturating_add(LEAD),
            end: MediaTime::ZERO,
            waiting: Waiting::default(),
            dark,
        };
        if let Some(hold) = &self.hold
            && !play.hold(&mut reader, hold)?
        {
            return Ok(End::Stopped);
        }
        loop {
            if !play.run(&mut reader, self.looped)? {
                return Ok(End::Stopped);
            }
            if !self.looped {
                return Ok(End::Finished);
            }
            // The next round is decoded while the last pictures of this one wait for their time. A
            // round takes a tenth of a second or more, however short the file is.
            play.base = play.base.saturating_add(play.end.max(MediaTime::from_millis(100)));
            play.end = MediaTime::ZERO;
            reader = self.open()?;
        }
    }

    fn first_limit(&self) -> Duration {
        mujian_av::open::OPEN_LIMIT + Duration::from_secs(2)
    }
}
