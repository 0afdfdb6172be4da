//! Captions of composed pictures, in the words of their parts' captions.
//!
//! Nouns stay as they are named after numbers, too: a tokenizer reads `two cats` so, unless a caption has the plural.

use yuragi_io::{Caption, CaptionKind, Item};

use super::{super::wording, colour::Colour, wear::Worn};

/// The most words and characters of a composed caption: what a model of 22 tokens reads to the end.
const MOST_WORDS: usize = 10;
const MOST_JAPANESE: usize = 18;

/// How two things lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The first left of the second.
    Beside,
    /// The first above the second.
    Above,
}

/// What people call some things, beside their names in CLDR.
const CALLED: [(&str, &str); 43] = [
    ("automobile", "car"),
    ("cheese wedge", "cheese"),
    ("cherry blossom", "flower"),
    ("deciduous tree", "tree"),
    ("high voltage", "lightning"),
    ("hot beverage", "coffee"),
    ("honeybee", "bee"),
    ("mobile phone", "phone"),
    ("red apple", "apple"),
    ("red heart", "heart"),
    ("steaming bowl", "ramen"),
    ("wrapped gift", "gift"),
    ("ewe", "sheep"),
    ("lady beetle", "ladybug"),
    ("artist palette", "palette"),
    ("beer mug", "beer"),
    ("closed book", "book"),
    ("crescent moon", "moon"),
    ("kiwi fruit", "kiwi"),
    ("light bulb", "lamp"),
    ("soccer ball", "ball"),
    ("イヌ", "犬"),
    ("ウサギ", "うさぎ"),
    ("おんどり", "鶏"),
    ("カモ", "アヒル"),
    ("クマの顔", "熊"),
    ("ゾウ", "象"),
    ("チョウ", "蝶"),
    ("トラ", "虎"),
    ("ネコ", "猫"),
    ("ブタ", "豚"),
    ("サル", "猿"),
    ("ヘビ", "蛇"),
    ("カメ", "亀"),
    ("赤リンゴ", "りんご"),
    ("赤いハート", "ハート"),
    ("自動車", "車"),
    ("落葉樹", "木"),
    ("閉じた本", "本"),
    ("クリスマスツリー", "ツリー"),
    ("にわとり", "鶏"),
    ("スター", "星"),
    ("お化け", "おばけ"),
];

/// The English caption that can be continued, in the words that people would use.
pub fn english(item: &Item) -> Option<&str> {
    let plain = || item.caption(CaptionKind::Plain).filter(|text| wording::is_english(text));
    item.caption(CaptionKind::NameEn).map(called).or_else(plain)
}

/// The same in Japanese.
pub fn japanese(item: &Item) -> Option<&str> {
    let plain = || item.caption(CaptionKind::Plain).filter(|text| wording::is_japanese(text));
    let face = || item.caption(CaptionKind::NameEn).is_none_or(|name| name.contains("face"));
    // What is only drawn as a face is the animal.
    let whole = |name| if face() { name } else { str::strip_suffix(name, "の顔").unwrap_or(name) };
    item.caption(CaptionKind::NameJa).map(|name| whole(called(name))).or_else(plain)
}

fn called(name: &str) -> &str {
    CALLED.iter().find(|(formal, _)| *formal == name).map_or(name, |(_, called)| called)
}

/// The captions of a kind that can be told from the parts' captions, but for those that would be cut.
fn captions(english: Option<String>, japanese: Option<String>) -> Vec<Caption> {
    let english = english.filter(|text| text.split_whitespace().count() <= MOST_WORDS);
    let japanese = japanese.filter(|text| text.chars().count() <= MOST_JAPANESE);
    let caption = |kind, text: Option<String>| text.map(|text| Caption { kind, text });
    [caption(CaptionKind::NameEn, english), caption(CaptionKind::NameJa, japanese)].into_iter().flatten().collect()
}

/// "a red cat".
pub fn coloured(item: &Item, colour: &Colour) -> Vec<Caption> {
    captions(
        english(item).map(|name| format!("{} {name}", colour.english)),
        japanese(item).map(|name| format!("{}{name}", colour.japanese)),
    )
}

/// What people say of things that no picture shows.
const ENGLISH_WORDS: [&str; 20] = [
    "cute",
    "pretty",
    "beautiful",
    "lovely",
    "nice",
    "cool",
    "funny",
    "happy",
    "friendly",
    "scary",
    "old",
    "new",
    "fresh",
    "delicious",
    "hot",
    "sweet",
    "simple",
    "wild",
    "real",
    "my",
];
const JAPANESE_WORDS: [&str; 16] = [
    "かわいい",
    "可愛い",
    "きれいな",
    "美しい",
    "すてきな",
    "かっこいい",
    "おもしろい",
    "楽しい",
    "怖い",
    "古い",
    "新しい",
    "おいしい",
    "熱い",
    "甘い",
    "普通の",
    "私の",
];
/// The share of things of which nothing is said.
const UNSAID: f64 = 0.3;

/// "a cute cat", or the cat alone, in the words that people would use; `word`, from 0 to 1, chooses among words.
pub fn described(item: &Item, word: f64) -> Vec<Caption> {
    let choice = (word - UNSAID) / (1.0 - UNSAID);
    let said = |name: &str, words: &[&str], between: &str| match choice {
        0.0.. => format!("{}{between}{name}", words[((choice * words.len() as f64) as usize).min(words.len() - 1)]),
        _ => name.to_owned(),
    };
    captions(
        english(item).map(|name| said(name, &ENGLISH_WORDS, " ")),
        japanese(item).map(|name| said(name, &JAPANESE_WORDS, "")),
    )
}

/// "a cat on a red background".
pub fn on_background(item: &Item, colour: &Colour) -> Vec<Caption> {
    captions(
        english(item).map(|name| format!("{name} on a {} background", colour.english)),
        japanese(item).map(|name| format!("{}背景の{name}", colour.japanese)),
    )
}

/// "a cat at night".
pub fn at_night(item: &Item) -> Vec<Caption> {
    captions(english(item).map(|name| format!("{name} at night")), japanese(item).map(|name| format!("夜の{name}")))
}

/// "a big cat"; `word`, from 0 to 1, chooses among words.
pub fn sized(item: &Item, big: bool, word: f64) -> Vec<Caption> {
    let (english_word, japanese_word) = match (big, word < 0.6) {
        (true, true) => ("big", "大きな"),
        (true, false) => ("large", "大きい"),
        (false, true) => ("small", "小さな"),
        (false, false) => ("tiny", "小さい"),
    };
    captions(
        english(item).map(|name| format!("{english_word} {name}")),
        japanese(item).map(|name| format!("{japanese_word}{name}")),
    )
}

/// "two cats"; `word`, from 0 to 1, chooses among words, and animals are counted as such.
pub fn counted(item: &Item, three: bool, animal: bool, word: f64) -> Vec<Caption> {
    let (number, digit, sign) = if three { ("three", "3", "三") } else { ("two", "2", "二") };
    let counter = match (animal, word < 0.75) {
        (true, true) => "匹",
        (_, _) => "つ",
    };
    let shown = if word * 4.0 % 1.0 < 0.6 { digit } else { sign };
    captions(
        english(item).map(|name| format!("{} {name}", if word < 0.8 { number } else { digit })),
        japanese(item).map(|name| format!("{shown}{counter}の{name}")),
    )
}

/// "a cat and a dog"; `word`, from 0 to 1, chooses among words.
pub fn both(first: &Item, second: &Item, lie: Lie, word: f64) -> Vec<Caption> {
    let plain = word < 0.7;
    let say_english = |(a, b): (&str, &str)| match (lie, plain) {
        (Lie::Beside, true) => format!("{a} and {b}"),
        (Lie::Beside, false) if word < 0.85 => format!("{a} next to {b}"),
        (Lie::Beside, false) => format!("{a} to the left of {b}"),
        (Lie::Above, true) => format!("{a} above {b}"),
        (Lie::Above, false) if word < 0.85 => format!("{a} on top of {b}"),
        (Lie::Above, false) => format!("{b} below {a}"),
    };
    let say_japanese = |(a, b): (&str, &str)| match (lie, plain) {
        (Lie::Beside, true) => format!("{a}と{b}"),
        (Lie::Beside, false) if word < 0.85 => format!("{a}と{b}が並ぶ"),
        (Lie::Beside, false) => format!("{b}の左に{a}"),
        (Lie::Above, true) => format!("{b}の上に{a}"),
        (Lie::Above, false) if word < 0.85 => format!("{b}の上の{a}"),
        (Lie::Above, false) => format!("{a}の下に{b}"),
    };
    captions(
        english(first).zip(english(second)).map(say_english),
        japanese(first).zip(japanese(second)).map(say_japanese),
    )
}

/// "a cat wearing a hat"; `word`, from 0 to 1, chooses among words. An animal's face is the animal.
pub fn wearing(item: &Item, worn: &Worn, animal: bool, word: f64) -> Vec<Caption> {
    let name = english(item).map(|name| if animal { name.strip_suffix(" face").unwrap_or(name) } else { name });
    let called = japanese(item).filter(|name| animal || name.ends_with('顔'));
    let called = called.map(|name| if animal { name.strip_suffix("の顔").unwrap_or(name) } else { name });
    let does = if word < 0.7 { "wearing" } else { "with" };
    captions(
        name.map(|name| format!("{name} {does} {}", worn.english)),
        called.map(|name| format!("{}{name}", worn.japanese)),
    )
}
