//! The gradient of a convolution's weights by minimal filtering.

use core::{marker::PhantomData, ops::Range};

use super::super::super::{Buffers, Kernel, Scratch, align, gemm::TASKS, reduce::SumParts};
use super::super::Geometry;
use super::tiles::{Gather, Spread, Tiles};
use super::transform::{OfGradient, OfInput, OfKernel, PLACES, SIDE};
use super::{BLOCK, FILTERS, GAP};
use crate::simd::{Base, Left, Level, Panels, Strip};

/// Channels of a task.
const CHANNELS: usize = 64;

/// ∂w\[3,3,C,O\] from x\[N,H,W,C\] and ∂y\[N,H,W,O\]: for tiles d of x and t of ∂y,
///
/// ```text
/// ∂g = Gᵀ [ (Bᵀ d B) ⊙ (A t Aᵀ) ] G,    summed over tiles inside the brackets.
/// ```
///
/// A task transforms what it multiplies in its own memory: 64 tiles of its channels and of some panels of filters at a time.
#[derive(Debug)]
pub(crate) struct WeightGrad {
    level: Level,
    geometry: Geometry,
    panels: Panels,
    tiles: Tiles,
    /// Channels of a task.
    block: usize,
    /// Panels of a task.
    group: usize,
    /// Fixed parts of the sum over tiles, added up at the end.
    parts: usize,
}

impl WeightGrad {
    /// For kernels of 3×3 and strides of 1.
    pub fn new(level: Level, geometry: Geometry) -> Self {
        let panels = Panels::new(level, geometry.filters);
        let block = CHANNELS.min(geometry.channels.next_multiple_of(level.tile_rows()));
        let group = (FILTERS / panels.widest().max(1)).min(panels.count()).max(1);
        let mut grad = Self { level, geometry, panels, tiles: Tiles::new(geometry), block, group, parts: 1 };
        let enough = TASKS.checked_div(grad.tasks_of_part()).unwrap_or(1);
        grad.parts = enough.min(grad.blocks() / 2).max(1);
        grad
    }

    fn tasks_of_part(&self) -> usize {
        self.geometry.channels.div_ceil(self.block.max(1)) * self.groups()
    }

    /// Groups of panels.
    fn groups(&self) -> usize {
        self.panels.count().div_ceil(self.group)
    }

    fn len(&self) -> usize {
        SIDE * SIDE * self.geometry.channels * self.geometry.filters
    }

    /// Blocks of tiles.
    fn blocks(&self) -> usize {
        self.tiles.count().div_ceil(BLOCK)
    }

    /// From one place to the next, of transformed channels, of a transformed panel and of its products.
    fn places(&self) -> [usize; 3] {
        let widest = self.panels.widest();
        [BLOCK * self.block + GAP, BLOCK * widest + GAP, self.block * widest + GAP]
    }

    /// Elements of all places of transformed channels, and of each panel: transformed, and its products.
    fn areas(&self) -> [usize; 3] {
        self.places().map(|place| align(PLACES * place))
    }

    /// One block of channels and some panels of filters, over one part of the sum.
    unsafe fn multiply(&self, index: usize, buffers: Buffers<'_>) {
        let Geometry { channels, filters, .. } = self.geometry;
        let (index, group) = (index / self.groups(), index % self.groups());
        let panels = group * self.group..self.panels.count().min((group + 1) * self.group);
        let blocks = channels.div_ceil(self.block);
        let (part, block) = (index / blocks, index % blocks);
        let rows = block * self.block..channels.min((block + 1) * self.block);
        let (places, areas) = (self.places(), self.areas());
        let left = buffers.local;
        let right = |i: usize| left.wrapping_add(areas[0] + i * areas[1]);
        let products = |i: usize| right(self.group).wrapping_add(i * areas[2]);
        let share = |part: usize| self.blocks() * part / self.parts;
        if share(part) == share(part + 1) {
            // SAFETY: the products' place in the local area.
            unsafe { products(0).write_bytes(0, self.group * areas[2]) }
        }
        for block in share(part)..share(part + 1) {
            let tiles = block * BLOCK..self.tiles.count().min((block + 1) * BLOCK);
            let base = if block == share(part) { Base::Zero } else { Base::Out };
            self.transform_channels(&tiles, &rows, left, buffers);
            for (i, panel) in panels.clone().enumerate() {
                self.transform_panel(&tiles, panel, right(i), buffers);
            }
            for (place, (i, panel)) in (0..PLACES).flat_map(|place| panels.clone().enumerate().map(move |p| (place, p)))
            {
                let width = self.panels.padded(panel);
                let strip = Strip {
                    left: Left {
                        from: left.wrapping_add(place * places[0]),
                        row: 1,
                        tile: self.level.tile_rows(),
                        step: self.block,
                    },
                    right: right(i).wrapping_add(place * places[1]),
                    len: tiles.len(),
                    width,
                    pairs: false,
                    base,
                    out: (products(i).wrapping_add(place * places[2]), width),
                    rows: rows.len(),
                    cols: self.panels.columns(panel).len(),
                    ahead: None,
                };
                // SAFETY: transformed tiles and products lie in the local area.
                unsafe { self.level.strip(&strip) }
            }
        }
        let out = if self.parts == 1 { buffers.outputs[0] } else { buffers.shared.wrapping_add(part * self.len()) };
        for (i, panel) in panels.enumerate() {
            let (columns, width) = (self.panels.columns(panel), self.panels.padded(panel));
            for (row, channel) in rows.clone().enumerate() {
                self.level.run(Gather {
                    from: products(i).wrapping_add(row * width),
                    place: places[2],
                    bias: None,
                    to: out.wrapping_add(channel * filters + columns.start),
                    pixel: channels * filters,
                    line: SIDE * channels * filters,
                    inside: [SIDE; 2],
                    cols: columns.len(),
                    by: PhantomData::<OfKernel>,
                });
            }
        }
    }

    /// Transforms some tiles of some channels.
    fn transform_channels(&self, tiles: &Range<usize>, rows: &Range<usize>, to: *mut f32, buffers: Buffers<'_>) {
        for (i, tile) in tiles.clone().enumerate() {
            self.level.run(Spread {
                pixels: self.tiles.seen(tile, buffers.inputs[0].wrapping_add(rows.start)),
                channels: rows.len(),
                to: to.wrapping_add(i * self.block),
                room: rows.len(),
                place: self.places()[0],
                by: PhantomData::<OfInput>,
            });
        }
    }

    /// Transforms some tiles of a panel of filters.
    fn transform_panel(&self, tiles: &Range<usize>, panel: usize, to: *mut f32, buffers: Buffers<'_>) {
        let (columns, width) = (self.panels.columns(panel), self.panels.padded(panel));
        for (i, tile) in tiles.clone().enumerate() {
            self.level.run(Spread {
                pixels: self.tiles.covered(tile, buffers.inputs[1].wrapping_add(columns.start)),
                channels: columns.len(),
                to: to.wrapping_add(i * width),
                room: width,
                place: self.places()[1],
                by: PhantomData::<OfGradient>,
            });
        }
    }
}

impl Kernel for WeightGrad {
    fn scratch(&self) -> Scratch {
        Scratch {
            shared: if self.parts == 1 { 0 } else { self.parts * self.len() },
            local: {
                let [channels, panel, products] = self.areas();
                channels + self.group * (panel + products)
            },
        }
    }

    fn phases(&self) -> usize {
        1 + usize::from(self.parts > 1)
    }

    fn tasks(&self, phase: usize) -> usize {
        if phase == 0 { self.parts * self.tasks_of_part() } else { SumParts::tasks(self.len()) }
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        if phase == 0 {
            // SAFETY: passed on.
            unsafe { self.multiply(index, buffers) }
        } else {
            let sum = SumParts { from: buffers.shared, parts: self.parts, len: self.len(), to: buffers.outputs[0] };
            // SAFETY: the parts are complete.
            unsafe { sum.run(self.level, index) }
        }
    }
}
