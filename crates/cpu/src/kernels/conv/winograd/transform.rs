//! The matrices of F(4×4, 3×3), and two adjoints.

use crate::simd::Vector;

/// Pixels along a side of an output tile.
pub(super) const OUT: usize = 4;
/// Pixels along a side of an input tile.
pub(super) const IN: usize = 6;
/// Taps along a side of a kernel.
pub(super) const SIDE: usize = 3;
/// Places of a transformed tile: one matrix product each.
pub(super) const PLACES: usize = IN * IN;

/// One of the matrices, which meets the columns of a tile, then its rows.
pub(super) trait Transform {
    /// Length of a column, before and after.
    const FROM: usize;
    const INTO: usize;
    /// By what a tile that it met twice is too large, to multiply with.
    const SCALE: f32 = 1.0;

    /// The first `INTO` of what the first `FROM` become.
    fn apply<V: Vector>(x: [V; IN]) -> [V; IN];

    #[inline(always)]
    fn twice<V: Vector>(x: &Square<V>) -> Square<V> {
        let mut columns = [[V::splat(0.0); IN]; IN];
        for j in 0..Self::FROM {
            let mut column = [V::splat(0.0); IN];
            for (value, row) in column.iter_mut().zip(x).take(Self::FROM) {
                *value = row[j];
            }
            let column = Self::apply(column);
            for (row, value) in columns.iter_mut().zip(column).take(Self::INTO) {
                row[j] = value;
            }
        }
        for row in columns.iter_mut().take(Self::INTO) {
            *row = Self::apply(*row);
        }
        columns
    }
}

/// A tile, of which a corner may be used.
pub(super) type Square<V> = [[V; IN]; IN];

/// Bᵀ.
#[derive(Clone, Copy)]
pub(super) struct OfInput;

impl Transform for OfInput {
    const FROM: usize = IN;
    const INTO: usize = IN;

    #[inline(always)]
    fn apply<V: Vector>(d: [V; IN]) -> [V; IN] {
        let (two, four) = (V::splat(2.0), V::splat(4.0));
        let (minus4, minus5) = (V::splat(-4.0), V::splat(-5.0));
        let (odd, even) = (minus4.mul_add(d[1], d[3]), minus4.mul_add(d[2], d[4]));
        let (odd2, even2) = (two.mul(d[3].sub(d[1])), d[4].sub(d[2]));
        [
            four.mul_add(d[0], minus5.mul_add(d[2], d[4])),
            even.add(odd),
            even.sub(odd),
            even2.add(odd2),
            even2.sub(odd2),
            four.mul_add(d[1], minus5.mul_add(d[3], d[5])),
        ]
    }
}

/// 24·G, which has whole numbers.
#[derive(Clone, Copy)]
pub(super) struct OfWeights;

impl Transform for OfWeights {
    const FROM: usize = SIDE;
    const INTO: usize = IN;
    const SCALE: f32 = 1.0 / (24.0 * 24.0);

    #[inline(always)]
    fn apply<V: Vector>(g: [V; IN]) -> [V; IN] {
        let (four, minus) = (V::splat(4.0), V::splat(-4.0));
        let ends = g[0].add(g[2]);
        let (odd, even) = (g[1].add(g[1]), four.mul_add(g[2], g[0]));
        [
            V::splat(6.0).mul(g[0]),
            minus.mul(ends.add(g[1])),
            minus.mul(ends.sub(g[1])),
            even.add(odd),
            even.sub(odd),
            V::splat(24.0).mul(g[2]),
        ]
    }
}

/// Aᵀ.
#[derive(Clone, Copy)]
pub(super) struct OfOutput;

impl Transform for OfOutput {
    const FROM: usize = IN;
    const INTO: usize = OUT;

    #[inline(always)]
    fn apply<V: Vector>(m: [V; IN]) -> [V; IN] {
        let (even, odd) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (even2, odd2) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(even).add(even2),
            odd.add(odd2.add(odd2)),
            V::splat(4.0).mul_add(even2, even),
            V::splat(8.0).mul_add(odd2, odd).add(m[5]),
            V::splat(0.0),
            V::splat(0.0),
        ]
    }
}

/// A: of the gradient of an output tile.
#[derive(Clone, Copy)]
pub(super) struct OfGradient;

impl Transform for OfGradient {
    const FROM: usize = OUT;
    const INTO: usize = IN;

    #[inline(always)]
    fn apply<V: Vector>(y: [V; IN]) -> [V; IN] {
        let (even, odd) = (y[0].add(y[2]), y[1].add(y[3]));
        let (four, eight) = (V::splat(4.0), V::splat(8.0));
        let (even2, odd2) = (four.mul_add(y[2], y[0]), eight.mul_add(y[3], y[1].add(y[1])));
        [y[0], even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), y[3]]
    }
}

/// 24·Gᵀ: of what becomes a kernel's gradient.
#[derive(Clone, Copy)]
pub(super) struct OfKernel;

impl Transform for OfKernel {
    const FROM: usize = IN;
    const INTO: usize = SIDE;
    const SCALE: f32 = OfWeights::SCALE;

    #[inline(always)]
    fn apply<V: Vector>(m: [V; IN]) -> [V; IN] {
        let (even, odd) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (even2, odd2) = (m[3].add(m[4]), m[3].sub(m[4]));
        let (minus, zero) = (V::splat(-4.0), V::splat(0.0));
        let outer = minus.mul_add(even, even2);
        [
            V::splat(6.0).mul_add(m[0], outer),
            minus.mul_add(odd, odd2.add(odd2)),
            V::splat(24.0).mul_add(m[5], minus.mul(even.sub(even2))),
            zero,
            zero,
            zero,
        ]
    }
}
