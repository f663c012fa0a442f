//! What stands in the way of capturing, of starting or of publishing, with what it concerns. The interface has a
//! sentence for each in each of its languages; the `message` beside it says the same in English, for the command line.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A camera.
    Camera,
    /// A screen.
    Screen,
    /// A microphone.
    Microphone,
}

/// See the top of the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Problem {
    /// Another program uses the device.
    DeviceBusy {
        /// What kind.
        part: Part,
        /// As it was chosen.
        device: String,
    },
    /// The device is not there, or not any more.
    DeviceGone {
        /// What kind.
        part: Part,
        /// As it was chosen.
        device: String,
    },
    /// The system does not let this program use the device.
    DeviceDenied {
        /// What kind.
        part: Part,
        /// As it was chosen.
        device: String,
    },
    /// The device opened and gave nothing.
    DeviceSilent {
        /// What kind.
        part: Part,
        /// As it was chosen.
        device: String,
        /// How long it was waited for.
        #[ts(type = "number")]
        seconds: u64,
    },
    /// The device could not be used for another reason.
    DeviceFailed {
        /// What kind.
        part: Part,
        /// As it was chosen.
        device: String,
        /// The system's words.
        reason: String,
    },
    /// The device stopped without a reason.
    DeviceStopped {
        /// What kind.
        part: Part,
        /// As it was chosen.
        device: String,
    },
    /// No camera is connected.
    CameraNone,
    /// The system does not list its cameras.
    CamerasUnlisted,
    /// No microphone is connected.
    MicrophoneNone {
        /// The system's words.
        reason: String,
    },
    /// Screens are captured through X11 only.
    ScreenOnWayland,
    /// There is no display.
    ScreenNone,
    /// This kind of device is not captured on this system.
    PartUnsupported {
        /// What kind.
        part: Part,
    },
    /// There is no such file.
    FileMissing {
        /// Which.
        path: String,
    },
    /// The file may not be read.
    FileDenied {
        /// Which.
        path: String,
    },
    /// It is a folder.
    FileFolder {
        /// Which.
        path: String,
    },
    /// It is no media file.
    FileUnknown {
        /// Which.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// Neither picture nor sound is in it.
    FileEmpty {
        /// Which.
        path: String,
    },
    /// Nothing in it could be decoded.
    FileDamaged {
        /// Which.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// Reading it took too long.
    FileSlow {
        /// Which.
        path: String,
        /// How long it was waited for.
        #[ts(type = "number")]
        seconds: u64,
    },
    /// An encoder failed, or does not work here.
    EncoderFailed {
        /// What it is called.
        name: String,
        /// The system's words.
        reason: String,
    },
    /// Not one encoder works.
    EncoderNone,
    /// This build of FFmpeg lacks something.
    FfmpegLacks {
        /// What it lacks.
        what: String,
    },
    /// A port is taken.
    PortInUse {
        /// Which.
        address: String,
    },
    /// The system does not let the server listen.
    PortRefused {
        /// Which.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// The data folder cannot be written.
    FolderNotWritable {
        /// Which.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// Another server uses the data folder.
    FolderInUse {
        /// Which.
        path: String,
    },
    /// The environment names no place for the data.
    FolderUnknown,
    /// The app runs already with this data folder.
    AlreadyOpen,
    /// The disk is full.
    DiskFull {
        /// Which.
        path: String,
    },
    /// The server's disk is full.
    ServerDiskFull,
    /// A newer version wrote the database.
    NewerData {
        /// Which.
        path: String,
        /// The file's format.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// It is no database of Mujian.
    ForeignData {
        /// Which.
        path: String,
    },
    /// The database cannot be read or written.
    DataFailed {
        /// Which.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// The hosted server did not start.
    HostFailed {
        /// Where it tells more.
        log: String,
    },
    /// The server cannot be reached.
    ServerUnreachable {
        /// Which.
        address: String,
    },
    /// The connection to the server broke.
    ConnectionLost,
    /// The room's stream key was renewed while this app is on air.
    KeyRenewed,
    /// The video is not H.264.
    VideoCodec {
        /// Its name.
        codec: String,
    },
    /// The sound is not AAC.
    SoundCodec {
        /// Its name.
        codec: String,
    },
    /// Several video tracks.
    VideoTracks,
    /// Several sound tracks.
    SoundTracks,
    /// A picture format that players do not show.
    VideoForm,
    /// The picture is too large.
    PictureTooLarge {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// The largest side, in pixels.
        max: u32,
    },
    /// The video's configuration cannot be read.
    VideoDamaged,
    /// The sound's configuration cannot be read.
    SoundDamaged,
    /// AAC of another kind than AAC-LC with 1024 samples a frame.
    SoundForm,
    /// Neither 44.1 nor 48 kHz.
    SoundRate {
        /// A second.
        rate: u32,
    },
    /// Neither mono nor stereo.
    SoundChannels,
}
