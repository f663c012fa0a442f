//! What there is to capture from, and why a list is empty.

use std::path::Path;

use mujian_protocol::Problem;
use mujian_protocol::studio::{Device, Devices, Note};

use super::{CaptureError, listen};
use crate::problem;

/// Where the kernel lists cameras.
pub(super) const CAMERAS: &str = "/sys/class/video4linux";

/// Lists cameras, screens, microphones and outputs. Takes up to a second where the sound service is slow.
#[must_use]
pub fn devices() -> Devices {
    let mut notes = Vec::new();
    let cameras = cameras(Path::new(CAMERAS));
    if cameras.is_empty() {
        let (message, problem) = if cfg!(target_os = "linux") {
            let message =
                "No camera was found. Plug one in; a virtual machine or container must be given the camera first.";
            (message, Problem::CameraNone)
        } else {
            let message = "Cameras are not listed on this system; name one by its number or by its name.";
            (message, Problem::CamerasUnlisted)
        };
        notes.push(Note { message: message.into(), problem });
    }
    let (screens, why) = screens(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    notes.extend(why.as_ref().map(note));
    let mut heard = |list: Result<Vec<Device>, CaptureError>| {
        list.unwrap_or_else(|e| {
            notes.push(note(&e));
            Vec::new()
        })
    };
    let (microphones, outputs) = (heard(listen::list_microphones()), heard(listen::list_outputs()));
    let windows = screens.first().map_or_else(Vec::new, |screen| windows(&screen.id));
    Devices { cameras, screens, windows, microphones, outputs, notes }
}

#[cfg(target_os = "linux")]
use super::window::list as windows;

#[cfg(not(target_os = "linux"))]
fn windows(_: &str) -> Vec<Device> {
    Vec::new()
}

fn note(error: &CaptureError) -> Note {
    Note { message: error.to_string(), problem: problem::of_list(error) }
}

/// Cameras as the kernel lists them (`sysfs`): nodes that capture (index 0 of a device; the others carry
/// metadata), by name.
pub(super) fn cameras(sysfs: &Path) -> Vec<Device> {
    let mut found: Vec<(u32, Device)> = Vec::new();
    for entry in std::fs::read_dir(sysfs).into_iter().flatten().flatten().take(256) {
        let node = entry.file_name().to_string_lossy().into_owned();
        let Some(number) = node.strip_prefix("video").and_then(|n| n.parse().ok()) else { continue };
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default().trim().to_owned();
        if !matches!(read("index").as_str(), "0" | "") {
            continue;
        }
        let name = match read("name") {
            name if name.is_empty() => node.clone(),
            name => name,
        };
        found.push((number, Device { id: format!("/dev/{node}"), name, is_default: false }));
    }
    found.sort_by_key(|(number, _)| *number);
    let mut list: Vec<Device> = found.into_iter().map(|(_, d)| d).collect();
    if let Some(first) = list.first_mut() {
        first.is_default = true;
    }
    list
}

/// Where the camera `name` is, which was `id`: a camera that was plugged in again may be another node, and its old node
/// another camera, which nobody chose.
pub(super) fn same_camera(listed: &[Device], id: &str, name: &str) -> Option<String> {
    let same = |d: &&Device| d.name == name;
    let there = listed.iter().filter(same).find(|d| d.id == id);
    there.or_else(|| listed.iter().find(same)).map(|d| d.id.clone())
}

fn screens(var: impl Fn(&str) -> Option<String>) -> (Vec<Device>, Option<CaptureError>) {
    if !cfg!(target_os = "linux") {
        let id = if cfg!(target_os = "windows") { "desktop" } else { "0" };
        return (vec![Device { id: id.into(), name: "The whole screen".into(), is_default: true }], None);
    }
    if on_wayland(&var) {
        return (Vec::new(), Some(CaptureError::Wayland));
    }
    match var("DISPLAY") {
        Some(display) => {
            let name = format!("The whole screen ({display})");
            (vec![Device { id: display, name, is_default: true }], None)
        }
        None => (Vec::new(), Some(CaptureError::NoDisplay)),
    }
}

fn on_wayland(var: &impl Fn(&str) -> Option<String>) -> bool {
    match var("XDG_SESSION_TYPE").as_deref() {
        Some("wayland") => true,
        Some("x11") => false,
        _ => var("WAYLAND_DISPLAY").is_some(),
    }
}

/// Whether an X display can be captured from this session. A display other than the session's own
/// (a virtual one) always may be tried.
pub(super) fn screen_allowed(display: &str) -> Result<(), CaptureError> {
    let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    if display.is_empty() {
        return Err(CaptureError::NoDisplay);
    }
    if on_wayland(&var) && var("DISPLAY").is_none_or(|own| own == display) {
        return Err(CaptureError::Wayland);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_read_from_the_kernels_list() {
        let dir = tempfile::tempdir().unwrap();
        for (node, index, name) in [
            ("video10", "0", "Second"),
            ("video2", "0", "HD Webcam\n"),
            ("video3", "1", "HD Webcam"),
            ("radio0", "0", "x"),
        ] {
            let path = dir.path().join(node);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("index"), index).unwrap();
            std::fs::write(path.join("name"), name).unwrap();
        }
        let list = cameras(dir.path());
        let ids: Vec<_> = list.iter().map(|d| (d.id.as_str(), d.name.as_str(), d.is_default)).collect();
        assert_eq!(ids, [("/dev/video2", "HD Webcam", true), ("/dev/video10", "Second", false)]);
        assert!(cameras(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn a_camera_that_comes_back_is_known_by_its_name() {
        let camera = |id: &str, name: &str| Device { id: id.into(), name: name.into(), is_default: false };
        let (first, second) = (camera("/dev/video0", "Brio"), camera("/dev/video2", "Brio"));
        let found = |listed: &[Device]| same_camera(listed, "/dev/video2", "Brio");
        assert_eq!(found(&[first.clone(), second]).as_deref(), Some("/dev/video2"));
        assert_eq!(found(&[first]).as_deref(), Some("/dev/video0"));
        assert_eq!(found(&[camera("/dev/video2", "Infrared")]), None, "another camera in its place");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_empty_list_of_screens_has_its_reason() {
        let with = |vars: &'static [(&str, &str)]| {
            screens(move |n| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(with(&[]).1, Some(CaptureError::NoDisplay));
        assert_eq!(with(&[("WAYLAND_DISPLAY", "wayland-0"), ("DISPLAY", ":0")]).1, Some(CaptureError::Wayland));
        assert_eq!(with(&[("XDG_SESSION_TYPE", "x11"), ("WAYLAND_DISPLAY", "w"), ("DISPLAY", ":0")]).0[0].id, ":0");
        assert_eq!(with(&[("DISPLAY", ":7")]).0.len(), 1);
    }
}
