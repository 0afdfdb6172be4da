//! Comma-separated values (RFC 4180), and their kin with other separators.

use std::io::{self, Write};

use csv::{ReaderBuilder, StringRecord, Trim, WriterBuilder};

use super::{Table, Values};

/// Words for a number that is missing.
const MISSING: [&str; 5] = ["", "na", "nan", "null", "?"];

pub(super) fn read(bytes: &[u8]) -> Result<Table, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        format!("line {line} is no text; it must be an IDX, .npy or CSV file")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().find(|line| !line.trim().is_empty()).ok_or("it is empty")?;
    let blanks;
    let (text, separator) = match [',', ';', '\t'].into_iter().find(|&separator| first.contains(separator)) {
        Some(separator) => (text, separator),
        None => {
            let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            blanks = lines.collect::<Vec<_>>().join("\n");
            (blanks.as_str(), ' ')
        }
    };
    let mut reader =
        ReaderBuilder::new().has_headers(false).delimiter(separator as u8).trim(Trim::All).from_reader(text.as_bytes());
    let (mut names, mut values, mut columns) = (Vec::new(), Vec::new(), 0);
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(|error| told(&error))?;
        columns = record.len();
        if row == 0 && record.iter().any(|cell| number(cell).is_none()) {
            names = record.iter().map(str::to_owned).collect();
            continue;
        }
        push(&record, &mut values)?;
    }
    let table = Table::new(vec![columns], Values::Reals(values)).ok_or("it has no rows of numbers")?;
    Ok(Table { names, ..table })
}

fn push(record: &StringRecord, values: &mut Vec<f64>) -> Result<(), String> {
    for (column, cell) in record.iter().enumerate() {
        let line = record.position().map_or(0, csv::Position::line);
        let what = || format!("line {line}, column {}: `{}` is no number", column + 1, shown(cell));
        values.push(number(cell).ok_or_else(what)?);
    }
    Ok(())
}

fn number(cell: &str) -> Option<f64> {
    if MISSING.contains(&cell.to_ascii_lowercase().as_str()) { Some(f64::NAN) } else { cell.parse().ok() }
}

/// What a stranger wrote, short and without what a terminal would obey.
fn shown(cell: &str) -> String {
    cell.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn told(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} columns, the lines before {expected_len}")
        }
        _ => error.to_string(),
    }
}

pub(super) fn write(table: &Table, to: &mut impl Write) -> io::Result<()> {
    let mut writer = WriterBuilder::new().from_writer(to);
    if !table.names().is_empty() {
        writer.write_record(table.names())?;
    }
    let columns = table.columns();
    match table.values() {
        Values::Bytes(values) => {
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
