//! A dense matrix as a problem: E = Σ M_kl v_k v_l over all its entries.

use serde_json::Value;
use yuragi_energy::Vartype;

use super::terms::{Term, Terms};
use crate::table::Table;
use crate::table::npy::Array;
use crate::table::npz::Archive;

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

pub(super) fn of_table(table: &Table) -> Result<Matrix, String> {
    Matrix::new(table.rows(), table.columns(), table.to_f64())
}

fn of_array(Array { shape, values }: Array) -> Result<Matrix, String> {
    let [rows, columns] = shape[..] else {
        return Err(format!("an array of shape {shape:?}; a matrix has two sides"));
    };
    Matrix::new(rows, columns, values.to_f64())
}

pub(super) fn of_npy(array: Array, vartype: Option<Vartype>) -> Result<Terms, String> {
    terms("a matrix in .npy", of_array(array)?, vartype)
}

/// A matrix of an archive: the one that was asked for, `Q`, `J` with `h`, SciPy's sparse form, or the only array.
pub(super) fn of_npz(bytes: &[u8], asked: Option<&str>, vartype: Option<Vartype>) -> Result<Terms, String> {
    const FORMAT: &str = "a matrix in .npz";
    let mut archive = Archive::open(bytes)?;
    let has = |archive: &Archive<'_>, name: &str| archive.names.iter().any(|known| known == name);
    if asked.is_none() && has(&archive, "data") && has(&archive, "shape") {
        return sparse(&mut archive, vartype);
    }
    let plain = ["Q", "J", "h"].into_iter().any(|name| has(&archive, name));
    if asked.is_some() || !plain || archive.names.len() == 1 {
        return terms(FORMAT, of_array(archive.only(asked)?)?, vartype);
    }
    let qubo = has(&archive, "Q");
    let legal = |name: &str| name == "offset" || if qubo { name == "Q" } else { ["J", "h"].contains(&name) };
    if let Some(other) = archive.names.iter().find(|name| !legal(name)) {
        let beside = if qubo { "`Q`" } else { "`J` and `h`" };
        return Err(format!(
            "beside {beside} it holds the array {other}, which is not known; there may be an `offset`"
        ));
    }
    let offset = if has(&archive, "offset") {
        let values = archive.array("offset")?.values.to_f64();
        let [offset] = values[..] else { return Err("`offset` must be one number".to_owned()) };
        offset
    } else {
        0.0
    };
    let mut read = if qubo {
        terms(FORMAT, of_array(archive.array("Q")?)?, vartype.or(Some(Vartype::Binary)))?
    } else {
        let matrix = of_array(archive.array("J")?)?;
        let mut read = Terms::new("`J` and `h` in .npz", Vartype::Spin, matrix.side);
        // E = −Σ J x x − Σ h x, each pair once
        for (k, l, weight) in matrix.pairs("`J`")? {
            if k == l {
                return Err(format!("variable {k} is coupled with itself in `J`; its diagonal must be 0"));
            }
            read.quadratic.push((k, l, -weight));
        }
        if has(&archive, "h") {
            let fields = archive.array("h")?.values.to_f64();
            if fields.len() != matrix.side {
                return Err(format!("`h` has {} values; there are {} variables", fields.len(), matrix.side));
            }
            read.linear = fields.iter().map(|field| -field).collect();
        }
        read.notes.push("E = -sum of J_kl s_k s_l over pairs - sum of h_k s_k".to_owned());
        read
    };
    read.offset += offset;
    Ok(read)
}

/// A sparse matrix as `scipy.sparse.save_npz` writes it.
fn sparse(archive: &mut Archive<'_>, vartype: Option<Vartype>) -> Result<Terms, String> {
    let whole = |archive: &mut Archive<'_>, name: &str| {
        let numbers = archive.array(name)?.values.to_f64();
        let index = |&value: &f64| if value >= 0.0 { Ok(value as usize) } else { Err(format!("`{name}` has {value}")) };
        numbers.iter().map(index).collect::<Result<Vec<usize>, String>>()
    };
    let (shape, data) = (whole(archive, "shape")?, archive.array("data")?.values.to_f64());
    let [rows, columns] = shape[..] else { return Err("`shape` must be two numbers".to_owned()) };
    if rows != columns {
        return Err(format!("a matrix of {rows} rows and {columns} columns must be square"));
    }
    let variables = super::terms::counted(rows)?;
    let (first, second) = if archive.names.iter().any(|name| name == "row") {
        (whole(archive, "row")?, whole(archive, "col")?)
    } else if archive.names.iter().any(|name| name == "indptr") {
        // Whether by rows or by columns does not change the sum.
        let starts = whole(archive, "indptr")?;
        let ascend = starts.len() == rows + 1 && starts.is_sorted() && starts.last() == Some(&data.len());
        if !ascend {
            return Err("`indptr` does not part the entries into rows".to_owned());
        }
        let row = |k: usize| std::iter::repeat_n(k, starts[k + 1] - starts[k]);
        ((0..rows).flat_map(row).collect(), whole(archive, "indices")?)
    } else {
        return Err("it is a sparse matrix of another form than coo, csr and csc".to_owned());
    };
    if first.len() != data.len() || second.len() != data.len() {
        return Err("its indices and entries differ in number".to_owned());
    }
    let mut read = Terms::new("a sparse matrix in .npz", vartype.unwrap_or(Vartype::Binary), variables);
    for ((&k, &l), &value) in first.iter().zip(&second).zip(&data) {
        if k.max(l) >= variables {
            return Err(format!("an entry is in row {k}, column {l} of {variables}"));
        }
        read.add((k, l, value));
    }
    let kind = if read.vartype == Vartype::Spin { "spins" } else { "bits; `--vartype spin` makes them spins" };
    read.notes.push(format!("E = sum of M_kl v_k v_l over all entries of the matrix, of {kind}"));
    Ok(read)
}
