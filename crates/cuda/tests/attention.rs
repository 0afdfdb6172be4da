//! Attention in the emulator, against softmax(scale · Q·Kᵀ + mask)·V in double precision, within the bounds of the
//! kernels' contracts.

mod common;

use common::{Bench, bytes, noise, numbers};
use yuragi_cuda::kernels::{
    attention::{Attention, Mask, Operand},
    product::Machine,
};
use yuragi_graph::DType;

/// Unit roundoff of single precision.
const U: f64 = 1.0 / 16_777_216.0;

/// How the mask's numbers are shared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shared {
    Keys,
    Queries,
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    dtype: DType,
    /// Batch without heads, heads, queries, keys, depth, value depth.
    sizes: [usize; 6],
    mask: Option<Shared>,
    /// Heads lie within rows, as they come out of a product.
    interleaved: bool,
    /// Elements before each operand.
    skip: usize,
    /// Whether the device has compute capability 9.0.
    hopper: bool,
    /// Which of the kernels that take it.
    kernel: usize,
}

/// An operand and its numbers.
struct Input {
    operand: Operand,
    values: Vec<f64>,
}

impl Input {
    fn new(bench: &mut Bench, case: &Case, values: Vec<f64>, rows: usize, columns: usize) -> Input {
        let mut all = vec![f64::NAN; case.skip];
        all.extend(&values);
        let at = bench.put(&bytes(&all, case.dtype)).plus(case.skip * case.dtype.size());
        Input { operand: case.operand(at, rows, columns), values }
    }

    fn at(&self, item: usize, heads: usize, row: usize, column: usize) -> f64 {
        let Operand { outer, inner, pitch, .. } = self.operand;
        self.values[item / heads * outer + item % heads * inner + row * pitch + column]
    }
}

impl Case {
    fn new(dtype: DType, sizes: [usize; 6]) -> Case {
        Case { dtype, sizes, mask: None, interleaved: false, skip: 0, hopper: false, kernel: 0 }
    }

    fn operand(&self, at: yuragi_cuda::launch::Address, rows: usize, columns: usize) -> Operand {
        match self.interleaved {
            true => Operand::interleaved(at, self.sizes[1], rows, columns),
            false => Operand::contiguous(at, self.sizes[1], rows, columns),
        }
    }

    fn check(self) {
        self.check_one();
        if self.dtype != DType::F32 {
            Case { hopper: true, ..self }.check_one();
        }
    }

    fn check_one(self) {
        let [outer, heads, queries, keys, depth, value_depth] = self.sizes;
        let batch = outer * heads;
        let seeds = |seed, rows, columns| noise(seed, batch * rows * columns, self.dtype);
        let mask = self.mask.map(|shared| {
            let rows = if shared == Shared::Nothing { outer * queries } else { queries };
            let rows = if shared == Shared::Queries { outer } else { rows };
            let mut numbers = noise(4, rows * keys, self.dtype);
            // Every query sees the last key; some see no other of the first block.
            for (i, x) in numbers.iter_mut().enumerate() {
                let hidden = i % 3 == 0 || i / keys % 2 == 1 && i % keys < 64;
                if hidden && i % keys + 1 != keys {
                    *x = f64::NEG_INFINITY;
                }
            }
            (shared, numbers)
        });
        let (got, log_sums, [q, k, v]) =
            self.run([seeds(1, queries, depth), seeds(2, keys, depth), seeds(3, keys, value_depth)], mask.as_ref());
        let scale = f64::from(self.scale());
        // What weights lose when they are rounded for tensor cores.
        let (unit, least) = match self.dtype {
            DType::F16 => (1.0 / 2048.0, 2.0_f64.powi(-25)),
            DType::BF16 => (1.0 / 256.0, 0.0),
            DType::F32 | DType::I32 | DType::U32 => (0.0, 0.0),
        };
        let places = (0..batch).flat_map(|b| (0..queries).map(move |i| (b, i)));
        for ((item, query), row) in places.zip(got.chunks(value_depth)) {
            let bias = |key: usize| match &mask {
                None => 0.0,
                Some((Shared::Nothing, m)) => m[(item / heads * queries + query) * keys + key],
                Some((Shared::Keys, m)) => m[query * keys + key],
                Some((Shared::Queries, m)) => m[item / heads * keys + key],
            };
            let mut score_error = 0.0_f64;
            let scores: Vec<f64> = (0..keys)
                .map(|key| {
                    let product = |d: usize| q.at(item, heads, query, d) * k.at(item, heads, key, d) * scale;
                    let (sum, size): (f64, f64) =
                        ((0..depth).map(product).sum(), (0..depth).map(|d| product(d).abs()).sum());
                    let (score, bias) = (sum + bias(key), bias(key));
                    if score.is_finite() {
                        let sums = match self.dtype {
                            DType::F32 => (depth as f64 + 3.0) * U * size + U * (score.abs() + bias.abs()),
                            _ => (1.25 * depth as f64 + 4.0) * 2.0 * U * size + 4.0 * U * (score.abs() + bias.abs()),
                        };
                        score_error = score_error.max(sums);
                    }
                    score
                })
                .collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            let steps = keys.div_ceil(32) as f64;
            let distance = scores.iter().filter(|s| s.is_finite()).fold(0.0, |d: f64, s| d.max(most - s));
            // A weight, and the factors that carry it to the end; then the two sums.
            let weight_error = 2.0 * score_error + (8.0 + 2.0 * distance + 8.0 * steps) * U;
            let sum_error = match self.dtype {
                DType::F32 => (keys as f64 + 2.0 * steps) * U,
                _ => (1.25 * keys as f64 + 2.0 * steps + 4.0) * 2.0 * U,
            };
            let (got, want) = (log_sums[item * queries + query], most + total.ln());
            let bound = 1.05 * (weight_error + sum_error + 2.0 * U * want.abs());
            assert!((got - want).abs() <= bound, "{self:?} {item} {query}: {got}, want {want} ± {bound}");
            for (column, &got) in row.iter().enumerate() {
                let value = |key: usize| v.at(item, heads, key, column);
                let want: f64 = (0..keys).map(|key| weights[key] / total * value(key)).sum();
                let size: f64 = (0..keys).map(|key| (weights[key] / total * value(key)).abs()).sum();
                let sizes: f64 = (0..keys).map(|key| value(key).abs() / total).sum();
                let bound = 1.05 * ((2.0 * weight_error + 2.0 * sum_error + unit + 4.0 * U) * size + least * sizes);
                let bound = bound + unit * (want.abs() + bound) + least;
                assert!((got - want).abs() <= bound, "{self:?} {item} {query} {column}: {got}, want {want} ± {bound}");
            }
        }
    }

    fn scale(&self) -> f32 {
        1.5
    }

    fn run(&self, values: [Vec<f64>; 3], mask: Option<&(Shared, Vec<f64>)>) -> (Vec<f64>, Vec<f64>, [Input; 3]) {
        let mut bench = Bench::new();
        let [outer, heads, queries, keys, depth, value_depth] = self.sizes;
        let [q, k, v] = values;
        let [q, k, v] = [(q, queries, depth), (k, keys, depth), (v, keys, value_depth)]
            .map(|(values, rows, columns)| Input::new(&mut bench, self, values, rows, columns));
        let mask = mask.map(|(shared, numbers)| {
            let at = bench.put(&bytes(numbers, self.dtype));
            let query = if *shared == Shared::Queries { 0 } else { keys };
            let outer = match shared {
                Shared::Keys => 0,
                Shared::Queries => keys,
                Shared::Nothing => queries * keys,
            };
            Mask { at, outer, inner: 0, query, key: 1 }
        });
        let batch = outer * heads;
        let count = batch * queries * value_depth;
        let room = bench.room((self.skip + count) * self.dtype.size()).plus(self.skip * self.dtype.size());
        let y = self.operand(room, queries, value_depth);
        let log_sum = bench.room(4 * batch * queries);
        let attention = Attention {
            batch,
            heads,
            queries,
            keys,
            depth,
            value_depth,
            scale: self.scale(),
            dtype: self.dtype,
            q: q.operand,
            k: k.operand,
            v: Some(v.operand),
            mask,
            y: Some(y),
            log_sum: Some(log_sum),
        };
        let machine = Machine { multiprocessors: 132, hopper: self.hopper };
        let launches = &attention.variants(machine).unwrap()[self.kernel];
        assert!(self.kernel > 0 || *launches == attention.launches(machine).unwrap(), "{self:?}");
        let counters = &bench.run(launches)[0];
        if launches.launches[0].function.contains("wgmma") {
            assert_eq!(counters.shared_passes, counters.shared_least_passes, "{self:?}: bank conflicts");
            // Rows of whole sectors move no more than they hold; the last logarithms do, and numbers of a mask.
            let whole = [depth, value_depth].iter().all(|columns| columns % 16 == 0);
            assert!(
                !whole || self.mask.is_some() || counters.coalescing() > 0.99,
                "{self:?}: {}",
                counters.coalescing()
            );
        }
        let stored = numbers(&bench.get(room, count * self.dtype.size()), self.dtype);
        let y = Input { operand: y, values: stored };
        let places = (0..batch).flat_map(|b| (0..queries).map(move |i| (b, i)));
        let got = places.flat_map(|(b, i)| (0..value_depth).map(move |d| (b, i, d)));
        let log_sums = numbers(&bench.get(log_sum, 4 * batch * queries), DType::F32);
        // Wanted alone, they are the same, of the same kernel.
        let alone =
            Attention { value_depth: 0, v: None, y: None, log_sum: Some(bench.room(4 * batch * queries)), ..attention };
        if !self.hopper {
            bench.run(&alone.variants(machine).unwrap()[self.kernel]);
            let same = numbers(&bench.get(alone.log_sum.unwrap(), 4 * batch * queries), DType::F32);
            assert!(same.iter().zip(&log_sums).all(|(a, b)| a == b || a.is_nan() && b.is_nan()), "{self:?}");
        }
        (got.map(|(b, i, d)| y.at(b, heads, i, d)).collect(), log_sums, [q, k, v])
    }
}

const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

#[test]
fn sizes_that_fit_no_tile() {
    for dtype in FLOATS {
        for sizes in [
            [1, 1, 1, 1, 1, 1],
            [1, 2, 5, 3, 7, 9],
            [2, 1, 70, 65, 40, 40],
            [1, 1, 130, 130, 64, 72],
            [1, 1, 3, 77, 90, 160],
            [1, 1, 9, 70, 200, 256],
        ] {
            Case::new(dtype, sizes).check();
        }
        Case { skip: 1, ..Case::new(dtype, [1, 1, 17, 66, 24, 16]) }.check();
    }
}

/// Every depth that Stable Diffusion has, over more keys than are on their way at a time.
#[test]
fn many_keys_by_groups_of_warps() {
    for sizes in [
        [1, 2, 130, 390, 40, 40],
        [1, 1, 20, 500, 64, 64],
        [2, 1, 8, 270, 80, 80],
        [1, 1, 70, 300, 128, 128],
        [1, 1, 40, 330, 160, 160],
    ] {
        Case { hopper: true, interleaved: true, ..Case::new(DType::F16, sizes) }.check_one();
    }
}

#[test]
fn every_kernel_that_takes_the_depths() {
    for (dtype, hopper, kernels) in [(DType::F32, false, 2), (DType::F16, false, 3), (DType::BF16, true, 8)] {
        for kernel in 1..kernels {
            Case { kernel, hopper, interleaved: true, ..Case::new(dtype, [1, 2, 70, 150, 40, 40]) }.check_one();
        }
    }
}

#[test]
fn masks_of_every_kind() {
    for dtype in FLOATS {
        for mask in [Shared::Keys, Shared::Queries, Shared::Nothing] {
            Case { mask: Some(mask), ..Case::new(dtype, [2, 2, 6, 130, 16, 8]) }.check();
        }
        Case { mask: Some(Shared::Nothing), ..Case::new(dtype, [1, 1, 6, 33, 170, 8]) }.check();
    }
    for sizes in [[1, 2, 140, 460, 64, 64], [1, 1, 20, 330, 128, 128]] {
        let case = Case { hopper: true, interleaved: true, ..Case::new(DType::BF16, sizes) };
        Case { mask: Some(Shared::Keys), ..case }.check_one();
    }
}

#[test]
fn heads_within_rows() {
    for dtype in FLOATS {
        Case { interleaved: true, ..Case::new(dtype, [2, 3, 20, 70, 40, 16]) }.check();
        Case { interleaved: true, ..Case::new(dtype, [1, 2, 4, 4, 5, 3]) }.check();
    }
}

#[test]
fn what_is_no_number_in_the_formula_is_none_here() {
    for (dtype, hopper) in FLOATS.into_iter().flat_map(|dtype| [(dtype, false), (dtype, true)]) {
        let case = Case { hopper, ..Case::new(dtype, [1, 1, 3, 70, 16, 8]) };
        let plain = || [noise(1, 3 * 16, dtype), noise(2, 70 * 16, dtype), noise(3, 70 * 8, dtype)];
        let of_row = |got: &[f64], row: usize| got[row * 8..][..8].iter().filter(|x| x.is_nan()).count();
        // The second query sees nothing.
        let mut mask = vec![0.0; 3 * 70];
        mask[70..140].fill(f64::NEG_INFINITY);
        let (got, _, _) = case.run(plain(), Some(&(Shared::Keys, mask.clone())));
        assert_eq!([0, 1, 2].map(|row| of_row(&got, row)), [0, 8, 0], "{dtype:?}");
        // The second query has an infinite score, the third one that is no number.
        mask.fill(0.0);
        (mask[75], mask[209]) = (f64::INFINITY, f64::NAN);
        let (got, _, _) = case.run(plain(), Some(&(Shared::Keys, mask)));
        assert_eq!([0, 1, 2].map(|row| of_row(&got, row)), [0, 8, 8], "{dtype:?}");
        // An infinite value reaches every query, also those that give it a weight of 0.
        let mut values = plain();
        values[2][69 * 8] = f64::INFINITY;
        let (got, _, _) = case.run(values, None);
        assert!((0..3).all(|row| got[row * 8] == f64::INFINITY && got[row * 8 + 1].is_finite()), "{dtype:?}");
    }
}

#[test]
fn scores_beyond_the_exponential_are_shifted() {
    for dtype in FLOATS {
        let case = Case::new(dtype, [1, 1, 4, 140, 16, 4]);
        // Each key's score is 16 · 1.5 times its number, so that the last key has nearly all weight.
        let keys: Vec<f64> = (0..140 * 16).map(|i| (i / 16) as f64).collect();
        let values: Vec<f64> = (0..140 * 4).map(|i| (i / 4) as f64).collect();
        let (got, _, _) = case.run([vec![1.0; 4 * 16], keys, values], None);
        assert!(got.iter().all(|&x| x == 139.0), "{dtype:?} {got:?}");
    }
}
