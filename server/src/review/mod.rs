//! Checking what people upload before anybody sees it.
//!
//! Judges stand in a row behind one interface. Each passes, refuses, or does not know; the first that
//! refuses decides, and what nobody can tell waits for a person. Models can stand in the row later.

mod words;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use mujian_protocol::AccountId;

pub use words::{WordList, WordsFile};

use crate::store::{Store, StoreError};

/// What is to be judged.
#[derive(Clone, Debug)]
pub struct Case {
    /// Whose it is.
    pub owner: AccountId,
    /// All words on it and about it: what it shows, its name, its keywords.
    pub words: Vec<String>,
    /// Its files: a picture, a video, sound.
    pub media: Vec<PathBuf>,
}

/// What a judge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be shown.
    Pass,
    /// It may not, and why.
    Refuse(String),
    /// This judge cannot tell.
    Unknown,
}

/// What a judge gives, later.
pub type Judgement<'a> = Pin<Box<dyn Future<Output = Result<Verdict, StoreError>> + Send + 'a>>;

/// One who judges.
pub trait Judge: Send + Sync {
    /// Judges a case.
    fn judge<'a>(&'a self, case: &'a Case) -> Judgement<'a>;
}

/// The word list: refuses words that are on it, and passes what is nothing but words.
struct Words(WordsFile);

impl Judge for Words {
    fn judge<'a>(&'a self, case: &'a Case) -> Judgement<'a> {
        Box::pin(async move {
            let list = self.0.list().await;
            if case.words.iter().any(|w| list.finds(w)) {
                return Ok(Verdict::Refuse(
                    "Its words, its name or a keyword has something that this server's word list does not allow. Write it in another way.".into(),
                ));
            }
            Ok(if case.media.is_empty() { Verdict::Pass } else { Verdict::Unknown })
        })
    }
}

/// The operator's trust in an account.
struct Trust(Store);

impl Judge for Trust {
    fn judge<'a>(&'a self, case: &'a Case) -> Judgement<'a> {
        Box::pin(async move {
            let trusted = self.0.is_trusted(case.owner.clone()).await?;
            Ok(if trusted { Verdict::Pass } else { Verdict::Unknown })
        })
    }
}

/// The judges in their row.
pub struct Judges {
    row: Vec<Box<dyn Judge>>,
}

impl std::fmt::Debug for Judges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judges").field("judges", &self.row.len()).finish()
    }
}

impl Judges {
    /// The word list first, which nobody is above; then trust. After them, a person.
    #[must_use]
    pub fn new(store: Store, words: PathBuf) -> Self {
        Self { row: vec![Box::new(Words(WordsFile::new(words))), Box::new(Trust(store))] }
    }

    /// What they say together. Unknown: a person decides.
    ///
    /// # Errors
    /// The database failed.
    pub async fn judge(&self, case: &Case) -> Result<Verdict, StoreError> {
        let mut passed = false;
        for judge in &self.row {
            match judge.judge(case).await? {
                Verdict::Refuse(why) => return Ok(Verdict::Refuse(why)),
                Verdict::Pass => passed = true,
                Verdict::Unknown => {}
            }
        }
        Ok(if passed { Verdict::Pass } else { Verdict::Unknown })
    }
}
