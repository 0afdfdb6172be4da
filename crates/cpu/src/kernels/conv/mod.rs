//! Two-dimensional convolution of NHWC images, and its two gradients.

mod data;
mod weights;
mod winograd;

use yuragi_graph::DType;

use super::{Buffers, Gemm, Kernel, Product, Scratch};
use crate::simd::Level;
use data::Correlation;
use weights::WeightGrad;
pub(crate) use winograd::Winograd;

/// The sizes of a convolution x\[N,H,W,C\] * w\[KH,KW,C,O\] → y\[N,OH,OW,O\].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub filters: usize,
    /// KH, KW.
    pub kernel: [usize; 2],
    /// Vertical and horizontal, at least 1.
    pub stride: [usize; 2],
    /// Rows above and below, columns left and right.
    pub padding: [[usize; 2]; 2],
    /// The factors are bfloat16, and where they meet along channels they are multiplied as pairs.
    pub pairs: bool,
    /// How w lies, of the forward direction.
    pub stored: Stored,
}

/// How the kernels of a convolution lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub dtype: DType,
    /// As \[O,C,KH,KW\].
    pub filters_first: bool,
}

impl Stored {
    /// In single precision, as \[KH,KW,C,O\].
    pub const PLAIN: Self = Self { dtype: DType::F32, filters_first: false };
}

impl Geometry {
    /// OH, OW.
    pub fn output(&self) -> [usize; 2] {
        let size = [self.height, self.width];
        core::array::from_fn(|d| {
            let padded = size[d] + self.padding[d][0] + self.padding[d][1];
            padded.checked_sub(self.kernel[d]).map_or(0, |rest| rest / self.stride[d] + 1)
        })
    }

    /// Every output pixel sees exactly the input pixel at its place.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [[0, 0], [0, 0]]
    }
}

/// What to compute of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// y from x and w.
    Forward,
    /// ∂x from ∂y and w; also the transposed convolution.
    InputGrad,
    /// ∂w from x and ∂y.
    WeightGrad,
}

/// A convolution or one of its gradients. Inputs x and w and perhaps the bias
/// \[O\], ∂y and w, or x and ∂y.
#[derive(Debug)]
pub(crate) enum Conv {
    Pointwise(Gemm),
    Data(Correlation),
    Weights(WeightGrad),
}

impl Conv {
    /// `bias` is for the forward direction.
    pub fn new(level: Level, direction: Direction, geometry: Geometry, bias: bool) -> Self {
        if geometry.is_pointwise() {
            return Self::Pointwise(Gemm::new(level, pointwise(direction, &geometry, bias)));
        }
        match direction {
            Direction::Forward => Self::Data(Correlation::forward(level, &geometry, bias)),
            Direction::InputGrad => Self::Data(Correlation::input_grad(level, &geometry)),
            Direction::WeightGrad => Self::Weights(WeightGrad::new(level, geometry)),
        }
    }

    fn inner(&self) -> &dyn Kernel {
        match self {
            Self::Pointwise(kernel) => kernel,
            Self::Data(kernel) => kernel,
            Self::Weights(kernel) => kernel,
        }
    }
}

/// The matrix product that a 1×1 convolution is.
fn pointwise(direction: Direction, geometry: &Geometry, bias: bool) -> Product {
    let Geometry { batch, height, width, channels: c, filters: o, pairs, stored, .. } = *geometry;
    let pixels = batch * height * width;
    let (m, k, n) = match direction {
        Direction::Forward => (pixels, c, o),
        Direction::InputGrad => (pixels, o, c),
        Direction::WeightGrad => (c, pixels, o),
    };
    let ta = direction == Direction::WeightGrad;
    let tb = direction == Direction::InputGrad || stored.filters_first;
    Product { batch: 1, m, n, k, ta, tb, a_stride: 0, b_stride: 0, bias, pairs, stored: stored.dtype }
}

impl Kernel for Conv {
    fn scratch(&self) -> Scratch {
        self.inner().scratch()
    }

    fn phases(&self) -> usize {
        self.inner().phases()
    }

    fn tasks(&self, phase: usize) -> usize {
        self.inner().tasks(phase)
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        // SAFETY: passed on.
        unsafe { self.inner().task(phase, index, buffers) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use alloc::vec::Vec;

    use super::super::testing::{Sum, check, halves, numbers, stored_as};
    use super::*;

    /// Calls `f` with the indices of x, w and y for every product of the sum.
    fn products(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
        let [oh, ow] = g.output();
        for n in 0..g.batch {
            for (oy, ox) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                for (ky, kx) in (0..g.kernel[0]).flat_map(|y| (0..g.kernel[1]).map(move |x| (y, x))) {
                    let inside = |o: usize, d: usize, k: usize, size: usize| {
                        (o * g.stride[d] + k).checked_sub(g.padding[d][0]).filter(|&i| i < size)
                    };
                    let (Some(iy), Some(ix)) = (inside(oy, 0, ky, g.height), inside(ox, 1, kx, g.width)) else {
                        continue;
                    };
                    for c in 0..g.channels {
                        for o in 0..g.filters {
                            let x = ((n * g.height + iy) * g.width + ix) * g.channels + c;
                            let w = ((ky * g.kernel[1] + kx) * g.channels + c) * g.filters + o;
                            let y = ((n * oh + oy) * ow + ox) * g.filters + o;
                            f(x, w, y);
                        }
                    }
                }
            }
        }
    }

    /// The weights \[KH,KW,C,O\] of a geometry, with the numbers that its type has, and the memory that holds them.
    pub(super) fn weights(geometry: &Geometry, numbers: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
        let Geometry { channels, filters, kernel, stored, .. } = *geometry;
        let (numbers, plain) = stored_as(stored.dtype, numbers);
        if !stored.filters_first {
            return (numbers, plain);
        }
        let (taps, count) = (kernel[0] * kernel[1], numbers.len());
        let from = |i: usize| (i % taps * channels + i / taps % channels) * filters + i / (taps * channels);
        let reordered = (0..count).map(|i| numbers[from(i)]).collect();
        (numbers, stored_as(stored.dtype, reordered).1)
    }

    fn case(geometry: Geometry) {
        let Geometry { batch, height, width, channels, filters, kernel, .. } = geometry;
        let [oh, ow] = geometry.output();
        let factors = if geometry.pairs { halves } else { numbers };
        let x = factors(1, batch * height * width * channels);
        let (w, w_stored) = weights(&geometry, factors(2, kernel[0] * kernel[1] * channels * filters));
        let dy = factors(3, batch * oh * ow * filters);
        let bias = numbers(4, filters);
        let zeros = |len| (0..len).map(|_| Sum::starting_at(0.0)).collect::<Vec<_>>();
        let bounded = |sums: Vec<Sum>| sums.into_iter().map(Sum::bounded).collect::<Vec<_>>();

        for with_bias in [false, true] {
            let begin = |i: usize| if with_bias { bias[i % filters] } else { 0.0 };
            let mut y = (0..dy.len()).map(|i| Sum::starting_at(begin(i))).collect::<Vec<_>>();
            products(&geometry, |i, j, k| y[k].add(x[i], w[j]));
            let build = |level| Conv::new(level, Direction::Forward, geometry, with_bias);
            check(build, &[&x, &w_stored, &bias], &bounded(y), &geometry);
        }
        if geometry.stored != Stored::PLAIN {
            return;
        }

        let mut dx = zeros(x.len());
        products(&geometry, |i, j, k| dx[i].add(dy[k], w[j]));
        let build = |level| Conv::new(level, Direction::InputGrad, geometry, false);
        check(build, &[&dy, &w], &bounded(dx), &geometry);

        let mut dw = zeros(w.len());
        products(&geometry, |i, j, k| dw[j].add(x[i], dy[k]));
        let build = |level| Conv::new(level, Direction::WeightGrad, geometry, false);
        check(build, &[&x, &dy], &bounded(dw), &geometry);
    }

    #[test]
    fn matches_the_sum() {
        let same = |k: usize| [[k / 2, k / 2]; 2];
        let shapes = [
            // batch, height, width, channels, filters, kernel, stride, padding
            (1, 1, 1, 1, 1, [1, 1], [1, 1], same(1)),
            (2, 5, 7, 3, 4, [1, 1], [1, 1], same(1)),
            (2, 8, 8, 48, 32, [3, 3], [1, 1], same(3)),
            (1, 16, 16, 20, 50, [3, 3], [1, 1], same(3)),
            (3, 5, 4, 3, 17, [3, 3], [1, 1], [[0, 2], [1, 0]]),
            (1, 9, 11, 5, 3, [5, 5], [1, 1], same(5)),
            (2, 8, 8, 6, 7, [3, 3], [2, 2], [[0, 1], [0, 1]]),
            (2, 9, 7, 6, 7, [3, 3], [2, 2], same(3)),
            (1, 8, 10, 4, 5, [4, 4], [2, 2], same(3)),
            (1, 8, 8, 4, 5, [2, 2], [2, 2], same(1)),
            (1, 9, 9, 4, 5, [1, 1], [2, 2], same(1)),
            (1, 10, 13, 3, 5, [2, 3], [3, 4], [[2, 3], [4, 1]]),
            (1, 6, 6, 3, 5, [3, 3], [1, 1], [[4, 4], [3, 5]]),
            (1, 3, 400, 2, 3, [3, 3], [1, 1], same(3)),
            (1, 70, 6, 210, 9, [3, 1], [1, 1], [[1, 1], [0, 0]]),
            (20, 16, 16, 5, 6, [3, 3], [1, 1], same(3)),
            (1, 2, 2, 3, 3, [5, 5], [1, 1], same(1)),
            (1, 7, 7, 1, 8, [7, 7], [1, 1], same(7)),
            (0, 7, 7, 2, 8, [3, 3], [1, 1], same(3)),
            (1, 7, 7, 0, 8, [3, 3], [1, 1], same(3)),
            (1, 7, 7, 2, 0, [3, 3], [1, 1], same(3)),
            (1, 0, 7, 2, 2, [3, 3], [1, 1], same(3)),
        ];
        for (batch, height, width, channels, filters, kernel, stride, padding) in shapes {
            for pairs in [false, true] {
                let stored = Stored::PLAIN;
                case(Geometry { batch, height, width, channels, filters, kernel, stride, padding, pairs, stored });
            }
            for (dtype, filters_first) in
                [(DType::F32, true), (DType::F16, true), (DType::BF16, true), (DType::F16, false)]
            {
                let (pairs, stored) = (false, Stored { dtype, filters_first });
                case(Geometry { batch, height, width, channels, filters, kernel, stride, padding, pairs, stored });
            }
        }
    }
}
