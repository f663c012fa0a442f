//! Drawing a slate: curtain and plaque from outlines, a light that breathes, marks that move.
//!
//! The loop is seamless: everything that moves goes round a whole number of times.

use std::f32::consts::TAU;

use resvg::tiny_skia::{Color, FillRule, Paint, PathBuilder, Pixmap, PixmapPaint, Rect, Transform};
use resvg::usvg::{Options, Tree};

use super::art::Theme;
use super::board::Board;
use super::{SlateError, SlateKind};

/// Seconds of a loop.
pub(super) const SECONDS: u32 = 4;
/// The stage that the art is drawn on, and the part of it that the plaque takes.
pub(super) const STAGE: (f32, f32) = (1600.0, 900.0);
const PLAQUE: (f32, f32, f32, f32) = (400.0, 225.0, 800.0, 450.0);
/// Share of the picture that the plaque may take, in width and height.
const PLAQUE_SHARE: (f32, f32) = (0.62, 0.62);
const PLAQUE_SHARE_UPRIGHT: f32 = 0.92;

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Art {
    /// 请稍候 / One moment.
    Moment,
    /// 声音还在 / Sound only.
    SoundOnly,
    /// A placeholder of the system, with the streamer's name.
    Theme(Theme, String),
}

/// A slate of one size, ready to be drawn at any moment of its loop.
pub(super) enum Scene {
    Plaque(Plaque),
    Board(Board),
}

impl Scene {
    /// Draws what does not move.
    pub(super) fn new(art: &Art, width: u32, height: u32) -> Result<Self, SlateError> {
        match art {
            Art::Moment => Plaque::new(SlateKind::Moment, width, height).map(Self::Plaque),
            Art::SoundOnly => Plaque::new(SlateKind::SoundOnly, width, height).map(Self::Plaque),
            Art::Theme(theme, name) => Board::new(*theme, name, width, height).map(Self::Board),
        }
    }

    /// The picture at `phase` of the loop, from 0 to 1: RGBA, opaque.
    pub(super) fn at(&self, phase: f32) -> Pixmap {
        match self {
            Self::Plaque(plaque) => plaque.at(phase),
            Self::Board(board) => board.at(phase),
        }
    }
}

/// The measure `of` something drawn, put so that it covers the picture whatever its shape.
pub(super) fn cover(w: f32, h: f32, of: (f32, f32)) -> Transform {
    let cover = (w / of.0).max(h / of.1);
    // A tall picture keeps the curtain's top.
    let y = if h > w { 0.0 } else { (h - of.1 * cover) / 2.0 };
    Transform::from_row(cover, 0.0, 0.0, cover, (w - of.0 * cover) / 2.0, y)
}

/// The curtain alone.
pub(super) fn curtain(width: u32, height: u32) -> Result<Pixmap, SlateError> {
    let mut pixmap = Pixmap::new(width, height).ok_or_else(|| SlateError("a slate has no size".into()))?;
    let art = parse(Theme::Away.art().0)?;
    resvg::render(&art, cover(width as f32, height as f32, STAGE), &mut pixmap.as_mut());
    Ok(pixmap)
}

/// A curtain with a plaque.
pub(super) struct Plaque {
    kind: SlateKind,
    dark: Pixmap,
    lit: Pixmap,
    plaque: Transform,
}

impl Plaque {
    fn new(kind: SlateKind, width: u32, height: u32) -> Result<Self, SlateError> {
        let words = match kind {
            SlateKind::Moment => include_str!("art/moment.svg"),
            SlateKind::SoundOnly => include_str!("art/sound_only.svg"),
            SlateKind::Away => return Err(SlateError("a placeholder has a board, no plaque".into())),
        };
        let curtain = parse(include_str!("art/away.curtain.svg"))?;
        let (glow, words) = (parse(include_str!("art/glow.svg"))?, parse(words)?);
        let (w, h) = (width as f32, height as f32);
        let whole = cover(w, h, STAGE);
        let share = if h > w { PLAQUE_SHARE_UPRIGHT } else { PLAQUE_SHARE.0 };
        let fit = (w * share / PLAQUE.2).min(h * PLAQUE_SHARE.1 / PLAQUE.3);
        let corner = ((w - PLAQUE.2 * fit) / 2.0, (h - PLAQUE.3 * fit) / 2.0 + h * 0.02);
        let plaque = Transform::from_row(fit, 0.0, 0.0, fit, corner.0, corner.1);

        let mut dark = Pixmap::new(width, height).ok_or_else(|| SlateError("a slate has no size".into()))?;
        dark.fill(Color::BLACK);
        resvg::render(&curtain, whole, &mut dark.as_mut());
        let mut lit = dark.clone();
        resvg::render(&glow, whole, &mut lit.as_mut());
        for pixmap in [&mut dark, &mut lit] {
            resvg::render(&words, plaque, &mut pixmap.as_mut());
        }
        let plaque = plaque.pre_translate(-PLAQUE.0, -PLAQUE.1);
        Ok(Self { kind, dark, lit, plaque })
    }

    fn at(&self, phase: f32) -> Pixmap {
        let mut picture = self.dark.clone();
        let light = PixmapPaint { opacity: 0.25 + 0.75 * wave(phase * 1.0), ..PixmapPaint::default() };
        picture.draw_pixmap(0, 0, self.lit.as_ref(), &light, Transform::identity(), None);
        let mut gold = Paint { anti_alias: true, ..Paint::default() };
        match self.kind {
            SlateKind::Moment => {
                for i in 0..3u8 {
                    let strength = 0.22 + 0.78 * wave(phase * 2.0 - f32::from(i) * 0.16);
                    gold.set_color(color(strength));
                    let mut path = PathBuilder::new();
                    path.push_circle(776.0 + 24.0 * f32::from(i), 582.0, 4.6);
                    if let Some(path) = path.finish() {
                        picture.fill_path(&path, &gold, FillRule::Winding, self.plaque, None);
                    }
                }
            }
            SlateKind::SoundOnly => {
                gold.set_color(color(0.9));
                for i in 0..9u8 {
                    let place = f32::from(i) - 4.0;
                    let turns = [3.0, 5.0, 4.0][usize::from(i % 3)];
                    let high = (1.0 - place.abs() / 6.5) * (5.0 + 15.0 * wave(phase * turns + f32::from(i) * 0.21));
                    if let Some(bar) = Rect::from_xywh(797.5 + 13.0 * place, 582.0 - high / 2.0, 5.0, high) {
                        picture.fill_rect(bar, &gold, self.plaque, None);
                    }
                }
            }
            SlateKind::Away => {}
        }
        picture
    }
}

fn color(strength: f32) -> Color {
    Color::from_rgba(220.0 / 255.0, 180.0 / 255.0, 106.0 / 255.0, strength.clamp(0.0, 1.0)).unwrap_or(Color::WHITE)
}

/// Up and down once for every whole number, from 0 to 1.
pub(super) fn wave(turns: f32) -> f32 {
    (1.0 - (turns * TAU).cos()) / 2.0
}

pub(super) fn parse(svg: &str) -> Result<Tree, SlateError> {
    Tree::from_str(svg, &Options::default()).map_err(|e| SlateError(format!("the slate's art is damaged: {e}")))
}
