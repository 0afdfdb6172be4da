extern crate std;

use super::*;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

const CAPTIONS: [&str; 8] = [
    "grinning face",
    "grinning cat face",
    "red apple, green apple",
    "woman's hat",
    "にっこり笑う顔",
    "笑う猫の顔",
    "赤いリンゴ、青リンゴ",
    "웃는 얼굴",
];

fn trained() -> Bpe {
    Bpe::train(CAPTIONS, 400).unwrap()
}

fn words(text: &str) -> Vec<(bool, &str)> {
    split(text).map(|word| (word.spaced, word.text)).collect()
}

/// The tokens of `text`, as text.
fn tokens(bpe: &Bpe, text: &str) -> Vec<String> {
    let (ids, length) = bpe.encode(text, 1000);
    let raw = |id: &u32| bpe.decode(&[FIRST_BYTE + u32::from(b' '), *id]);
    ids[1..length - 1].iter().map(raw).collect()
}

#[test]
fn words_are_cut_by_their_script() {
    assert_eq!(
        words(" A  red-hot\tcat. "),
        [(true, "A"), (true, "red"), (false, "-"), (true, "hot"), (true, "cat"), (false, ".")]
    );
    assert_eq!(words("赤いネコ、a dog"), [(false, "赤いネコ"), (false, "、"), (true, "a"), (true, "dog")]);
    assert_eq!(words("コーヒー・々〆"), [(false, "コーヒー"), (false, "・"), (false, "々〆")]);
    assert_eq!(words("웃는 얼굴1girl"), [(false, "웃는"), (false, "얼굴"), (true, "1girl")]);
    assert_eq!(words("नमस्ते été 👩‍🚀"), [(true, "नमस्ते"), (true, "été"), (true, "👩‍🚀")]);
    assert_eq!(words("!!"), [(false, "!"), (false, "!")]);
    assert_eq!(words(" \u{3000}\n"), []);
    let long = "あ".repeat(150);
    let lengths: Vec<usize> = split(&long).map(|word| word.text.chars().count()).collect();
    assert_eq!(lengths, [64, 64, 22]);
}

#[test]
fn frequent_words_become_single_tokens() {
    let bpe = trained();
    assert_eq!(tokens(&bpe, "Grinning face"), [" grinning", " face"]);
    assert_eq!(tokens(&bpe, "apple"), [" apple"]);
    assert_eq!(tokens(&bpe, "リンゴ"), ["リンゴ"]);
    // "cat" was there only once, "at" twice.
    assert_eq!(tokens(&bpe, "cat-face"), [" ", "c", "at", "-", " face"]);
}

/// The merges of a corpus small enough to do by hand: "ab" thrice, "abc" twice.
#[test]
fn merges_are_those_done_by_hand() {
    let bpe = Bpe::train(["ab ab ab", "abc abc", "x"], 1000).unwrap();
    let byte = |c: char| FIRST_BYTE + c as u32;
    // (space, a) and (a, b) occur five times; the lower ids go first.
    assert_eq!(bpe.merges, [(byte(' '), byte('a')), (259, byte('b')), (260, byte('c'))]);
    assert_eq!(bpe.encode("abc abx", 10), (vec![BEGIN, 261, 260, byte('x'), END, 0, 0, 0, 0, 0], 5));
}

#[test]
fn overlapping_pairs_merge_from_the_left() {
    let bpe = Bpe::train(["zaaaaa zaaaaa"], 1000).unwrap();
    assert_eq!(tokens(&bpe, "zaaaaa"), [" zaaaaa"]);
    for n in 0..20 {
        let text = format!("z{}", "a".repeat(n));
        assert_eq!(tokens(&bpe, &text).concat(), format!(" {text}"));
    }
}

/// Incremental training equals counting anew before every merge.
#[test]
fn learning_equals_the_plain_algorithm() {
    let corpus: Vec<String> = (0u32..300)
        .map(|i| {
            let digit = |n: u32| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> n) as u8 % 3);
            (0..10).map(|k| if k == 5 { ' ' } else { digit(3 * k) }).collect()
        })
        .collect();
    let bpe = Bpe::train(corpus.iter().map(String::as_str), 380).unwrap();
    let mut words: Vec<Vec<u32>> = Vec::new();
    for caption in &corpus {
        for word in split(caption) {
            let mut symbols = [0; WORD_BYTES];
            let length = bpe.symbols(word, &mut symbols);
            words.push(symbols[..length].to_vec());
        }
    }
    for (id, merge) in (FIRST_LEARNED..).zip(&bpe.merges) {
        let mut counts: BTreeMap<Pair, u64> = BTreeMap::new();
        words.iter().flat_map(|word| pairs(word)).for_each(|pair| *counts.entry(pair).or_default() += 1);
        let best = counts.into_iter().max_by_key(|(pair, count)| (*count, Reverse(*pair))).unwrap();
        assert_eq!(*merge, best.0, "merge {id}");
        for word in &mut words {
            let length = merge_pair(word, *merge, id);
            word.truncate(length);
        }
    }
    assert_eq!(bpe.vocab_size(), 380);
}

#[test]
fn training_does_not_depend_on_the_order_of_captions() {
    let reversed = Bpe::train(CAPTIONS.into_iter().rev(), 400).unwrap();
    assert_eq!(reversed, trained());
}

#[test]
fn the_vocabulary_keeps_its_size() {
    for size in [259, 260, 280, 290] {
        let bpe = Bpe::train(CAPTIONS, size).unwrap();
        assert_eq!(bpe.vocab_size(), size);
        for text in CAPTIONS {
            assert!(bpe.encode(text, 100).0.iter().all(|id| (*id as usize) < size));
        }
    }
    for size in [0, 258, (1 << 20) + 1, usize::MAX] {
        assert_eq!(Bpe::train(CAPTIONS, size), Err(Error::VocabSize(size)));
    }
    assert_eq!(Error::VocabSize(7).to_string(), "a vocabulary of 7 ids; it must have from 259 to 1048576");
    assert_eq!(Bpe::train([], 5000).unwrap().vocab_size(), 259);
}

#[test]
fn any_text_encodes_and_comes_back() {
    let bpe = trained();
    let texts = [
        "",
        "a",
        "zebra",
        "鬱",
        "👩‍🚀 rocket",
        "naïve café",
        "\0\u{1}\u{7f}",
        "\u{10ffff}",
        "नमस्ते",
        "ﬁ",
        "ⅷ 한",
        "1girl, (smile:1.3), [hat]",
        "\u{fffd}",
        "\u{301}e",
    ];
    for text in texts.into_iter().chain(CAPTIONS) {
        let (ids, length) = bpe.encode(text, 300);
        assert_eq!((ids[0], ids[length - 1]), (BEGIN, END));
        assert!(ids[1..length - 1].iter().all(|id| *id >= FIRST_BYTE), "{text}");
        assert!(ids[length..].iter().all(|id| *id == PAD));
        // Decoding gives all but the spaces back.
        let plain = |text: &str| text.to_ascii_lowercase().replace(char::is_whitespace, "");
        assert_eq!(plain(&bpe.decode(&ids)), plain(text), "{text:?}");
    }
    for code in (0..0x11_0000).step_by(7).filter_map(char::from_u32) {
        let mut utf8 = [0; 4];
        let text: &str = code.encode_utf8(&mut utf8);
        let (ids, _) = bpe.encode(text, 10);
        let expected = if code.is_whitespace() { "".into() } else { text.to_ascii_lowercase() };
        assert_eq!(bpe.decode(&ids), expected, "{code:?}");
    }
}

#[test]
fn long_texts_are_cut() {
    let bpe = trained();
    let (ids, length) = bpe.encode("grinning face apple cat", 4);
    assert_eq!(length, 4);
    assert_eq!(bpe.decode(&ids), "grinning face");
    assert_eq!(bpe.encode("cat", 0), (vec![], 0));
    assert_eq!(bpe.encode("cat", 1), (vec![BEGIN], 1));
    assert_eq!(bpe.encode("cat", 2), (vec![BEGIN, END], 2));
    let full = bpe.encode("鬱鬱鬱", 100);
    assert_eq!(full.1, 11);
    for max_len in 2..11 {
        let (cut, length) = bpe.encode("鬱鬱鬱", max_len);
        assert_eq!(length, max_len);
        assert_eq!(cut[..max_len - 1], full.0[..max_len - 1]);
        bpe.decode(&cut);
    }
}

/// Work ends with the sequence: a huge prompt reads no further than a small one.
#[test]
fn huge_prompts_are_fast() {
    let bpe = trained();
    for text in [
        "a".repeat(100_000),
        "笑".repeat(34_000),
        " ".repeat(100_000),
        "(".repeat(100_000),
        "\u{10ffff}".repeat(25_000),
    ] {
        let start = std::time::Instant::now();
        for _ in 0..10 {
            bpe.encode(&text, 77);
            bpe.encode(&text, 200_000);
        }
        assert!(start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
    }
}

#[test]
fn training_on_ten_thousand_captions_is_fast() {
    let syllable = |n: u32| ["ka", "shi", "tor", "me", "lun", "pra", "vo", "ki"][n as usize % 8];
    let word = |n: u32| [syllable(n), syllable(n / 8), syllable(n / 64 + n)].concat();
    let captions: Vec<String> = (0..10_000u32)
        .map(|i| {
            let hash = |k: u32| (i * 6 + k).wrapping_mul(2_654_435_761) >> 20;
            (0..6).map(|k| word(hash(k))).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let start = std::time::Instant::now();
    let bpe = Bpe::train(captions.iter().map(String::as_str), 4096).unwrap();
    assert!(start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
    assert!(bpe.vocab_size() > 500);
}

#[test]
fn stored_tokenizers_come_back() {
    for bpe in [trained(), Bpe::train([], 300).unwrap(), Bpe::train(["\u{2028}\u{85}\u{feff}é é"], 300).unwrap()] {
        let text = bpe.to_text();
        assert!(!text.contains(['\n', '"', '\\']));
        assert_eq!(Bpe::from_text(&text), Ok(bpe));
    }
    assert_eq!(Bpe::train(["ab ab é"], 300).unwrap().to_text(), "yuragi-bpe-1 1 2 é 35 100 260 101");
}

#[test]
fn malformed_storage_is_an_error() {
    for (text, error) in [
        ("", Error::Header),
        ("yuragi-bpe-1", Error::Header),
        ("yuragi-bpe-1 0 0", Error::Header),
        ("yuragi-bpe-2 0 0 ", Error::Header),
        ("yuragi-bpe-1 +1 0 é", Error::Header),
        ("yuragi-bpe-1 -1 0 é", Error::Header),
        ("yuragi-bpe-1 1 0 e", Error::Character(0)),
        ("yuragi-bpe-1 2 0 éé", Error::Character(1)),
        ("yuragi-bpe-1 2 0 é", Error::Character(1)),
        ("yuragi-bpe-1 0 1 ", Error::Merge(0)),
        ("yuragi-bpe-1 0 1  35", Error::Merge(0)),
        ("yuragi-bpe-1 0 1  35 259", Error::Merge(0)),
        ("yuragi-bpe-1 0 1  35 2", Error::Merge(0)),
        ("yuragi-bpe-1 0 1  35 x", Error::Merge(0)),
        ("yuragi-bpe-1 0 2  35 100 35 100", Error::Merge(1)),
        ("yuragi-bpe-1 0 1  35 100 ", Error::Trailing),
        ("yuragi-bpe-1 0 0 x", Error::Trailing),
        ("yuragi-bpe-1 2000000000 2000000000 ", Error::VocabSize(4_000_000_259)),
    ] {
        assert_eq!(Bpe::from_text(text), Err(error), "{text:?}");
    }
    // Doubling merges would make a token of 2³⁰ bytes.
    let mut bomb = String::from("yuragi-bpe-1 0 30  35 35");
    (0..29).for_each(|i| bomb += &format!(" {0} {0}", 259 + i));
    assert_eq!(Bpe::from_text(&bomb), Err(Error::Merge(8)));
    // Nothing cut short or altered may panic.
    let text = trained().to_text();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        assert!(Bpe::from_text(&text[..end]).is_err() || text[..end].ends_with(|c: char| c.is_ascii_digit()));
        let _ = Bpe::from_text(&format!("{}7{}", &text[..end], &text[end..]));
    }
}

#[test]
fn foreign_ids_have_no_text() {
    assert_eq!(trained().decode(&[PAD, BEGIN, END, u32::MAX, 100_000]), "");
}
