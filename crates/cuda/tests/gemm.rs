//! Matrix products in the emulator, against sums in double precision, within the bounds of the kernels' contracts.

mod common;

use common::{Bench, bytes, noise, numbers};
use yuragi_cuda::{
    kernels::{
        gemm::{Gemm, Matrices},
        product::{Factors, Machine},
    },
    launch::Launches,
};
use yuragi_graph::{DType, op::MatMul};

/// Unit roundoff of single precision.
const U: f64 = 1.0 / 16_777_216.0;

/// With so few multiprocessors, blocks that stay take several tiles.
const MACHINES: [Machine; 3] = [
    Machine { multiprocessors: 132, hopper: false },
    Machine { multiprocessors: 132, hopper: true },
    Machine { multiprocessors: 2, hopper: true },
];

/// What a case is made of.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// Batch, m, n, k.
    sizes: [usize; 4],
    op: MatMul,
    factors: Factors,
    result: DType,
    bias: bool,
    /// Elements between the start of each buffer and the first matrix, and behind each row.
    gap: usize,
    /// All products share one second factor.
    shared: bool,
}

const PLAIN: MatMul = MatMul { transpose_a: false, transpose_b: false };

impl Case {
    fn new(factors: Factors, sizes: [usize; 4]) -> Case {
        let result = factors.dtype();
        Case { sizes, op: PLAIN, factors, result, bias: false, gap: 0, shared: false }
    }

    /// Every tile shape, shared and not, and what the machine would choose.
    fn check(self, bench: &mut Bench) {
        let Case { sizes: [batch, m, n, k], op, factors, result, gap, .. } = self;
        let matrices = |bench: &mut Bench, seed: u64, rows: usize, columns: usize, dtype: DType| {
            let pitch = columns + gap;
            let stride = rows * pitch;
            // What lies between the matrices would spoil every sum.
            let mut all = vec![f64::NAN; gap + batch * stride];
            for (row, values) in noise(seed, batch * rows * columns, dtype).chunks(columns.max(1)).enumerate() {
                all[gap + row * pitch..][..columns].copy_from_slice(values);
            }
            let at = bench.put(&bytes(&all, dtype)).plus(gap * dtype.size());
            (Matrices { at, pitch, stride }, all)
        };
        let swap = |rows: usize, columns: usize, swap: bool| if swap { (columns, rows) } else { (rows, columns) };
        let (rows_a, columns_a) = swap(m, k, op.transpose_a);
        let (rows_b, columns_b) = swap(k, n, op.transpose_b);
        let (a, values_a) = matrices(bench, 1, rows_a, columns_a, factors.dtype());
        let (mut b, values_b) = matrices(bench, 2, rows_b, columns_b, factors.dtype());
        if self.shared {
            b = b.shared();
        }
        let bias = noise(3, n, result);
        let at_bias = self.bias.then(|| bench.put(&bytes(&bias, result)));
        let size = gap + batch * m * (n + gap);
        let untouched = vec![-7.0; size];

        let place = |x: Matrices, z: usize, row: usize, column: usize, swap: bool| {
            let (row, column) = if swap { (column, row) } else { (row, column) };
            gap + z * x.stride + row * x.pitch + column
        };
        let factor = |z: usize, i: usize, j: usize, l: usize| {
            let x = values_a[place(a, z, i, l, op.transpose_a)];
            let y = values_b[place(b, z, l, j, op.transpose_b)];
            x * y
        };
        let unit = result.unit_roundoff();
        let k_size = k as f64;
        let relative = match factors {
            Factors::F32 => k_size * U / (1.0 - k_size * U),
            Factors::Tf32 => (1.25 * k_size + 2.0) * 2.0 * U + 2.1 / 2048.0,
            Factors::F16 | Factors::BF16 => (1.25 * k_size + 2.0) * 2.0 * U,
        };
        let check = |bench: &mut Bench, what: &str, gap_c: usize, launch: &dyn Fn(&Gemm) -> Launches| {
            let buffer = bench.put(&bytes(&untouched, result));
            let c = Matrices { at: buffer.plus(gap * result.size()), pitch: n + gap_c, stride: m * (n + gap_c) };
            let gemm = Gemm { batch, m, n, k, op, a, b, c, bias: at_bias, factors, result };
            bench.run(&launch(&gemm));
            let got = numbers(&bench.get(buffer, size * result.size()), result);
            let mut want = untouched.clone();
            for (z, i, j) in places(batch, m, n) {
                let at = gap + z * c.stride + i * c.pitch + j;
                let terms = (0..k).map(|l| factor(z, i, j, l));
                let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + f64::abs(t)));
                let shared = 31.0 * U * size;
                let mut error = relative * size + shared;
                error += unit * (sum.abs() + error);
                let mut value = sum;
                if self.bias {
                    value += bias[j];
                    error += unit * (value.abs() + error);
                }
                let got = got[at];
                assert!(
                    (got - value).abs() <= error,
                    "{self:?} {what}: c[{z}][{i}][{j}] = {got}, want {value} ± {error}"
                );
                want[at] = got;
            }
            assert_eq!(got, want, "{self:?} {what}: written beside the result");
        };
        let variants = |gemm: &Gemm| gemm.variants(MACHINES[2]).unwrap();
        let example = Gemm { batch, m, n, k, op, a, b, c: a, bias: at_bias, factors, result };
        for index in 0..variants(&example).len() {
            check(bench, &format!("variant {index}"), 0, &|gemm| variants(gemm).swap_remove(index));
        }
        for machine in MACHINES {
            check(bench, "chosen", gap, &|gemm| gemm.launches(machine).unwrap());
        }
    }
}

fn places(batch: usize, m: usize, n: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..batch).flat_map(move |z| (0..m).flat_map(move |i| (0..n).map(move |j| (z, i, j))))
}

fn transposes() -> [MatMul; 4] {
    [(false, false), (false, true), (true, false), (true, true)]
        .map(|(transpose_a, transpose_b)| MatMul { transpose_a, transpose_b })
}

/// Sizes that fit no tile, a result of several tiles, and everything of one element.
const SIZES: [[usize; 4]; 5] = [[1, 1, 1, 1], [2, 3, 5, 17], [1, 17, 1, 3], [1, 5, 130, 33], [1, 131, 66, 70]];

fn all_layouts(factors: Factors) {
    let mut bench = Bench::new();
    for sizes in SIZES {
        for op in transposes() {
            Case { op, ..Case::new(factors, sizes) }.check(&mut bench);
        }
    }
    for (index, op) in transposes().into_iter().enumerate() {
        let gap = [1, 4, 8, 3][index];
        Case { op, gap, bias: true, ..Case::new(factors, [2, 20, 24, 40]) }.check(&mut bench);
    }
    Case { shared: true, bias: true, ..Case::new(factors, [3, 8, 16, 32]) }.check(&mut bench);
}

#[test]
fn products_of_single_precision() {
    all_layouts(Factors::F32);
}

#[test]
fn products_of_factors_rounded_to_11_bits() {
    all_layouts(Factors::Tf32);
}

fn of_16_bits(factors: Factors) {
    all_layouts(factors);
    let mut bench = Bench::new();
    for op in transposes() {
        // Rows at multiples of 16 bytes, of sizes that end within a chunk, and several tiles.
        Case { op, gap: 3, ..Case::new(factors, [2, 21, 13, 45]) }.check(&mut bench);
        Case { op, bias: true, ..Case::new(factors, [1, 136, 72, 200]) }.check(&mut bench);
        Case { op, result: DType::F32, bias: true, ..Case::new(factors, [2, 24, 40, 72]) }.check(&mut bench);
    }
    // Several of the largest tiles, and more steps than are on their way at a time.
    Case::new(factors, [1, 264, 136, 168]).check(&mut bench);
}

#[test]
fn products_of_half_precision() {
    of_16_bits(Factors::F16);
}

#[test]
fn products_of_half_precision_in_many_boxes() {
    Case { bias: true, ..Case::new(Factors::F16, [2, 72, 264, 328]) }.check(&mut Bench::new());
}

#[test]
fn products_of_bfloat16() {
    of_16_bits(Factors::BF16);
}

#[test]
fn empty_products_launch_nothing_and_empty_sums_are_zero() {
    let mut bench = Bench::new();
    for sizes in [[0, 2, 3, 4], [2, 0, 3, 4], [2, 3, 0, 4]] {
        let at = bench.room(4);
        let x = Matrices { at, pitch: 1, stride: 1 };
        let [batch, m, n, k] = sizes;
        let (factors, result) = (Factors::F32, DType::F32);
        let gemm = Gemm { batch, m, n, k, op: PLAIN, a: x, b: x, c: x, bias: None, factors, result };
        assert_eq!(gemm.launches(MACHINES[1]), Ok(Launches::default()));
        assert!(gemm.variants(MACHINES[1]).unwrap().iter().all(|launches| launches.launches.is_empty()));
    }
    for factors in Factors::ALL {
        Case { bias: true, ..Case::new(factors, [2, 3, 5, 0]) }.check(&mut bench);
    }
}

#[test]
fn copies_are_coalesced_and_banks_do_not_conflict() {
    let mut bench = Bench::new();
    let (m, n, k) = (128, 128, 64);
    for (factors, op) in
        [Factors::F32, Factors::Tf32, Factors::BF16].into_iter().flat_map(|f| transposes().map(|op| (f, op)))
    {
        let result = factors.dtype();
        let [at_a, at_b] = [1, 2].map(|seed| bench.put(&bytes(&noise(seed, m * k, result), result)));
        let c = Matrices::contiguous(bench.room(result.size() * m * n), m, n);
        let a = Matrices { at: at_a, pitch: if op.transpose_a { m } else { k }, stride: 0 };
        let b = Matrices { at: at_b, pitch: if op.transpose_b { k } else { n }, stride: 0 };
        let gemm = Gemm { batch: 1, m, n, k, op, a, b, c, bias: None, factors, result };
        for launches in gemm.variants(MACHINES[1]).unwrap() {
            if launches.scratch > 0 || launches.launches[0].function.contains("any") {
                continue;
            }
            let counters = &bench.run(&launches)[0];
            let what = format!("{factors:?} {op:?} {}", launches.launches[0].function);
            assert!(counters.coalescing() >= 1.0, "{what}: {}", counters.coalescing());
            assert_eq!(counters.shared_passes, counters.shared_least_passes, "{what}: bank conflicts");
        }
    }
}
