//! What matrix products and convolutions have in common: types of factors, tile shapes, and how many blocks share a
//! sum.

use std::fmt;

use thiserror::Error;
use yuragi_graph::DType;

use crate::launch::{Address, Argument, Code, Home, Launch};

/// The device, as far as the choice of kernels depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Streaming multiprocessors, at least 1.
    pub multiprocessors: usize,
    /// Whether it runs the kernels for sm_90a: compute capability 9.0.
    pub hopper: bool,
}

impl Machine {
    /// One that runs all kernels.
    pub(super) const ABLE: Machine = Machine { multiprocessors: 1, hopper: true };
}

/// How a product's factors are stored and multiplied. Sums are always of single precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Factors {
    /// Single precision, by fused multiply-add.
    F32,
    /// Single precision, rounded to 11 bits for tensor cores.
    Tf32,
    /// Half precision, on tensor cores.
    F16,
    /// The upper half of single precision, on tensor cores.
    BF16,
}

impl Factors {
    /// Every kind.
    pub const ALL: [Factors; 4] = [Factors::F32, Factors::Tf32, Factors::F16, Factors::BF16];

    /// The kind for an element type that is multiplied without rounding; `None` for integers.
    pub const fn exact(dtype: DType) -> Option<Factors> {
        match dtype {
            DType::F32 => Some(Factors::F32),
            DType::F16 => Some(Factors::F16),
            DType::BF16 => Some(Factors::BF16),
            DType::I32 | DType::U32 => None,
        }
    }

    /// The type of the factors in memory.
    pub const fn dtype(self) -> DType {
        match self {
            Factors::F32 | Factors::Tf32 => DType::F32,
            Factors::F16 => DType::F16,
            Factors::BF16 => DType::BF16,
        }
    }

    /// The part of a kernel's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Factors::F32 => "f32",
            Factors::Tf32 => "tf32",
            Factors::F16 => "f16",
            Factors::BF16 => "bf16",
        }
    }
}

/// Why there is no kernel for a product.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProductError {
    /// An extent that the kernels cannot count.
    #[error("{what} is {extent}; at most {most} is possible")]
    TooLarge {
        /// Which.
        what: &'static str,
        /// Its value.
        extent: usize,
        /// The largest possible.
        most: usize,
    },
    /// A kernel that is empty or exceeds the picture, or a stride of 0.
    #[error("a window of {kernel:?} pixels does not move within a padded picture of {picture:?}")]
    Window {
        /// Height and width of the kernel.
        kernel: [usize; 2],
        /// Height and width of the picture with its zeros.
        picture: [usize; 2],
    },
    /// A type of the result that the factors do not give.
    #[error("a product of {factors:?} cannot be stored as {result:?}")]
    Result {
        /// The factors.
        factors: Factors,
        /// The type asked for.
        result: DType,
    },
}

/// The largest extent that kernels count.
pub(super) const MOST: usize = (1 << 29) - 1;

/// The extent as a kernel takes it.
pub(super) fn extent(what: &'static str, extent: usize) -> Result<u32, ProductError> {
    match u32::try_from(extent) {
        Ok(small) if extent <= MOST => Ok(small),
        _ => Err(ProductError::TooLarge { what, extent, most: MOST }),
    }
}

/// Refuses what no kernel stores.
pub(super) fn check_result(factors: Factors, result: DType) -> Result<(), ProductError> {
    match result == DType::F32 || result == factors.dtype() {
        true => Ok(()),
        false => Err(ProductError::Result { factors, result }),
    }
}

/// How the factors of a product can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    /// One by one, from anywhere.
    Elements,
    /// In chunks of 16 bytes: rows begin at multiples of that.
    Chunks,
    /// By the hardware, in boxes of a tensor.
    Boxes,
}

/// A tile shape that kernels exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// The end of the kernel's name.
    pub name: &'static str,
    /// Rows and columns of the result that a block computes, and its step along the sums.
    pub extents: [usize; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// Products that a multiprocessor full of blocks adds in a hundred cycles.
    pub rate: u64,
    /// Blocks that a multiprocessor holds.
    pub resident: u64,
    /// How it fetches the factors. With boxes, a block stays and takes tile after tile.
    pub fetch: Fetch,
    /// Cycles from one tile to the next of a block that stays.
    pub between: u64,
}

impl Tile {
    const fn new(name: &'static str, extents: [usize; 3], threads: u32, rate: u64, resident: u64) -> Tile {
        Tile { name, extents, threads, shared: 0, rate, resident, fetch: Fetch::Elements, between: 0 }
    }

    const fn chunks(self, shared: u32) -> Tile {
        Tile { shared, fetch: Fetch::Chunks, ..self }
    }

    const fn boxes(self, shared: u32, between: u64) -> Tile {
        Tile { shared, fetch: Fetch::Boxes, between, ..self }
    }

    const fn shared(self, shared: u32) -> Tile {
        Tile { shared, ..self }
    }
}

/// By fused multiply-add.
const F32: [Tile; 2] =
    [Tile::new("128x128", [128, 128, 16], 256, 8_960, 2), Tile::new("64x64", [64, 64, 16], 128, 6_400, 4)];

/// Of factors rounded to 11 bits.
const TF32: [Tile; 2] =
    [Tile::new("128x128", [128, 128, 16], 256, 25_600, 2), Tile::new("64x64", [64, 64, 16], 128, 15_360, 4)];

/// Of 16-bit factors.
const HALF: [Tile; 8] = [
    Tile::new("wgmma_128x256", [128, 256, 64], 384, 160_000, 1).boxes(229_456, 1200),
    Tile::new("wgmma_128x160", [128, 160, 64], 384, 150_000, 1).boxes(196_688, 200),
    Tile::new("wgmma_128x128", [128, 128, 64], 384, 145_000, 1).boxes(229_488, 200),
    Tile::new("wgmma_64x160", [64, 160, 64], 384, 120_000, 1).boxes(229_488, 200),
    Tile::new("wgmma_64x64", [64, 64, 64], 384, 70_000, 1).boxes(163_984, 200),
    Tile::new("256x128", [256, 128, 32], 256, 81_920, 1).chunks(98_304),
    Tile::new("64x64", [64, 64, 64], 128, 51_200, 4).chunks(49_152),
    Tile::new("any_64x64", [64, 64, 64], 128, 8_192, 4).shared(49_152),
];

/// The tile shapes for factors that can be fetched in these ways.
pub(super) fn tiles(factors: Factors, ways: &[Fetch]) -> impl Iterator<Item = Tile> + Clone + '_ {
    let all: &[Tile] = match factors {
        Factors::F32 => &F32,
        Factors::Tf32 => &TF32,
        Factors::F16 | Factors::BF16 => &HALF,
    };
    all.iter().copied().filter(move |tile| ways.contains(&tile.fetch))
}

/// A kernel, and how many blocks share each sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The end of the kernel's name: its tile shape, or the columns that it takes.
    pub kernel: String,
    /// Blocks that share a sum; of attention 1.
    pub shares: usize,
}

impl Pick {
    /// The one among these that was picked.
    pub(super) fn among(&self, choices: &[Choice]) -> Option<Choice> {
        choices.iter().copied().find(|choice| choice.tile.name == self.kernel && choice.shares == self.shares)
    }
}

impl From<Choice> for Pick {
    fn from(choice: Choice) -> Pick {
        Pick { kernel: choice.tile.name.to_owned(), shares: choice.shares }
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kernel)?;
        if self.shares > 1 { write!(f, " in {} shares", self.shares) } else { Ok(()) }
    }
}

/// Sizes of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

/// A tile shape, and how many blocks share each sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub tile: Tile,
    pub shares: usize,
}

/// How many blocks may share a sum.
const SHARED: [usize; 8] = [1, 2, 3, 4, 6, 8, 16, 32];

/// Tiles of all matrices.
fn blocks(tile: &Tile, sizes: Sizes) -> u64 {
    let [m, n, _] = tile.extents;
    (sizes.batch * sizes.m.div_ceil(m) * sizes.n.div_ceil(n)) as u64
}

/// The choices among which the fastest may be: a share has at least four steps, and there are none where there are blocks
/// enough.
pub(super) fn sensible(
    machine: Machine,
    factors: Factors,
    ways: &[Fetch],
    sizes: Sizes,
) -> impl Iterator<Item = Choice> + '_ {
    let multiprocessors = machine.multiprocessors.max(1) as u64;
    let choices = tiles(factors, ways).flat_map(|tile| SHARED.map(|shares| Choice { tile, shares }));
    choices.filter(move |Choice { tile, shares }| {
        *shares == 1 || sizes.k.div_ceil(tile.extents[2]) >= 4 * shares && blocks(tile, sizes) < 2 * multiprocessors
    })
}

/// In words, how kernels for these factors can fetch them, beside one by one.
pub(super) fn fetched(factors: Factors, ways: &[Fetch]) -> &'static str {
    let is_way = |way| tiles(factors, ways).any(|tile| tile.fetch == way);
    match [Fetch::Chunks, Fetch::Boxes].map(is_way) {
        [false, false] => "",
        [true, false] => " in chunks",
        [false, true] => " in boxes",
        [true, true] => " in chunks or boxes",
    }
}

/// The choice that should take the least time, by a simple model of the machine: blocks of a multiprocessor run in turns
/// and share its rate, one alone reaches less, and sums that are shared go through memory.
pub(super) fn choose(machine: Machine, factors: Factors, ways: &[Fetch], sizes: Sizes) -> Option<Choice> {
    let multiprocessors = machine.multiprocessors.max(1) as u64;
    let cycles = |choice: &Choice| {
        let Choice { tile, shares } = *choice;
        let [m, n, k] = tile.extents;
        let blocks = blocks(&tile, sizes) * shares as u64;
        let steps = sizes.k.div_ceil(k).div_ceil(shares) as u64;
        let step = (m * n * k) as u64 * 100 / tile.rate;
        let busy = blocks.div_ceil(multiprocessors);
        let turns = busy.div_ceil(tile.resident);
        // Blocks on one multiprocessor share its rate; the last of them has nobody to hide its waiting.
        let multiply = match tile.fetch {
            Fetch::Boxes => busy * (steps * step + tile.between) + START,
            Fetch::Elements | Fetch::Chunks => steps * (busy * step + step / 3) + turns * START,
        };
        // Blocks keep their shares, and the last to come adds them all; of tiles in pieces, several are last somewhere.
        let bytes = (m * n * size_of::<f32>()) as u64;
        let last = match tile.fetch {
            Fetch::Boxes => shares.min(m.div_ceil(128) * n.div_ceil(64)),
            Fetch::Elements | Fetch::Chunks => 1,
        };
        let add = if shares == 1 { 0 } else { MEET + (busy + (shares / last) as u64) * bytes / BYTES };
        multiply + add
    };
    /// Cycles until a block multiplies, and to store what it has.
    const START: u64 = 1500;
    /// Cycles until a block knows that it is the last, and until what others have kept is there.
    const MEET: u64 = 1500;
    /// Bytes that a multiprocessor moves in a cycle, to the cache and back.
    const BYTES: u64 = 32;
    sensible(machine, factors, ways, sizes).min_by_key(cycles)
}

/// Every tile shape, alone and shared by three blocks: what a test should try. Pieces in which shares meet differ by shape.
pub(super) fn choices(factors: Factors, ways: &[Fetch]) -> impl Iterator<Item = Choice> + '_ {
    tiles(factors, ways).flat_map(|tile| [1, 3].map(|shares| Choice { tile, shares }))
}

/// Whether 16-byte chunks of elements of 16 bits can be copied from rows that begin so many elements apart.
pub(super) fn is_aligned(at: Address, steps: &[usize]) -> bool {
    at.alignment() >= 16 && steps.iter().all(|step| step % 8 == 0)
}

/// The ways to fetch factors, if in chunks and in boxes is possible.
pub(super) fn ways(chunks: bool, boxes: bool) -> Vec<Fetch> {
    let all = [(Fetch::Elements, true), (Fetch::Chunks, chunks), (Fetch::Boxes, boxes)];
    all.into_iter().filter_map(|(way, possible)| possible.then_some(way)).collect()
}

/// The argument that tells kernels for 16-bit factors the type of their result.
pub(super) fn wide(factors: Factors, result: DType) -> Option<Argument> {
    match factors {
        Factors::F32 | Factors::Tf32 => None,
        Factors::F16 | Factors::BF16 => Some(Argument::U32((result == DType::F32).into())),
    }
}

/// Where the shares of sums are kept until they are added.
pub(super) const SHARES: Address = Address::start(Home::Scratch(0));

impl Choice {
    /// What a kernel is told of the shares of `count` sums, that lie in so many tiles and from this byte on: where they
    /// are kept, counters of how many have come, and their size.
    pub fn shared(&self, count: usize, tiles: usize, first: usize) -> [Argument; 3] {
        let [m, n, _] = self.tile.extents;
        let pieces = match self.tile.fetch {
            Fetch::Boxes => m.div_ceil(16) * n.div_ceil(64),
            Fetch::Elements | Fetch::Chunks => 1,
        };
        match self.shares {
            1 => [Argument::Null, Argument::Null, Argument::U64(0)],
            _ => {
                [Argument::Pointer(SHARES.plus(first)), Argument::Counters(tiles * pieces), Argument::U64(count as u64)]
            }
        }
    }

    /// Bytes of the shares of so many sums.
    pub fn scratch(&self, count: usize) -> usize {
        if self.shares == 1 { 0 } else { self.shares * count * size_of::<f32>() }
    }
}

/// Adds partial sums, `count` in each share.
pub(super) fn sum_shares(result: Address, count: usize, shares: usize) -> Launch {
    const THREADS: u32 = 256;
    Launch {
        name: "sum_shares",
        code: Code::Shipped("shares"),
        function: "sum_shares".into(),
        grid: [count.div_ceil(THREADS as usize).min(1 << 15) as u32, 1, 1],
        block: [THREADS, 1, 1],
        shared: 0,
        arguments: vec![
            Argument::Pointer(SHARES),
            Argument::Pointer(result),
            Argument::U64(count as u64),
            Argument::U32(shares as u32),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMPERE: Machine = Machine { multiprocessors: 108, hopper: false };

    fn chosen(m: usize, n: usize, k: usize, batch: usize) -> (&'static str, usize) {
        let machine = Machine { multiprocessors: 132, hopper: false };
        let choice = choose(machine, Factors::F32, &[Fetch::Elements], Sizes { batch, m, n, k }).unwrap();
        (choice.tile.name, choice.shares)
    }

    #[test]
    fn large_products_take_large_tiles_and_no_shares() {
        assert_eq!(chosen(8192, 8192, 8192, 1), ("128x128", 1));
        assert_eq!(chosen(8192, 320, 320, 4), ("128x128", 1));
    }

    #[test]
    fn small_products_take_small_tiles() {
        assert_eq!(chosen(1, 1, 1, 1), ("64x64", 1));
        assert_eq!(chosen(256, 256, 64, 1).0, "64x64");
    }

    #[test]
    fn long_sums_of_small_results_are_shared() {
        assert!(chosen(64, 64, 1 << 16, 1).1 >= 16);
        assert!(chosen(576, 64, 1 << 14, 1).1 > 1);
        assert_eq!(chosen(64, 64, 32, 1).1, 1);
    }

    #[test]
    fn factors_of_16_bits_that_are_not_aligned_are_gathered() {
        let chunks = [Fetch::Elements, Fetch::Chunks];
        let names = |factors, ways| tiles(factors, ways).map(|tile| tile.name).collect::<Vec<_>>();
        assert_eq!(names(Factors::F16, &chunks), ["256x128", "64x64", "any_64x64"]);
        assert_eq!(names(Factors::BF16, &chunks[..1]), ["any_64x64"]);
        assert_eq!(names(Factors::F32, &chunks), ["128x128", "64x64"]);
        assert_eq!(names(Factors::F16, &[Fetch::Boxes]).len(), 5);
        let sizes = Sizes { batch: 1, m: 8, n: 8, k: 8 };
        let choice = choose(AMPERE, Factors::F16, &chunks, sizes);
        assert_eq!(choice.map(|choice| choice.tile.name), Some("64x64"));
    }

    #[test]
    fn hopper_multiplies_by_groups_of_warps() {
        let machine = Machine { multiprocessors: 132, hopper: true };
        let chosen = |m, n, k| {
            let choice =
                choose(machine, Factors::F16, &[Fetch::Chunks, Fetch::Boxes], Sizes { batch: 1, m, n, k }).unwrap();
            (choice.tile.name, choice.shares)
        };
        assert_eq!(chosen(4096, 4096, 4096), ("wgmma_128x256", 1));
        assert_eq!(chosen(8192, 2560, 320), ("wgmma_128x160", 1));
        assert_eq!(chosen(8192, 320, 320), ("wgmma_128x160", 1));
        assert_eq!(chosen(2048, 640, 640), ("wgmma_64x160", 1));
        assert_eq!(chosen(2, 1280, 320), ("wgmma_64x64", 1));
        // Too few tiles for all multiprocessors: sums are shared.
        assert!(chosen(128, 1280, 5120).1 > 1);
    }

    #[test]
    fn extents_beyond_the_kernels_are_refused() {
        assert_eq!(extent("m", 5), Ok(5));
        let error = extent("the product's m", 1 << 29).unwrap_err();
        assert_eq!(error.to_string(), "the product's m is 536870912; at most 536870911 is possible");
        let error = check_result(Factors::F16, DType::BF16).unwrap_err();
        assert_eq!(error.to_string(), "a product of F16 cannot be stored as BF16");
    }
}
