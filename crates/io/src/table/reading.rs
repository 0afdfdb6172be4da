use std::path::Path;

use yuragi_graph::{Alone, Collective};

use super::dialect::is_whole;
use super::{Table, Values, csv, idx, npy, npz};
use crate::read::{self, ReadError};

/// Names that a message lists.
const LISTED: usize = 12;

/// How a table's file is to be read where it does not say so itself, and which columns of it.
///
/// ```
/// use yuragi_io::table::Reading;
/// # let path = std::env::temp_dir().join("yuragi-reading-example.csv");
/// std::fs::write(&path, "id;x;y\n7;0,5;1,5\n9;2,5;3,5\n").unwrap();
/// let reading = Reading { skip: vec!["id".into()], ..Reading::default() };
/// let opened = reading.open(&path)?;
/// assert_eq!(opened.table.names(), ["x", "y"]);
/// assert_eq!(opened.table.to_f64(), [0.5, 1.5, 2.5, 3.5]);
/// assert!(opened.notes[0].contains("decimal comma"));
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), yuragi_io::ReadError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whether the first row of a text names the columns; if nothing is said, what the rows suggest.
    pub header: Option<bool>,
    /// What parts the columns of a text, one ASCII character; the blank stands for any run of blanks and tabs. If nothing
    /// is said, the comma, semicolon, tab, bar or blank that gives the most numbers.
    pub delimiter: Option<char>,
    /// The decimal point of a text, `.` or `,`; if nothing is said, a comma where the numbers show it.
    pub decimal: Option<char>,
    /// The columns to take, in this order: names, places from 1, ranges `2-5` of either, several parted by commas; none
    /// for all.
    pub columns: Vec<String>,
    /// Columns to leave out, said in the same way.
    pub skip: Vec<String>,
}

/// A table, and what was taken for granted in reading it.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The table.
    pub table: Table,
    /// What the reader should know: rows taken for names, columns left out.
    pub notes: Vec<String>,
}

impl Opened {
    /// The first `rows` rows, but at least one and at most all, without the columns that have no number there.
    ///
    /// # Errors
    /// No column has a number in them, in words.
    pub fn first(&self, rows: usize) -> Result<Opened, String> {
        let mut notes = self.notes.clone();
        Ok(Opened { table: filled(self.table.first(rows), &mut notes)?, notes })
    }
}

impl Reading {
    /// Reads an IDX, `.npy`, `.npz` or text file, packed by gzip or not. `FILE.npz:NAME` is one array of an archive.
    ///
    /// In a text an empty cell, `NA`, `nan` and their kin are missing numbers, `true` and `false` are 1 and 0, lines that
    /// begin with `#` are comments. A first column without a name beside others that have one labels the rows and is left
    /// out, as is a column without any number.
    ///
    /// # Errors
    /// [`ReadError::Read`] or [`ReadError::Format`], which says where.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Opened, ReadError> {
        self.open_on(path, &Alone)
    }

    /// [`open`](Self::open) by these ranks: each reads its share of the file, and has the others' from them.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), on any rank, or a rank that is gone.
    pub fn open_on(&self, path: impl AsRef<Path>, ranks: &dyn Collective) -> Result<Opened, ReadError> {
        let path = path.as_ref();
        let (bytes, array) = read::bytes(path, ranks)?;
        self.read(bytes, array.as_deref()).map_err(|reason| ReadError::Format { path: path.to_owned(), reason })
    }

    fn read(&self, bytes: Vec<u8>, array: Option<&str>) -> Result<Opened, String> {
        let mut notes = Vec::new();
        let table = match *bytes.as_slice() {
            [] => return Err("it is empty".to_owned()),
            _ if bytes.starts_with(npz::MAGIC) => {
                let npy::Array { shape, values } = npz::Archive::open(&bytes)?.only(array)?;
                self.placed(super::table(&shape, values)?, &mut notes)?
            }
            _ if array.is_some() => return Err("only an .npz file has arrays of names".to_owned()),
            [0, 0, ..] => self.placed(idx::read(&bytes)?, &mut notes)?,
            _ if bytes.starts_with(npy::MAGIC) => self.placed(npy::read(&bytes)?, &mut notes)?,
            _ => {
                const KNOWN: &str = "it must be an IDX, .npy, .npz or CSV file";
                if let Some(kind) = read::foreign(&bytes) {
                    return Err(format!("it is {kind}; {KNOWN}"));
                }
                let text = read::text(bytes).map_err(|reason| format!("{reason}; {KNOWN}"))?;
                self.read_text(&text, &mut notes)?
            }
        };
        let table = filled(table, &mut notes)?;
        if let Some(note) = counting(&table) {
            notes.push(note);
        }
        Ok(Opened { table, notes })
    }

    /// Reads a text.
    pub(crate) fn read_text(&self, text: &str, notes: &mut Vec<String>) -> Result<Table, String> {
        csv::read(text, self, notes)
    }

    /// The columns of a table whose file has no names.
    fn placed(&self, table: Table, notes: &mut Vec<String>) -> Result<Table, String> {
        if self.header.is_some() || self.delimiter.is_some() || self.decimal.is_some() {
            return Err("a header, a delimiter and a decimal point can only be said of text".to_owned());
        }
        if self.columns.is_empty() && self.skip.is_empty() {
            return Ok(table);
        }
        let kept = select(&[], table.columns(), false, self, notes)?;
        table.with_columns(&kept).ok_or_else(|| "no column is left".to_owned())
    }
}

/// The places of the columns to take.
pub(super) fn select(
    names: &[String],
    count: usize,
    labels: bool,
    reading: &Reading,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, String> {
    let skipped = resolve(names, count, &reading.skip)?;
    let mut kept = resolve(names, count, &reading.columns)?;
    if reading.columns.is_empty() {
        kept = (0..count).collect();
        if labels && !skipped.contains(&0) {
            kept.remove(0);
            notes.push("left out column 1, which labels the rows; `--columns` takes it".to_owned());
        }
    }
    kept.retain(|place| !skipped.contains(place));
    if kept.is_empty() { Err("no column is left".to_owned()) } else { Ok(kept) }
}

/// The places of columns that are asked for by name, place or range.
fn resolve(names: &[String], count: usize, asked: &[String]) -> Result<Vec<usize>, String> {
    let mut places = Vec::new();
    for text in asked {
        // A name may hold a comma.
        if let Some(found) = one(names, count, text) {
            places.extend(found);
            continue;
        }
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            // A name may hold the hyphen of a range.
            let mut ends = word.match_indices('-').map(|(at, _)| (&word[..at], &word[at + 1..]));
            let found = one(names, count, word).or_else(|| {
                ends.find_map(|(a, b)| {
                    let (a, b) = (one(names, count, a)?[0], one(names, count, b)?[0]);
                    (a <= b).then(|| (a..=b).collect())
                })
            });
            places.extend(found.ok_or_else(|| unknown(names, count, word))?);
        }
    }
    Ok(places)
}

/// The columns of a name, or the one at a place counted from 1 where names are not numbers themselves.
fn one(names: &[String], count: usize, word: &str) -> Option<Vec<usize>> {
    let word = word.trim();
    let named: Vec<usize> = (0..names.len()).filter(|&place| !word.is_empty() && names[place] == word).collect();
    if !named.is_empty() {
        return Some(named);
    }
    let counted = !names.iter().any(|name| is_whole(name));
    let place = word.parse::<usize>().ok().filter(|place| counted && (1..=count).contains(place));
    place.map(|place| vec![place - 1])
}

fn unknown(names: &[String], count: usize, word: &str) -> String {
    let word = read::shown(word);
    if names.iter().all(String::is_empty) {
        return format!("there is no column {word}; they are counted from 1 to {count}");
    }
    let listed: Vec<String> = names.iter().take(LISTED).map(|name| read::shown(name)).collect();
    let more = if names.len() > LISTED { ", …" } else { "" };
    format!("there is no column {word}; they are named {}{more}", listed.join(", "))
}

/// The table without columns that have no number at all.
fn filled(table: Table, notes: &mut Vec<String>) -> Result<Table, String> {
    let Values::Reals(values) = table.values() else { return Ok(table) };
    let columns = table.columns();
    if let Some(at) = values.iter().position(|value| value.is_infinite()) {
        return Err(format!(
            "row {}, column {} is {}; it must be finite",
            1 + at / columns,
            1 + at % columns,
            values[at]
        ));
    }
    let mut filled = vec![false; columns];
    for row in values.chunks(columns) {
        filled.iter_mut().zip(row).for_each(|(filled, value)| *filled |= !value.is_nan());
    }
    let (kept, left): (Vec<usize>, Vec<usize>) = (0..columns).partition(|&column| filled[column]);
    if kept.is_empty() {
        return Err("no column has a number".to_owned());
    }
    if left.is_empty() || table.shape().len() > 1 {
        return Ok(table);
    }
    let name = |&column: &usize| match table.names().get(column) {
        Some(name) if !name.starts_with("column ") => format!("column {} ({})", column + 1, read::shown(name)),
        Some(name) => name.clone(),
        None => format!("column {}", column + 1),
    };
    let mut listed: Vec<String> = left.iter().take(LISTED).map(name).collect();
    if left.len() > LISTED {
        listed.push(format!("{} more", left.len() - LISTED));
    }
    notes.push(format!("left out {}: no row has a number there", listed.join(", ")));
    table.with_columns(&kept).ok_or_else(|| "no column has a number".to_owned())
}

/// A remark on a first column that only counts the rows.
fn counting(table: &Table) -> Option<String> {
    const FEW: usize = 5;
    let (columns, rows) = (table.columns(), table.rows());
    let Values::Reals(values) = table.values() else { return None };
    let counts =
        |start: f64| values.iter().step_by(columns).enumerate().all(|(row, &value)| value == start + row as f64);
    if columns < 2 || rows < FEW || table.shape().len() > 1 || !(counts(0.0) || counts(1.0)) {
        return None;
    }
    let name = table.names().first().map_or("1".to_owned(), |name| read::shown(name));
    Some(format!("the first column only counts the rows; `--skip-columns {name}` leaves it out"))
}
