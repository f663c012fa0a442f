//! Words of a text: Chinese by jieba, the rest at blanks; folded so that what means the same is the same.

use super::han;
use crate::text::name_key;

/// Longest text that is looked at, in characters.
const LONGEST: usize = 400;

/// Words that say nothing of what a room is about.
const EMPTY: &[&str] = &[
    "直播",
    "直播间",
    "主播",
    "今天",
    "今晚",
    "明天",
    "昨晚",
    "晚上",
    "早上",
    "大家",
    "一起",
    "我们",
    "你们",
    "什么",
    "怎么",
    "可以",
    "这个",
    "那个",
    "一个",
    "一波",
    "一首",
    "一下",
    "来了",
    "开始",
    "关注",
    "欢迎",
    "日常",
    "新人",
    "视频",
    "频道",
    "房间",
    "回放",
    "合集",
    "第一",
    "挑战",
    "教程",
    "记录",
    "日记",
    "为什么",
    "多少",
    "真的",
    "好看",
    "好听",
    "加油",
    "哈哈",
    "哈哈哈",
    "the",
    "and",
    "for",
    "with",
    "you",
    "your",
    "are",
    "was",
    "this",
    "that",
    "what",
    "how",
    "from",
    "all",
    "day",
    "live",
    "stream",
    "streaming",
    "streamer",
    "today",
    "tonight",
    "new",
    "now",
    "come",
    "join",
    "hello",
    "everyone",
    "let",
    "lets",
    "go",
    "get",
    "got",
    "one",
    "not",
    "but",
    "can",
    "into",
    "out",
    "off",
    "my",
    "me",
    "it",
    "is",
    "to",
    "in",
    "on",
    "of",
    "at",
    "we",
    "so",
    "no",
    "do",
    "an",
    "be",
    "up",
    "or",
    "if",
    "as",
    "lol",
    "hi",
    "pls",
    "please",
];

/// The words of a text, folded, without those that say nothing.
#[must_use]
pub fn terms(text: &str) -> Vec<String> {
    let text: String = text.chars().take(LONGEST).collect();
    let mut out = Vec::new();
    let mut piece = String::new();
    let mut han = false;
    for c in text.chars().chain([' ']) {
        let wide = han::is_han(c);
        if !(wide || c.is_alphanumeric()) || (wide != han && !piece.is_empty()) {
            cut(&std::mem::take(&mut piece), han, &mut out);
        }
        if wide || c.is_alphanumeric() {
            han = wide;
            piece.push(c);
        }
    }
    out
}

fn cut(piece: &str, han: bool, out: &mut Vec<String>) {
    if han {
        for word in han::cut(piece) {
            keep(word, 2, out);
        }
    } else if !piece.is_empty() {
        keep(stem(&name_key(piece)), 2, out);
    }
}

fn keep(word: String, least: usize, out: &mut Vec<String>) {
    let telling = word.chars().count() >= least || super::fields::of(&word).is_some();
    if telling && !EMPTY.contains(&word.as_str()) && !word.chars().all(|c| c.is_ascii_digit()) {
        out.push(word);
    }
}

/// English words without the commonest endings.
fn stem(word: &str) -> String {
    if !word.is_ascii() || super::fields::of(word).is_some() {
        return word.to_owned();
    }
    for (ending, put) in [("ies", "y"), ("ing", ""), ("es", ""), ("s", ""), ("ed", ""), ("er", "")] {
        if let Some(rest) = word.strip_suffix(ending)
            && rest.len() >= 3
        {
            let short = format!("{rest}{put}");
            let full = format!("{rest}e");
            // Only towards a word that is known; "bass" is not "bas".
            for candidate in [short, full] {
                if super::fields::of(&candidate).is_some() {
                    return candidate;
                }
            }
        }
    }
    word.to_owned()
}
