//! SIMD128 of WebAssembly.

use core::arch::wasm32::*;

use super::Vector;

#[derive(Clone, Copy)]
pub(super) struct Simd128(v128);

impl Simd128 {
    /// 2ⁿ for −126 ≤ n ≤ 127.
    #[inline(always)]
    fn pow2(n: v128) -> v128 {
        i32x4_shl(i32x4_add(n, i32x4_splat(127)), 23)
    }

    /// The first `count <= 4` numbers in the low halves of the lanes, the others 0.
    ///
    /// # Safety
    /// `count` of them can be read at `from`, which need not be aligned.
    #[inline(always)]
    unsafe fn short(from: *const u16, count: usize) -> v128 {
        if count == 4 {
            // SAFETY: the caller's promise.
            return unsafe { u32x4_load_extend_u16x4(from) };
        }
        let mut numbers = [0; 4];
        for (i, number) in numbers.iter_mut().enumerate().take(count) {
            // SAFETY: the caller's promise.
            *number = u32::from(unsafe { from.add(i).read_unaligned() });
        }
        u32x4(numbers[0], numbers[1], numbers[2], numbers[3])
    }
}

impl Vector for Simd128 {
    const LANES: usize = 4;
    // Engines on x86-64 have 15 registers for them: 8 sums, two vectors, an element and a product.
    const ROWS: usize = 4;
    const VECTORS: usize = 2;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(f32x4_splat(value))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(f32x4_sub(self.0, other.0))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(f32x4_mul(self.0, other.0))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(f32x4_div(self.0, other.0))
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(f32x4_sqrt(self.0))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // The first operand, unless the second is larger.
        Self(f32x4_pmax(other.0, self.0))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(f32x4_pmin(other.0, self.0))
    }

    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self.mul(a).add(b)
    }

    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Self(f32x4_relaxed_madd(self.0, a.0, b.0))
    }

    #[inline(always)]
    fn scale(self, n: Self) -> Self {
        // In two steps, as 2ⁿ alone may underflow.
        let n = i32x4_trunc_sat_f32x4(n.0);
        let half = i32x4_shr(n, 1);
        Self(f32x4_mul(f32x4_mul(self.0, Self::pow2(half)), Self::pow2(i32x4_sub(n, half))))
    }

    #[inline(always)]
    fn by_sign(self, negative: Self, positive: Self) -> Self {
        Self(v128_bitselect(negative.0, positive.0, i32x4_shr(self.0, 31)))
    }

    #[inline(always)]
    fn first(self, count: usize) -> Self {
        Self(v128_and(self.0, u32x4_lt(u32x4(0, 1, 2, 3), u32x4_splat(count as u32))))
    }

    #[inline(always)]
    fn exchange(self, other: Self, distance: usize) -> (Self, Self) {
        let (a, b) = (self.0, other.0);
        if distance == 2 {
            (Self(i64x2_shuffle::<0, 2>(a, b)), Self(i64x2_shuffle::<1, 3>(a, b)))
        } else {
            (Self(i32x4_shuffle::<0, 4, 2, 6>(a, b)), Self(i32x4_shuffle::<1, 5, 3, 7>(a, b)))
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; the instruction needs no alignment.
        Self(unsafe { v128_load(from.cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as in `load`.
        unsafe { v128_store(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe {
            match count {
                0 => f32x4_splat(0.0),
                1 => v128_load32_zero(from.cast()),
                2 => v128_load64_zero(from.cast()),
                3 => v128_load32_lane::<2>(v128_load64_zero(from.cast()), from.add(2).cast()),
                _ => v128_load(from.cast()),
            }
        })
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match count {
                0 => {}
                1 => v128_store32_lane::<0>(self.0, to.cast()),
                2 => v128_store64_lane::<0>(self.0, to.cast()),
                3 => {
                    v128_store64_lane::<0>(self.0, to.cast());
                    v128_store32_lane::<2>(self.0, to.add(2).cast());
                }
                _ => v128_store(to.cast(), self.0),
            }
        }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16, count: usize) -> Self {
        /// 2¹¹², the ratio of the types' least exponents.
        const REBASED: f32 = f32::from_bits((112 + 127) << 23);
        // SAFETY: the caller's promise.
        let bits = unsafe { Self::short(from, count) };
        let size = v128_and(bits, u32x4_splat(0x7fff));
        let finite = f32x4_mul(u32x4_shl(size, 13), f32x4_splat(REBASED));
        // ∞ and NaN have the largest exponent of either type.
        let special = v128_and(u32x4_gt(size, u32x4_splat(0x7bff)), u32x4_splat(0x7f80_0000));
        let sign = v128_and(u32x4_shl(bits, 16), u32x4_splat(0x8000_0000));
        Self(v128_or(v128_or(finite, special), sign))
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16, count: usize) -> Self {
        // SAFETY: the caller's promise.
        Self(u32x4_shl(unsafe { Self::short(from, count) }, 16))
    }
}
