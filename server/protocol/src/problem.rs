//! What stands in the way of capturing, of starting, of publishing or of a call, with what it concerns. The interface
//! has a sentence for each in each of its languages; the `message` beside it says the same in English, for the command
//! line.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::placeholder::RefusalCode;

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A camera.
    Camera,
    /// A screen.
    Screen,
    /// A window.
    Window,
    /// A microphone.
    Microphone,
    /// What the computer plays at an output.
    Output,
}

/// A text that a person writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// An account's name.
    Name,
    /// A room's title.
    Title,
    /// A room's category.
    Category,
    /// A tag of a room.
    Tag,
    /// A danmaku.
    Comment,
    /// A placeholder's name.
    PlaceholderName,
    /// A placeholder's keyword.
    Keyword,
    /// The words on a placeholder.
    Words,
    /// Something to vote for.
    Interaction,
    /// Why a moderator refuses something.
    Reason,
    /// The name of an address to restream to.
    RelayName,
}

/// Why an encoder does not work, without its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum EncoderFault {
    /// FFmpeg was built without it.
    #[error("The FFmpeg on this computer was built without it.")]
    Missing,
    /// It needs hardware or a driver that is not there.
    #[error("This computer has no such hardware, or its driver is missing ({reason}).")]
    NoHardware {
        /// The driver's words.
        reason: String,
    },
    /// It refused to open or to go on.
    #[error("It does not work here ({reason}).")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// It lost pictures in its test.
    #[error("In its test {sent} pictures went in and {came} came out.")]
    Lost {
        /// That went in.
        sent: u32,
        /// That came out.
        came: u32,
    },
    /// Its pictures are not those that went in.
    #[error("In its test other pictures came out than went in.")]
    Wrong,
    /// It does not give key frames on demand.
    #[error("It gives no key frame when one is asked for.")]
    NoKeyFrame,
    /// What it gives cannot be streamed.
    #[error("What it gives cannot be streamed.")]
    Unstreamable,
    /// The process that tests it does not start.
    #[error("The process that tests it could not be started ({reason}).")]
    Untested {
        /// The system's words.
        reason: String,
    },
    /// It gave no answer.
    #[error("It gave no answer within {seconds} seconds and was stopped.")]
    Hung {
        /// How long it was waited for.
        #[ts(type = "number")]
        seconds: u64,
    },
    /// It took its process with it.
    #[error("It crashed while it was tested ({how}).")]
    Crashed {
        /// The system's words.
        how: String,
    },
    /// It failed while on air, and is not tried again.
    #[error("It failed while it ran ({reason}).")]
    Ruined {
        /// Its words.
        reason: String,
    },
    /// It is none of those for this system.
    #[error("It is not among the encoders for this system.")]
    Unlisted,
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
    /// The system has no microphone set up.
    MicrophoneUnset,
    /// No microphone can be used.
    MicrophoneNone {
        /// The system's words.
        reason: String,
    },
    /// The system has no output for sound set up.
    OutputUnset,
    /// What the computer plays cannot be taken.
    OutputNone {
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
    /// No file is chosen.
    FileUnset,
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
        /// Why.
        why: EncoderFault,
    },
    /// Not one encoder works.
    EncoderNone,
    /// This build of FFmpeg lacks an encoder.
    EncoderMissing {
        /// FFmpeg's name of it.
        name: String,
    },
    /// This build of FFmpeg lacks a way to capture.
    InputMissing {
        /// FFmpeg's name of it.
        name: String,
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
    /// A recording cannot be written there.
    RecordingRefused {
        /// The folder.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// The disk is slower than the stream.
    RecordingSlow {
        /// The folder.
        path: String,
    },
    /// The server's disk is full.
    ServerDiskFull,
    /// A placeholder's file is not in the data folder any more.
    ShelfFileGone {
        /// Where it was.
        path: String,
    },
    /// A placeholder has not come to the server yet.
    NotMirrored,
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
    /// Another program has this key already.
    KeyTaken {
        /// As `Ctrl+Shift+F9`.
        key: String,
    },
    /// The desktop lets no program hear keys while another is in front.
    NoGlobalKeys,
    /// The command line named the server, so it cannot be chosen.
    ServerNamed,
    /// What was typed is no server's address.
    NoServerAddress,
    /// Something answers there, but no server of Mujian's.
    NoMujian {
        /// As `https://HOST:PORT`.
        address: String,
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
    /// A text has nothing in it that can be seen.
    TextEmpty {
        /// Which.
        field: Field,
    },
    /// A text is too long.
    TextTooLong {
        /// Which.
        field: Field,
        /// The most, in characters.
        max: u32,
    },
    /// A text has characters that cannot be seen, or that turn what stands around them.
    TextForbidden {
        /// Which.
        field: Field,
    },
    /// Too many of a kind.
    TooMany {
        /// Of which.
        field: Field,
        /// The most.
        max: u32,
    },
    /// The password is too short.
    PasswordShort {
        /// The least, in characters.
        min: u32,
    },
    /// The password is too long.
    PasswordLong,
    /// The password that was asked for again is wrong.
    PasswordWrong,
    /// The name or the recovery code is wrong, or the code is used up or too old.
    RecoveryWrong,
    /// The account has no password.
    PasswordNone,
    /// The account is the only operator's.
    LastOperator,
    /// Too often.
    TooOften {
        /// How long to wait.
        #[ts(type = "number")]
        seconds: u64,
    },
    /// Too many people do this now.
    Crowded,
    /// Rooms are opened by streamers.
    StreamersOnly,
    /// The room or the recording belongs to somebody else.
    NotYours,
    /// The account owns as many rooms as it may.
    RoomsFull {
        /// The most.
        max: u32,
    },
    /// The account follows as many rooms as it may.
    FollowsFull {
        /// The most.
        max: u32,
    },
    /// One's own room cannot be followed.
    FollowsOwn,
    /// The room has as many viewers as it takes.
    RoomFull,
    /// The room is being closed.
    RoomClosing,
    /// The streamer is not away.
    NotAway,
    /// The time to be back at does not lie ahead, or too far.
    BackAtPast,
    /// The time that is announced does not lie ahead, or too far.
    AnnouncedWhen {
        /// The most, in days.
        days: u32,
    },
    /// The stay away is over already.
    LeaveOver,
    /// The picture is off, and the server could not keep that.
    LeaveNotKept,
    /// The ballot is not open any more.
    BallotClosed,
    /// The stream is still being recorded.
    ReplayUnfinished,
    /// The recording cannot be read from the server's disk.
    ReplayUnreadable,
    /// The shelf is full.
    ShelfFull {
        /// The most placeholders.
        max: u32,
    },
    /// It was changed or deleted by somebody else meanwhile.
    Outdated,
    /// The file is too large.
    UploadTooLarge {
        /// The most, in MB.
        mb: u32,
    },
    /// The upload broke off.
    UploadBroken,
    /// Neither words nor a file.
    UploadEmpty,
    /// A picture where sound is wanted.
    UploadSilent,
    /// The file cannot be a placeholder.
    UploadRefused {
        /// Why.
        code: RefusalCode,
    },
    /// The server is being stopped.
    ServerStopping,
    /// The server's database failed; nothing was changed.
    ServerDataFailed,
    /// The server took too long.
    ServerSlow,
    /// What answers is no server of Mujian.
    NoMujianServer,
    /// The page or the app is of another version than the server.
    VersionDiffers,
    /// The server ended the stream: somebody ended it elsewhere.
    StreamEnded,
    /// Something that cannot be while on air.
    OnAir,
    /// Something that only can be while on air.
    NotOnAir,
    /// On the app's own server its owner is always logged in.
    OwnServer,
    /// The app hosts no server that could be shared.
    NotHosting,
    /// The hosted server is being started again.
    HostRestarting,
    /// The dialog to choose a file is open already.
    DialogOpen,
    /// The server's settings cannot be used.
    SettingsDamaged {
        /// What is wrong with them, in English.
        reason: String,
    },
    /// An address to restream to is not of its form.
    RelayAddress,
    /// A stream key to restream with is empty, too long, or has characters that no key has.
    RelayKey,
    /// Another address came without its stream key.
    RelayKeyAgain,
    /// The room has as many further addresses as it may.
    RelaysFull {
        /// The most.
        max: u32,
    },
    /// The name in an address to restream to is not known.
    RelayUnresolved {
        /// The name.
        host: String,
        /// The system's words.
        reason: String,
    },
    /// Nobody takes a connection at an address to restream to.
    RelayUnreachable {
        /// Host and port.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// The server does not prove by its certificate who it is.
    ServerUntrusted {
        /// The name.
        host: String,
        /// What is wrong, in English.
        reason: String,
    },
    /// The address to restream to does not prove by its certificate who it is.
    RelayUntrusted {
        /// The name.
        host: String,
        /// What is wrong, in English.
        reason: String,
    },
    /// The address to restream to lies in the server's own network, and the room is not the operator's.
    RelayPrivate {
        /// The name.
        host: String,
    },
    /// The address to restream to is a room of the server from which it comes.
    RelayLeadsBack,
    /// The platform does not take the stream key.
    RelayKeyRefused {
        /// Its words.
        reason: String,
    },
    /// Somebody publishes there already.
    RelayBusy {
        /// The platform's words.
        reason: String,
    },
    /// The platform refused for another reason.
    RelayRefused {
        /// Its words.
        reason: String,
    },
    /// The platform ended the stream.
    RelayEnded {
        /// Its words.
        reason: String,
    },
    /// The platform cannot take it now.
    RelayAway {
        /// Its words.
        reason: String,
    },
    /// The connection to the platform broke.
    RelayLost {
        /// How.
        reason: String,
    },
    /// The platform takes nothing any more.
    RelayStalled {
        /// For how long, in seconds.
        #[ts(type = "number")]
        seconds: u64,
    },
    /// What answers there does not speak RTMP as it should.
    RelayNotRtmp {
        /// What is wrong, in English.
        reason: String,
    },
    /// The program itself is damaged.
    ProgramDamaged,
}
