//! The word list: words that must not be read on a screen, however they are dressed up.
//!
//! Text and list are folded alike: compatibility forms (full width, ligatures, circled letters), case,
//! accents, look-alikes of other scripts, digits that stand for letters, and characters that cannot be
//! seen. Words in Latin letters count as whole words, so that "Scunthorpe" is a town; others count
//! wherever they stand, and also with blanks or dots put between.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use aho_corasick::{AhoCorasick, MatchKind};
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use parking_lot::Mutex;

/// What a server begins with. The operator edits the copy in the data folder.
const DEFAULT: &str = include_str!("words.txt");
/// Largest list, in bytes.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest text that is looked at, in characters.
const LONGEST: usize = 4000;

/// The list, ready for use.
#[derive(Debug)]
pub struct WordList {
    /// Words in Latin letters: whole words.
    latin: Option<AhoCorasick>,
    /// Others: wherever they stand.
    others: Option<AhoCorasick>,
}

impl WordList {
    /// A list from its text: a word or phrase a line; `#` begins a remark.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let words = text.lines().map(|l| l.split('#').next().unwrap_or_default().trim()).filter(|l| !l.is_empty());
        let folded: Vec<String> = words.map(fold).filter(|w| !w.trim().is_empty()).collect();
        let (latin, others): (Vec<String>, Vec<String>) = folded.into_iter().partition(|w| w.is_ascii());
        let latin = latin.iter().map(|w| w.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
        let others = others.iter().map(|w| closed(w)).collect::<Vec<_>>();
        let build = |words: &[String]| {
            if words.is_empty() {
                return None;
            }
            AhoCorasick::builder().match_kind(MatchKind::Standard).build(words).ok()
        };
        Self { latin: build(&latin), others: build(&others) }
    }

    /// Whether a text has a word of the list.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        let text: String = text.chars().take(LONGEST).collect();
        let folded = fold(&text);
        let spaced = folded.split_whitespace().collect::<Vec<_>>().join(" ");
        let whole = |at: usize, to: usize, text: &str| {
            let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            !letter(text[..at].chars().next_back()) && !letter(text[to..].chars().next())
        };
        let latin = |text: &str| {
            self.latin.as_ref().is_some_and(|l| l.find_overlapping_iter(text).any(|m| whole(m.start(), m.end(), text)))
        };
        // Single letters with something between them are one word in disguise.
        latin(&spaced) || latin(&joined(&spaced)) || self.others.as_ref().is_some_and(|o| o.is_match(&closed(&folded)))
    }
}

/// Without anything but letters and digits.
fn closed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Runs of single letters ("b a d", "b.a.d") put together.
fn joined(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut run = false;
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        let single = word.chars().count() == 1;
        match out.last_mut() {
            Some(last) if single && run => last.push_str(word),
            _ => out.push(word.to_owned()),
        }
        run = single;
    }
    out.join(" ")
}

/// A text as it is compared.
fn fold(text: &str) -> String {
    let compatible = ComposingNormalizerBorrowed::new_nfkc().normalize(text).to_lowercase();
    let apart = DecomposingNormalizerBorrowed::new_nfkd().normalize(&compatible).into_owned();
    let mut out = String::with_capacity(apart.len());
    let chars: Vec<char> = apart.chars().filter(|c| !is_mark(*c) && !is_unseen(*c)).collect();
    for (i, c) in chars.iter().enumerate() {
        let letter =
            |j: Option<usize>| j.and_then(|j| chars.get(j)).is_some_and(|n| look_alike(*n).is_ascii_alphabetic());
        let (before, after) = (letter(i.checked_sub(1)), letter(Some(i + 1)));
        let (beside, between) = (before || after, before && after);
        out.push(match c {
            // Digits and signs stand for letters where they stand among letters.
            '0' if beside => 'o',
            '1' if beside => 'i',
            '!' | '|' if between => 'i',
            '3' if beside => 'e',
            '4' | '@' if beside => 'a',
            '5' | '$' if beside => 's',
            '7' if beside => 't',
            c => look_alike(*c),
        });
    }
    out
}

/// Letters of other scripts that look like Latin ones.
fn look_alike(c: char) -> char {
    match c {
        'а' | 'α' | 'ɑ' => 'a',
        'в' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ε' | 'є' => 'e',
        'һ' | 'н' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' => 'l',
        'м' | 'μ' => 'm',
        'ո' | 'η' => 'n',
        'о' | 'ο' | 'σ' | 'օ' => 'o',
        'р' | 'ρ' => 'p',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ս' => 'u',
        'ν' | 'ѵ' => 'v',
        'ԝ' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        c => c,
    }
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// The list in the data folder, read again when it changed.
#[derive(Debug)]
pub struct WordsFile {
    path: PathBuf,
    kept: Mutex<Option<(Option<SystemTime>, Arc<WordList>)>>,
}

impl WordsFile {
    /// The list at a path; where there is none, the default one is put there.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, kept: Mutex::new(None) }
    }

    /// The list as it is now.
    pub async fn list(&self) -> Arc<WordList> {
        let path = self.path.clone();
        let before = self.kept.lock().clone();
        let work = move || {
            if !path.exists()
                && let Err(error) = std::fs::write(&path, DEFAULT)
            {
                tracing::warn!(%error, "the word list could not be put into the data folder; the default one serves");
            }
            let about = std::fs::metadata(&path).ok();
            let changed = about.as_ref().and_then(|a| a.modified().ok());
            if let Some((at, list)) = before
                && at == changed
            {
                return (at, list);
            }
            let fits = about.is_some_and(|a| a.len() <= BYTES_MAX);
            let text = if fits { std::fs::read_to_string(&path).ok() } else { None };
            (changed, Arc::new(WordList::parse(text.as_deref().unwrap_or(DEFAULT))))
        };
        let kept = match tokio::task::spawn_blocking(work).await {
            Ok(kept) => kept,
            Err(_) => (None, Arc::new(WordList::parse(DEFAULT))),
        };
        *self.kept.lock() = Some(kept.clone());
        kept.1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_found_however_they_are_dressed() {
        let list = WordList::parse("badword # a remark\n坏词\nvery bad thing\n");
        for text in [
            "badword",
            "a BadWord!",
            "ＢＡＤＷＯＲＤ",
            "bаdwоrd",
            "b4dw0rd",
            "b a d w o r d",
            "b.a.d.w.o.r.d",
            "ba\u{200b}dword",
            "bádwörd",
            "ⓑⓐⓓⓦⓞⓡⓓ",
            "坏词",
            "这是坏词吗",
            "坏 词",
            "坏·词",
            "坏\u{200d}词",
            "a very   bad thing",
        ] {
            assert!(list.finds(text), "{text}");
        }
        for text in ["badwords", "notabadwordatall", "坏人说词", "very good thing", "bad word play", "", "404", "a b c"]
        {
            assert!(!list.finds(text), "{text}");
        }
    }

    #[tokio::test]
    async fn the_list_is_the_operators_to_edit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.txt");
        let file = WordsFile::new(path.clone());
        assert!(!file.list().await.finds("sunflower"));
        assert!(path.exists(), "the default was put there");
        std::fs::write(&path, "sunflower\n").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(file.list().await.finds("Sunflower"));
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at_without_a_fault(text in "\\PC{0,60}") {
            let _ = WordList::parse(&text).finds(&text);
            let _ = WordList::parse("бad\n坏词\nx y").finds(&text);
        }
    }
}
