//! Forms of a word that mean the same.

use alloc::{format, string::String, vec::Vec};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Singular and plural where no rule makes one of the other.
const IRREGULAR: [(&str, &str); 11] = [
    ("man", "men"),
    ("person", "people"),
    ("child", "children"),
    ("mouse", "mice"),
    ("goose", "geese"),
    ("foot", "feet"),
    ("tooth", "teeth"),
    ("ox", "oxen"),
    ("louse", "lice"),
    ("die", "dice"),
    ("cactus", "cacti"),
];

/// Ends of a singular and of its plural, the more particular ones first.
const ENDS: [(&str, &str); 9] = [
    ("fe", "ves"),
    ("f", "ves"),
    ("y", "ies"),
    ("s", "ses"),
    ("z", "zes"),
    ("x", "xes"),
    ("ch", "ches"),
    ("sh", "shes"),
    ("o", "oes"),
];

/// The plurals that an English singular may have, and the singulars that it may be the plural of.
pub fn other_numbers(word: &str) -> Vec<String> {
    let mut others = Vec::new();
    if word.len() < 3 || !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return others;
    }
    let mut change = |from: &str, to: &str| {
        if let Some(stem) = word.strip_suffix(from).filter(|stem| !stem.is_empty() || from.len() > 2) {
            others.push(format!("{stem}{to}"));
        }
    };
    for (singular, plural) in IRREGULAR {
        change(plural, singular);
        change(singular, plural);
    }
    for (singular, plural) in ENDS {
        change(plural, singular);
    }
    if !word.ends_with("ss") {
        change("s", "");
    }
    for (singular, plural) in ENDS {
        change(singular, plural);
    }
    change("", "s");
    others
}

/// What all spellings of a word share: letters without accents, hiragana for katakana.
pub fn spelling_key(word: &str) -> String {
    if word.is_ascii() {
        return word.into();
    }
    let mut key = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            'ァ'..='ヶ' => key.extend(char::from_u32(u32::from(c) - 0x60)),
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => {
                key.extend(core::iter::once(c).nfd().filter(|c| !is_combining_mark(*c)));
            }
            _ => key.push(c),
        }
    }
    key
}

/// Hiragana and the mark of a long vowel.
pub fn is_hiragana(c: char) -> bool {
    matches!(c, 'ぁ'..='ゖ' | 'ゝ' | 'ゞ' | 'ー')
}

/// Katakana and the mark of a long vowel.
pub fn is_katakana(c: char) -> bool {
    matches!(c, 'ァ'..='ヺ' | 'ヽ' | 'ヾ' | 'ー')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_each_other() {
        for (singular, plural) in [
            ("dog", "dogs"),
            ("box", "boxes"),
            ("berry", "berries"),
            ("wolf", "wolves"),
            ("knife", "knives"),
            ("glass", "glasses"),
            ("witch", "witches"),
            ("tomato", "tomatoes"),
            ("walrus", "walruses"),
            ("postman", "postmen"),
            ("mouse", "mice"),
            ("person", "people"),
        ] {
            assert!(other_numbers(singular).iter().any(|other| other == plural), "{singular}");
            assert!(other_numbers(plural).iter().any(|other| other == singular), "{plural}");
        }
        assert!(!other_numbers("glass").iter().any(|other| other == "glas"));
        assert!(other_numbers("is").is_empty() && other_numbers("ガラス").is_empty());
    }

    #[test]
    fn spellings_share_a_key() {
        assert_eq!(spelling_key("パンケーキ"), spelling_key("ぱんけーき"));
        assert_eq!(spelling_key("façade"), "facade");
        assert_ne!(spelling_key("か"), spelling_key("が"));
    }
}
