//! The tiles of a convolution, and what becomes of them.

use core::marker::PhantomData;

use super::super::Geometry;
use super::transform::{IN, OUT, OfWeights, PLACES, SIDE, Transform};
use crate::simd::{Op, Vector};

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
        for c in (0..self.room).step_by(V::LANES) {
            let count = V::LANES.min(self.channels.saturating_sub(c));
            let mut tile = [[V::splat(0.0); IN]; IN];
            for i in 0..PLACES {
                if !self.pixels[i].is_null() {
                    // SAFETY: channels of a pixel inside.
                    tile[i / IN][i % IN] = unsafe { V::load_first(self.pixels[i].wrapping_add(c), count) };
                }
            }
            let tile = T::twice(&tile);
            let count = V::LANES.min(self.room - c);
            for i in 0..PLACES {
                // SAFETY: the tile's channels at this place.
                unsafe { tile[i / IN][i % IN].store_first(self.to.add(i * self.place + c), count) }
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
        let scale = V::splat(OfWeights::SCALE);
        for row in 0..self.rows {
            for at in (0..self.width).step_by(V::LANES) {
                let count = V::LANES.min(self.cols.saturating_sub(at));
                let zero = V::splat(0.0);
                let mut lines = [[zero; IN]; IN];
                for i in 0..SIDE {
                    let mut taps = [zero; IN];
                    for (line, tap) in taps.iter_mut().enumerate().take(SIDE) {
                        let from = self.from.wrapping_add((SIDE * line + i) * self.tap + row * self.row + at);
                        // SAFETY: columns of a row of a tap.
                        *tap = unsafe { V::load_first(from, count) }.mul(scale);
                    }
                    for (line, value) in lines.iter_mut().zip(OfWeights::apply(taps)) {
                        line[i] = value;
                    }
                }
                for (line, values) in lines.into_iter().enumerate() {
                    let values = OfWeights::apply(values);
                    for (i, value) in values.into_iter().enumerate() {
                        let to = self.to.wrapping_add((line * IN + i) * self.place + row * self.width + at);
                        // SAFETY: a whole vector of the row at this place.
                        unsafe { value.store(to) }
                    }
                }
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
        for at in (0..self.cols).step_by(V::LANES) {
            let count = V::LANES.min(self.cols - at);
            let mut tile = [[V::splat(0.0); IN]; IN];
            for i in 0..PLACES {
                // SAFETY: columns of the products.
                tile[i / IN][i % IN] = unsafe { V::load_first(self.from.add(i * self.place + at), count) };
            }
            let tile = T::twice(&tile);
            let bias = match self.bias {
                // SAFETY: columns of the bias.
                Some(bias) => unsafe { V::load_first(bias.add(at), count) },
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
}
