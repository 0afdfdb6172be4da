//! Problems to anneal.

use std::{ffi::c_char, io::ErrorKind};

use yuragi::{
    energy::{Error, Problem, Variables, Vartype},
    io::{
        ReadError,
        problem::{Asked, Content, Draft, Named, Objective, draft_of_text, memory_to_read},
    },
};

use super::{
    log::{YURAGI_INFO, log},
    pointer::{afford, free, give, guard, held, items, room, tell, text, value_or},
};
use crate::failure::{
    Answer, Failure, YURAGI_FILE, YURAGI_FORMAT, YURAGI_MEMORY, YURAGI_RANGE, YURAGI_TEXT, failure, yuragi_status,
};

/// Variables, and an energy of them that is sought to be low. It never changes: any number of annealings may share it, on
/// several threads.
pub struct yuragi_problem {
    pub problem: Problem,
    pub variables: yuragi_variables,
    objective: Objective,
}

/// What a variable's value can be.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum yuragi_variables {
    /// -1 or +1.
    YURAGI_SPINS = 0,
    /// 0 or 1.
    YURAGI_BITS = 1,
    /// 0 to q - 1.
    YURAGI_POTTS = 2,
}

use yuragi_variables::*;

impl yuragi_variables {
    /// The value that a caller sees, of one that the problem has.
    pub fn shown(self, value: u8) -> i16 {
        match self {
            YURAGI_SPINS => 2 * i16::from(value) - 1,
            YURAGI_BITS | YURAGI_POTTS => i16::from(value),
        }
    }
}

/// A term of two variables, or of one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct yuragi_term {
    /// One variable, counted from 0.
    pub first: u32,
    /// Another one; the same one only where that is said to be legal.
    pub second: u32,
    /// J or Q.
    pub weight: f64,
}

/// What is given as C gives it, as the library takes it.
fn pairs(terms: &[yuragi_term]) -> impl Iterator<Item = (usize, usize, f64)> {
    terms.iter().map(|term| (term.first as usize, term.second as usize, term.weight))
}

fn refused(error: Error) -> Failure {
    failure(YURAGI_RANGE, error)
}

/// Whether a problem can be built here.
fn afford_building(variables: usize, states: usize, terms: usize) -> Answer {
    afford("the problem", Problem::memory_to_build(variables, states, terms))
}

/// So many spins s = -1 or +1 with E = - sum of J s s over pairs - sum of h s. Equal spins have the lower energy where J is
/// positive. Pairs that come twice are added up; there is a field h for each spin, or NULL for none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_spins(
    spins: usize,
    couplings: *const yuragi_term,
    count: usize,
    fields: *const f64,
    out: *mut *mut yuragi_problem,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let couplings = items("the couplings", couplings, count)?;
            let fields = if fields.is_null() { &[] } else { items("the fields", fields, spins)? };
            afford_building(spins, 1, count)?;
            let problem = Problem::ising(spins, pairs(couplings), fields).map_err(refused)?;
            Ok(yuragi_problem { problem, variables: YURAGI_SPINS, objective: Objective::ENERGY })
        })
    })
}

/// So many bits b = 0 or 1 with E = constant + sum of Q b b over the terms (a QUBO): a term of the same bit twice is linear,
/// since b b = b. Pairs that come twice are added up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_bits(
    bits: usize,
    terms: *const yuragi_term,
    count: usize,
    constant: f64,
    out: *mut *mut yuragi_problem,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let terms = items("the terms", terms, count)?;
            afford_building(bits, 1, count)?;
            let problem = Problem::qubo(bits, pairs(terms), constant).map_err(refused)?;
            Ok(yuragi_problem { problem, variables: YURAGI_BITS, objective: Objective::ENERGY })
        })
    })
}

/// So many variables of `states` values, 2 to 255, with E = - sum of J over the pairs whose values are equal - sum of h (the
/// Potts model). Pairs that come twice are added up; the field of variable k at value s stands at k states + s, or NULL
/// for none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_potts(
    variables: usize,
    states: u32,
    couplings: *const yuragi_term,
    count: usize,
    fields: *const f64,
    out: *mut *mut yuragi_problem,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let states = u8::try_from(states).ok().filter(|states| *states >= 2).ok_or_else(|| {
                failure(YURAGI_RANGE, format_args!("{states} are no states of a Potts variable; legal are 2 to 255"))
            })?;
            let couplings = items("the couplings", couplings, count)?;
            let all = variables.saturating_mul(usize::from(states));
            let fields = if fields.is_null() { &[] } else { items("the fields", fields, all)? };
            afford_building(variables, usize::from(states), count)?;
            let problem = Problem::potts(variables, states, pairs(couplings), fields).map_err(refused)?;
            Ok(yuragi_problem { problem, variables: YURAGI_POTTS, objective: Objective::ENERGY })
        })
    })
}

fn built(draft: Draft) -> Answer<yuragi_problem> {
    afford("the problem", draft.memory())?;
    let Named { problem, vartype, objective, notes, .. } =
        draft.build().map_err(|reason| failure(YURAGI_FORMAT, reason))?;
    notes.iter().for_each(|note| log(YURAGI_INFO, note));
    let variables = match (problem.variables(), vartype) {
        (Variables::Potts(_), _) => YURAGI_POTTS,
        (Variables::Spin, Vartype::Spin) => YURAGI_SPINS,
        (Variables::Spin, Vartype::Binary) => YURAGI_BITS,
    };
    Ok(yuragi_problem { problem, variables, objective })
}

/// A problem from a text of `length` bytes in any format that `yuragi anneal` reads: JSON (dimod's, bqpjson, J or Q),
/// coordinate text, qbsolv's, rudy's and the Gset's graphs, Biq Mac's, OR-Library's, a square matrix. Its variables are
/// spins or bits, as the text has them. What was taken for granted in reading it is logged.
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
            afford("the problem's text", memory_to_read(length))?;
            built(draft_of_text(text, &Asked::default()).map_err(|reason| failure(YURAGI_FORMAT, reason))?)
        })
    })
}

/// A problem from a file, packed by gzip or not; dimod's binary .bqm, too. NumPy's arrays are not read here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_open(path: *const c_char, out: *mut *mut yuragi_problem) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let read = |error: ReadError| {
                let status = match &error {
                    ReadError::Read { source, .. } if source.kind() == ErrorKind::OutOfMemory => YURAGI_MEMORY,
                    ReadError::Read { .. } => YURAGI_FILE,
                    _ => YURAGI_FORMAT,
                };
                failure(status, error)
            };
            let content = Content::open(text("the path", path)?).map_err(read)?;
            afford("the problem's file", content.memory())?;
            built(content.draft(&Asked::default()).map_err(read)?)
        })
    })
}

/// The number of its variables; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_length(problem: *const yuragi_problem) -> usize {
    // SAFETY: the caller's word.
    value_or(|| Ok(unsafe { held("the problem", problem) }?.problem.len())).unwrap_or(0)
}

/// Writes what its variables are, and how many values each can have, where these are not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_kind(
    problem: *const yuragi_problem,
    variables: *mut yuragi_variables,
    states: *mut u32,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let problem = held("the problem", problem)?;
        tell(variables, problem.variables);
        tell(states, problem.problem.variables().states() as u32);
        Ok(())
    })
}

/// Values of the caller's as a problem has them.
fn values(problem: &yuragi_problem, given: &[i16]) -> Answer<Vec<u8>> {
    let states = problem.problem.variables().states();
    let value = |(place, &given): (usize, &i16)| {
        let value = match problem.variables {
            YURAGI_SPINS => (given == 1 || given == -1).then_some(u8::from(given == 1)),
            YURAGI_BITS | YURAGI_POTTS => u8::try_from(given).ok().filter(|value| usize::from(*value) < states),
        };
        value.ok_or_else(|| {
            let legal = match problem.variables {
                YURAGI_SPINS => "-1 and 1".to_owned(),
                YURAGI_BITS | YURAGI_POTTS => format!("0 to {}", states - 1),
            };
            failure(YURAGI_RANGE, format_args!("value {place} is {given}; legal are {legal}"))
        })
    };
    given.iter().enumerate().map(value).collect()
}

/// Writes the energy of a configuration: as many values as there are variables.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_problem_energy(
    problem: *const yuragi_problem,
    configuration: *const i16,
    count: usize,
    energy: *mut f64,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let problem = held("the problem", problem)?;
        let values = values(&problem, items("the configuration", configuration, count)?)?;
        let out = room("the place for the energy", energy, 1)?;
        out[0] = problem.problem.energy(&values).map_err(refused)?;
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
