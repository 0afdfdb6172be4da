//! CLIP's tokenizer beside transformers' `CLIPTokenizer`; the goldens are made by `tests/golden/clip_tokens.py`.

use std::collections::BTreeMap;

use yuragi_models::tokenizer::{CLIP_END, Clip, ClipError, Special};
use yuragi_numeric::fnv::Fnv1a;

const GOLDEN: &str = include_str!("golden/clip.txt");

/// A text as Python's `unicode_escape` writes it.
fn unescaped(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (kind, after) = after.split_at(1);
        let digits = match kind {
            "x" => 2,
            "u" => 4,
            "U" => 8,
            _ => 0,
        };
        out.push(match kind {
            "n" => '\n',
            "t" => '\t',
            "r" => '\r',
            "\\" => '\\',
            _ => char::from_u32(u32::from_str_radix(&after[..digits], 16).unwrap()).unwrap(),
        });
        rest = &after[digits..];
    }
    out + rest
}

#[test]
fn t33_clip_reads_texts_as_transformers_does() {
    let clip = Clip::builtin();
    let mut lines = 0;
    for line in GOLDEN.lines().take_while(|line| !line.is_empty()) {
        let (text, ids) = line.rsplit_once(" |").unwrap();
        let want: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert_eq!(clip.tokens(&unescaped(text)), want, "{text}");
        lines += 1;
    }
    assert!(lines > 20);
}

/// The generator of the golden script's texts.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn piece(&mut self) -> String {
        let char = |code: usize| char::from_u32(code as u32).unwrap();
        match self.below(10) {
            0 => (0..1 + self.below(10)).map(|_| char(self.of(&[65, 97]) + self.below(26))).collect(),
            1 => self.of(&WORDS).into(),
            2 => {
                let (first, count) = self.of(&RANGES);
                (0..1 + self.below(6)).map(|_| char(first + self.below(count))).collect()
            }
            3 => self.of(&EMOJI).into(),
            4 => (0..1 + self.below(4)).map(|_| char(33 + self.below(15))).collect(),
            5 => self.of(&SPACES).into(),
            6 => self.below(100_000).to_string(),
            7 => self.of(&CONTRACTIONS).into(),
            8 => {
                let bytes: Vec<u8> = (0..1 + self.below(8)).map(|_| self.below(256) as u8).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            _ if self.below(4) == 0 => self.of(&SPECIAL).into(),
            _ => "the".into(),
        }
    }

    fn text(&mut self) -> String {
        let joint = self.of(&["", " "]);
        let pieces: Vec<String> = (0..1 + self.below(8)).map(|_| self.piece()).collect();
        pieces.join(joint)
    }
}

const WORDS: [&str; 16] = [
    "a",
    "cat",
    "Dog",
    "red",
    "PHOTO",
    "of",
    "the",
    "masterpiece",
    "4k",
    "style1",
    "painting,",
    "by",
    "Rembrandt",
    "ultra-detailed",
    "(soft:1.2)",
    "BREAK",
];

const RANGES: [(usize, usize); 46] = [
    (0xa0, 0x60),
    (0x100, 0x80),
    (0x180, 0xd0),
    (0x250, 0x60),
    (0x300, 0x70),
    (0x391, 0x3f),
    (0x400, 0x100),
    (0x531, 0x26),
    (0x5d0, 0x1b),
    (0x621, 0x4a),
    (0x905, 0x35),
    (0x985, 0x8),
    (0xb85, 0x6),
    (0xe01, 0x3a),
    (0x10d0, 0x2b),
    (0x1100, 0x60),
    (0x1200, 0x49),
    (0x13a0, 0x56),
    (0x1780, 0x5e),
    (0x1820, 0x59),
    (0x1e00, 0x100),
    (0x1f00, 0x16),
    (0x2010, 0x4f),
    (0x2070, 0x2),
    (0x20a0, 0x20),
    (0x2100, 0x8c),
    (0x2190, 0x70),
    (0x2200, 0x100),
    (0x2460, 0xa0),
    (0x2500, 0x100),
    (0x2701, 0xbf),
    (0x3001, 0x3f),
    (0x3041, 0x56),
    (0x30a0, 0x60),
    (0x4e00, 0x1000),
    (0xac00, 0x1000),
    (0xf900, 0x100),
    (0xff01, 0xbe),
    (0x10330, 0x1b),
    (0x1d400, 0x55),
    (0x1f600, 0x50),
    (0x1f300, 0x100),
    (0x20000, 0x1000),
    (0xe0020, 0x60),
    (0x0, 0x20),
    (0x7f, 0x21),
];
const EMOJI: [&str; 9] = [
    "\u{1f431}",
    "\u{1f469}\u{200d}\u{1f680}",
    "\u{1f44d}\u{1f3fd}",
    "\u{1f1ef}\u{1f1f5}",
    "\u{2764}\u{fe0f}",
    "#\u{fe0f}\u{20e3}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{2603}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}",
];
const SPACES: [&str; 9] = [" ", "  ", "\u{9}", "\u{a}", "\u{d}\u{a}", "\u{3000}", "\u{a0}", "\u{2028}", "\u{85}"];
const CONTRACTIONS: [&str; 10] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'", "\u{2019}s"];
const SPECIAL: [&str; 5] = ["<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>", "<|endoftext|", "</w>"];

#[test]
fn t33_clip_reads_twelve_thousand_texts_in_many_scripts_as_transformers_does() {
    let clip = Clip::builtin();
    let mut random = Random(1);
    let hashes: Vec<&str> = GOLDEN.lines().skip_while(|line| !line.is_empty()).skip(1).collect();
    assert_eq!(hashes.len(), 120);
    for (hundred, want) in hashes.into_iter().enumerate() {
        let mut hash = Fnv1a::default();
        for _ in 0..100 {
            let [begin, end] = [clip.begin(), clip.end()];
            for id in [begin].into_iter().chain(clip.tokens(&random.text())).chain([end]) {
                hash.bytes(&id.to_le_bytes());
            }
        }
        assert_eq!(format!("{:016x}", hash.value()), want, "a text of the hundred {hundred}");
    }
}

#[test]
fn both_paddings_and_the_text_that_is_too_long() {
    let clip = Clip::builtin();
    let ids = clip.encode(&"cat ".repeat(100), 77);
    assert_eq!((ids.len(), ids[0], ids[75], ids[76]), (77, 49_406, 2368, 49_407));
    assert_eq!(clip.encode("cat", 5), [49_406, 2368, 49_407, 49_407, 49_407]);
    assert_eq!(clip.clone().padded_with(0).encode("cat", 5), [49_406, 2368, 49_407, 0, 0]);
    assert_eq!(clip.vocab_size(), 49_408);
    assert_eq!(clip.pad(), CLIP_END);
}

fn small() -> BTreeMap<String, u32> {
    let names = ["a", "b", "c</w>", "ab", "abc</w>", "<|startoftext|>", "<|endoftext|>", "!"];
    names.into_iter().zip(0..).map(|(name, id)| (name.to_owned(), id)).collect()
}

#[test]
fn a_vocabulary_of_a_folder() {
    let merges = [("a", "b"), ("ab", "c</w>")];
    let clip = Clip::new(&small(), merges, Special { pad: "!", ..Special::default() }).unwrap();
    // x is unknown, and so is b at a word's end.
    assert_eq!(clip.encode("abc aB x", 8), [5, 4, 0, 6, 6, 6, 7, 7]);
    assert_eq!(clip.vocab_size(), 8);
    let error = Clip::new(&small(), [("a", "c</w>")], Special::default()).unwrap_err();
    assert_eq!(error, ClipError::Merge { number: 1, missing: "ac</w>".into() });
    let error = Clip::new(&small(), merges, Special { begin: "<s>", ..Special::default() }).unwrap_err();
    assert_eq!(error.to_string(), "the vocabulary lacks the special token \"<s>\"");
}

#[test]
fn long_words_take_no_long_time() {
    let tokens = Clip::builtin().tokens(&"ab".repeat(20_000));
    assert!(tokens.len() > 1000);
}
