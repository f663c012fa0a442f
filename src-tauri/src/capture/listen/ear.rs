//! What there is to listen to: microphones, and what the computer plays; how each is named and refused.

use cpal::ErrorKind;
use cpal::traits::{DeviceTrait, HostTrait};
use mujian_av::AvError;
use mujian_protocol::studio::Device;

use crate::capture::CaptureError;

/// The id that follows the system's default.
pub const DEFAULT: &str = "default";
/// The reason where the system has none.
pub const NONE_SET_UP: &str = "none is set up";
/// Most devices that a list holds.
const MOST: usize = 64;

/// What is listened to, by its id; [`DEFAULT`] follows the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ear {
    /// A microphone.
    Microphone(String),
    /// What the computer plays at an output.
    Output(String),
}

impl Ear {
    /// What a person calls it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Microphone(id) if id == DEFAULT => "The system's microphone".into(),
            Self::Microphone(id) => format!("The microphone {id}"),
            Self::Output(id) if id == DEFAULT => "What this computer plays".into(),
            Self::Output(id) => format!("What this computer plays at {id}"),
        }
    }
}

/// Why a microphone cannot be heard, of what the sound system says.
pub(super) fn refused(id: &str, e: &cpal::Error) -> CaptureError {
    let device = if id == DEFAULT { "of the system".to_owned() } else { id.to_owned() };
    let name = || Ear::Microphone(id.to_owned()).name();
    let reason = || e.to_string().trim_end_matches('.').to_owned();
    match e.kind() {
        ErrorKind::PermissionDenied => CaptureError::MicrophoneDenied { device },
        ErrorKind::DeviceBusy => AvError::Busy { device: name() }.into(),
        ErrorKind::DeviceNotAvailable => AvError::Gone { device: name() }.into(),
        ErrorKind::HostUnavailable => CaptureError::NoMicrophone { reason: reason() },
        _ => CaptureError::Microphone { device, reason: reason() },
    }
}

/// The microphone with this id.
pub(super) fn microphone(id: &str) -> Result<cpal::Device, CaptureError> {
    let host = cpal::default_host();
    if id == DEFAULT {
        let none = || CaptureError::NoMicrophone { reason: NONE_SET_UP.into() };
        return host.default_input_device().ok_or_else(none);
    }
    let gone = || AvError::Gone { device: Ear::Microphone(id.to_owned()).name() }.into();
    host.device_by_id(&cpal::DeviceId::new(host.id(), id)).ok_or_else(gone)
}

/// libasound writes what it does not find to standard error, in the middle of a status line; what
/// matters comes back as an error as well. Holds for the thread that calls it.
pub(super) fn hush() {
    #[cfg(target_os = "linux")]
    if let Err(error) = alsa::Output::local_error_handler() {
        tracing::debug!(%error, "libasound goes on writing to standard error");
    }
}

/// Lists microphones, the default first.
///
/// # Errors
/// [`CaptureError::NoMicrophone`] with the reason if there is none.
pub fn list_microphones() -> Result<Vec<Device>, CaptureError> {
    hush();
    let none = |reason: String| CaptureError::NoMicrophone { reason: reason.trim_end_matches('.').to_owned() };
    let host = cpal::default_host();
    match host.default_input_device().map(|d| d.default_input_config()) {
        Some(Ok(_)) => {}
        Some(Err(e)) => return Err(none(e.to_string())),
        None => return Err(none(NONE_SET_UP.into())),
    }
    let mut list = vec![Device { id: DEFAULT.into(), name: "The system's microphone".into(), is_default: true }];
    // ALSA lists each card many times over, and plugins that are no devices.
    let plugins =
        ["null", "default", "dsnoop", "sysdefault", "samplerate", "speex", "upmix", "vdownmix", "jack", "oss", "hw:"];
    let is_plugin = |id: &str| cfg!(target_os = "linux") && plugins.iter().any(|p| id.starts_with(p));
    for device in host.input_devices().map_err(|e| none(e.to_string()))?.take(MOST) {
        let (Ok(id), Ok(about)) = (device.id(), device.description()) else { continue };
        if !is_plugin(id.id()) {
            list.push(Device { id: id.id().to_owned(), name: about.name().to_owned(), is_default: false });
        }
    }
    Ok(list)
}

/// Lists outputs whose sound can be taken, the default first.
///
/// # Errors
/// [`CaptureError::NoOutput`] with the reason if there is none.
#[cfg(target_os = "linux")]
pub fn list_outputs() -> Result<Vec<Device>, CaptureError> {
    super::pulse::list()
}

/// See there.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn list_outputs() -> Result<Vec<Device>, CaptureError> {
    Err(not_here())
}

/// What is said where the system keeps what it plays to itself, or nobody has asked it yet.
#[cfg(not(target_os = "linux"))]
pub(super) fn not_here() -> CaptureError {
    CaptureError::NoOutput { reason: "Mujian does not do that on this system yet".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_microphone_that_is_gone_busy_or_denied_is_told_apart() {
        let said = |id: &str, kind: ErrorKind| refused(id, &cpal::Error::from(kind)).to_string();
        assert_eq!(
            said("yeti", ErrorKind::DeviceBusy),
            "The microphone yeti is in use by another program. Close that program, then try again."
        );
        assert_eq!(
            said(DEFAULT, ErrorKind::DeviceNotAvailable),
            "The system's microphone is not there. Plug it in, or choose another."
        );
        assert_eq!(
            said("yeti", ErrorKind::PermissionDenied),
            "The system does not let this program use the microphone yeti. Allow it in the system's privacy settings."
        );
        let none = said(DEFAULT, ErrorKind::HostUnavailable);
        assert!(none.starts_with("There is no microphone:") && none.contains("running)."), "{none}");
        let other = said("yeti", ErrorKind::UnsupportedConfig);
        assert!(other.starts_with("The microphone yeti could not be used (The requested stream"), "{other}");
    }
}
