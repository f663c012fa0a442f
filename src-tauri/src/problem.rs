//! Errors of capture as the interface has sentences for them, in the person's language.

use mujian_av::{AvError, Fault};
use mujian_protocol::studio::VideoSource;
use mujian_protocol::{ApiError, EncoderFault, ErrorCode, Part, Problem};

use crate::capture::CaptureError;
use crate::capture::listen::{Ear, NONE_SET_UP};

/// What keeps a source of pictures from being shown.
#[must_use]
pub fn of_source(source: &VideoSource, error: &CaptureError) -> Option<Problem> {
    match source {
        // None was chosen, because there is none.
        VideoSource::Camera { device } if device.is_empty() => Some(Problem::CameraNone),
        VideoSource::Camera { device } => of_device(Part::Camera, device, error),
        VideoSource::Screen { device } => of_device(Part::Screen, device, error),
        VideoSource::Window { name, .. } => of_device(Part::Window, name, error),
        VideoSource::File { path, .. } if path.is_empty() => Some(Problem::FileUnset),
        VideoSource::File { path, .. } => of_file(path, error),
        VideoSource::TestCard => None,
    }
}

/// What keeps a microphone, or what the computer plays, from being heard.
#[must_use]
pub fn of_ear(ear: &Ear, error: &CaptureError) -> Option<Problem> {
    match ear {
        Ear::Microphone(id) => of_device(Part::Microphone, id, error),
        Ear::Output(id) => of_device(Part::Output, id, error),
    }
}

/// What keeps a list of devices empty.
#[must_use]
pub fn of_list(error: &CaptureError) -> Problem {
    match error {
        CaptureError::Wayland => Problem::ScreenOnWayland,
        CaptureError::NoDisplay => Problem::ScreenNone,
        CaptureError::NoMicrophone { reason } => no_microphone(reason),
        CaptureError::NoOutput { reason } => no_output(reason),
        other => Problem::MicrophoneNone { reason: other.to_string() },
    }
}

/// What keeps an encoder from working.
#[must_use]
pub fn of_encoder(name: &str, error: &AvError) -> Problem {
    match error {
        AvError::MissingEncoder { name } => Problem::EncoderMissing { name: name.clone() },
        AvError::Encoder { name, .. } => Problem::EncoderFailed { name: name.clone(), why: fault(error) },
        _ => Problem::EncoderFailed { name: name.to_owned(), why: fault(error) },
    }
}

/// Why an encoder does not work, without its name.
#[must_use]
pub fn fault(error: &AvError) -> EncoderFault {
    match error {
        AvError::MissingEncoder { .. } => EncoderFault::Missing,
        AvError::NoHardware { reason, .. } => EncoderFault::NoHardware { reason: reason.clone() },
        AvError::Encoder { reason, .. } => match reason {
            Fault::Said(reason) => EncoderFault::Refused { reason: reason.clone() },
            Fault::Lost { sent, came } => EncoderFault::Lost { sent: *sent, came: *came },
            Fault::Wrong { .. } => EncoderFault::Wrong,
            Fault::NoKeyFrame => EncoderFault::NoKeyFrame,
            Fault::Unstreamable(_) => EncoderFault::Unstreamable,
        },
        other => EncoderFault::Refused { reason: other.to_string() },
    }
}

/// Something that cannot be while on air.
#[must_use]
pub fn on_air(sentence: &str) -> ApiError {
    ApiError::new(ErrorCode::Conflict, sentence).about(Problem::OnAir)
}

fn no_microphone(reason: &str) -> Problem {
    match reason {
        NONE_SET_UP => Problem::MicrophoneUnset,
        reason => Problem::MicrophoneNone { reason: reason.to_owned() },
    }
}

fn no_output(reason: &str) -> Problem {
    match reason {
        NONE_SET_UP => Problem::OutputUnset,
        reason => Problem::OutputNone { reason: reason.to_owned() },
    }
}

fn of_device(part: Part, device: &str, error: &CaptureError) -> Option<Problem> {
    let device = device.to_owned();
    Some(match error {
        CaptureError::Av(AvError::Busy { .. }) => Problem::DeviceBusy { part, device },
        CaptureError::Av(AvError::Gone { .. } | AvError::NotFound { .. }) => Problem::DeviceGone { part, device },
        CaptureError::Av(AvError::Denied { .. }) | CaptureError::MicrophoneDenied { .. } => {
            Problem::DeviceDenied { part, device }
        }
        CaptureError::Av(AvError::TimedOut { limit, .. }) => {
            Problem::DeviceSilent { part, device, seconds: limit.as_secs() }
        }
        CaptureError::NothingCame { seconds, .. } => Problem::DeviceSilent { part, device, seconds: *seconds },
        CaptureError::Av(AvError::MissingInput { name }) => Problem::InputMissing { name: name.clone() },
        CaptureError::Av(AvError::Device { reason, .. } | AvError::Ffmpeg { reason, .. })
        | CaptureError::Microphone { reason, .. } => Problem::DeviceFailed { part, device, reason: reason.clone() },
        CaptureError::Av(other) => Problem::DeviceFailed { part, device, reason: other.to_string() },
        CaptureError::Wayland => Problem::ScreenOnWayland,
        CaptureError::NoDisplay => Problem::ScreenNone,
        CaptureError::Unsupported(_) => Problem::PartUnsupported { part },
        CaptureError::NoMicrophone { reason } => no_microphone(reason),
        CaptureError::NoOutput { reason } => no_output(reason),
        CaptureError::Stopped(_) => Problem::DeviceStopped { part, device },
    })
}

fn of_file(path: &str, error: &CaptureError) -> Option<Problem> {
    let path = path.to_owned();
    let CaptureError::Av(error) = error else { return None };
    Some(match error {
        AvError::NotFound { .. } | AvError::Gone { .. } => Problem::FileMissing { path },
        AvError::Denied { .. } => Problem::FileDenied { path },
        AvError::Folder { .. } => Problem::FileFolder { path },
        AvError::NotMedia { reason, .. } => Problem::FileUnknown { path, reason: reason.clone() },
        AvError::NoStreams { .. } => Problem::FileEmpty { path },
        AvError::Undecodable { reason, .. } => Problem::FileDamaged { path, reason: reason.clone() },
        AvError::TimedOut { limit, .. } => Problem::FileSlow { path, seconds: limit.as_secs() },
        AvError::Ffmpeg { reason, .. } => Problem::FileDamaged { path, reason: reason.clone() },
        other => Problem::FileDamaged { path, reason: other.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_way_to_fail_has_its_own_sentence() {
        let (device, label) = ("/dev/video0".to_owned(), || "the camera /dev/video0".to_owned());
        let camera = VideoSource::Camera { device: device.clone() };
        let part = Part::Camera;
        for (error, problem) in [
            (AvError::Busy { device: label() }.into(), Problem::DeviceBusy { part, device: device.clone() }),
            (AvError::Gone { device: label() }.into(), Problem::DeviceGone { part, device: device.clone() }),
            (AvError::Denied { path: label() }.into(), Problem::DeviceDenied { part, device: device.clone() }),
            (
                AvError::TimedOut { path: label(), limit: Duration::from_secs(5) }.into(),
                Problem::DeviceSilent { part, device: device.clone(), seconds: 5 },
            ),
            (
                CaptureError::NothingCame { device: label(), seconds: 6 },
                Problem::DeviceSilent { part, device: device.clone(), seconds: 6 },
            ),
            (CaptureError::Stopped(label()), Problem::DeviceStopped { part, device: device.clone() }),
        ] {
            assert_eq!(of_source(&camera, &error), Some(problem), "{error}");
        }
        let path = || "/a/film.mp4".to_owned();
        let file = VideoSource::File { path: path(), looped: false };
        for (error, problem) in [
            (AvError::NotFound { path: path() }, Problem::FileMissing { path: path() }),
            (AvError::Denied { path: path() }, Problem::FileDenied { path: path() }),
            (AvError::Folder { path: path() }, Problem::FileFolder { path: path() }),
            (AvError::NoStreams { path: path() }, Problem::FileEmpty { path: path() }),
            (
                AvError::NotMedia { path: path(), reason: "it is text".into() },
                Problem::FileUnknown { path: path(), reason: "it is text".into() },
            ),
            (
                AvError::Undecodable { path: path(), reason: "no picture".into() },
                Problem::FileDamaged { path: path(), reason: "no picture".into() },
            ),
            (
                AvError::TimedOut { path: path(), limit: Duration::from_secs(5) },
                Problem::FileSlow { path: path(), seconds: 5 },
            ),
            (
                AvError::Ffmpeg { what: "seek", reason: "Input/output error".into() },
                Problem::FileDamaged { path: path(), reason: "Input/output error".into() },
            ),
        ] {
            assert_eq!(of_source(&file, &error.into()), Some(problem));
        }
        // Nothing chosen is not a thing without a name.
        let gone = || AvError::Gone { device: "the camera ".into() }.into();
        assert_eq!(of_source(&VideoSource::Camera { device: String::new() }, &gone()), Some(Problem::CameraNone));
        let unset = VideoSource::File { path: String::new(), looped: false };
        assert_eq!(of_source(&unset, &AvError::NotFound { path: String::new() }.into()), Some(Problem::FileUnset));
        let screen = VideoSource::Screen { device: ":0".into() };
        assert_eq!(of_source(&screen, &CaptureError::Wayland), Some(Problem::ScreenOnWayland));
        assert_eq!(of_list(&CaptureError::NoDisplay), Problem::ScreenNone);
        let (part, device) = (Part::Microphone, "yeti".to_owned());
        let label = || "The microphone yeti".to_owned();
        for (error, problem) in [
            (
                CaptureError::MicrophoneDenied { device: "yeti".into() },
                Problem::DeviceDenied { part, device: device.clone() },
            ),
            (AvError::Busy { device: label() }.into(), Problem::DeviceBusy { part, device: device.clone() }),
            (AvError::Gone { device: label() }.into(), Problem::DeviceGone { part, device: device.clone() }),
            (
                CaptureError::NothingCame { device: label(), seconds: 2 },
                Problem::DeviceSilent { part, device: device.clone(), seconds: 2 },
            ),
        ] {
            assert_eq!(of_ear(&Ear::Microphone("yeti".into()), &error), Some(problem), "{error}");
        }
        let none = |reason: &str| of_list(&CaptureError::NoMicrophone { reason: reason.into() });
        assert_eq!(none(NONE_SET_UP), Problem::MicrophoneUnset);
        assert_eq!(none("it broke"), Problem::MicrophoneNone { reason: "it broke".into() });
        let output = Ear::Output("hdmi".into());
        let gone = CaptureError::from(AvError::Gone { device: label() });
        assert_eq!(of_ear(&output, &gone), Some(Problem::DeviceGone { part: Part::Output, device: "hdmi".into() }));
        let none = |reason: &str| of_list(&CaptureError::NoOutput { reason: reason.into() });
        assert_eq!(none(NONE_SET_UP), Problem::OutputUnset);
        assert_eq!(none("refused"), Problem::OutputNone { reason: "refused".into() });
    }

    #[test]
    fn an_encoder_that_fails_says_how() {
        let name = || "h264_vaapi".to_owned();
        let failed = |reason| AvError::Encoder { name: name(), reason };
        for (error, why) in [
            (failed(Fault::Said("busy".into())), EncoderFault::Refused { reason: "busy".into() }),
            (failed(Fault::Lost { sent: 10, came: 9 }), EncoderFault::Lost { sent: 10, came: 9 }),
            (failed(Fault::Wrong { picture: 1, decibels: 9 }), EncoderFault::Wrong),
            (failed(Fault::NoKeyFrame), EncoderFault::NoKeyFrame),
            (failed(Fault::Unstreamable("x".into())), EncoderFault::Unstreamable),
            (
                AvError::NoHardware { label: "VA-API".into(), reason: "none".into() },
                EncoderFault::NoHardware { reason: "none".into() },
            ),
        ] {
            assert_eq!(of_encoder("h264_vaapi", &error), Problem::EncoderFailed { name: name(), why }, "{error}");
        }
        let missing = AvError::MissingEncoder { name: name() };
        assert_eq!(of_encoder("h264_vaapi", &missing), Problem::EncoderMissing { name: name() });
    }
}
