//! Handwritten digits, for the examples: MNIST as IDX, packed by gzip or not.

use yuragi::{
    io::{Table, table::Values},
    numeric::fill,
};

/// Pixels of a picture.
pub const PIXELS: usize = 784;

/// The pictures of `train` or `t10k`, from `../shared/data/mnist` or else `$YURAGI_DATA/mnist`.
pub fn pictures(name: &str) -> Option<Vec<u8>> {
    let folders = ["../shared/data".to_owned(), std::env::var("YURAGI_DATA").unwrap_or_default()];
    let files = folders
        .iter()
        .flat_map(|folder| ["", ".gz"].map(|packed| format!("{folder}/mnist/{name}-images-idx3-ubyte{packed}")));
    let table = files.filter_map(|file| Table::open(file).ok()).find(|table| table.shape() == [28, 28])?;
    match table.values() {
        Values::Bytes(pixels) => Some(pixels.clone()),
        Values::Reals(_) => None,
    }
}

/// Draws each pixel.
pub fn binarised(pixels: &[u8], stream: u32) -> Vec<f32> {
    let mut values = vec![0.0; pixels.len()];
    fill::uniform([0xb1, 0], stream, 0, &mut values);
    values.iter_mut().zip(pixels).for_each(|(u, &p)| *u = f32::from(*u * 255.0 < f32::from(p)));
    values
}

/// The biases of independent pixels that are on as often as the pictures' are bright.
pub fn logits(pixels: &[u8]) -> Vec<f32> {
    let count = (pixels.len() / PIXELS) as f64;
    let logit = |i: usize| {
        let sum: f64 = pixels.iter().skip(i).step_by(PIXELS).map(|&p| f64::from(p) / 255.0).sum();
        let share = (sum + 1.0) / (count + 2.0);
        (share / (1.0 - share)).ln() as f32
    };
    (0..PIXELS).map(logit).collect()
}
