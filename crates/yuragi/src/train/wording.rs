//! What captions say that composing must not contradict.

use std::ops::RangeInclusive;

use yuragi_io::Item;
use yuragi_models::tokenizer::normal;

/// Longer captions are not continued: a model would not read their ends.
const MOST_WORDS: usize = 10;
const MOST_JAPANESE: usize = 24;

/// Words that name a colour, beside those with `-ish` and `colour` in them.
const COLOURS: [&str; 70] = [
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "grey",
    "gray",
    "navy",
    "cyan",
    "magenta",
    "violet",
    "lilac",
    "lavender",
    "mauve",
    "teal",
    "turquoise",
    "aqua",
    "gold",
    "golden",
    "silver",
    "bronze",
    "copper",
    "beige",
    "cream",
    "ivory",
    "maroon",
    "burgundy",
    "crimson",
    "scarlet",
    "ruby",
    "vermilion",
    "indigo",
    "azure",
    "cobalt",
    "sapphire",
    "lime",
    "olive",
    "emerald",
    "jade",
    "mint",
    "khaki",
    "tan",
    "ochre",
    "amber",
    "mustard",
    "peach",
    "coral",
    "salmon",
    "rose",
    "fuchsia",
    "plum",
    "rainbow",
    "blond",
    "blonde",
    "ginger",
    "auburn",
    "charcoal",
    "colourless",
    "multicolor",
    "monochrome",
    "dark",
    "bright",
    "pale",
    "tinted",
    "dyed",
];

/// The same in Japanese, where they are parts of words.
const JAPANESE_COLOURS: [&str; 34] = [
    "色",
    "赤",
    "青",
    "黄",
    "緑",
    "紫",
    "桃",
    "橙",
    "茶",
    "黒",
    "白",
    "灰",
    "金",
    "銀",
    "紺",
    "藍",
    "朱",
    "紅",
    "虹",
    "ピンク",
    "オレンジ",
    "レッド",
    "ブルー",
    "イエロー",
    "グリーン",
    "パープル",
    "ブラウン",
    "ブラック",
    "ホワイト",
    "グレー",
    "ネイビー",
    "ベージュ",
    "ゴールド",
    "シルバー",
];

/// Whether a caption names a colour.
pub fn names_colour(caption: &str) -> bool {
    let text = normal(caption);
    let word = |word: &str| {
        let stem = word.strip_suffix("ish").unwrap_or(word);
        let doubled = stem.strip_suffix(['d', 'n']).unwrap_or(stem);
        COLOURS.contains(&word)
            || COLOURS.contains(&stem)
            || (stem != word && COLOURS.contains(&doubled))
            || word.contains("color")
            || word.contains("colour")
    };
    text.split(|c: char| !c.is_alphanumeric()).any(word) || JAPANESE_COLOURS.iter().any(|colour| text.contains(colour))
}

/// Whether a caption says what is behind the thing.
pub fn names_background(caption: &str) -> bool {
    let text = normal(caption);
    ["background", "backdrop", "背景", "バック"].iter().any(|word| text.contains(word))
}

/// Words of sizes, numbers, times of the day and things that are worn, and parts of Japanese words for them.
const SIZES: [&str; 9] = ["big", "large", "small", "tiny", "little", "huge", "giant", "mini", "growing"];
const JAPANESE_SIZES: [&str; 5] = ["大き", "小さ", "巨大", "小型", "大型"];
const NUMBERS: [&str; 14] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "double", "pair",
];
const JAPANESE_NUMBERS: [&str; 12] = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "つの", "人で"];
const TIMES: [&str; 14] = [
    "night", "day", "sun", "sunny", "moon", "star", "stars", "morning", "evening", "sunrise", "sunset", "dawn", "dusk",
    "dark",
];
const JAPANESE_TIMES: [&str; 10] = ["夜", "朝", "夕", "昼", "晩", "月", "星", "太陽", "日の出", "暗"];
const WORN: [&str; 13] = [
    "hat",
    "cap",
    "glasses",
    "eyeglasses",
    "sunglasses",
    "crown",
    "helmet",
    "monocle",
    "spectacles",
    "cowboy",
    "cowgirl",
    "party",
    "santa",
];
const JAPANESE_WORN: [&str; 7] = ["帽", "メガネ", "眼鏡", "めがね", "サングラス", "冠", "ハット"];

/// Words of moods, and of ages, tastes and heat: what a thing may be said to be only if its captions say nothing of them.
const MOODS: [&str; 38] = [
    "smiling",
    "smile",
    "grinning",
    "grin",
    "laugh",
    "laughing",
    "happy",
    "joy",
    "sad",
    "cry",
    "crying",
    "tears",
    "tear",
    "angry",
    "mad",
    "rage",
    "fear",
    "scared",
    "scream",
    "worried",
    "sick",
    "sleepy",
    "tired",
    "dead",
    "skull",
    "old",
    "young",
    "hot",
    "cold",
    "ice",
    "fire",
    "person",
    "woman",
    "man",
    "love",
    "kiss",
    "broken",
    "disappointed",
];
const JAPANESE_MOODS: [&str; 22] = [
    "笑", "ニコ", "泣", "涙", "悲", "怒", "怖", "恐", "驚", "困", "病", "眠", "疲", "死", "老", "若", "暑", "熱", "寒",
    "氷", "女", "男",
];

fn names(caption: &str, words: &[&str], parts: &[&str]) -> bool {
    let text = normal(caption);
    text.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word))
        || parts.iter().any(|part| text.contains(part))
}

/// Whether a caption says how big a thing is.
pub fn names_size(caption: &str) -> bool {
    names(caption, &SIZES, &JAPANESE_SIZES)
}

/// Whether a caption says how many there are.
pub fn names_number(caption: &str) -> bool {
    let digits = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    names(caption, &NUMBERS, &JAPANESE_NUMBERS) || normal(caption).split(|c: char| !c.is_alphanumeric()).any(digits)
}

/// Whether a caption says what time of the day it is, or shows what tells it.
pub fn names_time(caption: &str) -> bool {
    names(caption, &TIMES, &JAPANESE_TIMES)
}

/// Whether a caption says what is worn on a head.
pub fn names_worn(caption: &str) -> bool {
    names(caption, &WORN, &JAPANESE_WORN)
}

/// Whether a caption says what mood, age or heat a thing is of, or that it is a person.
pub fn names_mood(caption: &str) -> bool {
    names(caption, &MOODS, &JAPANESE_MOODS)
}

/// Whether an item is an animal, which Japanese counts by another word than things.
pub fn is_animal(item: &Item) -> bool {
    let first = item.emoji.as_ref().and_then(|emoji| emoji.sequence.chars().next());
    first.is_some_and(|c| matches!(c, '🐀'..='🐾' | '🦀'..='🦮' | '🕷' | '🪰'..='🪳' | '🐿' | '🕊'))
}

/// Signs rather than things: letters, clocks' times, the zodiac, buttons, arrows, plain shapes.
const SIGNS: [RangeInclusive<char>; 38] = [
    '\u{2010}'..='\u{2319}',
    '⏏'..='⏏',
    '⏩'..='⏯',
    '⏸'..='⏺',
    '▪'..='◾',
    '☢'..='☯',
    '♈'..='♓',
    '♾'..='♿',
    '⚕'..='⚕',
    '⚛'..='⚜',
    '⚧'..='⚫',
    '⛎'..='⛎',
    '⛔'..='⛔',
    '✔'..='✖',
    '✝'..='✡',
    '✳'..='✴',
    '❇'..='❇',
    '❌'..='❗',
    '➕'..='➿',
    '⤴'..='⬛',
    '〰'..='㊙',
    '🅰'..='🉑',
    '🎦'..='🎦',
    '🏧'..='🏧',
    '💠'..='💠',
    '💱'..='💲',
    '💹'..='💹',
    '📳'..='📶',
    '🔀'..='🔆',
    '🔙'..='🔤',
    '🔯'..='🔽',
    '🕉'..='🕎',
    '🕐'..='🕧',
    '🚫'..='🚱',
    '🚳'..='🚼',
    '🚾'..='🚾',
    '🛂'..='🛐',
    '🟠'..='🟰',
];

/// Whether an item is a sign rather than a thing.
pub fn is_sign(item: &Item) -> bool {
    let mut signs = item.emoji.iter().flat_map(|emoji| emoji.sequence.chars());
    signs.any(|c| SIGNS.iter().any(|range| range.contains(&c)))
}

/// Whether English can be said around a caption: Latin letters, not too many words.
pub fn is_english(caption: &str) -> bool {
    let mut letters = caption.chars().filter(|c| c.is_alphabetic()).peekable();
    letters.peek().is_some() && letters.all(|c| c < '\u{250}') && caption.split_whitespace().count() <= MOST_WORDS
}

/// Whether Japanese can be said around a caption: kana and kanji, not too many.
pub fn is_japanese(caption: &str) -> bool {
    let kana_or_kanji = |c: char| matches!(c, 'ぁ'..='ヿ' | '々' | '〆' | '〇' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
    let mut letters = caption.chars().filter(|c| c.is_alphabetic() && *c != 'ー').peekable();
    letters.peek().is_some() && letters.all(kana_or_kanji) && caption.chars().count() <= MOST_JAPANESE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_found_in_any_wording() {
        for caption in [
            "Teal",
            "a deep-blue sea",
            "Reddish, round",
            "navy/white stripes",
            "水色のドレス",
            "茶碗",
            "greenish tint",
            "COLOURFUL kite",
            "ﾋﾟﾝｸの花",
        ] {
            assert!(names_colour(caption), "{caption}");
        }
        for caption in ["a bear", "infrared", "blueprint", "うさぎ", "", "redo"] {
            assert!(!names_colour(caption), "{caption}");
        }
    }

    #[test]
    fn sizes_numbers_times_moods_and_hats_are_found() {
        for (names, yes, no) in [
            (
                names_size as fn(&str) -> bool,
                ["a Small airplane", "小型飛行機", "growing heart"],
                ["smallpox", "飛行機", ""],
            ),
            (names_number, ["Two hearts", "２つのハート", "three-thirty"], ["twofold", "ハート", "none"]),
            (names_time, ["night with stars", "三日月", "Sun"], ["nightingale", "リンゴ", "sunk"]),
            (names_mood, ["Crying cat", "泣き顔", "old man"], ["cat", "ネコの顔", "manifold"]),
            (names_worn, ["cowboy hat face", "メガネの顔", "top-hat"], ["that", "イヌの顔", "capital"]),
        ] {
            assert!(yes.iter().all(|text| names(text)), "{yes:?}");
            assert!(!no.iter().any(|text| names(text)), "{no:?}");
        }
    }

    #[test]
    fn languages_are_told_apart() {
        assert!(is_english("a Fish, side view") && is_english("crème brûlée") && is_japanese("ラーメン、どんぶり"));
        for text in ["", "123", "魚 fish", "рыба", "물고기", "one two three four five six seven eight nine ten eleven"]
        {
            assert!(!is_english(text) && !is_japanese(text), "{text}");
        }
    }
}
