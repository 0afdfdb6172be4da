//! Prompts of any words, with what a drawing of each must be recognised as.

use std::{fmt, path::Path};

use serde::Serialize;

use super::{
    report::{Score, row},
    trials::Language,
};
use crate::{
    Failure,
    judge::{Judge, Seen},
    train::wording,
};

/// A prompt, and what must be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The prompt.
    pub text: String,
    /// Its language.
    pub language: Language,
    /// What kind of prompt it is, such as `noun`; may be empty.
    pub kind: String,
    /// Each thing that must be there, by any of its kinds.
    pub things: Vec<Vec<usize>>,
}

impl Prompt {
    /// How far a picture is from showing them, as [`Seen::behind`] counts.
    pub fn rank(&self, seen: &Seen) -> usize {
        seen.behind(&self.things)
    }
}

/// Prompts of a file: on each line a prompt, its things and, if given, its kind, with tabs between. Things are emoji or their
/// English names, joined by ` + `; any of several names that stand between `|` will do. Lines that are empty or begin with
/// `#` count for nothing.
///
/// # Errors
/// A file that cannot be read, or a line that is not understood, or names a thing that the judge does not know.
pub fn read(path: &Path, judge: &Judge) -> Result<Vec<Prompt>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    parse(&text, judge).map_err(|(line, reason)| Failure::new(format!("{}:{line}: {reason}", path.display())))
}

/// The prompts of a text, or the number of a line and what is wrong with it.
fn parse(text: &str, judge: &Judge) -> Result<Vec<Prompt>, (usize, String)> {
    let mut prompts = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut columns = line.split('\t').map(str::trim);
        let (text, things, kind) = (columns.next(), columns.next(), columns.next());
        let (Some(text), Some(things)) = (text.filter(|text| !text.is_empty()), things) else {
            return Err((number, "a prompt, a tab and what it must be recognised as are expected".into()));
        };
        let mut wanted = Vec::new();
        for names in things.split('+') {
            let mut kinds = Vec::new();
            for name in names.split('|').map(str::trim) {
                let kind = judge.kind(name);
                kinds.push(kind.ok_or_else(|| (number, format!("`{name}` is no thing that the judge knows")))?);
            }
            wanted.push(kinds);
        }
        let language = if wording::is_japanese(text) { Language::Japanese } else { Language::English };
        let (text, kind) = (text.to_owned(), kind.unwrap_or_default().to_owned());
        prompts.push(Prompt { text, language, kind, things: wanted });
    }
    if prompts.is_empty() { Err((1, "it holds no prompt".into())) } else { Ok(prompts) }
}

/// How often prompts of one kind are recognised.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromptGroup {
    /// Their language.
    pub language: Language,
    /// Their kind; `None` for all.
    pub kind: Option<String>,
    /// The score.
    #[serde(flatten)]
    pub score: Score,
}

/// A prompt whose drawing was not recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// The prompt.
    pub prompt: String,
    /// The names of what was seen instead, the most probable first.
    pub seen: Vec<String>,
    /// How many things were seen.
    pub count: usize,
}

/// What the judge says of prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromptReport {
    /// Kinds of things that it knows.
    pub kinds: usize,
    /// The scores.
    pub groups: Vec<PromptGroup>,
    /// What was not recognised.
    pub missed: Vec<Missed>,
}

/// Compares what was seen in the drawings of prompts, in their order.
pub fn recognised(prompts: &[Prompt], seen: &[Seen], judge: &Judge) -> PromptReport {
    let ranks: Vec<(&Prompt, usize)> = prompts.iter().zip(seen).map(|(p, seen)| (p, p.rank(seen))).collect();
    let mut groups = Vec::new();
    for language in Language::ALL {
        let spoken: Vec<&(&Prompt, usize)> = ranks.iter().filter(|(p, _)| p.language == language).collect();
        let all: Vec<usize> = spoken.iter().map(|(_, rank)| *rank).collect();
        groups.extend(Score::of(&all).map(|score| PromptGroup { language, kind: None, score }));
        let mut kinds: Vec<&str> = Vec::new();
        for (prompt, _) in &spoken {
            if !prompt.kind.is_empty() && !kinds.contains(&prompt.kind.as_str()) {
                kinds.push(&prompt.kind);
            }
        }
        for kind in kinds {
            let ranks: Vec<usize> = spoken.iter().filter(|(p, _)| p.kind == kind).map(|(_, rank)| *rank).collect();
            let group = |score| PromptGroup { language, kind: Some(kind.to_owned()), score };
            groups.extend(Score::of(&ranks).map(group));
        }
    }
    let missed = ranks.iter().zip(seen).filter(|((_, rank), _)| *rank > 0).map(|((prompt, _), seen)| Missed {
        prompt: prompt.text.clone(),
        seen: seen.best(2).into_iter().map(|kind| judge.signs()[kind].clone()).collect(),
        count: seen.count,
    });
    PromptReport { kinds: judge.signs().len(), groups, missed: missed.collect() }
}

/// A table for people.
impl fmt::Display for PromptReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = format!("recognised among {} things", self.kinds);
        writeln!(f, "{what:38}{:>9}{:>9}{:>9}", "count", "top-1", "top-5")?;
        for PromptGroup { language, kind, score } in &self.groups {
            let language = if *language == Language::Japanese { "Japanese" } else { "English" };
            row(f, &kind.as_ref().map_or(language.to_owned(), |kind| format!("  {kind}")), score)?;
        }
        if !self.missed.is_empty() {
            writeln!(f, "\nnot recognised, and what the judge saw")?;
        }
        for Missed { prompt, seen, count } in &self.missed {
            writeln!(f, "  {prompt}: {}, {count} thing{}", seen.join(" "), if *count == 1 { "" } else { "s" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_prompts_are_understood_and_ranked() {
        let judge = crate::builtin_judge().unwrap();
        let prompts = parse(include_str!("../../assets/prompts.tsv"), &judge).unwrap();
        let spoken = |language| prompts.iter().filter(|prompt| prompt.language == language).count();
        assert_eq!((spoken(Language::English), spoken(Language::Japanese)), (60, 40));
        assert_eq!(parse(include_str!("../../assets/prompts-blind.tsv"), &judge).unwrap().len(), 55);

        let seen = |kinds: &[usize], count| {
            let mut things: Vec<f32> = (0..judge.signs().len()).map(|kind| -9.0 - kind as f32).collect();
            (0u8..).zip(kinds).for_each(|(place, &kind)| things[kind] = -f32::from(place));
            Seen { things, count }
        };
        let [cat, dog, key] = ["cat face", "🐕", "key"].map(|name| judge.kind(name).unwrap());
        let of = |text: &str| parse(text, &judge).unwrap().remove(0);
        let both = of("cat and dog\t🐱|🐈 + dog");
        assert_eq!((both.rank(&seen(&[dog, cat], 2)), both.rank(&seen(&[dog, key, cat], 2))), (0, 1));
        let two = of("two cats\t🐱 + 🐱\tcount");
        assert_eq!(
            (two.rank(&seen(&[cat], 2)), two.rank(&seen(&[cat], 1)), two.rank(&seen(&[dog, key, cat], 2))),
            (0, 1, 2)
        );
        let report = recognised(&[both, two], &[seen(&[key], 1), seen(&[cat, dog], 2)], &judge);
        assert_eq!((report.groups.len(), report.missed.len(), report.missed[0].seen[0].as_str()), (2, 1, "🔑"));
        for (text, line, wrong) in
            [("cat", 1, "a tab"), ("\n# \ncat\trokcet", 3, "`rokcet` is no thing"), ("#", 1, "no prompt")]
        {
            let (at, reason) = parse(text, &judge).unwrap_err();
            assert!(at == line && reason.contains(wrong), "{text:?}: {at} {reason}");
        }
    }
}
