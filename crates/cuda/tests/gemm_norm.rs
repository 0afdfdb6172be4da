//! Products with the layer norms of their rows in the emulator, against double precision, within the bounds of the kernels'
//! contracts.

mod common;

use common::{Bench, bytes, noise, numbers};
use yuragi_cuda::{
    kernels::{
        gemm::{Gemm, Matrices},
        gemm_norm::GemmNorm,
        product::{Factors, Machine},
    },
    launch::Argument,
};
use yuragi_graph::{DType, op::MatMul};

/// Unit roundoff of single precision.
const U: f64 = 1.0 / 16_777_216.0;

const HOPPER: Machine = Machine { multiprocessors: 132, hopper: true };

/// C and its norms of one product by every kernel for it. `centre` is what the biases lie around: rows' means are large beside
/// their deviations if it is.
fn check(factors: Factors, transpose_b: bool, [m, n, k]: [usize; 3], centre: Option<f64>) {
    let mut bench = Bench::new();
    let dtype = factors.dtype();
    let (a, b) = (noise(1, m * k, dtype), noise(2, k * n, dtype));
    let rounded = |x: &f64| f64::from((x + centre.unwrap_or(0.0)) as f32);
    let bias: Vec<f64> = noise(3, n, DType::F32).iter().map(rounded).collect();
    let [gain, shift] = [4, 5].map(|seed| noise(seed, n, DType::F32));
    let [at_a, at_b] = [&a, &b].map(|values| bench.put(&bytes(values, dtype)));
    let [at_bias, at_gain, at_shift] = [&bias, &gain, &shift].map(|values| bench.put(&bytes(values, DType::F32)));
    let (rows, columns) = if transpose_b { (n, k) } else { (k, n) };
    let untouched = vec![-7.0; m * n + 8];
    let factor = |l: usize, j: usize| if transpose_b { b[j * k + l] } else { b[l * n + j] };
    let eps = 1e-5_f32;
    let mut count = 0;
    loop {
        let x = bench.put(&bytes(&untouched, DType::F32));
        let z = bench.put(&bytes(&untouched, dtype));
        let gemm = Gemm {
            batch: 1,
            m,
            n,
            k,
            op: MatMul { transpose_a: false, transpose_b },
            a: Matrices::contiguous(at_a, m, k),
            b: Matrices::contiguous(at_b, rows, columns),
            c: Matrices::contiguous(x, m, n),
            bias: centre.map(|_| at_bias),
            factors,
            result: DType::F32,
        };
        let both = GemmNorm { gemm, eps, x, gain: at_gain, shift: at_shift, z };
        let mut variants = both.variants(HOPPER).unwrap();
        assert_eq!(variants.len(), 2);
        let launches = variants.swap_remove(count);
        let what = format!("{factors:?} {m}×{n}×{k} {}", launches.launches[0].function);
        bench.run(&launches);
        let [sums, norms] = [(x, DType::F32), (z, dtype)].map(|(at, dtype)| {
            let got = numbers(&bench.get(at, untouched.len() * dtype.size()), dtype);
            assert_eq!(got[m * n..], untouched[m * n..], "{what}: written beside the result");
            got
        });
        for i in 0..m {
            let row = &sums[i * n..][..n];
            for (j, &got) in row.iter().enumerate() {
                let terms = (0..k).map(|l| a[i * k + l] * factor(l, j));
                let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + f64::abs(t)));
                let value = sum + if centre.is_some() { bias[j] } else { 0.0 };
                let error = (1.25 * k as f64 + 2.0) * 2.0 * U * size + 2.0 * U * (sum.abs() + value.abs());
                assert!((got - value).abs() <= error, "{what}: c[{i}][{j}] = {got}, want {value} ± {error}");
            }
            let mean = row.iter().sum::<f64>() / n as f64;
            let size = row.iter().map(|x| x.abs()).sum::<f64>() / n as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            let deviation = (variance + f64::from(eps)).sqrt();
            let blocks = n as f64 / 160.0;
            let mean_error = (16.0 + blocks) * U * size;
            for (j, x) in row.iter().enumerate() {
                let scaled = (x - mean) / deviation * gain[j];
                let relative = (19.0 + blocks + 6.0) * U + (mean_error / deviation).powi(2);
                let bound = scaled.abs() * relative + mean_error / deviation * gain[j].abs() + 2.0 * U * shift[j].abs();
                let want = scaled + shift[j];
                let rounding = dtype.unit_roundoff() * (want.abs() + bound) + 2.0_f64.powi(-25);
                let got = norms[i * n + j];
                let error = bound + rounding;
                assert!((got - want).abs() <= error, "{what}: z[{i}][{j}] = {got}, want {want} ± {error}");
            }
        }
        count += 1;
        if count == 2 {
            break;
        }
    }
}

#[test]
fn rows_of_two_four_and_eight_blocks() {
    for factors in [Factors::F16, Factors::BF16] {
        check(factors, false, [70, 320, 72], None);
        check(factors, true, [5, 640, 136], Some(0.0));
        check(factors, true, [129, 320, 64], Some(0.0));
        check(factors, false, [64, 1280, 200], Some(0.0));
    }
}

#[test]
fn rows_whose_means_are_large_beside_their_deviations() {
    check(Factors::F16, true, [66, 320, 24], Some(1000.0));
    check(Factors::BF16, false, [3, 1280, 8], Some(-300.0));
}

#[test]
fn blocks_of_a_cluster_store_whole_sectors() {
    let mut bench = Bench::new();
    let (m, n, k) = (128, 320, 64);
    let [a, b] = [m * k, k * n].map(|count| bench.put(&bytes(&noise(1, count, DType::F16), DType::F16)));
    let [gain, shift] = [2, 3].map(|seed| bench.put(&bytes(&noise(seed, n, DType::F32), DType::F32)));
    let [x, z] = [bench.room(4 * m * n), bench.room(2 * m * n)];
    let matrices = |at, rows, columns| Matrices::contiguous(at, rows, columns);
    let op = MatMul { transpose_a: false, transpose_b: false };
    let (factors, result) = (Factors::F16, DType::F32);
    let (a, b, c) = (matrices(a, m, k), matrices(b, k, n), matrices(x, m, n));
    let gemm = Gemm { batch: 1, m, n, k, op, a, b, c, bias: None, factors, result };
    for launches in (GemmNorm { gemm, eps: 1e-5, x, gain, shift, z }).variants(HOPPER).unwrap() {
        let counters = &bench.run(&launches)[0];
        let what = &launches.launches[0].function;
        assert!(matches!(launches.launches[0].arguments[0], Argument::Tensor(_)), "{what}");
        assert!(counters.coalescing() >= 1.0, "{what}: {}", counters.coalescing());
        assert_eq!(counters.shared_passes, counters.shared_least_passes, "{what}: bank conflicts");
    }
}
