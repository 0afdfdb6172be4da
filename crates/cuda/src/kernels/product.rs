//! What matrix products and convolutions have in common: types of factors, tile shapes, and how many blocks share a
//! sum.

use thiserror::Error;
use yuragi_graph::DType;

use crate::launch::{Address, Argument, Code, Home, Launch};

/// The device, as far as the choice of kernels depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Streaming multiprocessors, at least 1.
    pub multiprocessors: usize,
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

    /// Products that a multiprocessor adds in a cycle at best.
    const fn rate(self) -> u64 {
        match self {
            Factors::F32 => 128,
            Factors::Tf32 => 512,
            Factors::F16 | Factors::BF16 => 1024,
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

/// A tile shape that kernels exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// The end of the kernel's name.
    pub name: &'static str,
    /// Rows and columns of the result that a block computes, and its step along the sums.
    pub extents: [usize; 3],
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// What a multiprocessor full of blocks reaches of [`Factors::rate`], in per cent.
    pub efficiency: u64,
    /// Blocks that a multiprocessor holds.
    pub resident: u64,
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

/// The choice that should take the least time, by a simple model of the machine: blocks run in turns, a block alone on
/// its multiprocessor reaches less, and sums that are shared go through memory.
pub(super) fn choose(machine: Machine, factors: Factors, tiles: &[Tile], sizes: Sizes) -> Option<Choice> {
    const SHARES: [usize; 8] = [1, 2, 3, 4, 6, 8, 16, 32];
    let multiprocessors = machine.multiprocessors.max(1) as u64;
    let cycles = |choice: &Choice| {
        let Choice { tile, shares } = *choice;
        let [m, n, k] = tile.extents;
        let blocks = (sizes.batch * sizes.m.div_ceil(m) * sizes.n.div_ceil(n) * shares) as u64;
        let steps = sizes.k.div_ceil(k).div_ceil(shares) as u64;
        let step = (m * n * k) as u64 * 100 / (factors.rate() * tile.efficiency);
        let busy = blocks.div_ceil(multiprocessors);
        let (turns, rest) = (busy / tile.resident, busy % tile.resident);
        // The last turn's blocks hide each other's waiting less.
        let last = if rest == 0 { 0 } else { (rest * step).max(step * tile.resident * 7 / 10) };
        let multiply = steps * (turns * tile.resident * step + last) + (turns + 1) * START;
        let sums = (sizes.batch * sizes.m * sizes.n) as u64;
        let add = if shares == 1 { 0 } else { LAUNCH + sums * (8 * shares as u64 + 4) / BYTES / multiprocessors };
        multiply + add
    };
    /// Cycles until a block multiplies, and to store what it has.
    const START: u64 = 1500;
    /// Cycles that one more launch takes.
    const LAUNCH: u64 = 2500;
    /// Bytes that a multiprocessor moves in a cycle.
    const BYTES: u64 = 16;
    let choices = tiles.iter().flat_map(|&tile| SHARES.map(|shares| Choice { tile, shares }));
    // A share has at least four steps.
    let sensible = choices.filter(|c| c.shares == 1 || sizes.k.div_ceil(c.tile.extents[2]) >= 4 * c.shares);
    sensible.min_by_key(cycles)
}

/// Where the shares of sums are kept until they are added.
pub(super) const SHARES: Address = Address::start(Home::Scratch(0));

/// Adds the shares of `count` sums in rows of `columns`.
pub(super) fn sum_shares(
    result: (Address, DType),
    bias: Option<Address>,
    count: usize,
    columns: u32,
    shares: usize,
) -> Launch {
    const THREADS: u32 = 256;
    let dtype = match result.1 {
        DType::F16 => "f16",
        DType::BF16 => "bf16",
        DType::F32 | DType::I32 | DType::U32 => "f32",
    };
    Launch {
        name: "sum_shares",
        code: Code::Shipped("shares"),
        function: format!("sum_shares_{dtype}"),
        grid: [count.div_ceil(THREADS as usize).min(1 << 15) as u32, 1, 1],
        block: [THREADS, 1, 1],
        shared: 0,
        arguments: vec![
            Argument::Pointer(SHARES),
            Argument::Pointer(result.0),
            bias.map_or(Argument::Null, Argument::Pointer),
            Argument::U64(count as u64),
            Argument::U32(columns),
            Argument::U32(shares as u32),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TILES: [Tile; 2] = [
        Tile { name: "128x128", extents: [128, 128, 16], threads: 256, shared: 0, efficiency: 70, resident: 2 },
        Tile { name: "64x64", extents: [64, 64, 16], threads: 128, shared: 0, efficiency: 50, resident: 4 },
    ];

    fn chosen(m: usize, n: usize, k: usize, batch: usize) -> (&'static str, usize) {
        let machine = Machine { multiprocessors: 132 };
        let choice = choose(machine, Factors::F32, &TILES, Sizes { batch, m, n, k }).unwrap();
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
    fn extents_beyond_the_kernels_are_refused() {
        assert_eq!(extent("m", 5), Ok(5));
        let error = extent("the product's m", 1 << 29).unwrap_err();
        assert_eq!(error.to_string(), "the product's m is 536870912; at most 536870911 is possible");
        let error = check_result(Factors::F16, DType::BF16).unwrap_err();
        assert_eq!(error.to_string(), "a product of F16 cannot be stored as BF16");
    }
}
