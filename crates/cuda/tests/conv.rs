//! Convolutions and their gradients in the emulator, against loops in double precision, within the bounds of the
//! kernels' contracts.

mod common;

use common::{Bench, bytes, noise, numbers};
use yuragi_cuda::{
    kernels::{
        conv::Conv2d,
        product::{Factors, Machine},
    },
    launch::Launches,
};
use yuragi_graph::{
    DType,
    op::{Conv, Window},
};

/// Unit roundoff of single precision.
const U: f64 = 1.0 / 16_777_216.0;

/// With so few multiprocessors, blocks that stay take several tiles.
const FEW: Machine = Machine { multiprocessors: 2, hopper: true };

#[derive(Clone, Copy, Debug)]
struct Case {
    /// Samples, height, width, channels.
    picture: [usize; 4],
    /// Height, width, filters.
    kernel: [usize; 3],
    window: Window,
    factors: Factors,
    result: DType,
    bias: bool,
    /// Elements between the start of each buffer and the tensor.
    gap: usize,
}

/// A tensor with NaN before and behind it.
struct Tensor {
    at: yuragi_cuda::launch::Address,
    values: Vec<f64>,
}

impl Case {
    fn new(factors: Factors, picture: [usize; 4], kernel: [usize; 3], stride: [usize; 2], padding: [usize; 4]) -> Case {
        let (window, result) = (Window { stride, padding }, factors.dtype());
        Case { picture, kernel, window, factors, result, bias: false, gap: 0 }
    }

    fn tensor(&self, bench: &mut Bench, seed: u64, count: usize) -> Tensor {
        let dtype = self.factors.dtype();
        let values = noise(seed, count, dtype);
        let spoilt = vec![f64::NAN; self.gap];
        let all = [&spoilt[..], &values, &spoilt].concat();
        Tensor { at: bench.put(&bytes(&all, dtype)).plus(self.gap * dtype.size()), values }
    }

    /// All three convolutions, with every tile shape, shared and not, and with what the machine would choose.
    fn check(self, bench: &mut Bench) {
        let Case { picture: [samples, height, width, channels], kernel: [kh, kw, filters], window, .. } = self;
        let [down, across] = window.output([height, width], [kh, kw]).unwrap();
        let x = self.tensor(bench, 1, samples * height * width * channels);
        let w = self.tensor(bench, 2, kh * kw * channels * filters);
        let y = self.tensor(bench, 3, samples * down * across * filters);
        // Each term of the trilinear form of x, w and y adds to an element of each result; besides sums, sums of
        // sizes and numbers of terms.
        let mut sums = [&y, &x, &w].map(|t| vec![(0.0, 0.0, 0.0); t.values.len()]);
        for (n, p, q) in places(samples, down, across) {
            for (i, j, c) in places(kh, kw, channels) {
                let (row, column) = (p * window.stride[0] + i, q * window.stride[1] + j);
                let inside =
                    |at: usize, padding: usize, extent: usize| at.checked_sub(padding).filter(|&at| at < extent);
                let (Some(row), Some(column)) =
                    (inside(row, window.padding[0], height), inside(column, window.padding[2], width))
                else {
                    continue;
                };
                let at_x = ((n * height + row) * width + column) * channels + c;
                for o in 0..filters {
                    let (at_w, at_y) =
                        (((i * kw + j) * channels + c) * filters + o, ((n * down + p) * across + q) * filters + o);
                    let (x, w, y) = (x.values[at_x], w.values[at_w], y.values[at_y]);
                    for (sum, at, term) in [(0, at_y, x * w), (1, at_x, y * w), (2, at_w, x * y)] {
                        let (value, size, count) = &mut sums[sum][at];
                        *value += term;
                        *size += term.abs();
                        *count += 1.0;
                    }
                }
            }
        }
        let ops = [Conv::Forward(window), Conv::InputGrad(window), Conv::WeightGrad(window)];
        let operands = [(&x, &w), (&y, &w), (&x, &y)];
        for ((op, (a, b)), sums) in ops.into_iter().zip(operands).zip(&sums) {
            self.check_one(bench, op, [a, b], sums);
        }
    }

    fn check_one(&self, bench: &mut Bench, op: Conv, [a, b]: [&Tensor; 2], sums: &[(f64, f64, f64)]) {
        let Case {
            picture: [samples, height, width, channels], kernel: [kh, kw, filters], factors, result, gap, ..
        } = *self;
        let columns = if let Conv::InputGrad(_) = op { channels } else { filters };
        let bias = noise(4, columns, result);
        let at_bias = self.bias.then(|| bench.put(&bytes(&bias, result)));
        let untouched = vec![-7.0; gap + sums.len() + gap];
        let unit = result.unit_roundoff();
        let machine = Machine { multiprocessors: 132, hopper: false };
        let conv = |c| Conv2d {
            op,
            samples,
            picture: [height, width],
            channels,
            kernel: [kh, kw],
            filters,
            a: a.at,
            b: b.at,
            c,
            bias: at_bias,
            factors,
            result,
        };
        let all = |conv: &Conv2d| {
            let mut all = conv.variants(FEW).unwrap();
            all.extend([machine, FEW].map(|machine| conv.launches(machine).unwrap()));
            all
        };
        for index in 0..all(&conv(a.at)).len() {
            let buffer = bench.put(&bytes(&untouched, result));
            let conv = conv(buffer.plus(gap * result.size()));
            bench.run(&all(&conv)[index]);
            let got = numbers(&bench.get(buffer, untouched.len() * result.size()), result);
            let mut want = untouched.clone();
            for (at, &(sum, size, count)) in sums.iter().enumerate() {
                let relative = match factors {
                    Factors::F32 => count * U / (1.0 - count * U),
                    Factors::Tf32 => (1.25 * count + 2.0) * 2.0 * U + 2.1 / 2048.0,
                    Factors::F16 | Factors::BF16 => (1.25 * count + 2.0) * 2.0 * U,
                };
                let mut error = (relative + 31.0 * U) * size;
                error += unit * (sum.abs() + error);
                let mut value = sum;
                if self.bias {
                    value += bias[at % columns];
                    error += unit * (value.abs() + error);
                }
                let got = got[gap + at];
                assert!(
                    (got - value).abs() <= error,
                    "{self:?} {} variant {index}: c[{at}] = {got}, want {value} ± {error}",
                    op.name()
                );
                want[gap + at] = got;
            }
            assert_eq!(got, want, "{self:?} {} variant {index}: written beside the result", op.name());
        }
    }
}

fn places(i: usize, j: usize, k: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..i).flat_map(move |a| (0..j).flat_map(move |b| (0..k).map(move |c| (a, b, c))))
}

fn all_windows(factors: Factors) {
    let mut bench = Bench::new();
    let new = |picture, kernel, stride, padding| Case::new(factors, picture, kernel, stride, padding);
    // One of everything; one pixel of many channels; then odd sizes, strides, asymmetric zeros, kernels beyond strides
    // and strides beyond kernels and pictures.
    for case in [
        new([1, 1, 1, 1], [1, 1, 1], [1, 1], [0; 4]),
        new([2, 5, 7, 3], [3, 3, 5], [1, 1], [1; 4]),
        new([1, 6, 5, 4], [3, 2, 3], [2, 1], [0, 1, 2, 0]),
        new([2, 9, 8, 2], [5, 4, 2], [2, 3], [3, 1, 0, 4]),
        new([3, 4, 4, 8], [1, 1, 16], [2, 2], [0; 4]),
        new([1, 3, 2, 5], [2, 2, 3], [7, 5], [4, 6, 3, 5]),
        new([1, 8, 8, 16], [3, 3, 24], [2, 2], [1; 4]),
        new([2, 3, 5, 17], [1, 1, 9], [1, 1], [0; 4]),
    ] {
        case.check(&mut bench);
    }
    // Several tiles each way, and operands anywhere.
    Case { bias: true, ..new([1, 12, 12, 40], [3, 3, 72], [1, 1], [1; 4]) }.check(&mut bench);
    for gap in [1, 3, 8] {
        Case { bias: true, gap, ..new([2, 4, 6, 8], [3, 3, 8], [1, 1], [1; 4]) }.check(&mut bench);
    }
}

#[test]
fn convolutions_of_single_precision() {
    all_windows(Factors::F32);
}

#[test]
fn convolutions_of_factors_rounded_to_11_bits() {
    all_windows(Factors::Tf32);
}

fn of_16_bits(factors: Factors) {
    all_windows(factors);
    in_boxes(factors, 8, 24);
    let mut bench = Bench::new();
    let new = |picture, kernel, stride, padding| Case::new(factors, picture, kernel, stride, padding);
    // Chunks of channels: of both, of filters alone; a result of single precision.
    Case { bias: true, ..new([2, 7, 5, 24], [3, 3, 16], [2, 2], [1, 0, 1, 2]) }.check(&mut bench);
    new([1, 5, 9, 5], [2, 3, 8], [1, 2], [1; 4]).check(&mut bench);
    Case { result: DType::F32, bias: true, ..new([1, 6, 6, 16], [3, 3, 8], [1, 1], [1; 4]) }.check(&mut bench);
}

/// Boxes of pixels: several, of two samples, over the edges; of a window that moves by two.
fn in_boxes(factors: Factors, channels: usize, filters: usize) {
    let mut bench = Bench::new();
    let new = |picture, kernel, stride, padding| Case::new(factors, picture, kernel, stride, padding);
    Case { bias: true, ..new([2, 12, 9, channels], [3, 1, filters], [1, 1], [1, 1, 0, 0]) }.check(&mut bench);
    new([3, 8, 8, 64], [2, 3, filters], [2, 2], [0, 1, 0, 1]).check(&mut bench);
    // The picture's pixels in parts that the same taps reach.
    Case { bias: true, ..new([2, 16, 10, channels], [4, 4, filters], [2, 2], [1; 4]) }.check(&mut bench);
    new([1, 12, 5, channels], [4, 3, filters], [4, 1], [3, 1, 2, 0]).check(&mut bench);
}

/// More steps than are on their way at a time, by blocks that take several tiles.
#[test]
fn convolutions_of_half_precision_in_many_boxes() {
    in_boxes(Factors::F16, 72, 136);
}

#[test]
fn convolutions_of_half_precision() {
    of_16_bits(Factors::F16);
}

#[test]
fn convolutions_of_bfloat16() {
    of_16_bits(Factors::BF16);
}

#[test]
fn empty_pictures_launch_nothing_and_have_gradients_of_zero() {
    let mut bench = Bench::new();
    for factors in Factors::ALL {
        Case::new(factors, [0, 3, 3, 2], [2, 2, 3], [1, 1], [0; 4]).check(&mut bench);
        Case::new(factors, [1, 3, 3, 0], [2, 2, 3], [1, 1], [0; 4]).check(&mut bench);
    }
}

#[test]
fn copies_fill_shared_memory_without_bank_conflicts() {
    let mut bench = Bench::new();
    let (samples, picture, channels, kernel, filters) = (1, [8, 8], 32, [3, 3], 64);
    let window = Window { stride: [2, 1], padding: [1; 4] };
    let [down, across] = window.output(picture, kernel).unwrap();
    for factors in [Factors::F32, Factors::Tf32, Factors::F16] {
        let result = factors.dtype();
        let mut tensor = |seed, count| bench.put(&bytes(&noise(seed, count, result), result));
        let x = tensor(1, picture[0] * picture[1] * channels);
        let w = tensor(2, kernel[0] * kernel[1] * channels * filters);
        let y = tensor(3, down * across * filters);
        let c = bench.room(result.size() * kernel[0] * kernel[1] * channels * filters);
        for (op, a, b) in
            [(Conv::Forward(window), x, w), (Conv::InputGrad(window), y, w), (Conv::WeightGrad(window), x, y)]
        {
            let conv = Conv2d { op, samples, picture, channels, kernel, filters, a, b, c, bias: None, factors, result };
            for launches in conv.variants(FEW).unwrap() {
                let counters = &bench.run(&launches)[0];
                let name = &launches.launches[0].function;
                assert_eq!(counters.shared_passes, counters.shared_least_passes, "{name}: bank conflicts");
            }
        }
    }
}

#[test]
fn what_no_kernel_can_do_is_an_error() {
    let mut bench = Bench::new();
    let at = bench.room(4);
    let window = |stride, padding| Conv::Forward(Window { stride, padding });
    let conv = |op, kernel, factors, result| Conv2d {
        op,
        samples: 1,
        picture: [3, 3],
        channels: 1,
        kernel,
        filters: 1,
        a: at,
        b: at,
        c: at,
        bias: None,
        factors,
        result,
    };
    let machine = Machine { multiprocessors: 132, hopper: false };
    let words =
        |conv: Conv2d| conv.launches(machine).map(|launches: Launches| launches.scratch).unwrap_err().to_string();
    let wide = conv(window([1, 1], [0, 1, 0, 0]), [5, 1], Factors::F32, DType::F32);
    assert_eq!(words(wide), "a window of [5, 1] pixels does not move within a padded picture of [4, 3]");
    let still = conv(window([0, 1], [0; 4]), [1, 1], Factors::F32, DType::F32);
    assert!(words(still).contains("does not move"));
    let far = conv(window([1, 1], [1 << 29, 0, 0, 0]), [1, 1], Factors::F32, DType::F32);
    assert_eq!(words(far), "the height of a padded picture is 536870915; at most 536870911 is possible");
    let other = conv(window([1, 1], [0; 4]), [1, 1], Factors::F16, DType::BF16);
    assert_eq!(words(other), "a product of F16 cannot be stored as BF16");
}
