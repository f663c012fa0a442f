//! The shelf as the page sees it: what is on this computer, and what the room says of it.

use std::collections::{BTreeMap, BTreeSet};

use mujian_protocol::placeholder::{
    BuiltInView, ChoiceView, Mirror, PlaceholderKind, PlaceholderState, PlaceholderView, ShelfView,
};
use mujian_protocol::{ApiError, WallTime};
use mujian_server::matching::RoomWords;
use mujian_server::placeholder::choice;
use mujian_server::slate::Theme;

use super::mirror::remote_of;
use super::plan::{LocalShelf, matches};
use super::store::Item;

/// What the mirror says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    /// Keys of what the room did not take, and why.
    pub(super) refused: &'a BTreeMap<String, ApiError>,
    /// Ids of what the server gives to nobody.
    pub(super) given_up: &'a BTreeSet<String>,
    /// What the mirror waits for.
    pub(super) trouble: Option<&'a ApiError>,
}

/// Puts both together. Ids are those of this computer: they stay the same whatever server there is.
pub(super) fn compose(local: &LocalShelf, items: &[Item], seen: Option<&ShelfView>, told: Told<'_>) -> ShelfView {
    let unseen = nothing();
    let seen = seen.unwrap_or(&unseen);
    let remote = remote_of(seen);
    let matched = matches(local, &remote);
    let there: BTreeMap<&str, &PlaceholderView> = seen.placeholders.iter().map(|p| (p.id.as_str(), p)).collect();
    let waiting = || Mirror::Waiting { error: told.trouble.cloned() };
    let mut placeholders = Vec::new();
    for item in items.iter().filter(|i| i.removed_at.is_none()) {
        let on_server = matched.get(item.key.as_str());
        let same = on_server
            .is_some_and(|r| r.words == item.words && r.sound.as_ref() == item.sound.as_ref().map(|s| &s.digest));
        let mirror = match told.refused.get(&item.key) {
            _ if same => Mirror::Mirrored,
            Some(error) => Mirror::Refused { error: error.clone() },
            None => waiting(),
        };
        let view = on_server.and_then(|r| there.get(r.id.as_str())).map_or_else(|| alone(item), |p| (*p).clone());
        placeholders.push(PlaceholderView {
            id: item.key.clone(),
            name: item.words.name.clone(),
            keywords: item.words.keywords.clone(),
            text: item.words.text.clone(),
            mirror: Some(mirror),
            ..view
        });
    }
    // What is only there, and not because it was deleted here a moment ago.
    let known: BTreeSet<&str> = matched.values().map(|r| r.id.as_str()).collect();
    for view in seen.placeholders.iter().filter(|p| !known.contains(p.id.as_str())) {
        let mirror = told.given_up.contains(&view.id).then_some(Mirror::OnlyServer);
        placeholders.push(PlaceholderView { mirror, ..view.clone() });
    }
    let key_of: BTreeMap<&str, &str> = matched.iter().map(|(key, r)| (r.id.as_str(), *key)).collect();
    ShelfView {
        placeholders,
        next: seen.next.as_deref().map(|id| renamed(id, &key_of)),
        choice: choice_here(seen.choice.clone(), &key_of),
        built_in: seen.built_in.clone(),
        ordered_at: seen.ordered_at,
        removed: Vec::new(),
    }
}

fn renamed(id: &str, key_of: &BTreeMap<&str, &str>) -> String {
    (*key_of.get(id).unwrap_or(&id)).to_owned()
}

/// A choice of the server's, in the names of this computer.
pub(super) fn choice_here(mut choice: ChoiceView, key_of: &BTreeMap<&str, &str>) -> ChoiceView {
    choice.id = renamed(&choice.id, key_of);
    for ranked in &mut choice.ranking {
        ranked.id = renamed(&ranked.id, key_of);
    }
    choice
}

/// One that no server has said anything of.
fn alone(item: &Item) -> PlaceholderView {
    PlaceholderView {
        id: item.key.clone(),
        name: String::new(),
        keywords: Vec::new(),
        text: String::new(),
        kind: item.kind,
        sound: item.sound.is_some() || item.kind == PlaceholderKind::Audio,
        bytes: [&item.file, &item.sound].into_iter().flatten().map(|b| b.bytes).sum(),
        digest: item.file.as_ref().map(|f| f.digest.clone()).unwrap_or_default(),
        duration_ms: None,
        state: PlaceholderState::Checking,
        stands: false,
        created_at: WallTime(item.created_at),
        changed_at: WallTime(item.changed_at),
        key: Some(item.key.clone()),
        mirror: None,
    }
}

/// A room's shelf that was never seen.
fn nothing() -> ShelfView {
    let built_in = Theme::ALL.map(|theme| {
        let (zh, en) = theme.words();
        BuiltInView { id: theme.name().into(), zh: zh.into(), en: en.into() }
    });
    ShelfView {
        placeholders: Vec::new(),
        built_in: built_in.into(),
        next: None,
        choice: choice::choose(&[], None, &RoomWords::default()),
        ordered_at: WallTime(0),
        removed: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use mujian_protocol::ErrorCode;
    use mujian_protocol::placeholder::ChoiceReason;

    use super::*;
    use crate::shelf::plan::{Base, Local, Words};

    fn words(name: &str) -> Words {
        Words { name: name.into(), ..Words::default() }
    }

    fn here(key: &str, base: Option<&str>, removed: bool) -> (Local, Item) {
        let removed_at = removed.then_some(9);
        let base = base.map(|id| Base { id: id.into(), words: words(key), sound: None });
        let local =
            Local { key: key.into(), words: words(key), sound: None, changed_at: 1, removed_at, here: true, base };
        let item = Item {
            key: key.into(),
            words: words(key),
            kind: PlaceholderKind::Picture,
            file: None,
            sound: None,
            created_at: 1,
            changed_at: 1,
            removed_at,
        };
        (local, item)
    }

    fn there(id: &str, name: &str) -> PlaceholderView {
        let (_, item) = here(id, None, false);
        PlaceholderView { name: name.into(), key: None, state: PlaceholderState::Ready, ..alone(&item) }
    }

    #[test]
    fn each_says_where_it_is() {
        let all = [
            here("same", Some("r1"), false),
            here("changed", Some("r2"), false),
            here("new", None, false),
            here("bad", None, false),
            here("deleted", Some("r3"), true),
        ];
        let (items, local): (Vec<Item>, Vec<Local>) = all.into_iter().map(|(local, item)| (item, local)).unzip();
        let local = LocalShelf { items: local, ..LocalShelf::default() };
        let mut seen = nothing();
        seen.placeholders = vec![
            there("r2", "as it was"),
            there("r1", "same"),
            there("r3", "deleted"),
            there("r4", "a"),
            there("r5", "b"),
        ];
        seen.next = Some("r1".into());
        (seen.choice.id, seen.choice.reason) = ("r2".into(), ChoiceReason::Only);
        let no = ApiError::new(ErrorCode::TooLarge, "No.");
        let told = Told {
            refused: &[("bad".to_owned(), no.clone())].into(),
            given_up: &["r5".to_owned()].into(),
            trouble: None,
        };
        let view = compose(&local, &items, Some(&seen), told);
        let told: Vec<_> =
            view.placeholders.iter().map(|p| (p.id.as_str(), p.name.as_str(), p.mirror.clone())).collect();
        assert_eq!(
            told,
            [
                ("same", "same", Some(Mirror::Mirrored)),
                ("changed", "changed", Some(Mirror::Waiting { error: None })),
                ("new", "new", Some(Mirror::Waiting { error: None })),
                ("bad", "bad", Some(Mirror::Refused { error: no })),
                ("r4", "a", None),
                ("r5", "b", Some(Mirror::OnlyServer)),
            ]
        );
        assert_eq!((view.next.as_deref(), view.choice.id.as_str()), (Some("same"), "changed"));
        assert_eq!(view.placeholders[0].state, PlaceholderState::Ready);
        assert_eq!(view.placeholders[2].state, PlaceholderState::Checking);
    }

    #[test]
    fn without_a_server_it_is_there_all_the_same() {
        let (local, item) = here("a", None, false);
        let local = LocalShelf { items: vec![local], ..LocalShelf::default() };
        let down = ApiError::new(ErrorCode::Unreachable, "No connection.");
        let told = Told { refused: &BTreeMap::new(), given_up: &BTreeSet::new(), trouble: Some(&down) };
        let view = compose(&local, &[item], None, told);
        assert_eq!(view.placeholders[0].mirror, Some(Mirror::Waiting { error: Some(down.clone()) }));
        assert_eq!((view.built_in.len(), view.choice.id.as_str()), (7, "away"));
    }
}
