//! Every operation and element type against its derived bound.

use std::{collections::BTreeMap, fmt, str::FromStr};

use yuragi_cuda::Cuda;
use yuragi_tests::suite::Suite;

use crate::gpu::{
    effort::{Effort, cut},
    process::Ended,
    record::{Outcome, Part},
};

/// Every `of`-th case from number `index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first case.
    pub index: usize,
    /// How many slices there are.
    pub of: usize,
}

impl Slice {
    /// All cases.
    pub const ALL: Slice = Slice { index: 0, of: 1 };

    fn halves(self) -> [Slice; 2] {
        [self.index, self.index + self.of].map(|index| Slice { index, of: 2 * self.of })
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Slice {
    type Err = String;

    fn from_str(text: &str) -> Result<Slice, String> {
        let parsed = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let legal = parsed.filter(|&(index, of): &(usize, usize)| index < of);
        legal.map(|(index, of)| Slice { index, of }).ok_or_else(|| "a slice is K/N, K below N".into())
    }
}

const COLUMNS: [&str; 6] = ["operation", "type", "cases", "error/bound", "failed", "the first that failed"];
/// Processes that the cases are parted for.
const SLICES: usize = 8;

/// A slice, in this process.
pub(super) fn alone(Slice { index, of }: Slice) -> Outcome {
    let report = Suite::new().part(index, of).run(&Cuda::new()?);
    let mut rows = Vec::new();
    for ((op, dtype), row) in &report.rows {
        let failures = row.failures.len() + usize::from(row.worst > 1.0);
        let worst = (row.worst > 1.0).then(|| format!("{}: {:.3} of the bound", row.case, row.worst));
        let first = row.failures.first().cloned().or(worst).unwrap_or_default();
        let [cases, failures] = [row.cases, failures].map(|count| count.to_string());
        rows.push(vec![(*op).to_owned(), dtype.to_string(), cases, format!("{:.3}", row.worst), failures, first]);
    }
    Ok(Part::new(report.passed() || rows.is_empty(), String::new(), &COLUMNS, rows))
}

/// All slices, each by `ask` in a process of its own. A slice where several cases failed is asked again in halves: a
/// failed kernel spoils its process.
///
/// # Errors
/// Those of `ask`.
pub fn whole(effort: Effort, mut ask: impl FnMut(Slice) -> Outcome<Result<Part, Ended>>) -> Outcome {
    let cases = Suite::new().cases().len();
    let (slices, of) = if effort.small { (1, 64) } else { (SLICES, SLICES) };
    let mut waiting: Vec<Slice> = (0..slices).map(|index| Slice { index, of }).rev().collect();
    let mut table: BTreeMap<[String; 2], (usize, f64, usize, String)> = BTreeMap::new();
    let mut broken = Vec::new();
    while let Some(slice) = waiting.pop() {
        if effort.is_over() {
            waiting.push(slice);
            break;
        }
        let answer = ask(slice)?;
        let failed = answer.as_ref().map_or(usize::MAX, failures);
        if failed > 1 && slice.index + slice.of < cases && !effort.is_over() {
            waiting.extend(slice.halves().iter().rev());
            continue;
        }
        match answer {
            Ok(part) => part.rows.iter().for_each(|row| add(&mut table, row)),
            Err(ended) => broken.push(vec![
                format!("slice {slice}"),
                String::new(),
                String::new(),
                String::new(),
                "1".into(),
                ended.how(),
            ]),
        }
    }
    let mut rows = broken;
    let (mut run, mut worst) = (0, 0.0_f64);
    for ([op, dtype], (cases, error, failures, first)) in table {
        (run, worst) = (run + cases, worst.max(error));
        rows.push(vec![op, dtype, cases.to_string(), format!("{error:.3}"), failures.to_string(), first]);
    }
    let failed: Vec<_> = rows.iter().filter(|row| row[4] != "0").cloned().collect();
    let left = if effort.small { 0 } else { waiting.iter().map(|slice| cases.div_ceil(slice.of)).sum() };
    let summary = format!(
        "{run} runs in {} rows, {} rows failed, worst error {worst:.3} of its bound{}",
        rows.len(),
        failed.len(),
        cut(left)
    );
    Ok(Part::new(failed.is_empty() && left == 0 && run > 0, summary, &COLUMNS, rows))
}

fn failures(part: &Part) -> usize {
    part.rows.iter().filter_map(|row| row.get(4)?.parse::<usize>().ok()).sum()
}

fn add(table: &mut BTreeMap<[String; 2], (usize, f64, usize, String)>, row: &[String]) {
    let [op, dtype, cases, error, failures, first] = row else { return };
    let own = table.entry([op.clone(), dtype.clone()]).or_default();
    own.0 += cases.parse().unwrap_or(0);
    own.1 = own.1.max(error.parse().unwrap_or(f64::INFINITY));
    own.2 += failures.parse().unwrap_or(1);
    if own.3.is_empty() {
        own.3.clone_from(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answer(failed: usize) -> Part {
        let row = ["add", "f32", "10", "0.5", &failed.to_string(), if failed > 0 { "add f32 [3]" } else { "" }];
        Part::new(failed == 0, String::new(), &COLUMNS, vec![row.map(String::from).into()])
    }

    #[test]
    fn slices_where_much_failed_are_asked_again_in_halves() {
        let mut asked = Vec::new();
        let effort = Effort::new(false, Duration::from_secs(60));
        // Case number 5 ends its process and with it all that follow it there.
        let part = whole(effort, |slice| {
            asked.push(slice.to_string());
            let has = 5 % slice.of == slice.index;
            let alone = 5 + slice.of >= Suite::new().cases().len();
            Ok(Ok(answer(if !has {
                0
            } else if alone {
                1
            } else {
                7
            })))
        })
        .unwrap();
        assert!(asked.starts_with(&["0/8".into(), "1/8".into()]), "{asked:?}");
        assert!(asked.contains(&"5/16".into()) && asked.contains(&"13/16".into()), "{asked:?}");
        assert!(!part.passed);
        assert_eq!(part.rows.len(), 1);
        assert_eq!(part.rows[0][4..], ["1", "add f32 [3]"]);
        assert!(!whole(Effort::new(false, Duration::ZERO), |_| Ok(Ok(answer(0)))).unwrap().passed, "nothing ran");
    }

    #[test]
    fn slices_are_read() {
        assert_eq!("3/8".parse(), Ok(Slice { index: 3, of: 8 }));
        assert!("8/8".parse::<Slice>().is_err() && "x".parse::<Slice>().is_err());
    }
}
