//! Convolutions that give an image: the forward one and the gradient of the
//! input, both as sums over taps of shifted images times small matrices.

use alloc::vec::Vec;
use core::ops::Range;

use super::super::gemm::{DEPTH, TASKS};
use super::super::{Buffers, Kernel, Scratch, align};
use super::{Geometry, Stored};
use crate::simd::{Base, Level, MAX_ROWS, Narrow, Op, Pack, Panels, Segment, Source, Tile, Vector};

/// The most output pixels that share a panel of weights in cache.
const BLOCK: usize = 128;

/// The most tiles of a block, at the level of the lowest tiles.
const MAX_TILES: usize = BLOCK / 4;

/// Channels whose weights are packed at a time.
const CHANNELS: usize = 64;

/// The most taps summed in registers at a time.
const MAX_TAPS: usize = 32;

/// out\[n, q, :\] = bias + Σ_taps in\[n, q·step + tap − pad, :\] · w\[tap\], zero
/// outside of the input, for one or several classes of output pixels.
///
/// The gradient of the input has as many classes as the stride has phases:
/// each phase sees its own taps.
#[derive(Debug)]
pub(crate) struct Correlation {
    level: Level,
    batch: usize,
    /// Height and width of the input.
    input: [usize; 2],
    /// Height and width of the output.
    output: [usize; 2],
    /// Channels of the input.
    channels: usize,
    /// The factors are bfloat16 and become pairs of channels.
    pairs: bool,
    panels: Panels,
    /// Channels of the output.
    filters: usize,
    classes: Vec<Class>,
    /// The weights are used transposed: filters of the output are channels of w.
    transposed: bool,
    stored: Stored,
    bias: bool,
    /// Output pixels of a task.
    block: usize,
}

/// Output pixels that see the same taps, along each axis.
#[derive(Debug)]
struct Class {
    axes: [Axis; 2],
    /// Taps of the classes before.
    first_tap: usize,
}

/// Output coordinate `begin + stride·q` for q < `count` sees input coordinate
/// `origin + step·q + t` through tap t < `taps`, whose weights are those of
/// tap `kernel_begin + kernel_step·t` of the kernel.
#[derive(Clone, Copy, Debug)]
struct Axis {
    begin: usize,
    stride: usize,
    count: usize,
    origin: isize,
    step: usize,
    taps: usize,
    kernel_begin: usize,
    kernel_step: isize,
}

impl Axis {
    fn kernel_tap(&self, t: usize) -> usize {
        self.kernel_begin.wrapping_add_signed(self.kernel_step * t as isize)
    }

    fn forward(geometry: &Geometry, d: usize) -> Self {
        Self {
            begin: 0,
            stride: 1,
            count: geometry.output()[d],
            origin: -(geometry.padding[d][0] as isize),
            step: geometry.stride[d],
            taps: geometry.kernel[d],
            kernel_begin: 0,
            kernel_step: 1,
        }
    }

    /// Input coordinates i ≡ `phase` modulo the stride s: o·s + k = i + pad
    /// fixes k modulo s; tap t counts k downwards and so o upwards.
    fn backward(geometry: &Geometry, d: usize, phase: usize) -> Self {
        let (s, k, pad) = (geometry.stride[d], geometry.kernel[d], geometry.padding[d][0]);
        let size = [geometry.height, geometry.width][d];
        let least = (phase + pad) % s;
        let taps = k.saturating_sub(least).div_ceil(s);
        let last = taps.saturating_sub(1);
        Self {
            begin: phase,
            stride: s,
            count: size.saturating_sub(phase).div_ceil(s),
            origin: ((phase + pad) / s) as isize - last as isize,
            step: 1,
            taps,
            kernel_begin: least + last * s,
            kernel_step: -(s as isize),
        }
    }
}

impl Class {
    fn taps(&self) -> usize {
        self.axes[0].taps * self.axes[1].taps
    }

    /// Output pixels of one image.
    fn pixels(&self) -> usize {
        self.axes[0].count * self.axes[1].count
    }
}

/// Pixels of the output that make the rows of a tile; the last one is repeated.
#[derive(Clone, Copy, Default)]
struct Rows {
    count: usize,
    /// Input coordinates of tap (0, 0), perhaps outside.
    y: [isize; MAX_ROWS],
    x: [isize; MAX_ROWS],
    /// The input element there.
    input: [isize; MAX_ROWS],
    /// The output element of channel 0.
    output: [usize; MAX_ROWS],
}

/// A tap as seen from the rows of a tile.
#[derive(Clone, Copy)]
struct Tap {
    y: isize,
    x: isize,
    /// From the input element of tap (0, 0) to this one's.
    shift: isize,
    weights: *const f32,
}

impl Tap {
    /// Nothing, to fill an array with.
    const NONE: Self = Self { y: 0, x: 0, shift: 0, weights: core::ptr::null() };
}

/// Finds what the rows of a tile see through some taps: input pixels, or zeros
/// outside.
struct Look<'a> {
    rows: &'a Rows,
    taps: &'a [Tap],
    /// Height and width of the input.
    input: [usize; 2],
    image: *const f32,
    zeros: *const f32,
    segments: &'a mut [Segment; MAX_TAPS],
}

impl Op for Look<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { rows, input: [height, width], image, zeros, .. } = self;
        for (segment, tap) in self.segments.iter_mut().zip(self.taps) {
            segment.b = tap.weights;
            for i in 0..MAX_ROWS {
                let (y, x) = (rows.y[i] + tap.y, rows.x[i] + tap.x);
                let inside = ((y as usize) < height) & ((x as usize) < width);
                let pixel = image.wrapping_offset(rows.input[i] + tap.shift);
                segment.a[i] = if inside { pixel } else { zeros };
            }
        }
    }
}

impl Correlation {
    pub fn forward(level: Level, geometry: &Geometry, bias: bool) -> Self {
        let axes = [Axis::forward(geometry, 0), Axis::forward(geometry, 1)];
        let Geometry { batch, height, width, channels, filters, pairs, stored, .. } = *geometry;
        Self {
            level,
            batch,
            input: [height, width],
            output: geometry.output(),
            channels,
            pairs,
            panels: Panels::new(level, filters),
            filters,
            classes: Vec::from([Class { axes, first_tap: 0 }]),
            transposed: false,
            stored,
            bias,
            block: 0,
        }
        .divided()
    }

    pub fn input_grad(level: Level, geometry: &Geometry) -> Self {
        let Geometry { batch, height, width, channels, filters, stride, pairs, .. } = *geometry;
        let mut classes = Vec::with_capacity(stride[0] * stride[1]);
        let mut first_tap = 0;
        for y in 0..stride[0] {
            for x in 0..stride[1] {
                let axes = [Axis::backward(geometry, 0, y), Axis::backward(geometry, 1, x)];
                let class = Class { axes, first_tap };
                first_tap += class.taps();
                classes.push(class);
            }
        }
        Self {
            level,
            batch,
            input: geometry.output(),
            output: [height, width],
            channels: filters,
            pairs,
            panels: Panels::new(level, channels),
            filters: channels,
            classes,
            transposed: true,
            stored: Stored::PLAIN,
            bias: false,
            block: 0,
        }
        .divided()
    }

    /// Chooses the block: smaller where the tasks would be few.
    fn divided(mut self) -> Self {
        let whole = |rows: usize| rows / self.level.tile_rows() * self.level.tile_rows();
        let mut block = BLOCK;
        self.block = whole(block);
        while block > 32 && self.multiplications() < TASKS {
            block /= 2;
            self.block = whole(block);
        }
        self
    }

    /// Blocks of output pixels of a class.
    fn blocks(&self, class: &Class) -> usize {
        (self.batch * class.pixels()).div_ceil(self.block)
    }

    /// Tasks that multiply.
    fn multiplications(&self) -> usize {
        self.classes.iter().map(|class| self.blocks(class)).sum::<usize>() * self.panels.count()
    }

    /// Taps of all classes.
    fn taps(&self) -> usize {
        self.classes.iter().map(Class::taps).sum()
    }

    /// Elements of a pixel of the input, pairs counting as one.
    fn depth(&self) -> usize {
        if self.pairs { self.channels.div_ceil(2) } else { self.channels }
    }

    /// Elements of the packed weights of one tap.
    fn tap_len(&self) -> usize {
        self.depth() * self.panels.width()
    }

    /// Where the zeros that stand for pixels outside lie in the shared area.
    fn zeros(&self) -> usize {
        align(self.taps() * self.tap_len())
    }

    /// Where the input as pairs lies in the shared area.
    fn image(&self) -> usize {
        self.zeros() + align(self.depth())
    }

    /// Pixels of the input.
    fn pixels(&self) -> usize {
        self.batch * self.input[0] * self.input[1]
    }

    /// Tasks that make pairs of the input.
    fn pairings(&self) -> usize {
        if self.pairs { self.pixels().div_ceil(BLOCK) } else { 0 }
    }

    /// Tasks that pack weights.
    fn packings(&self) -> usize {
        match self.stored.filters_first {
            false => self.taps() * self.panels.count(),
            true => self.channels.div_ceil(CHANNELS) * self.panels.count(),
        }
    }

    /// Packs the weights of all taps and some channels for one panel.
    unsafe fn pack_filters(&self, index: usize, buffers: Buffers<'_>) {
        let [class] = &self.classes[..] else { return };
        let (first, panel) = (index / self.panels.count() * CHANNELS, index % self.panels.count());
        let (taps, columns) = (class.taps(), self.panels.columns(panel));
        let width = self.panels.padded(panel);
        let from = Source::new(self.stored.dtype, buffers.inputs[1]);
        let pack = Pack {
            from: from.wrapping_add((columns.start * self.channels + first) * taps),
            stride: self.channels * taps,
            transposed: true,
            rows: CHANNELS.min(self.channels - first) * taps,
            cols: columns.len(),
            to: buffers.shared.wrapping_add(self.weights(class, panel, 0) + first * width),
            width,
            turns: (taps, self.channels * width),
        };
        // SAFETY: the filters lie in w, their panel in the shared area.
        unsafe { pack.run(self.level) }
    }

    /// Makes pairs of a block of pixels of the input.
    unsafe fn pair(&self, index: usize, buffers: Buffers<'_>) {
        let first = index * BLOCK;
        let narrow = Narrow {
            from: buffers.inputs[0].wrapping_add(first * self.channels),
            stride: self.channels,
            rows: BLOCK.min(self.pixels() - first),
            cols: self.channels,
            to: buffers.shared.wrapping_add(self.image() + first * self.depth()),
        };
        // SAFETY: pixels of the input, and their place in the shared area.
        unsafe { narrow.run(self.level) }
    }

    /// Where the packed weights of a tap of a class and panel begin.
    fn weights(&self, class: &Class, panel: usize, tap: usize) -> usize {
        let start = self.panels.columns(panel).start * class.taps();
        class.first_tap * self.tap_len() + (start + tap * self.panels.padded(panel)) * self.depth()
    }

    /// Packs the weights of one tap for one panel.
    unsafe fn pack(&self, index: usize, buffers: Buffers<'_>) {
        let (tap, panel) = (index / self.panels.count(), index % self.panels.count());
        let Some(class) = self.classes.iter().rfind(|class| class.first_tap <= tap && class.taps() > 0) else {
            return;
        };
        let tap = tap - class.first_tap;
        let [vertical, horizontal] = &class.axes;
        let (y, x) = (tap / horizontal.taps, tap % horizontal.taps);
        // The width of the kernel: the taps of one row of all classes.
        let kernel_width = self.kernel_width();
        let kernel_tap = vertical.kernel_tap(y) * kernel_width + horizontal.kernel_tap(x);
        let columns = self.panels.columns(panel);
        let stride = if self.transposed { self.channels } else { self.filters };
        let first = columns.start * if self.transposed { stride } else { 1 };
        let pack = Pack {
            from: Source::new(self.stored.dtype, buffers.inputs[1])
                .wrapping_add(kernel_tap * self.channels * self.filters + first),
            stride,
            transposed: self.transposed,
            rows: self.channels,
            cols: columns.len(),
            to: buffers.shared.wrapping_add(self.weights(class, panel, tap)),
            width: self.panels.padded(panel),
            turns: (1, 0),
        };
        // SAFETY: the tap lies in w, its panel in the shared area.
        unsafe { if self.pairs { pack.run_pairs(self.level) } else { pack.run(self.level) } }
    }

    fn kernel_width(&self) -> usize {
        let same_row = self.classes.iter().filter(|class| class.axes[0].begin == 0);
        same_row.map(|class| class.axes[1].taps).sum()
    }

    /// The pixels of a block, in `tiles`; how many of those they fill.
    fn locate(&self, class: &Class, block: usize, tiles: &mut [Rows; MAX_TILES]) -> usize {
        let [vertical, horizontal] = &class.axes;
        let [height, width] = self.input.map(|size| size as isize);
        let first = block * self.block;
        let end = self.batch * class.pixels();
        let (mut n, rest) = (first / class.pixels(), first % class.pixels());
        let (mut y, mut x) = (rest / horizontal.count, rest % horizontal.count);
        let firsts = (first..end.min(first + self.block)).step_by(self.level.tile_rows());
        let count = firsts.len();
        for (rows, first) in tiles.iter_mut().zip(firsts) {
            rows.count = self.level.tile_rows().min(end - first);
            for i in 0..MAX_ROWS {
                if i >= rows.count {
                    let last = rows.count - 1;
                    (rows.y[i], rows.x[i]) = (rows.y[last], rows.x[last]);
                    (rows.input[i], rows.output[i]) = (rows.input[last], rows.output[last]);
                    continue;
                }
                rows.y[i] = vertical.origin + (vertical.step * y) as isize;
                rows.x[i] = horizontal.origin + (horizontal.step * x) as isize;
                rows.input[i] = ((n as isize * height + rows.y[i]) * width + rows.x[i]) * self.depth() as isize;
                let line = n * self.output[0] + vertical.begin + vertical.stride * y;
                let column = horizontal.begin + horizontal.stride * x;
                rows.output[i] = (line * self.output[1] + column) * self.filters;
                x += 1;
                if x == horizontal.count {
                    (x, y) = (0, y + 1);
                    if y == vertical.count {
                        (y, n) = (0, n + 1);
                    }
                }
            }
        }
        count
    }

    /// The parts of the sum: a range of taps and a range of a pixel's elements each.
    fn depths(&self, class: &Class) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let (taps, channels) = (class.taps(), self.depth());
        let pieces = channels.div_ceil(DEPTH).max(1);
        let group = (DEPTH / channels.max(1)).clamp(1, MAX_TAPS);
        let groups = taps.div_ceil(group).max(1);
        let part = |i: usize, n: usize, of: usize| of * i / n..of * (i + 1) / n;
        (0..groups)
            .flat_map(move |g| (0..pieces).map(move |piece| (part(g, groups, taps), part(piece, pieces, channels))))
    }

    /// Computes one block of pixels for one panel of filters.
    unsafe fn multiply(&self, index: usize, buffers: Buffers<'_>) {
        let (mut block, panel) = (index / self.panels.count(), index % self.panels.count());
        let mut class = 0;
        while block >= self.blocks(&self.classes[class]) {
            block -= self.blocks(&self.classes[class]);
            class += 1;
        }
        let class = &self.classes[class];
        let mut tiles = [Rows::default(); MAX_TILES];
        let count = self.locate(class, block, &mut tiles);
        let mut seen = [Tap::NONE; MAX_TAPS];
        let mut segments = [Segment::NONE; MAX_TAPS];
        let columns = self.panels.columns(panel);
        let width = self.panels.padded(panel);
        let out = buffers.outputs[0].wrapping_add(columns.start);
        let image = if self.pairs { buffers.shared.wrapping_add(self.image()).cast_const() } else { buffers.inputs[0] };
        for (part, (taps, channels)) in self.depths(class).enumerate() {
            for (seen, tap) in seen.iter_mut().zip(taps.clone()) {
                let (y, x) = ((tap / class.axes[1].taps) as isize, (tap % class.axes[1].taps) as isize);
                let shift = (y * self.input[1] as isize + x) * self.depth() as isize + channels.start as isize;
                let weights = self.weights(class, panel, tap) + channels.start * width;
                *seen = Tap { y, x, shift, weights: buffers.shared.wrapping_add(weights) };
            }
            let base = match (part, self.bias) {
                (0, true) => Base::Row(buffers.inputs[2].wrapping_add(columns.start)),
                (0, false) => Base::Zero,
                _ => Base::Out,
            };
            for rows in &tiles[..count] {
                self.level.run(Look {
                    rows,
                    taps: &seen[..taps.len()],
                    input: self.input,
                    image,
                    zeros: buffers.shared.wrapping_add(self.zeros()),
                    segments: &mut segments,
                });
                let tile = Tile {
                    segments: &segments[..taps.len()],
                    len: channels.len(),
                    step: 1,
                    width,
                    pairs: self.pairs,
                    base,
                    out: rows.output.map(|pixel| out.wrapping_add(pixel)),
                    rows: rows.count,
                    cols: columns.len(),
                };
                // SAFETY: inputs are pixels inside or zeros, weights are packed,
                // and the output pixels belong to this task.
                unsafe { self.level.tile(&tile) }
            }
        }
    }
}

impl Kernel for Correlation {
    fn scratch(&self) -> Scratch {
        let image = if self.pairs { self.pixels() * self.depth() } else { 0 };
        Scratch { shared: self.image() + image, local: 0 }
    }

    fn phases(&self) -> usize {
        2
    }

    fn tasks(&self, phase: usize) -> usize {
        match phase {
            // One more, for the zeros.
            0 => self.packings() + self.pairings() + 1,
            _ => self.multiplications(),
        }
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        // SAFETY: passed on; the zeros have their place in the shared area.
        unsafe {
            match phase {
                0 if index < self.packings() && self.stored.filters_first => self.pack_filters(index, buffers),
                0 if index < self.packings() => self.pack(index, buffers),
                0 if index < self.packings() + self.pairings() => self.pair(index - self.packings(), buffers),
                0 => buffers.shared.add(self.zeros()).write_bytes(0, self.depth()),
                _ => self.multiply(index, buffers),
            }
        }
    }
}
