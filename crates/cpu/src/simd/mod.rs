//! Vector instructions: the only place that names them.
//!
//! A [`Level`] is an instruction set that this machine has. Loops over
//! [`Vector`]s are written once, as an [`Op`], and compiled for every level;
//! the matrix kernels' register tile is [`Level::tile`], and
//! [`Level::strip`] runs tiles one below the other.
#![allow(unsafe_code)] // intrinsics, and raw pointers to overlapping tiles

mod functions;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
mod pack;
mod portable;
mod tile;
#[cfg(target_feature = "simd128")]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use functions::{exp, silu, weight};
pub(crate) use pack::{Narrow, Pack, Panels, Source};
pub(crate) use tile::{Ahead, Base, Left, MAX_ROWS, Segment, Strip, Tile};

use half::f16;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
use neon::Neon;
use portable::Portable;
#[cfg(target_feature = "simd128")]
use wasm::Simd128;
#[cfg(target_arch = "x86_64")]
use x86::{Avx2, Avx512};

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Whatever the compilation target has.
    Portable,
    /// NEON, which all of aarch64 have.
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Neon,
    /// SIMD128 of WebAssembly; where the compilation target has `relaxed-simd`, with its multiply-add.
    #[cfg(target_feature = "simd128")]
    Simd128,
    /// x86-64 with AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// The same with AVX-512 BF16: products of pairs.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

/// An expression of the vectors of a level.
macro_rules! each {
    ($level:expr, $vector:ident => $value:expr) => {
        match $level {
            Level::Portable => {
                type $vector = Portable;
                $value
            }
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Level::Neon => {
                type $vector = Neon;
                $value
            }
            #[cfg(target_feature = "simd128")]
            Level::Simd128 => {
                type $vector = Simd128;
                $value
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                type $vector = Avx2;
                $value
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Bf16 => {
                type $vector = Avx512;
                $value
            }
        }
    };
}

impl Level {
    /// The fastest level of this machine.
    pub fn detect() -> Self {
        let mut best = Self::Portable;
        Self::available().filter(|level| level.pays()).for_each(|level| best = level);
        best
    }

    /// Whether the level is faster than those before it. AMD's processors multiply pairs at the rate of singles;
    /// on an Emerald Rapids of Intel, pairs were counted at a quarter of that rate.
    fn pays(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Avx512Bf16 {
            return x86::is_amd();
        }
        let _ = self;
        true
    }

    /// Every level of this machine, each with more instructions than the one before. Without the feature
    /// `std`, those that the compilation target promises.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(all(target_arch = "x86_64", feature = "std"))]
        macro_rules! has {
            ($($feature:tt),*) => { $(std::is_x86_feature_detected!($feature))&&* };
        }
        #[cfg(all(target_arch = "x86_64", not(feature = "std")))]
        macro_rules! has {
            ($($feature:tt),*) => { cfg!(all($(target_feature = $feature),*)) };
        }
        #[cfg(target_arch = "x86_64")]
        let levels = {
            let avx2 = has!("avx2", "fma", "f16c");
            let avx512 = avx2 && has!("avx512f", "avx512bw", "avx512dq", "avx512vl");
            let pairs = avx512 && has!("avx512bf16");
            [
                Some(Self::Portable),
                avx2.then_some(Self::Avx2),
                avx512.then_some(Self::Avx512),
                pairs.then_some(Self::Avx512Bf16),
            ]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let levels = [
            Some(Self::Portable),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Some(Self::Neon),
            #[cfg(target_feature = "simd128")]
            Some(Self::Simd128),
        ];
        levels.into_iter().flatten()
    }

    /// Elements of one vector.
    pub fn lanes(self) -> usize {
        each!(self, V => V::LANES)
    }

    /// The most rows of a tile.
    pub fn tile_rows(self) -> usize {
        each!(self, V => V::ROWS)
    }

    /// The most vectors of a tile's row.
    pub fn tile_vectors(self) -> usize {
        each!(self, V => V::VECTORS)
    }

    /// Whether the machine multiplies pairs of bfloat16 at once.
    pub fn has_pairs(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => true,
            _ => false,
        }
    }

    /// Runs an operation compiled for this level.
    pub fn run<O: Op>(self, op: O) -> O::Output {
        match self {
            Self::Portable => run_portable(op),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Self::Neon => op.run::<Neon>(),
            #[cfg(target_feature = "simd128")]
            Self::Simd128 => op.run::<Simd128>(),
            // SAFETY: such a level exists only where the machine has it.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::run_avx2(op) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx512Bf16 => unsafe { x86::run_avx512(op) },
        }
    }
}

/// Asks for `len` elements to be in the second-level cache soon, where the instruction set has a word for it.
#[inline(always)]
fn prefetch(from: *const f32, len: usize) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(from, len);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, len);
}

/// One copy for all that runs it, as of the other levels.
#[inline(never)]
fn run_portable<O: Op>(op: O) -> O::Output {
    op.run::<Portable>()
}

/// A computation to be compiled for every level; mark `run` and all that it
/// calls `#[inline(always)]`.
pub(crate) trait Op {
    type Output;
    fn run<V: Vector>(self) -> Self::Output;
}

/// Sign, exponent and leading fraction: a bfloat16 as the upper half of a single.
pub(crate) const UPPER: u32 = 0xffff_0000;

/// The upper halves of two numbers as one word.
#[inline(always)]
fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(low.to_bits() >> 16 | high.to_bits() & UPPER)
}

/// The most lanes of any vector.
pub(crate) const MAX_LANES: usize = 16;

/// `LANES` numbers, operated on together.
///
/// Values exist only inside [`Level::run`] and the tiles, where the
/// instructions are known to be there.
pub(crate) trait Vector: Copy {
    const LANES: usize;
    /// The most rows of a register tile.
    const ROWS: usize;
    /// The most vectors of a row of a register tile.
    const VECTORS: usize;

    fn splat(value: f32) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// The larger; `other` if one is NaN.
    fn max(self, other: Self) -> Self;
    /// The smaller; `other` if one is NaN.
    fn min(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    /// self · 2ⁿ for whole numbers −150 ≤ n ≤ 129.
    fn scale(self, n: Self) -> Self;
    /// The same of n ≤ 127, where results below the least normal number may be 0.
    #[inline(always)]
    fn scale_down(self, n: Self) -> Self {
        self.scale(n)
    }
    /// In each lane `negative` or `positive`, as the sign of `self` is.
    fn by_sign(self, negative: Self, positive: Self) -> Self;
    /// self · a + b, rounded once where the machine can.
    fn mul_add(self, a: Self, b: Self) -> Self;

    /// The lanes, then zeros.
    #[inline(always)]
    fn lanes(self) -> [f32; MAX_LANES] {
        let mut lanes = [0.0; MAX_LANES];
        // SAFETY: no vector is longer.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }

    /// Pairs of bfloat16: in each lane, the upper half of `self` below that of `other`.
    #[inline(always)]
    fn pair(self, other: Self) -> Self {
        let (low, high) = (self.lanes(), other.lanes());
        let pairs: [f32; MAX_LANES] = core::array::from_fn(|i| pair(low[i], high[i]));
        // SAFETY: no vector is longer.
        unsafe { Self::load(pairs.as_ptr()) }
    }

    /// Pairs of bfloat16: the upper halves of the lanes of `self` two by two, then of `other`.
    #[inline(always)]
    fn narrow(self, other: Self) -> Self {
        let mut lanes = [0.0; 2 * MAX_LANES];
        // SAFETY: no vector is longer.
        unsafe {
            self.store(lanes.as_mut_ptr());
            other.store(lanes.as_mut_ptr().add(Self::LANES));
        }
        let pairs: [f32; MAX_LANES] = core::array::from_fn(|i| pair(lanes[2 * i], lanes[2 * i + 1]));
        // SAFETY: as above.
        unsafe { Self::load(pairs.as_ptr()) }
    }

    /// The first `count` lanes, the others 0.
    fn first(self, count: usize) -> Self;
    /// Exchanges the lanes of `self` whose number has the bit `distance` with
    /// the lanes of `other` that many places lower.
    fn exchange(self, other: Self, distance: usize) -> (Self, Self);

    /// Exchanges rows and columns of the block in the first `LANES` vectors.
    #[inline(always)]
    fn transpose(block: &mut [Self; MAX_LANES]) {
        let mut distance = Self::LANES / 2;
        while distance > 0 {
            for i in 0..Self::LANES {
                if i & distance == 0 {
                    (block[i], block[i + distance]) = block[i].exchange(block[i + distance], distance);
                }
            }
            distance /= 2;
        }
    }

    /// All lanes together, pair by pair.
    #[inline(always)]
    fn fold(self, f: impl Fn(f32, f32) -> f32) -> f32 {
        let mut lanes = self.lanes();
        let mut half = Self::LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] = f(lanes[i], lanes[i + half]);
            }
            half /= 2;
        }
        lanes[0]
    }

    /// # Safety
    /// `LANES` elements can be read at `from`.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `LANES` elements can be written at `to`.
    unsafe fn store(self, to: *mut f32);
    /// The first `count <= LANES` elements, the others 0.
    ///
    /// # Safety
    /// `count` elements can be read at `from`.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// The first `count <= LANES` numbers of 16 bits with 5 of exponent, the others 0.
    ///
    /// # Safety
    /// `count` of them can be read at `from`, which need not be aligned.
    #[inline(always)]
    unsafe fn load_f16(from: *const u16, count: usize) -> Self {
        let mut lanes = [0.0; MAX_LANES];
        for (i, lane) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: the caller's promise.
            *lane = f16::from_bits(unsafe { from.add(i).read_unaligned() }).to_f32_const();
        }
        // SAFETY: no vector is longer.
        unsafe { Self::load(lanes.as_ptr()) }
    }
    /// The same of those with 8 bits of exponent.
    ///
    /// # Safety
    /// As [`load_f16`](Self::load_f16).
    #[inline(always)]
    unsafe fn load_bf16(from: *const u16, count: usize) -> Self {
        let mut lanes = [0.0; MAX_LANES];
        for (i, lane) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: the caller's promise.
            *lane = f32::from_bits(u32::from(unsafe { from.add(i).read_unaligned() }) << 16);
        }
        // SAFETY: no vector is longer.
        unsafe { Self::load(lanes.as_ptr()) }
    }
    /// Writes the first `count <= LANES` elements.
    ///
    /// # Safety
    /// `count` elements can be written at `to`.
    unsafe fn store_first(self, to: *mut f32, count: usize);
}
