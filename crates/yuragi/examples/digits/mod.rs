//! Handwritten digits, for the examples.

use yuragi::{
    energy::rbm::Units,
    fit::{Binarize, Rows},
    io::Table,
};

/// The pictures of `train` or `t10k`: MNIST as IDX, packed by gzip or not, from `../shared/data/mnist` or else `$YURAGI_DATA/mnist`.
/// A pixel is on with the probability of its brightness.
pub fn digits(name: &str) -> Option<Rows> {
    let folders = ["../shared/data".to_owned(), std::env::var("YURAGI_DATA").unwrap_or_default()];
    let mut files = folders
        .iter()
        .flat_map(|folder| ["", ".gz"].map(|packed| format!("{folder}/mnist/{name}-images-idx3-ubyte{packed}")));
    let table = files.find_map(|file| Table::open(file).ok().filter(|table| table.shape() == [28, 28]))?;
    Rows::new(table, Units::Binary, Binarize::Sample, 0).ok()
}
