//! A dense matrix as a problem: E = Σ M_kl v_k v_l over all its entries.

use serde_json::Value;
use yuragi_energy::Vartype;

use super::Format;
use super::terms::{Term, Terms};

/// A square matrix, row by row.
pub(super) struct Matrix {
    pub side: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// The matrix of these rows, if it is square.
    pub fn new(rows: usize, columns: usize, values: Vec<f64>) -> Result<Self, String> {
        if rows != columns || values.len() != rows * columns {
            return Err(format!("a table of {rows} rows and {columns} columns; as a matrix it must be square"));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(format!(
                "row {}, column {} is {}; it must be a number",
                1 + at / columns,
                1 + at % columns,
                values[at]
            ));
        }
        Ok(Self { side: rows, values })
    }

    fn at(&self, k: usize, l: usize) -> f64 {
        self.values[k * self.side + l]
    }

    fn is_symmetric(&self) -> bool {
        (0..self.side).all(|k| (0..k).all(|l| self.at(k, l) == self.at(l, k)))
    }

    fn is_triangular(&self) -> bool {
        let half = |upper: bool| {
            (0..self.side).all(|k| (0..k).all(|l| if upper { self.at(k, l) == 0.0 } else { self.at(l, k) == 0.0 }))
        };
        half(true) || half(false)
    }

    /// True if these numbers look like a matrix of a problem.
    pub fn is_likely(&self) -> bool {
        self.is_symmetric() || self.is_triangular()
    }

    /// True if these are three rows that begin with two indices each.
    pub fn may_be_terms(&self) -> bool {
        let is_index = |value: &f64| *value >= 0.0 && value.fract() == 0.0;
        self.side == 3 && self.values.chunks(3).all(|row| row[..2].iter().all(is_index))
    }

    /// True if the indices of such rows are in the order in which terms are written: k ≤ l, and rows ascend.
    pub fn is_in_order(&self) -> bool {
        let pairs: Vec<&[f64]> = self.values.chunks(self.side).map(|row| &row[..2]).collect();
        self.may_be_terms() && pairs.iter().all(|pair| pair[0] <= pair[1]) && pairs.is_sorted_by(|a, b| a < b)
    }

    /// This matrix of a text, unless it may as well be three terms, and nobody said what it is.
    pub fn undoubted(self, said: Option<Format>) -> Result<Self, String> {
        if said.is_none() && self.may_be_terms() && (!self.is_likely() || self.is_in_order()) {
            return Err(
                "three lines of three numbers may be terms, which blanks must part; `--format matrix` takes them as \
                        rows"
                    .to_owned(),
            );
        }
        Ok(self)
    }

    /// Every entry that is not 0.
    pub fn entries(&self) -> Vec<Term> {
        let entry = |at: usize| (at / self.side, at % self.side, self.values[at]);
        (0..self.values.len()).map(entry).filter(|&(_, _, value)| value != 0.0).collect()
    }

    /// Each pair once.
    pub fn pairs(&self, what: &str) -> Result<Vec<Term>, String> {
        if !self.is_likely() {
            return Err(format!("{what} must be symmetric, or have all its entries on one side of the diagonal"));
        }
        let twice = self.is_symmetric();
        Ok(self.entries().into_iter().filter(|&(k, l, _)| !twice || k <= l).collect())
    }
}

/// The matrix of a list of lists of numbers; nothing if it is no square of numbers.
pub(super) fn of_json(what: &str, value: &Value) -> Result<Option<Matrix>, String> {
    let Some(rows) = value.as_array().filter(|rows| !rows.is_empty()) else { return Ok(None) };
    let side = rows.len();
    let square = rows.iter().all(|row| row.as_array().is_some_and(|row| row.len() == side));
    if !square {
        return Ok(None);
    }
    let numbers = rows.iter().filter_map(Value::as_array).flatten().map(Value::as_f64);
    let numbers = numbers.collect::<Option<Vec<f64>>>().ok_or_else(|| format!("{what} must hold numbers"))?;
    Matrix::new(side, side, numbers).map(Some)
}

/// E = Σ M_kl v_k v_l of bits, unless spins were asked for.
pub(super) fn terms(format: &'static str, matrix: Matrix, vartype: Option<Vartype>) -> Result<Terms, String> {
    let mut terms = Terms::new(format, vartype.unwrap_or(Vartype::Binary), matrix.side);
    matrix.entries().into_iter().for_each(|term| terms.add(term));
    let letter = if terms.vartype == Vartype::Spin { 's' } else { 'b' };
    let kind = if terms.vartype == Vartype::Spin { "spins" } else { "bits; `--vartype spin` makes them spins" };
    terms.notes.push(format!("E = sum of M_kl {letter}_k {letter}_l over all entries of the matrix, of {kind}"));
    Ok(terms)
}

/// A matrix in plain text: a row in each line, numbers parted by commas, semicolons or blanks.
#[cfg(not(feature = "all"))]
pub(super) fn of_text(text: &str) -> Result<Matrix, String> {
    let (mut values, mut rows, mut columns) = (Vec::new(), 0, 0);
    for (number, line) in super::lines::lines(text) {
        let before = values.len();
        for word in line.split(|c: char| c == ',' || c == ';' || c.is_whitespace()).filter(|word| !word.is_empty()) {
            let value = word.parse::<f64>();
            values.push(value.map_err(|_| format!("line {number}: `{}` is no number", crate::read::shown(word)))?);
        }
        let width = values.len() - before;
        if rows > 0 && width != columns {
            return Err(format!("line {number} has {width} numbers, the lines before it {columns}"));
        }
        (rows, columns) = (rows + 1, width);
    }
    Matrix::new(rows, columns, values)
}
