//! Gather, scatter-add and random numbers as a plan launches them: the bits of the processor.

mod common;

use common::{Bench, bytes, noise, numbers};
use yuragi_cuda::kernels::{
    random::Random,
    rows::{Gather, ScatterAdd},
};
use yuragi_graph::{DType, op::Distribution};
use yuragi_numeric::fill;

/// Numbers of rows, two of them out of range.
fn indices(count: usize, rows: usize) -> Vec<i32> {
    let scaled = noise(5, count, DType::F32).into_iter().map(|x| ((x + 1.0) / 2.0 * rows as f64) as i32);
    let mut all: Vec<i32> = scaled.collect();
    if let [first, .., last] = &mut all[..] {
        (*first, *last) = (-1, rows as i32);
    }
    all
}

fn bytes_of(indices: &[i32]) -> Vec<u8> {
    indices.iter().flat_map(|index| index.to_le_bytes()).collect()
}

#[test]
fn rows_are_read_and_summed() {
    let mut bench = Bench::new();
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for (rows, width, count) in [(1, 1, 1), (50, 24, 30), (3, 130, 500), (1, 5, 700), (2000, 8, 20), (7, 3, 0)] {
            let names = indices(count, rows);
            let (table, values) = (noise(1, rows * width, dtype), noise(2, count * width, dtype));
            let at = bench.put(&bytes_of(&names));
            let row = |index: i32| usize::try_from(index).ok().filter(|&row| row < rows);

            let [from, to] = [&table, &values].map(|x| bench.put(&bytes(x, dtype)));
            let y = bench.room(count * width * dtype.size());
            let gather = Gather { rows, width, count, dtype, table: from, indices: at, y };
            bench.run(&gather.launches().unwrap());
            let want: Vec<f64> = names
                .iter()
                .flat_map(|&index| row(index).map_or(vec![0.0; width], |row| table[row * width..][..width].to_vec()))
                .collect();
            assert_eq!(numbers(&bench.get(y, count * width * dtype.size()), dtype), want);

            let y = bench.room(rows * width * dtype.size());
            let scatter = ScatterAdd { rows, width, count, dtype, indices: at, values: to, y };
            bench.run(&scatter.launches().unwrap());
            let mut sums = vec![(0.0, 0.0); rows * width];
            for (&index, value) in names.iter().zip(values.chunks(width)) {
                if let Some(row) = row(index) {
                    for (sum, x) in sums[row * width..][..width].iter_mut().zip(value) {
                        *sum = (sum.0 + x, sum.1 + x.abs());
                    }
                }
            }
            let unit = if dtype == DType::F32 { 0.0 } else { dtype.unit_roundoff() };
            for (got, (sum, size)) in numbers(&bench.get(y, rows * width * dtype.size()), dtype).iter().zip(sums) {
                let bound = count as f64 / 16_777_216.0 * size + unit * f64::abs(sum);
                assert!((got - sum).abs() <= bound, "{rows}×{width} from {count}: {got}, want {sum} ± {bound}");
            }
        }
    }
}

#[test]
fn random_numbers_are_those_of_the_processor() {
    let mut bench = Bench::new();
    let key = bench.put(&[7_u32, u32::MAX].map(u32::to_le_bytes).concat());
    for count in [1, 6, 4099] {
        for law in [Distribution::Uniform, Distribution::Normal] {
            let y = bench.room(4 * count);
            bench.run(&Random { law, stream: 9, count, key, y }.launches());
            let mut want = vec![0.0_f32; count];
            match law {
                Distribution::Uniform => fill::uniform([7, u32::MAX], 9, 0, &mut want),
                Distribution::Normal => fill::normal([7, u32::MAX], 9, 0, &mut want),
            }
            let want: Vec<u8> = want.iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(bench.get(y, 4 * count), want);
        }
    }
}
