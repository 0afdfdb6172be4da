//! Gradients of attention in the emulator, against their formula in double precision, within the bounds of the kernels'
//! contracts.

mod common;

use common::{Bench, bytes, noise, numbers};
use yuragi_cuda::{
    kernels::{
        attention::{Mask, Operand},
        attention_grad::AttentionGrad,
        product::Machine,
    },
    launch::Address,
};
use yuragi_graph::DType;

/// Unit roundoff of single precision.
const U: f64 = 1.0 / 16_777_216.0;
const SCALE: f32 = 0.75;

#[derive(Clone, Copy, Debug)]
struct Case {
    dtype: DType,
    /// Batch without heads, heads, queries, keys, depth, value depth.
    sizes: [usize; 6],
    /// Whether each query sees a number of its own for each key.
    masked: bool,
    /// Heads lie within rows, as they come out of a product.
    interleaved: bool,
    /// Whether the device has compute capability 9.0.
    hopper: bool,
}

/// Matrices of each item, row by row.
#[derive(Clone)]
struct Matrices {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrices {
    fn at(&self, item: usize, row: usize, column: usize) -> f64 {
        self.values[(item * self.rows + row) * self.columns + column]
    }
}

/// What the kernels are given.
struct Inputs {
    /// G, Q, K, V.
    matrices: [Matrices; 4],
    log_sum: Vec<f64>,
    delta: Vec<f64>,
    /// \[outer, queries, keys\].
    mask: Option<Vec<f64>>,
}

impl Case {
    fn new(dtype: DType, sizes: [usize; 6]) -> Case {
        Case { dtype, sizes, masked: false, interleaved: false, hopper: false }
    }

    fn check(self) {
        self.check_one();
        if self.dtype != DType::F32 {
            Case { hopper: true, ..self }.check_one();
        }
    }

    fn batch(&self) -> usize {
        self.sizes[0] * self.sizes[1]
    }

    fn inputs(&self) -> Inputs {
        let [outer, _, queries, keys, depth, value_depth] = self.sizes;
        let matrices = [(1, queries, value_depth), (2, queries, depth), (3, keys, depth), (4, keys, value_depth)];
        let matrices = matrices.map(|(seed, rows, columns)| Matrices {
            rows,
            columns,
            values: noise(seed, self.batch() * rows * columns, self.dtype),
        });
        let rows = self.batch() * queries;
        let mask = self.masked.then(|| {
            let mut numbers = noise(7, outer * queries * keys, self.dtype);
            numbers.iter_mut().step_by(3).for_each(|x| *x = f64::NEG_INFINITY);
            numbers
        });
        let mut inputs = Inputs { matrices, log_sum: vec![0.0; rows], delta: noise(6, rows, DType::F32), mask };
        // As it is: weights of a query add up to 1, within the rounding.
        let sum = |row: usize| -> f64 {
            let (item, query) = (row / queries, row % queries);
            (0..keys).map(|key| self.score(&inputs, item, query, key).0.exp()).sum()
        };
        inputs.log_sum = (0..rows).map(|row| f64::from(sum(row).max(1e-9).ln() as f32)).collect();
        inputs
    }

    /// A score, and by how much a kernel's may be off.
    fn score(&self, inputs: &Inputs, item: usize, query: usize, key: usize) -> (f64, f64) {
        let [_, heads, queries, keys, depth, _] = self.sizes;
        let [_, q, k, _] = &inputs.matrices;
        let products = (0..depth).map(|d| q.at(item, query, d) * k.at(item, key, d) * f64::from(SCALE));
        let (sum, size) = products.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
        let bias = inputs.mask.as_ref().map_or(0.0, |mask| mask[(item / heads * queries + query) * keys + key]);
        let (score, finite) = (sum + bias, if bias.is_finite() { (sum + bias).abs() + bias.abs() } else { 0.0 });
        (score, (1.25 * depth as f64 + 4.0) * 2.0 * U * size + 4.0 * U * finite)
    }

    fn check_one(self) {
        let [_, _, queries, keys, depth, value_depth] = self.sizes;
        let inputs = self.inputs();
        let got = self.run(&inputs);
        let [g, q, k, v] = &inputs.matrices;
        // What weights lose when they are rounded for tensor cores.
        let (unit, least) = match self.dtype {
            DType::F16 => (1.0 / 2048.0, 2.0_f64.powi(-25)),
            DType::BF16 => (1.0 / 256.0, 0.0),
            DType::F32 | DType::I32 | DType::U32 => (2.0 * U, 0.0),
        };
        let rounded = |x: f64, error: f64| (x, error + unit * (x.abs() + error) + least);
        for item in 0..self.batch() {
            // Weights and gradients of scores, and their bounds, row by row of queries.
            let of = |query: usize, key: usize| {
                let (score, score_error) = self.score(&inputs, item, query, key);
                let log_sum = inputs.log_sum[item * queries + query];
                let weight = (score - log_sum).exp();
                let error = weight * (score_error + 8.0 * U + 2.0 * U * log_sum.abs()) + 2.0_f64.powi(-125);
                let products = (0..value_depth).map(|d| g.at(item, query, d) * v.at(item, key, d));
                let (sum, size) = products.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                let sum_error = (1.25 * value_depth as f64 + 2.0) * 2.0 * U * size;
                let along = sum - inputs.delta[item * queries + query];
                let of_score = weight * along;
                let of_score_error =
                    error * along.abs() + (weight + error) * (sum_error + U * along.abs()) + 2.0 * U * of_score.abs();
                [rounded(weight, error), rounded(of_score, of_score_error)]
            };
            let all: Vec<[(f64, f64); 2]> =
                (0..queries).flat_map(|query| (0..keys).map(move |key| (query, key))).map(|(i, j)| of(i, j)).collect();
            // A result and its bound, as the sum over so many terms.
            let sum = |count: usize, factor: f64, term: &dyn Fn(usize) -> ((f64, f64), f64)| {
                let (mut sum, mut size, mut error) = (0.0, 0.0, 0.0);
                for ((weight, off), x) in (0..count).map(term) {
                    sum += weight * x;
                    size += (weight.abs() + off) * x.abs();
                    error += off * x.abs();
                }
                let bound = 1.05 * factor.abs() * (error + (1.25 * count as f64 + 4.0) * 2.0 * U * size);
                rounded(factor * sum, bound)
            };
            let check = |what: &str, got: &Matrices, row: usize, column: usize, (want, bound): (f64, f64)| {
                let got = got.at(item, row, column);
                let place = || format!("{self:?} {what} {item} {row} {column}");
                assert!((got - want).abs() <= bound, "{}: {got}, want {want} ± {bound}", place());
            };
            let scale = f64::from(SCALE);
            for query in 0..queries {
                for d in 0..depth {
                    let term = |key: usize| (all[query * keys + key][1], k.at(item, key, d));
                    check("query", &got[0], query, d, sum(keys, scale, &term));
                }
            }
            for key in 0..keys {
                for d in 0..depth {
                    let term = |query: usize| (all[query * keys + key][1], q.at(item, query, d));
                    check("key", &got[1], key, d, sum(queries, scale, &term));
                }
                for d in 0..value_depth {
                    let term = |query: usize| (all[query * keys + key][0], g.at(item, query, d));
                    check("value", &got[2], key, d, sum(queries, 1.0, &term));
                }
            }
        }
    }

    fn operand(&self, at: Address, x: &Matrices) -> Operand {
        match self.interleaved {
            true => Operand::interleaved(at, self.sizes[1], x.rows, x.columns),
            false => Operand::contiguous(at, self.sizes[1], x.rows, x.columns),
        }
    }

    /// Where an element lies in memory.
    fn place(&self, x: &Matrices, [item, row, column]: [usize; 3]) -> usize {
        let Operand { outer, inner, pitch, .. } = self.operand(Address::start(yuragi_cuda::launch::Home::Param(0)), x);
        let heads = self.sizes[1];
        item / heads * outer + item % heads * inner + row * pitch + column
    }

    fn elements(&self, x: &Matrices) -> impl Iterator<Item = [usize; 3]> + use<> {
        let (batch, rows, columns) = (self.batch(), x.rows, x.columns);
        (0..batch * rows * columns).map(move |i| [i / columns / rows, i / columns % rows, i % columns])
    }

    /// The gradients for Q, K and V.
    fn run(&self, inputs: &Inputs) -> [Matrices; 3] {
        let mut bench = Bench::new();
        let [outer, heads, queries, keys, depth, value_depth] = self.sizes;
        let mut put = |x: &Matrices| {
            let mut values = vec![0.0; x.values.len()];
            for (element, value) in self.elements(x).zip(&x.values) {
                values[self.place(x, element)] = *value;
            }
            self.operand(bench.put(&bytes(&values, self.dtype)), x)
        };
        let [g, q, k, v] = [0, 1, 2, 3].map(|place| put(&inputs.matrices[place]));
        let [log_sum, delta] = [&inputs.log_sum, &inputs.delta].map(|numbers| bench.put(&bytes(numbers, DType::F32)));
        let mask = inputs.mask.as_ref().map(|mask| {
            let outer = if outer > 1 { queries * keys } else { 0 };
            Mask { at: bench.put(&bytes(mask, self.dtype)), outer, inner: 0, query: keys, key: 1 }
        });
        let (batch, dtype) = (self.batch(), self.dtype);
        let mut grads = |wanted: [bool; 3]| {
            let places = [1, 2, 3].map(|place| &inputs.matrices[place]);
            let rooms = places.map(|x| bench.room(x.values.len() * dtype.size()));
            let y = [0, 1, 2].map(|i| wanted[i].then(|| self.operand(rooms[i], places[i])));
            let sizes = AttentionGrad {
                batch,
                heads,
                queries,
                keys,
                depth,
                value_depth,
                scale: SCALE,
                dtype,
                g,
                q,
                k,
                v,
                log_sum,
                delta,
                mask,
                y,
            };
            let launches = sizes.launches(Machine { multiprocessors: 132, hopper: self.hopper }).unwrap();
            for (counters, launch) in bench.run(&launches).iter().zip(&launches.launches) {
                if launch.function.contains("wgmma") {
                    let name = &launch.function;
                    assert_eq!(counters.shared_passes, counters.shared_least_passes, "{self:?} {name}: bank conflicts");
                }
            }
            let get = |i: usize| {
                let bytes = if wanted[i] { bench.get(rooms[i], places[i].values.len() * dtype.size()) } else { vec![] };
                let stored = numbers(&bytes, dtype);
                let elements = self.elements(places[i]).take(stored.len());
                let values = elements.map(|element| stored[self.place(places[i], element)]).collect();
                Matrices { values, ..places[i].clone() }
            };
            ([0, 1, 2].map(get), launches.launches)
        };
        let (all, launches) = grads([true; 3]);
        let by_groups = launches[0].function.contains("wgmma");
        let whole = [depth, value_depth].iter().all(|columns| columns.is_multiple_of(8));
        assert_eq!(by_groups, self.hopper && whole && !self.masked, "{self:?}");
        assert_eq!(launches.len(), if by_groups { 2 } else { 3 });
        if by_groups {
            // Wanted alone, they are the same.
            for (i, wanted) in [[false, true, false], [false, false, true]].into_iter().enumerate() {
                assert_eq!(grads(wanted).0[1 + i].values, all[1 + i].values, "{self:?}");
            }
        }
        all
    }
}

const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

#[test]
fn sizes_that_fit_no_tile() {
    for dtype in FLOATS {
        for sizes in [
            [1, 1, 1, 1, 8, 8],
            [1, 2, 5, 3, 7, 9],
            [2, 1, 70, 65, 40, 40],
            [1, 1, 3, 77, 96, 160],
            [1, 1, 130, 1, 64, 72],
        ] {
            Case::new(dtype, sizes).check();
        }
    }
}

/// Every depth that Stable Diffusion has, over more rows than are on their way at a time, of more than one block.
#[test]
fn many_rows_by_groups_of_warps() {
    for sizes in [
        [1, 1, 300, 450, 64, 64],
        [1, 1, 290, 300, 80, 80],
        [1, 1, 260, 210, 128, 128],
        [1, 1, 150, 200, 160, 160],
        [1, 2, 140, 77, 40, 40],
    ] {
        Case { hopper: true, interleaved: true, ..Case::new(DType::F16, sizes) }.check_one();
    }
    Case { hopper: true, ..Case::new(DType::BF16, [1, 1, 140, 150, 160, 80]) }.check_one();
}

#[test]
fn heads_within_rows() {
    for dtype in FLOATS {
        Case { interleaved: true, ..Case::new(dtype, [2, 3, 20, 70, 40, 16]) }.check();
        Case { interleaved: true, ..Case::new(dtype, [1, 2, 4, 4, 5, 3]) }.check();
    }
}

#[test]
fn masks() {
    for dtype in FLOATS {
        Case { masked: true, ..Case::new(dtype, [2, 2, 6, 130, 16, 8]) }.check();
    }
}
