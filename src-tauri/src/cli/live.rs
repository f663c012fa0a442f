//! `mujian live`: the studio without a window.

use std::sync::Arc;
use std::time::Duration;

use mujian_protocol::studio::{Broadcast, Device, Devices, StudioSettings, VideoSource};
use mujian_protocol::{ApiError, ErrorCode};
use tokio_util::task::AbortOnDropHandle;

use super::args::LiveArgs;
use super::report::Report;
use super::{exit, target};
use crate::paths;
use crate::signal::{Asked, Presses};
use crate::studio::{self, Start, Studio};
use crate::telling::Telling;
use crate::unattended;

/// Broadcasts until it ends; the exit code.
pub(super) async fn run(args: &LiveArgs) -> u8 {
    let mut report = Report::new(args.json);
    match broadcast(args, &mut report).await {
        Ok(()) => {
            report.ended();
            exit::DONE
        }
        Err(error) => {
            report.error(&error);
            exit::code_of(&error)
        }
    }
}

async fn broadcast(args: &LiveArgs, report: &mut Report) -> Result<(), ApiError> {
    // From here on, so that a signal while things open ends it as properly as later.
    let mut asked = std::pin::pin!(crate::signal::asked_to_end());
    report.starting(&args.room, &address(&args.server));
    let mut presses = Presses::new();
    let (found, settings) = tokio::select! {
        opened = async { Ok::<_, ApiError>((target::find(args).await?, with_devices(args.settings()).await?)) } => opened?,
        () = &mut asked => return Ok(()),
    };
    let rig = studio::rig(&tokio::runtime::Handle::current(), paths::data_dir(None).ok().as_deref());
    let studio = Arc::new(Studio::start(rig, settings));
    let mut state = studio.watch();
    studio.go_live(found.target, Start { resume: false, away: found.away }).await?;
    let _telling = found.api.map(|api| Telling::start(&api, &args.room, &studio, found.owner));
    let leaving = {
        let studio = Arc::clone(&studio);
        // Off air there is nothing to leave.
        move |why| drop(studio.leave_unattended(why))
    };
    let _unattended = AbortOnDropHandle::new(tokio::spawn(unattended::listen(leaving, state.clone())));
    let mut over = std::pin::pin!(after(args.duration, state.clone()));
    let mut ending = false;
    loop {
        let now = state.borrow_and_update().clone();
        report.state(&now);
        match &now.broadcast {
            Broadcast::Failed { error } => {
                studio.recorded().await;
                report.state(&studio.state());
                return Err(error.clone());
            }
            Broadcast::Idle => {
                studio.recorded().await;
                report.state(&studio.state());
                return Ok(());
            }
            _ => {}
        }
        tokio::select! {
            changed = state.changed() => {
                changed.map_err(|_| ApiError::new(ErrorCode::Internal, "The studio has crashed. Start the broadcast again."))?;
            }
            press = presses.next(), if !ending => match press {
                // Off air there is nothing to leave, and the state says so already.
                Asked::Leave => drop(studio.leave(Duration::ZERO)),
                Asked::Back => studio.back(),
            },
            () = &mut asked, if !ending => {
                ending = true;
                studio.end();
            }
            () = &mut over, if !ending => {
                ending = true;
                studio.end();
            }
        }
    }
}

/// The time on air that was asked for, from the first moment on air.
async fn after(
    duration: Option<Duration>,
    mut state: tokio::sync::watch::Receiver<std::sync::Arc<mujian_protocol::studio::StudioState>>,
) {
    let Some(duration) = duration else { return std::future::pending().await };
    if state.wait_for(|s| matches!(s.broadcast, Broadcast::Live { .. })).await.is_err() {
        return std::future::pending().await;
    }
    tokio::time::sleep(duration).await;
}

/// The window whose title is this, or the only one whose title has this in it.
fn window<'a>(list: &'a [Device], wanted: &str) -> Result<&'a Device, ApiError> {
    if let Some(found) = list.iter().find(|d| d.name == wanted) {
        return Ok(found);
    }
    let lower = wanted.to_lowercase();
    let found: Vec<&Device> = list.iter().filter(|d| d.name.to_lowercase().contains(&lower)).collect();
    let sentence = match found[..] {
        [one] => return Ok(one),
        [] => format!("No window is called {wanted}. `mujian devices` lists those that are open."),
        _ => format!(
            "{} windows are called {wanted} or like it. Give the whole title; `mujian devices` lists them.",
            found.len()
        ),
    };
    Err(ApiError::new(ErrorCode::Device, sentence))
}

/// The settings, with devices in place of what was asked for.
async fn with_devices(mut settings: StudioSettings) -> Result<StudioSettings, ApiError> {
    settings.source = found(settings.source).await?;
    if let Some(inset) = &mut settings.inset {
        inset.source = found(inset.source.clone()).await?;
    }
    Ok(settings)
}

/// A screen or a camera without an id means the default one; a window is named by its title.
async fn found(source: VideoSource) -> Result<VideoSource, ApiError> {
    match source {
        VideoSource::Window { name, .. } => {
            let devices = studio::devices().await?;
            let Device { id, name, .. } = window(&devices.windows, &name)?.clone();
            Ok(VideoSource::Window { device: id, name })
        }
        VideoSource::Camera { device } if device.is_empty() => {
            let devices = studio::devices().await?;
            Ok(VideoSource::Camera { device: default_of(&devices, &devices.cameras, "camera")? })
        }
        VideoSource::Screen { device } if device.is_empty() => {
            let devices = studio::devices().await?;
            Ok(VideoSource::Screen { device: default_of(&devices, &devices.screens, "screen")? })
        }
        other => Ok(other),
    }
}

/// The id of the default device of a list.
fn default_of(devices: &Devices, list: &[Device], what: &str) -> Result<String, ApiError> {
    let found = list.iter().find(|d| d.is_default).or(list.first()).map(|device| device.id.clone());
    found.ok_or_else(|| {
        let why = devices.notes.iter().map(|note| note.message.as_str()).collect::<Vec<_>>().join(" ");
        ApiError::new(
            ErrorCode::Device,
            format!("No {what} was found. {why} `mujian devices` lists what there is.").replace("  ", " "),
        )
    })
}

/// The server's address without whatever follows its host: nothing secret is printed by accident.
fn address(server: &url::Url) -> String {
    let port = server.port().map_or_else(String::new, |p| format!(":{p}"));
    format!("{}://{}{port}", server.scheme(), server.host_str().unwrap_or_default())
}
