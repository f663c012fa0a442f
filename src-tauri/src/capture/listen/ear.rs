//! What there is to listen to: microphones, and what the computer plays; how each is found, named and refused.
//!
//! What is played is taken where it goes out: from the monitor that PulseAudio and PipeWire have for each output, by
//! loopback on Windows (WASAPI) and macOS (14.6 on).

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{ErrorKind, SupportedStreamConfig};
use mujian_av::AvError;
use mujian_protocol::studio::Device;

use crate::capture::CaptureError;

/// The id that follows the system's default.
pub const DEFAULT: &str = "default";
/// The reason where the system has none.
pub const NONE_SET_UP: &str = "none is set up";
/// Bytes of PulseAudio's cookie (`PA_NATIVE_COOKIE_LENGTH`).
#[cfg(target_os = "linux")]
const COOKIE: usize = 256;
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

/// A device that was found, and how it gives sound.
pub(super) struct Found {
    pub(super) device: cpal::Device,
    pub(super) config: SupportedStreamConfig,
    follows: Option<Followed>,
}

/// The output that was the system's default, and who knows which one is.
struct Followed {
    host: cpal::Host,
    output: cpal::DeviceId,
}

impl Found {
    /// What the system plays goes to another output by now.
    pub(super) fn has_moved(&self) -> bool {
        self.follows.as_ref().is_some_and(|Followed { host, output }| {
            host.default_output_device().and_then(|device| device.id().ok()).is_some_and(|now| now != *output)
        })
    }

    /// It is another one from time to time, and nobody says so.
    pub(super) fn follows(&self) -> bool {
        self.follows.is_some()
    }
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

    /// Why it cannot be heard, of what the sound system says.
    pub(super) fn refused(&self, e: &cpal::Error) -> CaptureError {
        let reason = e.to_string().trim_end_matches('.').to_owned();
        match (self, e.kind()) {
            (_, ErrorKind::DeviceBusy) => AvError::Busy { device: self.name() }.into(),
            (_, ErrorKind::DeviceNotAvailable) => AvError::Gone { device: self.name() }.into(),
            (Self::Microphone(id), kind) => {
                let device = if id == DEFAULT { "of the system".to_owned() } else { id.clone() };
                match kind {
                    ErrorKind::PermissionDenied => CaptureError::MicrophoneDenied { device },
                    ErrorKind::HostUnavailable => CaptureError::NoMicrophone { reason },
                    _ => CaptureError::Microphone { device, reason },
                }
            }
            (Self::Output(_), _) => CaptureError::NoOutput { reason },
        }
    }

    pub(super) fn find(&self) -> Result<Found, CaptureError> {
        let refused = |e| self.refused(&e);
        let gone = || CaptureError::from(AvError::Gone { device: self.name() });
        match self {
            Self::Microphone(id) => {
                let host = microphones().map_err(refused)?;
                let device = if id == DEFAULT {
                    let none = || CaptureError::NoMicrophone { reason: NONE_SET_UP.into() };
                    host.default_input_device().ok_or_else(none)?
                } else {
                    host.device_by_id(&cpal::DeviceId::new(host.id(), id)).ok_or_else(gone)?
                };
                let config = device.default_input_config().map_err(refused)?;
                Ok(Found { device, config, follows: None })
            }
            Self::Output(id) => {
                let host = outputs().map_err(refused)?;
                let none = || CaptureError::NoOutput { reason: NONE_SET_UP.into() };
                let output = if id == DEFAULT {
                    host.default_output_device().and_then(|device| device.id().ok()).ok_or_else(none)?
                } else {
                    cpal::DeviceId::new(host.id(), id)
                };
                let device = monitor(&host, &output).ok_or_else(gone)?;
                // What is played is taken as it is played, where the system takes it from the output itself.
                let config = device.default_input_config().or_else(|_| device.default_output_config());
                let config = config.map_err(refused)?;
                Ok(Found { device, config, follows: (id == DEFAULT).then_some(Followed { host, output }) })
            }
        }
    }
}

/// On Linux every sound card is there through ALSA, and so is the sound server, where one runs.
#[cfg(target_os = "linux")]
fn microphones() -> Result<cpal::Host, cpal::Error> {
    cpal::host_from_id(cpal::HostId::Alsa)
}

/// Only the sound server knows what is played; that of PipeWire answers as PulseAudio's does.
#[cfg(target_os = "linux")]
fn outputs() -> Result<cpal::Host, cpal::Error> {
    if let Err(error) = bring_cookie() {
        tracing::debug!(%error, "no cookie for the sound server");
    }
    cpal::host_from_id(cpal::HostId::PulseAudio)
}

/// PulseAudio hangs up on who brings no cookie, even where it would let in anybody. Its own library makes one for who has
/// none; ours reads it only. A program in the middle of writing one is not disturbed.
#[cfg(target_os = "linux")]
fn bring_cookie() -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let Some(home) = std::env::home_dir() else { return Ok(()) };
    let folder = home.join(".config/pulse");
    if std::env::var_os("PULSE_COOKIE").is_some() || home.join(".pulse-cookie").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join("cookie")) {
        Ok(mut file) => file.write_all(&rand::random::<[u8; COOKIE]>()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
fn monitor(host: &cpal::Host, output: &cpal::DeviceId) -> Option<cpal::Device> {
    host.device_by_id(&cpal::DeviceId::new(host.id(), format!("{}.monitor", output.id())))
}

#[cfg(not(target_os = "linux"))]
fn microphones() -> Result<cpal::Host, cpal::Error> {
    Ok(cpal::default_host())
}

#[cfg(not(target_os = "linux"))]
fn outputs() -> Result<cpal::Host, cpal::Error> {
    Ok(cpal::default_host())
}

/// An output that is opened as an input gives what is played at it.
#[cfg(not(target_os = "linux"))]
fn monitor(host: &cpal::Host, output: &cpal::DeviceId) -> Option<cpal::Device> {
    host.device_by_id(output)
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
    let host = microphones().map_err(|e| none(e.to_string()))?;
    match host.default_input_device().map(|d| d.default_input_config()) {
        Some(Ok(_)) => {}
        Some(Err(e)) => return Err(none(e.to_string())),
        None => return Err(none(NONE_SET_UP.into())),
    }
    let devices = host.input_devices().map_err(|e| none(e.to_string()))?;
    // ALSA lists each card many times over, and plugins that are no devices.
    let plugins =
        ["null", "default", "dsnoop", "sysdefault", "samplerate", "speex", "upmix", "vdownmix", "jack", "oss", "hw:"];
    let is_plugin = |id: &str| cfg!(target_os = "linux") && plugins.iter().any(|p| id.starts_with(p));
    Ok(list("The system's microphone", devices, |id| !is_plugin(id)))
}

/// Lists outputs whose sound can be taken, the default first.
///
/// # Errors
/// [`CaptureError::NoOutput`] with the reason if there is none.
pub fn list_outputs() -> Result<Vec<Device>, CaptureError> {
    let none = |reason: String| CaptureError::NoOutput { reason: reason.trim_end_matches('.').to_owned() };
    let host = outputs().map_err(|e| none(e.to_string()))?;
    let default = host.default_output_device().and_then(|device| device.id().ok());
    let default = default.ok_or_else(|| none(NONE_SET_UP.into()))?;
    monitor(&host, &default).ok_or_else(|| none("the output cannot be listened to".into()))?;
    let devices = host.output_devices().map_err(|e| none(e.to_string()))?;
    Ok(list("What this computer plays", devices, |_| true))
}

fn list(default: &str, devices: impl Iterator<Item = cpal::Device>, wanted: impl Fn(&str) -> bool) -> Vec<Device> {
    let mut list = vec![Device { id: DEFAULT.into(), name: default.into(), is_default: true }];
    list.extend(devices.take(MOST).filter_map(|device| {
        let (id, about) = (device.id().ok()?, device.description().ok()?);
        let device = Device { id: id.id().to_owned(), name: about.name().to_owned(), is_default: false };
        wanted(id.id()).then_some(device)
    }));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_microphone_that_is_gone_busy_or_denied_is_told_apart() {
        let said = |id: &str, kind: ErrorKind| Ear::Microphone(id.into()).refused(&cpal::Error::from(kind)).to_string();
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

    #[test]
    fn what_the_computer_plays_cannot_be_had_without_a_sound_server() {
        let said = |kind: ErrorKind| Ear::Output(DEFAULT.into()).refused(&cpal::Error::from(kind)).to_string();
        let none = said(ErrorKind::HostUnavailable);
        assert!(none.starts_with("What this computer plays cannot be taken ("), "{none}");
        assert_eq!(
            said(ErrorKind::DeviceNotAvailable),
            "What this computer plays is not there. Plug it in, or choose another."
        );
    }
}
