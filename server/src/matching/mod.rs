//! Which placeholder fits a room: a pure function of words.
//!
//! What the room is about comes from its title, its tags, the titles of its past streams and the last
//! danmaku, the newest of which weigh most. Chinese is cut into words by jieba, the rest at blanks. A
//! word speaks for a placeholder that has it among its keywords or in its name, or whose field it
//! belongs to: [`fields`] lists the usual words of the six fields in both languages, so that "guitar"
//! speaks for 唱歌.

mod fields;
pub(crate) mod han;
mod text;

use std::collections::BTreeMap;

pub use text::terms;

use crate::slate::Theme;

/// From this score on a placeholder fits.
pub const THRESHOLD: f32 = 0.34;
/// The best must be better than the next one of another field by this factor.
const CLEARLY: f32 = 1.12;
/// Weights of where a word stands.
const TITLE: f32 = 1.0;
const TAG: f32 = 1.4;
const PAST: f32 = 0.5;
const DANMAKU: f32 = 0.45;
/// Each older danmaku, and each older stream, weighs less by this.
const DANMAKU_DECAY: f32 = 0.93;
const PAST_DECAY: f32 = 0.7;
/// Most that one source of words gives for one word.
const SOURCE_MAX: f32 = 1.6;
/// A word of the same field, against the very word.
const SAME_FIELD: f32 = 0.75;
/// A word that is part of another.
const PART: f32 = 0.8;
/// How much must speak for a placeholder until it counts by half.
const HALF: f32 = 1.5;
/// Most words that are told as a reason.
const REASONS: usize = 4;

/// What is known of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomWords {
    /// Its title.
    pub title: String,
    /// Its tags and its category.
    pub tags: Vec<String>,
    /// The last danmaku, oldest first.
    pub danmaku: Vec<String>,
    /// Titles of past streams, newest first.
    pub past: Vec<String>,
}

/// A placeholder that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its keywords.
    pub keywords: Vec<String>,
    /// The field that it belongs to as a whole, where it is one of the system's.
    pub theme: Option<Theme>,
}

impl Candidate {
    /// One of the system's.
    #[must_use]
    pub fn of(theme: Theme) -> Self {
        let name = theme.name().to_owned();
        Self { id: name.clone(), name, keywords: Vec::new(), theme: Some(theme) }
    }
}

/// How well a candidate fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Which.
    pub id: String,
    /// From 0 to 1.
    pub score: f32,
    /// The words that speak for it, the strongest first.
    pub words: Vec<String>,
}

/// Words of some texts, with what each text weighs.
fn gather<'a>(texts: impl Iterator<Item = (&'a String, f32)>) -> BTreeMap<String, f32> {
    let mut source: BTreeMap<String, f32> = BTreeMap::new();
    for (text, weight) in texts {
        for term in terms(text) {
            *source.entry(term).or_default() += weight;
        }
    }
    source
}

/// The room's words and what each weighs.
fn weigh(room: &RoomWords) -> BTreeMap<String, f32> {
    let mut all: BTreeMap<String, f32> = BTreeMap::new();
    let mut add = |source: BTreeMap<String, f32>| {
        for (term, weight) in source {
            *all.entry(term).or_default() += weight.min(SOURCE_MAX);
        }
    };
    let decay = |base: f32, by: f32, age: usize| base * by.powi(i32::try_from(age).unwrap_or(i32::MAX));
    add(gather(std::iter::once((&room.title, TITLE))));
    add(gather(room.tags.iter().map(|t| (t, TAG))));
    add(gather(room.past.iter().enumerate().map(|(i, t)| (t, decay(PAST, PAST_DECAY, i)))));
    let newest_first = room.danmaku.iter().rev().enumerate();
    add(gather(newest_first.map(|(i, t)| (t, decay(DANMAKU, DANMAKU_DECAY, i)))));
    all
}

/// How much a word of the room speaks for a candidate, from 0 to 1.
fn speaks(term: &str, own: &[String], theme: &[Theme]) -> f32 {
    if own.iter().any(|o| o == term) {
        return 1.0;
    }
    let long = |s: &str| s.chars().count() >= if s.is_ascii() { 4 } else { 2 };
    let part = own.iter().any(|o| long(term) && long(o) && (o.contains(term) || term.contains(o.as_str())));
    let same_field = fields::of(term).is_some_and(|t| theme.contains(&t));
    match (part, same_field) {
        (true, _) => PART,
        (false, true) => SAME_FIELD,
        (false, false) => 0.0,
    }
}

/// All candidates, the best first.
#[must_use]
pub fn rank(room: &RoomWords, candidates: &[Candidate]) -> Vec<Ranked> {
    let words = weigh(room);
    let mut ranked: Vec<(Ranked, Vec<Theme>)> = candidates
        .iter()
        .map(|candidate| {
            let own: Vec<String> = match candidate.theme {
                Some(_) => Vec::new(),
                None => candidate.keywords.iter().chain([&candidate.name]).flat_map(|k| terms(k)).collect(),
            };
            let mut themes: Vec<Theme> = own.iter().filter_map(|w| fields::of(w)).chain(candidate.theme).collect();
            themes.sort_unstable();
            themes.dedup();
            let mut reasons: Vec<(f32, &String)> = words
                .iter()
                .map(|(term, weight)| (weight * speaks(term, &own, &themes), term))
                .filter(|(w, _)| *w > 0.0)
                .collect();
            reasons.sort_by(|a, b| b.0.total_cmp(&a.0));
            let sum: f32 = reasons.iter().map(|r| r.0).sum();
            let score = sum / (sum + HALF);
            let told = reasons.iter().take(REASONS).map(|(_, term)| (*term).clone()).collect();
            (Ranked { id: candidate.id.clone(), score, words: told }, themes)
        })
        .collect();
    ranked.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    ranked.into_iter().map(|(r, _)| r).collect()
}

/// The one that fits, if one clearly does.
#[must_use]
pub fn best<'a>(ranked: &'a [Ranked], candidates: &[Candidate]) -> Option<&'a Ranked> {
    let first = ranked.first().filter(|r| r.score >= THRESHOLD)?;
    let about = |id: &str| candidates.iter().find(|c| c.id == id).map(fields_of).unwrap_or_default();
    let (mine, rest) = (about(&first.id), &ranked[1..]);
    // Another one about the same thing is no doubt about what the room is about.
    let rival = rest.iter().find(|r| !about(&r.id).iter().any(|t| mine.contains(t)));
    let clear = rival.is_none_or(|r| first.score >= r.score * CLEARLY);
    clear.then_some(first)
}

fn fields_of(candidate: &Candidate) -> Vec<Theme> {
    let words = candidate.keywords.iter().chain([&candidate.name]).flat_map(|k| terms(k));
    words.filter_map(|w| fields::of(&w)).chain(candidate.theme).collect()
}

#[cfg(test)]
mod tests;
