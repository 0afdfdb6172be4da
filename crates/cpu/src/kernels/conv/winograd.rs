//! Convolution with 3×3 kernels by minimal filtering, F(4×4, 3×3) (Winograd 1980; Lavin & Gray 2016, section 4.3):
//! 36 matrix products for 16 pixels, a quarter of the multiplications.
//!
//! Every 4×4 tile of the output sees a 6×6 tile d of the input. With the matrices of the points 0, ±1, ±2 and ∞,
//!
//! ```text
//! y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A,    summed over channels inside the brackets.
//! ```

mod data;
mod tiles;
mod transform;
mod weights;

use yuragi_graph::Shape;

use super::super::{Buffers, Kernel, Scratch};
use super::{Direction, Geometry};
use crate::simd::Level;
use data::Correlation;
use weights::WeightGrad;

/// Tiles that share transformed weights in cache.
const BLOCK: usize = 64;
/// Filters of a task, which share transformed tiles in the first cache: so many panels as are no wider together, at least
/// one.
const FILTERS: usize = 48;
/// Elements between the places of transformed tiles that are not used: places whole pages apart would share a few
/// sets of a cache.
const GAP: usize = 16;

/// A convolution or one of its gradients, with kernels of 3×3 and strides of 1. Inputs are those of [`super::Conv`].
#[derive(Debug)]
pub(crate) enum Winograd {
    Data(Correlation),
    Weights(WeightGrad),
}

impl Winograd {
    /// Whether it is faster than the direct form: the transforms must be small beside products that fill a tile.
    pub fn pays(picture: Shape, kernel: Shape) -> bool {
        kernel[2] >= 32 && kernel[3] >= 32 && picture[1] * picture[2] >= 64
    }

    /// `bias` is for the forward direction. A gradient for the picture has at most two zeros on each side.
    pub fn new(level: Level, direction: Direction, geometry: Geometry, bias: bool) -> Self {
        match direction {
            Direction::Forward => Self::Data(Correlation::new(level, geometry, bias, false)),
            Direction::InputGrad => Self::Data(Correlation::new(level, turned(&geometry), false, true)),
            Direction::WeightGrad => Self::Weights(WeightGrad::new(level, geometry)),
        }
    }

    fn inner(&self) -> &dyn Kernel {
        match self {
            Self::Data(kernel) => kernel,
            Self::Weights(kernel) => kernel,
        }
    }
}

/// The convolution with the turned kernel that gives ∂x from ∂y.
fn turned(geometry: &Geometry) -> Geometry {
    let [height, width] = geometry.output();
    debug_assert!(geometry.padding.as_flattened().iter().all(|&zeros| zeros <= 2), "the graph sees to that");
    let padding = core::array::from_fn(|axis| core::array::from_fn(|side| 2 - geometry.padding[axis][side].min(2)));
    let Geometry { channels, filters, .. } = *geometry;
    Geometry { height, width, channels: filters, filters: channels, padding, ..*geometry }
}

impl Kernel for Winograd {
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
mod tests {
    use alloc::{vec, vec::Vec};

    use yuragi_graph::DType;

    use super::super::{
        super::testing::{U, check, numbers},
        Stored,
        tests::weights,
    };
    use super::transform::{IN, OUT, PLACES, SIDE};
    use super::*;

    const INPUT: [[f64; IN]; IN] = [
        [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
        [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
        [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
        [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
        [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
        [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
    ];
    const WEIGHTS: [[f64; SIDE]; IN] =
        [[6.0, 0.0, 0.0], [-4.0, -4.0, -4.0], [-4.0, 4.0, -4.0], [1.0, 2.0, 4.0], [1.0, -2.0, 4.0], [0.0, 0.0, 24.0]];
    const OUTPUT: [[f64; IN]; OUT] = [
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        [0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
        [0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
        [0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
    ];

    fn adjoint<const N: usize, const M: usize>(m: &[[f64; N]; M]) -> [[f64; M]; N] {
        core::array::from_fn(|i| core::array::from_fn(|j| m[j][i]))
    }

    /// Σ |m[i, k]|·|m[j, l]|·x[k, l].
    fn sizes<const N: usize>(m: &[[f64; N]], x: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
        let entry = |i: usize, j: usize| {
            (0..N * N).map(|kl| (m[i][kl / N] * m[j][kl % N]).abs() * x(kl / N, kl % N)).sum::<f64>()
        };
        (0..m.len()).map(|i| (0..m.len()).map(|j| entry(i, j)).collect()).collect()
    }

    /// A pixel's value, 0 outside.
    fn at(pictures: &[f32], [height, width, channels]: [usize; 3], n: usize, y: usize, x: usize, c: usize) -> f64 {
        let inside = y < height && x < width;
        if inside { f64::from(pictures[((n * height + y) * width + x) * channels + c]) } else { 0.0 }
    }

    /// First pixels of all tiles of an output.
    fn corners(batch: usize, [oh, ow]: [usize; 2]) -> impl Iterator<Item = (usize, usize, usize)> {
        let lines = (0..batch).flat_map(move |n| (0..oh).step_by(OUT).map(move |y| (n, y)));
        lines.flat_map(move |(n, y)| (0..ow).step_by(OUT).map(move |x| (n, y, x)))
    }

    /// Each output, and its bound: the number of roundings on a path times the same formula of absolute values.
    fn convolved(geometry: &Geometry, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<(f64, f64)> {
        let Geometry { batch, height, width, channels, filters, padding, .. } = *geometry;
        let [oh, ow] = geometry.output();
        let at = |n: usize, y: usize, x_: usize, c: usize| {
            at(x, [height, width, channels], n, y.wrapping_sub(padding[0][0]), x_.wrapping_sub(padding[1][0]), c)
        };
        let weight = |i: usize, c: usize, o: usize| f64::from(w[(i * channels + c) * filters + o]);
        let start = |o: usize| bias.map_or(0.0, |bias| f64::from(bias[o]));
        let mut expected = vec![(0.0, 0.0); batch * oh * ow * filters];
        let roundings = (channels + 24) as f64;
        for (n, ty, tx) in corners(batch, [oh, ow]) {
            for o in 0..filters {
                let mut products = [[0.0; IN]; IN];
                for c in 0..channels {
                    let v = sizes(&INPUT, |i, j| at(n, ty + i, tx + j, c).abs());
                    let u = sizes(&WEIGHTS, |i, j| weight(i * SIDE + j, c, o).abs());
                    for (i, j) in (0..PLACES).map(|i| (i / IN, i % IN)) {
                        products[i][j] += u[i][j] * v[i][j] / 576.0;
                    }
                }
                let size = sizes(&OUTPUT, |i, j| products[i][j]);
                for (i, j) in (0..OUT * OUT).map(|i| (i / OUT, i % OUT)).filter(|(i, j)| ty + i < oh && tx + j < ow) {
                    let terms = (0..9).flat_map(|t| (0..channels).map(move |c| (t, c)));
                    let sum: f64 = terms.map(|(t, c)| at(n, ty + i + t / 3, tx + j + t % 3, c) * weight(t, c, o)).sum();
                    expected[((n * oh + ty + i) * ow + tx + j) * filters + o] =
                        (start(o) + sum, roundings * U * (size[i][j] + start(o).abs()));
                }
            }
        }
        expected
    }

    /// The same of the gradient for the weights.
    fn weighed(geometry: &Geometry, x: &[f32], g: &[f32]) -> Vec<(f64, f64)> {
        let Geometry { batch, height, width, channels, filters, padding, .. } = *geometry;
        let [oh, ow] = geometry.output();
        let at = |n: usize, y: usize, x_: usize, c: usize| {
            at(x, [height, width, channels], n, y.wrapping_sub(padding[0][0]), x_.wrapping_sub(padding[1][0]), c)
        };
        let (spread, gather) = (adjoint(&OUTPUT), adjoint(&WEIGHTS));
        let mut expected = vec![(0.0, 0.0); 9 * channels * filters];
        let roundings = (corners(batch, [oh, ow]).count() + 24) as f64;
        for (c, o) in (0..channels).flat_map(|c| (0..filters).map(move |o| (c, o))) {
            let grad = |n: usize, y: usize, x: usize| self::at(g, [oh, ow, filters], n, y, x, o);
            let mut products = [[0.0; IN]; IN];
            for (n, ty, tx) in corners(batch, [oh, ow]) {
                let v = sizes(&INPUT, |i, j| at(n, ty + i, tx + j, c).abs());
                let u = sizes(&spread, |i, j| grad(n, ty + i, tx + j).abs());
                for (i, j) in (0..PLACES).map(|i| (i / IN, i % IN)) {
                    products[i][j] += u[i][j] * v[i][j] / 576.0;
                }
            }
            let size = sizes(&gather, |i, j| products[i][j]);
            for t in 0..9 {
                let pixels = (0..batch).flat_map(|n| (0..oh * ow).map(move |i| (n, i / ow, i % ow)));
                let sum: f64 = pixels.map(|(n, y, x)| at(n, y + t / 3, x + t % 3, c) * grad(n, y, x)).sum();
                expected[(t * channels + c) * filters + o] = (sum, roundings * U * size[t / 3][t % 3]);
            }
        }
        expected
    }

    fn case(geometry: Geometry, bias: bool) {
        let Geometry { batch, height, width, channels, filters, .. } = geometry;
        let x = numbers(1, batch * height * width * channels);
        let (w, w_stored) = weights(&geometry, numbers(2, 9 * channels * filters));
        let b = numbers(3, filters);
        let expected = convolved(&geometry, &x, &w, bias.then_some(&b));
        let build = |level| Winograd::new(level, Direction::Forward, geometry, bias);
        check(build, &[&x, &w_stored, &b], &expected, &geometry);
    }

    fn gradients(geometry: Geometry) {
        let Geometry { batch, height, width, channels, filters, .. } = geometry;
        let [oh, ow] = geometry.output();
        let (x, w) = (numbers(1, batch * height * width * channels), numbers(2, 9 * channels * filters));
        let g = numbers(3, batch * oh * ow * filters);
        let build = |direction| move |level| Winograd::new(level, direction, geometry, false);
        check(build(Direction::WeightGrad), &[&x, &g], &weighed(&geometry, &x, &g), &geometry);
        let place = |i: usize| {
            let (tap, o, c) = (i / (channels * filters), i / channels % filters, i % channels);
            ((8 - tap) * channels + c) * filters + o
        };
        let around: Vec<f32> = (0..w.len()).map(|i| w[place(i)]).collect();
        let expected = convolved(&turned(&geometry), &g, &around, None);
        assert_eq!(expected.len(), x.len());
        check(build(Direction::InputGrad), &[&g, &w], &expected, &geometry);
    }

    #[test]
    fn matches_the_sum() {
        for (batch, height, width, channels, filters, padding) in [
            (1, 4, 4, 1, 1, [[1, 1], [1, 1]]),
            (2, 8, 8, 3, 5, [[1, 1], [1, 1]]),
            (1, 5, 7, 17, 33, [[1, 1], [1, 1]]),
            (1, 6, 9, 70, 49, [[0, 1], [2, 0]]),
            (1, 3, 3, 4, 4, [[0, 0], [0, 0]]),
            (5, 21, 17, 2, 3, [[1, 1], [1, 1]]),
            (1, 45, 45, 66, 3, [[1, 1], [1, 1]]),
            (0, 4, 4, 2, 2, [[1, 1], [1, 1]]),
            (1, 4, 4, 0, 2, [[1, 1], [1, 1]]),
            (1, 4, 4, 2, 0, [[1, 1], [1, 1]]),
        ] {
            let mut geometry = Geometry {
                batch,
                height,
                width,
                channels,
                filters,
                kernel: [3, 3],
                stride: [1, 1],
                padding,
                pairs: false,
                stored: Stored::PLAIN,
            };
            case(geometry, false);
            gradients(geometry);
            for (dtype, filters_first) in
                [(DType::F32, false), (DType::F32, true), (DType::F16, true), (DType::BF16, true), (DType::F16, false)]
            {
                geometry.stored = Stored { dtype, filters_first };
                case(geometry, true);
            }
        }
    }
}
