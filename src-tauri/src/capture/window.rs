//! One window, through X11: what is in it and nothing of what lies over it.
//!
//! A window's number says little: it goes with its program, and another program may get it. So a window is named by its
//! number and by the class that its program gives itself (ICCCM 4.1.2.5), and by its title; one that was closed is known
//! again by class and title, and another one is never taken in its place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mujian_av::device::{DeviceRequest, LivePictures};
use mujian_av::open::Watch;
use mujian_av::{AvError, Picture};
use mujian_protocol::studio;
use x11rb::connection::Connection as _;
use x11rb::protocol::composite::{ConnectionExt as _, Redirect};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, MapState, Window, WindowClass};
use x11rb::rust_connection::RustConnection;

use super::live::LIMIT;
use super::{CaptureError, Clock, Device, LiveSource, Opened, Wanted, devices};

/// Windows that are listed, and children of the screen that are looked at, at most.
const MOST: usize = 256;
/// Longest title that is taken, in bytes.
const TITLE: u32 = 256;
/// Smaller ones are none that a person could mean, in pixels.
const LEAST: u16 = 48;
/// How often the window's size is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// The open windows that can be captured, by their titles; not those of this program.
#[must_use]
pub(super) fn list(display: &str) -> Vec<studio::Device> {
    let Some(desktop) = Desktop::connect(display) else { return Vec::new() };
    let own = std::process::id();
    let mut found: Vec<studio::Device> = desktop
        .windows()
        .into_iter()
        .filter(|seen| seen.process != Some(own))
        .map(|Seen { window, class, title, .. }| studio::Device {
            id: id_of(window, &class),
            name: title,
            is_default: false,
        })
        .collect();
    found.sort_by_key(|device| device.name.to_lowercase());
    found
}

fn id_of(window: Window, class: &str) -> String {
    format!("{window:#x} {class}")
}

fn parts(id: &str) -> Option<(Window, &str)> {
    let (number, class) = id.split_once(' ')?;
    Some((Window::from_str_radix(number.strip_prefix("0x")?, 16).ok()?, class))
}

/// The window with this id and this title.
///
/// # Errors
/// [`CaptureError::Wayland`], [`CaptureError::NoDisplay`] or [`CaptureError::Unsupported`].
pub(super) fn source(id: &str, name: &str, wanted: Wanted) -> Result<LiveSource, CaptureError> {
    let display = std::env::var("DISPLAY").unwrap_or_default();
    devices::screen_allowed(&display)?;
    let label = format!("the window {name}");
    let device = XWindow { display, id: id.to_owned(), name: name.to_owned(), label: label.clone(), fps: wanted.fps };
    Ok(LiveSource::new(label, Arc::new(device)))
}

/// A top-level window as it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    window: Window,
    class: String,
    title: String,
    process: Option<u32>,
    size: (u16, u16),
}

struct Desktop {
    x: RustConnection,
    root: Window,
    /// `_NET_CLIENT_LIST`, `_NET_WM_NAME` and `_NET_WM_PID`; none where nobody on this display has spoken of it.
    client_list: Option<u32>,
    name: Option<u32>,
    pid: Option<u32>,
}

impl Desktop {
    fn connect(display: &str) -> Option<Self> {
        let (x, screen) = RustConnection::connect(Some(display)).ok()?;
        let root = x.setup().roots.get(screen)?.root;
        let atom = |name: &str| x.intern_atom(true, name.as_bytes()).ok()?.reply().ok().map(|r| r.atom);
        let known = |name: &str| atom(name).filter(|atom| *atom != 0);
        let (client_list, name, pid) = (known("_NET_CLIENT_LIST"), known("_NET_WM_NAME"), known("_NET_WM_PID"));
        Some(Self { x, root, client_list, name, pid })
    }

    fn property(&self, window: Window, name: u32, length: u32) -> Option<Vec<u8>> {
        let any = u32::from(AtomEnum::ANY);
        let reply = self.x.get_property(false, window, name, any, 0, length.div_ceil(4)).ok()?.reply().ok()?;
        (!reply.value.is_empty()).then_some(reply.value)
    }

    fn text(&self, window: Window, name: u32) -> Option<String> {
        let bytes = self.property(window, name, TITLE)?;
        let text: String = String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect();
        Some(text.trim().to_owned()).filter(|t| !t.is_empty())
    }

    /// Those that the window manager manages; without one, the screen's own children.
    fn windows(&self) -> Vec<Seen> {
        let numbers = |bytes: Vec<u8>| -> Vec<Window> {
            bytes.chunks_exact(4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect()
        };
        let most = u32::try_from(MOST * 4).unwrap_or(u32::MAX);
        let managed = self.client_list.and_then(|atom| self.property(self.root, atom, most)).map(numbers);
        let children = || self.x.query_tree(self.root).ok().and_then(|c| c.reply().ok()).map(|tree| tree.children);
        let all = managed.or_else(children).unwrap_or_default();
        all.into_iter().take(MOST).filter_map(|window| self.look(window)).collect()
    }

    /// None: it is not there, not shown, or nothing that a person would call a window.
    fn look(&self, window: Window) -> Option<Seen> {
        let attributes = self.x.get_window_attributes(window).ok()?.reply().ok()?;
        let shown = attributes.map_state == MapState::VIEWABLE && attributes.class == WindowClass::INPUT_OUTPUT;
        let size = self.size(window)?;
        if !shown || size.0 < LEAST || size.1 < LEAST {
            return None;
        }
        let own = self.name.and_then(|atom| self.text(window, atom));
        let title = own.or_else(|| self.text(window, AtomEnum::WM_NAME.into()))?;
        // Two words, each with a zero at its end: what this window is, and what the program is.
        let class = self.property(window, AtomEnum::WM_CLASS.into(), TITLE).unwrap_or_default();
        let class = class.split(|b| *b == 0).rfind(|word| !word.is_empty()).unwrap_or_default();
        let class = String::from_utf8_lossy(class).chars().filter(|c| !c.is_control()).collect();
        let process = self.pid.and_then(|atom| self.property(window, atom, 4));
        let process = process.and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
        Some(Seen { window, class, title, process, size })
    }

    fn size(&self, window: Window) -> Option<(u16, u16)> {
        let geometry = self.x.get_geometry(window).ok()?.reply().ok()?;
        Some((geometry.width, geometry.height))
    }

    /// From now on, as long as this connection lives, the window has a picture of its own, and what lies over it is
    /// not in that.
    fn keep_apart(&self, window: Window) -> bool {
        let version = self.x.composite_query_version(0, 4).ok().and_then(|c| c.reply().ok());
        let redirect = || self.x.composite_redirect_window(window, Redirect::AUTOMATIC).ok()?.check().ok();
        version.is_some() && redirect().is_some()
    }
}

/// The window that was chosen among those that are there.
fn same<'a>(seen: &'a [Seen], id: &str, name: &str) -> Option<&'a Seen> {
    let (number, class) = parts(id)?;
    let mut of_the_program = seen.iter().filter(|s| s.class == class);
    // Titles change all the time; the number of a window that is still there does not.
    of_the_program.clone().find(|s| s.window == number).or_else(|| of_the_program.find(|s| s.title == name))
}

struct XWindow {
    display: String,
    id: String,
    name: String,
    label: String,
    fps: u32,
}

impl XWindow {
    fn gone(&self) -> CaptureError {
        AvError::Gone { device: self.label.clone() }.into()
    }

    fn grab(
        &self,
        window: Window,
        (width, height): (u16, u16),
        watch: &Arc<Watch>,
    ) -> Result<LivePictures, CaptureError> {
        let options = [
            ("framerate", self.fps.to_string()),
            ("window_id", window.to_string()),
            ("video_size", format!("{width}x{height}")),
        ];
        let options: Vec<(&str, &str)> = options.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let request = DeviceRequest {
            format: "x11grab",
            url: &self.display,
            label: &self.label,
            options: &options,
            limit: LIMIT,
        };
        Ok(LivePictures::open(&request, Arc::clone(watch))?)
    }
}

impl Device for XWindow {
    fn open(self: Arc<Self>, watch: &Arc<Watch>) -> Result<Box<dyn Opened>, CaptureError> {
        let desktop = Desktop::connect(&self.display).ok_or(CaptureError::NoDisplay)?;
        let seen = desktop.windows();
        let Seen { window, size, .. } = same(&seen, &self.id, &self.name).ok_or_else(|| self.gone())?.clone();
        // Otherwise other windows could be seen where they lie over it.
        if !desktop.keep_apart(window) {
            return Err(CaptureError::Unsupported(
                "This desktop cannot show one window alone (its X server lacks the Composite extension). Choose the screen.".into(),
            ));
        }
        let live = self.grab(window, size, watch)?;
        Ok(Box::new(OpenWindow {
            device: self,
            watch: Arc::clone(watch),
            desktop,
            window,
            size,
            live,
            looked: Instant::now(),
        }))
    }
}

struct OpenWindow {
    device: Arc<XWindow>,
    watch: Arc<Watch>,
    desktop: Desktop,
    window: Window,
    size: (u16, u16),
    live: LivePictures,
    looked: Instant,
}

impl Opened for OpenWindow {
    fn next(&mut self, clock: &Clock) -> Result<Picture, CaptureError> {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            // What shrinks would end in an error, what grows would be cut off.
            let size = self.desktop.size(self.window).ok_or_else(|| self.device.gone())?;
            if size != self.size {
                self.live = self.device.grab(self.window, size, &self.watch)?;
                self.size = size;
            }
        }
        self.live.next(clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(window: Window, class: &str, title: &str) -> Seen {
        Seen { window, class: class.into(), title: title.into(), process: None, size: (640, 360) }
    }

    #[test]
    fn a_window_is_known_again_and_no_other_is_taken_for_it() {
        let id = id_of(0x1c0_0007, "Game of Go");
        assert_eq!(parts(&id), Some((0x1c0_0007, "Game of Go")));
        let there =
            [seen(0x1c0_0007, "Game of Go", "Another game"), seen(9, "Game of Go", "Go"), seen(5, "Mail", "Go")];
        assert_eq!(same(&there, &id, "Go"), Some(&there[0]), "its title changed");
        assert_eq!(same(&there[1..], &id, "Go"), Some(&there[1]), "it was opened anew");
        assert_eq!(same(&there[2..], &id, "Go"), None, "another program's of the same title");
        let taken = [seen(0x1c0_0007, "Mail", "Inbox")];
        assert_eq!(same(&taken, &id, "Go"), None, "another program has its number now");
        for damaged in ["", "7", "0x7", "0xz a", "seven a"] {
            assert_eq!(same(&there, damaged, "Go"), None);
        }
    }
}
