//! The method against rooms that were labelled before it was written.

use super::*;

/// A room and what fits it.
fn labelled() -> Vec<(RoomWords, Vec<String>)> {
    let lists = |s: &str, by: &str| s.split(by).map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect();
    include_str!("rooms.tsv")
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|line| {
            let f: Vec<&str> = line.split('\t').collect();
            let [title, tags, danmaku, past, fits] = f[..] else { panic!("five columns: {line}") };
            let words = RoomWords {
                title: title.into(),
                tags: lists(tags, ","),
                danmaku: lists(danmaku, " / "),
                past: lists(past, " / "),
            };
            (words, lists(fits, "|"))
        })
        .collect()
}

fn system() -> Vec<Candidate> {
    Theme::ALL[1..].iter().map(|t| Candidate::of(*t)).collect()
}

#[test]
fn nine_rooms_of_ten_get_what_fits_and_none_gets_what_is_odd() {
    let (rooms, candidates) = (labelled(), system());
    assert!(rooms.len() >= 60);
    let (mut right, mut odd) = (0, Vec::new());
    for (room, fits) in &rooms {
        let ranked = rank(room, &candidates);
        let chosen = best(&ranked, &candidates).map_or("default", |r| r.id.as_str());
        if fits.iter().any(|f| f == chosen) {
            right += 1;
        } else {
            println!("{:?}: {chosen}, not {fits:?}: {:.2?}", room.title, &ranked[..2]);
            if chosen != "default" {
                odd.push(room.title.clone());
            }
        }
    }
    println!("{right} of {} are right", rooms.len());
    assert!(odd.is_empty(), "odd ones above the threshold: {odd:?}");
    assert!(right * 10 >= rooms.len() * 9, "{right} of {}", rooms.len());
}

#[test]
fn a_streamers_own_words_win_and_are_told() {
    let own = |id: &str, name: &str, keywords: &[&str]| Candidate {
        id: id.into(),
        name: name.into(),
        keywords: keywords.iter().map(|k| (*k).to_owned()).collect(),
        theme: None,
    };
    let mut all = system();
    all.push(own("cat", "橘猫睡觉", &["猫咪", "萌宠"]));
    all.push(own("stage", "后台", &["唱歌", "music"]));
    let room = RoomWords {
        title: "萌宠直播 三只橘猫的日常".into(), tags: vec!["猫咪".into()], ..RoomWords::default()
    };
    let ranked = rank(&room, &all);
    assert_eq!(best(&ranked, &all).unwrap().id, "cat");
    let room = RoomWords { title: "唱歌给你听".into(), tags: vec!["music".into()], ..RoomWords::default() };
    let ranked = rank(&room, &all);
    let best = best(&ranked, &all).unwrap();
    assert_eq!(best.id, "stage");
    assert!(best.words.contains(&"唱歌".to_owned()) && best.words.contains(&"music".to_owned()), "{:?}", best.words);
    assert!(rank(&RoomWords::default(), &all).iter().all(|r| r.score == 0.0));
}

#[test]
fn the_newest_danmaku_weigh_most() {
    let candidates = system();
    let room = |danmaku: &[&str]| RoomWords {
        danmaku: danmaku.iter().map(|d| (*d).to_owned()).collect(),
        ..RoomWords::default()
    };
    let many = |word: &'static str| vec![word; 20];
    let (songs, food) = (many("唱歌"), many("火锅"));
    let first = |d: Vec<&str>| rank(&room(&d), &candidates).remove(0).id;
    assert_eq!(first([songs.clone(), food.clone()].concat()), "food");
    assert_eq!(first([food, songs].concat()), "music");
}

#[test]
fn words_are_cut_in_both_languages() {
    let words = terms("【深夜】弹唱 & Guitar covers! 第3场");
    for wanted in ["弹唱", "guitar", "cover"] {
        assert!(words.iter().any(|w| w == wanted), "{wanted} in {words:?}");
    }
    assert!(terms(&"直播今天the".repeat(1000)).is_empty());
}
