//! Elementwise kernels, products and transposes of this workspace, executed and compared with their formulas on sizes
//! that fit no tile. Those of a network's other operations stand in `operations`.

mod common;

use common::{Bench, blocks, noise};
use half::f16;
use yuragi_emulator::Arguments;

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
fn products_on_tensor_cores_meet_their_bound() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/gemm_f16.ptx");
    for (m, n, k, batch) in [(1, 1, 1, 1), (17, 9, 33, 1), (130, 70, 65, 2), (128, 128, 96, 1)] {
        let [lda, ldb, ldc] = [k, n, n].map(|extent: usize| extent.next_multiple_of(8));
        let (sa, sb, sc) = (m * lda, k * ldb, m * ldc);
        let round = |seed, count| noise(seed, count).iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>();
        let (a, b) = (round(7, batch * sa), round(8, batch * sb));
        let (pa, pb, pc) = (bench.put(&a), bench.put(&b), bench.room::<f32>(batch * sc));
        let arguments = Arguments::new().u64(pa).u64(pb).u64(pc).u64(0);
        let arguments = [m, n, k].iter().fold(arguments, |list, &x| list.u32(x as u32));
        let steps = [lda, 1, ldb, 1, ldc, sa, sb, sc, 0, 0, 0];
        let arguments = steps.iter().fold(arguments, |list, &x| list.u64(x as u64)).u32(1);
        let grid = [(m.div_ceil(256) * n.div_ceil(128)) as u32, 1, batch as u32];
        let report = bench.run(&module, "gemm_f16_nn_256x128", blocks(grid, 256, 98_304), arguments);
        let flops = report.counters.matrix_flops;
        assert!(flops == 0 || flops >= (2 * m * n * k * batch) as u64, "0 on a GPU");
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
