//! Softmax, layer norm and group norm as a plan launches them, against their formulas in double precision.

mod common;

use common::{Bench, bytes, noise, numbers};
use yuragi_cuda::{
    kernels::{
        group_norm::GroupNorm,
        group_norm_grad::{GroupMoments, GroupNormGrad, GroupNormSums},
        picture::Picture,
        product::Machine,
        row::{LayerNorm, LayerNormGrad, LayerNormSums, Softmax},
    },
    launch::{Address, Launches},
};
use yuragi_graph::DType;

/// Unit roundoff of single precision.
const U: f64 = 1.0 / 16_777_216.0;

const HOPPER: Machine = Machine { multiprocessors: 132, hopper: true };

const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// The types in which a norm of these elements can be stored.
fn results(dtype: DType) -> &'static [DType] {
    match dtype {
        DType::F16 => &[DType::F16],
        DType::BF16 => &[DType::BF16],
        DType::F32 | DType::I32 | DType::U32 => &FLOATS,
    }
}

/// What rounding to the type costs a number of this size.
fn rounding(size: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F16 => size / 2048.0 + 2.0_f64.powi(-25),
        DType::BF16 => size / 256.0,
        DType::F32 | DType::I32 | DType::U32 => 1e-44,
    }
}

/// Numbers in memory, some elements after a multiple of 256 bytes.
fn put(bench: &mut Bench, values: &[f64], skip: usize, dtype: DType) -> Address {
    let padded: Vec<f64> = std::iter::repeat_n(f64::NAN, skip).chain(values.iter().copied()).collect();
    bench.put(&bytes(&padded, dtype)).plus(skip * dtype.size())
}

/// Runs launches that write to `y`, and compares: `want` gives an element and its bound before the last rounding.
fn check(bench: &mut Bench, launches: &Launches, y: Address, dtype: DType, want: &[(f64, f64)], what: &str) {
    bench.run(launches);
    let got = numbers(&bench.get(y, want.len() * dtype.size()), dtype);
    for (i, (got, (want, bound))) in got.iter().zip(want).enumerate() {
        let bound = bound + rounding(want.abs() + bound, dtype);
        assert!((got - want).abs() <= bound, "{what} {dtype:?} [{i}]: {got}, want {want} ± {bound}");
    }
}

/// Mean, and what is to be divided by, of a set of numbers.
fn moments(values: &[f64], eps: f64) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, (variance + eps).sqrt())
}

#[test]
fn rows_of_any_width() {
    let mut bench = Bench::new();
    for dtype in FLOATS {
        for (rows, width, skip) in
            [(1, 1, 0), (300, 64, 0), (40, 10, 0), (3, 77, 3), (5, 1280, 0), (2, 2000, 1), (1, 20_000, 0)]
        {
            let what = format!("{rows}×{width} + {skip}");
            let x: Vec<f64> = noise(1, rows * width, dtype).iter().map(|x| 4.0 * x).collect();
            let (gain, bias) = (noise(2, width, dtype), noise(3, width, dtype));
            let [at, at_gain, at_bias] = [&x, &gain, &bias].map(|values| put(&mut bench, values, skip, dtype));
            let y = bench.room((x.len() + skip) * dtype.size()).plus(skip * dtype.size());
            // No thread has more than 32 elements and a share of the rest.
            let steps = 32.0 + width as f64 / 256.0;
            let softmax = Softmax { rows, width, dtype, x: at, y };
            let want: Vec<(f64, f64)> = x
                .chunks(width)
                .flat_map(|row| {
                    let e: Vec<f64> = row.iter().map(|x| x.exp()).collect();
                    let sum: f64 = e.iter().sum();
                    let relative = (steps + 24.0 + (width as f64).ln()) * U;
                    e.into_iter().map(move |e| (e / sum, relative * e / sum)).collect::<Vec<_>>()
                })
                .collect();
            check(&mut bench, &softmax.launches().unwrap(), y, dtype, &want, &format!("softmax {what}"));

            let eps = 1e-5;
            let norm = LayerNorm { rows, width, eps, dtype, result: dtype, x: at, gain: at_gain, bias: at_bias, y };
            let want: Vec<(f64, f64)> = x
                .chunks(width)
                .flat_map(|row| {
                    let (mean, deviation) = moments(row, f64::from(eps));
                    let mean_error = (steps + 11.0) * U * 4.0;
                    let element = |((x, gain), bias): ((&f64, &f64), &f64)| {
                        let scaled = (x - mean) / deviation * gain;
                        let relative = (steps + 24.0) * U + (mean_error / deviation).powi(2);
                        let bound =
                            scaled.abs() * relative + mean_error / deviation * gain.abs() + 2.0 * U * bias.abs();
                        (scaled + bias, bound)
                    };
                    row.iter().zip(&gain).zip(&bias).map(element).collect::<Vec<_>>()
                })
                .collect();
            for &result in results(dtype) {
                let launches = LayerNorm { result, ..norm }.launches().unwrap();
                check(&mut bench, &launches, y, result, &want, &format!("layer norm {what}"));
            }
        }
    }
}

#[test]
fn groups_of_any_size() {
    let mut bench = Bench::new();
    for dtype in FLOATS {
        for ([samples, pixels, channels, groups], skip) in [
            ([1, 1, 1, 1], 0),
            ([2, 49, 64, 32], 0),
            ([3, 30, 30, 5], 0),
            ([1, 100, 96, 32], 1),
            ([1, 3, 2600, 5], 0),
            ([1, 5, 5000, 1], 0),
            ([2, 600, 40, 2], 0),
            ([1, 1290, 32, 2], 0),
        ] {
            let x: Vec<f64> = noise(1, samples * pixels * channels, dtype).iter().map(|x| 4.0 * x).collect();
            let (gain, bias) = (noise(2, channels, dtype), noise(3, channels, dtype));
            let [at, at_gain, at_bias] = [&x, &gain, &bias].map(|values| put(&mut bench, values, skip, dtype));
            let y = bench.room((x.len() + skip) * dtype.size()).plus(skip * dtype.size());
            for silu in [false, true] {
                let eps = 1e-5;
                let (gain_at, bias_at) = (at_gain, at_bias);
                let norm = GroupNorm {
                    samples,
                    pixels,
                    channels,
                    groups,
                    eps,
                    silu,
                    dtype,
                    result: dtype,
                    x: at,
                    gain: gain_at,
                    bias: bias_at,
                    y,
                };
                let width = channels / groups;
                let mut want = vec![(0.0, 0.0); x.len()];
                for (sample, group) in (0..samples).flat_map(|n| (0..groups).map(move |g| (n, g))) {
                    let places: Vec<usize> = (0..pixels * width)
                        .map(|i| (sample * pixels + i / width) * channels + group * width + i % width)
                        .collect();
                    let values: Vec<f64> = places.iter().map(|&at| x[at]).collect();
                    let (mean, deviation) = moments(&values, f64::from(eps));
                    // All ways add at most so many numbers one after the other; all lie within 8 of each other.
                    let steps = (width + 60).max(pixels * width / 32) as f64;
                    let mean_error = steps * U * 8.0;
                    for (&at, x) in places.iter().zip(&values) {
                        let (gain, bias) = (gain[at % channels], bias[at % channels]);
                        let scaled = (x - mean) / deviation * gain;
                        let relative = steps * U * (1.0 + 8.0 / deviation) + (mean_error / deviation).powi(2);
                        let bound = scaled.abs() * relative
                            + (mean_error + 100.0 * U) / deviation * gain.abs()
                            + 4.0 * U * bias.abs();
                        let z = scaled + bias;
                        let sigmoid = 1.0 / (1.0 + (-z).exp());
                        want[at] = if silu { (z * sigmoid, 1.1 * bound + 8.0 * U * z.abs()) } else { (z, bound) };
                    }
                }
                let what = format!("{samples}×{pixels}×{channels} in {groups}, silu {silu}");
                for &result in results(dtype) {
                    let norm = GroupNorm { result, ..norm };
                    for launches in norm.variants(HOPPER).unwrap().into_iter().chain([norm.launches(HOPPER).unwrap()]) {
                        check(&mut bench, &launches, y, result, &want, &what);
                    }
                }
            }
        }
    }
}

/// What a norm's gradients are made of: g·x̂, g, and the gradient for x of one set of standardised numbers.
struct Gradient {
    normal: Vec<f64>,
    rstd: f64,
    x: Vec<f64>,
}

fn gradient(x: &[f64], h: &[f64], eps: f64) -> Gradient {
    let (mean, deviation) = moments(x, eps);
    let normal: Vec<f64> = x.iter().map(|x| (x - mean) / deviation).collect();
    let count = x.len() as f64;
    let alone = h.iter().sum::<f64>() / count;
    let with = h.iter().zip(&normal).map(|(h, n)| h * n).sum::<f64>() / count;
    let x = h.iter().zip(&normal).map(|(h, n)| (h - alone - n * with) / deviation).collect();
    Gradient { normal, rstd: 1.0 / deviation, x }
}

#[test]
fn gradients_of_groups() {
    let mut bench = Bench::new();
    for dtype in FLOATS {
        for ([samples, pixels, channels, groups], skip) in [
            ([1, 4, 1, 1], 0),
            ([2, 49, 64, 32], 0),
            ([3, 30, 30, 5], 0),
            ([1, 100, 96, 32], 1),
            ([1, 3, 2600, 5], 0),
            ([2, 600, 40, 2], 0),
            ([1, 9000, 16, 2], 0),
        ] {
            let picture = Picture { samples, pixels, channels, groups, dtype };
            let what = format!("{picture:?} + {skip}");
            let x: Vec<f64> = noise(1, samples * pixels * channels, dtype).iter().map(|x| 4.0 * x).collect();
            let (g, gain) = (noise(2, x.len(), dtype), noise(3, channels, dtype));
            let [at_x, at_g, at_gain] = [&x, &g, &gain].map(|values| put(&mut bench, values, skip, dtype));
            let (width, eps) = (channels / groups, 1e-3_f32);
            let single = DType::F32;
            let mut want_moments = vec![(0.0, 0.0); 2 * samples * groups];
            let mut want_sums = vec![(0.0, 0.0); 2 * samples * channels];
            let mut want = vec![(0.0, 0.0); x.len()];
            // No thread adds more numbers one after the other, and none of these is far from 1.
            let steps = (64 + width + pixels / 4) as f64 * U;
            for (sample, group) in (0..samples).flat_map(|n| (0..groups).map(move |g| (n, g))) {
                let places: Vec<usize> = (0..pixels * width)
                    .map(|i| (sample * pixels + i / width) * channels + group * width + i % width)
                    .collect();
                let values: Vec<f64> = places.iter().map(|&at| x[at]).collect();
                let h: Vec<f64> = places.iter().map(|&at| g[at] * gain[at % channels]).collect();
                let of = gradient(&values, &h, f64::from(eps));
                let (mean, _) = moments(&values, f64::from(eps));
                want_moments[sample * groups + group] = (mean, 4.0 * steps);
                want_moments[(samples + sample) * groups + group] = (of.rstd, 16.0 * steps * of.rstd);
                for (&at, normal) in places.iter().zip(&of.normal) {
                    let channel = sample * channels + at % channels;
                    let alone = samples * channels + channel;
                    want_sums[channel].0 += g[at] * normal;
                    want_sums[channel].1 += 16.0 * steps * (1.0 + of.rstd) * (g[at] * (normal.abs() + 1.0)).abs();
                    want_sums[alone].0 += g[at];
                    want_sums[alone].1 += steps * g[at].abs();
                }
                let size = h.iter().map(|h| h.abs()).sum::<f64>() / h.len() as f64;
                let most = of.normal.iter().fold(1.0_f64, |m, n| m.max(n.abs()));
                for ((&at, x), h) in places.iter().zip(&of.x).zip(&h) {
                    let bound = 32.0 * steps * (1.0 + of.rstd) * of.rstd * (h.abs() + size * (1.0 + most * most));
                    want[at] = (*x, bound);
                }
            }
            let moments_at = bench.room(4 * want_moments.len());
            let moments = GroupMoments { picture, eps, x: at_x, y: moments_at };
            for launches in moments.variants().unwrap().into_iter().chain([moments.launches().unwrap()]) {
                check(&mut bench, &launches, moments_at, single, &want_moments, &format!("moments {what}"));
            }
            let sums_at = bench.room(4 * want_sums.len());
            let sums = GroupNormSums { picture, g: at_g, x: at_x, moments: moments_at, y: sums_at };
            check(&mut bench, &sums.launches().unwrap(), sums_at, single, &want_sums, &format!("sums {what}"));
            let y = bench.room((x.len() + skip) * dtype.size()).plus(skip * dtype.size());
            let grad =
                GroupNormGrad { picture, g: at_g, x: at_x, gain: at_gain, moments: moments_at, sums: sums_at, y };
            check(&mut bench, &grad.launches().unwrap(), y, dtype, &want, &format!("gradient {what}"));
        }
    }
}

#[test]
fn gradients_of_rows() {
    let mut bench = Bench::new();
    for dtype in FLOATS {
        for (rows, width, skip) in
            [(1, 4, 0), (300, 64, 0), (40, 10, 0), (3, 77, 3), (5, 1280, 0), (2, 2000, 1), (700, 16, 0)]
        {
            let (what, eps) = (format!("{rows}×{width} + {skip}"), 1e-3_f32);
            let x: Vec<f64> = noise(1, rows * width, dtype).iter().map(|x| 4.0 * x).collect();
            let (g, gain) = (noise(2, x.len(), dtype), noise(3, width, dtype));
            let [at_x, at_g, at_gain] = [&x, &g, &gain].map(|values| put(&mut bench, values, skip, dtype));
            let steps = (64 + width / 32) as f64 * U;
            let (mut want, mut want_sums) = (Vec::new(), vec![(0.0, 0.0); 2 * width]);
            for (x, g) in x.chunks(width).zip(g.chunks(width)) {
                let h: Vec<f64> = g.iter().zip(&gain).map(|(g, gain)| g * gain).collect();
                let of = gradient(x, &h, f64::from(eps));
                let size = h.iter().map(|h| h.abs()).sum::<f64>() / width as f64;
                let most = of.normal.iter().fold(1.0_f64, |m, n| m.max(n.abs()));
                for (i, (dx, h)) in of.x.iter().zip(&h).enumerate() {
                    let bound = 32.0 * steps * (1.0 + of.rstd) * of.rstd * (h.abs() + size * (1.0 + most * most));
                    want.push((*dx, bound));
                    want_sums[i].0 += g[i] * of.normal[i];
                    want_sums[i].1 += 32.0 * steps * (1.0 + of.rstd) * (g[i] * (of.normal[i].abs() + 1.0)).abs();
                    want_sums[width + i].0 += g[i];
                    want_sums[width + i].1 += 2.0 * steps * g[i].abs();
                }
            }
            let y = bench.room((x.len() + skip) * dtype.size()).plus(skip * dtype.size());
            let grad = LayerNormGrad { rows, width, eps, dtype, g: at_g, x: at_x, gain: at_gain, y };
            check(&mut bench, &grad.launches().unwrap(), y, dtype, &want, &format!("gradient {what}"));
            let y = bench.room(8 * width);
            let sums = LayerNormSums { rows, width, eps, dtype, g: at_g, x: at_x, y };
            check(&mut bench, &sums.launches().unwrap(), y, DType::F32, &want_sums, &format!("sums {what}"));
        }
    }
}

#[test]
fn what_is_empty_launches_nothing() {
    let mut bench = Bench::new();
    let at = bench.room(0);
    let (dtype, eps) = (DType::F32, 1e-5);
    let softmax = Softmax { rows: 0, width: 7, dtype, x: at, y: at };
    let norm = LayerNorm { rows: 4, width: 0, eps, dtype, result: dtype, x: at, gain: at, bias: at, y: at };
    assert!(softmax.launches().unwrap().launches.is_empty() && norm.launches().unwrap().launches.is_empty());
}
