//! qbsolv's `.qubo`: a program line `p qubo 0 maxNodes nNodes nCouplers`, nodes `i i a` and couplers `i j b`, from 0.

use yuragi_energy::Vartype;

use super::Sense;
use super::lines::{Pairs, entry, lines};
use super::terms::{Terms, counted};
use crate::read::shown;

/// True for a comment of such a file.
pub(super) fn is_comment(line: &str) -> bool {
    line.strip_prefix(['c', 'C']).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// True for its program line.
pub(super) fn is_program(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("p") && words.next().is_some_and(|word| word.eq_ignore_ascii_case("qubo"))
}

pub(super) fn read(text: &str) -> Result<Terms, String> {
    let mut rows = lines(text).filter(|(_, line)| !is_comment(line));
    let (number, program) = rows.next().filter(|(_, line)| is_program(line)).ok_or("there is no line `p qubo`")?;
    let words: Vec<&str> = program.split_whitespace().skip(2).collect();
    let counts: Option<Vec<usize>> = words.iter().skip(1).map(|word| word.parse().ok()).collect();
    let Some([most, nodes, couplers]) = counts.as_deref() else {
        let wanted = "`p qubo 0 maxNodes nNodes nCouplers`";
        return Err(format!("line {number}: it must be {wanted}; it is `{}`", shown(program)));
    };
    let mut terms = Terms::new("qbsolv's .qubo", Vartype::Binary, counted(*most)?);
    let (mut seen, mut found) = (Pairs::default(), (0, 0));
    for (number, line) in rows {
        let (k, l, value) = entry(number, line, None)?;
        if k.max(l) >= *most {
            return Err(format!("line {number}: node {} is beyond {}, the last of {most}", k.max(l), most - 1));
        }
        seen.add(k, l, number)?;
        terms.add((k, l, value));
        if k == l { found.0 += 1 } else { found.1 += 1 }
    }
    if found != (*nodes, *couplers) {
        return Err(format!(
            "line {number} promises {nodes} nodes and {couplers} couplers; there are {} and {}",
            found.0, found.1
        ));
    }
    remarks(text, &mut terms)?;
    Ok(terms)
}

/// What converters write into comments: a scale and an offset of all values, and where a problem comes from.
fn remarks(text: &str, terms: &mut Terms) -> Result<(), String> {
    let comments = || text.lines().map(str::trim).filter(|line| is_comment(line)).map(|line| line[1..].trim());
    let said = |key: &str| {
        let value = comments().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix([':', '=']))?;
        value.trim().parse::<f64>().ok().filter(|value| value.is_finite())
    };
    let (scale, offset) = (said("scale").unwrap_or(1.0), said("offset").unwrap_or(0.0));
    if (scale, offset) != (1.0, 0.0) {
        terms.linear.iter_mut().for_each(|(_, bias)| *bias *= scale);
        terms.quadratic.iter_mut().for_each(|(_, _, bias)| *bias *= scale);
        terms.offset = scale * offset;
        terms.notes.push(format!("a scale of {scale} and an offset of {offset} in its comments are counted"));
    }
    if comments().any(|line| line.to_ascii_lowercase().contains("beasley")) {
        terms.sense = Sense::Maximize;
        terms
            .notes
            .push("its comments name Beasley's problems, which are maximised; `--minimize` overrules".to_owned());
    } else {
        terms.notes.push("minimised, as qbsolv does; `--maximize` overrules".to_owned());
    }
    Ok(())
}
