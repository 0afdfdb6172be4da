//! What is measured on an autoencoder's latents before a denoiser is trained on them, and latents of other sizes.

use alloc::{vec, vec::Vec};

/// What was measured on latents after the autoencoder was trained; empty before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latents {
    /// The mean of each of the Z channels.
    pub mean: Vec<f32>,
    /// The standard deviation of each of the Z channels.
    pub deviation: Vec<f32>,
    /// The linear map of a standardised latent (and 1, the last row) to the mean colour of its
    /// pixels, row-major `[Z + 1, 3]`.
    pub colour: Vec<f32>,
}

impl Latents {
    /// The colours, 0..1, of standardised latents `[.., Z]`: `[.., 3]`. `None` if they were not measured.
    pub fn colours(&self, latents: &[f32]) -> Option<Vec<f32>> {
        let rows = self.colour.as_chunks::<3>().0;
        let (constant, rows) = rows.split_last().filter(|(_, rows)| !rows.is_empty())?;
        let colour = |latent: &[f32]| {
            let sum = latent.iter().zip(rows).fold(*constant, |sum, (z, row)| [0, 1, 2].map(|i| sum[i] + z * row[i]));
            sum.map(|x| (x * 0.5 + 0.5).clamp(0.0, 1.0))
        };
        Some(latents.chunks_exact(rows.len()).flat_map(colour).collect())
    }
}

/// Sums over pairs of latents and pictures, from which [`Latents`] follow.
#[derive(Clone, Debug)]
pub struct Statistics {
    channels: usize,
    /// Σ v·vᵀ of v = (latent, 1, colour), row-major.
    products: Vec<f64>,
}

impl Statistics {
    /// Nothing seen yet, of latents with this many channels.
    pub fn new(channels: usize) -> Statistics {
        let side = channels + 4;
        Statistics { channels, products: vec![0.0; side * side] }
    }

    /// Takes in one picture `[f·size, f·size, 3]` in −1..1, for an autoencoder's factor f, and its latent `[size, size, Z]`
    /// as the encoder gives it while nothing has been measured. Values that are missing count as 0.
    pub fn add(&mut self, latent: &[f32], picture: &[f32], size: usize, factor: usize) {
        let side = self.channels + 4;
        let mut v = vec![0.0; side];
        for (pixel, z) in latent.chunks_exact(self.channels.max(1)).take(size * size).enumerate() {
            let (row, column) = (pixel / size, pixel % size);
            v.fill(0.0);
            v.iter_mut().zip(z).for_each(|(v, z)| *v = f64::from(*z));
            v[self.channels] = 1.0;
            for y in factor * row..factor * (row + 1) {
                let start = 3 * factor * (y * size + column);
                let pixels = picture.get(start..start + 3 * factor).unwrap_or_default();
                for (i, colour) in pixels.iter().enumerate() {
                    v[self.channels + 1 + i % 3] += f64::from(*colour) / (factor * factor) as f64;
                }
            }
            for (row, a) in self.products.chunks_exact_mut(side).zip(&v) {
                row.iter_mut().zip(&v).for_each(|(sum, b)| *sum += a * b);
            }
        }
    }

    /// The channels' means and deviations, and the least-squares map from latents to colours.
    /// `None` before anything was added or where a channel never changes.
    pub fn measure(&self) -> Option<Latents> {
        let (z, side) = (self.channels, self.channels + 4);
        let count = self.products[z * side + z];
        let mean = |i: usize| self.products[i * side + z] / count;
        let covariance = |i: usize, j: usize| self.products[i * side + j] / count - mean(i) * mean(j);
        let deviation: Vec<f64> = (0..z).map(|i| libm::sqrt(covariance(i, i))).collect();
        if !deviation.iter().all(|d| *d > 0.0) {
            return None;
        }
        // The normal equations of standardised latents, a little damped against collinear channels.
        let mut system: Vec<f64> = Vec::with_capacity(z * (z + 3));
        for i in 0..z {
            let correlation = (0..z).map(|j| covariance(i, j) / (deviation[i] * deviation[j]));
            system.extend(correlation.enumerate().map(|(j, r)| if i == j { r + 1e-6 } else { r }));
            system.extend((z + 1..side).map(|j| covariance(i, j) / deviation[i]));
        }
        let mut colour = solve(system, z);
        colour.extend((z + 1..side).map(|i| mean(i) as f32));
        Some(Latents {
            mean: (0..z).map(|i| mean(i) as f32).collect(),
            deviation: deviation.iter().map(|d| *d as f32).collect(),
            colour,
        })
    }
}

/// Solves A·X = B for a positive definite A, given as rows `[A | B]` with three columns in B
/// (Gauss–Jordan elimination): X, row-major.
fn solve(mut system: Vec<f64>, n: usize) -> Vec<f32> {
    let width = n + 3;
    for pivot in 0..n {
        let row: Vec<f64> = system[pivot * width..][..width].to_vec();
        for (_, target) in system.chunks_exact_mut(width).enumerate().filter(|(i, _)| *i != pivot) {
            let factor = target[pivot] / row[pivot];
            target.iter_mut().zip(&row).for_each(|(t, r)| *t -= factor * r);
        }
    }
    let solution = |i: usize| (0..3).map(move |j| (i, j));
    (0..n).flat_map(solution).map(|(i, j)| (system[i * width + n + j] / system[i * width + i]) as f32).collect()
}

/// A picture's latent `[h, w, Z]` at another height and width: linear interpolation between the centres of its pixels.
pub fn enlarged(latent: &[f32], [h, w, channels]: [usize; 3], [height, width]: [usize; 2]) -> Vec<f32> {
    let between = |to: usize, i: usize, from: usize| {
        let centre = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, from.saturating_sub(1) as f32);
        let low = (centre as usize).min(from.saturating_sub(1));
        (low, (low + 1).min(from.saturating_sub(1)), centre - low as f32)
    };
    let mut out = vec![0.0; height * width * channels];
    if latent.len() < h * w * channels || h * w == 0 {
        return out;
    }
    for (place, out) in out.chunks_exact_mut(channels.max(1)).enumerate() {
        let (top, bottom, down) = between(height, place / width, h);
        let (left, right, across) = between(width, place % width, w);
        for (channel, out) in out.iter_mut().enumerate() {
            let at = |row: usize, column: usize| latent[(row * w + column) * channels + channel];
            let line = |row: usize| at(row, left) * (1.0 - across) + at(row, right) * across;
            *out = line(top) * (1.0 - down) + line(bottom) * down;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enlarged_latents_are_those_of_torch() {
        // torch.nn.functional.interpolate(x, size=(3, 4), mode="bilinear") of [[0, 1], [2, 3]].
        let want = [0.0, 0.25, 0.75, 1.0, 1.0, 1.25, 1.75, 2.0, 2.0, 2.25, 2.75, 3.0];
        assert_eq!(enlarged(&[0.0, 1.0, 2.0, 3.0], [2, 2, 1], [3, 4]), want);
        assert_eq!(enlarged(&[5.0], [1, 1, 1], [2, 2]), [5.0; 4]);
    }
}
