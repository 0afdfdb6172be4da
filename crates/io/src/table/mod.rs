//! Tables of numbers: points to learn from, as IDX (the format of MNIST), NumPy's `.npy` and `.npz`, and CSV.
//!
//! What a file is shows in its first bytes, not in its name; a file packed by gzip is unpacked first.

mod csv;
mod dialect;
mod header;
mod idx;
pub(crate) mod npy;
pub(crate) mod npz;
mod reading;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::atomic::{self, WriteError};
use crate::read::ReadError;
pub use reading::{Opened, Reading};

/// A table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file's name does not tell how to write it.
    #[error("cannot write {}: the name must end in .csv or .npy", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The numbers of a table, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// True and false, as 1 and 0.
    Bits(Vec<u8>),
    /// Bytes, such as the grey levels of pictures.
    Bytes(Vec<u8>),
    /// Any numbers; NaN stands for one that is missing.
    Reals(Vec<f64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Bits(values) | Self::Bytes(values) => values.len(),
            Self::Reals(values) => values.len(),
        }
    }

    /// The numbers as f64.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::Bits(values) | Self::Bytes(values) => values.iter().map(|&v| v.into()).collect(),
            Self::Reals(values) => values.clone(),
        }
    }
}

/// Rows of equally many numbers, at least one each way.
///
/// ```
/// use yuragi_io::table::{Table, Values};
/// let table = Table::new(vec![2], Values::Reals(vec![1.0, 2.0, 3.0, 4.5])).unwrap();
/// # let path = std::env::temp_dir().join("yuragi-table-example.csv");
/// table.save(&path)?;
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "1,2\n3,4.5\n");
/// assert_eq!(Table::open(&path)?, table);
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    names: Vec<String>,
    shape: Vec<usize>,
    values: Values,
}

impl Table {
    /// Rows of the given shape, such as `[28, 28]` for pictures; `None` unless the values are one or more whole rows.
    #[must_use]
    pub fn new(shape: Vec<usize>, values: Values) -> Option<Self> {
        let columns = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side))?;
        let whole = columns > 0 && values.len() > 0 && values.len().is_multiple_of(columns);
        whole.then_some(Self { names: Vec::new(), shape, values })
    }

    /// The same table with names of its columns; `None` unless there is one for each.
    #[must_use]
    pub fn with_names(self, names: Vec<String>) -> Option<Self> {
        (names.len() == self.columns()).then_some(Self { names, ..self })
    }

    /// Reads an IDX, `.npy`, `.npz` or CSV file, packed or not, as [`Reading::default`] does.
    ///
    /// # Errors
    /// [`ReadError::Read`] or [`ReadError::Format`], which says where.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        Ok(Reading::default().open(path)?.table)
    }

    /// Writes a `.csv` or `.npy` file, whole or not at all.
    ///
    /// # Errors
    /// [`TableError::Extension`] for another name, [`TableError::Write`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TableError> {
        let path = path.as_ref();
        Self::check_name(path)?;
        let npy = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
        Ok(atomic::write_with(path, |file| if npy { npy::write(self, file) } else { self.write_csv(file) })?)
    }

    /// Writes CSV.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_csv(&self, to: &mut impl Write) -> io::Result<()> {
        csv::write(self, to)
    }

    /// `Ok` if [`save`](Self::save) can tell from the name how to write.
    ///
    /// # Errors
    /// [`TableError::Extension`].
    pub fn check_name(path: &Path) -> Result<(), TableError> {
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
        let known = matches!(extension.as_str(), "csv" | "npy");
        if known { Ok(()) } else { Err(TableError::Extension { path: path.to_owned() }) }
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns()
    }

    /// The number of numbers in a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.shape.iter().product()
    }

    /// The shape of a row, such as `[28, 28]` for pictures.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The names of the columns; empty if they have none.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The numbers, row by row.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The numbers as f64.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        self.values.to_f64()
    }

    /// The first `rows` rows, but at least one and at most all.
    #[must_use]
    pub fn first(&self, rows: usize) -> Self {
        let count = rows.clamp(1, self.rows()) * self.columns();
        let values = match &self.values {
            Values::Bits(values) => Values::Bits(values[..count].to_vec()),
            Values::Bytes(values) => Values::Bytes(values[..count].to_vec()),
            Values::Reals(values) => Values::Reals(values[..count].to_vec()),
        };
        Self { names: self.names.clone(), shape: self.shape.clone(), values }
    }

    /// The columns at these places alone; `None` without any, or if there is no such place.
    #[must_use]
    pub fn with_columns(&self, places: &[usize]) -> Option<Self> {
        fn picked<T: Copy>(values: &[T], columns: usize, places: &[usize]) -> Option<Vec<T>> {
            values.chunks(columns).flat_map(|row| places.iter().map(|&place| row.get(place).copied())).collect()
        }
        let columns = self.columns();
        let values = match &self.values {
            Values::Bits(values) => Values::Bits(picked(values, columns, places)?),
            Values::Bytes(values) => Values::Bytes(picked(values, columns, places)?),
            Values::Reals(values) => Values::Reals(picked(values, columns, places)?),
        };
        let names = places.iter().filter_map(|&place| self.names.get(place).cloned()).collect();
        Some(Self { names, ..Self::new(vec![places.len()], values)? })
    }
}

/// The product of an array's sides, if it and the bytes it takes can be counted.
fn elements(shape: &[usize], size: usize) -> Result<usize, String> {
    let count = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    let count = count.filter(|count| count.checked_mul(size).is_some());
    let count = count.ok_or_else(|| format!("the array {shape:?} is too large"))?;
    if count == 0 { Err(format!("the array {shape:?} has no rows or no columns")) } else { Ok(count) }
}

/// The table of an array whose first axis counts the rows.
fn table(shape: &[usize], values: Values) -> Result<Table, String> {
    let (rows, row) = shape.split_first().ok_or("it holds one number, not a table")?;
    let row = if row.is_empty() { vec![1] } else { row.to_vec() };
    Table::new(row, values).ok_or_else(|| format!("{rows} rows cannot be made of it"))
}

fn write_all(to: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    parts.iter().try_for_each(|part| to.write_all(part))
}

#[cfg(test)]
mod tests;
