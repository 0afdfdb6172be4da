//! What drawn pictures say about their model.

use std::fmt;

use serde::Serialize;
use yuragi_io::{Dataset, Item, Picture, emoji::Tone};

use super::{
    metric::{Features, rank},
    trials::{Language, Stratum, Trial},
};
use crate::judge::{Judge, Seen};

/// How often the true picture is the nearest of the gallery, or among the five nearest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Pictures drawn.
    pub count: usize,
    /// The share, 0 to 1, whose true picture is the nearest.
    pub top1: f64,
    /// The share whose true picture is among the five nearest.
    pub top5: f64,
}

impl Score {
    /// The score of ranks, counted from 0; `None` without any.
    pub(super) fn of(ranks: &[usize]) -> Option<Score> {
        let share = |limit| ranks.iter().filter(|&&r| r < limit).count() as f64 / ranks.len() as f64;
        (!ranks.is_empty()).then(|| Score { count: ranks.len(), top1: share(1), top5: share(5) })
    }
}

/// The score of captions of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Whether their pictures were kept from training.
    pub held_out: bool,
    /// The captions' language.
    pub language: Language,
    /// Which of them; `None` for all.
    pub stratum: Option<Stratum>,
    /// The score.
    #[serde(flatten)]
    pub score: Score,
}

/// How well the combinations that were kept from training are composed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Composition {
    /// The expected score of copying a trained sibling of another skin tone.
    pub sibling_copy: Option<Score>,
    /// For each language, how often the skin tone is right: the true picture is the nearest of its five tones.
    pub tone: Vec<Tones>,
    /// The mean distance of the drawn pictures to the true one.
    pub to_truth: f64,
    /// The mean distance of the drawn pictures to the nearest one that was trained on: 0 is copying.
    pub to_trained: f64,
    /// The same for the true pictures.
    pub truth_to_trained: f64,
    /// The mean distance of the true pictures to their siblings of another skin tone.
    pub truth_to_siblings: f64,
}

/// How often the skin tone is right. Chance is a fifth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tones {
    /// The captions' language.
    pub language: Language,
    /// Pictures of one skin tone whose five siblings differ.
    pub count: usize,
    /// The share that is right, 0 to 1.
    pub accuracy: f64,
}

/// All figures of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Pictures among which the true one is searched.
    pub gallery: usize,
    /// The scores.
    pub groups: Vec<Group>,
    /// Where the data holds combinations out.
    pub composition: Option<Composition>,
    /// Kinds of things that a judge knows, if one looked.
    pub kinds: Option<usize>,
    /// How often a judge recognised what it knows, by language.
    pub recognised: Vec<Group>,
}

impl Report {
    /// Adds what a judge says of the drawings of things that it knows, other than those that were held out.
    pub fn judged(&mut self, dataset: &Dataset, trials: &[Trial], seen: &[Seen], judge: &Judge) {
        self.kinds = Some(judge.signs().len());
        self.recognised.clear();
        for language in Language::ALL {
            let spoken = trials.iter().zip(seen).filter(|(trial, _)| trial.language == language && !trial.held_out);
            let rank = |(trial, seen): (&Trial, &Seen)| {
                let kind = judge.kind_of(&dataset.items[trial.item])?;
                Some(seen.rank(&[kind]))
            };
            let ranks: Vec<usize> = spoken.filter_map(rank).collect();
            let group = |score| Group { held_out: false, language, stratum: Some(Stratum::Base), score };
            self.recognised.extend(Score::of(&ranks).map(group));
        }
    }
}

/// Measures pictures drawn for trials, in their order; trials without a picture do not count.
pub fn score(dataset: &Dataset, trials: &[Trial], drawn: &[Picture]) -> Report {
    let gallery: Vec<Features> = dataset.items.iter().map(|item| Features::of(&item.picture)).collect();
    let drawn: Vec<Drawn<'_>> = trials
        .iter()
        .zip(drawn)
        .map(|(trial, picture)| {
            let features = Features::of(picture);
            Drawn { trial, rank: rank(&features, &gallery, trial.item), features }
        })
        .collect();
    let mut groups = Vec::new();
    for held_out in [false, true] {
        for language in Language::ALL {
            for stratum in [None, Some(Stratum::Base), Some(Stratum::Combination)] {
                let of = |d: &&Drawn<'_>| {
                    let fits = stratum.is_none_or(|s| s == Stratum::of(&dataset.items[d.trial.item]));
                    fits && d.trial.held_out == held_out && d.trial.language == language
                };
                let ranks: Vec<usize> = drawn.iter().filter(of).map(|d| d.rank).collect();
                groups.extend(Score::of(&ranks).map(|score| Group { held_out, language, stratum, score }));
            }
        }
    }
    // A stratum that is all of its group says nothing more.
    let whole: Vec<Group> = groups.iter().filter(|g| g.stratum.is_none()).cloned().collect();
    let repeats = |g: &Group| {
        whole.iter().any(|w| (w.held_out, w.language, w.score.count) == (g.held_out, g.language, g.score.count))
    };
    groups.retain(|g| g.stratum.is_none() || !repeats(g));
    let composition = composition(dataset, &gallery, &drawn);
    Report { gallery: gallery.len(), groups, composition, kinds: None, recognised: Vec::new() }
}

struct Drawn<'a> {
    trial: &'a Trial,
    features: Features,
    rank: usize,
}

fn composition(dataset: &Dataset, gallery: &[Features], drawn: &[Drawn<'_>]) -> Option<Composition> {
    let items = &dataset.items;
    let held_out: Vec<&Drawn<'_>> = drawn.iter().filter(|d| d.trial.held_out).collect();
    let nearest_trained = |of: &Features| {
        let trained = items.iter().zip(gallery).filter(|(item, _)| !item.held_out);
        trained.map(|(_, other)| of.distance(other)).fold(f64::INFINITY, f64::min)
    };
    let truth = |d: &Drawn<'_>| &gallery[d.trial.item];
    let mut truths: Vec<usize> = held_out.iter().map(|d| d.trial.item).collect();
    truths.sort_unstable();
    truths.dedup();

    let mut copies = Vec::new();
    let mut apart = Vec::new();
    for &item in &truths {
        let siblings = siblings(items, item);
        let ranks: Vec<usize> = siblings.iter().map(|&s| rank(&gallery[s], gallery, item)).collect();
        copies.extend(Score::of(&ranks));
        apart.extend(mean(siblings.iter().map(|&s| gallery[s].distance(&gallery[item]))));
    }
    let sibling_copy = mean(copies.iter().map(|s| s.top1)).zip(mean(copies.iter().map(|s| s.top5)));
    let tone = |language| {
        let of = held_out.iter().filter(|d| d.trial.language == language);
        let right: Vec<bool> = of.filter_map(|d| is_tone_right(items, gallery, d)).collect();
        let accuracy = mean(right.iter().map(|&r| f64::from(u8::from(r))))?;
        Some(Tones { language, count: right.len(), accuracy })
    };
    Some(Composition {
        sibling_copy: sibling_copy.map(|(top1, top5)| Score { count: copies.len(), top1, top5 }),
        tone: Language::ALL.into_iter().filter_map(tone).collect(),
        to_truth: mean(held_out.iter().map(|d| d.features.distance(truth(d))))?,
        to_trained: mean(held_out.iter().map(|d| nearest_trained(&d.features)))?,
        truth_to_trained: mean(truths.iter().map(|&i| nearest_trained(&gallery[i])))?,
        truth_to_siblings: mean(apart.into_iter()).unwrap_or(0.0),
    })
}

/// The trained items that differ from this one in their skin tones only.
fn siblings(items: &[Item], item: usize) -> Vec<usize> {
    let Some(of) = &items[item].emoji else { return Vec::new() };
    let sibling = |other: &Item| {
        let emoji = other.emoji.as_ref().filter(|emoji| emoji.base == of.base && emoji.tones.len() == of.tones.len());
        !other.held_out && emoji.is_some_and(|emoji| emoji.tones != of.tones)
    };
    (0..items.len()).filter(|&i| sibling(&items[i])).collect()
}

/// Whether the true picture is the nearest of those that differ in their one skin tone only; `None` if
/// there are not five, or two of them are alike.
fn is_tone_right(items: &[Item], gallery: &[Features], drawn: &Drawn<'_>) -> Option<bool> {
    let of = items[drawn.trial.item].emoji.as_ref()?;
    of.tone()?;
    let place = |tone: Tone| {
        items.iter().position(|i| i.emoji.as_ref().is_some_and(|e| e.base == of.base && e.tone() == Some(tone)))
    };
    let places: Vec<usize> = Tone::ALL.into_iter().filter_map(place).collect();
    let alike = |&a: &usize| places.iter().any(|&b| a != b && gallery[a] == gallery[b]);
    if places.len() != Tone::ALL.len() || places.iter().any(alike) {
        return None;
    }
    let distance = |&i: &usize| drawn.features.distance(&gallery[i]);
    let nearest = places.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    Some(*nearest == drawn.trial.item)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// A table for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chance = |k: f64| format!("{:.2}%", 100.0 * k / self.gallery.max(1) as f64);
        writeln!(
            f,
            "{:38}{:>9}{:>9}{:>9}",
            format!("the true one of {} pictures", self.gallery),
            "count",
            "top-1",
            "top-5"
        )?;
        for group in &self.groups {
            let set = if group.held_out { "held-out" } else { "seen" };
            let language = match group.language {
                Language::English => ", English",
                Language::Japanese => ", Japanese",
                Language::Plain => "",
            };
            let name = match group.stratum {
                None => format!("{set}{language}"),
                Some(Stratum::Base) => "  base".to_owned(),
                Some(Stratum::Combination) => "  combinations".to_owned(),
            };
            row(f, &name, &group.score)?;
        }
        if let Some(copy) = self.composition.as_ref().and_then(|c| c.sibling_copy.as_ref()) {
            row(f, "control: a sibling of another tone", copy)?;
        }
        writeln!(f, "{:38}{:>9}{:>9}{:>9}", "chance", "", chance(1.0), chance(5.0))?;
        if let Some(kinds) = self.kinds {
            writeln!(f, "\n{:38}", format!("recognised among {kinds} things"))?;
        }
        for Group { language, score, .. } in &self.recognised {
            let language = if *language == Language::Japanese { "Japanese" } else { "English" };
            row(f, &format!("seen, {language}"), score)?;
        }
        let Some(c) = &self.composition else { return Ok(()) };
        writeln!(f, "\nheld-out combinations")?;
        for tones in &c.tone {
            let language = if tones.language == Language::Japanese { "Japanese" } else { "English" };
            writeln!(
                f,
                "  skin tone right, {language:18}{:>11}{:>9}  (chance 20.0%)",
                tones.count,
                percent(tones.accuracy)
            )?;
        }
        for (name, distance) in [
            ("drawn to the true picture", c.to_truth),
            ("drawn to the nearest trained picture", c.to_trained),
            ("true to the nearest trained picture", c.truth_to_trained),
            ("true to its siblings of another tone", c.truth_to_siblings),
        ] {
            writeln!(f, "  distance, {name:37}{distance:>8.2}")?;
        }
        Ok(())
    }
}

/// A line of a table of scores.
pub(super) fn row(f: &mut fmt::Formatter<'_>, name: &str, s: &Score) -> fmt::Result {
    writeln!(f, "{name:38}{:>9}{:>9}{:>9}", s.count, percent(s.top1), percent(s.top5))
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}
