//! AVX2 with FMA, and AVX-512.

use core::arch::x86_64::*;

use super::{MAX_LANES, Op, Vector};

/// # Safety
/// The machine has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run_avx2<O: Op>(op: O) -> O::Output {
    op.run::<Avx2>()
}

/// # Safety
/// The machine has AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn run_avx512<O: Op>(op: O) -> O::Output {
    op.run::<Avx512>()
}

#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256);

#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512);

impl Avx2 {
    /// All bits set in the first `count` lanes.
    #[inline(always)]
    fn mask(count: usize) -> __m256i {
        // SAFETY: see `vector`.
        unsafe {
            let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), lane)
        }
    }
}

impl Avx512 {
    /// The first `count` lanes.
    #[inline(always)]
    fn mask(count: usize) -> __mmask16 {
        ((1u32 << count) - 1) as __mmask16
    }
}

/// The methods of [`Vector`] that are one instruction each.
macro_rules! vector {
    ($splat:ident $add:ident $sub:ident $mul:ident $max:ident $fma:ident $load:ident $store:ident) => {
        // SAFETY (all): values of this type live only where the level was
        // chosen, so the machine has these instructions; pointers are as the
        // trait's callers promise.
        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { $splat(value) })
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { $add(self.0, other.0) })
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(unsafe { $sub(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(unsafe { $mul(self.0, other.0) })
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(unsafe { $max(self.0, other.0) })
        }

        #[inline(always)]
        fn mul_add(self, a: Self, b: Self) -> Self {
            Self(unsafe { $fma(self.0, a.0, b.0) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { $load(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { $store(to, self.0) }
        }
    };
}

impl Vector for Avx2 {
    const LANES: usize = 8;

    vector!(_mm256_set1_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_max_ps
        _mm256_fmadd_ps _mm256_loadu_ps _mm256_storeu_ps);

    #[inline(always)]
    fn first(self, count: usize) -> Self {
        // SAFETY: see `vector`.
        Self(unsafe { _mm256_and_ps(self.0, _mm256_castsi256_ps(Self::mask(count))) })
    }

    #[inline(always)]
    fn transpose(block: &mut [Self; MAX_LANES]) {
        // SAFETY: see `vector`.
        unsafe {
            exchange(block, 8, 1, |a, b| (_mm256_unpacklo_ps(a.0, b.0), _mm256_unpackhi_ps(a.0, b.0)));
        }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: masked lanes are not accessed.
        Self(unsafe { _mm256_maskload_ps(from, Self::mask(count)) })
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: masked lanes are not accessed.
        unsafe { _mm256_maskstore_ps(to, Self::mask(count), self.0) }
    }
}

impl Vector for Avx512 {
    const LANES: usize = 16;

    vector!(_mm512_set1_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_max_ps
        _mm512_fmadd_ps _mm512_loadu_ps _mm512_storeu_ps);

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: masked lanes are not accessed.
        Self(unsafe { _mm512_maskz_loadu_ps(Self::mask(count), from) })
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: masked lanes are not accessed.
        unsafe { _mm512_mask_storeu_ps(to, Self::mask(count), self.0) }
    }
}
