//! The tiles of a convolution, and what becomes of them.

use core::marker::PhantomData;

use super::super::Geometry;
use super::transform::{IN, OUT, OfWeights, PLACES, SIDE, Transform};
use crate::simd::{MAX_LANES, Op, Vector};

/// The tiles that cover a convolution's output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    geometry: Geometry,
    output: [usize; 2],
    /// Down and across.
    cover: [usize; 2],
}

impl Tiles {
    pub fn new(geometry: Geometry) -> Self {
        let output = geometry.output();
        Self { geometry, output, cover: output.map(|size| size.div_ceil(OUT)) }
    }

    pub fn count(&self) -> usize {
        self.geometry.batch * self.cover[0] * self.cover[1]
    }

    /// Image, and first output pixel of a tile.
    fn locate(&self, tile: usize) -> (usize, usize, usize) {
        let (rest, x) = (tile / self.cover[1], tile % self.cover[1]);
        (rest / self.cover[0], rest % self.cover[0] * OUT, x * OUT)
    }

    /// Pixels of the input that a tile sees, from a channel of the pictures on; null outside.
    pub fn seen(&self, tile: usize, pictures: *const f32) -> [*const f32; PLACES] {
        let Geometry { height, width, channels, padding, .. } = self.geometry;
        let (n, y, x) = self.locate(tile);
        core::array::from_fn(|i| {
            let y = (y + i / IN).wrapping_sub(padding[0][0]);
            let x = (x + i % IN).wrapping_sub(padding[1][0]);
            let inside = y < height && x < width;
            let pixel = (n * height + y).wrapping_mul(width).wrapping_add(x).wrapping_mul(channels);
            if inside { pictures.wrapping_add(pixel) } else { core::ptr::null() }
        })
    }

    /// Pixels of the output in a tile, from a filter of the pictures on; null outside.
    pub fn covered(&self, tile: usize, pictures: *const f32) -> [*const f32; PLACES] {
        let (first, [rows, across]) = (self.first(tile), self.inside(tile));
        core::array::from_fn(|i| {
            let inside = i / IN < rows && i % IN < across;
            let pixel = (i / IN * self.output[1] + i % IN) * self.geometry.filters;
            if inside { pictures.wrapping_add(first + pixel) } else { core::ptr::null() }
        })
    }

    /// Where a tile's first pixel lies in the output.
    pub fn first(&self, tile: usize) -> usize {
        let (n, y, x) = self.locate(tile);
        ((n * self.output[0] + y) * self.output[1] + x) * self.geometry.filters
    }

    /// Rows and columns of a tile that lie in the output.
    pub fn inside(&self, tile: usize) -> [usize; 2] {
        let (_, y, x) = self.locate(tile);
        [OUT.min(self.output[0] - y), OUT.min(self.output[1] - x)]
    }
}

/// A tile of pixels, transformed channel by channel into its places; null pixels are zeros.
pub(super) struct Spread<T> {
    pub pixels: [*const f32; PLACES],
    pub channels: usize,
    pub to: *mut f32,
    /// Channels that are written, with zeros behind the last: at least as many.
    pub room: usize,
    /// From one place to the next.
    pub place: usize,
    pub by: PhantomData<T>,
}

impl<T: Transform> Op for Spread<T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        // Where a pixel's channels are read: of null ones always the same zeros.
        let zeros = [0.0; MAX_LANES];
        let mut pixels = [(zeros.as_ptr(), 0); PLACES];
        for (pixel, &from) in pixels.iter_mut().zip(&self.pixels) {
            if !from.is_null() {
                *pixel = (from, usize::MAX);
            }
        }
        let whole = self.channels.min(self.room) / V::LANES * V::LANES;
        // SAFETY: channels of pixels inside, or the zeros; the tile's channels at each place.
        unsafe {
            for c in (0..whole).step_by(V::LANES) {
                self.vector::<V, true>(&pixels, c);
            }
            for c in (whole..self.room).step_by(V::LANES) {
                self.vector::<V, false>(&pixels, c);
            }
        }
    }
}

impl<T: Transform> Spread<T> {
    /// The channels from one on: a `WHOLE` vector of them, or what is there.
    ///
    /// # Safety
    /// Channels can be read of each pixel, from `c` on where its mask is all ones.
    #[inline(always)]
    unsafe fn vector<V: Vector, const WHOLE: bool>(&self, pixels: &[(*const f32, usize); PLACES], c: usize) {
        let [filled, room] = [self.channels, self.room].map(|end| V::LANES.min(end.saturating_sub(c)));
        let mut tile = [[V::splat(0.0); IN]; IN];
        for (i, row) in tile.iter_mut().enumerate() {
            for (j, value) in row.iter_mut().enumerate() {
                let (pixel, mask) = pixels[i * IN + j];
                let from = pixel.wrapping_add(c & mask);
                // SAFETY: the caller's promise.
                *value = unsafe { if WHOLE { V::load(from) } else { V::load_first(from, filled) } };
            }
        }
        let tile = T::twice(&tile);
        for (i, row) in tile.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                let to = self.to.wrapping_add((i * IN + j) * self.place + c);
                // SAFETY: the tile's channels at this place.
                unsafe { if WHOLE { value.store(to) } else { value.store_first(to, room) } }
            }
        }
    }
}

/// G g Gᵀ of some rows (channels) of a panel.
pub(super) struct Weights {
    pub from: *const f32,
    /// From one tap to the next.
    pub tap: usize,
    /// From one row to the next.
    pub row: usize,
    pub rows: usize,
    pub cols: usize,
    pub to: *mut f32,
    pub width: usize,
    /// From one place to the next.
    pub place: usize,
}

impl Op for Weights {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for row in 0..self.rows {
            for at in (0..self.width).step_by(V::LANES) {
                // SAFETY: columns of a row of each tap, and a vector of it at each place.
                unsafe {
                    if at + V::LANES <= self.cols {
                        self.vector::<V, true>(row, at);
                    } else {
                        self.vector::<V, false>(row, at);
                    }
                }
            }
        }
    }
}

impl Weights {
    /// The columns of a row from one on: a `WHOLE` vector of them, or what is there.
    ///
    /// # Safety
    /// Taps have these columns, and places a vector.
    #[inline(always)]
    unsafe fn vector<V: Vector, const WHOLE: bool>(&self, row: usize, at: usize) {
        let (scale, zero) = (V::splat(OfWeights::SCALE), V::splat(0.0));
        let count = V::LANES.min(self.cols.saturating_sub(at));
        let mut lines = [[zero; IN]; IN];
        for i in 0..SIDE {
            let mut taps = [zero; IN];
            for (line, tap) in taps.iter_mut().enumerate().take(SIDE) {
                let from = self.from.wrapping_add((SIDE * line + i) * self.tap + row * self.row + at);
                // SAFETY: the caller's promise.
                *tap = unsafe { if WHOLE { V::load(from) } else { V::load_first(from, count) } }.mul(scale);
            }
            for (line, value) in lines.iter_mut().zip(OfWeights::apply(taps)) {
                line[i] = value;
            }
        }
        for (line, values) in lines.into_iter().enumerate() {
            for (i, value) in OfWeights::apply(values).into_iter().enumerate() {
                let to = self.to.wrapping_add((line * IN + i) * self.place + row * self.width + at);
                // SAFETY: the caller's promise.
                unsafe { value.store(to) }
            }
        }
    }
}

/// bias + what the places of a tile become, column by column.
pub(super) struct Gather<T> {
    pub from: *const f32,
    /// From one place to the next.
    pub place: usize,
    pub bias: Option<*const f32>,
    pub to: *mut f32,
    /// From one pixel to the next, and to the one below.
    pub pixel: usize,
    pub line: usize,
    /// Rows and columns that are wanted.
    pub inside: [usize; 2],
    pub cols: usize,
    pub by: PhantomData<T>,
}

impl<T: Transform> Op for Gather<T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let whole = self.cols / V::LANES * V::LANES;
        // SAFETY: columns of the products, of the bias and of pixels inside.
        unsafe {
            for at in (0..whole).step_by(V::LANES) {
                self.vector::<V, true>(at);
            }
            if whole < self.cols {
                self.vector::<V, false>(whole);
            }
        }
    }
}

impl<T: Transform> Gather<T> {
    /// The columns from one on: a `WHOLE` vector of them, or what is there.
    ///
    /// # Safety
    /// Places, bias and pixels have these columns.
    #[inline(always)]
    unsafe fn vector<V: Vector, const WHOLE: bool>(&self, at: usize) {
        let count = if WHOLE { V::LANES } else { self.cols - at };
        let mut tile = [[V::splat(0.0); IN]; IN];
        for (i, row) in tile.iter_mut().enumerate() {
            for (j, value) in row.iter_mut().enumerate() {
                let from = self.from.wrapping_add((i * IN + j) * self.place + at);
                // SAFETY: columns of the products.
                *value = unsafe { if WHOLE { V::load(from) } else { V::load_first(from, count) } };
            }
        }
        let tile = T::twice(&tile);
        let bias = match self.bias {
            // SAFETY: columns of the bias.
            Some(bias) => unsafe { V::load_first(bias.wrapping_add(at), count) },
            None => V::splat(0.0),
        };
        let scale = V::splat(T::SCALE);
        for (i, row) in tile.iter().enumerate().take(self.inside[0]) {
            for (j, &value) in row.iter().enumerate().take(self.inside[1]) {
                let value = if T::SCALE == 1.0 { value } else { value.mul(scale) };
                let to = self.to.wrapping_add(i * self.line + j * self.pixel + at);
                // SAFETY: columns of a pixel inside.
                unsafe { bias.add(value).store_first(to, count) }
            }
        }
    }
}
