//! The gradient of a convolution's weights by minimal filtering.

use core::{marker::PhantomData, ops::Range};

use super::super::super::{Buffers, Kernel, Scratch, align, gemm::TASKS, reduce::SumParts};
use super::super::Geometry;
use super::tiles::{Gather, Spread, Tiles};
use super::transform::{OfGradient, OfInput, OfKernel, PLACES, SIDE};
use super::{BLOCK, GAP};
use crate::simd::{Base, Level, MAX_ROWS, Panels, Segment, Tile};

/// Channels of a task.
const CHANNELS: usize = 64;

/// ∂w\[3,3,C,O\] from x\[N,H,W,C\] and ∂y\[N,H,W,O\]: for tiles d of x and t of ∂y,
///
/// ```text
/// ∂g = Gᵀ [ (Bᵀ d B) ⊙ (A t Aᵀ) ] G,    summed over tiles inside the brackets.
/// ```
///
/// A task transforms what it multiplies in its own memory: 64 tiles of its channels and of a panel of filters at a time.
#[derive(Debug)]
pub(crate) struct WeightGrad {
    level: Level,
    geometry: Geometry,
    panels: Panels,
    tiles: Tiles,
    /// Channels of a task.
    block: usize,
    /// Fixed parts of the sum over tiles, added up at the end.
    parts: usize,
}

impl WeightGrad {
    /// For kernels of 3×3 and strides of 1.
    pub fn new(level: Level, geometry: Geometry) -> Self {
        let panels = Panels::new(level, geometry.filters);
        let block = CHANNELS.min(geometry.channels.next_multiple_of(level.tile_rows()));
        let mut grad = Self { level, geometry, panels, tiles: Tiles::new(geometry), block, parts: 1 };
        let enough = TASKS.checked_div(grad.tasks_of_part()).unwrap_or(1);
        grad.parts = enough.min(grad.blocks() / 2).max(1);
        grad
    }

    fn tasks_of_part(&self) -> usize {
        self.geometry.channels.div_ceil(self.block.max(1)) * self.panels.count()
    }

    fn len(&self) -> usize {
        SIDE * SIDE * self.geometry.channels * self.geometry.filters
    }

    /// Blocks of tiles.
    fn blocks(&self) -> usize {
        self.tiles.count().div_ceil(BLOCK)
    }

    /// From one place to the next, of transformed channels, of a transformed panel and of products.
    fn places(&self) -> [usize; 3] {
        let widest = self.panels.widest();
        [BLOCK * self.block + GAP, BLOCK * widest + GAP, self.block * widest + GAP]
    }

    /// One block of channels and one panel of filters, over one part of the sum.
    unsafe fn multiply(&self, index: usize, buffers: Buffers<'_>) {
        let Geometry { channels, filters, .. } = self.geometry;
        let (index, panel) = (index / self.panels.count(), index % self.panels.count());
        let blocks = channels.div_ceil(self.block);
        let (part, block) = (index / blocks, index % blocks);
        let rows = block * self.block..channels.min((block + 1) * self.block);
        let (columns, width) = (self.panels.columns(panel), self.panels.padded(panel));
        let places = self.places();
        let left = buffers.local;
        let right = left.wrapping_add(align(PLACES * places[0]));
        let products = right.wrapping_add(align(PLACES * places[1]));
        let share = |part: usize| self.blocks() * part / self.parts;
        if share(part) == share(part + 1) {
            // SAFETY: the products' place in the local area.
            unsafe { products.write_bytes(0, PLACES * places[2]) }
        }
        for block in share(part)..share(part + 1) {
            let tiles = block * BLOCK..self.tiles.count().min((block + 1) * BLOCK);
            let base = if block == share(part) { Base::Zero } else { Base::Out };
            self.transform(&tiles, &rows, (&columns, width), left, right, buffers);
            for (place, begin) in
                (0..PLACES).flat_map(|place| (0..rows.len()).step_by(self.level.tile_rows()).map(move |i| (place, i)))
            {
                let count = self.level.tile_rows().min(rows.len() - begin);
                let at: [usize; MAX_ROWS] = core::array::from_fn(|i| begin + i.min(count - 1));
                let left = left.wrapping_add(place * places[0]).cast_const();
                let out = products.wrapping_add(place * places[2]);
                let tile = Tile {
                    segments: &[Segment {
                        a: at.map(|row| left.wrapping_add(row)),
                        b: right.wrapping_add(place * places[1]),
                    }],
                    len: tiles.len(),
                    step: self.block,
                    width,
                    pairs: false,
                    base,
                    out: at.map(|row| out.wrapping_add(row * width)),
                    rows: count,
                    cols: columns.len(),
                };
                // SAFETY: transformed tiles and products lie in the local area.
                unsafe { self.level.tile(&tile) }
            }
        }
        let out = if self.parts == 1 { buffers.outputs[0] } else { buffers.shared.wrapping_add(part * self.len()) };
        for (i, row) in rows.enumerate() {
            self.level.run(Gather {
                from: products.wrapping_add(i * width),
                place: places[2],
                bias: None,
                to: out.wrapping_add(row * filters + columns.start),
                pixel: channels * filters,
                line: SIDE * channels * filters,
                inside: [SIDE; 2],
                cols: columns.len(),
                by: PhantomData::<OfKernel>,
            });
        }
    }

    /// Transforms some tiles of some channels, and of some filters.
    fn transform(
        &self,
        tiles: &Range<usize>,
        rows: &Range<usize>,
        (columns, width): (&Range<usize>, usize),
        left: *mut f32,
        right: *mut f32,
        buffers: Buffers<'_>,
    ) {
        let places = self.places();
        for (i, tile) in tiles.clone().enumerate() {
            self.level.run(Spread {
                pixels: self.tiles.seen(tile, buffers.inputs[0].wrapping_add(rows.start)),
                channels: rows.len(),
                to: left.wrapping_add(i * self.block),
                room: rows.len(),
                place: places[0],
                by: PhantomData::<OfInput>,
            });
            self.level.run(Spread {
                pixels: self.tiles.covered(tile, buffers.inputs[1].wrapping_add(columns.start)),
                channels: columns.len(),
                to: right.wrapping_add(i * width),
                room: width,
                place: places[1],
                by: PhantomData::<OfGradient>,
            });
        }
    }
}

impl Kernel for WeightGrad {
    fn scratch(&self) -> Scratch {
        Scratch {
            shared: if self.parts == 1 { 0 } else { self.parts * self.len() },
            local: self.places().into_iter().map(|place| align(PLACES * place)).sum(),
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
