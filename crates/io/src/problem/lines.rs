use std::collections::HashMap;

use crate::read::shown;

/// The lines of a text that say something, each with its number: no blank ones, no comments by `#`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> + Clone {
    let numbered = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// A line of two indices and a number, or of two indices alone if `default` is what they then mean.
pub(super) fn entry(number: usize, line: &str, default: Option<f64>) -> Result<(usize, usize, f64), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (k, l, value) = match (words.as_slice(), default) {
        (&[k, l, value], _) => (k, l, Some(value)),
        (&[k, l], Some(_)) => (k, l, None),
        _ => return Err(format!("line {number}: must hold two indices and a number; it holds `{}`", shown(line))),
    };
    let index = |word: &str| {
        word.parse::<usize>().map_err(|_| format!("line {number}: `{}` is no index, a whole number", shown(word)))
    };
    let value = value.map_or(Ok(default.unwrap_or_default()), |word| {
        let value = word.parse().ok().filter(|value: &f64| value.is_finite());
        value.ok_or_else(|| format!("line {number}: `{}` is no finite number", shown(word)))
    })?;
    Ok((index(k)?, index(l)?, value))
}

/// Pairs that were given, with their lines.
#[derive(Default)]
pub(super) struct Pairs(HashMap<(usize, usize), usize>);

impl Pairs {
    /// `Ok` for a pair that is new, whichever of the two comes first.
    pub fn add(&mut self, k: usize, l: usize, line: usize) -> Result<(), String> {
        match self.0.insert((k.min(l), k.max(l)), line) {
            Some(before) => Err(format!("line {line}: the pair {k} {l} stands in line {before} already")),
            None => Ok(()),
        }
    }
}
