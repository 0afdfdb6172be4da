//! The one form that captions and prompts have before anything reads them.

use alloc::string::String;

use unicode_normalization::UnicodeNormalization;

use super::{emoji, split::Script};

/// The normal form of a caption or a prompt: what is worded otherwise but means the same becomes the same text.
///
/// - Emoji become their English names (CLDR), joined sequences and skin tones too.
/// - Compatible characters become one (NFKC): full and half width, composed and decomposed letters. Invisible ones go.
/// - Letters lose their case, typographic quotes and dashes become `'` and `-`, and quotation marks go.
/// - Hyphens and underscores between letters become spaces.
/// - `a`, `an` and `the` before a word go.
/// - Punctuation at the begin and the end goes, unless there is nothing else.
/// - White space becomes one space between words, none at the ends.
///
/// The form of a normal form is itself. Plurals and kana are a question of what a model knows: the
/// [lexicon](super::Lexicon) looks to that.
///
/// ```
/// use yuragi_models::tokenizer::normal;
/// assert_eq!(normal("The Heart-Eyes ｃａｔ!"), "heart eyes cat");
/// assert_eq!(normal("👩🏽\u{200d}🚒"), "woman firefighter: medium skin tone");
/// assert_eq!(normal("ﾍﾟﾝｷﾞﾝ。"), "ペンギン");
/// ```
#[must_use]
pub fn normal(text: &str) -> String {
    let mut plain = plain(text);
    loop {
        let shorter = without_articles(trimmed(&plain));
        if shorter == plain || shorter.is_empty() {
            return plain;
        }
        plain = shorter;
    }
}

/// The normal form of a part of a text: all of it but articles and punctuation at the ends.
pub(super) fn plain(text: &str) -> String {
    let named = emoji::named(text);
    let lower = named.nfkc().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase);
    let folded: String = lower.nfkc().map(simple).collect();
    // Two halves of a flag may have met.
    let mut folded = emoji::named(&folded).to_lowercase();
    if folded.contains('-') || folded.contains('_') {
        folded = unhyphenated(&folded);
    }
    let mut out = String::with_capacity(folded.len());
    for word in folded.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Joiners, selectors, keycaps and marks of direction, of which nothing is seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{20e3}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
        || (c.is_control() && !c.is_whitespace())
}

/// One apostrophe, one hyphen, no quotation marks.
fn simple(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '`' | '\u{b4}' => '\'',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '"' | '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '「' | '」' | '『' | '』' => ' ',
        _ => c,
    }
}

fn unhyphenated(text: &str) -> String {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
    let mut before = None;
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let between = matches!(c, '-' | '_') && joins(before) && joins(text[at + 1..].chars().next());
        out.push(if between { ' ' } else { c });
        before = Some(c);
    }
    out
}

/// Without punctuation at the ends; brackets and signs that name something stay.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| match c {
        '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '~' | '-' | '_' => true,
        _ => c.is_whitespace() || (!c.is_ascii() && Script::of(c) == Script::Punctuation),
    })
}

/// Articles count for nothing where a word follows.
fn without_articles(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        let followed = words.peek().is_some_and(|next| next.starts_with(char::is_alphanumeric));
        if followed && matches!(word, "a" | "an" | "the") {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(texts: &[&str], want: &str) {
        for text in texts {
            assert_eq!(normal(text), want, "{text:?}");
            assert_eq!(normal(&normal(text)), want, "the form of the form of {text:?}");
        }
    }

    #[test]
    fn wordings_of_one_thing_are_one_text() {
        same(
            &[
                "lighthouse",
                "a lighthouse",
                "The Lighthouse.",
                "LIGHTHOUSE!",
                "  lighthouse\n",
                "“a lighthouse”",
                "…lighthouse?!",
            ],
            "lighthouse",
        );
        same(&["an owl and a mouse", "owl and the mouse", "An Owl and a Mouse."], "owl and mouse");
    }

    #[test]
    fn widths_and_compositions_are_one() {
        same(&["ﾗｰﾒﾝ", "ラーメン", "ラーメン。"], "ラーメン");
        same(&["ﾊﾟﾝﾀﾞ", "パンダ", "ハ\u{309a}ンタ\u{3099}", "「パンダ」"], "パンダ");
        same(&["ｄｏｇ　ｈｏｕｓｅ", "dog house", "dog\u{a0}house"], "dog house");
        same(&["crème", "CRE\u{300}ME"], "crème");
    }

    #[test]
    fn hyphens_and_quotes_are_one() {
        same(&["t-shirt", "T‑shirt", "t_shirt", "t shirt"], "t shirt");
        same(&["king's crown", "King’s crown", "the king`s crown"], "king's crown");
        same(&["- fish -", "fish"], "fish");
        same(&["コーヒー"], "コーヒー");
    }

    #[test]
    fn emoji_are_their_names() {
        same(&["🐸", "🐸\u{fe0f}.", "a 🐸"], "frog");
        same(&["🧑🏿\u{200d}🚀"], "astronaut: dark skin tone");
        same(&["☎\u{fe0f}とﾈｺ"], "telephone とネコ");
    }

    #[test]
    fn letters_that_are_words_and_bare_punctuation_stay() {
        same(&["vitamin A", "vitamin a"], "vitamin a");
        same(&["a"], "a");
        same(&["?!"], "?!");
        same(&["", " \u{3000}\t"], "");
        same(&["b button (blood type)", "B button (blood type)."], "b button (blood type)");
        same(&["theatre and anchor"], "theatre and anchor");
    }

    #[test]
    fn the_form_of_a_form_is_itself_for_any_text() {
        let pool: alloc::vec::Vec<char> =
            "aA the-_ .!?'\"「」、。カガ\u{3099}ｶﾞŒİßſ🐱🏽\u{200d}\u{fe0f}🇯🇵7\u{20e3}№①ﬁ\u{301}\u{200b}\n（）〜・"
                .chars()
                .collect();
        let mut state = 1u32;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..9 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push(pool[(state >> 16) as usize % pool.len()]);
            }
            let once = normal(&text);
            assert_eq!(normal(&once), once, "{text:?}");
        }
    }
}
