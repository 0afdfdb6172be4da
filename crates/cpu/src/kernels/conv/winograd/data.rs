//! y from x, and ∂x from ∂y, by minimal filtering.

use core::{marker::PhantomData, ops::Range};

use super::super::super::{Buffers, Kernel, Scratch, align, gemm::TASKS};
use super::super::{Geometry, Stored};
use super::tiles::{Gather, Spread, Tiles, Weights};
use super::transform::{OfInput, OfOutput, PLACES};
use super::{BLOCK, FILTERS, GAP};
use crate::simd::{Ahead, Base, Left, Level, Pack, Panels, Source, Strip};

/// Channels whose weights are transformed at a time.
const DEPTH: usize = 64;
/// Filters of a task that transforms weights on the spot, which lie in the second cache together.
const FILTERS_ON_THE_SPOT: usize = 32;
/// Tiles of a task that transforms the input.
const RUN: usize = 8;
/// Elements of the transformed input that are held at a time: as many as a cache shared by all cores has, and fewer where
/// weights need not be transformed for each slab.
const HELD: usize = 8 << 20;
const HELD_BESIDE: usize = 3 << 20;
/// The most elements of transformed weights that are held.
const KEPT: usize = 12 << 20;
/// Blocks of tiles from which on weights are transformed once, before, and not on the spot.
const MANY: usize = 3;
/// Numbers of a filter and channel.
const TAPS: usize = 9;

/// y\[N,H,W,O\] = bias + x\[N,H,W,C\] * w\[3,3,C,O\] in slabs of tiles: one phase transforms the input of a slab, the next
/// one multiplies it with weights, transformed with the first slab or, for few tiles, on the spot.
#[derive(Debug)]
pub(crate) struct Correlation {
    level: Level,
    geometry: Geometry,
    panels: Panels,
    bias: bool,
    /// The weights lie as \[3,3,O,C\], and are turned by 180°: those of the convolution whose gradient this is.
    turned: bool,
    tiles: Tiles,
    /// Tiles of a slab.
    slab: usize,
    /// Weights are transformed before.
    before: bool,
    /// Panels of a task.
    group: usize,
}

impl Correlation {
    /// For kernels of 3×3 and strides of 1. Turned kernels are of single precision, in their own order.
    pub fn new(level: Level, geometry: Geometry, bias: bool, turned: bool) -> Self {
        let tiles = Tiles::new(geometry);
        let count = tiles.count();
        let panels = Panels::new(level, geometry.filters);
        let mut form = Self { level, geometry, panels, bias, turned, tiles, slab: BLOCK, before: false, group: 1 };
        form.before = count.div_ceil(BLOCK) >= MANY && panels.count() * form.panel_len() <= KEPT;
        let filters = if form.before { FILTERS } else { FILTERS_ON_THE_SPOT };
        form.group = (filters / panels.widest().max(1)).min(panels.count()).max(1);
        let blocks = count.div_ceil(BLOCK);
        while form.group > 1 && blocks * panels.count().div_ceil(form.group) < TASKS {
            form.group -= 1;
        }
        let held = if form.before { HELD_BESIDE } else { HELD };
        let held = held / (PLACES * geometry.channels.max(1)) / BLOCK * BLOCK;
        form.slab = held.clamp(BLOCK, count.max(1).next_multiple_of(BLOCK));
        form
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
            Stored::PLAIN if !self.turned => 0,
            _ => align(TAPS * DEPTH.min(self.geometry.channels) * self.panels.widest()),
        }
    }

    /// The tiles of a slab.
    fn slab(&self, number: usize) -> Range<usize> {
        number * self.slab..self.tiles.count().min((number + 1) * self.slab)
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
        let channels = self.geometry.channels;
        for tile in index * RUN..slab.len().min((index + 1) * RUN) {
            self.level.run(Spread {
                pixels: self.tiles.seen(slab.start + tile, buffers.inputs[0]),
                channels,
                to: buffers.shared.wrapping_add(tile * channels),
                room: channels,
                place: self.input_place(),
                by: PhantomData::<OfInput>,
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
            _ if self.turned => {
                for tap in 0..TAPS {
                    let from = ((TAPS - 1 - tap) * filters + columns.start) * channels + first;
                    pack(from, channels, true, rows, staged.wrapping_add(tap * rows * width));
                }
                (staged.cast_const(), rows * width, width)
            }
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

    /// Multiplies a block of tiles with some panels of filters: where they are several whose weights are transformed before, at
    /// one place with all channels, and so on; else with some channels at all places.
    unsafe fn multiply(&self, slab: &Range<usize>, index: usize, buffers: Buffers<'_>) {
        let groups = self.panels.count().div_ceil(self.group);
        let (block, group) = (index / groups, index % groups);
        let tiles = block * BLOCK..slab.len().min((block + 1) * BLOCK);
        let panels = group * self.group..self.panels.count().min((group + 1) * self.group);
        let own = buffers.local.wrapping_add(self.group * self.products());
        let depths = self.depths();
        // SAFETY: passed on; the products' place is in the local area.
        unsafe {
            if depths == 0 {
                buffers.local.write_bytes(0, self.group * self.products());
            }
            // At one place with all channels, then the next, or with some channels at all places, and so on: what is
            // transformed on the spot, or what one panel alone would look for far apart.
            let by_place = self.before && self.group > 1;
            let [outer, inner] = if by_place { [PLACES, depths] } else { [depths, PLACES] };
            let step = |number: usize| {
                let (outer, inner) = (number / inner, number % inner);
                if by_place { (outer, inner) } else { (inner, outer) }
            };
            for number in 0..outer * inner {
                let (place, depth) = step(number);
                let next = (number + 1 < outer * inner).then(|| step(number + 1));
                for (i, panel) in panels.clone().enumerate() {
                    let weights = if self.before {
                        self.weighed(panel, depth, buffers)
                    } else {
                        let weights = own.wrapping_add(i * align(PLACES * self.weight_place()));
                        if place == 0 {
                            let staged = own.wrapping_add(self.group * align(PLACES * self.weight_place()));
                            self.weigh(panel, depth, buffers.inputs[1], staged, weights);
                        }
                        weights
                    };
                    let products = buffers.local.wrapping_add(i * self.products());
                    let part = Part { tiles: tiles.clone(), panel, weights, products };
                    self.add(&part, [place, depth], next.filter(|_| i == 0 && self.group > 1), buffers);
                }
            }
        }
        let across = self.geometry.output()[1];
        for (i, panel) in panels.enumerate() {
            let (columns, width) = (self.panels.columns(panel), self.panels.padded(panel));
            for tile in 0..tiles.len() {
                let number = slab.start + tiles.start + tile;
                self.level.run(Gather {
                    from: buffers.local.wrapping_add(i * self.products() + tile * width),
                    place: self.product_place(),
                    bias: self.bias.then(|| buffers.inputs[2].wrapping_add(columns.start)),
                    to: buffers.outputs[0].wrapping_add(self.tiles.first(number) + columns.start),
                    pixel: self.geometry.filters,
                    line: across * self.geometry.filters,
                    inside: self.tiles.inside(number),
                    cols: columns.len(),
                    by: PhantomData::<OfOutput>,
                });
            }
        }
    }

    /// Weights of a panel and some channels that were transformed before.
    fn weighed(&self, panel: usize, depth: usize, buffers: Buffers<'_>) -> *const f32 {
        buffers.shared.wrapping_add(self.kept() + self.weights(panel, depth)).cast_const()
    }

    /// Adds to a block's products at one place those of some channels; `next` are the place and the channels after them.
    unsafe fn add(&self, part: &Part, [place, depth]: [usize; 2], next: Option<(usize, usize)>, buffers: Buffers<'_>) {
        let channels = self.geometry.channels;
        let Part { ref tiles, panel, weights, products } = *part;
        let (cols, width) = (self.panels.columns(panel).len(), self.panels.padded(panel));
        let height = self.level.tile_rows();
        let left = |place: usize, depth: usize| {
            let from = place * self.input_place() + tiles.start * channels + depth * DEPTH;
            buffers.shared.wrapping_add(from).cast_const()
        };
        let len = |depth: usize| DEPTH.min(channels - depth * DEPTH);
        let strip = Strip {
            left: Left { from: left(place, depth), row: channels, tile: height * channels, step: 1 },
            right: weights.wrapping_add(place * self.weight_place()),
            len: len(depth),
            width,
            pairs: false,
            base: if depth == 0 { Base::Zero } else { Base::Out },
            out: (products.wrapping_add(place * self.product_place()), width),
            rows: tiles.len(),
            cols,
            ahead: next.map(|(place, depth)| Ahead {
                from: left(place, depth),
                rows: height,
                len: len(depth),
                row: channels,
                tile: height * channels,
            }),
        };
        // SAFETY: transformed tiles lie in the shared area, weights there or in the local one, products in the local one.
        unsafe { self.level.strip(&strip) }
    }
}

/// A block of tiles and a panel of filters.
struct Part {
    /// In their slab.
    tiles: Range<usize>,
    panel: usize,
    /// The panel's, of some channels at all places.
    weights: *const f32,
    /// Where they are added.
    products: *mut f32,
}

impl Kernel for Correlation {
    fn scratch(&self) -> Scratch {
        let kept = if self.before { self.panels.count() * self.panel_len() } else { 0 };
        let weights = if self.before { 1 } else { self.group };
        let own = weights * align(PLACES * self.weight_place()) + self.staged();
        Scratch { shared: self.kept() + kept, local: self.group * self.products() + own }
    }

    fn phases(&self) -> usize {
        2 * self.tiles.count().div_ceil(self.slab)
    }

    fn tasks(&self, phase: usize) -> usize {
        let tiles = self.slab(phase / 2).len();
        if phase.is_multiple_of(2) {
            self.weighings(phase) + tiles.div_ceil(RUN)
        } else {
            tiles.div_ceil(BLOCK) * self.panels.count().div_ceil(self.group)
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
