//! Convolution with 3×3 kernels by minimal filtering, F(4×4, 3×3) (Winograd 1980; Lavin & Gray 2016, section 4.3):
//! 36 matrix products for 16 pixels, a quarter of the multiplications.
//!
//! Every 4×4 tile of the output sees a 6×6 tile d of the input. With the matrices of the points 0, ±1, ±2 and ∞,
//!
//! ```text
//! y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A,    summed over channels inside the brackets.
//! ```

mod transform;

use core::ops::Range;

use yuragi_graph::Shape;

use super::super::{Buffers, Kernel, Scratch, align};
use super::{Geometry, Stored};
use crate::simd::{Base, Level, MAX_ROWS, Op, Pack, Panels, Segment, Source, Tile, Vector};
use transform::{IN, OUT, OfInput, OfOutput, OfWeights, Transform};

/// Places of a transformed tile: one matrix product each.
const PLACES: usize = IN * IN;

/// Tiles that share transformed weights in cache.
const BLOCK: usize = 64;
/// Channels whose weights are transformed at a time.
const DEPTH: usize = 64;
/// Tiles of a task that transforms the input.
const RUN: usize = 8;
/// Elements between the places of transformed tiles that are not used: places whole pages apart would share a few
/// sets of a cache.
const GAP: usize = 16;
/// Elements of the transformed input that are held at a time: as many as a cache shared by all cores has.
const HELD: usize = 8 << 20;
/// The most elements of transformed weights that are held.
const KEPT: usize = 12 << 20;
/// Blocks of tiles from which on weights are transformed once, before, and not on the spot.
const MANY: usize = 3;
/// Numbers of a filter and channel.
const TAPS: usize = 9;

/// y\[N,H,W,O\] = bias + x\[N,H,W,C\] * w\[3,3,C,O\], in slabs of tiles: one phase transforms the input of a slab, the next
/// one multiplies it with weights, transformed with the first slab or, for few tiles, on the spot.
#[derive(Debug)]
pub(crate) struct Winograd {
    level: Level,
    geometry: Geometry,
    panels: Panels,
    bias: bool,
    /// Tiles down and across.
    tiles: [usize; 2],
    /// Tiles of a slab.
    slab: usize,
    /// Weights are transformed before.
    before: bool,
}

impl Winograd {
    /// Whether it is faster than the direct form: the transforms must be small beside products that fill a tile.
    pub fn pays(picture: Shape, kernel: Shape) -> bool {
        picture[3] >= 32 && kernel[3] >= 32 && picture[1] * picture[2] >= 64
    }

    /// For kernels of 3×3 and strides of 1.
    pub fn new(level: Level, geometry: Geometry, bias: bool) -> Self {
        let tiles = geometry.output().map(|size| size.div_ceil(OUT));
        let count = geometry.batch * tiles[0] * tiles[1];
        let held = HELD / (PLACES * geometry.channels.max(1)) / BLOCK * BLOCK;
        let slab = held.clamp(BLOCK, count.max(1).next_multiple_of(BLOCK));
        let panels = Panels::new(level, geometry.filters);
        let mut winograd = Self { level, geometry, panels, bias, tiles, slab, before: false };
        winograd.before = count.div_ceil(BLOCK) >= MANY && panels.count() * winograd.panel_len() <= KEPT;
        winograd
    }

    /// Parts of the sum over channels.
    fn depths(&self) -> usize {
        self.geometry.channels.div_ceil(DEPTH)
    }

    /// Elements of a panel's transformed weights.
    fn panel_len(&self) -> usize {
        self.depths() * align(PLACES * self.weight_place())
    }

    /// Where weights that are transformed before lie in the shared area.
    fn kept(&self) -> usize {
        align(PLACES * self.input_place())
    }

    /// Elements of a task's own copy of weights that cannot be transformed as they lie.
    fn staged(&self) -> usize {
        match self.geometry.stored {
            Stored::PLAIN => 0,
            _ => align(TAPS * DEPTH.min(self.geometry.channels) * self.panels.widest()),
        }
    }

    fn count(&self) -> usize {
        self.geometry.batch * self.tiles[0] * self.tiles[1]
    }

    /// The tiles of a slab.
    fn slab(&self, number: usize) -> Range<usize> {
        number * self.slab..self.count().min((number + 1) * self.slab)
    }

    /// Image, and first output pixel of a tile.
    fn locate(&self, tile: usize) -> (usize, usize, usize) {
        let (rest, x) = (tile / self.tiles[1], tile % self.tiles[1]);
        (rest / self.tiles[0], rest % self.tiles[0] * OUT, x * OUT)
    }

    /// From one place of a slab's transformed input to the next.
    fn input_place(&self) -> usize {
        self.slab * self.geometry.channels + GAP
    }

    /// From one place of a block's products to the next.
    fn product_place(&self) -> usize {
        BLOCK * self.panels.widest() + GAP
    }

    /// From one place of transformed weights to the next.
    fn weight_place(&self) -> usize {
        DEPTH.min(self.geometry.channels) * self.panels.widest() + GAP
    }

    /// Where weights that are transformed before lie among them.
    fn weights(&self, panel: usize, depth: usize) -> usize {
        panel * self.panel_len() + depth * align(PLACES * self.weight_place())
    }

    /// Tasks of one phase that transform weights.
    fn weighings(&self, phase: usize) -> usize {
        if self.before && phase == 0 { self.panels.count() * self.depths() } else { 0 }
    }

    /// Elements of the products in a task's own memory; transformed weights follow.
    fn products(&self) -> usize {
        align(PLACES * self.product_place())
    }

    /// Transforms some tiles of a slab.
    unsafe fn transform(&self, slab: &Range<usize>, index: usize, buffers: Buffers<'_>) {
        let Geometry { height, width, channels, padding, .. } = self.geometry;
        for tile in index * RUN..slab.len().min((index + 1) * RUN) {
            let (n, y, x) = self.locate(slab.start + tile);
            let pixel = |i: usize| {
                let y = (y + i / IN).wrapping_sub(padding[0][0]);
                let x = (x + i % IN).wrapping_sub(padding[1][0]);
                let inside = y < height && x < width;
                let pixel = buffers.inputs[0]
                    .wrapping_add((n * height + y).wrapping_mul(width).wrapping_add(x).wrapping_mul(channels));
                if inside { pixel } else { core::ptr::null() }
            };
            self.level.run(Input {
                pixels: core::array::from_fn(pixel),
                channels,
                to: buffers.shared.wrapping_add(tile * channels),
                stride: self.input_place(),
            });
        }
    }

    /// Transforms some channels of a panel's weights.
    unsafe fn weigh(&self, panel: usize, depth: usize, weights: *const f32, staged: *mut f32, to: *mut f32) {
        let Geometry { channels, filters, stored, .. } = self.geometry;
        let columns = self.panels.columns(panel);
        let (cols, width) = (columns.len(), self.panels.padded(panel));
        let first = depth * DEPTH;
        let rows = DEPTH.min(channels - first);
        let source = Source::new(stored.dtype, weights);
        let pack = |offset: usize, stride, transposed, rows, to| {
            let from = source.wrapping_add(offset);
            let pack = Pack { from, stride, transposed, rows, cols, to, width, turns: (1, 0) };
            // SAFETY: the weights lie in w, the staging area holds them.
            unsafe { pack.run(self.level) }
        };
        let (from, tap, row) = match stored {
            Stored::PLAIN => (weights.wrapping_add(first * filters + columns.start), channels * filters, filters),
            Stored { filters_first: true, .. } => {
                let stride = TAPS * channels;
                pack(columns.start * stride + TAPS * first, stride, true, TAPS * rows, staged);
                (staged.cast_const(), width, TAPS * width)
            }
            Stored { filters_first: false, .. } => {
                for tap in 0..TAPS {
                    let from = (tap * channels + first) * filters + columns.start;
                    pack(from, filters, false, rows, staged.wrapping_add(tap * rows * width));
                }
                (staged.cast_const(), rows * width, width)
            }
        };
        self.level.run(Weights { from, tap, row, rows, cols, to, width, place: self.weight_place() });
    }

    /// Multiplies a block of tiles with a panel of filters.
    unsafe fn multiply(&self, slab: &Range<usize>, index: usize, buffers: Buffers<'_>) {
        let Geometry { channels, filters, .. } = self.geometry;
        let (block, panel) = (index / self.panels.count(), index % self.panels.count());
        let tiles = block * BLOCK..slab.len().min((block + 1) * BLOCK);
        let columns = self.panels.columns(panel);
        let width = self.panels.padded(panel);
        let products = buffers.local;
        let own = buffers.local.wrapping_add(self.products());
        let height = self.level.tile_rows();
        if channels == 0 {
            // SAFETY: the products' place in the local area.
            unsafe { products.write_bytes(0, PLACES * self.product_place()) }
        }
        for first in (0..channels).step_by(DEPTH) {
            let (len, depth) = (DEPTH.min(channels - first), first / DEPTH);
            let weights = if self.before {
                buffers.shared.wrapping_add(self.kept() + self.weights(panel, depth))
            } else {
                let staged = own.wrapping_add(align(PLACES * self.weight_place()));
                // SAFETY: passed on.
                unsafe { self.weigh(panel, depth, buffers.inputs[1], staged, own) };
                own
            };
            for place in 0..PLACES {
                let left = buffers.shared.wrapping_add(place * self.input_place() + tiles.start * channels + first);
                let out = products.wrapping_add(place * self.product_place());
                for begin in (0..tiles.len()).step_by(height) {
                    let rows = height.min(tiles.len() - begin);
                    let at: [usize; MAX_ROWS] = core::array::from_fn(|i| begin + i.min(rows - 1));
                    let tile = Tile {
                        segments: &[Segment {
                            a: at.map(|row| left.wrapping_add(row * channels).cast_const()),
                            b: weights.wrapping_add(place * self.weight_place()),
                        }],
                        len,
                        step: 1,
                        width,
                        pairs: false,
                        base: if first == 0 { Base::Zero } else { Base::Out },
                        out: at.map(|row| out.wrapping_add(row * width)),
                        rows,
                        cols: columns.len(),
                    };
                    // SAFETY: transformed tiles lie in the shared area, weights and products in the local one.
                    unsafe { self.level.tile(&tile) }
                }
            }
        }
        let [oh, ow] = self.geometry.output();
        for tile in 0..tiles.len() {
            let (n, y, x) = self.locate(slab.start + tiles.start + tile);
            self.level.run(Output {
                from: products.wrapping_add(tile * width),
                place: self.product_place(),
                bias: self.bias.then(|| buffers.inputs[2].wrapping_add(columns.start)),
                to: buffers.outputs[0].wrapping_add(((n * oh + y) * ow + x) * filters + columns.start),
                pixel: filters,
                line: ow * filters,
                rows: OUT.min(oh - y),
                across: OUT.min(ow - x),
                cols: columns.len(),
            });
        }
    }
}

impl Kernel for Winograd {
    fn scratch(&self) -> Scratch {
        let kept = if self.before { self.panels.count() * self.panel_len() } else { 0 };
        let own = align(PLACES * self.weight_place()) + self.staged();
        Scratch { shared: self.kept() + kept, local: self.products() + own }
    }

    fn phases(&self) -> usize {
        2 * self.count().div_ceil(self.slab)
    }

    fn tasks(&self, phase: usize) -> usize {
        let tiles = self.slab(phase / 2).len();
        if phase.is_multiple_of(2) {
            self.weighings(phase) + tiles.div_ceil(RUN)
        } else {
            tiles.div_ceil(BLOCK) * self.panels.count()
        }
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        let slab = self.slab(phase / 2);
        // SAFETY: passed on.
        unsafe {
            let weighings = self.weighings(phase);
            if index < weighings {
                let (panel, depth) = (index / self.depths(), index % self.depths());
                let to = buffers.shared.wrapping_add(self.kept() + self.weights(panel, depth));
                self.weigh(panel, depth, buffers.inputs[1], buffers.local, to)
            } else if phase.is_multiple_of(2) {
                self.transform(&slab, index - weighings, buffers)
            } else {
                self.multiply(&slab, index, buffers)
            }
        }
    }
}

/// Bᵀ d B of one tile, channel by channel; null pixels, those outside, are zeros.
struct Input {
    pixels: [*const f32; PLACES],
    channels: usize,
    to: *mut f32,
    /// From one place to the next.
    stride: usize,
}

impl Op for Input {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for c in (0..self.channels).step_by(V::LANES) {
            let count = V::LANES.min(self.channels - c);
            let mut tile = [[V::splat(0.0); IN]; IN];
            for i in 0..PLACES {
                if !self.pixels[i].is_null() {
                    // SAFETY: channels of a pixel inside.
                    tile[i / IN][i % IN] = unsafe { V::load_first(self.pixels[i].add(c), count) };
                }
            }
            let tile = OfInput::twice(&tile);
            for i in 0..PLACES {
                // SAFETY: the tile's channels at this place.
                unsafe { tile[i / IN][i % IN].store_first(self.to.add(i * self.stride + c), count) }
            }
        }
    }
}

/// G g Gᵀ of some rows (channels) of a panel.
struct Weights {
    from: *const f32,
    /// From one tap to the next.
    tap: usize,
    /// From one row to the next.
    row: usize,
    rows: usize,
    cols: usize,
    to: *mut f32,
    width: usize,
    /// From one place to the next.
    place: usize,
}

impl Op for Weights {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let scale = V::splat(1.0 / (24.0 * 24.0));
        for row in 0..self.rows {
            for at in (0..self.width).step_by(V::LANES) {
                let count = V::LANES.min(self.cols.saturating_sub(at));
                let zero = V::splat(0.0);
                let mut lines = [[zero; IN]; IN];
                for i in 0..3 {
                    let mut taps = [zero; IN];
                    for (line, tap) in taps.iter_mut().enumerate().take(3) {
                        let from = self.from.wrapping_add((3 * line + i) * self.tap + row * self.row + at);
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

/// bias + Aᵀ m A of one tile and panel.
struct Output {
    from: *const f32,
    /// From one place to the next.
    place: usize,
    bias: Option<*const f32>,
    to: *mut f32,
    /// From one output pixel to the next, and to the one below.
    pixel: usize,
    line: usize,
    /// Pixels inside, down and across.
    rows: usize,
    across: usize,
    cols: usize,
}

impl Op for Output {
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
            let tile = OfOutput::twice(&tile);
            let bias = match self.bias {
                // SAFETY: columns of the bias.
                Some(bias) => unsafe { V::load_first(bias.add(at), count) },
                None => V::splat(0.0),
            };
            for (i, row) in tile.iter().enumerate().take(self.rows) {
                for (j, &value) in row.iter().enumerate().take(self.across) {
                    let to = self.to.wrapping_add(i * self.line + j * self.pixel + at);
                    // SAFETY: columns of a pixel inside.
                    unsafe { bias.add(value).store_first(to, count) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use yuragi_graph::DType;

    use super::super::{
        super::testing::{U, check, numbers},
        tests::weights,
    };
    use super::*;

    const INPUT: [[f64; IN]; IN] = [
        [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
        [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
        [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
        [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
        [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
        [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
    ];
    const WEIGHTS: [[f64; 3]; IN] =
        [[6.0, 0.0, 0.0], [-4.0, -4.0, -4.0], [-4.0, 4.0, -4.0], [1.0, 2.0, 4.0], [1.0, -2.0, 4.0], [0.0, 0.0, 24.0]];
    const OUTPUT: [[f64; IN]; OUT] = [
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        [0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
        [0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
        [0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
    ];

    /// Σ |m[i, k]|·|m[j, l]|·x[k, l].
    fn sizes<const N: usize>(m: &[[f64; N]], x: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
        let entry = |i: usize, j: usize| {
            (0..N * N).map(|kl| (m[i][kl / N] * m[j][kl % N]).abs() * x(kl / N, kl % N)).sum::<f64>()
        };
        (0..m.len()).map(|i| (0..m.len()).map(|j| entry(i, j)).collect()).collect()
    }

    /// Each output, and its bound: the number of roundings on a path times the same formula of absolute values.
    fn case(geometry: Geometry, bias: bool) {
        let Geometry { batch, height, width, channels, filters, padding, .. } = geometry;
        let [oh, ow] = geometry.output();
        let x = numbers(1, batch * height * width * channels);
        let (w, w_stored) = weights(&geometry, numbers(2, 9 * channels * filters));
        let b = numbers(3, filters);
        let at = |n: usize, y: usize, x_: usize, c: usize| {
            let (y, x_) = (y.wrapping_sub(padding[0][0]), x_.wrapping_sub(padding[1][0]));
            let inside = y < height && x_ < width;
            if inside { f64::from(x[((n * height + y) * width + x_) * channels + c]) } else { 0.0 }
        };
        let weight = |i: usize, c: usize, o: usize| f64::from(w[(i * channels + c) * filters + o]);
        let start = |o: usize| if bias { f64::from(b[o]) } else { 0.0 };
        let mut expected = vec![(0.0, 0.0); batch * oh * ow * filters];
        let roundings = (channels + 24) as f64;
        let tiles = (0..batch).flat_map(|n| (0..oh).step_by(OUT).map(move |y| (n, y)));
        for (n, ty, tx) in tiles.flat_map(|(n, y)| (0..ow).step_by(OUT).map(move |x| (n, y, x))) {
            for o in 0..filters {
                let mut products = [[0.0; IN]; IN];
                for c in 0..channels {
                    let v = sizes(&INPUT, |i, j| at(n, ty + i, tx + j, c).abs());
                    let u = sizes(&WEIGHTS, |i, j| weight(i * 3 + j, c, o).abs());
                    for (i, j) in (0..PLACES).map(|i| (i / IN, i % IN)) {
                        products[i][j] += u[i][j] * v[i][j] / 576.0;
                    }
                }
                let size = sizes(&OUTPUT, |i, j| products[i][j]);
                for (i, j) in (0..OUT * OUT).map(|i| (i / OUT, i % OUT)).filter(|(i, j)| ty + i < oh && tx + j < ow) {
                    let terms = (0..9).flat_map(|t| (0..channels).map(move |c| (t, c)));
                    let sum: f64 = terms.map(|(t, c)| at(n, ty + i + t / 3, tx + j + t % 3, c) * weight(t, c, o)).sum();
                    expected[((n * oh + ty + i) * ow + tx + j) * filters + o] =
                        (start(o) + sum, roundings * U * (size[i][j] + start(o).abs()));
                }
            }
        }
        check(|level| Winograd::new(level, geometry, bias), &[&x, &w_stored, &b], &expected, &geometry);
    }

    #[test]
    fn matches_the_sum() {
        for (batch, height, width, channels, filters, padding) in [
            (1, 4, 4, 1, 1, [[1, 1], [1, 1]]),
            (2, 8, 8, 3, 5, [[1, 1], [1, 1]]),
            (1, 5, 7, 17, 33, [[1, 1], [1, 1]]),
            (1, 6, 9, 70, 49, [[0, 1], [2, 0]]),
            (1, 3, 3, 4, 4, [[0, 0], [0, 0]]),
            (5, 21, 17, 2, 3, [[1, 1], [1, 1]]),
            (1, 45, 45, 66, 3, [[1, 1], [1, 1]]),
            (0, 4, 4, 2, 2, [[1, 1], [1, 1]]),
            (1, 4, 4, 0, 2, [[1, 1], [1, 1]]),
            (1, 4, 4, 2, 0, [[1, 1], [1, 1]]),
        ] {
            let mut geometry = Geometry {
                batch,
                height,
                width,
                channels,
                filters,
                kernel: [3, 3],
                stride: [1, 1],
                padding,
                pairs: false,
                stored: Stored::PLAIN,
            };
            case(geometry, false);
            for (dtype, filters_first) in
                [(DType::F32, false), (DType::F32, true), (DType::F16, true), (DType::BF16, true), (DType::F16, false)]
            {
                geometry.stored = Stored { dtype, filters_first };
                case(geometry, true);
            }
        }
    }
}
