//! Comma-separated values (RFC 4180), and their kin with other separators.

use std::borrow::Cow;
use std::io::{self, Write};

use csv::WriterBuilder;

use super::dialect::{Dialect, clean, number, rows, separated};
use super::header::head;
use super::reading::{Reading, select};
use super::{Table, Values};
use crate::read::shown;

/// Reads the columns that were asked for; what was taken for granted goes to `notes`.
pub(super) fn read(text: &str, reading: &Reading, notes: &mut Vec<String>) -> Result<Table, String> {
    // Excel's own line for the separator.
    let directive = text.lines().next().and_then(|line| line.strip_prefix("sep=")).and_then(|rest| rest.chars().next());
    let directive = directive.filter(char::is_ascii);
    let reading = &Reading { delimiter: reading.delimiter.or(directive), ..reading.clone() };
    // As a comment it is passed over, and lines keep their numbers.
    let text = if directive.is_some() { Cow::Owned(format!("#{text}")) } else { Cow::Borrowed(text) };
    let cleaned = clean(&text);
    let dialect = Dialect::of(&cleaned.text, reading, notes)?;
    let width = dialect.sample.first().map_or(0, Vec::len);
    let comment = cleaned.comment.filter(|_| reading.header.is_none() && directive.is_none());
    let comment = comment.and_then(|(line, text)| Some((line, commented(&text, width)?)));
    let mut head = head(&dialect, reading, comment.is_some(), notes);
    let first = usize::from(!head.names.is_empty());
    if let Some((line, names)) = comment.filter(|(_, names)| first == 0 && names.len() == head.width) {
        notes.push(format!("the comment in line {line} names the columns"));
        head.names = names;
    }
    let kept = select(&head.names, head.width, head.labels, reading, notes)?;

    let text = separated(&cleaned.text, dialect.delimiter);
    let (mut values, mut empty) = (Vec::new(), Vec::new());
    for row in rows(&text, dialect.delimiter).skip(first) {
        let (line, cells) = row?;
        let longer = head.trailing && cells.len() == head.width + 1 && cells.get(head.width) == Some("");
        if cells.len() != head.width && !longer {
            return Err(format!("line {line} has {} columns, the lines before {}", cells.len(), head.width));
        }
        if head.width > 1 && cells.iter().all(str::is_empty) {
            empty.push(line);
            continue;
        }
        for &column in &kept {
            let cell = cells.get(column).unwrap_or_default();
            let value = number(cell, dialect.decimal);
            match value {
                Some(value) if !value.is_infinite() => values.push(value),
                _ => {
                    let (what, place) = (shown(cell), column + 1);
                    let kind = if value.is_some() { "finite number" } else { "number" };
                    let hint = hint(&dialect, cell, column, &head.names, first == 0 && values.len() < kept.len());
                    return Err(format!("line {line}, column {place}: `{what}` is no {kind}{hint}"));
                }
            }
        }
    }
    if let Some(line) = empty.first() {
        let count = empty.len();
        notes.push(format!("left out {count} empty row{}, the first in line {line}", if count > 1 { "s" } else { "" }));
    }
    let table = Table::new(vec![kept.len()], Values::Reals(values)).ok_or("it has no rows of numbers")?;
    let names = kept.iter().filter_map(|&column| {
        let name = head.names.get(column)?;
        Some(if name.is_empty() { format!("column {}", column + 1) } else { name.clone() })
    });
    Ok(Table { names: names.collect(), ..table })
}

/// The names that a comment has for so many columns.
fn commented(text: &str, width: usize) -> Option<Vec<String>> {
    [',', ';', '\t', '|', ' '].into_iter().find_map(|delimiter| {
        let (_, cells) = rows(&separated(text, delimiter), delimiter).next()?.ok()?;
        let words = cells.len() == width && cells.iter().all(|cell| number(cell, '.').is_none());
        words.then(|| cells.iter().map(str::to_owned).collect())
    })
}

/// What to do about a cell that is no number, in a first row or not.
fn hint(dialect: &Dialect, cell: &str, column: usize, names: &[String], first: bool) -> String {
    let mut below = dialect.sample.iter().skip(1).filter_map(|row| row.get(column)).peekable();
    if number(cell, dialect.decimal).is_some() {
        String::new()
    } else if below.peek().is_some() && below.all(|cell| number(cell, dialect.decimal).is_none_or(f64::is_nan)) {
        let name = names.get(column).filter(|name| !name.is_empty()).cloned().unwrap_or((column + 1).to_string());
        format!(", nor is any other there; `--skip-columns {name}` leaves the column out")
    } else if dialect.decimal == '.' && number(cell, ',').is_some() {
        "; `--decimal ,` reads a decimal comma".to_owned()
    } else if first {
        "; `--header yes` takes this row for names".to_owned()
    } else {
        String::new()
    }
}

pub(super) fn write(table: &Table, to: &mut impl Write) -> io::Result<()> {
    let mut writer = WriterBuilder::new().from_writer(to);
    if !table.names().is_empty() {
        writer.write_record(table.names())?;
    }
    let columns = table.columns();
    match table.values() {
        Values::Bits(values) | Values::Bytes(values) => {
            values.chunks(columns).try_for_each(|row| writer.write_record(row.iter().map(u8::to_string)))?;
        }
        Values::Reals(values) => {
            // The shortest text that reads as the same number; nothing for a missing one.
            let cell = |v: &f64| if v.is_nan() { String::new() } else { v.to_string() };
            values.chunks(columns).try_for_each(|row| writer.write_record(row.iter().map(cell)))?;
        }
    }
    writer.flush()
}
