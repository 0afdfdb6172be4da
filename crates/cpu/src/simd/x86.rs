//! AVX2 with FMA, and AVX-512.

use core::arch::x86_64::*;

use super::{Op, Vector};

/// # Safety
/// The machine has AVX2, FMA and F16C.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run_avx2<O: Op>(op: O) -> O::Output {
    op.run::<Avx2>()
}

/// # Safety
/// The machine has AVX-512 F, BW, DQ and VL.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn run_avx512<O: Op>(op: O) -> O::Output {
    op.run::<Avx512>()
}

/// Asks for the lines of `len` elements to be in the second-level cache.
#[inline(always)]
pub(super) fn prefetch(from: *const f32, len: usize) {
    const LINE: usize = 16;
    for at in (0..len).step_by(LINE) {
        // SAFETY: SSE is a part of x86-64; a prefetch reads nothing and accepts any address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(at).cast()) }
    }
}

/// Whether the processor calls itself `AuthenticAMD`.
pub(super) fn is_amd() -> bool {
    let vendor = __cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes) == [*b"Auth", *b"enti", *b"cAMD"]
}

#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256);

#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512);

/// For each distance 1, 2, 4, 8 of [`Vector::exchange`], where the lanes of
/// its results come from: 0..16 the first vector, 16..32 the other.
const EXCHANGES: [[[i32; 16]; 2]; 4] = {
    let mut exchanges = [[[0; 16]; 2]; 4];
    let mut i = 0;
    while i < 64 {
        let (which, lane) = (i / 16, i as i32 % 16);
        let distance = 1 << which;
        let (low, high) =
            if lane & distance == 0 { (lane, lane + distance) } else { (16 + lane - distance, 16 + lane) };
        exchanges[which][0][lane as usize] = low;
        exchanges[which][1][lane as usize] = high;
        i += 1;
    }
    exchanges
};

/// The upper half of each lane, of 32 short integers.
const ODD: u32 = 0xaaaa_aaaa;

/// Where the upper halves of the lanes of two vectors stand.
const UPPER_HALVES: [u16; 32] = {
    let mut places = [0; 32];
    let mut i = 0;
    while i < 32 {
        places[i] = 2 * i as u16 + 1;
        i += 1;
    }
    places
};

impl Avx2 {
    /// 2ⁿ for −126 ≤ n ≤ 127, and 0 for −127.
    #[inline(always)]
    fn pow2(n: __m256i) -> __m256 {
        // SAFETY: see `vector`.
        unsafe {
            let biased = _mm256_add_epi32(n, _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        }
    }

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
    /// sum + the products of the pairs of bfloat16 in the lanes, one after the other, on a machine with AVX-512 BF16.
    /// Subnormal factors and sums count as 0.
    #[inline(always)]
    pub(super) fn add_pairs(self, other: Self, sum: Self) -> Self {
        // SAFETY: see `vector`; 32 bfloat16 have the bits of 16 singles.
        unsafe {
            let halves = |x: __m512| core::mem::transmute::<__m512, __m512bh>(x);
            Self(_mm512_dpbf16_ps(sum.0, halves(self.0), halves(other.0)))
        }
    }

    /// The first `count` lanes.
    #[inline(always)]
    fn mask(count: usize) -> __mmask16 {
        ((1u32 << count) - 1) as __mmask16
    }
}

/// The methods of [`Vector`] that are one instruction each.
macro_rules! vector {
    ($splat:ident $add:ident $sub:ident $mul:ident $div:ident $max:ident $min:ident $sqrt:ident $fma:ident $load:ident $store:ident) => {
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
        fn div(self, other: Self) -> Self {
            Self(unsafe { $div(self.0, other.0) })
        }

        #[inline(always)]
        fn sqrt(self) -> Self {
            Self(unsafe { $sqrt(self.0) })
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(unsafe { $max(self.0, other.0) })
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(unsafe { $min(self.0, other.0) })
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
    const ROWS: usize = 6;
    const VECTORS: usize = 2;

    vector!(_mm256_set1_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps
        _mm256_max_ps _mm256_min_ps _mm256_sqrt_ps _mm256_fmadd_ps _mm256_loadu_ps _mm256_storeu_ps);

    #[inline(always)]
    fn scale(self, n: Self) -> Self {
        // SAFETY: see `vector`.
        unsafe {
            // In two steps, as 2ⁿ alone may underflow.
            let n = _mm256_cvtps_epi32(n.0);
            let half = _mm256_srai_epi32::<1>(n);
            Self(_mm256_mul_ps(_mm256_mul_ps(self.0, Self::pow2(half)), Self::pow2(_mm256_sub_epi32(n, half))))
        }
    }

    #[inline(always)]
    fn scale_down(self, n: Self) -> Self {
        // SAFETY: see `vector`.
        unsafe {
            let n = _mm256_max_epi32(_mm256_cvtps_epi32(n.0), _mm256_set1_epi32(-127));
            Self(_mm256_mul_ps(self.0, Self::pow2(n)))
        }
    }

    #[inline(always)]
    fn by_sign(self, negative: Self, positive: Self) -> Self {
        // SAFETY: see `vector`.
        Self(unsafe { _mm256_blendv_ps(positive.0, negative.0, self.0) })
    }

    #[inline(always)]
    fn first(self, count: usize) -> Self {
        // SAFETY: see `vector`.
        Self(unsafe { _mm256_and_ps(self.0, _mm256_castsi256_ps(Self::mask(count))) })
    }

    #[inline(always)]
    fn exchange(self, other: Self, distance: usize) -> (Self, Self) {
        let (a, b) = (self.0, other.0);
        // SAFETY: see `vector`.
        unsafe {
            let (low, high) = match distance {
                4 => (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)),
                2 => (_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b)),
                _ => (
                    _mm256_blend_ps::<0xaa>(a, _mm256_moveldup_ps(b)),
                    _mm256_blend_ps::<0xaa>(_mm256_movehdup_ps(a), b),
                ),
            };
            (Self(low), Self(high))
        }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: masked lanes are not accessed.
        unsafe {
            if count == Self::LANES { Self::load(from) } else { Self(_mm256_maskload_ps(from, Self::mask(count))) }
        }
    }

    /// A masked store takes AMD's processors before Zen 5 a dozen cycles or more: whole vectors go without.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: masked lanes are not accessed.
        unsafe {
            if count == Self::LANES { self.store(to) } else { _mm256_maskstore_ps(to, Self::mask(count), self.0) }
        }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16, count: usize) -> Self {
        let mut halves = [0u16; 8];
        // SAFETY: see `vector`; the first `count` numbers are copied, and all eight are whole.
        unsafe {
            if count == 8 {
                return Self(_mm256_cvtph_ps(_mm_loadu_si128(from.cast())));
            }
            core::ptr::copy_nonoverlapping(from.cast::<u8>(), halves.as_mut_ptr().cast::<u8>(), 2 * count);
            Self(_mm256_cvtph_ps(_mm_loadu_si128(halves.as_ptr().cast())))
        }
    }
}

impl Vector for Avx512 {
    const LANES: usize = 16;
    const ROWS: usize = 8;
    const VECTORS: usize = 3;

    vector!(_mm512_set1_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps
        _mm512_max_ps _mm512_min_ps _mm512_sqrt_ps _mm512_fmadd_ps _mm512_loadu_ps _mm512_storeu_ps);

    #[inline(always)]
    fn scale(self, n: Self) -> Self {
        // SAFETY: see `vector`.
        Self(unsafe { _mm512_scalef_ps(self.0, n.0) })
    }

    #[inline(always)]
    fn by_sign(self, negative: Self, positive: Self) -> Self {
        // SAFETY: see `vector`.
        Self(unsafe {
            let signs = _mm512_movepi32_mask(_mm512_castps_si512(self.0));
            _mm512_mask_blend_ps(signs, positive.0, negative.0)
        })
    }

    #[inline(always)]
    fn first(self, count: usize) -> Self {
        // SAFETY: see `vector`.
        Self(unsafe { _mm512_maskz_mov_ps(Self::mask(count), self.0) })
    }

    #[inline(always)]
    fn exchange(self, other: Self, distance: usize) -> (Self, Self) {
        let [low, high] = EXCHANGES[distance.ilog2() as usize];
        // SAFETY: see `vector`; an array of 16 integers is as large as a vector.
        unsafe {
            let low = _mm512_loadu_si512(low.as_ptr().cast());
            let high = _mm512_loadu_si512(high.as_ptr().cast());
            (Self(_mm512_permutex2var_ps(self.0, low, other.0)), Self(_mm512_permutex2var_ps(self.0, high, other.0)))
        }
    }

    #[inline(always)]
    fn pair(self, other: Self) -> Self {
        // SAFETY: see `vector`.
        Self(unsafe {
            let (low, high) = (_mm512_castps_si512(self.0), _mm512_castps_si512(other.0));
            _mm512_castsi512_ps(_mm512_mask_blend_epi16(ODD, _mm512_srli_epi32::<16>(low), high))
        })
    }

    #[inline(always)]
    fn narrow(self, other: Self) -> Self {
        // SAFETY: see `vector`; an array of 32 short integers is as large as a vector.
        Self(unsafe {
            let (low, high) = (_mm512_castps_si512(self.0), _mm512_castps_si512(other.0));
            let upper = _mm512_loadu_si512(UPPER_HALVES.as_ptr().cast());
            _mm512_castsi512_ps(_mm512_permutex2var_epi16(low, upper, high))
        })
    }

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

    #[inline(always)]
    unsafe fn load_f16(from: *const u16, count: usize) -> Self {
        // SAFETY: see `vector`; masked lanes are not accessed.
        Self(unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(Self::mask(count), from.cast())) })
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16, count: usize) -> Self {
        // SAFETY: as above.
        unsafe {
            let halves = _mm256_maskz_loadu_epi16(Self::mask(count), from.cast());
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves))))
        }
    }
}
