//! Matrices in tables and NumPy's arrays.

use yuragi_energy::Vartype;

use super::Asked;
use super::matrix::{Matrix, terms};
use super::terms::{Terms, counted};
use crate::table::npy::{self, Array};
use crate::table::npz::{self, Archive};
use crate::table::{Reading, Table};

/// What an `.npy` or `.npz` file holds, and what it is; nothing if it is none.
pub(super) fn of_arrays(
    bytes: &[u8],
    asked: Option<&str>,
    vartype: Option<Vartype>,
) -> Option<(&'static str, Result<Terms, String>)> {
    if bytes.starts_with(npz::MAGIC) {
        return Some(("an .npz archive", of_npz(bytes, asked, vartype)));
    }
    let npy = asked.is_none() && bytes.starts_with(npy::MAGIC);
    npy.then(|| ("a matrix in .npy", npy::array(bytes).and_then(|array| of_npy(array, vartype))))
}

/// A matrix, whose first row may count as names do.
pub(super) fn matrix_text(text: &str, asked: &Asked) -> Result<Terms, String> {
    let vartype = asked.vartype;
    let plain = Reading { header: Some(false), ..Reading::default() };
    let whole = plain.read_text(text, &mut Vec::new()).and_then(|table| of_table(&table));
    if let Ok(matrix) = whole {
        return terms("a matrix in text", matrix.undoubted(asked.format)?, vartype);
    }
    let mut notes = Vec::new();
    let table = Reading::default().read_text(text, &mut notes)?;
    let mut terms = terms("a matrix in text", of_table(&table)?, vartype)?;
    let counted = table.names().iter().enumerate().all(|(k, name)| *name == k.to_string());
    terms.names = if counted { Vec::new() } else { table.names().to_vec() };
    notes.append(&mut terms.notes);
    Ok(Terms { notes, ..terms })
}

fn of_table(table: &Table) -> Result<Matrix, String> {
    Matrix::new(table.rows(), table.columns(), table.to_f64())
}

fn of_array(Array { shape, values }: Array) -> Result<Matrix, String> {
    let [rows, columns] = shape[..] else {
        return Err(format!("an array of shape {shape:?}; a matrix has two sides"));
    };
    Matrix::new(rows, columns, values.to_f64())
}

fn of_npy(array: Array, vartype: Option<Vartype>) -> Result<Terms, String> {
    terms("a matrix in .npy", of_array(array)?, vartype)
}

/// A matrix of an archive: the one that was asked for, `Q`, `J` with `h`, SciPy's sparse form, or the only array.
fn of_npz(bytes: &[u8], asked: Option<&str>, vartype: Option<Vartype>) -> Result<Terms, String> {
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
            read.linear = fields.iter().map(|field| -field).enumerate().collect();
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
    let variables = counted(rows)?;
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
