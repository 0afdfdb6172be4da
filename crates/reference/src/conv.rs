//! Two-dimensional convolution and its adjoints: the partial derivatives of the one trilinear form
//! Σ x[n, y·sy + ky − top, x·sx + kx − left, c] · w[ky, kx, c, o] · dy[n, y, x, o].

use alloc::{vec, vec::Vec};

use yuragi_graph::{DType, Shape, op::Conv};

use crate::Number;

/// The operands `(a, b)`, of type `factors`, and the result of `op`, each a picture, a kernel or an output as its kind
/// says.
pub(crate) fn conv<T: Number>(
    op: Conv,
    (a, a_shape): (&[T], Shape),
    (b, b_shape): (&[T], Shape),
    to: Shape,
    factors: DType,
) -> Vec<T> {
    let (picture, kernel, output) = match op {
        Conv::Forward(_) => (a_shape, b_shape, to),
        Conv::InputGrad(_) => (to, b_shape, a_shape),
        Conv::WeightGrad(_) => (a_shape, to, b_shape),
    };
    let window = op.window();
    let [top, _, left, _] = window.padding;
    let [batch, height, width, channels] = [0, 1, 2, 3].map(|axis| picture[axis]);
    let filters = kernel[3];
    let mut totals = vec![T::Total::default(); to.count()];
    for n in 0..batch {
        for (oy, ox) in pairs(output[1], output[2]) {
            for (ky, kx) in pairs(kernel[0], kernel[1]) {
                let y = (oy * window.stride[0] + ky).checked_sub(top).filter(|&y| y < height);
                let x = (ox * window.stride[1] + kx).checked_sub(left).filter(|&x| x < width);
                let (Some(y), Some(x)) = (y, x) else { continue };
                for (c, o) in pairs(channels, filters) {
                    let p = ((n * height + y) * width + x) * channels + c;
                    let k = ((ky * kernel[1] + kx) * channels + c) * filters + o;
                    let q = ((n * output[1] + oy) * output[2] + ox) * filters + o;
                    match op {
                        Conv::Forward(_) => T::accumulate(&mut totals[q], a[p], b[k]),
                        Conv::InputGrad(_) => T::accumulate(&mut totals[p], a[q], b[k]),
                        Conv::WeightGrad(_) => T::accumulate(&mut totals[k], a[p], b[q]),
                    }
                }
            }
        }
    }
    totals.into_iter().map(|total| T::product(total, factors)).collect()
}

fn pairs(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}
