//! Finding rooms by words: what of a text goes into the index, and what a person's words ask of it.
//!
//! In the index every Chinese or Japanese character stands by itself and other scripts stand by words, all of it folded
//! (width, case, compatibility forms). What a person writes is cut into words, Chinese by jieba, and each word is a *phrase*
//! of its characters, wherever the text itself would be cut: so the index holds no dictionary's opinion, words of one or two
//! characters are found (of which an index of trigrams knows nothing), and 咖啡聊天 finds a room that has both words far
//! from each other. A word of another script is found by its beginning, as one types it.

use crate::matching::han;
use crate::text::folded;

/// Longest question, in characters; what is behind them is not looked at.
pub const QUERY_MAX: usize = 64;
/// Most words of a question that are looked for.
const WORDS_MAX: usize = 12;
/// Changes when [`indexed`] does: what older ones wrote is written anew.
pub const EDITION: u32 = 1;

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// Characters that are written without blanks between words.
    Han(String),
    /// A word between blanks or signs.
    Word(String),
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let mut open = false;
    for c in folded(text).chars() {
        let wide = han::is_han(c);
        if !(wide || c.is_alphanumeric()) {
            open = false;
            continue;
        }
        match out.last_mut().filter(|_| open) {
            Some(Piece::Han(run)) if wide => run.push(c),
            Some(Piece::Word(word)) if !wide => word.push(c),
            _ if wide => out.push(Piece::Han(c.into())),
            _ => out.push(Piece::Word(c.into())),
        }
        open = true;
    }
    out
}

fn apart(run: &str) -> String {
    let mut out = String::with_capacity(run.len() * 2);
    for c in run.chars() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// A text as it stands in the index.
#[must_use]
pub fn indexed(text: &str) -> String {
    let words = pieces(text).into_iter().map(|piece| match piece {
        Piece::Han(run) => apart(&run),
        Piece::Word(word) => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What a person's words ask of the index, in its own language; nothing but letters, digits and what is written here
/// comes into it. None: there is no word in them. Takes a moment the first time.
#[must_use]
pub fn question(text: &str) -> Option<String> {
    let text: String = text.chars().take(QUERY_MAX).collect();
    let mut terms = Vec::new();
    let mut words = 0;
    for piece in pieces(&text) {
        if words >= WORDS_MAX {
            break;
        }
        words += 1;
        match piece {
            Piece::Word(word) => terms.push(format!("\"{word}\"*")),
            Piece::Han(run) => {
                let cut = han::cut(&run);
                let all = cut.iter().take(WORDS_MAX).map(|word| format!("\"{}\"", apart(word))).collect::<Vec<_>>();
                let whole = format!("\"{}\"", apart(&run));
                // What has the words one behind the other is better than what has them anywhere.
                terms.push(if all.len() > 1 { format!("({whole} OR ({}))", all.join(" AND ")) } else { whole });
                words += all.len().saturating_sub(1);
            }
        }
    }
    (!terms.is_empty()).then(|| terms.join(" AND "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_folded_and_chinese_stands_by_characters() {
        for (text, words) in [
            ("深夜手冲 · 听雨聊天", "深 夜 手 冲 听 雨 聊 天"),
            ("Ｒｕｓｔ直播，第２集！", "rust 直 播 第 2 集"),
            ("C++ & \"quotes\" * -NOT(", "c quotes not"),
            ("ｶﾞｲﾄﾞ Straße", "ガ イ ド straße"),
            ("👋 \u{200b}", ""),
        ] {
            assert_eq!(indexed(text), words, "{text}");
        }
    }

    #[test]
    fn questions_are_words_and_nothing_of_the_indexs_language() {
        for (text, asked) in [
            ("雨", Some("\"雨\"")),
            ("Ｒust", Some("\"rust\"*")),
            ("\"雨\" OR * NEAR(a", Some("\"雨\" AND \"or\"* AND \"near\"* AND \"a\"*")),
            ("咖啡聊天", Some("(\"咖 啡 聊 天\" OR (\"咖 啡\" AND \"聊 天\"))")),
            ("title:雨", Some("\"title\"* AND \"雨\"")),
            ("%_*\"'", None),
            ("   ", None),
        ] {
            assert_eq!(question(text).as_deref(), asked, "{text}");
        }
        let long = question(&"咖啡 ".repeat(5000)).unwrap();
        assert_eq!(long.matches("AND").count(), WORDS_MAX - 1);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_well_formed(text in "\\PC{0,90}") {
            if let Some(asked) = question(&text) {
                prop_assert_eq!(asked.matches('"').count() % 2, 0);
                let plain = asked.chars().all(|c| c.is_alphanumeric() || han::is_han(c) || "\"* ()".contains(c));
                prop_assert!(plain && asked.len() < 4096, "{}", asked);
            }
            prop_assert_eq!(indexed(&indexed(&text)), indexed(&text));
        }
    }
}
