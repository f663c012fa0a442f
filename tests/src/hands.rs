//! What a person does to the windows of a screen: close one by its cross, turn to one, type. There is no window manager
//! on a [`Screen`](crate::screen::Screen) that would give the keyboard to a new window.

use anyhow::{Context, Result};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, GrabMode, InputFocus,
    KEY_PRESS_EVENT, KEY_RELEASE_EVENT, Keycode, Keysym, ModMask, PropMode, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{CURRENT_TIME, NONE};

/// The left shift key.
pub const SHIFT: Keysym = 0xffe1;
/// The left control key.
pub const CONTROL: Keysym = 0xffe3;
/// The key F1; the others follow it.
pub const F1: Keysym = 0xffbe;
/// The Enter key.
pub const ENTER: Keysym = 0xff0d;

/// Somebody at a screen.
pub struct Hands {
    x: RustConnection,
    root: Window,
    /// Per key, what it gives alone and with the shift key.
    keys: Vec<(Keycode, [Keysym; 2])>,
}

/// A window as it is seen.
struct Seen {
    id: Window,
    class: String,
    name: String,
    width: u16,
}

impl Hands {
    /// Sits down at a display.
    ///
    /// # Errors
    ///
    /// The X server does not answer.
    pub fn at(display: &str) -> Result<Self> {
        let (x, screen) = x11rb::connect(Some(display))?;
        let setup = x.setup();
        let root = setup.roots[screen].root;
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let map = x.get_keyboard_mapping(first, last - first + 1)?.reply()?;
        let symbols = map.keysyms.chunks(usize::from(map.keysyms_per_keycode));
        let keys = (first..=last)
            .zip(symbols)
            .map(|(code, all)| (code, [0, 1].map(|i| all.get(i).copied().unwrap_or(NONE))))
            .collect();
        Ok(Self { x, root, keys })
    }

    /// The widest window that fits; a program has others that are never seen.
    fn find(&self, fits: impl Fn(&Seen) -> bool) -> Result<Option<Seen>> {
        let mut todo = vec![self.root];
        let mut found: Option<Seen> = None;
        while let Some(id) = todo.pop() {
            // A window may go while one looks at it.
            let Ok(tree) = self.x.query_tree(id)?.reply() else { continue };
            todo.extend(tree.children);
            let Ok(shape) = self.x.get_geometry(id)?.reply() else { continue };
            let seen = Seen {
                id,
                class: self.words(id, AtomEnum::WM_CLASS)?,
                name: self.words(id, AtomEnum::WM_NAME)?,
                width: shape.width,
            };
            if fits(&seen) && found.as_ref().is_none_or(|other| other.width < seen.width) {
                found = Some(seen);
            }
        }
        Ok(found)
    }

    fn words(&self, window: Window, property: AtomEnum) -> Result<String> {
        let answer = self.x.get_property(false, window, property, AtomEnum::ANY, 0, 256)?.reply();
        Ok(answer.map(|a| String::from_utf8_lossy(&a.value).into_owned()).unwrap_or_default())
    }

    fn atom(&self, name: &str) -> Result<u32> {
        Ok(self.x.intern_atom(false, name.as_bytes())?.reply()?.atom)
    }

    /// Asks a program's window to close, as a window manager does when its cross is pressed (ICCCM, 4.1.2.7).
    ///
    /// # Errors
    ///
    /// The program has no window, or the X server does not take it.
    pub fn close(&self, class: &str) -> Result<()> {
        let window = self.find(|w| w.class.split('\0').next() == Some(class))?;
        let window = window.with_context(|| format!("{class} has no window"))?.id;
        let words = [self.atom("WM_DELETE_WINDOW")?, CURRENT_TIME, 0, 0, 0];
        let event = ClientMessageEvent::new(32, window, self.atom("WM_PROTOCOLS")?, words);
        self.x.send_event(false, window, EventMask::NO_EVENT, event)?.check()?;
        Ok(())
    }

    fn called(&self, title: &str) -> Result<Window> {
        let window = self.find(|w| w.name.starts_with(title))?;
        Ok(window.with_context(|| format!("no window is called {title}"))?.id)
    }

    /// Gives the window whose title begins so another size.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn resize(&self, title: &str, width: u32, height: u32) -> Result<()> {
        let size = ConfigureWindowAux::new().width(width).height(height);
        Ok(self.x.configure_window(self.called(title)?, &size)?.check()?)
    }

    /// Says what a window manager says of those that it manages (EWMH, `_NET_CLIENT_LIST`): the one whose title begins so.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn manage(&self, title: &str) -> Result<()> {
        let list = self.atom("_NET_CLIENT_LIST")?;
        let windows = [self.called(title)?];
        Ok(self.x.change_property32(PropMode::REPLACE, self.root, list, AtomEnum::WINDOW, &windows)?.check()?)
    }

    /// Gives the keyboard to the window whose title begins so.
    ///
    /// # Errors
    ///
    /// There is none, or it is not seen yet.
    pub fn turn_to(&self, title: &str) -> Result<()> {
        Ok(self.x.set_input_focus(InputFocus::PARENT, self.called(title)?, CURRENT_TIME)?.check()?)
    }

    /// Presses a key and lets it go.
    ///
    /// # Errors
    ///
    /// The keyboard has no such key.
    pub fn press(&self, symbol: Keysym) -> Result<()> {
        self.chord(&[], symbol)
    }

    /// The same while other keys are held.
    ///
    /// # Errors
    ///
    /// The keyboard has no such key.
    pub fn chord(&self, held: &[Keysym], symbol: Keysym) -> Result<()> {
        let key = |wanted: Keysym| {
            let code = self.keys.iter().find_map(|(code, all)| Some((*code, all.iter().position(|s| *s == wanted)?)));
            code.with_context(|| format!("no key gives {wanted:#x}"))
        };
        let (code, level) = key(symbol)?;
        let mut codes = held.iter().map(|symbol| Ok(key(*symbol)?.0)).collect::<Result<Vec<_>>>()?;
        if level == 1 {
            codes.push(key(SHIFT)?.0);
        }
        codes.push(code);
        let down = codes.iter().map(|code| (KEY_PRESS_EVENT, *code));
        let up = codes.iter().rev().map(|code| (KEY_RELEASE_EVENT, *code));
        for (event, code) in down.chain(up) {
            self.x.xtest_fake_input(event, code, CURRENT_TIME, NONE, 0, 0, 0)?.check()?;
        }
        Ok(self.x.sync()?)
    }

    /// Takes a key, with control and shift held, from all other programs, for as long as this lives.
    ///
    /// # Errors
    ///
    /// The keyboard has no such key, or a program has it.
    pub fn take(&self, symbol: Keysym) -> Result<()> {
        let code = self.keys.iter().find_map(|(code, all)| all.contains(&symbol).then_some(*code));
        let code = code.with_context(|| format!("no key gives {symbol:#x}"))?;
        let held = ModMask::CONTROL | ModMask::SHIFT;
        Ok(self.x.grab_key(false, self.root, held, code, GrabMode::ASYNC, GrabMode::ASYNC)?.check()?)
    }

    /// Types a text of ASCII characters.
    ///
    /// # Errors
    ///
    /// The keyboard has no key for one of them.
    pub fn types(&self, text: &str) -> Result<()> {
        text.chars().try_for_each(|c| self.press(u32::from(c)))
    }
}
