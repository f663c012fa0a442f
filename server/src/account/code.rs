//! Codes that a person reads in one place and types in another.

use mujian_protocol::AccountId;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Letters that are not taken for one another.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters of a group.
const GROUP: usize = 4;

/// A code of `N` random letters, 5 bits each.
pub(super) fn random<const N: usize>() -> String {
    let random: [u8; N] = rand::random();
    random.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect()
}

/// A code as a person reads it: `ABCD-EFGH-JKLM`.
pub(super) fn grouped(code: &str) -> String {
    let letters: Vec<char> = code.chars().collect();
    letters.chunks(GROUP).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// What a person typed, as the code was made: hyphens, blanks and case make no difference. More than `most` letters are
/// not looked at.
pub(super) fn typed(text: &str, most: usize) -> String {
    text.chars().filter(|c| !matches!(c, '-' | ' ')).take(most + 1).map(|c| c.to_ascii_uppercase()).collect()
}

/// Letters of a recovery code: 80 bits, which are not found from the hash while it is good.
const RECOVERY: usize = 16;

/// A code that sets a new password, before it is shown.
pub(super) struct Recovery(Zeroizing<String>);

impl Recovery {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(random::<RECOVERY>()))
    }

    /// As a person typed it.
    pub(super) fn typed(text: &str) -> Self {
        Self(Zeroizing::new(typed(text, RECOVERY)))
    }

    /// As its owner gets it.
    pub(super) fn reveal(&self) -> String {
        grouped(&self.0)
    }

    /// What the server keeps: good for this account only.
    pub(super) fn hash(&self, account: &AccountId) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in ["mujian recovery", account.as_str(), self.0.as_str()] {
            digest.update(part.as_bytes());
            digest.update([0_u8]);
        }
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_taken_as_a_person_types_it_and_for_its_account_only() {
        let (me, other) = (AccountId::new(), AccountId::new());
        let code = Recovery::new();
        let shown = code.reveal();
        assert_eq!((shown.len(), shown.matches('-').count()), (19, 3));
        let hash = code.hash(&me);
        for text in [shown.clone(), shown.to_lowercase(), shown.replace('-', " "), shown.replace('-', "")] {
            assert_eq!(Recovery::typed(&text).hash(&me), hash, "{text}");
        }
        for text in ["", &shown[1..], &format!("{shown}A"), &"A".repeat(100_000)] {
            assert_ne!(Recovery::typed(text).hash(&me), hash, "{text}");
        }
        assert_ne!(code.hash(&other), hash);
        assert_ne!(Recovery::new().reveal(), shown);
    }
}
