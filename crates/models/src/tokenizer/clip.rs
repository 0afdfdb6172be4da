//! CLIP's byte-pair encoding (Radford et al. 2021), which Stable Diffusion reads its prompts by.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::merges::Merges;

/// The tokens that a text encoder of the family reads.
pub const LENGTH: usize = 77;

/// The begin of a text in the built-in vocabulary.
pub const BEGIN: u32 = 49_406;
/// The end of a text in the built-in vocabulary.
pub const END: u32 = 49_407;

/// The built-in vocabulary's merges, each the ids of its parts; see `clip/LICENSE`.
const MERGES: &[u8] = include_bytes!("clip/merges.bin");

/// What a token at the end of a word ends with in a vocabulary's file.
const WORD_END: &str = "</w>";

/// The apostrophe's words.
const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
/// What is cut from its surroundings where a word begins with it.
const MARKS: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// CLIP's tokenizer.
///
/// A text is composed (NFC) and put in lower case; runs of letters, single digits and runs of other characters are words;
/// what they merge into are tokens. Special tokens count where they stand in the text as they are written. These are
/// the ids of `CLIPTokenizer` of transformers 5 and of `CLIPTokenizerFast` before. The slow tokenizer of older versions
/// differs from it in rare texts: it set Chinese characters apart, or, where the package `ftfy` was installed, mended
/// broken encodings; neither is done here.
///
/// ```
/// use yuragi_models::tokenizer::Clip;
/// let clip = Clip::builtin();
/// let tokens = clip.tokens("a photo of an astronaut riding a horse on mars");
/// assert_eq!(tokens, [320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496]);
/// let ids = clip.encode("a photo", 6);
/// assert_eq!(ids, [49406, 320, 1125, 49407, 49407, 49407]);
/// assert_eq!(clip.padded_with(0).encode("a photo", 6)[4..], [0, 0]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    merges: Merges,
    /// The id of each byte inside a word, and at its end.
    bytes: [[u32; 256]; 2],
    /// Words that are one token wherever they stand, the longest first.
    whole: Vec<(String, u32)>,
    begin: u32,
    end: u32,
    pad: u32,
    vocab_size: usize,
}

/// The special tokens of a vocabulary, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special<'a> {
    /// Begins every text.
    pub begin: &'a str,
    /// Ends every text.
    pub end: &'a str,
    /// Fills the rest: the end token for CLIP-L, `!` (id 0) for OpenCLIP.
    pub pad: &'a str,
    /// Stands for bytes that the vocabulary lacks.
    pub unknown: &'a str,
}

impl Default for Special<'_> {
    fn default() -> Self {
        let end = "<|endoftext|>";
        Special { begin: "<|startoftext|>", end, pad: end, unknown: end }
    }
}

/// Why a vocabulary makes no tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClipError {
    /// A special token that the vocabulary lacks.
    Special(String),
    /// A merge, counted from 1, of which a part or the whole is missing in the vocabulary.
    Merge {
        /// Which.
        number: usize,
        /// What is missing.
        missing: String,
    },
}

impl fmt::Display for ClipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Special(name) => write!(f, "the vocabulary lacks the special token {name:?}"),
            Self::Merge { number, missing } => {
                write!(f, "merge {number} needs {missing:?}, which the vocabulary lacks")
            }
        }
    }
}

impl core::error::Error for ClipError {}

impl Clip {
    /// The vocabulary of every Stable Diffusion, padded with the end token as CLIP-L is.
    #[must_use]
    pub fn builtin() -> Self {
        let mut bytes = [[0; 256]; 2];
        for (id, (byte, _)) in (0..).zip(characters()) {
            bytes[0][usize::from(byte)] = id;
            bytes[1][usize::from(byte)] = 256 + id;
        }
        let mut merges = Merges::default();
        for (id, merge) in (512..).zip(MERGES.as_chunks::<4>().0) {
            let [a, b, c, d] = *merge;
            merges.push((u16::from_le_bytes([a, b]).into(), u16::from_le_bytes([c, d]).into()), id);
        }
        let whole = [("<|startoftext|>".into(), BEGIN), ("<|endoftext|>".into(), END)].into();
        Self { merges, bytes, whole, begin: BEGIN, end: END, pad: END, vocab_size: END as usize + 1 }
    }

    /// A vocabulary of a folder: the ids of its tokens (`vocab.json`), and the pairs that merge, the first first
    /// (`merges.txt`).
    ///
    /// # Errors
    /// Tokens that are missing.
    pub fn new<'a>(
        vocabulary: &BTreeMap<String, u32>,
        merges: impl IntoIterator<Item = (&'a str, &'a str)>,
        special: Special<'_>,
    ) -> Result<Self, ClipError> {
        let id = |name: &str| vocabulary.get(name).copied();
        let known = |name: &str| id(name).ok_or_else(|| ClipError::Special(name.into()));
        let (begin, end, pad) = (known(special.begin)?, known(special.end)?, known(special.pad)?);
        let unknown = known(special.unknown)?;
        let mut bytes = [[unknown; 256]; 2];
        for (byte, character) in characters() {
            let mut token = String::from(character);
            bytes[0][usize::from(byte)] = id(&token).unwrap_or(unknown);
            token.push_str(WORD_END);
            bytes[1][usize::from(byte)] = id(&token).unwrap_or(unknown);
        }
        let mut table = Merges::default();
        for (number, (left, right)) in (1..).zip(merges) {
            let part = |name: &str| id(name).ok_or_else(|| ClipError::Merge { number, missing: name.into() });
            table.push((part(left)?, part(right)?), part(&[left, right].concat())?);
        }
        let mut whole: Vec<(String, u32)> =
            [(special.begin, begin), (special.end, end)].map(|(name, id)| (name.into(), id)).into();
        whole.retain(|(name, _)| !name.is_empty());
        whole.sort_by_key(|(name, _)| core::cmp::Reverse(name.len()));
        let vocab_size = vocabulary.values().max().map_or(0, |id| *id as usize + 1);
        Ok(Self { merges: table, bytes, whole, begin, end, pad, vocab_size })
    }

    /// The same, padded with another id: 0 for OpenCLIP's encoders.
    #[must_use]
    pub fn padded_with(mut self, id: u32) -> Self {
        self.pad = id;
        self
    }

    /// The id that begins a text.
    #[must_use]
    pub fn begin(&self) -> u32 {
        self.begin
    }

    /// The id that ends a text.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The id that fills the rest.
    #[must_use]
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// The number of ids: every id is below it.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The tokens of a text, without begin and end.
    #[must_use]
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        let (mut tokens, mut rest) = (Vec::new(), text);
        while let Some((place, name, id)) = self.next_whole(rest) {
            self.plain_tokens(&rest[..place], &mut tokens);
            tokens.push(id);
            rest = &rest[place + name.len()..];
        }
        self.plain_tokens(rest, &mut tokens);
        tokens
    }

    /// The first word that is a token by itself, the longest of those that begin there.
    fn next_whole(&self, text: &str) -> Option<(usize, &str, u32)> {
        let places = self.whole.iter().filter_map(|(name, id)| Some((text.find(name.as_str())?, name.as_str(), *id)));
        places.min_by_key(|(place, ..)| *place)
    }

    fn plain_tokens(&self, text: &str, tokens: &mut Vec<u32>) {
        let text: String = text.nfc().flat_map(char::to_lowercase).collect();
        let mut ranks = Vec::new();
        for word in words(&text) {
            let start = tokens.len();
            let (inside, last) = word.as_bytes().split_at(word.len() - 1);
            tokens.extend(inside.iter().map(|byte| self.bytes[0][usize::from(*byte)]));
            tokens.extend(last.iter().map(|byte| self.bytes[1][usize::from(*byte)]));
            ranks.resize(word.len().max(ranks.len()), 0);
            let length = self.merges.apply(&mut tokens[start..], &mut ranks);
            tokens.truncate(start + length);
        }
    }

    /// The `length` ids of a text as a text encoder reads it: begin, the tokens as far as they fit, end, padding.
    #[must_use]
    pub fn encode(&self, text: &str, length: usize) -> Vec<i32> {
        let mut ids = Vec::with_capacity(length);
        ids.push(self.begin);
        ids.extend(self.tokens(text).into_iter().take(length.saturating_sub(2)));
        ids.push(self.end);
        ids.resize(length, self.pad);
        ids.into_iter().map(u32::cast_signed).collect()
    }
}

/// The bytes with the characters by which vocabularies write them, in the order of their ids (GPT-2's table: printable
/// characters as they are, then the others from U+0100 on).
fn characters() -> impl Iterator<Item = (u8, char)> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..);
    let others = (0..=255u8).filter(move |byte| !printable(byte)).zip('\u{100}'..);
    (0..=255u8).filter(printable).map(|byte| (byte, char::from(byte))).chain(others)
}

/// How characters make words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Digit,
    Other,
}

impl Class {
    fn of(c: char) -> Self {
        match c.general_category_group() {
            _ if c.is_whitespace() => Self::Space,
            GeneralCategoryGroup::Letter => Self::Letter,
            GeneralCategoryGroup::Number => Self::Digit,
            _ => Self::Other,
        }
    }
}

/// The words of a text in lower case.
fn words(text: &str) -> impl Iterator<Item = &str> {
    // Bytes left of a mark.
    let (mut rest, mut marked) = (text, 0);
    core::iter::from_fn(move || {
        rest = rest.trim_start();
        if marked == 0 {
            marked = MARKS.iter().find(|mark| rest.starts_with(**mark)).map_or(0, |mark| mark.len());
        }
        let class = Class::of(rest.chars().next()?);
        let fixed = CONTRACTIONS.iter().find(|fixed| rest.starts_with(**fixed));
        let end = match (fixed, class) {
            (Some(fixed), _) => fixed.len(),
            (None, Class::Digit) => rest.chars().next().map_or(0, char::len_utf8),
            (None, _) => rest.find(|c| Class::of(c) != class).unwrap_or(rest.len()),
        };
        let end = if marked > 0 { end.min(marked) } else { end };
        marked = marked.saturating_sub(end);
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}
