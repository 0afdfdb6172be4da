//! What the table of platforms holds.

use serde_json::{Value, json};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// What takes long, too.
    pub all: bool,
    /// This platform was asked for by its name.
    pub named: bool,
}

/// How a figure came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It ran, and is as it must be.
    Good,
    /// It ran, and is not.
    Bad,
    /// A tool is missing, or it is left to `--all`.
    Skipped,
    /// There is no such thing on this platform.
    Absent,
}

/// One cell: its state, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    pub state: State,
    pub text: String,
}

impl Figure {
    pub fn good(text: impl Into<String>) -> Self {
        Self { state: State::Good, text: text.into() }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self { state: State::Bad, text: text.into() }
    }

    /// With what to install, or how to ask for it.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self { state: State::Skipped, text: reason.into() }
    }

    pub fn absent() -> Self {
        Self { state: State::Absent, text: String::new() }
    }

    /// Good where `outcome` is, bad otherwise.
    pub fn of(outcome: Result<String, String>) -> Self {
        outcome.map_or_else(Self::bad, Self::good)
    }

    fn cell(&self) -> String {
        match self.state {
            State::Good => self.text.clone(),
            State::Bad => format!("**failed**: {}", self.text.lines().next().unwrap_or_default()),
            State::Skipped => "skipped".into(),
            State::Absent => "–".into(),
        }
    }

    fn json(&self) -> Value {
        let state = match self.state {
            State::Good => "good",
            State::Bad => "bad",
            State::Skipped => "skipped",
            State::Absent => "absent",
        };
        json!({ "state": state, "text": self.text })
    }
}

/// One platform.
#[derive(Clone, Debug)]
pub struct Row {
    /// As `--only` takes it.
    pub platform: &'static str,
    /// What was built.
    pub builds: Figure,
    /// Tests passed.
    pub tests: Figure,
    /// Digests of samplers, fills and generators that are those written down.
    pub bits: Figure,
    /// The conformance suite's worst fraction of its bound.
    pub conformance: Figure,
    /// Bytes of what is shipped.
    pub size: Figure,
}

impl Row {
    /// With nothing measured.
    pub fn new(platform: &'static str) -> Self {
        let none = Figure::absent;
        Self { platform, builds: none(), tests: none(), bits: none(), conformance: none(), size: none() }
    }

    /// A platform of which nothing can run, and why.
    pub fn skipped(platform: &'static str, reason: String) -> Self {
        Self { builds: Figure::skipped(reason), ..Self::new(platform) }
    }

    /// The cells with the table's headings.
    pub fn figures(&self) -> [(&'static str, &Figure); 5] {
        [
            ("builds", &self.builds),
            ("tests passed", &self.tests),
            ("sampler bits equal", &self.bits),
            ("conformance, worst fraction", &self.conformance),
            ("size", &self.size),
        ]
    }

    pub fn failed(&self) -> bool {
        self.figures().iter().any(|(_, figure)| figure.state == State::Bad)
    }

    pub fn json(&self) -> Value {
        let cells = self.figures().map(|(name, figure)| (name.to_owned(), figure.json()));
        json!({ "platform": self.platform, "figures": serde_json::Map::from_iter(cells) })
    }
}

/// The rows in Markdown, and below it why anything was skipped or failed.
pub fn table(rows: &[Row]) -> String {
    let headings = Row::new("").figures().map(|(name, _)| name);
    let mut lines = vec![format!("| platform | {} |", headings.join(" | ")), format!("|---{}|", "|---".repeat(5))];
    for row in rows {
        let cells = row.figures().map(|(_, figure)| figure.cell());
        lines.push(format!("| {} | {} |", row.platform, cells.join(" | ")));
    }
    for row in rows {
        for (name, figure) in row.figures() {
            match figure.state {
                State::Skipped => lines.push(format!("{}: {name} skipped: {}", row.platform, figure.text)),
                State::Bad => lines.push(format!("{}: {name} failed: {}", row.platform, figure.text)),
                State::Good | State::Absent => {}
            }
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_told_and_only_a_failure_fails() {
        let mut row = Row { builds: Figure::good("yes"), ..Row::new("thumbv7em") };
        row.bits = Figure::skipped("needs qemu-system-arm (apt-get install qemu-system-arm)");
        assert!(!row.failed());
        let text = table(&[row.clone()]);
        assert!(text.contains("| thumbv7em | yes | – | skipped | – | – |"), "{text}");
        assert!(text.ends_with(
            "thumbv7em: sampler bits equal skipped: needs qemu-system-arm (apt-get install qemu-system-arm)"
        ));
        row.size = Figure::bad("120 kB\nof 100 kB");
        assert!(row.failed() && table(&[row.clone()]).contains("| **failed**: 120 kB |"));
        assert_eq!(row.json()["figures"]["size"]["state"], "bad");
    }
}
