//! The table of a conformance run.

use std::{collections::BTreeMap, fmt};

use yuragi_graph::DType;

/// One operation in one element type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Cases run.
    pub cases: usize,
    /// Output elements compared.
    pub elements: usize,
    /// Elements of which any value is correct.
    pub unknown: usize,
    /// The worst error as a fraction of its bound.
    pub worst: f64,
    /// The case with the worst error.
    pub case: String,
    /// Whether the backend has a kernel of its own for the fused operation.
    pub claimed: bool,
    /// What went wrong before values could be compared.
    pub failures: Vec<String>,
    /// Why the row was not run.
    pub skipped: Option<String>,
}

impl Row {
    /// Whether every case stayed within its bound.
    pub fn passed(&self) -> bool {
        self.worst <= 1.0 && self.failures.is_empty()
    }
}

/// What a suite found: operation × element type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The rows.
    pub rows: BTreeMap<(&'static str, DType), Row>,
}

impl Report {
    /// Whether every row passed and anything was run at all.
    pub fn passed(&self) -> bool {
        self.rows.values().all(Row::passed) && self.rows.values().any(|row| row.cases > 0)
    }

    /// The worst error as a fraction of its bound.
    pub fn worst(&self) -> f64 {
        self.rows.values().map(|row| row.worst).fold(0.0, f64::max)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:<5} {:>6} {:>9} {:>8} {:>11}  worst case",
            "operation", "type", "cases", "elements", "unknown", "error/bound"
        )?;
        for ((op, dtype), row) in &self.rows {
            if let Some(reason) = &row.skipped {
                writeln!(f, "{op:<20} {dtype:<5} skipped: {reason}", dtype = dtype.to_string())?;
                continue;
            }
            let name = if row.claimed { format!("{op} (kernel)") } else { (*op).to_string() };
            let unknown = 100.0 * row.unknown as f64 / row.elements.max(1) as f64;
            let mark = if row.passed() { "" } else { "FAILED " };
            writeln!(
                f,
                "{name:<20} {dtype:<5} {:>6} {:>9} {unknown:>7.1}% {:>11.3}  {mark}{}",
                row.cases,
                row.elements,
                row.worst,
                row.case,
                dtype = dtype.to_string(),
            )?;
            for failure in &row.failures {
                writeln!(f, "    {failure}")?;
            }
        }
        let (failed, rows) = (self.rows.values().filter(|row| !row.passed()).count(), self.rows.len());
        let cases: usize = self.rows.values().map(|row| row.cases).sum();
        write!(f, "{cases} cases in {rows} rows: {failed} rows failed, worst error {:.3} of its bound", self.worst())
    }
}
