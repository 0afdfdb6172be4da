//! Pictures whose channels are in groups, and how blocks share them: `kernels/picture.cuh`.

use yuragi_graph::DType;

use super::operand::{KernelError, at_most, extent, lanes};
use crate::launch::{Argument, Code, Launch};

/// \[samples, pixels, channels\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Samples; with 0 nothing is launched.
    pub samples: usize,
    /// Pixels of a sample; with 0 nothing is launched.
    pub pixels: usize,
    /// Channels of a pixel; with 0 nothing is launched.
    pub channels: usize,
    /// At least 1; divides `channels`.
    pub groups: usize,
    /// Of the elements.
    pub dtype: DType,
}

/// Threads of a block, and blocks that keep a GPU busy.
const THREADS: usize = 256;
const BLOCKS: usize = 2048;
/// The most threads of a block that these kernels were compiled for.
const MOST_THREADS: usize = 512;
/// Pixels that a thread reads before it computes.
const BATCH: usize = 4;

/// How a picture is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Threads along channels and along pixels.
    pub block: [usize; 2],
    /// Pixels.
    pub chunk: usize,
    /// Channels.
    pub slab: usize,
}

impl Picture {
    /// Whether there is no element.
    pub(super) const fn is_empty(&self) -> bool {
        self.samples * self.pixels * self.channels == 0
    }

    /// Channels of a group.
    pub(super) const fn width(&self) -> usize {
        self.channels / self.groups
    }

    /// Elements of a group.
    pub(super) const fn elements(&self) -> usize {
        self.pixels * self.width()
    }

    /// Refuses what the kernels cannot count.
    pub(super) fn check(&self) -> Result<(), KernelError> {
        if self.groups == 0 {
            return Err(KernelError::Empty { what: "the number of groups of a group norm" });
        }
        extent("the number of channels of a group norm", self.channels)?;
        extent("the number of pixels of a group norm", self.pixels)?;
        extent("the number of groups of a group norm", self.samples.saturating_mul(self.groups))?;
        extent("the number of elements of a group", self.pixels.saturating_mul(self.width()))?;
        Ok(())
    }

    /// What most kernels take.
    pub(super) fn sizes(&self) -> [Argument; 3] {
        [self.pixels, self.channels, self.groups].map(|n| Argument::U32(n as u32))
    }

    /// Chunks of a sample.
    pub(super) const fn chunks(&self, cut: Cut) -> usize {
        self.pixels.div_ceil(cut.chunk)
    }

    /// One block for each chunk of a slab, so far without shared memory.
    pub(super) fn launch(
        &self,
        cut: Cut,
        (name, code): (&'static str, Code),
        function: String,
        arguments: Vec<Argument>,
    ) -> Result<Launch, KernelError> {
        let blocks = self.samples * self.chunks(cut);
        let blocks = at_most("the number of blocks of a group norm", blocks, (1 << 31) - 1)?;
        let grid = [blocks, self.channels.div_ceil(cut.slab) as u32, 1];
        let [across, along] = cut.block.map(|n| n as u32);
        Ok(Launch { name, code, function, grid, block: [across, along, 1], shared: 0, arguments })
    }

    /// Bytes of shared memory for two numbers of each of a block's channels and threads along pixels.
    pub(super) fn shared(&self, cut: Cut) -> u32 {
        (8 * cut.block[0] * cut.block[1] * lanes(self.dtype)) as u32
    }

    /// `None` where a group has more channels than a block can have.
    pub(super) fn cut(&self) -> Option<Cut> {
        let (lanes, width) = (lanes(self.dtype), self.width());
        // Slabs hold whole groups and, if pixels do, whole packs.
        let packed = self.channels.is_multiple_of(lanes);
        let unit = if packed { width * lanes / greatest_common_divisor(width, lanes) } else { width };
        let most = if unit > THREADS * lanes { MOST_THREADS * lanes } else { THREADS * lanes };
        if unit > most {
            return None;
        }
        let slabs = self.channels.div_ceil(most / unit * unit);
        let slab = self.channels.div_ceil(slabs).next_multiple_of(unit);
        // Whole warps, with as few idle threads along the channels as a block of this size allows.
        let rows = |across: usize| 32 / greatest_common_divisor(across, 32);
        let candidates = [1, 2, 4, 8, 16, 32].map(|step| slab.div_ceil(lanes).next_multiple_of(step));
        let first = |most| candidates.into_iter().find(|&across| across * rows(across) <= most);
        let across = first(THREADS * 5 / 4).or_else(|| first(MOST_THREADS))?;
        let along = rows(across) * (THREADS / (across * rows(across))).max(1);
        let least = BATCH * along;
        let chunk = least * (self.pixels * self.samples * slabs).div_ceil(BLOCKS * least).max(1);
        Some(Cut { block: [across, along], chunk, slab })
    }
}

impl Picture {
    /// Cut into fewer chunks: so many that they keep a GPU busy once, and that what they have of a sample is joined quickly.
    pub(super) const fn joined(&self, cut: Cut) -> Cut {
        const BLOCKS: usize = 128;
        let slabs = self.channels.div_ceil(cut.slab);
        let samples = self.samples * slabs;
        let chunks = if samples < BLOCKS { BLOCKS.div_ceil(samples) } else { 1 };
        let least = BATCH * cut.block[1];
        let chunk = self.pixels.div_ceil(chunks).next_multiple_of(least);
        Cut { chunk: if chunk > cut.chunk { chunk } else { cut.chunk }, ..cut }
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture([samples, pixels, channels, groups]: [usize; 4], dtype: DType) -> Picture {
        Picture { samples, pixels, channels, groups, dtype }
    }

    fn cut(extents: [usize; 4], dtype: DType) -> ([usize; 2], usize, usize) {
        let Cut { block, chunk, slab } = picture(extents, dtype).cut().unwrap();
        (block, chunk, slab)
    }

    #[test]
    fn pictures_are_cut_for_whole_warps() {
        assert_eq!(cut([2, 4096, 320, 32], DType::F16), ([40, 4], 16, 320));
        assert_eq!(cut([2, 256, 2560, 32], DType::F16), ([160, 1], 4, 1280));
        assert_eq!(cut([1, 262_144, 256, 32], DType::F16), ([32, 8], 128, 256));
        assert_eq!(cut([1, 100, 42, 6], DType::F32), ([12, 16], 64, 42));
        for channels in (1..300).chain([2040, 2048, 2056, 4090]) {
            for (groups, dtype) in [(1, DType::F16), (channels, DType::F32)] {
                let ([across, along], chunk, slab) = cut([1, 50, channels, groups], dtype);
                assert!(across * along % 32 == 0 && across * along <= MOST_THREADS, "{channels} {across} {along}");
                assert!(across * lanes(dtype) >= slab && slab % (channels / groups) == 0 && chunk % along == 0);
            }
        }
        assert_eq!(picture([1, 9, 5000, 1], DType::F16).cut(), None);
    }
}
