//! What emoji are called: the English short names of Unicode's CLDR.

use alloc::{borrow::Cow, format, string::String, vec::Vec};
use core::cmp::Ordering;

/// One emoji a line, without variation selectors, and its name; skin tones only where their rule does not give the name.
/// Written by `cargo run --release -p yuragi-io --example emoji_names` from CLDR's annotations (Unicode licence).
const NAMES: &str = include_str!("emoji.txt");

const JOINER: char = '\u{200d}';
/// Ask for text or for a picture; CLDR leaves them out.
const SELECTORS: [char; 2] = ['\u{fe0e}', '\u{fe0f}'];
const KEYCAP: char = '\u{20e3}';

/// The five skin tones, from U+1F3FB.
const TONES: [&str; 5] =
    ["light skin tone", "medium-light skin tone", "medium skin tone", "medium-dark skin tone", "dark skin tone"];

/// The text with each emoji replaced by its name, spaces around it.
///
/// A sequence that has no name of its own is called by its parts; a character that is none stays. Digits, `#`, `*` and
/// signs that are letters of running text (© ™ ‼ ℹ) are emoji only where a selector or a keycap asks for one.
pub fn named(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c < '\u{203c}' && c != '\u{a9}' && c != '\u{ae}') {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        // A sequence without a name may begin with an emoji that has one.
        let lengths = [sequence(rest), c.len_utf8()];
        let found = lengths.into_iter().take_while(|_| lengths[0] > 0).find_map(|n| Some((n, name(&rest[..n])?)));
        match found {
            Some((length, name)) => {
                out.push(' ');
                out.push_str(&name);
                out.push(' ');
                rest = &rest[length..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Cow::Owned(out)
}

/// Whether an emoji may begin with a character.
fn may_begin(c: char) -> bool {
    matches!(c, '#' | '*' | '0'..='9' | '\u{a9}' | '\u{ae}' | '\u{203c}'..='\u{2bff}' | '\u{3030}' | '\u{303d}'
        | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// The bytes of the emoji sequence that begins a text, if one does: 0 where none can.
fn sequence(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    let Some((_, first)) = chars.next() else { return 0 };
    if !may_begin(first) {
        return 0;
    }
    let mut asked = false;
    let mut end = first.len_utf8();
    if is_regional(first) {
        return chars.next().filter(|(_, c)| is_regional(*c)).map_or(0, |(at, c)| at + c.len_utf8());
    }
    while let Some(&(at, c)) = chars.peek() {
        let joined = c == JOINER && text[at + c.len_utf8()..].chars().next().is_some_and(|next| next > '\u{ff}');
        let part =
            SELECTORS.contains(&c) || c == KEYCAP || tone(c).is_some() || ('\u{e0020}'..='\u{e007f}').contains(&c);
        if !part && !joined {
            break;
        }
        asked |= c == SELECTORS[1] || c == KEYCAP;
        chars.next();
        end = at + c.len_utf8();
        if joined && let Some((at, c)) = chars.next() {
            end = at + c.len_utf8();
        }
    }
    let letter =
        first < '\u{203c}' || ['\u{203c}', '\u{2049}', '\u{2122}', '\u{2139}', '\u{3030}', '\u{303d}'].contains(&first);
    if letter && !asked { 0 } else { end }
}

fn is_regional(c: char) -> bool {
    ('\u{1f1e6}'..='\u{1f1ff}').contains(&c)
}

/// The place of a skin tone in [`TONES`].
fn tone(c: char) -> Option<usize> {
    let place = u32::from(c).checked_sub(0x1f3fb)? as usize;
    (place < TONES.len()).then_some(place)
}

/// The name of a sequence, or of its parts.
fn name(sequence: &str) -> Option<String> {
    let plain: String = sequence.chars().filter(|c| !SELECTORS.contains(c)).collect();
    if plain.is_empty() {
        return None;
    }
    if let Some(name) = listed(&plain) {
        return Some(name.into());
    }
    let mut tones: Vec<usize> = plain.chars().filter_map(tone).collect();
    if tones.windows(2).all(|pair| pair[0] == pair[1]) {
        tones.truncate(1);
    }
    let base: String = plain.chars().filter(|c| tone(*c).is_none()).collect();
    if let (Some(name), false) = (listed(&base), tones.is_empty()) {
        return Some(toned(name, &tones));
    }
    let parts: Option<Vec<String>> =
        plain.split(JOINER).map(|part| if part == plain { None } else { name(part) }).collect();
    Some(parts?.join(" "))
}

/// Skin tones stand after people and before hair: `kiss: man, man, light skin tone`, `woman: dark skin tone, red hair`.
fn toned(name: &str, tones: &[usize]) -> String {
    let tones: Vec<&str> = tones.iter().map(|&tone| TONES[tone]).collect();
    let tones = tones.join(", ");
    let person = |word: &str| ["man", "woman", "person"].contains(&word);
    match name.split_once(": ") {
        Some((_, people)) if people.split(", ").all(person) => format!("{name}, {tones}"),
        Some((who, what)) => format!("{who}: {tones}, {what}"),
        None => format!("{name}: {tones}"),
    }
}

/// The name in the list, which is in the order of its bytes.
fn listed(sequence: &str) -> Option<&'static str> {
    let (mut low, mut high) = (0, NAMES.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = NAMES.as_bytes()[low..middle].iter().rposition(|b| *b == b'\n').map_or(low, |at| low + at + 1);
        let line = NAMES[start..].lines().next()?;
        let (emoji, name) = line.split_once('\t')?;
        match emoji.cmp(sequence) {
            Ordering::Less => low = start + line.len() + 1,
            Ordering::Equal => return Some(name),
            Ordering::Greater => high = start,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(text: &str, want: &str) {
        let words: Vec<String> = named(text).split_whitespace().map(Into::into).collect();
        assert_eq!(words.join(" "), want, "{text:?}");
    }

    #[test]
    fn characters_and_sequences_have_names() {
        is("🦊", "fox");
        is("two 🐙s", "two octopus s");
        is("❤", "red heart");
        is("❤\u{fe0f}", "red heart");
        is("👨🏿\u{200d}🍳", "man cook: dark skin tone");
        is("👩🏻\u{200d}🦰", "woman: light skin tone, red hair");
        is("🧑🏻\u{200d}🤝\u{200d}🧑🏻", "people holding hands: light skin tone");
        is("👩🏻\u{200d}❤\u{fe0f}\u{200d}👨🏿", "couple with heart: woman, man, light skin tone, dark skin tone");
        is("🤝🏽", "handshake: medium skin tone");
        is("🇯🇵", "flag: Japan");
        is("7\u{fe0f}\u{20e3}", "keycap: 7");
        is("🏴\u{200d}☠\u{fe0f}", "pirate flag");
        is("海で🏄\u{200d}♀\u{fe0f}する", "海で woman surfing する");
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(NAMES.lines().map(|line| line.split_once('\t').unwrap().0).is_sorted_by(|a, b| a < b));
        for line in NAMES.lines() {
            let (emoji, name) = line.split_once('\t').unwrap();
            assert_eq!(listed(emoji), Some(name));
        }
        assert_eq!((listed(""), listed("\u{10ffff}"), listed("🐱🐱")), (None, None, None));
    }

    #[test]
    fn newer_ones_have_names_too() {
        is("🪿🫎", "goose moose");
        is("🐦\u{200d}🔥", "phoenix");
    }

    #[test]
    fn what_has_no_name_is_called_by_its_parts_or_stays() {
        is("🐱\u{200d}🚀", "cat face rocket");
        is("🧑🏽\u{200d}🦖", "person: medium skin tone T-Rex");
        is("🏽🏽", "medium skin tone medium skin tone");
        for text in ["", "7 #1 *", "© ™ Lego", "猫", "🇯", "\u{200d}", "\u{fe0f}", "\u{1f7ff}\u{200d}"] {
            is(text, text);
        }
    }
}
