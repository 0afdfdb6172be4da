//! Handwritten digits from the uncompressed MNIST files, for the examples.

use yuragi_numeric::fill;

/// Pixels of a picture.
pub const PIXELS: usize = 784;

/// The pictures of an IDX file.
pub fn pictures(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var("YURAGI_DATA").unwrap_or_else(|_| "../shared/data".into());
    let bytes = std::fs::read(format!("{folder}/mnist/{name}-images-idx3-ubyte")).ok()?;
    let (head, pixels) = bytes.split_at_checked(16)?;
    let sizes: Vec<u32> =
        head.chunks(4).map(|word| word.iter().fold(0, |size, &byte| size << 8 | u32::from(byte))).collect();
    let whole = sizes[0] == 0x803 && sizes[2..] == [28, 28] && pixels.len() == sizes[1] as usize * PIXELS;
    whole.then(|| pixels.to_vec())
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
