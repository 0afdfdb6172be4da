//! Panels: blocks of a matrix laid out in the order that a tile reads them.

use core::ops::Range;

use half::{bf16, f16};
use yuragi_graph::DType;

use super::{Level, MAX_LANES, Op, Vector};

/// A division of `n` columns into panels of whole vectors, no wider than a
/// tile and as even as can be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels {
    n: usize,
    lanes: usize,
    count: usize,
}

impl Panels {
    pub fn new(level: Level, n: usize) -> Self {
        let lanes = level.lanes();
        Self { n, lanes, count: n.div_ceil(lanes).div_ceil(level.tile_vectors()) }
    }

    pub fn count(self) -> usize {
        self.count
    }

    /// Columns of all panels together, with the padding of the last.
    pub fn width(self) -> usize {
        self.n.next_multiple_of(self.lanes)
    }

    /// The columns of one panel.
    pub fn columns(self, panel: usize) -> Range<usize> {
        let vectors = self.n.div_ceil(self.lanes);
        let begin = |panel: usize| (vectors * panel / self.count * self.lanes).min(self.n);
        begin(panel)..begin(panel + 1)
    }

    /// The width of one panel, with padding.
    pub fn padded(self, panel: usize) -> usize {
        self.columns(panel).len().next_multiple_of(self.lanes)
    }

    /// The width of the widest panel, with padding.
    pub fn widest(self) -> usize {
        self.n.div_ceil(self.lanes).div_ceil(self.count.max(1)) * self.lanes
    }
}

/// Floating numbers in memory, at any address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    Single(*const f32),
    Half(*const f16),
    Brain(*const bf16),
}

impl From<*const f32> for Source {
    fn from(from: *const f32) -> Self {
        Self::Single(from)
    }
}

impl From<*mut f32> for Source {
    fn from(from: *mut f32) -> Self {
        Self::Single(from)
    }
}

impl Source {
    /// Numbers of a floating type from here on.
    pub fn new(dtype: DType, from: *const f32) -> Self {
        match dtype {
            DType::F16 => Self::Half(from.cast()),
            DType::BF16 => Self::Brain(from.cast()),
            DType::F32 | DType::I32 | DType::U32 => Self::Single(from),
        }
    }

    /// So many elements further.
    pub fn wrapping_add(self, count: usize) -> Self {
        match self {
            Self::Single(from) => Self::Single(from.wrapping_add(count)),
            Self::Half(from) => Self::Half(from.wrapping_add(count)),
            Self::Brain(from) => Self::Brain(from.wrapping_add(count)),
        }
    }
}

/// A type of numbers that become single.
trait Element: Copy {
    /// # Safety
    /// As [`Vector::load_first`].
    unsafe fn load_first<V: Vector>(from: *const Self, count: usize) -> V;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load_first<V: Vector>(from: *const f32, count: usize) -> V {
        // SAFETY: the caller's promise; a whole load needs no mask.
        unsafe { if count == V::LANES { V::load(from) } else { V::load_first(from, count) } }
    }
}

impl Element for f16 {
    #[inline(always)]
    unsafe fn load_first<V: Vector>(from: *const f16, count: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_f16(from.cast(), count) }
    }
}

impl Element for bf16 {
    #[inline(always)]
    unsafe fn load_first<V: Vector>(from: *const bf16, count: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_bf16(from.cast(), count) }
    }
}

/// Copies a matrix as panels of `width` columns, one after another, each row
/// after row and filled with zeros.
pub(crate) struct Pack {
    pub from: Source,
    /// Distance between the rows of the source, or between its columns where
    /// `transposed`.
    pub stride: usize,
    /// The source has its columns contiguous, rather than its rows.
    pub transposed: bool,
    pub rows: usize,
    pub cols: usize,
    pub to: *mut f32,
    pub width: usize,
    /// Where rows that lie `transposed` are those of several matrices in turn, as taps of a kernel: the number of
    /// matrices, and the elements from one copied matrix to the next. `(1, 0)` elsewhere.
    pub turns: (usize, usize),
}

impl Pack {
    /// # Safety
    /// The source can be read, and as many panels written as hold `cols`.
    pub unsafe fn run(self, level: Level) {
        level.run(self);
    }

    /// The same of bfloat16 in single precision (a [`Source::Single`]), which become pairs: each element holds those of two rows, the last
    /// row alone with 0 where their number is odd.
    ///
    /// # Safety
    /// As [`Pack::run`], for panels of half as many rows.
    pub unsafe fn run_pairs(self, level: Level) {
        level.run(Pairs(self));
    }

    /// Copies rows.
    ///
    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    unsafe fn copy<V: Vector, T: Element>(&self, from: *const T) {
        let Self { stride, rows, cols, to, width, .. } = *self;
        if cols == width && width % V::LANES == 0 {
            for k in 0..rows {
                for j in (0..width).step_by(V::LANES) {
                    // SAFETY: whole vectors of the source's columns and the panel's.
                    unsafe { T::load_first::<V>(from.add(k * stride + j), V::LANES).store(to.add(k * width + j)) };
                }
            }
            return;
        }
        for k in 0..rows {
            for first in (0..cols).step_by(width) {
                let from = from.wrapping_add(k * stride + first);
                let to = to.wrapping_add(first * rows + k * width);
                for j in (0..width).step_by(V::LANES) {
                    let filled = V::LANES.min(cols.saturating_sub(first + j));
                    // SAFETY: within the source's columns and the panel's width.
                    unsafe {
                        let row: V = T::load_first(from.wrapping_add(j), filled);
                        row.store_first(to.add(j), V::LANES.min(width - j));
                    }
                }
            }
        }
    }

    /// Copies columns, a square block at a time.
    ///
    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    unsafe fn transpose<V: Vector, T: Element>(&self, from: *const T) {
        let Self { stride, rows, cols, width, .. } = *self;
        for first in (0..cols).step_by(width) {
            for j in (0..width).step_by(V::LANES) {
                let filled = V::LANES.min(cols.saturating_sub(first + j));
                let whole = filled == V::LANES && j + V::LANES <= width;
                for k in (0..rows).step_by(V::LANES) {
                    let from = from.wrapping_add((first + j) * stride + k);
                    // SAFETY: within the source's columns and the panel's rows.
                    unsafe {
                        if whole && k + V::LANES <= rows {
                            self.block::<V, T, true>(from, [first, j, k], V::LANES);
                        } else {
                            self.block::<V, T, false>(from, [first, j, k], filled);
                        }
                    }
                }
            }
        }
    }

    /// Copies a block of the panel that begins with a column, from a column and a row of it on: a `WHOLE` one, or what of it
    /// is there.
    ///
    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    unsafe fn block<V: Vector, T: Element, const WHOLE: bool>(
        &self,
        from: *const T,
        [first, j, k]: [usize; 3],
        filled: usize,
    ) {
        let Self { stride, rows, to, width, turns: (turns, apart), .. } = *self;
        let (filled, height, across) = if WHOLE {
            (V::LANES, V::LANES, V::LANES)
        } else {
            (filled, V::LANES.min(rows - k), V::LANES.min(width - j))
        };
        let mut block = [V::splat(0.0); MAX_LANES];
        for (i, column) in block.iter_mut().enumerate().take(filled) {
            // SAFETY: a column's rows.
            *column = unsafe { T::load_first(from.wrapping_add(i * stride), height) };
        }
        V::transpose(&mut block);
        let (mut turn, mut at) = (k % turns, k / turns);
        for row in block.iter().take(height) {
            let to = to.wrapping_add(turn * apart + first * (rows / turns) + at * width + j);
            // SAFETY: a row of the panel.
            unsafe { row.store_first(to, across) };
            turn += 1;
            if turn == turns {
                (turn, at) = (0, at + 1);
            }
        }
    }
}

impl Op for Pack {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        // SAFETY: the promise of `Pack::run`.
        unsafe {
            match (self.from, self.transposed) {
                (Source::Single(from), false) => self.copy::<V, f32>(from),
                (Source::Single(from), true) => self.transpose::<V, f32>(from),
                (Source::Half(from), false) => self.copy::<V, f16>(from),
                (Source::Half(from), true) => self.transpose::<V, f16>(from),
                (Source::Brain(from), false) => self.copy::<V, bf16>(from),
                (Source::Brain(from), true) => self.transpose::<V, bf16>(from),
            }
        }
    }
}

/// [`Pack::run_pairs`].
struct Pairs(Pack);

impl Pairs {
    /// Copies rows, two by two.
    ///
    /// # Safety
    /// As [`Pack::run_pairs`].
    #[inline(always)]
    unsafe fn copy<V: Vector>(&self, from: *const f32) {
        let Pack { stride, rows, cols, to, width, .. } = self.0;
        for k in (0..rows).step_by(2) {
            for first in (0..cols).step_by(width) {
                let from = from.wrapping_add(k * stride + first);
                let to = to.wrapping_add(first * rows.div_ceil(2) + k / 2 * width);
                for j in (0..width).step_by(V::LANES) {
                    let filled = V::LANES.min(cols.saturating_sub(first + j));
                    let lower = if k + 1 < rows { filled } else { 0 };
                    // SAFETY: within the source's columns and the panel's width.
                    unsafe {
                        let low = V::load_first(from.wrapping_add(j), filled);
                        let high = V::load_first(from.wrapping_add(stride + j), lower);
                        low.pair(high).store_first(to.add(j), V::LANES.min(width - j));
                    }
                }
            }
        }
    }

    /// Copies columns, a square block at a time.
    ///
    /// # Safety
    /// As [`Pack::run_pairs`].
    #[inline(always)]
    unsafe fn transpose<V: Vector>(&self, from: *const f32) {
        let Pack { stride, rows, cols, to, width, .. } = self.0;
        for first in (0..cols).step_by(width) {
            for j in (0..width).step_by(V::LANES) {
                let filled = V::LANES.min(cols.saturating_sub(first + j));
                for k in (0..rows).step_by(2 * V::LANES) {
                    let height = (2 * V::LANES).min(rows - k);
                    let mut block = [V::splat(0.0); MAX_LANES];
                    // SAFETY: within the source's columns and the panel's rows.
                    unsafe {
                        for (i, column) in block[..filled].iter_mut().enumerate() {
                            let from = from.wrapping_add((first + j + i) * stride + k);
                            let low = V::load_first(from, V::LANES.min(height));
                            let high = V::load_first(from.wrapping_add(V::LANES), height.saturating_sub(V::LANES));
                            *column = low.narrow(high);
                        }
                        V::transpose(&mut block);
                        for (i, row) in block[..height.div_ceil(2)].iter().enumerate() {
                            let to = to.add(first * rows.div_ceil(2) + (k / 2 + i) * width + j);
                            row.store_first(to, V::LANES.min(width - j));
                        }
                    }
                }
            }
        }
    }
}

impl Op for Pairs {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Source::Single(from) = self.0.from else { return };
        // SAFETY: the promise of `Pack::run_pairs`.
        unsafe { if self.0.transposed { self.transpose::<V>(from) } else { self.copy::<V>(from) } }
    }
}

/// Copies rows of bfloat16 in single precision as pairs of neighbours; the last of a row of odd length stands with 0.
pub(crate) struct Narrow {
    pub from: *const f32,
    /// Distance between the rows of the source.
    pub stride: usize,
    pub rows: usize,
    pub cols: usize,
    /// Rows of half as many elements, one after another.
    pub to: *mut f32,
}

impl Narrow {
    /// # Safety
    /// The source can be read and the copy written.
    pub unsafe fn run(self, level: Level) {
        level.run(self);
    }
}

impl Op for Narrow {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { from, stride, rows, cols, to } = self;
        for row in 0..rows {
            for j in (0..cols).step_by(2 * V::LANES) {
                let from = from.wrapping_add(row * stride + j);
                let rest = (2 * V::LANES).min(cols - j);
                // SAFETY: within the source's and the copy's rows.
                unsafe {
                    let low = V::load_first(from, V::LANES.min(rest));
                    let high = V::load_first(from.wrapping_add(V::LANES), rest.saturating_sub(V::LANES));
                    low.narrow(high).store_first(to.add(row * cols.div_ceil(2) + j / 2), rest.div_ceil(2));
                }
            }
        }
    }
}
