//! The words that a model met in its captions, and how it met them.

use alloc::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};

use super::{
    nearest::nearest,
    normal::{normal, plain},
    split::{Script, split},
    variants::{is_hiragana, is_katakana, other_numbers, spelling_key},
};

const MAGIC: &str = "yuragi-words-1";
/// The most words that are kept; the rarest go first.
const MOST_WORDS: usize = 1 << 16;
/// The most pieces of an entry.
const MOST_PIECES: usize = 16;
/// The most characters of a run of kana that is looked up.
const MOST_KANA: usize = 16;

/// Hiragana that are words of their own beside others.
const PARTICLES: [char; 9] = ['の', 'と', 'を', 'が', 'に', 'は', 'で', 'へ', 'も'];

/// The words of a model's captions.
///
/// What is typed in [normal form](normal) is brought to the spelling that the model knows: another number (`foxes` where only
/// `fox` was met, and the other way), the other kana (`きつね` where only `キツネ` was), accents, hyphens and apostrophes. What the
/// model met as it is typed stays.
///
/// ```
/// use yuragi_models::tokenizer::Lexicon;
/// let lexicon = Lexicon::of(["red fox", "キツネの顔"]);
/// assert_eq!(lexicon.resolve("foxes"), "fox");
/// assert_eq!(lexicon.resolve("きつねの顔"), "キツネの顔");
/// let unknown = lexicon.unknown("red fxo");
/// assert_eq!((unknown[0].word.as_str(), unknown[0].nearest), ("fxo", Some("fox")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lexicon {
    /// Words as they were met.
    words: BTreeSet<String>,
    /// What was met in a form that is not normal, or is made so by its neighbours.
    phrases: BTreeSet<String>,
    /// Spellings by their key, where they differ.
    spellings: BTreeMap<String, String>,
    /// Characters of words that are neither kana nor of a script with spaces.
    signs: BTreeSet<char>,
    /// The most pieces of a key.
    longest: usize,
}

/// A word that a model never met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown<'l> {
    /// The word, in normal form.
    pub word: String,
    /// The nearest word that it met, if one is near.
    pub nearest: Option<&'l str>,
}

/// A piece of a text.
#[derive(Clone, Copy)]
struct Piece<'t> {
    text: &'t str,
    /// Whether white space stands before it.
    apart: bool,
}

impl Lexicon {
    /// The words of captions, as the captions spell them (in lower case).
    #[must_use]
    pub fn of<'a>(captions: impl IntoIterator<Item = &'a str>) -> Lexicon {
        let captions: BTreeSet<String> = captions.into_iter().map(as_spelled).collect();
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for piece in captions.iter().flat_map(|caption| pieces(caption)) {
            for run in runs(piece.text) {
                let bare = [run.strip_suffix(PARTICLES), run.strip_prefix(PARTICLES)].into_iter().flatten();
                let bare = bare.chain(run.split('の').filter(|part| *part != run));
                let bare = bare.filter(|bare| bare.chars().all(is_hiragana) && bare.chars().count() > 1);
                bare.chain([run]).for_each(|run| *counts.entry(run.into()).or_default() += 1);
            }
        }
        let mut words: Vec<(String, u64)> = counts.into_iter().collect();
        words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let words = words.into_iter().take(MOST_WORDS).map(|(word, _)| word).collect();
        let odd = |chunk: &&str| plain(chunk) != **chunk;
        let chunks = captions.iter().flat_map(|caption| caption.split(' ').filter(odd)).map(String::from);
        let mut lexicon = Lexicon::new(words, chunks.collect());
        // A caption that is not read as itself is an entry of its own; another one may then need to be, too.
        let own = |caption: &&String| {
            let form = normal(caption);
            form == **caption || !captions.contains(&form)
        };
        for _ in 0..2 {
            let misread = captions.iter().filter(|caption| !lexicon.reads(caption)).filter(own).cloned();
            let phrases: BTreeSet<String> = lexicon.phrases.iter().cloned().chain(misread).collect();
            if phrases.len() == lexicon.phrases.len() {
                break;
            }
            lexicon = Lexicon::new(lexicon.words, phrases);
        }
        lexicon
    }

    /// These words and those of more captions, in normal form, that the model is to learn from.
    #[must_use]
    pub fn and<'a>(self, captions: impl IntoIterator<Item = &'a str>) -> Lexicon {
        let Lexicon { mut words, phrases, .. } = self;
        let forms: Vec<String> = captions.into_iter().map(normal).collect();
        words.append(&mut Lexicon::of(forms.iter().map(String::as_str)).words);
        Lexicon::new(words, phrases)
    }

    fn new(words: BTreeSet<String>, phrases: BTreeSet<String>) -> Lexicon {
        let mut lexicon = Lexicon { longest: 1, ..Lexicon::default() };
        for word in &words {
            let key = spelling_key(word);
            if key != *word && !words.contains(&key) {
                lexicon.spellings.entry(key).or_insert_with(|| word.clone());
            }
            let signs = word.chars().filter(|&c| Script::of(c) == Script::Joined && !is_hiragana(c) && !is_katakana(c));
            lexicon.signs.extend(signs);
        }
        for phrase in &phrases {
            let form = normal(phrase);
            let keys: Vec<String> = pieces(&form).map(|piece| spelling_key(piece.text)).collect();
            let known = keys.len() == 1 && words.contains(&keys[0]);
            if (1..=MOST_PIECES).contains(&keys.len()) && !known {
                lexicon.longest = lexicon.longest.max(keys.len());
                lexicon.spellings.entry(keys.join(" ")).or_insert_with(|| phrase.clone());
            }
        }
        Lexicon { words, phrases, ..lexicon }
    }

    /// Whether a caption in normal form is read as it is spelled.
    fn reads(&self, caption: &str) -> bool {
        let read = self.resolve(&normal(caption));
        pieces(&read).map(|piece| piece.text).eq(pieces(caption).map(|piece| piece.text))
    }

    /// Whether nothing was met, so that nothing is known of what was not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The number of words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// A text in normal form, as the model knows it.
    #[must_use]
    pub fn resolve(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        self.walk(text, &mut |apart, spelling, _| {
            if apart && !out.is_empty() {
                out.push(' ');
            }
            out.push_str(spelling);
        });
        out
    }

    /// The words of a text in normal form that were never met, each once, in the order of the text.
    #[must_use]
    pub fn unknown(&self, text: &str) -> Vec<Unknown<'_>> {
        let mut found: Vec<Unknown<'_>> = Vec::new();
        if self.is_empty() {
            return found;
        }
        let mut seen = BTreeSet::new();
        self.walk(text, &mut |_, word, known| {
            if !known && seen.insert(String::from(word)) {
                let nearest = nearest(word, self.words.iter().map(String::as_str));
                found.push(Unknown { word: word.into(), nearest });
            }
        });
        found
    }

    /// Gives each piece of a text: whether it stands apart, how the model knows it, and whether it does.
    fn walk(&self, text: &str, give: &mut dyn FnMut(bool, &str, bool)) {
        if self.is_empty() {
            return pieces(text).for_each(|piece| give(piece.apart, piece.text, true));
        }
        let read: Vec<(Piece<'_>, Option<Cow<'_, str>>)> = pieces(text)
            .map(|piece| {
                let spaced = piece.text.chars().next().map(Script::of) == Some(Script::Spaced);
                (piece, if spaced { self.spaced(piece.text) } else { Some(Cow::Borrowed(piece.text)) })
            })
            .collect();
        let mut rest = &read[..];
        while let Some(((piece, spelling), after)) = rest.split_first() {
            if let Some((phrase, count)) = self.phrase(rest) {
                give(piece.apart, phrase, true);
                rest = &rest[count..];
                continue;
            }
            rest = after;
            match piece.text.chars().next().map(Script::of) {
                Some(Script::Joined) => self.joined(*piece, give),
                _ => give(piece.apart, spelling.as_deref().unwrap_or(piece.text), spelling.is_some()),
            }
        }
    }

    /// The longest entry of several pieces that a text begins with, and how many they are.
    fn phrase(&self, text: &[(Piece<'_>, Option<Cow<'_, str>>)]) -> Option<(&str, usize)> {
        (2..=self.longest.min(text.len())).rev().find_map(|count| {
            let key = |(piece, spelling): &(Piece<'_>, Option<Cow<'_, str>>)| {
                spelling_key(spelling.as_deref().unwrap_or(piece.text))
            };
            let keys: Vec<String> = text[..count].iter().map(key).collect();
            self.spellings.get(&keys.join(" ")).map(|phrase| (phrase.as_str(), count))
        })
    }

    /// How a word was met, or else another spelling of it.
    fn met(&self, word: &str) -> Option<&str> {
        let other = || {
            let key = spelling_key(word);
            self.spellings.get(&key).or_else(|| self.words.get(&key))
        };
        self.words.get(word).or_else(other).map(String::as_str)
    }

    /// How a word of a script with spaces was met.
    fn spaced(&self, word: &str) -> Option<Cow<'_, str>> {
        self.met(word).or_else(|| other_numbers(word).iter().find_map(|other| self.met(other))).map(Cow::Borrowed)
    }

    /// Cuts a word of a script without spaces into entries: as few as cover it, few of one sign, few of other kana.
    fn joined(&self, piece: Piece<'_>, give: &mut dyn FnMut(bool, &str, bool)) {
        const ENTRY: u32 = 2;
        const OTHER: u32 = 1;
        const SINGLE: u32 = 1;
        const UNKNOWN: u32 = 100;
        let word = piece.text;
        let ends: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
        let count = ends.len() - 1;
        // The least cost of what follows each place, the end of the next entry, and its spelling.
        let mut best: Vec<(u32, usize, Option<&str>)> = alloc::vec![(0, count, None); count + 1];
        for from in (0..count).rev() {
            let first = &word[ends[from]..ends[from + 1]];
            let sign = first.chars().all(|c| self.signs.contains(&c));
            let cost = if sign { ENTRY + SINGLE } else { UNKNOWN };
            best[from] = (cost + best[from + 1].0, from + 1, sign.then_some(first));
            for to in from + 1..=count.min(from + MOST_KANA) {
                let typed = &word[ends[from]..ends[to]];
                let Some(spelling) = self.met(typed) else { continue };
                let other = if spelling == typed { 0 } else { OTHER };
                let single = if to == from + 1 { SINGLE } else { 0 };
                let cost = ENTRY + other + single + best[to].0;
                if cost < best[from].0 {
                    best[from] = (cost, to, Some(spelling));
                }
            }
        }
        let (mut from, mut apart) = (0, piece.apart);
        while from < count {
            let (_, mut to, spelling) = best[from];
            if spelling.is_none() {
                while to < count && best[to].2.is_none() {
                    to += 1;
                }
            }
            let typed = &word[ends[from]..ends[to]];
            // A kana alone is an ending more often than a word.
            let ending = to == from + 1 && typed.chars().all(is_hiragana);
            give(apart, spelling.unwrap_or(typed), spelling.is_some() || ending);
            (from, apart) = (to, false);
        }
    }

    /// The lexicon as text, for a model file's header.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{MAGIC}\n");
        let mut last = "";
        for (number, word) in self.words.iter().enumerate() {
            let shared = last.chars().zip(word.chars()).take_while(|(a, b)| a == b).count().min(40);
            let rest = word.char_indices().nth(shared).map_or("", |(at, _)| &word[at..]);
            if number > 0 {
                text.push(' ');
            }
            text.push(char::from(b'0' + shared as u8));
            text.push_str(rest);
            last = word;
        }
        for phrase in &self.phrases {
            text.push('\n');
            text.push_str(phrase);
        }
        text
    }

    /// The lexicon that [`to_text`](Self::to_text) wrote; `None` of another text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Lexicon> {
        let mut lines = text.split('\n');
        if lines.next() != Some(MAGIC) {
            return None;
        }
        let (mut words, mut last) = (BTreeSet::new(), String::new());
        for coded in lines.next()?.split(' ').filter(|coded| !coded.is_empty()) {
            let (digit, rest) = (coded.chars().next()?, coded.get(1..)?);
            let shared = u32::from(digit).checked_sub(u32::from('0')).filter(|shared| *shared <= 40)? as usize;
            let mut word: String = last.chars().take(shared).collect();
            word.push_str(rest);
            if word.is_empty() || words.len() == MOST_WORDS {
                return None;
            }
            words.insert(word.clone());
            last = word;
        }
        Some(Lexicon::new(words, lines.map(String::from).collect()))
    }
}

/// Lower case and single spaces, else as it stands.
fn as_spelled(caption: &str) -> String {
    let words: Vec<&str> = caption.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// The words and marks of a text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut end = 0;
    split(text).map(move |word| {
        let at = word.text.as_ptr() as usize - text.as_ptr() as usize;
        let apart = at > end;
        end = at + word.text.len();
        Piece { text: word.text, apart }
    })
}

/// What a word is met as: itself, or in a script without spaces its runs of hiragana, of katakana and of others. Marks
/// are no words.
fn runs(word: &str) -> impl Iterator<Item = &str> {
    #[derive(PartialEq, Clone, Copy)]
    enum Kind {
        Mark,
        Word,
        Hiragana,
        Katakana,
        Sign,
    }
    let kind = |c: char| match Script::of(c) {
        Script::Space | Script::Punctuation => Kind::Mark,
        Script::Spaced => Kind::Word,
        Script::Joined if is_hiragana(c) => Kind::Hiragana,
        Script::Joined if is_katakana(c) => Kind::Katakana,
        Script::Joined => Kind::Sign,
    };
    let mut rest = word;
    core::iter::from_fn(move || {
        loop {
            let first = kind(rest.chars().next()?);
            // The mark of a long vowel goes with what it follows.
            let end =
                rest.char_indices().find(|(_, c)| kind(*c) != first && *c != 'ー').map_or(rest.len(), |(at, _)| at);
            let (run, after) = rest.split_at(end);
            rest = after;
            if first != Kind::Mark {
                return Some(run);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    const CAPTIONS: [&str; 13] = [
        "red fox",
        "grapes",
        "two women dancing",
        "man’s hat",
        "star-struck owl",
        "star-struck: twice",
        "bird with a crown",
        "K button",
        "the K button",
        "jalapeño",
        "キツネの顔",
        "飛ぶツバメ、鳥",
        "いちごのケーキ",
    ];

    fn lexicon() -> Lexicon {
        Lexicon::of(CAPTIONS)
    }

    #[track_caller]
    fn read(text: &str, want: &str) {
        assert_eq!(lexicon().resolve(&normal(text)), want, "{text:?}");
    }

    #[test]
    fn captions_are_read_as_they_are_spelled() {
        for caption in CAPTIONS {
            if caption != "the K button" {
                read(caption, &caption.to_lowercase());
            }
        }
    }

    #[test]
    fn the_other_number_is_read_where_only_one_was_met() {
        read("foxes", "fox");
        read("a grape", "grapes");
        read("Women", "women");
        read("woman", "women");
        read("a man and his hats", "man and his hat");
        read("glass", "glass");
    }

    #[test]
    fn the_other_kana_is_read_where_only_one_was_met() {
        read("きつね", "キツネ");
        read("きつねの顔", "キツネの顔");
        read("イチゴ", "いちご");
        read("ｹｰｷ", "ケーキ");
        read("けーき", "ケーキ");
        read("つばめの顔", "ツバメの顔");
        read("飛ぶ鳥", "飛ぶ鳥");
    }

    #[test]
    fn hyphens_apostrophes_accents_and_articles_are_put_back() {
        read("a star struck owl", "star-struck owl");
        read("men's hat", "man’s hat");
        read("A man's hat.", "man’s hat");
        read("JALAPENO", "jalapeño");
        read("bird with crown", "bird with a crown");
        read("the red bird with the crown!", "red bird with a crown");
    }

    #[test]
    fn more_captions_bring_their_words() {
        let more = lexicon().and(["The Foxes", "きつねのお面"]);
        assert_eq!(more.resolve("foxes"), "foxes");
        assert_eq!(more.resolve("きつねの顔"), "きつねの顔");
        assert_eq!(more.resolve("star struck grape"), "star-struck grapes");
    }

    #[test]
    fn what_was_never_met_is_named_with_the_nearest() {
        let lexicon = lexicon();
        let unknown = |text: &str| -> Vec<(String, Option<&str>)> {
            lexicon.unknown(&normal(text)).into_iter().map(|u| (u.word, u.nearest)).collect()
        };
        assert_eq!(unknown("foxes, grapes and a fox's birds"), [("and".into(), None)]);
        assert_eq!(unknown("red grapse"), [("grapse".into(), Some("grapes"))]);
        assert_eq!(unknown("xylophone xylophone"), [("xylophone".into(), None)]);
        assert_eq!(unknown("blackbird"), [("blackbird".into(), Some("bird"))]);
        assert_eq!(unknown("キツネザルの顔"), [("ザル".into(), None)]);
        assert_eq!(unknown("つばめが飛ぶ"), []);
        assert_eq!(unknown("鯨"), [("鯨".into(), None)]);
        assert_eq!(unknown(""), []);
        assert_eq!(Lexicon::default().unknown("anything"), []);
        assert_eq!(Lexicon::default().resolve("any thing、何でも"), "any thing、何でも");
    }

    #[test]
    fn stored_lexicons_come_back_and_others_do_not() {
        for lexicon in [lexicon(), Lexicon::default(), Lexicon::of([""]), Lexicon::of(["\u{1f}é ò\n\nx"])] {
            let text = lexicon.to_text();
            let back = Lexicon::from_text(&text).unwrap();
            assert_eq!((&back.words, &back.phrases), (&lexicon.words, &lexicon.phrases), "{text}");
            assert_eq!(back.spellings, lexicon.spellings);
        }
        let whole = lexicon().to_text();
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let _ = Lexicon::from_text(&whole[..end]);
            let _ = Lexicon::from_text(&format!("{}~{}", &whole[..end], &whole[end..]));
        }
        for text in ["", "yuragi-words-2\n", "yuragi-words-1", "yuragi-words-1\nzz", "yuragi-words-1\n0"] {
            assert_eq!(Lexicon::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn long_texts_are_read_in_little_time() {
        let lexicon = lexicon();
        let start = std::time::Instant::now();
        for text in ["fox ".repeat(20_000), "きつねのかお".repeat(4000), "鯨".repeat(20_000)] {
            let _ = lexicon.resolve(&normal(&text));
            let _ = lexicon.unknown(&normal(&text));
        }
        assert!(start.elapsed().as_secs_f64() < 5.0, "{:?}", start.elapsed());
    }
}
