//! Lists of edges from 1 below a line `n m`: rudy's graphs for max-cut (the Gset, Biq Mac's `.mc`), Biq Mac's quadratic
//! problems (`.bq`, `.sparse`), and OR-Library's, whose files begin with a count of problems.

use yuragi_energy::Vartype;

use super::Sense;
use super::lines::{Pairs, entry, lines};
use super::terms::{Terms, counted};
use crate::read::shown;

/// Lines with their numbers.
type Lines<'a> = Vec<(usize, &'a str)>;

/// `n m`, and the lines below.
fn list(text: &str) -> Result<(usize, Lines<'_>), String> {
    let mut rows = lines(text);
    let (number, first) = rows.next().ok_or("it is empty")?;
    let words: Vec<&str> = first.split_whitespace().collect();
    let sizes = match words.as_slice() {
        [n, m] => n.parse::<usize>().ok().zip(m.parse::<usize>().ok()),
        _ => None,
    };
    let (n, m) = sizes.ok_or_else(|| format!("line {number}: must hold two counts; it holds `{}`", shown(first)))?;
    let rows: Lines<'_> = rows.collect();
    if rows.len() != m {
        return Err(format!("line {number} promises {m} entries; there are {}", rows.len()));
    }
    Ok((counted(n)?, rows))
}

fn index(number: usize, index: usize, count: usize) -> Result<usize, String> {
    let legal = (1..=count).contains(&index);
    if legal { Ok(index - 1) } else { Err(format!("line {number}: {index} is not from 1 to {count}")) }
}

/// The largest cut, Σ w (1 − s_k s_l)/2, of sides that are called 0 and 1 unless spins are asked for.
pub(super) fn max_cut(text: &str, vartype: Option<Vartype>) -> Result<Terms, String> {
    let (n, rows) = list(text)?;
    let mut terms = Terms::new("max-cut of a graph", Vartype::Spin, n);
    let mut seen = Pairs::default();
    for (number, line) in rows {
        let (k, l, weight) = entry(number, line, Some(1.0))?;
        let (k, l) = (index(number, k, n)?, index(number, l, n)?);
        if k == l {
            return Err(format!("line {number}: the edge {line} joins a vertex with itself; `--format bq` reads x'Qx"));
        }
        seen.add(k + 1, l + 1, number)?;
        terms.quadratic.push((k, l, -0.5 * weight));
        terms.offset += 0.5 * weight;
    }
    let shown = vartype.unwrap_or(Vartype::Binary);
    Ok(Terms { shown, objective: "cut", sense: Sense::Maximize, first: 1, ..terms })
}

/// x'Qx with a symmetric Q of which one half is listed.
pub(super) fn quadratic(text: &str) -> Result<Terms, String> {
    let (n, rows) = list(text)?;
    let mut terms = Terms::new("x'Qx of Biq Mac", Vartype::Binary, n);
    let mut seen = Pairs::default();
    for (number, line) in rows {
        let (k, l, value) = entry(number, line, None)?;
        let (k, l) = (index(number, k, n)?, index(number, l, n)?);
        seen.add(k + 1, l + 1, number)?;
        terms.add((k, l, if k == l { value } else { 2.0 * value }));
    }
    terms.notes.push("entries off the diagonal count twice, Q being symmetric; minimised".to_owned());
    Ok(Terms { first: 1, ..terms })
}

/// The same, maximised, below the count of problems in the file.
pub(super) fn or_library(text: &str) -> Result<Terms, String> {
    let mut rows = lines(text);
    let (number, first) = rows.next().ok_or("it is empty")?;
    match first.parse::<usize>() {
        Ok(1) => {}
        Ok(count) => {
            return Err(format!("line {number}: it holds {count} problems; keep one of them, and 1 in that line"));
        }
        Err(_) => return Err(format!("line {number}: must hold the count of problems; it holds `{}`", shown(first))),
    }
    // Left empty, so that lines keep their numbers.
    let rest: String = text
        .lines()
        .enumerate()
        .map(|(i, line)| if i + 1 == number { "\n".into() } else { format!("{line}\n") })
        .collect();
    let mut terms = quadratic(&rest)?;
    terms.notes =
        vec!["entries off the diagonal count twice, Q being symmetric; maximised, as OR-Library says".to_owned()];
    Ok(Terms { format: "x'Qx of OR-Library", sense: Sense::Maximize, ..terms })
}

/// Whether such a list is one of edges or of a matrix with a diagonal; `None` if it is neither.
pub(super) fn has_diagonal(text: &str) -> Option<bool> {
    let (n, rows) = list(text).ok()?;
    let mut diagonal = false;
    for (number, line) in rows {
        let (k, l, _) = entry(number, line, Some(1.0)).ok()?;
        let legal = 1..=n;
        if !legal.contains(&k) || !legal.contains(&l) {
            return None;
        }
        diagonal |= k == l;
    }
    Some(diagonal)
}
