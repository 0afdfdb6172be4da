//! What captions say that composing must not contradict.

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
    fn languages_are_told_apart() {
        assert!(is_english("a Fish, side view") && is_english("crème brûlée") && is_japanese("ラーメン、どんぶり"));
        for text in ["", "123", "魚 fish", "рыба", "물고기", "one two three four five six seven eight nine ten eleven"]
        {
            assert!(!is_english(text) && !is_japanese(text), "{text}");
        }
    }
}
