//! The register tile: the inner loop of every matrix kernel.

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
use super::neon::Neon;
#[cfg(target_feature = "simd128")]
use super::wasm::Simd128;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use super::{Level, UPPER, Vector, portable::Portable, prefetch};

/// The most rows of a tile at any level.
pub(crate) const MAX_ROWS: usize = 8;

/// A small matrix product, summed in registers:
///
/// out\[i\]\[j\] = base + Σ_s Σ_k a_s\[i\]\[k·step\] · b_s\[k·width + j\]
///
/// with k in `0..len`, and s over the segments: the taps of a convolution, or
/// the image rows of a sum over pixels. The double sum is taken from left to
/// right, then added to the base. Where the factors are pairs of bfloat16, two
/// in an element, a·b is the sum of both products.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    pub segments: &'a [Segment],
    /// Length of a segment.
    pub len: usize,
    /// Distance between the left operand's elements of one row.
    pub step: usize,
    /// Distance between the right operand's rows, which are read in whole
    /// vectors.
    pub width: usize,
    /// Both operands hold pairs.
    pub pairs: bool,
    pub base: Base,
    /// Where the rows of the result begin.
    pub out: [*mut f32; MAX_ROWS],
    /// At most [`Level::tile_rows`]; arrays of rows repeat the last one from
    /// here on.
    pub rows: usize,
    /// At most [`Level::tile_vectors`] vectors; only these are written.
    pub cols: usize,
}

/// Tiles of one segment each, one below the other, of which the left operand's rows are evenly apart, for any number of
/// rows.
#[derive(Clone, Copy)]
pub(crate) struct Strip {
    pub left: Left,
    /// Where the right operand begins.
    pub right: *const f32,
    /// Terms of the sum.
    pub len: usize,
    /// Distance between the right operand's rows, which are read in whole
    /// vectors.
    pub width: usize,
    /// Both operands hold pairs.
    pub pairs: bool,
    pub base: Base,
    /// Where the result begins, and the distance between its rows.
    pub out: (*mut f32, usize),
    pub rows: usize,
    /// At most [`Level::tile_vectors`] vectors, at least 1; only these are written.
    pub cols: usize,
    /// What is needed soon, if anything.
    pub ahead: Option<Ahead>,
}

impl Strip {
    /// Asks for what is needed soon, with the tile of this number.
    #[inline(always)]
    fn ask(&self, number: usize) {
        let Some(ahead) = self.ahead else { return };
        for row in 0..ahead.rows {
            prefetch(ahead.from.wrapping_add(number * ahead.tile + row * ahead.row), ahead.len);
        }
    }
}

/// A left operand.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub from: *const f32,
    /// Distance between the rows of a tile.
    pub row: usize,
    /// Distance between tiles of [`Level::tile_rows`].
    pub tile: usize,
    /// Distance between the terms.
    pub step: usize,
}

/// What is asked into the second-level cache with each tile: some rows.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub from: *const f32,
    pub rows: usize,
    pub len: usize,
    /// Distance between rows.
    pub row: usize,
    /// Distance between what belongs to one tile and to the next.
    pub tile: usize,
}

/// A part of a tile's sum.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    /// Where the rows of the left operand begin.
    pub a: [*const f32; MAX_ROWS],
    /// Where the right operand begins.
    pub b: *const f32,
}

impl Segment {
    /// Nothing, to fill an array with.
    pub const NONE: Self = Self { a: [core::ptr::null(); MAX_ROWS], b: core::ptr::null() };
}

/// What a tile's sum is added to.
#[derive(Clone, Copy)]
pub(crate) enum Base {
    Zero,
    /// One row of `cols` elements, for all rows.
    Row(*const f32),
    /// The result so far.
    Out,
}

impl Level {
    /// Computes a tile.
    ///
    /// # Safety
    /// All pointers are valid for what the formula reads and writes, and
    /// `rows` and `cols` are at least 1 and within their limits.
    pub unsafe fn tile(self, tile: &Tile<'_>) {
        let vectors = tile.cols.div_ceil(self.lanes());
        debug_assert!((1..=self.tile_rows()).contains(&tile.rows));
        debug_assert!((1..=self.tile_vectors()).contains(&vectors));
        // The smallest of the compiled heights that holds the rows.
        let height = match tile.rows {
            1 => 0,
            2 => 1,
            3..=4 => 2,
            _ => 3,
        };
        let function = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 if tile.pairs => AVX512_BF16[height][vectors - 1],
            _ if tile.pairs => one_by_one,
            Self::Portable => PORTABLE[height][vectors - 1],
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Self::Neon => NEON[height][vectors - 1],
            #[cfg(target_feature = "simd128")]
            Self::Simd128 => SIMD128[height][vectors - 1],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => AVX2[height][vectors - 1],
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx512Bf16 => AVX512[height][vectors - 1],
        };
        // SAFETY: the caller's promise; the level is available.
        unsafe { function(tile) }
    }

    /// Computes a strip.
    ///
    /// # Safety
    /// All pointers are valid for what the formula reads and writes, and `cols` is within its limits.
    pub unsafe fn strip(self, strip: &Strip) {
        let vectors = strip.cols.div_ceil(self.lanes());
        debug_assert!((1..=self.tile_vectors()).contains(&vectors));
        let function: unsafe fn(&Strip) = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 if strip.pairs => {
                [avx512_bf16_strip::<1>, avx512_bf16_strip::<2>, avx512_bf16_strip::<3>][vectors - 1]
            }
            // SAFETY: the caller's promise.
            _ if strip.pairs => return unsafe { self.tile_by_tile(strip) },
            Self::Portable => [plain_strip::<Portable, 1>, plain_strip::<Portable, 2>][vectors - 1],
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Self::Neon => [plain_strip::<Neon, 1>, plain_strip::<Neon, 2>, plain_strip::<Neon, 3>][vectors - 1],
            #[cfg(target_feature = "simd128")]
            Self::Simd128 => [plain_strip::<Simd128, 1>, plain_strip::<Simd128, 2>][vectors - 1],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => [avx2_strip::<1>, avx2_strip::<2>][vectors - 1],
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx512Bf16 => [avx512_strip::<1>, avx512_strip::<2>, avx512_strip::<3>][vectors - 1],
        };
        // SAFETY: the caller's promise; the level is available.
        unsafe { function(strip) }
    }

    /// A strip of pairs where no instruction multiplies them.
    unsafe fn tile_by_tile(self, strip: &Strip) {
        let height = self.tile_rows();
        for (number, first) in (0..strip.rows).step_by(height).enumerate() {
            let rows = height.min(strip.rows - first);
            let row = |i: usize| i.min(rows - 1);
            let a = strip.left.from.wrapping_add(number * strip.left.tile);
            let tile = Tile {
                segments: &[Segment {
                    a: core::array::from_fn(|i| a.wrapping_add(row(i) * strip.left.row)),
                    b: strip.right,
                }],
                len: strip.len,
                step: strip.left.step,
                width: strip.width,
                pairs: strip.pairs,
                base: strip.base,
                out: core::array::from_fn(|i| strip.out.0.wrapping_add((first + row(i)) * strip.out.1)),
                rows,
                cols: strip.cols,
            };
            // SAFETY: the caller's promise.
            unsafe { self.tile(&tile) }
            strip.ask(number);
        }
    }
}

type Function = unsafe fn(&Tile<'_>);

const PORTABLE: [[Function; 2]; 3] = [
    [plain::<Portable, 1, 1>, plain::<Portable, 1, 2>],
    [plain::<Portable, 2, 1>, plain::<Portable, 2, 2>],
    [plain::<Portable, 4, 1>, plain::<Portable, 4, 2>],
];

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
const NEON: [[Function; 3]; 4] = [
    [plain::<Neon, 1, 1>, plain::<Neon, 1, 2>, plain::<Neon, 1, 3>],
    [plain::<Neon, 2, 1>, plain::<Neon, 2, 2>, plain::<Neon, 2, 3>],
    [plain::<Neon, 4, 1>, plain::<Neon, 4, 2>, plain::<Neon, 4, 3>],
    [plain::<Neon, 8, 1>, plain::<Neon, 8, 2>, plain::<Neon, 8, 3>],
];

#[cfg(target_feature = "simd128")]
const SIMD128: [[Function; 2]; 3] = [
    [plain::<Simd128, 1, 1>, plain::<Simd128, 1, 2>],
    [plain::<Simd128, 2, 1>, plain::<Simd128, 2, 2>],
    [plain::<Simd128, 4, 1>, plain::<Simd128, 4, 2>],
];

#[cfg(target_arch = "x86_64")]
const AVX2: [[Function; 2]; 4] = [
    [avx2::<1, 1>, avx2::<1, 2>],
    [avx2::<2, 1>, avx2::<2, 2>],
    [avx2::<4, 1>, avx2::<4, 2>],
    [avx2::<6, 1>, avx2::<6, 2>],
];

#[cfg(target_arch = "x86_64")]
const AVX512: [[Function; 3]; 4] = [
    [avx512::<1, 1>, avx512::<1, 2>, avx512::<1, 3>],
    [avx512::<2, 1>, avx512::<2, 2>, avx512::<2, 3>],
    [avx512::<4, 1>, avx512::<4, 2>, avx512::<4, 3>],
    [avx512::<8, 1>, avx512::<8, 2>, avx512::<8, 3>],
];

#[cfg(target_arch = "x86_64")]
const AVX512_BF16: [[Function; 3]; 4] = [
    [avx512_bf16::<1, 1>, avx512_bf16::<1, 2>, avx512_bf16::<1, 3>],
    [avx512_bf16::<2, 1>, avx512_bf16::<2, 2>, avx512_bf16::<2, 3>],
    [avx512_bf16::<4, 1>, avx512_bf16::<4, 2>, avx512_bf16::<4, 3>],
    [avx512_bf16::<8, 1>, avx512_bf16::<8, 2>, avx512_bf16::<8, 3>],
];

/// A tile of instructions that all of the compilation target have.
unsafe fn plain<V: Vector, const ROWS: usize, const VECTORS: usize>(tile: &Tile<'_>) {
    // SAFETY: the caller's promise.
    unsafe { compute::<V, ROWS, VECTORS>(tile, Vector::mul_add) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<const ROWS: usize, const VECTORS: usize>(tile: &Tile<'_>) {
    // SAFETY: the caller's promise.
    unsafe { compute::<Avx2, ROWS, VECTORS>(tile, Vector::mul_add) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn avx512<const ROWS: usize, const VECTORS: usize>(tile: &Tile<'_>) {
    // SAFETY: the caller's promise.
    unsafe { compute::<Avx512, ROWS, VECTORS>(tile, Vector::mul_add) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn avx512_bf16<const ROWS: usize, const VECTORS: usize>(tile: &Tile<'_>) {
    // SAFETY: the caller's promise.
    unsafe { compute::<Avx512, ROWS, VECTORS>(tile, Avx512::add_pairs) }
}

/// A strip of instructions that all of the compilation target have.
unsafe fn plain_strip<V: Vector, const VECTORS: usize>(strip: &Strip) {
    // SAFETY: the caller's promise.
    unsafe { compute_strip::<V, VECTORS>(strip, Vector::mul_add) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2_strip<const VECTORS: usize>(strip: &Strip) {
    // SAFETY: the caller's promise.
    unsafe { compute_strip::<Avx2, VECTORS>(strip, Vector::mul_add) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn avx512_strip<const VECTORS: usize>(strip: &Strip) {
    // SAFETY: the caller's promise.
    unsafe { compute_strip::<Avx512, VECTORS>(strip, Vector::mul_add) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn avx512_bf16_strip<const VECTORS: usize>(strip: &Strip) {
    // SAFETY: the caller's promise.
    unsafe { compute_strip::<Avx512, VECTORS>(strip, Avx512::add_pairs) }
}

/// A tile of pairs where no instruction multiplies them.
unsafe fn one_by_one(tile: &Tile<'_>) {
    let half = |x: f32, shift: u32| f32::from_bits((x.to_bits() << shift) & UPPER);
    for (i, out) in tile.out.iter().enumerate().take(tile.rows) {
        for j in 0..tile.cols {
            let mut sum = 0.0;
            // SAFETY: reads and writes what the formula names.
            unsafe {
                for segment in tile.segments {
                    for k in 0..tile.len {
                        let a = *segment.a[i].wrapping_add(k * tile.step);
                        let b = *segment.b.wrapping_add(k * tile.width + j);
                        sum += half(a, 0) * half(b, 0);
                        sum += half(a, 16) * half(b, 16);
                    }
                }
                let out = out.add(j);
                *out = match tile.base {
                    Base::Zero => sum,
                    Base::Row(row) => *row.add(j) + sum,
                    Base::Out => *out + sum,
                };
            }
        }
    }
}

#[inline(always)]
unsafe fn compute<V: Vector, const ROWS: usize, const VECTORS: usize>(tile: &Tile<'_>, add: impl Fn(V, V, V) -> V) {
    let mut sum = [[V::splat(0.0); VECTORS]; ROWS];
    // SAFETY: reads what the formula names; rows beyond `tile.rows` repeat the last. Then `cols` elements of each of the
    // first `rows` rows are written.
    unsafe {
        for segment in tile.segments {
            let rows: [*const f32; ROWS] = core::array::from_fn(|i| segment.a[i]);
            accumulate(&mut sum, rows, tile.step, segment.b, tile.width, tile.len, &add);
        }
        let out: [*mut f32; ROWS] = core::array::from_fn(|i| tile.out[i]);
        finish::<V, ROWS, VECTORS, false>(&sum, tile.base, out, tile.rows, tile.cols);
    }
}

#[inline(always)]
unsafe fn compute_strip<V: Vector, const VECTORS: usize>(strip: &Strip, add: impl Fn(V, V, V) -> V) {
    for (number, first) in (0..strip.rows).step_by(V::ROWS).enumerate() {
        let rows = V::ROWS.min(strip.rows - first);
        let from = strip.left.from.wrapping_add(number * strip.left.tile);
        let out = strip.out.0.wrapping_add(first * strip.out.1);
        // SAFETY: the caller's promise.
        unsafe {
            // The smallest height that holds the rows, as of a tile.
            match rows {
                8 => compute_rows::<V, 8, VECTORS, true>(strip, from, out, rows, &add),
                6 if V::ROWS == 6 => compute_rows::<V, 6, VECTORS, true>(strip, from, out, rows, &add),
                5.. if V::ROWS == 6 => compute_rows::<V, 6, VECTORS, false>(strip, from, out, rows, &add),
                5.. => compute_rows::<V, 8, VECTORS, false>(strip, from, out, rows, &add),
                4 => compute_rows::<V, 4, VECTORS, true>(strip, from, out, rows, &add),
                3 => compute_rows::<V, 4, VECTORS, false>(strip, from, out, rows, &add),
                2 => compute_rows::<V, 2, VECTORS, true>(strip, from, out, rows, &add),
                _ => compute_rows::<V, 1, VECTORS, true>(strip, from, out, rows, &add),
            }
        }
        strip.ask(number);
    }
}

/// Some rows of a strip: as many as the tile has where it is a `WHOLE` one.
#[inline(always)]
unsafe fn compute_rows<V: Vector, const ROWS: usize, const VECTORS: usize, const WHOLE: bool>(
    strip: &Strip,
    from: *const f32,
    out: *mut f32,
    rows: usize,
    add: &impl Fn(V, V, V) -> V,
) {
    let row = |i: usize| if WHOLE { i } else { i.min(rows - 1) };
    let left: [*const f32; ROWS] = core::array::from_fn(|i| from.wrapping_add(row(i) * strip.left.row));
    let mut sum = [[V::splat(0.0); VECTORS]; ROWS];
    // SAFETY: passed on; rows beyond the last repeat it.
    unsafe {
        accumulate(&mut sum, left, strip.left.step, strip.right, strip.width, strip.len, add);
        let out: [*mut f32; ROWS] = core::array::from_fn(|i| out.wrapping_add(row(i) * strip.out.1));
        finish::<V, ROWS, VECTORS, WHOLE>(&sum, strip.base, out, rows, strip.cols);
    }
}

/// Adds `len` terms to a tile's sums.
#[inline(always)]
unsafe fn accumulate<V: Vector, const ROWS: usize, const VECTORS: usize>(
    sum: &mut [[V; VECTORS]; ROWS],
    rows: [*const f32; ROWS],
    step: usize,
    mut b: *const f32,
    width: usize,
    len: usize,
    add: &impl Fn(V, V, V) -> V,
) {
    let mut k = 0;
    for _ in 0..len {
        // SAFETY: the terms of each row, and whole vectors of the right operand's.
        unsafe {
            let mut right = [V::splat(0.0); VECTORS];
            for (j, right) in right.iter_mut().enumerate() {
                *right = V::load(b.add(j * V::LANES));
            }
            for i in 0..ROWS {
                let left = V::splat(*rows[i].wrapping_add(k));
                for j in 0..VECTORS {
                    sum[i][j] = add(left, right[j], sum[i][j]);
                }
            }
        }
        k += step;
        b = b.wrapping_add(width);
    }
}

/// Writes the first rows and columns of what a base and a tile's sums are together; all rows where they are `WHOLE`.
#[inline(always)]
unsafe fn finish<V: Vector, const ROWS: usize, const VECTORS: usize, const WHOLE: bool>(
    sum: &[[V; VECTORS]; ROWS],
    base: Base,
    out: [*mut f32; ROWS],
    rows: usize,
    cols: usize,
) {
    let last = VECTORS - 1;
    let rest = cols - last * V::LANES;
    // SAFETY: `cols` elements of each of the first `rows` rows.
    unsafe {
        if WHOLE && rest == V::LANES {
            for (sum, &out) in sum.iter().zip(&out) {
                for (j, &sum) in sum.iter().enumerate() {
                    let at = out.add(j * V::LANES);
                    let sum = match base {
                        Base::Zero => sum,
                        Base::Row(row) => V::load(row.add(j * V::LANES)).add(sum),
                        Base::Out => V::load(at).add(sum),
                    };
                    sum.store(at);
                }
            }
            return;
        }
        for (sum, &out) in sum.iter().zip(&out).take(rows) {
            for (j, &sum) in sum[..last].iter().enumerate() {
                let at = j * V::LANES;
                let sum = match base {
                    Base::Zero => sum,
                    Base::Row(row) => V::load(row.add(at)).add(sum),
                    Base::Out => V::load(out.add(at)).add(sum),
                };
                sum.store(out.add(at));
            }
            let (at, sum) = (last * V::LANES, sum[last]);
            let sum = match base {
                Base::Zero => sum,
                Base::Row(row) => V::load_first(row.add(at), rest).add(sum),
                Base::Out => V::load_first(out.add(at), rest).add(sum),
            };
            sum.store_first(out.add(at), rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Two numbers of a few binary digits, of which a sum has all, as a pair; or one that sums round.
    fn numbers(count: usize, exact: bool, pairs: bool) -> Vec<f32> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let digits = if exact { 4 } else { 20 };
            (state >> (32 - digits)) as f32 / (1 << (digits - 1)) as f32 - 1.0
        };
        let mut number = || if pairs { crate::simd::pair(next(), next()) } else { next() };
        (0..count).map(|_| number()).collect()
    }

    /// The formula, of which no sum is rounded.
    fn product(a: f32, b: f32, pairs: bool) -> f32 {
        let half = |x: f32, shift: u32| f32::from_bits((x.to_bits() << shift) & UPPER);
        if pairs { half(a, 0) * half(b, 0) + half(a, 16) * half(b, 16) } else { a * b }
    }

    struct Case {
        level: Level,
        rows: usize,
        cols: usize,
        len: usize,
        step: usize,
        exact: bool,
        pairs: bool,
    }

    impl Case {
        fn check(&self, base: usize) {
            let Case { level, rows, cols, len, step, exact, pairs } = *self;
            let (height, width) = (level.tile_rows(), level.tile_vectors() * level.lanes() + 3);
            // Tiles of the left operand overlap in nothing, and lie a little apart.
            let (row, pitch) = (7 * step + 1, cols + 2);
            let tile = height * row + 5;
            let left = numbers(rows.div_ceil(height) * tile, exact, pairs);
            let (right, bias) = (numbers(7 * width, exact, pairs), numbers(cols, exact, false));
            let before = numbers(rows * pitch + width, exact, false);
            let (mut got, mut expected) = (before.clone(), before.clone());
            let base = [Base::Zero, Base::Row(bias.as_ptr()), Base::Out][base];
            let strip = Strip {
                left: Left { from: left.as_ptr(), row, tile, step },
                right: right.as_ptr(),
                len,
                width,
                pairs,
                base,
                out: (got.as_mut_ptr(), pitch),
                rows,
                cols,
                ahead: None,
            };
            // SAFETY: operands and results are as long as the sizes say, and the level is one of this machine's.
            unsafe { level.strip(&strip) }
            for i in 0..rows {
                let first = i / height * tile + i % height * row;
                if !exact {
                    let segments = [Segment { a: [left[first..].as_ptr(); MAX_ROWS], b: right.as_ptr() }];
                    let out = [expected[i * pitch..].as_mut_ptr(); MAX_ROWS];
                    let tile = Tile { segments: &segments, len, step, width, pairs, base, out, rows: 1, cols };
                    // SAFETY: as above.
                    unsafe { level.tile(&tile) }
                    continue;
                }
                for j in 0..cols {
                    let terms = (0..len).map(|k| product(left[first + k * step], right[k * width + j], pairs));
                    expected[i * pitch + j] = terms.sum::<f32>()
                        + match base {
                            Base::Zero => 0.0,
                            Base::Row(_) => bias[j],
                            Base::Out => before[i * pitch + j],
                        };
                }
            }
            // Nothing is written beside them, either. A sum of nothing may be −0.
            let same = |x: &f32, y: &f32| x.to_bits() == y.to_bits() || exact && x == y;
            let equal = got.iter().zip(&expected).all(|(x, y)| same(x, y));
            assert!(equal, "{level:?}: {rows}×{cols}, {len} terms, exact {exact}, pairs {pairs}");
        }
    }

    #[test]
    fn strips_are_tiles_one_below_the_other() {
        for level in Level::available() {
            for rows in 1..=2 * level.tile_rows() + 1 {
                for cols in 1..=level.tile_vectors() * level.lanes() {
                    for (len, step) in [(0, 1), (1, 1), (7, 1), (7, 3)] {
                        for (exact, pairs) in [(true, false), (false, false), (true, true), (false, true)] {
                            let case = Case { level, rows, cols, len, step, exact, pairs };
                            (0..3).for_each(|base| case.check(base));
                        }
                    }
                }
            }
        }
    }
}
