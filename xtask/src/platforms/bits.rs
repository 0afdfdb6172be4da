//! Digests of all that must be drawn alike everywhere.

use std::fs;

use super::figure::Figure;
use crate::shell::{self, Outcome};

/// Digests that are named at most.
const NAMED: usize = 8;

/// What a platform printed, held against the digests that are written down.
pub fn compare(printed: Outcome<String>) -> Figure {
    let file = shell::root().join("crates/firmware/digests.txt");
    let expected = fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", file.display()));
    Figure::of(printed.and_then(|printed| equal(&printed, &expected?)))
}

fn equal(printed: &str, expected: &str) -> Outcome<String> {
    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    let total = expected.lines().count();
    let wrong: Vec<&str> = expected.lines().filter(|line| !lines.contains(line)).collect();
    if wrong.is_empty() {
        return Ok(format!("{total} of {total}"));
    }
    if wrong.len() == total {
        return Err(format!("none of {total}; it ended with: {}", lines.last().unwrap_or(&"")));
    }
    let names: Vec<_> = wrong.iter().map(|line| line.split(' ').next().unwrap_or(line)).take(NAMED).collect();
    let more = if wrong.len() > NAMED { ", .." } else { "" };
    Err(format!("{} of {total}; not {}{more}", total - wrong.len(), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_that_differ_or_lack_are_named() {
        let expected = "a 01\nb 02\nc 03\n";
        assert_eq!(equal("a 01\r\nb 02\nc 03", expected), Ok("3 of 3".into()));
        assert_eq!(equal("a 01\nb 03\n", expected), Err("1 of 3; not b, c".into()));
        assert_eq!(equal("trap", expected), Err("none of 3; it ended with: trap".into()));
    }
}
