//! Drawing one of the system's placeholders: a curtain in its hue, a board with what it is about,
//! the streamer's name, and what moves on it.
//!
//! A board's file is a picture and, behind comments that say how they move, layers over it.

use std::f32::consts::TAU;

use resvg::tiny_skia::{Pixmap, PixmapPaint, Transform};
use resvg::usvg::{Node, Options, Tree};

use super::SlateError;
use super::art::Theme;
use super::draw::{STAGE, cover, parse, wave};

/// The board's own measure, the share of the picture that it may take, and where the name stands.
const BOARD: (f32, f32) = (1000.0, 760.0);
const SHARE: (f32, f32) = (0.8, 0.9);
const SHARE_UPRIGHT: f32 = 0.94;
const NAME_WIDTH: f32 = 760.0;

/// How a layer moves; each goes round a whole number of times.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Motion {
    Still,
    /// Brighter and darker: turns, and how much later than others.
    Breathe(f32, f32),
    /// Around a point of the board.
    Spin(f32, f32, f32),
    /// Up by so much, appearing and vanishing.
    Rise(f32, f32, f32),
}

/// A placeholder of the system in one size, ready to be drawn at any moment of its loop.
pub(super) struct Board {
    dark: Pixmap,
    lit: Pixmap,
    layers: Vec<(Motion, Tree)>,
    place: Transform,
}

impl Board {
    pub(super) fn new(theme: Theme, name: &str, width: u32, height: u32) -> Result<Self, SlateError> {
        let (curtain, board) = theme.art();
        let (curtain, glow) = (parse(curtain)?, parse(include_str!("art/glow.svg"))?);
        let (w, h) = (width as f32, height as f32);
        let share = if h > w { SHARE_UPRIGHT } else { SHARE.0 };
        let fit = (w * share / BOARD.0).min(h * SHARE.1 / BOARD.1);
        let place =
            Transform::from_row(fit, 0.0, 0.0, fit, (w - BOARD.0 * fit) / 2.0, (h - BOARD.1 * fit) / 2.0 + h * 0.01);

        let mut parts = board.split("<!-- ");
        let still = parse(parts.next().unwrap_or_default())?;
        let mut layers = Vec::new();
        for part in parts {
            let (how, svg) = part.split_once(" -->").ok_or_else(|| SlateError("a layer says not how".into()))?;
            layers.push((motion(how)?, parse(svg)?));
        }
        let whole = cover(w, h, STAGE);
        let mut dark = Pixmap::new(width, height).ok_or_else(|| SlateError("a slate has no size".into()))?;
        resvg::render(&curtain, whole, &mut dark.as_mut());
        let mut lit = dark.clone();
        if theme == Theme::Away {
            resvg::render(&glow, whole, &mut lit.as_mut());
        }
        let name = name_tree(theme, name);
        for pixmap in [&mut dark, &mut lit] {
            resvg::render(&still, place, &mut pixmap.as_mut());
            if let Some(name) = &name {
                resvg::render(name, place, &mut pixmap.as_mut());
            }
        }
        Ok(Self { dark, lit, layers, place })
    }

    /// The picture at `phase` of the loop, from 0 to 1: RGBA, opaque.
    pub(super) fn at(&self, phase: f32) -> Pixmap {
        let mut picture = self.dark.clone();
        let over = |picture: &mut Pixmap, pixmap: &Pixmap, opacity: f32| {
            let paint = PixmapPaint { opacity: opacity.clamp(0.0, 1.0), ..PixmapPaint::default() };
            picture.draw_pixmap(0, 0, pixmap.as_ref(), &paint, Transform::identity(), None);
        };
        over(&mut picture, &self.lit, 0.25 + 0.75 * wave(phase));
        for (motion, tree) in &self.layers {
            let (opacity, moved) = match *motion {
                Motion::Still => (1.0, Transform::identity()),
                Motion::Breathe(turns, lag) => (0.12 + 0.88 * wave(phase * turns - lag), Transform::identity()),
                Motion::Spin(x, y, turns) => (1.0, Transform::from_rotate_at(phase * turns * 360.0, x, y)),
                Motion::Rise(by, turns, lag) => {
                    let along = (phase * turns + lag).fract();
                    ((along * TAU / 2.0).sin(), Transform::from_translate(0.0, by / 2.0 - by * along))
                }
            };
            let at = self.place.pre_concat(moved);
            if opacity >= 1.0 {
                resvg::render(tree, at, &mut picture.as_mut());
            } else if let Some(mut layer) = Pixmap::new(picture.width(), picture.height()) {
                resvg::render(tree, at, &mut layer.as_mut());
                over(&mut picture, &layer, opacity);
            }
        }
        picture
    }
}

fn motion(how: &str) -> Result<Motion, SlateError> {
    let mut words = how.split(' ');
    let kind = words.next().unwrap_or_default();
    let numbers: Vec<f32> = words.filter_map(|w| w.parse().ok()).collect();
    match (kind, numbers.as_slice()) {
        ("still", []) => Ok(Motion::Still),
        ("breathe", [turns, lag]) => Ok(Motion::Breathe(*turns, *lag)),
        ("spin", [x, y, turns]) => Ok(Motion::Spin(*x, *y, *turns)),
        ("rise", [by, turns, lag]) => Ok(Motion::Rise(*by, *turns, *lag)),
        _ => Err(SlateError(format!("a layer moves in an unknown way: {how}"))),
    }
}

/// The streamer's name, if this computer's fonts have all of it: boxes in place of characters would
/// be worse than none.
fn name_tree(theme: Theme, name: &str) -> Option<Tree> {
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    let baseline = if theme == Theme::Away { 572.0 } else { 732.0 };
    let mut options = Options::default();
    options.fontdb_mut().load_system_fonts();
    let draw = |size: f32| {
        let escaped = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 760"><text x="500" y="{baseline}" text-anchor="middle" font-size="{size}" letter-spacing="1" fill="#dcb46a" font-family="'Noto Serif CJK SC', 'Source Han Serif SC', 'Songti SC', SimSun, 'Noto Serif', 'DejaVu Serif', serif">{escaped}</text></svg>"##
        );
        Tree::from_str(&svg, &options).ok()
    };
    let tree = draw(36.0)?;
    let Some(Node::Text(text)) = tree.root().children().first() else { return None };
    let glyphs: Vec<_> = text.layouted().iter().flat_map(|s| &s.positioned_glyphs).collect();
    let said: usize = glyphs.iter().map(|g| g.text.chars().count()).sum();
    if glyphs.iter().any(|g| g.id.0 == 0) || said < name.chars().count() {
        return None;
    }
    let width = text.bounding_box().width();
    if width > NAME_WIDTH { draw(36.0 * NAME_WIDTH / width) } else { Some(tree) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_whole_in_every_shape_and_its_loop_has_no_seam() {
        for theme in Theme::ALL {
            for (width, height) in [(320, 180), (180, 320), (240, 240)] {
                let board = Board::new(theme, "", width, height).unwrap();
                let first = board.at(0.0);
                assert!(first.pixels().iter().all(|p| p.alpha() == 255), "{theme:?} covers the picture");
                let (last, middle) = (board.at(1.0), board.at(0.3));
                let differ = |a: &Pixmap, b: &Pixmap| {
                    a.data().iter().zip(b.data()).filter(|(a, b)| a.abs_diff(**b) > 12).count()
                };
                assert_eq!(differ(&first, &last), 0, "{theme:?}");
                assert!(differ(&first, &middle) > 20, "{theme:?} moves");
            }
        }
    }

    #[test]
    fn a_name_is_text_and_never_markup() {
        let plain = Board::new(Theme::Game, "", 320, 180).unwrap().at(0.0);
        let hostile = r#"</text><rect width="1000" height="760" fill="red"/><text>"#;
        let named = Board::new(Theme::Game, hostile, 320, 180).unwrap().at(0.0);
        let red = |p: &Pixmap| p.pixels().iter().filter(|p| p.red() > 240 && p.green() < 20).count();
        assert_eq!(red(&plain), red(&named));
    }
}
