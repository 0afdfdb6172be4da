//! 3×3 convolutions and their gradients by minimal filtering, F(4×4, 3×3) (Winograd 1980; Lavin & Gray 2016, "Fast
//! Algorithms for Convolutional Neural Networks", section 4.3).

use alloc::vec::Vec;

use super::{Conv, Fused, Op, Window};
use crate::{DType, Graph, Shape, Tensor};

/// Pixels along a side of an output tile.
const OUT: usize = 4;
/// Pixels along a side of an input tile.
const IN: usize = 6;
/// Pixels along a side of a kernel.
const TAPS: usize = 3;

/// Bᵀ, for the points 0, ±1, ±2 and ∞.
#[rustfmt::skip]
const INPUT: [f32; IN * IN] = [
    4.0,  0.0, -5.0,  0.0, 1.0, 0.0,
    0.0, -4.0, -4.0,  1.0, 1.0, 0.0,
    0.0,  4.0, -4.0, -1.0, 1.0, 0.0,
    0.0, -2.0, -1.0,  2.0, 1.0, 0.0,
    0.0,  2.0, -1.0, -2.0, 1.0, 0.0,
    0.0,  4.0,  0.0, -5.0, 0.0, 1.0,
];

/// 24·G.
#[rustfmt::skip]
const KERNEL: [f32; IN * TAPS] = [
     6.0,  0.0,  0.0,
    -4.0, -4.0, -4.0,
    -4.0,  4.0, -4.0,
     1.0,  2.0,  4.0,
     1.0, -2.0,  4.0,
     0.0,  0.0, 24.0,
];

/// 1 over the square of what [`KERNEL`] has too much.
const SCALE: f32 = 1.0 / (24.0 * 24.0);

/// Aᵀ.
#[rustfmt::skip]
const OUTPUT: [f32; OUT * IN] = [
    1.0, 1.0,  1.0, 1.0,  1.0, 0.0,
    0.0, 1.0, -1.0, 2.0, -2.0, 0.0,
    0.0, 1.0,  1.0, 4.0,  4.0, 0.0,
    0.0, 1.0, -1.0, 8.0, -8.0, 1.0,
];

/// The adjoint of a matrix with so many columns.
fn adjoint<const COLUMNS: usize>(matrix: &[f32]) -> Vec<f32> {
    (0..COLUMNS).flat_map(|column| matrix.iter().skip(column).step_by(COLUMNS).copied()).collect()
}

/// A matrix that meets a kernel turned by 180°.
fn turned(matrix: &[f32]) -> Vec<f32> {
    matrix.chunks_exact(TAPS).flat_map(|row| row.iter().rev().copied()).collect()
}

/// The zeros around ∂y of which a convolution with the turned kernel is ∂x; `None` if the window steps further than a
/// pixel, or ∂y itself would be cut.
pub(crate) fn around(window: Window) -> Option<[usize; 4]> {
    let rests = window.padding.map(|zeros| (TAPS - 1).checked_sub(zeros));
    let [Some(top), Some(bottom), Some(left), Some(right)] = rests else { return None };
    (window.stride == [1, 1]).then_some([top, bottom, left, right])
}

/// `matrix` applied along the first axis.
fn along<'g>(matrix: &[f32], x: Tensor<'g>) -> Tensor<'g> {
    let shape = x.shape();
    let rows = matrix.len() / shape[0];
    let matrix = x.builder().literal(&[rows, shape[0]], matrix);
    let rest: usize = shape[1..].iter().product();
    matrix.matmul(x.reshape(&[shape[0], rest])).reshape(&shape.with(0, rows))
}

/// An axis of `4·(count + 1)` pixels as two: tiles, and the six pixels of each.
fn tiles(x: Tensor<'_>, axis: usize, count: usize) -> Tensor<'_> {
    let shape = x.shape();
    let split = [&shape[..axis], &[count + 1, OUT], &shape[axis + 1..]].concat();
    let x = x.reshape(&split);
    x.slice(axis, 0, count).concat(&[x.slice(axis, 1, count + 1).slice(axis + 1, 0, IN - OUT)], axis as isize + 1)
}

/// Tiles down and across that cover an output.
fn cover(output: [usize; 2]) -> [usize; 2] {
    output.map(|pixels| pixels.div_ceil(OUT))
}

/// Bᵀ x B of the tiles that outputs of some pixels see: `[36, tiles, C]`.
fn of_input<'g>(x: Tensor<'g>, padding: [usize; 4], [down, across]: [usize; 2]) -> Tensor<'g> {
    let [n, height, width, c] = [0, 1, 2, 3].map(|axis| x.shape()[axis]);
    let [top, _, left, _] = padding;
    let x = x.pad(1, top, OUT * (down + 1) - height - top).pad(2, left, OUT * (across + 1) - width - left);
    let x = tiles(tiles(x, 1, down), 3, across);
    let x = along(&INPUT, x.permute(&[2, 0, 1, 3, 4, 5]));
    along(&INPUT, x.permute(&[4, 0, 1, 2, 3, 5])).reshape(&[IN * IN, n * down * across, c])
}

/// y = Aᵀ \[(G w Gᵀ) ⊙ (Bᵀ x B)\] A of every tile, summed over channels inside the brackets.
fn convolve<'g>(x: Tensor<'g>, w: Tensor<'g>, kernel: &[f32], padding: [usize; 4]) -> Tensor<'g> {
    let ([n, height, width, c], filters) = ([0, 1, 2, 3].map(|axis| x.shape()[axis]), w.shape()[3]);
    let window = Window { stride: [1, 1], padding };
    let Some([oh, ow]) = window.output([height, width], [TAPS; 2]) else { return x };
    let [down, across] = cover([oh, ow]);
    let x = of_input(x, padding, [down, across]);
    let w = along(kernel, along(kernel, w).permute(&[1, 0, 2, 3])).reshape(&[IN * IN, c, filters]);
    let products = x.matmul(w * SCALE).reshape(&[IN, IN, n * down * across * filters]);
    let y = along(&OUTPUT, along(&OUTPUT, products).permute(&[1, 0, 2]));
    let y = y.reshape(&[OUT, OUT, n, down, across, filters]).permute(&[2, 3, 0, 4, 1, 5]);
    y.reshape(&[n, OUT * down, OUT * across, filters]).slice(1, 0, oh).slice(2, 0, ow)
}

/// ∂w = Gᵀ \[(Bᵀ x B) ⊙ (A ∂y Aᵀ)\] G, summed over tiles inside the brackets.
fn weigh<'g>(x: Tensor<'g>, g: Tensor<'g>, padding: [usize; 4]) -> Tensor<'g> {
    let ([n, oh, ow, filters], c) = ([0, 1, 2, 3].map(|axis| g.shape()[axis]), x.shape()[3]);
    let [down, across] = cover([oh, ow]);
    let x = of_input(x, padding, [down, across]);
    let g = g.pad(1, 0, OUT * down - oh).pad(2, 0, OUT * across - ow);
    let g = g.reshape(&[n, down, OUT, across, OUT, filters]).permute(&[2, 4, 0, 1, 3, 5]);
    let spread = adjoint::<IN>(&OUTPUT);
    let g = along(&spread, along(&spread, g).permute(&[1, 0, 2, 3, 4, 5]));
    let g = g.reshape(&[IN * IN, n * down * across, filters]);
    let products = x.permute(&[0, 2, 1]).matmul(g).reshape(&[IN, IN, c, filters]);
    let kernel = adjoint::<TAPS>(&KERNEL);
    along(&kernel, along(&kernel, products).permute(&[1, 0, 2, 3])) * SCALE
}

/// What a convolution or gradient of stride 1 is.
pub(crate) fn expand<'g>(conv: Conv, a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    match conv {
        Conv::Forward(window) => convolve(a, b, &KERNEL, window.padding),
        Conv::InputGrad(window) => {
            around(window).map_or(a, |padding| convolve(a, b.permute(&[0, 1, 3, 2]), &turned(&KERNEL), padding))
        }
        Conv::WeightGrad(window) => weigh(a, b, window.padding),
    }
}

/// The result's shape, of the operands'.
pub(crate) fn infer(conv: Conv, a: Shape, b: Shape) -> Option<Shape> {
    let window = Some(conv.window()).filter(|window| window.stride == [1, 1] && a.rank() == 4 && b.rank() == 4)?;
    // The picture, the zeros around it, and the channels of products.
    let (picture, padding, wide, result) = match conv {
        Conv::Forward(_) if b[..3] == [TAPS, TAPS, a[3]] => {
            let [h, w] = window.output([a[1], a[2]], [TAPS; 2])?;
            (a, window.padding, a[3].max(b[3]), a.with(1, h).with(2, w).with(3, b[3]))
        }
        Conv::InputGrad(_) if b[..2] == [TAPS; 2] && b[3] == a[3] => {
            let padding = around(window)?;
            let [h, w] = Window { padding, ..window }.output([a[1], a[2]], [TAPS; 2])?;
            (a, padding, a[3].max(b[2]), a.with(1, h).with(2, w).with(3, b[2]))
        }
        Conv::WeightGrad(_) if a[0] == b[0] && window.output([a[1], a[2]], [TAPS; 2]) == Some([b[1], b[2]]) => {
            (a, window.padding, a[3].max(b[3]), Shape::new(&[TAPS, TAPS, a[3], b[3]])?)
        }
        _ => return None,
    };
    let [h, w] = Window { padding, ..window }.output([picture[1], picture[2]], [TAPS; 2])?;
    let [top, bottom, left, right] = padding;
    let padded =
        |size: usize, zeros: [usize; 2]| size.checked_add(zeros[0])?.checked_add(zeros[1])?.checked_add(2 * OUT);
    let tiled = [picture[0], padded(picture[1], [top, bottom])?, padded(picture[2], [left, right])?, picture[3]];
    // What the tiles of the input and of the products hold must be a shape, too.
    let count = picture[0].checked_mul(h.div_ceil(OUT))?.checked_mul(w.div_ceil(OUT))?;
    let transformed = [count, picture[3]].map(|rows| Shape::new(&[IN * IN, rows, wide]));
    Shape::new(&tiled).and(transformed[0]).and(transformed[1])?;
    Some(result)
}

impl Graph {
    /// The graph with 3×3 convolutions of stride 1 in single precision, and their gradients, computed by minimal
    /// filtering ([`Fused::Winograd`]) where `pays` says so, of the shapes of the picture that slides under the kernel
    /// (a gradient for the picture slides the result's) and of the kernel `[3, 3, C, O]`.
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType, Init, op::Window};
    /// let b = Builder::new();
    /// let x = b.input("x", &[1, 8, 8, 3], DType::F32);
    /// let w = b.param("w", &[3, 3, 3, 5], DType::F32, Init::Normal(0.1));
    /// let graph = b.finish(&[("y", x.conv2d(w, Window::same(3)))])?;
    /// let fast = graph.with_winograd(|picture, kernel| picture[1] >= 8 && kernel[2] >= 3);
    /// assert!(fast.nodes().iter().any(|node| node.op.name() == "winograd"));
    /// # Ok::<(), yuragi_graph::BuildError>(())
    /// ```
    #[must_use]
    pub fn with_winograd(&self, pays: impl Fn(Shape, Shape) -> bool) -> Graph {
        let conv = |node: &crate::Node| match node.op {
            Op::Conv(conv) if node.dtype == DType::F32 => Some(conv),
            _ => None,
        };
        if !self.nodes().iter().any(|node| conv(node).is_some()) {
            return self.clone();
        }
        self.rebuilt(|node, operands| {
            let conv = conv(node)?;
            let [a, b] = [operands[0], operands[1]];
            let kernel = if let Conv::WeightGrad(_) = conv { node.shape } else { b.shape() };
            infer(conv, a.shape(), b.shape()).filter(|shape| *shape == node.shape && pays(a.shape(), kernel))?;
            Some(a.fused(Fused::Winograd(conv), &[b]))
        })
    }
}
