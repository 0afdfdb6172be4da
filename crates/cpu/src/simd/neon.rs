//! NEON, which every processor of aarch64 has.

use core::arch::aarch64::*;

use super::Vector;

#[derive(Clone, Copy)]
pub(super) struct Neon(float32x4_t);

impl Neon {
    /// 2ⁿ for −126 ≤ n ≤ 127.
    #[inline(always)]
    fn pow2(n: int32x4_t) -> float32x4_t {
        // SAFETY: see `Vector for Neon`.
        unsafe { vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(n, vdupq_n_s32(127)))) }
    }

    /// The first `count <= 4` numbers, the others 0.
    ///
    /// # Safety
    /// `count` of them can be read at `from`, which need not be aligned.
    #[inline(always)]
    unsafe fn short(from: *const u16, count: usize) -> uint16x4_t {
        let mut numbers = [0; 4];
        // SAFETY: the caller's promise.
        unsafe {
            if count == 4 {
                return vld1_u16(from);
            }
            for (i, number) in numbers.iter_mut().enumerate().take(count) {
                *number = from.add(i).read_unaligned();
            }
            vld1_u16(numbers.as_ptr())
        }
    }
}

// SAFETY (all): the compilation target has the instructions, and pointers are
// as the trait's callers promise.
impl Vector for Neon {
    const LANES: usize = 4;
    // 24 sums, three vectors and an element fill 28 of 32 registers.
    const ROWS: usize = 8;
    const VECTORS: usize = 3;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(unsafe { vaddq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(unsafe { vsubq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(unsafe { vmulq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(unsafe { vdivq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(unsafe { vsqrtq_f32(self.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // FMAX gives NaN for any NaN.
        Self(unsafe { vbslq_f32(vcgtq_f32(self.0, other.0), self.0, other.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { vbslq_f32(vcltq_f32(self.0, other.0), self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Self(unsafe { vfmaq_f32(b.0, self.0, a.0) })
    }

    #[inline(always)]
    fn scale(self, n: Self) -> Self {
        unsafe {
            // In two steps, as 2ⁿ alone may underflow.
            let n = vcvtnq_s32_f32(n.0);
            let half = vshrq_n_s32::<1>(n);
            Self(vmulq_f32(vmulq_f32(self.0, Self::pow2(half)), Self::pow2(vsubq_s32(n, half))))
        }
    }

    #[inline(always)]
    fn by_sign(self, negative: Self, positive: Self) -> Self {
        Self(unsafe { vbslq_f32(vcltzq_s32(vreinterpretq_s32_f32(self.0)), negative.0, positive.0) })
    }

    #[inline(always)]
    fn first(self, count: usize) -> Self {
        const LANE: [u32; 4] = [0, 1, 2, 3];
        unsafe {
            let mask = vcltq_u32(vld1q_u32(LANE.as_ptr()), vdupq_n_u32(count as u32));
            Self(vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(self.0), mask)))
        }
    }

    #[inline(always)]
    fn exchange(self, other: Self, distance: usize) -> (Self, Self) {
        let (a, b) = (self.0, other.0);
        unsafe {
            if distance == 2 {
                let (a, b) = (vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b));
                let (low, high) = (vtrn1q_f64(a, b), vtrn2q_f64(a, b));
                (Self(vreinterpretq_f32_f64(low)), Self(vreinterpretq_f32_f64(high)))
            } else {
                (Self(vtrn1q_f32(a, b)), Self(vtrn2q_f32(a, b)))
            }
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { vld1q_f32(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self.0) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        unsafe {
            let zero = vdupq_n_f32(0.0);
            let two = || vcombine_f32(vld1_f32(from), vdup_n_f32(0.0));
            Self(match count {
                0 => zero,
                1 => vld1q_lane_f32::<0>(from, zero),
                2 => two(),
                3 => vld1q_lane_f32::<2>(from.add(2), two()),
                _ => vld1q_f32(from),
            })
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        unsafe {
            match count {
                0 => {}
                1 => vst1q_lane_f32::<0>(to, self.0),
                2 => vst1_f32(to, vget_low_f32(self.0)),
                3 => {
                    vst1_f32(to, vget_low_f32(self.0));
                    vst1q_lane_f32::<2>(to.add(2), self.0);
                }
                _ => vst1q_f32(to, self.0),
            }
        }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16, count: usize) -> Self {
        Self(unsafe { vcvt_f32_f16(vreinterpret_f16_u16(Self::short(from, count))) })
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16, count: usize) -> Self {
        Self(unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(Self::short(from, count))) })
    }
}
