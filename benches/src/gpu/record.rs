//! What a visit to a GPU leaves behind.

use std::{
    error::Error,
    fmt::Write as _,
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

/// A part, or why there is none.
pub type Outcome<T = Part> = Result<T, Box<dyn Error>>;

/// A part of a visit: whether it passed, and a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Whether all that it checks held.
    pub passed: bool,
    /// Seconds that it took.
    pub seconds: f64,
    /// One line that says what was seen.
    pub summary: String,
    /// The columns of its table.
    pub columns: Vec<String>,
    /// The table.
    pub rows: Vec<Vec<String>>,
}

impl Part {
    /// A part with a table; whoever ran it gives it its name and time.
    pub fn new(passed: bool, summary: String, columns: &[&str], rows: Vec<Vec<String>>) -> Part {
        let columns = columns.iter().map(|&column| column.into()).collect();
        Part { name: String::new(), passed, seconds: 0.0, summary, columns, rows }
    }

    /// The part as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name, "passed": self.passed, "seconds": self.seconds, "summary": self.summary,
            "columns": self.columns, "rows": self.rows,
        })
    }

    /// What [`to_json`](Part::to_json) wrote; `None` of anything else.
    pub fn from_json(value: &Value) -> Option<Part> {
        let texts = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|cell| Some(cell.as_str()?.to_owned())).collect()
        };
        Some(Part {
            name: value["name"].as_str()?.to_owned(),
            passed: value["passed"].as_bool()?,
            seconds: value["seconds"].as_f64()?,
            summary: value["summary"].as_str()?.to_owned(),
            columns: texts(&value["columns"])?,
            rows: value["rows"].as_array()?.iter().map(texts).collect::<Option<_>>()?,
        })
    }

    fn to_markdown(&self) -> String {
        let Part { name, passed, seconds, summary, columns, rows } = self;
        let verdict = if *passed { "passed" } else { "FAILED" };
        let mut text = format!("\n## {name}: {verdict}\n\n{summary} ({seconds:.1} s)\n");
        if !rows.is_empty() {
            let cell = |text: &String| text.replace('|', "\\|").replace('\n', " ");
            let line = |cells: &[String]| format!("| {} |\n", cells.iter().map(cell).collect::<Vec<_>>().join(" | "));
            let _ = write!(text, "\n{}|{}\n", line(columns), " --- |".repeat(columns.len()));
            rows.iter().for_each(|row| text += &line(row));
        }
        text
    }
}

/// Writes `<date>-<device>.md` and `.json` into a folder, and returns the first one's name.
///
/// # Errors
/// The folder cannot be written.
pub fn write(folder: &Path, date: &str, device: &str, command: &str, parts: &[Part]) -> io::Result<String> {
    let word: String =
        device.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let stem = format!("{date}-{}", word.split('-').filter(|w| !w.is_empty()).collect::<Vec<_>>().join("-"));
    let mut text = format!("# {device}, {date}\n\n`{command}`\n");
    parts.iter().for_each(|part| text += &part.to_markdown());
    let parts: Vec<Value> = parts.iter().map(Part::to_json).collect();
    let whole = json!({ "date": date, "device": device, "command": command, "parts": parts });
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{stem}.json")), format!("{whole:#}\n"))?;
    fs::write(folder.join(format!("{stem}.md")), text)?;
    Ok(format!("{stem}.md"))
}

/// The date, as 2026-01-31.
pub fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    // Days since 0000-03-01 of the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_survives_json() {
        let part = Part {
            name: "shapes".into(),
            passed: true,
            seconds: 1.5,
            summary: "two rows".into(),
            columns: vec!["a".into()],
            rows: vec![vec!["1".into()], vec!["2".into()]],
        };
        assert_eq!(Part::from_json(&part.to_json()), Some(part.clone()));
        assert_eq!(Part::from_json(&json!({ "name": 3 })), None);
        assert!(part.to_markdown().contains("| a |\n| --- |\n| 1 |"), "{}", part.to_markdown());
    }
}
