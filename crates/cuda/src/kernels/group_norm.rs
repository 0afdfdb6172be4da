//! Group norm: `kernels/group_norm_silu.cu` in one launch, `kernels/group_norm.cu` in three.

use yuragi_graph::DType;

use super::operand::{KernelError, at_most, extent, function, lanes};
use crate::launch::{Address, Argument, Code, Home, Launch, Launches};

/// Groups of channels of each sample standardised, then scaled and shifted by channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Samples; with 0 nothing is launched.
    pub samples: usize,
    /// Pixels of a sample; with 0 nothing is launched.
    pub pixels: usize,
    /// Channels of a pixel; with 0 nothing is launched.
    pub channels: usize,
    /// At least 1; divides `channels`.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Whether z·sigmoid(z) of the result z is wanted.
    pub silu: bool,
    /// Of x, gain, bias and y.
    pub dtype: DType,
    /// \[samples, pixels, channels\].
    pub x: Address,
    /// \[channels\].
    pub gain: Address,
    /// \[channels\].
    pub bias: Address,
    /// \[samples, pixels, channels\]; may be x.
    pub y: Address,
}

/// Elements of a group up to which a block normalises it alone.
const ALONE: usize = 8192;
/// Elements of x up to which it matters little how they are read.
const FEW: usize = 1 << 18;
/// Threads of a block of three launches, and blocks that keep a GPU busy.
const THREADS: usize = 256;
const BLOCKS: usize = 2048;
/// The most threads of a block that these kernels were compiled for.
const MOST_THREADS: usize = 512;
/// Pixels that a thread reads before it computes.
const BATCH: usize = 4;

/// How three launches cut a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    /// Threads along channels and along pixels.
    block: [usize; 2],
    /// Pixels.
    chunk: usize,
    /// Channels.
    slab: usize,
}

impl GroupNorm {
    /// The launches: one where a block can well have a group, else three.
    ///
    /// # Errors
    ///
    /// Integers; an extent of 2^31 or more; groups that do not divide the channels.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let width = self.check()?;
        if self.samples * self.pixels * self.channels == 0 {
            return Ok(Launches::default());
        }
        let elements = self.pixels * width;
        let sectors = width * self.dtype.size() >= 32 || self.samples * self.groups * elements <= FEW;
        match self.cut() {
            Some(cut) if elements > ALONE || !sectors => self.three(cut),
            _ => self.one(),
        }
    }

    /// Both ways, where both exist: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`GroupNorm::launches`].
    pub fn variants(&self) -> Result<Vec<Launches>, KernelError> {
        self.check()?;
        let three = self.cut().map(|cut| self.three(cut));
        [self.one()].into_iter().chain(three).collect()
    }

    /// Channels of a group.
    fn check(&self) -> Result<usize, KernelError> {
        if self.groups == 0 {
            return Err(KernelError::Empty { what: "the number of groups of a group norm" });
        }
        extent("the number of channels of a group norm", self.channels)?;
        extent("the number of pixels of a group norm", self.pixels)?;
        extent("the number of groups of a group norm", self.samples.saturating_mul(self.groups))?;
        let width = self.channels / self.groups;
        extent("the number of elements of a group", self.pixels.saturating_mul(width))?;
        Ok(width)
    }

    fn sizes(&self) -> [Argument; 3] {
        [self.pixels, self.channels, self.groups].map(|n| Argument::U32(n as u32))
    }

    fn one(&self) -> Result<Launches, KernelError> {
        let elements = self.pixels * (self.channels / self.groups);
        let threads = (elements.div_ceil(8)).clamp(32, 1024).next_multiple_of(32) as u32;
        let mut arguments: Vec<Argument> = [self.x, self.gain, self.bias, self.y].map(Argument::Pointer).into();
        arguments.extend(self.sizes());
        arguments.push(Argument::F32(self.eps));
        let launch = Launch {
            name: self.name(),
            code: Code::Shipped("group_norm_silu"),
            function: function(self.name(), self.dtype)?,
            grid: [(self.samples * self.groups) as u32, 1, 1],
            block: [threads, 1, 1],
            shared: 0,
            arguments,
        };
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }

    const fn name(&self) -> &'static str {
        if self.silu { "group_norm_silu" } else { "group_norm" }
    }

    fn three(&self, cut: Cut) -> Result<Launches, KernelError> {
        let Cut { block: [across, along], chunk, slab } = cut;
        let groups = self.samples * self.groups;
        let chunks = self.pixels.div_ceil(chunk);
        let blocks = at_most("the number of blocks of a group norm", self.samples * chunks, (1 << 31) - 1)?;
        let statistics = Address::start(Home::Scratch(0));
        let partial = statistics.plus(16 * groups);
        let [cut_pixels, cut_channels] = [chunk, slab].map(|n| Argument::U32(n as u32));
        let launch = |name, suffix: &'static str, from: &[Address], rest: &[Argument]| {
            let pointers = from.iter().map(|&at| Argument::Pointer(at));
            Ok(Launch {
                name,
                code: Code::Shipped("group_norm"),
                function: function(suffix, self.dtype)?,
                grid: [blocks, self.channels.div_ceil(slab) as u32, 1],
                block: [across as u32, along as u32, 1],
                shared: 0,
                arguments: pointers.chain(self.sizes()).chain([cut_pixels]).chain(rest.iter().copied()).collect(),
            })
        };
        let shared = (8 * across * along * lanes(self.dtype)) as u32;
        let moments = launch("group_norm moments", "group_norm_moments", &[self.x, partial], &[cut_channels])?;
        let combine = launch(
            "group_norm combine",
            "group_norm_combine",
            &[self.x, partial, statistics],
            &[Argument::F32(self.eps)],
        )?;
        let threads = chunks.clamp(32, 256).next_multiple_of(32) as u32;
        let apply = launch(
            self.name(),
            if self.silu { "group_norm_apply_silu" } else { "group_norm_apply" },
            &[self.x, self.gain, self.bias, statistics, self.y],
            &[cut_channels],
        )?;
        let combine = Launch { grid: [groups as u32, 1, 1], block: [threads, 1, 1], ..combine };
        Ok(Launches {
            launches: vec![Launch { shared, ..moments }, combine, apply],
            scratch: 16 * groups + 8 * groups * chunks,
        })
    }

    /// `None` where a group has more channels than a block can have.
    fn cut(&self) -> Option<Cut> {
        let (lanes, width) = (lanes(self.dtype), self.channels / self.groups);
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

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm([samples, pixels, channels, groups]: [usize; 4], dtype: DType) -> GroupNorm {
        let at = Address::start(Home::Arena(0));
        let (eps, silu) = (1e-5, true);
        GroupNorm { samples, pixels, channels, groups, eps, silu, dtype, x: at, gain: at, bias: at, y: at }
    }

    fn cut(extents: [usize; 4], dtype: DType) -> ([usize; 2], usize, usize) {
        let Cut { block, chunk, slab } = norm(extents, dtype).cut().unwrap();
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
        assert_eq!(norm([1, 9, 5000, 1], DType::F16).cut(), None);
    }

    #[test]
    fn small_groups_take_one_launch_and_large_ones_three() {
        let count = |extents| norm(extents, DType::F16).launches().unwrap().launches.len();
        assert_eq!(count([2, 64, 1280, 32]), 1);
        assert_eq!(count([2, 4096, 320, 32]), 3);
        assert_eq!(count([64, 1024, 64, 32]), 3);
        assert_eq!(count([1, 9, 5000, 1]), 1);
        assert_eq!(count([0, 9, 32, 1]), 0);
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        let error = |extents, dtype| norm(extents, dtype).launches().unwrap_err().to_string();
        assert!(error([1, 1, 4, 0], DType::F32).contains("number of groups of a group norm is 0"));
        assert!(error([1, 1, 4, 2], DType::U32).contains("U32"));
        assert!(error([1, 1 << 31, 4, 2], DType::F32).contains("number of pixels"));
    }
}
