//! 8-bit storage of weights: symmetric, one scale per channel.
//!
//! The channels are the last axis (the output channels of `[KH, KW, Cin, Cout]` and `[in, out]` weights). A weight is
//! stored as `q = round(w / s)` with `s = max|w| / 127` of its channel, so that |w - q·s| ≤ s/2; with uniformly
//! distributed rounding errors their root mean square is s/√12.

/// The name under which the scales of the quantised tensor `name` are stored.
#[must_use]
pub fn scale_name(name: &str) -> String {
    format!("{name}.scale")
}

/// Quantises row-major `[.., channels]` weights to -127..=127 and returns them with one scale per channel.
///
/// A channel of zeros has scale 0. The values must be finite; zero channels give nothing.
///
/// ```
/// use yuragi_io::quantize::{dequantize, quantize};
/// let (quantized, scales) = quantize(&[1.27, 0.0, -0.5, 0.0], 2);
/// assert_eq!(quantized, [127, 0, -50, 0]);
/// let back = dequantize(&quantized, &scales);
/// assert!((back[2] + 0.5).abs() < 1e-6);
/// ```
#[must_use]
pub fn quantize(values: &[f32], channels: usize) -> (Vec<i8>, Vec<f32>) {
    let mut scales = vec![0f32; channels];
    for row in values.chunks(channels.max(1)) {
        for (scale, value) in scales.iter_mut().zip(row) {
            *scale = scale.max(value.abs());
        }
    }
    scales.iter_mut().for_each(|scale| *scale /= 127.0);
    // 0/0 is NaN, and a cast to i8 takes NaN to 0.
    let round = |(value, scale): (&f32, &f32)| (value / scale).round().clamp(-127.0, 127.0) as i8;
    let quantized = values.chunks(channels.max(1)).flat_map(|row| row.iter().zip(&scales).map(round)).collect();
    (quantized, scales)
}

/// The weights `q·s` of quantised row-major `[.., scales.len()]` weights.
#[must_use]
pub fn dequantize(quantized: &[i8], scales: &[f32]) -> Vec<f32> {
    quantized.iter().zip(scales.iter().cycle()).map(|(&q, scale)| f32::from(q) * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_at_most_half_a_step_and_uniform() {
        let mut state = 7u32;
        let values: Vec<f32> = (0..30_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect();
        let (quantized, scales) = quantize(&values, 3);
        let back = dequantize(&quantized, &scales);
        let mut square = 0f64;
        for (i, (have, want)) in back.iter().zip(&values).enumerate() {
            let steps = f64::from((have - want) / scales[i % 3]);
            assert!(steps.abs() <= 0.5001, "{i}: {steps} steps");
            square += steps * steps;
        }
        let rms = (square / values.len() as f64).sqrt();
        assert!((rms - 1.0 / 12f64.sqrt()).abs() < 0.005, "{rms}");
    }

    #[test]
    fn the_largest_weight_is_exact_and_signs_are_symmetric() {
        let (quantized, _) = quantize(&[3.0, -0.25, -3.0, 0.25, 0.0, 0.1], 2);
        assert_eq!(quantized, [127, -127, -127, 127, 0, 51]);
    }

    #[test]
    fn zeros_tiny_values_and_nothing_are_kept() {
        assert_eq!(quantize(&[0.0, -0.0], 1), (vec![0, 0], vec![0.0]));
        let (quantized, scales) = quantize(&[1e-42, 1e-30], 2);
        assert!(dequantize(&quantized, &scales).iter().all(|v| v.is_finite()));
        assert!(quantize(&[], 4).0.is_empty());
        assert_eq!(quantize(&[1.0], 0), (vec![], vec![]));
        assert!(dequantize(&[1, 2], &[]).is_empty());
    }
}
