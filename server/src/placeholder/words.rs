//! Words on a placeholder: drawn over a picture, or alone on a curtain. Runs in a worker.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Node, Options, Tree};

use mujian_protocol::placeholder::RefusalCode;

use super::Refusal;

const FONTS: &str =
    "'Noto Serif CJK SC', 'Source Han Serif SC', 'Songti SC', SimSun, 'Noto Serif', 'DejaVu Serif', serif";

/// Words drawn for a picture of this size: transparent where nothing is.
pub(super) fn draw(text: &str, width: u32, height: u32, alone: bool) -> Result<Pixmap, Refusal> {
    let (w, h) = (width as f32, height as f32);
    let short = w.min(h);
    let mut pixmap = Pixmap::new(width, height).ok_or_else(Refusal::damaged)?;
    // The largest size at which the lines fit into their share of the picture.
    let (share_w, share_h) = if alone { (0.8, 0.6) } else { (0.88, 0.3) };
    let mut size = short * if alone { 0.15 } else { 0.075 };
    let lines = loop {
        let lines = wrap(text, w * share_w / size);
        if lines.len() as f32 * size * 1.4 <= h * share_h || size < short * 0.03 {
            break lines;
        }
        size *= 0.93;
    };
    let step = size * 1.4;
    let block = step * lines.len() as f32;
    let top = if alone { (h - block) / 2.0 } else { h * 0.95 - block };
    let veil = if alone {
        format!(
            r##"<rect width="{w}" height="{h}" fill="#0d0c0b" opacity=".45"/><path d="M{} {y}H{}" stroke="#dcb46a" stroke-width="{}" opacity=".7"/>"##,
            w / 2.0 - short * 0.12,
            w / 2.0 + short * 0.12,
            (short / 400.0).max(1.0),
            y = top + block + size * 0.5
        )
    } else {
        let from = (top - size * 1.2).max(0.0);
        format!(
            r##"<defs><linearGradient id="v" x1="0" x2="0" y1="0" y2="1"><stop offset="0" stop-color="#0d0c0b" stop-opacity="0"/><stop offset=".5" stop-color="#0d0c0b" stop-opacity=".72"/><stop offset="1" stop-color="#0d0c0b" stop-opacity=".86"/></linearGradient></defs><rect y="{from}" width="{w}" height="{}" fill="url(#v)"/>"##,
            h - from
        )
    };
    let mut body = String::new();
    for (i, line) in lines.iter().enumerate() {
        let escaped = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let baseline = top + step * i as f32 + size;
        body.push_str(&format!(
            r##"<text x="{}" y="{baseline}" text-anchor="middle" font-weight="bold" font-size="{size}" fill="#f3eadb" font-family="{FONTS}">{escaped}</text>"##,
            w / 2.0
        ));
    }
    let mut options = Options::default();
    options.fontdb_mut().load_system_fonts();
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}">{veil}{body}</svg>"#
    );
    let tree = Tree::from_str(&svg, &options).map_err(|_| Refusal::damaged())?;
    let glyphs = || {
        let texts = tree.root().children().iter().filter_map(|n| if let Node::Text(t) = n { Some(t) } else { None });
        texts.flat_map(|t| t.layouted()).flat_map(|s| &s.positioned_glyphs)
    };
    let wanted = lines.iter().flat_map(|l| l.chars()).filter(|c| !c.is_whitespace()).count();
    let drawn: usize = glyphs().map(|g| g.text.chars().filter(|c| !c.is_whitespace()).count()).sum();
    if drawn < wanted || glyphs().any(|g| g.id.0 == 0 && !g.text.trim().is_empty()) {
        return Err(Refusal::new(
            RefusalCode::NoFont,
            "The server has no font for all of these words. Use other words, or upload them as a picture; its operator can install fonts.",
        ));
    }
    resvg::render(&tree, Transform::identity(), &mut pixmap.as_mut());
    Ok(pixmap)
}

/// Lines of at most `width` ems.
fn wrap(text: &str, width: f32) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (mut line, mut long) = (String::new(), 0.0);
        for word in pieces(paragraph) {
            let wide: f32 = word.chars().map(em).sum();
            if long + wide > width && !line.trim().is_empty() {
                lines.push(line.trim().to_owned());
                (line, long) = (String::new(), 0.0);
            }
            line.push_str(word);
            long += wide;
        }
        lines.push(line.trim().to_owned());
    }
    lines
}

/// Where a line may end: after blanks, and after every character that is as wide as high.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        if c.is_whitespace() || em(c) >= 1.0 {
            pieces.push(&text[from..end]);
            from = end;
        }
    }
    pieces.push(&text[from..]);
    pieces
}

/// About how wide a character is, in ems.
fn em(c: char) -> f32 {
    match c {
        '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{ffef}' | '\u{1f300}'..='\u{3ffff}' => 1.0,
        c if c.is_uppercase() => 0.72,
        _ => 0.55,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_where_they_may() {
        assert_eq!(wrap("back in five minutes", 6.0), ["back in", "five", "minutes"]);
        assert_eq!(wrap("马上回来不要走开", 4.0), ["马上回来", "不要走开"]);
        assert_eq!(wrap("  a \n\n b ", 10.0), ["a", "b"]);
    }
}
