//! What follows products and convolutions element by element: what a backend may compute before it stores them.

use yuragi_graph::{Tensor, op::Window};

use super::{Case, FLOATS, Law, Smooth};

/// Sizes of a product: batch, m, n, k. Columns in groups of four and not, one row, sums that several blocks may share.
const SIZES: [[usize; 4]; 5] = [[1, 5, 8, 3], [3, 7, 5, 4], [2, 1, 12, 9], [2, 9, 24, 16], [1, 4, 4, 1100]];

pub(super) fn cases(cases: &mut Vec<Case>) {
    for dtype in FLOATS {
        for [batch, m, n, k] in SIZES {
            // The product; other operands are a residual, a gate, a vector for each matrix and a row.
            let mut push = |what: &str, follow: for<'t> fn(Tensor<'t>, &[Tensor<'t>]) -> Tensor<'t>| {
                let case = Case::new("epilogue", dtype, format!("{what} {m}×{n}×{k}"), move |_, x| {
                    vec![follow(x[0].matmul(x[1]), &x[2..])]
                });
                let case = case.input(&[batch, m, k], Law::Normal).input(&[batch, k, n], Law::Normal);
                let case = case.input(&[batch, m, n], Law::Normal).input(&[batch, m, n], Law::Normal);
                let case = case.input(&[batch, 1, n], Law::Normal).input(&[n], Law::Normal);
                cases.push(case.smooth(if k < 100 { Smooth::Once } else { Smooth::No }));
            };
            push("activation", |y, x| (y + x[3]).silu());
            push("gate", |y, x| (y + x[3]) * x[1].gelu());
            push("residual and vector", |y, x| x[0] + (y + x[3] + x[2]).tanh());
            push("transposed residual", |y, x| {
                let [b, m, n] = [0, 1, 2].map(|axis| y.shape()[axis]);
                y.sigmoid() + x[0].reshape(&[b, n, m]).permute(&[0, 2, 1])
            });
            push("reshaped", |y, x| (y.reshape(&[y.shape().count()]) * x[0].reshape(&[y.shape().count()])).relu());
        }
        for (channels, filters) in [(3, 4), (8, 7)] {
            let block = Case::new("epilogue", dtype, format!("convolution, {filters} filters"), |_, x| {
                let pixels = x[0].shape();
                let time = x[3].reshape(&[pixels[0], 1, 1, x[1].shape()[3]]);
                let y = (x[0].conv2d(x[1], Window::same(3)) + x[2] + time).silu();
                let gradient = y.conv2d_input_grad(x[1], Window::same(3), [pixels[1], pixels[2]]);
                vec![(gradient + x[0]) * 0.5, y]
            });
            let block = block.input(&[2, 5, 3, channels], Law::Normal).input(&[3, 3, channels, filters], Law::Normal);
            cases.push(block.input(&[filters], Law::Normal).input(&[2, filters], Law::Normal).smooth(Smooth::Once));
        }
    }
}
