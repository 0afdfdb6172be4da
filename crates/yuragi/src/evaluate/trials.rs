//! What is drawn to measure a model.

use serde::Serialize;
use yuragi_io::{CaptionKind, Dataset, Item};

use crate::train::order::Order;

/// A caption's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// The English name.
    English,
    /// The Japanese name.
    Japanese,
    /// A folder's captions, whatever their language.
    Plain,
}

impl Language {
    /// All, in the order of reports.
    pub const ALL: [Language; 3] = [Language::English, Language::Japanese, Language::Plain];

    /// The caption of an item in the language.
    pub fn caption(self, item: &Item) -> Option<&str> {
        item.caption(match self {
            Language::English => CaptionKind::NameEn,
            Language::Japanese => CaptionKind::NameJa,
            Language::Plain => CaptionKind::Plain,
        })
    }
}

/// Whether a picture is a combination of person, skin tone and role, or something of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stratum {
    /// Something of its own.
    Base,
    /// A combination.
    Combination,
}

impl Stratum {
    /// That of an item.
    pub fn of(item: &Item) -> Stratum {
        let combination = item.emoji.as_ref().is_some_and(|emoji| emoji.is_combination());
        if combination { Stratum::Combination } else { Stratum::Base }
    }
}

/// A picture to draw from its caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The place of the true picture in the data set.
    pub item: usize,
    /// Whether it was kept from training.
    pub held_out: bool,
    /// The caption's language.
    pub language: Language,
    /// What to draw.
    pub caption: String,
    /// The picture's noise.
    pub seed: u64,
}

/// Up to `count` of the captions that were trained on, half of them of base pictures and half of
/// combinations where the data has both, in every language; and all that are held out. The languages
/// share pictures where a picture has a caption in each.
pub fn trials(dataset: &Dataset, count: usize, seed: u64) -> Vec<Trial> {
    let mut chosen = Vec::new();
    let (base, combinations): (Vec<usize>, Vec<usize>) = shuffled(dataset, seed)
        .into_iter()
        .filter(|&i| !dataset.items[i].held_out)
        .partition(|&i| Stratum::of(&dataset.items[i]) == Stratum::Base);
    let half = (count / 2).min(combinations.len());
    let first = (count - half).min(base.len());
    chosen.extend_from_slice(&base[..first]);
    chosen.extend_from_slice(&combinations[..(count - first).min(combinations.len())]);
    chosen.extend((0..dataset.items.len()).filter(|&i| dataset.items[i].held_out));

    let trial = |language: Language, item: usize| {
        let of = &dataset.items[item];
        let (caption, seed) = (language.caption(of)?.to_owned(), seed.wrapping_add(item as u64));
        Some(Trial { item, held_out: of.held_out, language, caption, seed })
    };
    Language::ALL.into_iter().flat_map(|language| chosen.iter().filter_map(move |&i| trial(language, i))).collect()
}

/// The places of all items that have captions in every language of the data, in an order that the seed decides.
fn shuffled(dataset: &Dataset, seed: u64) -> Vec<usize> {
    let spoken: Vec<Language> =
        Language::ALL.into_iter().filter(|l| dataset.items.iter().any(|item| l.caption(item).is_some())).collect();
    let mut order = Order::new(seed, dataset.items.len());
    (0..dataset.items.len() as u64)
        .map(|position| order.at(position).0)
        .filter(|&i| !spoken.is_empty() && spoken.iter().all(|l| l.caption(&dataset.items[i]).is_some()))
        .collect()
}
