//! Errors of capture as the interface has sentences for them, in the person's language.

use mujian_av::AvError;
use mujian_protocol::studio::VideoSource;
use mujian_protocol::{Part, Problem};

use crate::capture::CaptureError;

/// What keeps a source of pictures from being shown.
#[must_use]
pub fn of_source(source: &VideoSource, error: &CaptureError) -> Option<Problem> {
    match source {
        VideoSource::Camera { device } => of_device(Part::Camera, device, error),
        VideoSource::Screen { device } => of_device(Part::Screen, device, error),
        VideoSource::File { path, .. } => of_file(path, error),
        VideoSource::TestCard => None,
    }
}

/// What keeps a microphone from being heard.
#[must_use]
pub fn of_microphone(error: &CaptureError) -> Option<Problem> {
    match error {
        CaptureError::NoMicrophone { reason } => Some(Problem::MicrophoneNone { reason: reason.clone() }),
        CaptureError::Microphone { device, .. }
        | CaptureError::MicrophoneDenied { device }
        | CaptureError::NothingCame { device, .. }
        | CaptureError::Stopped(device) => of_device(Part::Microphone, device, error),
        CaptureError::Av(_) | CaptureError::Wayland | CaptureError::NoDisplay | CaptureError::Unsupported(_) => None,
    }
}

/// What keeps a list of devices empty.
#[must_use]
pub fn of_list(error: &CaptureError) -> Option<Problem> {
    of_device(Part::Screen, "", error)
        .filter(|p| matches!(p, Problem::ScreenOnWayland | Problem::ScreenNone))
        .or_else(|| of_microphone(error))
}

/// What keeps an encoder from working.
#[must_use]
pub fn of_encoder(error: &AvError) -> Option<Problem> {
    match error {
        AvError::Encoder { name, reason } => {
            Some(Problem::EncoderFailed { name: name.clone(), reason: reason.clone() })
        }
        AvError::NoHardware { label, reason } => {
            Some(Problem::EncoderFailed { name: label.clone(), reason: reason.clone() })
        }
        AvError::Missing { what } => Some(Problem::FfmpegLacks { what: what.clone() }),
        _ => None,
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
        CaptureError::Av(AvError::Missing { what }) => Problem::FfmpegLacks { what: what.clone() },
        CaptureError::Av(AvError::Device { reason, .. }) | CaptureError::Microphone { reason, .. } => {
            Problem::DeviceFailed { part, device, reason: reason.clone() }
        }
        CaptureError::Av(other) => Problem::DeviceFailed { part, device, reason: other.to_string() },
        CaptureError::Wayland => Problem::ScreenOnWayland,
        CaptureError::NoDisplay => Problem::ScreenNone,
        CaptureError::Unsupported(_) => Problem::PartUnsupported { part },
        CaptureError::NoMicrophone { reason } => Problem::MicrophoneNone { reason: reason.clone() },
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
        AvError::Missing { what } => Problem::FfmpegLacks { what: what.clone() },
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
        ] {
            assert_eq!(of_source(&file, &error.into()), Some(problem));
        }
        let screen = VideoSource::Screen { device: ":0".into() };
        assert_eq!(of_source(&screen, &CaptureError::Wayland), Some(Problem::ScreenOnWayland));
        assert_eq!(of_list(&CaptureError::NoDisplay), Some(Problem::ScreenNone));
        let denied = CaptureError::MicrophoneDenied { device: "yeti".into() };
        let part = Part::Microphone;
        assert_eq!(of_microphone(&denied), Some(Problem::DeviceDenied { part, device: "yeti".into() }));
        let none = CaptureError::NoMicrophone { reason: "none is set up".into() };
        assert_eq!(of_list(&none), Some(Problem::MicrophoneNone { reason: "none is set up".into() }));
    }
}
