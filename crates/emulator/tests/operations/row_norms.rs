//! Softmax, layer norm and sums of rows.

use half::{bf16, f16};
use yuragi_emulator::Arguments;

use crate::common::{Bench, Module, blocks, needs_the_emulator, noise};
use crate::{Stored, U, assert_within, put_at, room_at, stored, values};

/// Rows, elements of a row, threads of a block, of a team, elements before the first.
type Case = (usize, usize, u32, u32, usize);

/// Held in registers by part of a warp, by a block, and read thrice.
fn cases<T: Stored>() -> Vec<Case> {
    let lanes = T::LANES;
    vec![
        (1, 1, 32, 1, 0),
        (7, 10, 64, 4, 0),
        (37, 8 * lanes, 64, 8, 0),
        (9, 8 * lanes, 64, 8, 1),
        (5, 77, 64, 32, 0),
        (3, 2 * lanes, 96, 96, 0),
        (3, 1024, 64, 64, 0),
        (2, 1024 + lanes, 64, 64, 0),
        (2, 333, 96, 96, 0),
    ]
}

/// The most terms that a thread adds.
fn chain<T: Stored>(n: usize, team: u32) -> f64 {
    (n.div_ceil(team as usize) + T::LANES - 1) as f64
}

fn softmax<T: Stored>(bench: &Bench, module: &Module, x: &[T], (rows, n, threads, team, skip): Case) -> Vec<T> {
    let (px, py) = (put_at(bench, x, skip), room_at::<T>(bench, x.len(), skip));
    let arguments = Arguments::new().u64(px).u64(py).u32(rows as u32).u32(n as u32).u32(team);
    bench.run(module, &format!("softmax_{}", T::NAME), blocks([2, 1, 1], threads, 0), arguments);
    bench.get(py, x.len())
}

fn check_softmax<T: Stored>(bench: &Bench, module: &Module, x: &[T], case: Case) {
    let (_, n, _, team, _) = case;
    let (mut want, mut bounds) = (Vec::new(), Vec::new());
    for row in values(x).chunks(n) {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let e: Vec<f64> = row.iter().map(|x| (x - most).exp()).collect();
        let sum: f64 = e.iter().sum();
        for (x, e) in row.iter().zip(&e) {
            want.push(e / sum);
            // Results near zero come from an exponential that may have been a subnormal number.
            let relative = chain::<T>(n, team) + 15.0 + (n as f64).ln() + (x - most).abs().min(200.0);
            bounds.push(relative * U * e / sum + 1e-44);
        }
    }
    assert_within(&softmax(bench, module, x, case), &want, &bounds, &case);
}

fn softmaxes<T: Stored>() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/softmax.ptx");
    for case in cases::<T>() {
        let count = case.0 * case.1;
        check_softmax(&bench, &module, &stored::<T>(3, count, 8.0), case);
        // Far from zero, where only the shift by the largest saves the exponential.
        let far: Vec<T> = stored::<T>(4, count, 3.0).iter().map(|x| T::new(x.value() + 30_000.0)).collect();
        check_softmax(&bench, &module, &far, case);
        let mut hidden = stored::<T>(5, count, 100.0);
        for x in hidden.iter_mut().skip(1).step_by(3) {
            *x = T::new(f64::NEG_INFINITY);
        }
        if case.1 > 3 {
            check_softmax(&bench, &module, &hidden, case);
        }
        for odd in [f64::INFINITY, f64::NAN] {
            let mut x = stored::<T>(6, count, 1.0);
            x[count - 1] = T::new(odd);
            let y = softmax(&bench, &module, &x, case);
            let (sound, broken) = y.split_at(count - case.1);
            assert!(sound.iter().all(|y| y.value().is_finite()) && broken.iter().all(|y| y.value().is_nan()));
        }
        let none = vec![T::new(f64::NEG_INFINITY); count];
        assert!(softmax(&bench, &module, &none, case).iter().all(|y| y.value().is_nan()));
    }
}

#[test]
fn rows_of_a_softmax() {
    softmaxes::<f32>();
    softmaxes::<f16>();
    softmaxes::<bf16>();
}

fn layer_norms<T: Stored>() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/layer_norm.ptx");
    for case in cases::<T>() {
        let (rows, n, threads, team, skip) = case;
        let (gain, bias) = (stored::<T>(5, n, 1.0), stored::<T>(6, n, 1.0));
        for (centre, eps) in [(0.0, 1e-5_f32), (100.0, 1e-6)] {
            let x: Vec<T> = stored::<T>(4, rows * n, 2.0).iter().map(|x| T::new(x.value() + centre)).collect();
            let [px, pg, pb] = [&x, &gain, &bias].map(|v| put_at(&bench, v, skip));
            let py = room_at::<T>(&bench, x.len(), skip);
            let arguments = Arguments::new().u64(px).u64(pg).u64(pb).u64(py);
            let arguments = arguments.u32(rows as u32).u32(n as u32).f32(eps).u32(team);
            bench.run(&module, &format!("layer_norm_{}", T::NAME), blocks([2, 1, 1], threads, 0), arguments);
            let (mut want, mut bounds) = (Vec::new(), Vec::new());
            for row in values(&x).chunks(n) {
                let m = n as f64;
                let mean = row.iter().sum::<f64>() / m;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / m;
                let scale = 1.0 / (variance + f64::from(eps)).sqrt();
                let steps = chain::<T>(n, team);
                let mean_error = (steps + 11.0) * U * row.iter().map(|x| x.abs()).sum::<f64>() / m;
                // √ halves a relative error of the variance; its square of the mean's error counts absolutely.
                let relative = (steps + 14.0) * U / 2.0 + (mean_error * scale).powi(2) + 8.0 * U;
                for ((x, gain), bias) in row.iter().zip(&gain).zip(&bias) {
                    let (gain, bias) = (gain.value(), bias.value());
                    let scaled = (x - mean) * scale * gain;
                    want.push(scaled + bias);
                    bounds
                        .push(scaled.abs() * relative + mean_error * scale * gain.abs() * 1.01 + 2.0 * U * bias.abs());
                }
            }
            assert_within(&bench.get::<T>(py, x.len()), &want, &bounds, &(case, centre));
        }
    }
}

#[test]
fn rows_of_a_layer_norm() {
    layer_norms::<f32>();
    layer_norms::<f16>();
    layer_norms::<bf16>();
}

#[test]
fn whole_rows_are_moved_by_sectors() {
    if needs_the_emulator("the number of sectors") {
        return;
    }
    let bench = Bench::new();
    let module = bench.shipped("sm_80/softmax.ptx");
    let (rows, n) = (64, 64);
    let (px, py) = (bench.put(&stored::<f16>(1, rows * n, 1.0)), bench.room::<f16>(rows * n));
    let arguments = Arguments::new().u64(px).u64(py).u32(rows as u32).u32(n as u32).u32(8);
    let report = bench.run(&module, "softmax_f16", blocks([2, 1, 1], 256, 0), arguments);
    assert_eq!(report.counters.global_sectors, 2 * (rows * n * 2 / 32) as u64);
}

#[test]
fn sums_of_rows() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/softmax.ptx");
    for (rows, n, threads) in [(1, 1, 32), (3, 33, 64), (5, 257, 128), (2, 1000, 96)] {
        let x: Vec<f32> = noise(3, rows * n).iter().map(|x| 8.0 * x).collect();
        let (px, py) = (bench.put(&x), bench.room::<f32>(rows));
        let arguments = Arguments::new().u64(px).u64(py).u32(rows as u32).u32(n as u32);
        bench.run(&module, "row_sum_f32", blocks([2, 1, 1], threads, 0), arguments);
        let steps = n.div_ceil(threads as usize) as f64;
        let rows_of_x: Vec<Vec<f64>> = values(&x).chunks(n).map(<[f64]>::to_vec).collect();
        let want: Vec<f64> = rows_of_x.iter().map(|row| row.iter().sum()).collect();
        let size = |row: &Vec<f64>| row.iter().map(|x| x.abs()).sum::<f64>();
        let bounds: Vec<f64> = rows_of_x.iter().map(|row| (steps + 9.0) * U * size(row)).collect();
        assert_within(&bench.get::<f32>(py, rows), &want, &bounds, &(rows, n));
    }
}
