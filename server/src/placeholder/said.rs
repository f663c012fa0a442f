//! What is said of a placeholder: its name, its keywords, the words on it. The app asks the same of its own shelf.

use mujian_protocol::placeholder::{
    KEYWORD_MAX, KEYWORDS_MAX, PLACEHOLDER_KEY_MAX, PLACEHOLDER_NAME_MAX, PLACEHOLDER_TEXT_MAX,
};
use mujian_protocol::{ApiError, ErrorCode, Field, Problem};

use crate::text::{self, TextError};

fn invalid(field: Field, what: &str, error: TextError) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, format!("The {what} {error}.")).about(error.problem(field))
}

/// A name.
///
/// # Errors
/// It is empty, too long or not to be read.
pub fn name(name: &str) -> Result<String, ApiError> {
    text::line(name, 1, PLACEHOLDER_NAME_MAX).map_err(|e| invalid(Field::PlaceholderName, "placeholder's name", e))
}

/// Keywords, each once.
///
/// # Errors
/// One is too long or not to be read, or there are too many.
pub fn keywords<'a>(all: impl Iterator<Item = &'a str>) -> Result<Vec<String>, ApiError> {
    let mut taken: Vec<String> = Vec::new();
    for keyword in all.map(str::trim).filter(|k| !k.is_empty()) {
        let keyword = text::line(keyword, 1, KEYWORD_MAX).map_err(|e| invalid(Field::Keyword, "keyword", e))?;
        if !taken.contains(&keyword) {
            taken.push(keyword);
        }
        if taken.len() > KEYWORDS_MAX {
            let max = u32::try_from(KEYWORDS_MAX).unwrap_or(u32::MAX);
            let sentence = format!("There are more than {KEYWORDS_MAX} keywords.");
            let error = ApiError::new(ErrorCode::InvalidRequest, sentence);
            return Err(error.about(Problem::TooMany { field: Field::Keyword, max }));
        }
    }
    Ok(taken)
}

/// Keywords as one text, separated by commas.
///
/// # Errors
/// As [`keywords`].
pub fn keyword_list(all: &str) -> Result<Vec<String>, ApiError> {
    keywords(all.split([',', '，', '、']))
}

/// Words that may have several lines; without a `file` there must be some.
///
/// # Errors
/// They are too long or not to be read, or missing.
pub fn words(text: &str, file: bool) -> Result<String, ApiError> {
    let lines: Result<Vec<String>, _> = text.lines().take(12).map(|l| text::line(l, 0, PLACEHOLDER_TEXT_MAX)).collect();
    let all = lines.map_err(|e| invalid(Field::Words, "text", e))?.join("\n");
    if all.chars().count() > PLACEHOLDER_TEXT_MAX {
        return Err(invalid(Field::Words, "text", TextError::TooLong(PLACEHOLDER_TEXT_MAX)));
    }
    let all = all.trim();
    if all.is_empty() && !file {
        let sentence = "There is nothing on it: give it words or a file.";
        return Err(ApiError::new(ErrorCode::InvalidRequest, sentence).about(Problem::UploadEmpty));
    }
    Ok(all.to_owned())
}

/// A program's own name for a placeholder.
///
/// # Errors
/// It is empty, too long, or has other characters than letters, digits and `-`.
pub fn key(key: &str) -> Result<String, ApiError> {
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain && (1..=PLACEHOLDER_KEY_MAX).contains(&key.len()) {
        return Ok(key.to_owned());
    }
    let sentence = format!("A key is 1 to {PLACEHOLDER_KEY_MAX} letters, digits or dashes.");
    Err(ApiError::new(ErrorCode::InvalidRequest, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_bounded_and_told_in_sentences() {
        assert_eq!(name(" 雨天 ").unwrap(), "雨天");
        assert_eq!(keyword_list("唱歌，music、唱歌, ").unwrap(), ["唱歌", "music"]);
        assert_eq!(words(" a\r\nb \n", false).unwrap(), "a\nb");
        assert_eq!(words("", true).unwrap(), "");
        assert_eq!(key("0192f0c1-0000").unwrap(), "0192f0c1-0000");
        let bad = [
            name("").unwrap_err(),
            name(&"n".repeat(41)).unwrap_err(),
            keyword_list(&"k,".repeat(2).replace('k', &"k".repeat(25))).unwrap_err(),
            keyword_list("a,b,c,d,e,f,g,h,i,j,k,l,m").unwrap_err(),
            words(" \n ", false).unwrap_err(),
            words(&"w".repeat(121), true).unwrap_err(),
            key("a/b").unwrap_err(),
            key("").unwrap_err(),
        ];
        for error in bad {
            assert_eq!(error.code, ErrorCode::InvalidRequest);
            assert!(error.message.ends_with('.'), "{error}");
        }
    }
}
