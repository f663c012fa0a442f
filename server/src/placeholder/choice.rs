//! Which placeholder is shown: the rule, as a pure function.

use mujian_protocol::placeholder::{ChoiceReason, ChoiceView, PlaceholderState, PlaceholderView, RankedView};

use crate::matching::{Candidate, RoomWords, THRESHOLD, best, rank};
use crate::slate::Theme;

/// Chooses: what was picked, if it can be shown; one on the shelf, it; several, the best match, the
/// system's own included; none, or none that fits, the default.
#[must_use]
pub fn choose(shelf: &[PlaceholderView], picked: Option<&str>, room: &RoomWords) -> ChoiceView {
    let showable = |p: &&PlaceholderView| p.state == PlaceholderState::Ready || p.stands;
    let ready: Vec<&PlaceholderView> = shelf.iter().filter(showable).collect();
    let mut candidates: Vec<Candidate> = ready
        .iter()
        .map(|p| Candidate { id: p.id.clone(), name: p.name.clone(), keywords: p.keywords.clone(), theme: None })
        .collect();
    candidates.extend(Theme::ALL[1..].iter().map(|t| Candidate::of(*t)));
    let ranked = rank(room, &candidates);
    let told = |id: &str| ranked.iter().find(|r| r.id == id).map(|r| r.words.clone()).unwrap_or_default();
    let default = Theme::Away.name();
    let (id, reason, why_not) = match (picked, ready.as_slice()) {
        (Some(id), _) if Theme::named(id).is_some() || ready.iter().any(|p| p.id == id) => {
            (id.to_owned(), ChoiceReason::Picked, None)
        }
        (Some(id), _) => {
            let state = shelf.iter().find(|p| p.id == id).map(|p| &p.state);
            (default.to_owned(), ChoiceReason::NotShown, Some(why_not(state)))
        }
        (None, []) => (default.to_owned(), ChoiceReason::Empty, None),
        (None, [only]) => (only.id.clone(), ChoiceReason::Only, None),
        (None, _) => match best(&ranked, &candidates) {
            Some(best) => (best.id.clone(), ChoiceReason::Matched, None),
            None => (default.to_owned(), ChoiceReason::NoneFits, None),
        },
    };
    let words = told(&id);
    let ranking =
        ranked.into_iter().map(|r| RankedView { id: r.id, score: (r.score * 100.0).round() / 100.0, words: r.words });
    ChoiceView { words, id, reason, threshold: THRESHOLD, ranking: ranking.collect(), why_not }
}

fn why_not(state: Option<&PlaceholderState>) -> String {
    match state {
        None => "It is not on the shelf any more; the default is shown.".into(),
        Some(PlaceholderState::Checking) => "It is still being made ready; the default is shown until then.".into(),
        Some(PlaceholderState::Waiting) => "It waits for a moderator; the default is shown until then.".into(),
        Some(PlaceholderState::Refused { message, .. }) => format!("It was refused; the default is shown. {message}"),
        Some(PlaceholderState::Ready) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use mujian_protocol::WallTime;
    use mujian_protocol::placeholder::{PlaceholderKind, RefusalCode};

    use super::*;

    fn on_shelf(id: &str, keywords: &[&str], state: PlaceholderState) -> PlaceholderView {
        PlaceholderView {
            id: id.into(),
            name: id.into(),
            keywords: keywords.iter().map(|k| (*k).to_owned()).collect(),
            text: String::new(),
            kind: PlaceholderKind::Picture,
            sound: false,
            bytes: 1,
            digest: String::new(),
            duration_ms: None,
            state,
            stands: false,
            created_at: WallTime(0),
            changed_at: WallTime(0),
            key: None,
            mirror: None,
        }
    }

    #[test]
    fn the_rule() {
        let room =
            RoomWords { title: "唱歌".into(), tags: vec!["吉他".into(), "music".into()], ..RoomWords::default() };
        let ready = PlaceholderState::Ready;
        let choice = choose(&[], None, &room);
        assert_eq!((choice.id.as_str(), choice.reason), ("away", ChoiceReason::Empty));
        let one = [on_shelf("cat", &["猫咪"], ready.clone())];
        assert_eq!(choose(&one, None, &room).id, "cat");
        assert_eq!(choose(&one, Some("food"), &room).reason, ChoiceReason::Picked);
        let two = [on_shelf("cat", &["猫咪"], ready.clone()), on_shelf("song", &["唱歌"], ready.clone())];
        let choice = choose(&two, None, &room);
        assert_eq!((choice.id.as_str(), choice.reason), ("song", ChoiceReason::Matched));
        assert!(choice.words.contains(&"唱歌".to_owned()));
        let silent = choose(&two, None, &RoomWords::default());
        assert_eq!((silent.id.as_str(), silent.reason), ("away", ChoiceReason::NoneFits));
        for state in [
            PlaceholderState::Checking,
            PlaceholderState::Waiting,
            PlaceholderState::Refused { code: RefusalCode::Words, message: "No.".into(), words: None },
        ] {
            let shelf = [on_shelf("cat", &["唱歌"], state), on_shelf("song", &["唱歌"], ready.clone())];
            let choice = choose(&shelf, Some("cat"), &room);
            assert_eq!((choice.id.as_str(), choice.reason), ("away", ChoiceReason::NotShown));
            assert!(!choice.why_not.unwrap().is_empty());
            assert_eq!(choose(&shelf, None, &room).id, "song", "what is not judged is never chosen");
            // Of other words by now, and shown as it was before.
            let mut standing = shelf.clone();
            standing[0].stands = true;
            assert_eq!(choose(&standing, Some("cat"), &room).reason, ChoiceReason::Picked);
        }
    }
}
