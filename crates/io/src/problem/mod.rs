//! Problems to anneal, in the formats that they are kept in; see [`parse`].
//!
//! What a file is shows in its content; a file packed by gzip is unpacked first.

mod bqm;
mod graph;
mod json;
mod lines;
mod matrix;
mod qbsolv;
#[cfg(feature = "all")]
mod tables;
mod terms;

use std::path::{Path, PathBuf};

use yuragi_energy::{Coordinates, Problem, Vartype};

use crate::read::{self, ReadError};
use terms::Terms;

/// A problem and what its file calls things.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The problem. A low energy is good: it is the file's objective, or its negative if that is to be large.
    pub problem: Problem,
    /// The name of each variable; empty if they are only counted.
    pub names: Vec<String>,
    /// Where variables without names are counted from.
    pub first: usize,
    /// What a variable is in the file; inside, value 1 is always the spin +1 or the bit 1.
    pub vartype: Vartype,
    /// The format, in words.
    pub format: &'static str,
    /// What is minimised or maximised, as the file sees it.
    pub objective: Objective,
    /// What was taken for granted in reading it.
    pub notes: Vec<String>,
}

/// What a problem's file minimises or maximises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective {
    /// What it is called: energy, cut, value.
    pub name: &'static str,
    /// Whether it is to be large.
    pub maximize: bool,
}

impl Objective {
    /// An energy, which is to be low.
    pub const ENERGY: Self = Self { name: "energy", maximize: false };

    /// Its value where the problem has this energy.
    ///
    /// ```
    /// use yuragi_io::problem::Objective;
    /// assert_eq!(Objective { name: "cut", maximize: true }.value(-3.0), 3.0);
    /// assert_eq!(Objective::ENERGY.value(-3.0), -3.0);
    /// ```
    #[must_use]
    pub fn value(self, energy: f64) -> f64 {
        // No negative zero.
        if self.maximize { 0.0 - energy } else { energy }
    }
}

/// Whether an objective is to be small or large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// Small.
    Minimize,
    /// Large.
    Maximize,
}

/// A format that a text may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain JSON, dimod's, bqpjson.
    Json,
    /// dimod's coordinate text.
    Coordinates,
    /// qbsolv's `.qubo`.
    Qbsolv,
    /// A graph whose largest cut is sought: rudy's, the Gset's, Biq Mac's `.mc`.
    MaxCut,
    /// Biq Mac's quadratic 0-1 problem.
    BiqMac,
    /// OR-Library's quadratic 0-1 problem, a single one.
    OrLibrary,
    /// A dense square matrix, parted by commas or blanks.
    Matrix,
}

/// What a caller knows of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What its variables are, if it does not say so; one that says something else is refused.
    pub vartype: Option<Vartype>,
    /// Whether its objective is to be small or large, instead of what the file or its format says.
    pub sense: Option<Sense>,
    /// The format of a text, instead of what its content shows.
    pub format: Option<Format>,
}

/// Reads a problem's file: a text, see [`parse`], dimod's binary `.bqm`, or a matrix as `.npy` or `.npz`, packed by gzip or
/// not. `FILE.npz:NAME` is one matrix of an archive.
///
/// # Errors
/// [`ReadError`], naming the file.
pub fn open(path: impl AsRef<Path>, asked: &Asked) -> Result<Named, ReadError> {
    let file = Content::open(path)?;
    let path = file.path.clone();
    let built = file.draft(asked)?.build_if_room();
    built.map_err(|reason| ReadError::Format { path, reason })
}

/// The bytes of a problem's file, unpacked and not yet understood.
#[derive(Clone, Debug)]
pub struct Content {
    path: PathBuf,
    bytes: Vec<u8>,
    /// The array that is asked for.
    array: Option<String>,
}

impl Content {
    /// Reads a file, see [`open`].
    ///
    /// # Errors
    /// [`ReadError::Read`], naming the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Content, ReadError> {
        let path = path.as_ref();
        let (bytes, array) = read::bytes(path, &yuragi_graph::Alone)?;
        Ok(Content { path: path.to_owned(), bytes, array })
    }

    /// The bytes that [`draft`](Self::draft) takes at the most.
    #[must_use]
    pub fn memory(&self) -> usize {
        memory_to_read(self.bytes.len())
    }

    /// What the file says.
    ///
    /// # Errors
    /// [`ReadError::Format`], naming the file.
    pub fn draft(self, asked: &Asked) -> Result<Draft, ReadError> {
        let Content { path, bytes, array } = self;
        let name = path.to_string_lossy().to_ascii_lowercase();
        let draft = read_bytes(bytes, array.as_deref(), name.trim_end_matches(".gz"), asked);
        draft.map_err(|reason| ReadError::Format { path, reason })
    }
}

/// What a text or a file says, not yet made a problem. It takes memory in proportion to the text; the problem takes some for
/// each variable, of which few letters can name many.
#[derive(Debug)]
pub struct Draft {
    what: &'static str,
    terms: Terms,
    asked: Asked,
}

impl Draft {
    /// The bytes that [`build`](Self::build) takes at the most.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.terms.memory()
    }

    /// The problem.
    ///
    /// # Errors
    /// What no problem can be, and what the text was taken for.
    pub fn build(self) -> Result<Named, String> {
        self.terms.named(&self.asked).map_err(|reason| format!("{reason} (read as {})", self.what))
    }

    fn build_if_room(self) -> Result<Named, String> {
        let bytes = self.memory();
        // A trial that is given back at once.
        if Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
            return Err(format!("its {} variables need {bytes} bytes of memory", self.terms.variables));
        }
        self.build()
    }
}

/// The bytes that it takes at the most to read a text, or an unpacked file, of so many bytes; without those themselves.
#[must_use]
pub fn memory_to_read(length: usize) -> usize {
    // `[1,1,1],` is four values of JSON in lists that grow, and a term.
    length.saturating_mul(40).saturating_add(1 << 12)
}

const KNOWN: &str = "it must be JSON (dimod's, bqpjson, `J` or `Q`), dimod's .bqm or coordinate text, qbsolv's .qubo, a list of \
                     edges (rudy, Gset, Biq Mac), or a square matrix (.npy, .npz, CSV)";

fn read_bytes(bytes: Vec<u8>, array: Option<&str>, name: &str, asked: &Asked) -> Result<Draft, String> {
    #[cfg(feature = "all")]
    if let Some((what, terms)) = tables::of_arrays(&bytes, array, asked.vartype) {
        return draft(what, terms, asked);
    }
    #[cfg(not(feature = "all"))]
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x93NUMPY") {
        return Err("it is an .npy or .npz file, which this library was built without".to_owned());
    }
    if array.is_some() {
        return Err("only an .npz file has arrays of names".to_owned());
    }
    if bytes.starts_with(bqm::MAGIC) {
        return draft("dimod's .bqm", bqm::read(&bytes), asked);
    }
    if let Some(kind) = read::foreign(&bytes) {
        return Err(format!("it is {kind}; {KNOWN}"));
    }
    let text = read::text(bytes).map_err(|reason| format!("{reason}; {KNOWN}"))?;
    draft_named(&text, name, asked)
}

/// Reads a problem from one of these texts:
///
/// * dimod's JSON, which `json.dump(model.to_serializable(), file)` writes for a binary quadratic model;
/// * bqpjson, f = scale (offset + Σ a v + Σ b v v);
/// * `{"J": [[k, l, J_kl], …], "h": [h_0, …], "offset": c}` for E = c − Σ J_kl x_k x_l − Σ h_k x_k, x = ±1; `h` and
///   `offset` may be absent, and `J` be a matrix, symmetric or triangular, each of whose pairs counts once;
/// * `{"Q": [[k, l, Q_kl], …], "offset": c}` for E = c + Σ Q_kl b_k b_l, b = 0 or 1; `offset` may be absent, and `Q` be a
///   square matrix;
/// * dimod's coordinate text, lines `k l bias`; its variables are bits unless a comment says `vartype=SPIN`;
/// * qbsolv's `.qubo`, which begins with `p qubo`;
/// * a graph as rudy writes it, `n m` and lines `i j weight` from 1 (the Gset, Biq Mac's `.mc`): the largest cut;
/// * Biq Mac's quadratic problem, the same list with entries on the diagonal: the least x'Qx;
/// * OR-Library's, the same below a count of problems that must be 1: the largest x'Qx;
/// * a square matrix M as CSV, for E = Σ M_kl v_k v_l over all entries.
///
/// # Errors
/// What is wrong, where, and what the text was taken for.
///
/// ```
/// use yuragi_io::problem::{Asked, parse};
/// let pair = parse(r#"{"J": [[0, 1, 2.0]], "h": [0.5, 0.0]}"#, &Asked::default())?;
/// assert_eq!(pair.problem.energy(&[1, 1]).unwrap(), -2.5);
/// let triangle = parse("3 3\n1 2 5\n2 3 1\n1 3 1\n", &Asked::default())?;
/// assert_eq!(triangle.objective.value(triangle.problem.energy(&[0, 1, 0]).unwrap()), 6.0);
/// # Ok::<(), String>(())
/// ```
pub fn parse(text: &str, asked: &Asked) -> Result<Named, String> {
    draft_of_text(text, asked)?.build_if_room()
}

/// What such a text says, for callers that look after memory themselves: see [`memory_to_read`] and [`Draft::memory`].
///
/// # Errors
/// As for [`parse`].
pub fn draft_of_text(text: &str, asked: &Asked) -> Result<Draft, String> {
    draft_named(text.strip_prefix('\u{feff}').unwrap_or(text), "", asked)
}

fn draft_named(text: &str, name: &str, asked: &Asked) -> Result<Draft, String> {
    let format = asked.format.map_or_else(|| recognise(text, name), Ok)?;
    let (what, terms) = match format {
        Format::Json => ("JSON", json::read(text, asked.vartype)),
        Format::Coordinates => ("coordinate text", coordinates(text, asked.vartype)),
        Format::Qbsolv => ("qbsolv's .qubo", qbsolv::read(text)),
        Format::MaxCut => ("a graph of rudy", graph::max_cut(text, asked.vartype)),
        Format::BiqMac => ("Biq Mac's x'Qx", graph::quadratic(text)),
        Format::OrLibrary => ("OR-Library's x'Qx", graph::or_library(text)),
        Format::Matrix => ("a matrix", matrix_text(text, asked)),
    };
    draft(what, terms, asked)
}

fn draft(what: &'static str, terms: Result<Terms, String>, asked: &Asked) -> Result<Draft, String> {
    let terms = terms.map_err(|reason| format!("{reason} (read as {what})"))?;
    Ok(Draft { what, terms, asked: *asked })
}

/// The format that a text's first lines show.
fn recognise(text: &str, name: &str) -> Result<Format, String> {
    if text.trim_start().starts_with(['{', '[']) {
        return Ok(Format::Json);
    }
    let plain = || lines::lines(text);
    if plain().find(|(_, line)| !qbsolv::is_comment(line)).is_some_and(|(_, line)| qbsolv::is_program(line)) {
        return Ok(Format::Qbsolv);
    }
    let Some((number, first)) = plain().next() else {
        return Err(format!("it holds no line that says something; {KNOWN}"));
    };
    if first.starts_with("%%MatrixMarket") {
        return Err(format!("it is a Matrix Market file, which does not say what is to be found; {KNOWN}"));
    }
    let words = |line: &str| line.split_whitespace().count();
    let is_whole = |word: &str| word.parse::<u64>().is_ok();
    let second = plain().nth(1).map(|(_, line)| line);
    let whole = first.split_whitespace().all(is_whole);
    match words(first) {
        1 if whole && second.is_some_and(|line| words(line) == 2) => Ok(Format::OrLibrary),
        2 if whole => {
            let diagonal = graph::has_diagonal(text);
            let square = plain().count() == 2 && second.is_some_and(|line| words(line) == 2);
            match diagonal {
                Some(_) if square => {
                    Err("two lines of two numbers are a matrix or a graph; `--format` tells which".to_owned())
                }
                None if square => Ok(Format::Matrix),
                _ if name.ends_with(".mc") => Ok(Format::MaxCut),
                _ if diagonal == Some(true) || [".bq", ".sparse"].iter().any(|end| name.ends_with(end)) => {
                    Ok(Format::BiqMac)
                }
                _ => Ok(Format::MaxCut),
            }
        }
        3 if !first.contains([',', ';']) => three(text),
        _ if first.starts_with(|c: char| c.is_ascii_digit() || "+-.,;\"".contains(c)) => Ok(Format::Matrix),
        _ => Err(format!("line {number}, `{}`, begins no known format; {KNOWN}", read::shown(first))),
    }
}

/// Coordinate text, unless three lines of it are as good a matrix.
fn three(text: &str) -> Result<Format, String> {
    let rows: Vec<Vec<f64>> = lines::lines(text)
        .take(4)
        .map(|(_, line)| line.split_whitespace().map_while(|word| word.parse().ok()).collect())
        .collect();
    let square = rows.len() == 3 && rows.iter().all(|row| row.len() == 3);
    if !square {
        return Ok(Format::Coordinates);
    }
    let said =
        text.lines().any(|line| line.trim_start().starts_with('#') && line.to_ascii_lowercase().contains("vartype"));
    let matrix = matrix::Matrix::new(3, 3, rows.concat());
    let (indices, likely) =
        matrix.map_or((true, false), |matrix| (matrix.may_be_terms(), matrix.is_likely() && !matrix.is_in_order()));
    match (indices, likely && !said) {
        (false, _) => Ok(Format::Matrix),
        (true, false) => Ok(Format::Coordinates),
        (true, true) => {
            Err("three lines of three numbers are a matrix or coordinate text; `--format` tells which".to_owned())
        }
    }
}

/// dimod's coordinate text.
fn coordinates(text: &str, vartype: Option<Vartype>) -> Result<Terms, String> {
    let read = Coordinates::read(text).map_err(|error| error.to_string())?;
    let said = read.vartype.or(vartype);
    let mut terms = Terms::new("coordinate text", said.unwrap_or(Vartype::Binary), read.variables);
    (terms.linear, terms.quadratic) = (read.linear, read.quadratic);
    if said.is_none() {
        terms.notes.push("no vartype is said: its variables are bits; `--vartype spin` makes them spins".to_owned());
    }
    Ok(terms)
}

#[cfg(feature = "all")]
use tables::matrix_text;

#[cfg(not(feature = "all"))]
fn matrix_text(text: &str, asked: &Asked) -> Result<Terms, String> {
    matrix::terms("a matrix in text", matrix::of_text(text)?.undoubted(asked.format)?, asked.vartype)
}

#[cfg(test)]
mod tests;
