//! Byte-pair encoding.

use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt::{self, Write};

use super::merges::{Merges, Pair};
use super::split::{WORD_CHARS, Word, split};

/// The id that fills the rest of a sequence.
pub const PAD: u32 = 0;
/// The id that begins every sequence.
pub const BEGIN: u32 = 1;
/// The id that ends every sequence.
pub const END: u32 = 2;

/// The ids of the bytes 0 to 255 follow the special ids.
const FIRST_BYTE: u32 = 3;
/// The ids of characters and merges follow those of the bytes.
const FIRST_LEARNED: u32 = FIRST_BYTE + 256;
/// The most ids that a vocabulary may have.
const MOST_IDS: usize = 1 << 20;

/// The most bytes of a word, with its leading space.
const WORD_BYTES: usize = 4 * WORD_CHARS + 1;

const MAGIC: &str = "yuragi-bpe-1";

/// A small learned byte-pair encoding (Sennrich et al. 2016) for captions in any script: characters and merges.
///
/// A text is cut into words, and merges never cross them:
/// - white space separates words and is dropped;
/// - every punctuation mark is a word;
/// - a run of kanji, kana or hangul is a word;
/// - any other run is a word with a leading space, so that `cat` is the same word wherever it stands;
/// - a word ends after 64 characters.
///
/// ASCII letters lose their case. A character that training did not see falls back to its UTF-8 bytes, so every text has
/// an encoding.
///
/// ```
/// use yuragi_models::tokenizer::{BEGIN, Bpe, END, PAD};
/// let bpe = Bpe::train(["a red cat", "a red fox", "赤いネコ"], 300)?;
/// let (ids, length) = bpe.encode("A red cat", 16);
/// assert_eq!((ids[0], ids[length - 1], ids[15]), (BEGIN, END, PAD));
/// assert_eq!(bpe.decode(&ids), "a red cat");
/// # Ok::<(), yuragi_models::tokenizer::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bpe {
    /// The characters beyond ASCII, in the order of their ids.
    chars: Vec<char>,
    /// The pairs that merge, in the order of their ids.
    merges: Vec<Pair>,
    char_ids: BTreeMap<char, u32>,
    merge_ids: Merges,
}

/// Why a tokenizer could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A vocabulary size outside 259 ..= 2²⁰.
    VocabSize(usize),
    /// A stored tokenizer that does not begin as one.
    Header,
    /// A stored character, counted from 0, that is missing, ASCII or repeated.
    Character(usize),
    /// A stored merge, counted from 0, that is missing, repeated, or of ids
    /// that do not exist before it or make no word.
    Merge(usize),
    /// Text after the end of a stored tokenizer.
    Trailing,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VocabSize(size) => {
                write!(f, "a vocabulary of {size} ids; it must have from {FIRST_LEARNED} to {MOST_IDS}")
            }
            Self::Header => write!(f, "the stored tokenizer does not begin with \"{MAGIC} CHARACTERS MERGES\""),
            Self::Character(index) => {
                write!(f, "the stored tokenizer's character {index} is missing, ASCII or a repetition")
            }
            Self::Merge(index) => write!(f, "the stored tokenizer's merge {index} is missing or impossible"),
            Self::Trailing => write!(f, "the stored tokenizer continues after its last merge"),
        }
    }
}

impl core::error::Error for Error {}

impl Bpe {
    /// Learns a vocabulary of at most `vocab_size` ids: the special ids, the
    /// bytes, the captions' characters by falling count, then merges of the
    /// most frequent pair while one occurs twice. Equal counts go to the lower
    /// character or ids, so the captions' order does not matter.
    ///
    /// # Errors
    /// [`Error::VocabSize`].
    pub fn train<'a>(captions: impl IntoIterator<Item = &'a str>, vocab_size: usize) -> Result<Self, Error> {
        if !(FIRST_LEARNED as usize..=MOST_IDS).contains(&vocab_size) {
            return Err(Error::VocabSize(vocab_size));
        }
        let room = vocab_size - FIRST_LEARNED as usize;
        let mut words: BTreeMap<Word<String>, u64> = BTreeMap::new();
        for caption in captions {
            for word in split(caption) {
                let text = word.text.to_ascii_lowercase();
                *words.entry(Word { spaced: word.spaced, text }).or_default() += 1;
            }
        }
        let bpe = Self::new(frequent_chars(&words, room), Vec::new());
        let mut words: Vec<(Vec<u32>, u64)> = words
            .into_iter()
            .map(|(word, count)| {
                let mut symbols = [0; WORD_BYTES];
                let length = bpe.symbols(word.as_ref(), &mut symbols);
                (symbols[..length].to_vec(), count)
            })
            .collect();
        let first = FIRST_LEARNED + bpe.chars.len() as u32;
        let merges = learn_merges(&mut words, first, room - bpe.chars.len());
        Ok(Self::new(bpe.chars, merges))
    }

    fn new(chars: Vec<char>, merges: Vec<Pair>) -> Self {
        let char_ids: BTreeMap<_, _> = chars.iter().copied().zip(FIRST_LEARNED..).collect();
        let first = FIRST_LEARNED + chars.len() as u32;
        let mut merge_ids = Merges::default();
        for (pair, id) in merges.iter().zip(first..) {
            merge_ids.push(*pair, id);
        }
        Self { chars, merges, char_ids, merge_ids }
    }

    /// The number of ids: every id is below it.
    pub fn vocab_size(&self) -> usize {
        FIRST_LEARNED as usize + self.chars.len() + self.merges.len()
    }

    /// The `max_len` ids of `text`, padded, and how many of them are not
    /// padding: [`BEGIN`], the words as far as they fit, [`END`].
    pub fn encode(&self, text: &str, max_len: usize) -> (Vec<u32>, usize) {
        let mut ids = alloc::vec![PAD; max_len];
        let length = self.encode_into(text, &mut ids);
        (ids, length)
    }

    /// [`encode`](Self::encode) into the whole of `ids`, without allocation.
    pub fn encode_into(&self, text: &str, ids: &mut [u32]) -> usize {
        ids.fill(PAD);
        let Some((begin, rest)) = ids.split_first_mut() else { return 0 };
        *begin = BEGIN;
        let Some(room) = rest.len().checked_sub(1) else { return 1 };
        let mut length = 0;
        for word in split(text) {
            if length == room {
                break;
            }
            let mut symbols = [0; WORD_BYTES];
            let count = self.symbols(word, &mut symbols);
            let count = self.merge_ids.apply(&mut symbols[..count], &mut [0; WORD_BYTES]).min(room - length);
            rest[length..length + count].copy_from_slice(&symbols[..count]);
            length += count;
        }
        rest[length] = END;
        length + 2
    }

    /// The text of `ids`, for people to read: lower case, one space before
    /// each spaced word. Special and unknown ids have no text, and bytes that
    /// are not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        let mut stack = Vec::new();
        for &id in ids {
            stack.push(id);
            while let Some(id) = stack.pop() {
                match self.piece(id) {
                    Piece::Byte(byte) => bytes.push(byte),
                    Piece::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                    Piece::Merge((left, right)) => stack.extend([right, left]),
                    Piece::None => {}
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        text.strip_prefix(' ').unwrap_or(&text).into()
    }

    /// The tokenizer as text, for a model file's header; it has no line end.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{MAGIC} {} {} ", self.chars.len(), self.merges.len());
        text.extend(&self.chars);
        for (left, right) in &self.merges {
            let _ = write!(text, " {left} {right}");
        }
        text
    }

    /// The tokenizer that [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    /// What is malformed, and where.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let mut fields = text.splitn(4, ' ');
        let magic = fields.next().filter(|magic| *magic == MAGIC);
        let counts = (fields.next().and_then(number), fields.next().and_then(number));
        let (Some(_), (Some(char_count), Some(merge_count)), Some(body)) = (magic, counts, fields.next()) else {
            return Err(Error::Header);
        };
        let size = (char_count as usize).saturating_add(merge_count as usize).saturating_add(FIRST_LEARNED as usize);
        if size > MOST_IDS {
            return Err(Error::VocabSize(size));
        }
        let mut rest = body.chars();
        let (mut chars, mut seen) = (Vec::new(), BTreeSet::new());
        for index in 0..char_count as usize {
            let c = rest.next().filter(|c| !c.is_ascii() && seen.insert(*c));
            chars.push(c.ok_or(Error::Character(index))?);
        }
        let mut bpe = Self::new(chars, Vec::new());
        let mut lengths: Vec<usize> =
            core::iter::repeat_n(1, 256).chain(bpe.chars.iter().map(|c| c.len_utf8())).collect();
        let mut rest = rest.as_str();
        for index in 0..merge_count as usize {
            let mut id = || {
                let field = rest.strip_prefix(' ')?;
                let end = field.find(' ').unwrap_or(field.len());
                let id = number(&field[..end])?;
                rest = &field[end..];
                Some((id, *lengths.get(id.checked_sub(FIRST_BYTE)? as usize)?))
            };
            let (Some((left, a)), Some((right, b))) = (id(), id()) else { return Err(Error::Merge(index)) };
            let new = bpe.vocab_size() as u32;
            if a + b > WORD_BYTES || !bpe.merge_ids.push((left, right), new) {
                return Err(Error::Merge(index));
            }
            bpe.merges.push((left, right));
            lengths.push(a + b);
        }
        if rest.is_empty() { Ok(bpe) } else { Err(Error::Trailing) }
    }

    /// Writes a word's bytes and characters to `out`; gives their number.
    fn symbols(&self, word: Word<&str>, out: &mut [u32; WORD_BYTES]) -> usize {
        let byte = |byte: u8| FIRST_BYTE + u32::from(byte);
        let mut length = 0;
        let mut push = |id| {
            out[length] = id;
            length += 1;
        };
        if word.spaced {
            push(byte(b' '));
        }
        for c in word.text.chars() {
            match self.char_ids.get(&c) {
                Some(id) => push(*id),
                None => {
                    let mut utf8 = [0; 4];
                    c.to_ascii_lowercase().encode_utf8(&mut utf8).bytes().for_each(|b| push(byte(b)));
                }
            }
        }
        length
    }

    fn piece(&self, id: u32) -> Piece {
        let Some(byte) = id.checked_sub(FIRST_BYTE) else { return Piece::None };
        if let Ok(byte) = u8::try_from(byte) {
            return Piece::Byte(byte);
        }
        let index = (id - FIRST_LEARNED) as usize;
        match self.chars.get(index) {
            Some(c) => Piece::Char(*c),
            None => self.merges.get(index - self.chars.len()).map_or(Piece::None, |pair| Piece::Merge(*pair)),
        }
    }
}

/// What an id stands for.
enum Piece {
    None,
    Byte(u8),
    Char(char),
    Merge(Pair),
}

/// A number in plain decimal digits.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Replaces every `pair` from the left by `id`; gives the new length.
fn merge_pair(symbols: &mut [u32], pair: Pair, id: u32) -> usize {
    let (mut read, mut write) = (0, 0);
    while read < symbols.len() {
        let found = symbols[read] == pair.0 && symbols.get(read + 1) == Some(&pair.1);
        symbols[write] = if found { id } else { symbols[read] };
        read += 1 + usize::from(found);
        write += 1;
    }
    write
}

/// At most `room` characters beyond ASCII, the most frequent first.
fn frequent_chars(words: &BTreeMap<Word<String>, u64>, room: usize) -> Vec<char> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in words {
        for c in word.text.chars().filter(|c| !c.is_ascii()) {
            *counts.entry(c).or_default() += count;
        }
    }
    let mut chars: Vec<_> = counts.into_iter().collect();
    chars.sort_by_key(|(c, count)| (Reverse(*count), *c));
    chars.into_iter().take(room).map(|(c, _)| c).collect()
}

/// At most `room` merges of the most frequent pair, with ids from `first`.
fn learn_merges(words: &mut [(Vec<u32>, u64)], first: u32, room: usize) -> Vec<Pair> {
    let mut counts: BTreeMap<Pair, u64> = BTreeMap::new();
    let mut places: BTreeMap<Pair, BTreeSet<usize>> = BTreeMap::new();
    for (index, (symbols, count)) in words.iter().enumerate() {
        for pair in pairs(symbols) {
            *counts.entry(pair).or_default() += count;
            places.entry(pair).or_default().insert(index);
        }
    }
    // An entry whose count is no longer true is corrected when it comes up.
    let mut heap: BinaryHeap<_> = counts.iter().map(|(pair, count)| (*count, Reverse(*pair))).collect();
    let mut merges = Vec::new();
    while merges.len() < room
        && let Some((count, Reverse(pair))) = heap.pop()
        && count > 1
    {
        let now = counts.get(&pair).copied().unwrap_or(0);
        if now != count {
            if now < count && now > 0 {
                heap.push((now, Reverse(pair)));
            }
            continue;
        }
        let id = first + merges.len() as u32;
        merges.push(pair);
        let mut grown = BTreeSet::new();
        for index in places.remove(&pair).unwrap_or_default() {
            let (symbols, count) = &mut words[index];
            for old in pairs(symbols) {
                if let Some(total) = counts.get_mut(&old) {
                    *total -= *count;
                }
            }
            let length = merge_pair(symbols, pair, id);
            symbols.truncate(length);
            for new in pairs(symbols) {
                *counts.entry(new).or_default() += *count;
                if new.0 == id || new.1 == id {
                    places.entry(new).or_default().insert(index);
                    grown.insert(new);
                }
            }
        }
        counts.remove(&pair);
        heap.extend(grown.into_iter().map(|pair| (counts[&pair], Reverse(pair))));
    }
    merges
}

fn pairs(symbols: &[u32]) -> impl Iterator<Item = Pair> {
    symbols.windows(2).map(|pair| (pair[0], pair[1]))
}

#[cfg(test)]
#[path = "bpe_tests.rs"]
mod tests;
