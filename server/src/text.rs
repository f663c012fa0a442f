//! What people write: names, titles, danmaku. It is text, never markup; it is bounded, and it
//! cannot reorder or hide what stands around it.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use mujian_protocol::{Field, Problem};
use unicode_segmentation::UnicodeSegmentation;

/// Scalars that one visible character may be made of; a family emoji has 11.
const CLUSTER_MAX: usize = 16;

/// A text is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing is left of it.
    #[error("is empty")]
    Empty,
    /// It has too many characters.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// It has characters that cannot be seen or that reorder what stands around them.
    #[error("has characters that are not allowed")]
    Forbidden,
}

impl TextError {
    /// The same, for the interface.
    #[must_use]
    pub fn problem(self, field: Field) -> Problem {
        match self {
            Self::Empty => Problem::TextEmpty { field },
            Self::TooLong(max) => Problem::TextTooLong { field, max: u32::try_from(max).unwrap_or(u32::MAX) },
            Self::Forbidden => Problem::TextForbidden { field },
        }
    }
}

/// A line of text: outer blanks cut, line ends and tabs turned into blanks, `min` to `max`
/// characters (Unicode scalar values, as `[...text].length` in JavaScript).
///
/// # Errors
/// It is too short or too long, or has control characters, directional overrides or piles of marks.
pub fn line(text: &str, min: usize, max: usize) -> Result<String, TextError> {
    // Cheap refusals first: the work is bounded whatever comes in.
    if text.len() > max.saturating_mul(8).saturating_add(1024) {
        return Err(TextError::TooLong(max));
    }
    let spaced: String = text.chars().map(|c| if is_line_space(c) { ' ' } else { c }).collect();
    // Joiners and tags may end a visible character; only what is blank by itself is cut.
    let trimmed = spaced.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}'));
    let trimmed = if trimmed.chars().all(|c| c.is_whitespace() || is_invisible(c)) { "" } else { trimmed };
    if trimmed.chars().any(is_forbidden) || trimmed.graphemes(true).any(|g| g.chars().count() > CLUSTER_MAX) {
        return Err(TextError::Forbidden);
    }
    match trimmed.chars().count() {
        n if n < min => Err(TextError::Empty),
        n if n > max => Err(TextError::TooLong(max)),
        _ => Ok(trimmed.to_owned()),
    }
}

/// A text as it is compared: compatibility forms, case, width and invisible characters make no difference.
#[must_use]
pub fn folded(text: &str) -> String {
    kept(text, |c| !is_invisible(c))
}

/// A name as it is compared: as [`folded`], and blanks make no difference either, so that nobody looks like somebody else
/// by them.
#[must_use]
pub fn name_key(name: &str) -> String {
    kept(name, |c| !is_invisible(c) && !c.is_whitespace())
}

fn kept(text: &str, keep: impl Fn(char) -> bool) -> String {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let lower = nfkc.normalize(text).to_lowercase();
    let kept: String = lower.chars().filter(|c| keep(*c)).collect();
    // Lower-casing can leave what is not composed.
    match nfkc.normalize(&kept) {
        Cow::Borrowed(same) => same.to_owned(),
        Cow::Owned(new) => new,
    }
}

fn is_line_space(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Takes no room: joiners, selectors, soft hyphens, marks of direction.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Control characters, directional embeddings, overrides and isolates, and what is no character.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}')
        || (c as u32 & 0xfffe) == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_cleaned_or_refused() {
        assert_eq!(line("  你好\n世界\t ", 1, 10).unwrap(), "你好 世界");
        assert_eq!(line("👨‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿", 1, 30).unwrap(), "👨‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿");
        assert_eq!(line("<b>&amp;</b>", 1, 30).unwrap(), "<b>&amp;</b>");
        assert_eq!(line("", 0, 5).unwrap(), "");
        for (bad, error) in [
            ("", TextError::Empty),
            (" \u{200b} \u{feff}", TextError::Empty),
            ("\u{200d}\u{3164}\u{fe0f}", TextError::Empty),
            ("abcdef", TextError::TooLong(5)),
            ("a\u{202e}b", TextError::Forbidden),
            ("a\u{0}b", TextError::Forbidden),
            ("a\u{1b}b", TextError::Forbidden),
            ("a\u{2066}b", TextError::Forbidden),
        ] {
            assert_eq!(line(bad, 1, 5), Err(error), "{bad:?}");
        }
        assert_eq!(line(&format!("a{}", "\u{301}".repeat(40)), 1, 100), Err(TextError::Forbidden));
        assert_eq!(line(&"a".repeat(1_000_000), 1, 100), Err(TextError::TooLong(100)));
    }

    #[test]
    fn names_that_look_alike_are_the_same() {
        for (a, b) in [
            ("Anna", "anna"),
            ("Ａｎｎａ", "anna"),
            ("an na", "anna"),
            ("an\u{200b}na", "anna"),
            ("é", "e\u{301}"),
            ("ﬁ", "fi"),
        ] {
            assert_eq!(name_key(a), name_key(b), "{a} {b}");
        }
        assert_ne!(name_key("anna"), name_key("anne"));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_taken_again_unchanged(text in "\\PC{0,40}|.{0,40}") {
            if let Ok(taken) = line(&text, 1, 24) {
                prop_assert_eq!(line(&taken, 1, 24), Ok(taken.clone()));
                prop_assert!(taken.chars().count() <= 24 && !taken.chars().any(char::is_control));
                let key = name_key(&taken);
                prop_assert_eq!(name_key(&key), key);
            }
        }
    }
}
