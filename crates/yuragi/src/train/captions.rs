//! Which caption a picture is shown with.

use yuragi_io::{CaptionKind, Item};

use super::order::Draws;

/// Purposes of draws.
const KIND: u32 = 1;
const WORD: u32 = 2;

/// Shares of the kinds of captions: English name, Japanese name, keywords in either language; the rest is empty,
/// which teaches the unconditional model that guidance needs.
const NAME_EN: f64 = 0.50;
const NAME_JA: f64 = 0.84;
const KEYWORDS: f64 = 0.92;

/// Draws the caption of an item. A kind that the item lacks is replaced by one that it has.
pub fn draw(item: &Item, draws: Draws) -> String {
    let u = draws.uniform(KIND);
    let name = |kinds: [CaptionKind; 3]| kinds.into_iter().find_map(|k| item.caption(k)).unwrap_or("").to_owned();
    if u < NAME_EN {
        name([CaptionKind::NameEn, CaptionKind::Plain, CaptionKind::NameJa])
    } else if u < NAME_JA {
        name([CaptionKind::NameJa, CaptionKind::Plain, CaptionKind::NameEn])
    } else if u < KEYWORDS {
        keywords(item, draws)
    } else {
        String::new()
    }
}

/// Some of the keywords, in their order: one to four.
fn keywords(item: &Item, draws: Draws) -> String {
    let english = draws.uniform(WORD) < 0.6;
    let kinds = if english {
        [(CaptionKind::KeywordsEn, ", "), (CaptionKind::KeywordsJa, "、")]
    } else {
        [(CaptionKind::KeywordsJa, "、"), (CaptionKind::KeywordsEn, ", ")]
    };
    let Some((text, separator)) = kinds.into_iter().find_map(|(k, s)| Some((item.caption(k)?, s))) else {
        return item.title().to_owned();
    };
    let words: Vec<&str> = text.split(separator).collect();
    let share = 0.3 + 0.7 * draws.uniform(WORD + 1);
    let kept: Vec<&str> =
        (0u32..).zip(&words).filter(|(i, _)| draws.uniform(WORD + 2 + i) < share).map(|(_, w)| *w).take(4).collect();
    if kept.is_empty() { words[draws.below(WORD + 1, words.len())].to_owned() } else { kept.join(separator) }
}
