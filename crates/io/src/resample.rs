//! Separable resampling of 8-bit RGB: area averaging when shrinking, linear interpolation when enlarging.
//!
//! Weights and sums are f32 in one fixed order, so that a data set has the same bytes on every machine.

/// The input samples that one output sample averages, with their weights (which sum to 1).
struct Tap {
    first: usize,
    weights: Vec<f32>,
}

/// One tap for each of `to` output samples of a row of `from` samples, both at least 1.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let (first, weights): (usize, Vec<f64>) = if scale >= 1.0 {
                let (low, high) = (i as f64 * scale, (i + 1) as f64 * scale);
                let first = low as usize;
                let last = (high.ceil() as usize).min(from);
                let cover = |j: usize| (high.min((j + 1) as f64) - low.max(j as f64)).max(0.0);
                (first, (first..last).map(cover).collect())
            } else {
                let centre = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f64);
                let first = (centre as usize).min(from.saturating_sub(2));
                let right = centre - first as f64;
                (first, if from == 1 { vec![1.0] } else { vec![1.0 - right, right] })
            };
            let sum: f64 = weights.iter().sum();
            Tap { first, weights: weights.iter().map(|w| (w / sum) as f32).collect() }
        })
        .collect()
}

/// Resizes a `height × width × 3` picture; all sizes are at least 1 and `rgb` has `3 · width · height` values.
pub(crate) fn resize(rgb: &[u8], (width, height): (usize, usize), (new_width, new_height): (usize, usize)) -> Vec<u8> {
    let columns = taps(width, new_width);
    let mut row = vec![0f32; width * 3];
    let mut out = Vec::with_capacity(new_height * new_width * 3);
    for Tap { first, weights } in taps(height, new_height) {
        row.fill(0.0);
        for (from, w) in rgb[first * width * 3..].chunks_exact(width * 3).zip(weights) {
            row.iter_mut().zip(from).for_each(|(sum, &v)| *sum += w * f32::from(v));
        }
        for Tap { first, weights } in &columns {
            let mut sum = [0f32; 3];
            for (pixel, w) in row[first * 3..].chunks_exact(3).zip(weights) {
                sum.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += w * v);
            }
            out.extend(sum.map(|v| (v + 0.5) as u8));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for from in 1..20 {
            for to in 1..40 {
                let taps = taps(from, to);
                assert_eq!(taps.len(), to);
                for tap in taps {
                    assert!(tap.first + tap.weights.len() <= from, "{from} to {to}");
                    assert!((tap.weights.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{from} to {to}");
                    assert!(tap.weights.iter().all(|w| (0.0..=1.0).contains(w)), "{from} to {to}");
                }
            }
        }
    }

    #[test]
    fn halving_is_the_box_mean() {
        let rgb: Vec<u8> = (0..4 * 2 * 3).map(|i| i as u8 * 10).collect();
        let out = resize(&rgb, (4, 2), (2, 1));
        let mean = |x: usize, c: usize| {
            let at = |x: usize, y: usize| f32::from(rgb[(y * 4 + x) * 3 + c]);
            ((at(2 * x, 0) + at(2 * x + 1, 0) + at(2 * x, 1) + at(2 * x + 1, 1)) / 4.0).round() as u8
        };
        assert_eq!(out, [mean(0, 0), mean(0, 1), mean(0, 2), mean(1, 0), mean(1, 1), mean(1, 2)]);
    }

    #[test]
    fn a_fractional_shrink_weighs_by_area() {
        // Three samples to two: each output covers 1.5 samples.
        let out = resize(&[0, 0, 0, 90, 90, 90, 240, 240, 240], (3, 1), (2, 1));
        assert_eq!(out, [30, 30, 30, 190, 190, 190]);
    }

    #[test]
    fn the_same_size_is_the_same_picture_and_flat_stays_flat() {
        let rgb: Vec<u8> = (0..5 * 7 * 3).map(|i| (i * 37 % 256) as u8).collect();
        assert_eq!(resize(&rgb, (5, 7), (5, 7)), rgb);
        for size in [(1, 1), (3, 11), (100, 2)] {
            assert!(resize(&[255; 5 * 7 * 3], (5, 7), size).iter().all(|&v| v == 255));
        }
    }
}
