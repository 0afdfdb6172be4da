//! A text's words, by their script.

use alloc::string::String;

/// The most characters of a word.
pub const WORD_CHARS: usize = 64;

/// A word, and whether it carries a leading space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word<T> {
    pub spaced: bool,
    pub text: T,
}

impl Word<String> {
    pub fn as_ref(&self) -> Word<&str> {
        Word { spaced: self.spaced, text: &self.text }
    }
}

/// The words of `text`.
pub fn split(text: &str) -> impl Iterator<Item = Word<&str>> {
    let mut rest = text;
    core::iter::from_fn(move || {
        rest = rest.trim_start();
        let script = Script::of(rest.chars().next()?);
        let most = if script == Script::Punctuation { 1 } else { WORD_CHARS };
        let end = rest.char_indices().zip(0..).find(|((_, c), n)| *n == most || Script::of(*c) != script);
        let (text, after) = rest.split_at(end.map_or(rest.len(), |((end, _), _)| end));
        rest = after;
        Some(Word { spaced: script == Script::Spaced, text })
    })
}

/// How a script joins its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// White space.
    Space,
    /// One word each.
    Punctuation,
    /// Words are not separated: kanji, kana, hangul.
    Joined,
    /// Words are separated by spaces: everything else, symbols and emoji, too.
    Spaced,
}

impl Script {
    pub fn of(c: char) -> Self {
        match c {
            _ if c.is_whitespace() => Self::Space,
            _ if c.is_ascii_punctuation() => Self::Punctuation,
            '\u{3005}'..='\u{3007}' // 々〆〇
            | '\u{3041}'..='\u{30fa}' // kana
            | '\u{30fc}'..='\u{318f}' // ー, bopomofo, hangul letters
            | '\u{31a0}'..='\u{31ff}' // more of these
            | '\u{3400}'..='\u{4dbf}' // kanji
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
            | '\u{1100}'..='\u{11ff}' // hangul
            | '\u{a960}'..='\u{a97f}'
            | '\u{ac00}'..='\u{d7ff}'
            | '\u{ff66}'..='\u{ffdc}' // half-width kana and hangul
            => Self::Joined,
            '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}' // ¡§«¶·»¿
            | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' // dashes, quotes, …
            | '\u{3001}'..='\u{3004}' | '\u{3008}'..='\u{3020}' | '\u{3030}' | '\u{303d}' // 、。「」
            | '\u{30fb}' // ・
            | '\u{fe30}'..='\u{fe6f}'
            | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' // ！，：？
            | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}'
            => Self::Punctuation,
            _ => Self::Spaced,
        }
    }
}
