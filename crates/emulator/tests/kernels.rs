//! The kernels of this workspace, executed and compared with their formulas on sizes that fit no tile.

mod common;

use common::{Bench, blocks, noise};
use half::{bf16, f16};
use yuragi_emulator::Arguments;
use yuragi_numeric::fill;

/// Unit roundoff of single precision.
const U: f64 = 1.0 / 16_777_216.0;

#[test]
fn elementwise_functions_are_those_of_their_names() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/elementwise.ptx");
    for n in [1, 3, 4, 31, 1000, 1027] {
        let (a, b) = (noise(1, n), noise(2, n));
        let (pa, pb) = (bench.put(&a), bench.put(&b));
        let y = bench.room::<f32>(n);
        let launch = blocks([3, 1, 1], 64, 0);
        let binary = Arguments::new().u64(pa).u64(pb).u64(y).u64(n as u64);
        bench.run(&module, "add_f32", launch, binary.clone());
        let sums: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        assert_eq!(bench.get::<f32>(y, n), sums);
        bench.run(&module, "mul_f32", launch, binary);
        let products: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
        assert_eq!(bench.get::<f32>(y, n), products);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        // Φ(x) by its series is more than exact enough below 1.
        let normal = |x: f64| {
            let term = |k: i32, t: f64| -t * x * x / 2.0 * f64::from(2 * k - 1) / f64::from(k) / f64::from(2 * k + 1);
            let series = (1..40).scan(x, |t, k| {
                *t = term(k, *t);
                Some(*t)
            });
            0.5 + (x + series.sum::<f64>()) / (2.0 * std::f64::consts::PI).sqrt()
        };
        for (name, f) in [
            ("sigmoid_f32", &sigmoid as &dyn Fn(f64) -> f64),
            ("silu_f32", &|x| x * sigmoid(x)),
            ("gelu_f32", &|x| x * normal(x)),
        ] {
            bench.run(&module, name, launch, Arguments::new().u64(pa).u64(y).u64(n as u64));
            for (x, y) in a.iter().zip(bench.get::<f32>(y, n)) {
                let want = f(f64::from(*x));
                assert!(
                    (f64::from(y) - want).abs() <= 16.0 * U * want.abs().max(x.abs().into()),
                    "{name}({x}) = {y}, want {want}"
                );
            }
        }
        let half: Vec<f16> = a.iter().map(|&x| f16::from_f32(x)).collect();
        let (px, py) = (bench.put(&half), bench.room::<f16>(n));
        bench.run(&module, "add_f16", launch, Arguments::new().u64(px).u64(px).u64(py).u64(n as u64));
        let doubled: Vec<f16> = half.iter().map(|&x| f16::from_f32(2.0 * x.to_f32())).collect();
        assert_eq!(bench.get::<f16>(py, n), doubled);
    }
}

#[test]
fn rows_of_a_softmax_and_sums_of_rows() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/softmax.ptx");
    for (rows, n, threads) in [(1, 1, 32), (3, 33, 64), (5, 257, 128), (2, 1000, 96)] {
        let x: Vec<f32> = noise(3, rows * n).iter().map(|x| 8.0 * x).collect();
        let (px, py) = (bench.put(&x), bench.room::<f32>(rows * n));
        let arguments = Arguments::new().u64(px).u64(py).u32(rows as u32).u32(n as u32);
        bench.run(&module, "softmax_f32", blocks([2, 1, 1], threads, 0), arguments.clone());
        let steps = n.div_ceil(threads as usize) as f64;
        for (row, got) in x.chunks(n).zip(bench.get::<f32>(py, rows * n).chunks(n)) {
            let most = row.iter().copied().fold(f32::MIN, f32::max);
            let e: Vec<f64> = row.iter().map(|&x| f64::from(x - most).exp()).collect();
            let sum: f64 = e.iter().sum();
            for ((&x, e), &got) in row.iter().zip(&e).zip(got) {
                let bound = (steps + 14.0 + (n as f64).ln() + f64::from((x - most).abs())) * U * e / sum;
                assert!((f64::from(got) - e / sum).abs() <= bound);
            }
        }
        bench.run(&module, "row_sum_f32", blocks([2, 1, 1], threads, 0), arguments);
        for (row, got) in x.chunks(n).zip(bench.get::<f32>(py, rows)) {
            let sum: f64 = row.iter().map(|&x| f64::from(x)).sum();
            let size: f64 = row.iter().map(|&x| f64::from(x.abs())).sum();
            assert!((f64::from(got) - sum).abs() <= (steps + 9.0) * U * size);
        }
    }
}

#[test]
fn groups_are_normalised_with_and_without_silu() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/group_norm_silu.ptx");
    for (samples, pixels, channels, groups, threads) in [(1, 1, 2, 1, 32), (2, 7, 12, 3, 64), (2, 49, 40, 8, 128)] {
        let (x, gain, bias) = (noise(4, samples * pixels * channels), noise(5, channels), noise(6, channels));
        let [px, pg, pb] = [&x, &gain, &bias].map(|v| bench.put(v));
        let py = bench.room::<f32>(x.len());
        let extents = [pixels, channels, groups].map(|n| n as u32);
        for (name, silu) in [("group_norm_f32", false), ("group_norm_silu_f32", true)] {
            let eps = 1e-5_f32;
            let arguments = Arguments::new().u64(px).u64(pg).u64(pb).u64(py);
            let arguments = extents.iter().fold(arguments, |a, &n| a.u32(n)).f32(eps);
            bench.run(&module, name, blocks([(samples * groups) as u32, 1, 1], threads, 0), arguments);
            let y = bench.get::<f32>(py, x.len());
            let width = channels / groups;
            for (sample, group) in (0..samples).flat_map(|n| (0..groups).map(move |g| (n, g))) {
                let place = |p: usize, c: usize| (sample * pixels + p) * channels + group * width + c;
                let places: Vec<(usize, usize)> = (0..pixels).flat_map(|p| (0..width).map(move |c| (p, c))).collect();
                let m = places.len() as f64;
                let value = |&(p, c): &(usize, usize)| f64::from(x[place(p, c)]);
                let mean = places.iter().map(value).sum::<f64>() / m;
                let variance = places.iter().map(|at| (value(at) - mean).powi(2)).sum::<f64>() / m;
                let deviation = (variance + f64::from(eps)).sqrt();
                let steps = (m / f64::from(threads)).ceil();
                let mean_error = (steps + 11.0) * U * places.iter().map(|at| value(at).abs()).sum::<f64>() / m;
                for at in &places {
                    let c = group * width + at.1;
                    let (gain, bias) = (f64::from(gain[c]), f64::from(bias[c]));
                    let scaled = (value(at) - mean) / deviation * gain;
                    let z = scaled + bias;
                    let slack = (steps + 14.0) * U / 2.0 + (mean_error / deviation).powi(2) + 6.0 * U;
                    let bound = scaled.abs() * slack
                        + (mean_error / deviation * gain).abs()
                        + 2.0 * U * (scaled.abs() + bias.abs());
                    let (want, bound) = match silu {
                        true => (z / (1.0 + (-z).exp()), 1.1 * bound + 16.0 * U * z.abs()),
                        false => (z, bound),
                    };
                    let got = f64::from(y[place(at.0, at.1)]);
                    assert!((got - want).abs() <= bound, "{name} {at:?}: {got}, want {want} ± {bound}");
                }
            }
        }
    }
}

#[test]
fn products_on_tensor_cores_meet_their_bound() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/gemm_f16.ptx");
    for (m, n, k, batch) in [(1, 1, 1, 1), (17, 9, 33, 1), (130, 70, 65, 2), (128, 128, 96, 1)] {
        let [lda, ldb, ldc] = [k, n, n].map(|extent: usize| extent.next_multiple_of(8));
        let (sa, sb, sc) = (m * lda, k * ldb, m * ldc);
        let round = |seed, count| noise(seed, count).iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>();
        let (a, b) = (round(7, batch * sa), round(8, batch * sb));
        let (pa, pb, pc) = (bench.put(&a), bench.put(&b), bench.room::<f32>(batch * sc));
        let arguments = Arguments::new().u64(pa).u64(pb).u64(pc);
        let arguments = [m, n, k, lda, ldb, ldc].iter().fold(arguments, |list, &x| list.u32(x as u32));
        let arguments = [sa, sb, sc].iter().fold(arguments, |list, &x| list.u64(x as u64));
        let grid = [m.div_ceil(128) as u32, n.div_ceil(128) as u32, batch as u32];
        let report = bench.run(&module, "gemm_f16_f32", blocks(grid, 256, 49_152), arguments.clone());
        assert!(report.counters.matrix_flops >= (2 * m * n * k * batch) as u64);
        assert_eq!(report.counters.shared_passes, report.counters.shared_least_passes, "bank conflicts");
        let c = bench.get::<f32>(pc, batch * sc);
        for (z, i, j) in (0..batch).flat_map(|z| (0..m).flat_map(move |i| (0..n).map(move |j| (z, i, j)))) {
            let terms = (0..k).map(|l| f64::from(a[z * sa + i * lda + l]) * f64::from(b[z * sb + l * ldb + j]));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + f64::abs(t)));
            let got = f64::from(c[z * sc + i * ldc + j]);
            let bound = (1.25 * k as f64 + 2.0) * 2.0 * U * size;
            assert!((got - sum).abs() <= bound, "{m}×{n}×{k}: c[{i}][{j}] = {got}, want {sum} ± {bound}");
        }
    }
    let (a, b) = ([bf16::from_f32(1.5); 8], [bf16::from_f32(-2.0); 8]);
    let (pa, pb, pc) = (bench.put(&a), bench.put(&b), bench.room::<bf16>(8));
    let arguments = Arguments::new().u64(pa).u64(pb).u64(pc);
    let arguments = [1, 8, 1, 8, 8, 8].iter().fold(arguments, |list, &x| list.u32(x));
    let arguments = [8, 8, 8].iter().fold(arguments, |list, &x| list.u64(x));
    bench.run(&module, "gemm_bf16", blocks([1, 1, 1], 256, 49_152), arguments);
    assert_eq!(bench.get::<bf16>(pc, 8), [bf16::from_f32(-3.0); 8]);
}

#[test]
fn noise_has_the_bits_of_the_processor() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/philox_normal.ptx");
    for (n, first) in [(1, 0), (7, 3), (1001, 1 << 40), (64, u64::MAX - 5)] {
        let py = bench.room::<f32>(n);
        let arguments = Arguments::new().u64(py).u64(n as u64).u32(11).u32(22).u32(33).u64(first);
        let mut want = vec![0.0; n];
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        bench.run(&module, "philox_normal_f32", blocks([2, 1, 1], 96, 0), arguments.clone());
        fill::normal([11, 22], 33, first, &mut want);
        assert_eq!(bits(&bench.get::<f32>(py, n)), bits(&want));
        bench.run(&module, "philox_uniform_f32", blocks([2, 1, 1], 96, 0), arguments);
        fill::uniform([11, 22], 33, first, &mut want);
        assert_eq!(bits(&bench.get::<f32>(py, n)), bits(&want));
    }
}

#[test]
fn a_transpose_is_a_copy() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/transpose.ptx");
    for (batch, rows, columns) in [(1, 1, 1), (2, 33, 65), (1, 64, 31)] {
        let x = noise(9, batch * rows * columns);
        let (px, py) = (bench.put(&x), bench.room::<f32>(x.len()));
        let tiles = rows.div_ceil(32) * columns.div_ceil(32);
        let mut launch = blocks([tiles as u32, batch as u32, 1], 32, 0);
        launch.block[1] = 8;
        let arguments = Arguments::new().u64(px).u64(py).u32(rows as u32).u32(columns as u32);
        let report = bench.run(&module, "transpose_f32", launch, arguments);
        assert_eq!(report.counters.shared_passes, report.counters.shared_least_passes, "bank conflicts");
        let y = bench.get::<f32>(py, x.len());
        for (b, i, j) in (0..batch).flat_map(|b| (0..rows).flat_map(move |i| (0..columns).map(move |j| (b, i, j)))) {
            assert_eq!(y[(b * columns + j) * rows + i], x[(b * rows + i) * columns + j]);
        }
    }
}
