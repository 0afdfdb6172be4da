//! Softmax over the last axis.

use super::lanes::{Sum, max, steps};
use super::{Buffers, Kernel};
use crate::simd::{Level, Op, Vector, exp};

/// Elements of one task, about.
pub(super) const CHUNK: usize = 8192;

/// eˣ⁻ᵐ / Σ eˣ⁻ᵐ over each row, m its largest element. May work in place.
#[derive(Debug)]
pub(crate) struct Softmax {
    level: Level,
    rows: usize,
    n: usize,
}

impl Softmax {
    pub fn new(level: Level, rows: usize, n: usize) -> Self {
        Self { level, rows, n }
    }
}

/// Rows of `n` elements that make a task.
pub(super) fn rows_per_task(n: usize) -> usize {
    (CHUNK / n.max(1)).max(1)
}

impl Kernel for Softmax {
    fn tasks(&self, _: usize) -> usize {
        if self.n == 0 { 0 } else { self.rows.div_ceil(rows_per_task(self.n)) }
    }

    unsafe fn task(&self, _: usize, index: usize, buffers: Buffers<'_>) {
        let first = index * rows_per_task(self.n);
        let rows = rows_per_task(self.n).min(self.rows - first);
        let from = buffers.inputs[0].wrapping_add(first * self.n);
        let to = buffers.outputs[0].wrapping_add(first * self.n);
        self.level.run(Rows { from, to, rows, n: self.n });
    }
}

struct Rows {
    from: *const f32,
    to: *mut f32,
    rows: usize,
    n: usize,
}

impl Op for Rows {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let n = self.n;
        for row in 0..self.rows {
            // SAFETY: this task's rows of the input and the output.
            unsafe {
                let (from, to) = (self.from.add(row * n), self.to.add(row * n));
                let max = V::splat(max::<V>(from, n));
                let mut sum = Sum::new();
                for (at, count) in steps::<V>(n) {
                    let weight = exp(V::load_first(from.add(at), count).sub(max)).first(count);
                    weight.store_first(to.add(at), count);
                    sum.add(weight);
                }
                let scale = V::splat(1.0 / sum.total());
                for (at, count) in steps::<V>(n) {
                    V::load_first(to.add(at), count).mul(scale).store_first(to.add(at), count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::testing::{U, check, numbers};
    use super::*;

    #[test]
    fn matches_the_definition() {
        for (rows, n) in [(1, 1), (0, 4), (4, 0), (3, 5), (7, 16), (2, 100), (40, 257), (1, 9000)] {
            let x: Vec<f32> = numbers(1, rows * n).iter().map(|x| 20.0 * x).collect();
            let mut expected = Vec::new();
            for row in x.chunks(n.max(1)) {
                let max: f64 = row.iter().copied().fold(f32::NEG_INFINITY, f32::max).into();
                let weight = |&x: &f32| libm::exp(f64::from(x) - max);
                let sum: f64 = row.iter().map(weight).sum();
                // The rounded difference shifts each exponent, in the sum too;
                // exp errs by 1 ulp, the sum by n u, the rest by 2 u.
                let bound = U * (2.0 * 40.0 + 2.0 * 2.0 + n as f64 + 2.0);
                expected.extend(row.iter().map(|x| (weight(x) / sum, bound * weight(x) / sum + 1e-45)));
            }
            check(|level| Softmax::new(level, rows, n), &[&x], &expected, &(rows, n));
        }
    }
}
