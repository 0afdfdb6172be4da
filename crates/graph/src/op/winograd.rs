//! 3×3 convolutions by minimal filtering, F(4×4, 3×3) (Winograd 1980; Lavin & Gray 2016, "Fast Algorithms for
//! Convolutional Neural Networks", section 4.3).

use alloc::vec::Vec;

use super::{Conv, Op, Window};
use crate::{DType, Graph, Shape, Tensor};

/// Pixels along a side of an output tile.
const OUT: usize = 4;
/// Pixels along a side of an input tile.
const IN: usize = 6;

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
const KERNEL: [f32; IN * 3] = [
     6.0,  0.0,  0.0,
    -4.0, -4.0, -4.0,
    -4.0,  4.0, -4.0,
     1.0,  2.0,  4.0,
     1.0, -2.0,  4.0,
     0.0,  0.0, 24.0,
];

/// Aᵀ.
#[rustfmt::skip]
const OUTPUT: [f32; OUT * IN] = [
    1.0, 1.0,  1.0, 1.0,  1.0, 0.0,
    0.0, 1.0, -1.0, 2.0, -2.0, 0.0,
    0.0, 1.0,  1.0, 4.0,  4.0, 0.0,
    0.0, 1.0, -1.0, 8.0, -8.0, 1.0,
];

/// Every pixel, with these zeros around.
pub(crate) const fn window(padding: [usize; 4]) -> Window {
    Window { stride: [1, 1], padding }
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

/// y = Aᵀ \[(G w Gᵀ) ⊙ (Bᵀ x B)\] A of every tile, summed over channels inside the brackets.
pub(crate) fn expand<'g>(x: Tensor<'g>, w: Tensor<'g>, padding: [usize; 4]) -> Tensor<'g> {
    let ([n, height, width, c], filters) = ([0, 1, 2, 3].map(|axis| x.shape()[axis]), w.shape()[3]);
    let Some([oh, ow]) = window(padding).output([height, width], [3, 3]) else { return x };
    let (down, across) = (oh.div_ceil(OUT), ow.div_ceil(OUT));
    let [top, _, left, _] = padding;
    let x = x.pad(1, top, OUT * (down + 1) - height - top).pad(2, left, OUT * (across + 1) - width - left);
    let x = tiles(tiles(x, 1, down), 3, across);
    let x = along(&INPUT, x.permute(&[2, 0, 1, 3, 4, 5]));
    let x = along(&INPUT, x.permute(&[4, 0, 1, 2, 3, 5])).reshape(&[IN * IN, n * down * across, c]);
    let w = along(&KERNEL, along(&KERNEL, w).permute(&[1, 0, 2, 3])).reshape(&[IN * IN, c, filters]);
    let products = x.matmul(w / (24.0 * 24.0)).reshape(&[IN, IN, n * down * across * filters]);
    let y = along(&OUTPUT, along(&OUTPUT, products).permute(&[1, 0, 2]));
    let y = y.reshape(&[OUT, OUT, n, down, across, filters]).permute(&[2, 3, 0, 4, 1, 5]);
    y.reshape(&[n, OUT * down, OUT * across, filters]).slice(1, 0, oh).slice(2, 0, ow)
}

/// The gradients of the convolution that it is.
pub(crate) fn grad<'g>(g: Tensor<'g>, x: Tensor<'g>, w: Tensor<'g>, padding: [usize; 4]) -> [Tensor<'g>; 2] {
    Conv::Forward(window(padding)).grad(g, x, w)
}

/// The result's shape for a picture and a kernel.
pub(crate) fn infer(x: Shape, w: Shape, padding: [usize; 4]) -> Option<Shape> {
    let fits = x.rank() == 4 && w.rank() == 4 && w[..2] == [3, 3] && w[2] == x[3];
    let [h, width] = window(padding).output([*x.get(1)?, *x.get(2)?], [3, 3]).filter(|_| fits)?;
    let padded = |size: usize, before: usize| size.checked_add(before)?.checked_add(2 * OUT);
    let tiled = [x[0], padded(x[1], 2 * padding[0])?, padded(x[2], 2 * padding[2])?, x[3]];
    // What the tiles of the input and of the products hold must be a shape, too.
    let products = [IN * IN, x[0].checked_mul(h.div_ceil(OUT))?.checked_mul(width.div_ceil(OUT))?, x[3].max(w[3])];
    Shape::new(&tiled).and(Shape::new(&products))?;
    Some(x.with(1, h).with(2, width).with(3, w[3]))
}

impl Graph {
    /// The graph with 3×3 convolutions of stride 1 in single precision computed by minimal filtering
    /// ([`Tensor::winograd`]) where `pays` says so, of the picture's and the kernel's shapes.
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
        let unit = |node: &crate::Node| match node.op {
            Op::Conv(Conv::Forward(window)) if window.stride == [1, 1] && node.dtype == DType::F32 => {
                Some(window.padding)
            }
            _ => None,
        };
        if !self.nodes().iter().any(|node| unit(node).is_some()) {
            return self.clone();
        }
        self.rebuilt(|node, operands| {
            let padding = unit(node)?;
            let shapes: Vec<Shape> = operands.iter().map(|t| t.shape()).collect();
            infer(shapes[0], shapes[1], padding).filter(|_| pays(shapes[0], shapes[1]))?;
            Some(operands[0].winograd(operands[1], padding))
        })
    }
}
