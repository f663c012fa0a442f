//! What the studio's window and the app behind it tell each other.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::error::ApiError;
use crate::ids::{LeaveId, RoomId};
use crate::problem::{EncoderFault, Problem};
use crate::time::WallTime;

/// Where the picture comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[ts(optional_fields)]
pub enum VideoSource {
    /// A drawn card with the wall clock, a flash and a beep every second.
    TestCard,
    /// A camera, by its device id.
    Camera {
        /// As listed in [`Devices`].
        device: String,
    },
    /// A screen, by its id.
    Screen {
        /// As listed in [`Devices`].
        device: String,
    },
    /// One window and nothing of what lies over it.
    Window {
        /// As listed in [`Devices`].
        device: String,
        /// Its title when it was chosen: it is known again by that when it was closed and opened.
        name: String,
    },
    /// A media file; its own sound is used, mixed with the microphone.
    File {
        /// Where it lies.
        path: String,
        /// From the start again at its end.
        looped: bool,
    },
}

/// A small picture over the large one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct Inset {
    /// What it shows: anything but a file.
    pub source: VideoSource,
    /// Its width as a share of the large picture's, from 0.1 to 0.5.
    pub width: f32,
    /// How far to the right it lies, of the way that it has, from 0 to 1.
    pub x: f32,
    /// How far down it lies, of the way that it has, from 0 to 1.
    pub y: f32,
}

impl Inset {
    /// Bounds of [`Inset::width`].
    pub const WIDTHS: std::ops::RangeInclusive<f32> = 0.1..=0.5;

    /// Whether it can be shown.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let part = 0.0..=1.0;
        !matches!(self.source, VideoSource::File { .. })
            && Self::WIDTHS.contains(&self.width)
            && part.contains(&self.x)
            && part.contains(&self.y)
    }
}

/// A picture that was put together and kept under a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct Scene {
    /// What the streamer calls it; no two are called the same.
    pub name: String,
    /// The large picture.
    pub source: VideoSource,
    /// The small one over it, if there is one.
    pub inset: Option<Inset>,
}

impl Scene {
    /// Most that are kept.
    pub const MOST: usize = 20;
    /// Most characters of a name.
    pub const NAME: usize = 40;
}

/// A device that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Device {
    /// What names it to the system.
    pub id: String,
    /// What names it to a person.
    pub name: String,
    /// The system's default one.
    pub is_default: bool,
}

/// What there is to capture from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Devices {
    /// Cameras.
    pub cameras: Vec<Device>,
    /// Screens.
    pub screens: Vec<Device>,
    /// Windows that are open now, by their titles; not the app's own.
    pub windows: Vec<Device>,
    /// Microphones.
    pub microphones: Vec<Device>,
    /// Outputs whose sound can be taken.
    pub outputs: Vec<Device>,
    /// Why a list is empty, where that is known.
    pub notes: Vec<Note>,
}

/// Size and rate of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub enum Preset {
    /// 960 x 540, 30 a second, 1.5 Mbit/s.
    #[serde(rename = "540p30")]
    P540f30,
    /// 1280 x 720, 30 a second, 2.5 Mbit/s.
    #[default]
    #[serde(rename = "720p30")]
    P720f30,
    /// 1920 x 1080, 30 a second, 4.5 Mbit/s.
    #[serde(rename = "1080p30")]
    P1080f30,
    /// 1920 x 1080, 60 a second, 6 Mbit/s.
    #[serde(rename = "1080p60")]
    P1080f60,
}

/// How one candidate encoder fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EncoderReport {
    /// FFmpeg's name of it, as `h264_nvenc`.
    pub name: String,
    /// What a person calls it, as "NVIDIA NVENC".
    pub label: String,
    /// Runs on special hardware.
    pub hardware: bool,
    /// It opened, encoded a few frames, and they decoded to what went in.
    pub works: bool,
    /// Why not, in a sentence; empty if it works.
    pub reason: String,
    /// The same, for the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub fault: Option<EncoderFault>,
}

/// What the streamer chose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct StudioSettings {
    /// The picture.
    pub source: VideoSource,
    /// A small picture over it.
    #[serde(default)]
    pub inset: Option<Inset>,
    /// Pictures that are kept under names.
    #[serde(default)]
    pub scenes: Vec<Scene>,
    /// The microphone's id; `default` follows the system; none: no microphone.
    pub microphone: Option<String>,
    /// Gain of the microphone in decibels, -40 to 20.
    pub gain_db: f32,
    /// The microphone is not heard.
    pub muted: bool,
    /// What is quieter than this is not heard either, in decibels below full scale after the gain, -70 to -20; none:
    /// everything is heard.
    #[serde(default)]
    pub noise_gate_db: Option<f32>,
    /// The output whose sound is heard as well, by its id; `default` follows the system; none: what the computer plays is not
    /// heard.
    #[serde(default)]
    pub output: Option<String>,
    /// Gain of the computer's sound in decibels, -40 to 20.
    #[serde(default)]
    pub output_gain_db: f32,
    /// The computer's sound is not heard.
    #[serde(default)]
    pub output_muted: bool,
    /// Size and rate.
    pub preset: Preset,
    /// FFmpeg's name of the encoder; none: the first that works.
    pub encoder: Option<String>,
    /// Title of the room.
    pub title: String,
    /// Category of the room.
    pub category: String,
    /// Tags of the room.
    pub tags: Vec<String>,
    /// The sound goes on while the streamer is away.
    #[serde(default)]
    pub keep_sound: bool,
    /// Coming back, the streamer sees the picture for three seconds before the audience does.
    #[serde(default)]
    pub self_view: bool,
    /// What is sent is recorded on this computer.
    #[serde(default)]
    pub record: bool,
    /// The folder for that; none: the one for films.
    #[serde(default)]
    pub record_folder: Option<String>,
}

impl Default for StudioSettings {
    fn default() -> Self {
        Self {
            source: VideoSource::TestCard,
            inset: None,
            scenes: Vec::new(),
            microphone: Some("default".into()),
            gain_db: 0.0,
            muted: false,
            noise_gate_db: None,
            output: None,
            output_gain_db: 0.0,
            output_muted: false,
            preset: Preset::default(),
            encoder: None,
            title: String::new(),
            category: String::new(),
            tags: Vec::new(),
            keep_sound: false,
            self_view: false,
            record: false,
            record_folder: None,
        }
    }
}

/// How far leaving, or coming back, has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum AwayStep {
    /// Nothing passes any more; the device is being closed.
    Closing,
    /// The device is closed.
    Closed,
    /// The device is being opened for the return; the audience sees nothing yet.
    Opening,
    /// The streamer sees the picture, the audience does not yet.
    SelfView {
        /// When the audience will.
        until: WallTime,
    },
}

/// The streamer's stay away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct StudioAway {
    /// Which stay this is.
    pub leave_id: LeaveId,
    /// Since when.
    pub since: WallTime,
    /// The sound goes on.
    pub keep_sound: bool,
    /// How far it has come.
    pub step: AwayStep,
    /// The server has answered that it holds.
    pub told: bool,
}

/// Where the broadcast stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Broadcast {
    /// Not on air.
    Idle,
    /// Opening the encoder and the connection.
    Starting,
    /// On air.
    Live {
        /// Since when.
        since: WallTime,
    },
    /// The connection broke; trying again.
    Reconnecting {
        /// Since when the stream runs.
        since: WallTime,
        /// Since when the connection is gone.
        lost_at: WallTime,
        /// How often it was tried.
        attempt: u32,
        /// What the last attempt ran into.
        error: ApiError,
    },
    /// Saying goodbye.
    Ending,
    /// It could not start, or cannot go on.
    Failed {
        /// Why.
        error: ApiError,
    },
}

/// How the line to the server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum UplinkLevel {
    /// It carries what was chosen.
    #[default]
    Good,
    /// It carries less, and the stream makes do with that.
    Weak,
    /// Not even that: pictures are missing.
    Bad,
}

/// Why the line is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum UplinkWhy {
    /// It carries less than was chosen, so the picture has fewer bits.
    Narrow,
    /// What is sent comes late.
    Late,
    /// Pictures were dropped that had waited too long.
    Dropping,
    /// Nothing comes through.
    Stalled,
}

/// The line to the server, which is measured all the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Uplink {
    /// How it does.
    pub level: UplinkLevel,
    /// Why it is not good.
    pub why: Option<UplinkWhy>,
    /// Kilobits a second that the encoder may use for the picture.
    pub video_kbps: u32,
    /// Kilobits a second that the line carried when it was too narrow last; none while the picture has all its bits.
    pub carries_kbps: Option<u32>,
    /// How late what is sent comes to the server, beyond what the road needs, in milliseconds.
    pub behind_ms: u32,
}

/// Figures of a running broadcast, over the last second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct BroadcastStats {
    /// Kilobits a second sent.
    pub bitrate_kbps: f32,
    /// Frames a second sent.
    pub fps: f32,
    /// Frames not sent since the start.
    #[ts(type = "number")]
    pub dropped_frames: u64,
    /// Frames sent since the start.
    #[ts(type = "number")]
    pub sent_frames: u64,
    /// Age of the oldest frame waiting to be sent, in milliseconds.
    pub queue_ms: f32,
    /// The line to the server.
    pub uplink: Uplink,
}

/// Names a remark for the streamer. The interface has a sentence for each in each of its languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum NoticeCode {
    /// The microphone gives nothing but silence.
    MicrophoneSilent,
    /// The microphone is gone or cannot be used.
    MicrophoneLost,
    /// What the computer plays cannot be heard any more.
    OutputLost,
    /// The camera is gone or cannot be used.
    CameraLost,
    /// The screen cannot be captured any more.
    ScreenLost,
    /// The window was closed or is not shown; the last picture stays, and it is taken back by itself.
    WindowLost,
    /// The file cannot be played.
    FileFailed,
    /// The file has come to its end.
    FileEnded,
    /// The new source does not open; the one before stays.
    SourceFailed,
    /// What the small picture shows is gone; its last picture stays, and it is taken back by itself.
    InsetLost,
    /// The small picture's source does not open; the large one is shown without it.
    InsetFailed,
    /// The encoder failed; the processor encodes now.
    EncoderFallback,
    /// The broadcast goes on after a crash.
    Resumed,
    /// So it does, and the streamer is still away.
    ResumedAway,
    /// After a crash the broadcast could not go on.
    NotResumed,
    /// The screen was locked: the streamer left.
    LeftLocked,
    /// The computer went to sleep: the streamer left.
    LeftAsleep,
    /// The streamer left, and the device is still being closed.
    CameraNotClosing,
    /// The streamer could not come back.
    BackFailed,
    /// The recording on this computer ended by itself.
    RecordingFailed,
    /// On air, another size or encoder could not be had.
    QualityRefused,
    /// The server is known by HTTPS and takes no RTMPS: stream and key go to it in the open.
    SentOpenly,
}

/// A recording on this computer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct LocalRecording {
    /// Its file.
    pub path: String,
    /// How large that is.
    #[ts(type = "number")]
    pub bytes: u64,
    /// How long it is, in seconds.
    pub seconds: f64,
    /// It goes on.
    pub running: bool,
}

/// A remark for the streamer that stays until it no longer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Notice {
    /// Names the remark.
    pub code: NoticeCode,
    /// A sentence in English; the interface has its own words for codes and problems.
    pub message: String,
    /// What exactly stands in the way, where there is such a thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub problem: Option<Box<Problem>>,
}

impl Notice {
    /// A remark with its sentence.
    pub fn new(code: NoticeCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), problem: None }
    }

    /// The same, with what exactly stands in the way.
    #[must_use]
    pub fn about(mut self, problem: impl Into<Option<Problem>>) -> Self {
        self.problem = problem.into().map(Box::new);
        self
    }

    /// A remark that something failed.
    #[must_use]
    pub fn of(code: NoticeCode, error: ApiError) -> Self {
        Self { code, message: error.message, problem: error.problem }
    }
}

/// Why a list is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Note {
    /// A sentence in English.
    pub message: String,
    /// The same, for the interface.
    pub problem: Problem,
}

/// What the line to the server carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LineSpeed {
    /// Bits a second that came through.
    #[ts(type = "number")]
    pub bits_per_second: u64,
    /// The largest preset that it carries with something to spare; none: not even the smallest at its full bitrate.
    pub preset: Option<Preset>,
}

/// Whether others can reach the hosted server, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Share {
    /// The server listens beyond this computer.
    pub shared: bool,
    /// Links to the room, best first.
    pub links: Vec<String>,
    /// Where programs on other computers publish to, best first: `rtmp://HOST:PORT/live`.
    pub rtmp: Vec<String>,
    /// The first link as a QR code: an SVG document; empty without a link.
    pub qr_svg: String,
}

/// The studio, whole; sent whenever something in it changes, and once a second on air.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct StudioState {
    /// Counts the changes since the app's start: of two states the one with the higher number is the newer one, in
    /// whichever order they arrive (an answer and an event may overtake each other on their way to the page).
    #[ts(type = "number")]
    pub revision: u64,
    /// The room that is published to, once it is known.
    pub room: Option<RoomId>,
    /// What the streamer chose.
    pub settings: StudioSettings,
    /// Where the broadcast stands.
    pub broadcast: Broadcast,
    /// The streamer's stay away, if it is one.
    pub away: Option<StudioAway>,
    /// Its figures.
    pub stats: BroadcastStats,
    /// People watching, by the server's count.
    pub viewers: u32,
    /// The encoder that runs.
    pub encoder: Option<EncoderReport>,
    /// The small picture's width by its height, while there is one.
    pub inset_shape: Option<f32>,
    /// The recording on this computer: the one that goes on, or the last one of this broadcast.
    pub recording: Option<LocalRecording>,
    /// Remarks.
    pub notices: Vec<Notice>,
    /// Sharing.
    pub share: Share,
}

/// The level of a way into the sound after gain and mute, before the noise gate; some 15 a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct SoundLevel {
    /// Root mean square, in decibels below full scale (0 is full, -90 is silence).
    pub rms_db: f32,
    /// Highest sample, the same way.
    pub peak_db: f32,
    /// Something was too loud to be told apart: at the device itself, or by the gain.
    pub clips: bool,
    /// The noise gate lets something through.
    pub open: bool,
}

/// What the studio tells its window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StudioEvent {
    /// The studio changed.
    State(Box<StudioState>),
    /// The microphone's level.
    Level(SoundLevel),
    /// The level of what the computer plays.
    OutputLevel(SoundLevel),
    /// The window is to be closed while on air: the page asks the person, and answers by `window_close`.
    CloseAsked,
}
