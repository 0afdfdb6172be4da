//! What a visit to a GPU leaves behind.

use std::{fmt::Write as _, fs, io, path::Path};

use serde_json::{Value, json};

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
            let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
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
