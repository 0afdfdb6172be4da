//! Whether the first row of a text names the columns, and whether the first column labels the rows.

use super::Reading;
use super::dialect::{Dialect, is_whole, number};
use crate::read::shown;

/// What the first rows of a text tell.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The cells of a row.
    pub width: usize,
    /// The names of the columns, empty without a header.
    pub names: Vec<String>,
    /// Every row ends with a separator that the header does not have.
    pub trailing: bool,
    /// The first column labels the rows.
    pub labels: bool,
}

/// Rows that make an unlikely thing certain enough.
const MANY: usize = 5;

/// `commented` if a comment before the first row may name the columns, too.
pub(super) fn head(dialect: &Dialect, reading: &Reading, commented: bool, notes: &mut Vec<String>) -> Head {
    let Some((first, rest)) = dialect.sample.split_first() else { return Head::default() };
    let mut first = first.clone();
    let (mut width, mut trailing, mut ragged) = (first.len(), false, false);
    if let Some(row) = rest.first() {
        let ends_empty = rest.iter().all(|row| row.last().is_some_and(|cell| cell.is_empty()));
        if first.len() + 1 == row.len() {
            trailing = ends_empty;
            let words = first.iter().all(|cell| number(cell, dialect.decimal).is_none());
            ragged = !ends_empty && reading.header.unwrap_or(words);
            width = if ragged { row.len() } else { first.len() };
        } else if first.len() == row.len() + 1 && first.last().is_some_and(|cell| cell.is_empty()) {
            first.pop();
            width = first.len();
        }
    }
    if ragged {
        // R writes the labels of rows without a name above them.
        first.insert(0, String::new());
    }
    let named = reading.header.unwrap_or_else(|| ragged || is_header(&first, rest, dialect.decimal, commented, notes));
    let mut head = Head { width, trailing, ..Head::default() };
    if named {
        head.labels = labels_rows(&first, rest, dialect.decimal);
        head.names = first;
    }
    head
}

/// What a column has below the first row.
#[derive(Default)]
struct Below {
    numbers: usize,
    words: usize,
    /// A number is written as digits alone.
    whole: bool,
    /// A number is written with zeros behind the point, or with an exponent: wholes would not be digits alone.
    fixed: bool,
}

impl Below {
    fn of(rest: &[Vec<String>], column: usize, decimal: char) -> Self {
        let mut below = Self::default();
        for cell in rest.iter().filter_map(|row| row.get(column)) {
            match number(cell, decimal) {
                Some(value) if value.is_nan() => {}
                Some(_) => {
                    below.numbers += 1;
                    below.whole |= is_whole(cell.trim_start_matches(['+', '-']));
                    let exponent = cell.contains(['e', 'E']) && cell.starts_with(|c: char| !c.is_alphabetic());
                    below.fixed |= exponent || (cell.contains(decimal) && cell.ends_with('0'));
                }
                None => below.words += 1,
            }
        }
        below
    }

    fn is_numeric(&self) -> bool {
        self.numbers > self.words
    }
}

fn is_header(first: &[String], rest: &[Vec<String>], decimal: char, commented: bool, notes: &mut Vec<String>) -> bool {
    let below: Vec<Below> = (0..first.len()).map(|column| Below::of(rest, column, decimal)).collect();
    let (mut numbers, mut words, mut strange, mut missing) = (Vec::new(), 0, 0, 0);
    for (column, cell) in first.iter().enumerate() {
        match number(cell, decimal) {
            Some(value) if value.is_nan() => missing += usize::from(below[column].is_numeric() && column > 0),
            Some(_) => numbers.push(column),
            None => {
                words += 1;
                // A word where the other rows have numbers.
                strange += usize::from(below[column].is_numeric());
            }
        }
    }
    if numbers.is_empty() {
        return strange > 0 || (words > 0 && missing == 0);
    }
    if words == 0 && commented {
        return false;
    }
    let corner = numbers.len() + 1 == first.len() && is_corner(&first[0]);
    let cells: Vec<&str> = numbers.iter().map(|&column| first[column].as_str()).collect();
    let columns: Vec<&Below> = numbers.iter().map(|&column| &below[column]).collect();
    let named = missing == 0 && count(&cells, &columns, rest, &numbers, corner || strange > 0);
    let named = named || strange > numbers.len();
    if named {
        let (from, to) = (shown(cells[0]), shown(cells[cells.len() - 1]));
        let span = if cells.len() > 1 { format!("with {from} to {to}") } else { format!("with {from}") };
        notes.push(format!("the first row, {span}, names the columns; `--header no` makes it data"));
    } else if words == 0 && missing == 0 && counts(&cells) && (cells.len() > 1 || !columns[0].whole) && !rest.is_empty()
    {
        notes.push("the first row is data, though it counts as names may; `--header yes` makes it names".to_owned());
    }
    named
}

/// The cells are 0, 1, 2, … or 1, 2, 3, …
fn counts(cells: &[&str]) -> bool {
    [0, 1].into_iter().any(|start| cells.iter().enumerate().all(|(i, cell)| **cell == (i + start).to_string()))
}

/// True if whole numbers in the first row are names: they count, or differ in kind from all that stands below.
fn count(cells: &[&str], columns: &[&Below], rest: &[Vec<String>], numbers: &[usize], corner: bool) -> bool {
    let ascend = cells.windows(2).all(|pair| pair[0].parse::<u64>().ok() < pair[1].parse::<u64>().ok());
    if rest.is_empty() || !cells.iter().all(|cell| is_whole(cell)) || !ascend {
        return false;
    }
    let pointed = columns.iter().all(|below| below.numbers > 0 && !below.whole);
    let certain = pointed && (rest.len() >= MANY || columns.iter().any(|below| below.fixed));
    if !counts(cells) {
        return certain && cells.len() > 1;
    }
    // Data that count, too: the same numbers in another order, or the next ones.
    let like = |row: &Vec<String>| {
        let row: Vec<&str> = numbers.iter().filter_map(|&column| row.get(column)).map(String::as_str).collect();
        let (mut sorted, mut names) = (row.clone(), cells.to_vec());
        sorted.sort_unstable();
        names.sort_unstable();
        let number = |cell: Option<&&str>| cell.and_then(|cell| cell.parse::<u64>().ok());
        let next = number(cells.last()).is_some_and(|last| number(row.first()) == Some(last + 1));
        sorted == names || (next && row.windows(2).all(|pair| number(pair.first()) < number(pair.last())))
    };
    let from_zero = cells.len() > 2 && cells[0] == "0";
    certain || corner || (from_zero && !rest.iter().any(like))
}

/// No name, or what pandas makes of none.
fn is_corner(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed: ")
}

/// True if the first column has no name beside others that have one: labels, as pandas and R write them.
fn labels_rows(names: &[String], rest: &[Vec<String>], decimal: char) -> bool {
    let others = names.iter().skip(1).any(|name| !name.is_empty());
    let Some(corner) = names.first().filter(|name| others && is_corner(name)) else { return false };
    let cells: Vec<&String> = rest.iter().filter_map(|row| row.first()).collect();
    if cells.iter().all(|cell| cell.is_empty()) {
        return false;
    }
    let mut sorted = cells.clone();
    sorted.sort();
    let distinct = sorted.windows(2).all(|pair| pair[0] != pair[1]);
    let words = cells.iter().any(|cell| number(cell, decimal).is_none());
    corner.is_empty() || words || (distinct && cells.iter().all(|cell| is_whole(cell)))
}
