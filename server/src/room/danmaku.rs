//! What a danmaku may be.

use mujian_protocol::api::Person;
use mujian_protocol::room::{CLIENT_REF_MAX, DANMAKU_MAX, Danmaku, DanmakuMode};
use mujian_protocol::{ApiError, ErrorCode, Field};

use crate::text;

const WHITE: &str = "#ffffff";

/// A danmaku as it comes in.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) client_ref: String,
    pub(super) text: String,
    pub(super) mode: DanmakuMode,
    pub(super) color: Option<String>,
}

impl Written {
    /// Checks it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn check(self, author: Person) -> Result<Danmaku, ApiError> {
        check_ref(&self.client_ref)?;
        let text = text::line(&self.text, 1, DANMAKU_MAX).map_err(|e| {
            let error = invalid(format!("The comment {e}."));
            error.about(e.problem(Field::Comment))
        })?;
        let color = match self.color {
            None => WHITE.to_owned(),
            Some(color) if is_color(&color) => color.to_ascii_lowercase(),
            Some(_) => return Err(invalid("The colour must be of the form #rrggbb.".into())),
        };
        Ok(Danmaku { author, text, mode: self.mode, color, client_ref: self.client_ref })
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}

/// Checks a client's own name for what it sends.
///
/// # Errors
/// Says what it must be.
pub(super) fn check_ref(reference: &str) -> Result<(), ApiError> {
    if reference.is_empty() || reference.len() > CLIENT_REF_MAX || reference.chars().any(char::is_control) {
        return Err(invalid(format!(
            "The client_ref must be 1 to {CLIENT_REF_MAX} bytes, without control characters."
        )));
    }
    Ok(())
}

fn is_color(color: &str) -> bool {
    color.strip_prefix('#').is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use mujian_protocol::AccountId;

    use super::*;

    fn check(client_ref: &str, text: &str, color: Option<&str>) -> Result<Danmaku, ErrorCode> {
        let author = Person { id: AccountId::new(), name: "a".into() };
        let written = Written {
            client_ref: client_ref.into(),
            text: text.into(),
            mode: DanmakuMode::Scroll,
            color: color.map(str::to_owned),
        };
        written.check(author).map_err(|e| e.code)
    }

    #[test]
    fn what_is_taken() {
        let taken = check("1", " <script>你好 ", Some("#FF00aa")).unwrap();
        assert_eq!((taken.text.as_str(), taken.color.as_str()), ("<script>你好", "#ff00aa"));
        assert_eq!(check("1", "a", None).unwrap().color, WHITE);
        assert!(check("1", &"字".repeat(DANMAKU_MAX), None).is_ok());
        for (client_ref, text, color) in [
            ("", "a", None),
            (&"r".repeat(CLIENT_REF_MAX + 1) as &str, "a", None),
            ("a\n", "a", None),
            ("1", " ", None),
            ("1", &"字".repeat(DANMAKU_MAX + 1), None),
            ("1", "a\u{202e}", None),
            ("1", "a", Some("red")),
            ("1", "a", Some("#12345é")),
        ] {
            assert_eq!(
                check(client_ref, text, color),
                Err(ErrorCode::InvalidRequest),
                "{client_ref:?} {text:?} {color:?}"
            );
        }
    }
}
