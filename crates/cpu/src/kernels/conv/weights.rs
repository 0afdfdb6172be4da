//! The gradient of a convolution's weights: for every tap, a sum over pixels
//! of outer products.

use core::ops::Range;

use super::super::gemm::{DEPTH, TASKS};
use super::super::{Buffers, Kernel, Scratch, reduce::SumParts};
use super::Geometry;
use crate::simd::{Base, Level, MAX_ROWS, Pack, Panels, Segment, Tile};

/// The most image rows summed in registers at a time.
const MAX_LINES: usize = 32;

/// A line of the input that one of the output lines of a block sees.
#[derive(Clone, Copy)]
struct Line {
    /// Its first pixel.
    image: *const f32,
    /// Which output line of the block.
    number: usize,
}

/// ∂w\[tap, c, o\] = Σ_pixels x\[pixel·stride + tap − pad, c\] · ∂y\[pixel, o\].
#[derive(Debug)]
pub(crate) struct WeightGrad {
    level: Level,
    geometry: Geometry,
    output: [usize; 2],
    panels: Panels,
    /// Channels of a task.
    block: usize,
    /// Fixed parts of the sum over pixels, added up at the end.
    parts: usize,
}

impl WeightGrad {
    pub fn new(level: Level, geometry: Geometry) -> Self {
        let Geometry { channels, filters, .. } = geometry;
        let output = geometry.output();
        let panels = Panels::new(level, filters);
        let rows = level.tile_rows();
        let mut block = channels.next_multiple_of(rows);
        let tasks = |block| panels.count() * channels.div_ceil(block);
        while block > 64 && tasks(block) < TASKS {
            block = (block / 2).next_multiple_of(rows);
        }
        let mut grad = Self { level, geometry, output, panels, block, parts: 1 };
        let enough = TASKS.checked_div(grad.tiles()).unwrap_or(1);
        grad.parts = enough.min(grad.depths() / 8).max(1);
        grad
    }

    /// Tasks of one part.
    fn tiles(&self) -> usize {
        match self.geometry.channels {
            0 => 0,
            channels => self.panels.count() * channels.div_ceil(self.block),
        }
    }

    fn len(&self) -> usize {
        let Geometry { kernel, channels, filters, .. } = self.geometry;
        kernel[0] * kernel[1] * channels * filters
    }

    /// Rows of output pixels in the batch.
    fn lines(&self) -> usize {
        self.geometry.batch * self.output[0]
    }

    /// A long line is summed in pieces, short ones are in groups.
    fn pieces(&self) -> usize {
        self.output[1].div_ceil(DEPTH).max(1)
    }

    fn groups(&self) -> usize {
        let group = (DEPTH / self.output[1].max(1)).clamp(1, MAX_LINES);
        self.lines().div_ceil(group).max(1)
    }

    /// Blocks of the sum over pixels.
    fn depths(&self) -> usize {
        self.groups() * self.pieces()
    }

    /// The lines of a block of the sum, and the columns of those.
    fn pixels(&self, depth: usize) -> (Range<usize>, Range<usize>) {
        let (group, piece) = (depth / self.pieces(), depth % self.pieces());
        let part = |i: usize, n: usize, of: usize| of * i / n..of * (i + 1) / n;
        (part(group, self.groups(), self.lines()), part(piece, self.pieces(), self.output[1]))
    }

    /// The output columns that see a column of the input through a tap.
    fn inside(&self, tap: usize) -> Range<usize> {
        let (stride, pad) = (self.geometry.stride[1], self.geometry.padding[1][0]);
        let begin = pad.saturating_sub(tap).div_ceil(stride);
        let end = (self.geometry.width + pad).saturating_sub(tap).div_ceil(stride);
        begin..end.min(self.output[1])
    }

    /// One row of taps, one block of channels, one panel of filters.
    unsafe fn multiply(&self, index: usize, buffers: Buffers<'_>) {
        let Geometry { channels, filters, kernel, stride, padding, .. } = self.geometry;
        let blocks = channels.div_ceil(self.block);
        let (index, panel) = (index / self.panels.count(), index % self.panels.count());
        let (part, block) = (index / blocks, index % blocks);
        let filters_here = self.panels.columns(panel);
        let padded = self.panels.padded(panel);
        let out = if self.parts == 1 { buffers.outputs[0] } else { buffers.shared.wrapping_add(part * self.len()) };
        let depths = self.depths() * part / self.parts..self.depths() * (part + 1) / self.parts;
        let mut seen = [Line { image: core::ptr::null(), number: 0 }; MAX_LINES];
        let mut segments = [Segment::NONE; MAX_LINES];
        for depth in depths.clone() {
            let (lines, columns) = self.pixels(depth);
            let grad = (lines.start * self.output[1] + columns.start) * filters + filters_here.start;
            let right = buffers.local;
            // Several lines are whole lines, so their pixels are contiguous.
            let pack = Pack {
                from: buffers.inputs[1].wrapping_add(grad).into(),
                stride: filters,
                transposed: false,
                rows: lines.len() * columns.len(),
                cols: filters_here.len(),
                to: right,
                width: padded,
                turns: (1, 0),
            };
            // SAFETY: the pixels lie in ∂y, the local area holds them.
            unsafe { pack.run(self.level) };
            let base = if depth == depths.start { Base::Zero } else { Base::Out };
            let mut count = 0;
            for (tap_y, tap_x) in (0..kernel[0]).flat_map(|y| (0..kernel[1]).map(move |x| (y, x))) {
                if tap_x == 0 {
                    count = self.see(&lines, tap_y, buffers.inputs[0], &mut seen);
                }
                let inside = self.inside(tap_x);
                let begin = columns.start.max(inside.start);
                let len = columns.end.min(inside.end).saturating_sub(begin);
                let x = (begin * stride[1] + tap_x).wrapping_sub(padding[1][0]);
                let tap = tap_y * kernel[1] + tap_x;
                let end = channels.min((block + 1) * self.block);
                for first in (block * self.block..end).step_by(self.level.tile_rows()) {
                    let rows = self.level.tile_rows().min(end - first);
                    let at: [usize; MAX_ROWS] = core::array::from_fn(|i| first + i.min(rows - 1));
                    for (segment, line) in segments.iter_mut().zip(&seen[..count]) {
                        let pixel = line.image.wrapping_add(x.wrapping_mul(channels));
                        let b = line.number * columns.len() + (begin - columns.start);
                        *segment = Segment {
                            a: at.map(|channel| pixel.wrapping_add(channel)),
                            b: right.wrapping_add(b * padded),
                        };
                    }
                    let to = |channel| (tap * channels + channel) * filters + filters_here.start;
                    let tile = Tile {
                        segments: &segments[..count],
                        len,
                        step: stride[1] * channels,
                        width: padded,
                        pairs: false,
                        base,
                        out: at.map(|channel| out.wrapping_add(to(channel))),
                        rows,
                        cols: filters_here.len(),
                    };
                    // SAFETY: all pixels seen are inside, and the weights belong to this task.
                    unsafe { self.level.tile(&tile) }
                }
            }
        }
    }

    /// The input lines that output lines see through a row of taps, and how
    /// many they are.
    fn see(&self, lines: &Range<usize>, tap: usize, x: *const f32, seen: &mut [Line; MAX_LINES]) -> usize {
        let Geometry { height, width, channels, stride, padding, .. } = self.geometry;
        let mut count = 0;
        let (mut n, mut y) = (lines.start / self.output[0].max(1), lines.start % self.output[0].max(1));
        for number in 0..lines.len() {
            if let Some(y) = (y * stride[0] + tap).checked_sub(padding[0][0]).filter(|&y| y < height) {
                let image = x.wrapping_add((n * height + y) * width * channels);
                seen[count] = Line { image, number };
                count += 1;
            }
            y += 1;
            if y == self.output[0] {
                (n, y) = (n + 1, 0);
            }
        }
        count
    }
}

impl Kernel for WeightGrad {
    fn scratch(&self) -> Scratch {
        let pixels = self.lines().div_ceil(self.groups()) * self.output[1].div_ceil(self.pieces());
        Scratch {
            shared: if self.parts == 1 { 0 } else { self.parts * self.len() },
            local: pixels * self.panels.widest(),
        }
    }

    fn phases(&self) -> usize {
        1 + usize::from(self.parts > 1)
    }

    fn tasks(&self, phase: usize) -> usize {
        if phase == 0 { self.parts * self.tiles() } else { SumParts::tasks(self.len()) }
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
