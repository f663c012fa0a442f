//! The set-up code: whoever reads the terminal of a new server becomes its operator, once.

use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use super::code;

/// 60 bits: with the limit on tries it is not guessed.
const LENGTH: usize = 12;

/// The code, while there is no operator. A new one at every start; it is never stored.
#[derive(Debug, Default)]
pub struct SetupCode(Mutex<Option<String>>);

impl SetupCode {
    /// Makes a code.
    pub fn arm(&self) {
        *self.0.lock() = Some(code::random::<LENGTH>());
    }

    /// Forgets the code.
    pub fn disarm(&self) {
        self.0.lock().take();
    }

    /// The code as a person reads it: `ABCD-EFGH-JKLM`.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        self.0.lock().as_deref().map(code::grouped)
    }

    /// Whether this is the code. Hyphens, blanks and case make no difference.
    #[must_use]
    pub fn matches(&self, typed: &str) -> bool {
        let typed = code::typed(typed, LENGTH);
        self.0.lock().as_ref().is_some_and(|code| bool::from(code.as_bytes().ct_eq(typed.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_taken_as_a_person_types_it() {
        let setup = SetupCode::default();
        assert!(!setup.matches(""));
        assert_eq!(setup.code(), None);
        setup.arm();
        let code = setup.code().unwrap();
        assert_eq!(code.len(), 14);
        assert!(setup.matches(&code) && setup.matches(&code.to_lowercase().replace('-', " ")));
        assert!(!setup.matches(&code[..13]) && !setup.matches(&format!("{code}A")) && !setup.matches(""));
        setup.disarm();
        assert!(!setup.matches(&code));
    }
}
