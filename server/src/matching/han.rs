//! Text that is written without blanks between words.

use std::sync::LazyLock;

use jieba_rs::Jieba;

/// Takes some megabytes and a moment; who needs it first pays.
static JIEBA: LazyLock<Jieba> = LazyLock::new(|| {
    let mut jieba = Jieba::new();
    for (word, _) in super::fields::all() {
        if !word.is_ascii() {
            jieba.add_word(word, Some(20_000), None);
        }
    }
    jieba
});

/// The words of a run of such characters, in order.
#[must_use]
pub(crate) fn cut(run: &str) -> Vec<String> {
    JIEBA.cut(run, true).into_iter().map(|token| token.word.to_owned()).collect()
}

/// Whether a character is a Chinese one or of Japanese kana.
#[must_use]
pub(crate) fn is_han(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{2fff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}
