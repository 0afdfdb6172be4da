//! Problems to anneal.

use std::ffi::c_char;

use yuragi::{
    energy::Problem,
    io::{
        ReadError,
        problem::{Asked, Named, Objective, open, parse},
    },
};

use super::{
    log::{YURAGI_INFO, log},
    pointer::{afford, free, give, guard, held, items, room, tell, text, value_or},
};
use crate::failure::{Answer, YURAGI_FILE, YURAGI_FORMAT, YURAGI_RANGE, YURAGI_TEXT, failure, yuragi_status};

/// Spins s = -1 or +1 with the energy E = c - sum of J s s over pairs - sum of h s. What a file says of bits is told of
/// spins: -1 is 0. It never changes: any number of annealings may share it, on several threads.
pub struct yuragi_problem {
    pub problem: Problem,
    objective: Objective,
}

/// A coupling J of two spins.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct yuragi_coupling {
    /// One spin, counted from 0.
    pub first: u32,
    /// Another one.
    pub second: u32,
    /// J: where it is positive, equal spins have the lower energy.
    pub weight: f64,
}

/// So many spins, their couplings, which are added up where a pair comes twice, and a field h for each spin, or NULL for
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_new(
    spins: usize,
    couplings: *const yuragi_coupling,
    count: usize,
    fields: *const f64,
    out: *mut *mut yuragi_problem,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let couplings = items("the couplings", couplings, count)?;
            let fields = if fields.is_null() { &[] } else { items("the fields", fields, spins)? };
            afford("the problem", spins.saturating_mul(64).saturating_add(count.saturating_mul(64)))?;
            let terms = couplings.iter().map(|c| (c.first as usize, c.second as usize, c.weight));
            let problem = Problem::ising(spins, terms, fields).map_err(|error| failure(YURAGI_RANGE, error))?;
            Ok(yuragi_problem { problem, objective: Objective::ENERGY })
        })
    })
}

fn named(named: Named) -> yuragi_problem {
    named.notes.iter().for_each(|note| log(YURAGI_INFO, note));
    yuragi_problem { problem: named.problem, objective: named.objective }
}

/// A problem from a text of `length` bytes in any format that `yuragi anneal` reads: JSON (dimod's, bqpjson, J or Q),
/// coordinate text, qbsolv's, rudy's and the Gset's graphs, Biq Mac's, OR-Library's, a square matrix. What was taken for
/// granted in reading it is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_parse(
    bytes: *const u8,
    length: usize,
    out: *mut *mut yuragi_problem,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let bytes = items("the problem's text", bytes, length)?;
            let text = std::str::from_utf8(bytes)
                .map_err(|error| failure(YURAGI_TEXT, format_args!("the problem's text is not UTF-8: {error}")))?;
            parse(text, &Asked::default()).map(named).map_err(|reason| failure(YURAGI_FORMAT, reason))
        })
    })
}

/// A problem from a file, packed by gzip or not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_open(path: *const c_char, out: *mut *mut yuragi_problem) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            open(text("the path", path)?, &Asked::default()).map(named).map_err(|error| match error {
                ReadError::Read { .. } => failure(YURAGI_FILE, error),
                error => failure(YURAGI_FORMAT, error),
            })
        })
    })
}

/// The number of its spins; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_length(problem: *const yuragi_problem) -> usize {
    // SAFETY: the caller's word.
    value_or(|| Ok(unsafe { held("the problem", problem) }?.problem.len())).unwrap_or(0)
}

/// Spins of the caller's as a problem has them.
fn values(given: &[i8]) -> Answer<Vec<u8>> {
    let value = |(place, &value): (usize, &i8)| match value {
        -1 => Ok(0),
        1 => Ok(1),
        _ => Err(failure(YURAGI_RANGE, format_args!("spin {place} is {value}; legal are -1 and 1"))),
    };
    given.iter().enumerate().map(value).collect()
}

/// Writes the energy of a configuration: as many spins as there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_energy(
    problem: *const yuragi_problem,
    spins: *const i8,
    count: usize,
    energy: *mut f64,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let problem = held("the problem", problem)?;
        let values = values(items("the configuration", spins, count)?)?;
        let out = room("the place for the energy", energy, 1)?;
        out[0] = problem.problem.energy(&values).map_err(|error| failure(YURAGI_RANGE, error))?;
        Ok(())
    })
}

/// Writes what an energy means to the file that a problem came from, such as the size of a cut, and 1 where that is to be
/// large or 0, where these are not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_objective(
    problem: *const yuragi_problem,
    energy: f64,
    value: *mut f64,
    maximize: *mut i32,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let problem = held("the problem", problem)?;
        tell(value, problem.objective.value(energy));
        tell(maximize, i32::from(problem.objective.maximize));
        Ok(())
    })
}

/// Frees it; annealings that work on it stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_free(problem: *mut yuragi_problem) {
    // SAFETY: the caller's word.
    unsafe { free(problem) };
}
