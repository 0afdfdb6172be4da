//! Arrays that the compiler turns into the vectors of its target.

use super::{Vector, functions::ROUND};

#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(core::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Vector for Portable {
    const LANES: usize = 4;
    const ROWS: usize = 4;
    const VECTORS: usize = 2;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.map(libm::sqrtf))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn scale(self, n: Self) -> Self {
        self.zip(n, |x, n| {
            // The whole number in the low bits; in two steps, as 2ⁿ alone may underflow.
            let n = (n + ROUND).to_bits() as i32 - ROUND.to_bits() as i32;
            let half = n >> 1;
            let pow2 = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
            x * pow2(half) * pow2(n - half)
        })
    }

    #[inline(always)]
    fn by_sign(self, negative: Self, positive: Self) -> Self {
        let pick = |i: usize| if self.0[i].is_sign_negative() { negative.0[i] } else { positive.0[i] };
        Self(core::array::from_fn(pick))
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self.mul(a).add(b)
    }

    #[inline(always)]
    fn first(self, count: usize) -> Self {
        Self(core::array::from_fn(|i| if i < count { self.0[i] } else { 0.0 }))
    }

    #[inline(always)]
    fn exchange(self, other: Self, distance: usize) -> (Self, Self) {
        let pick = |clear: usize, set: usize| {
            move |i: usize| if i & distance == 0 { self.0[i + clear] } else { other.0[i - set] }
        };
        (Self(core::array::from_fn(pick(0, distance))), Self(core::array::from_fn(pick(distance, 0))))
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array needs no more than its elements' alignment.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as in `load`.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        if count == 4 {
            // SAFETY: the caller's promise.
            return unsafe { Self::load(from) };
        }
        let mut values = [0.0; 4];
        for (i, value) in values.iter_mut().enumerate().take(count) {
            // SAFETY: i < count.
            *value = unsafe { *from.add(i) };
        }
        Self(values)
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        if count == 4 {
            // SAFETY: the caller's promise.
            return unsafe { self.store(to) };
        }
        for (i, value) in self.0.into_iter().enumerate().take(count) {
            // SAFETY: i < count.
            unsafe { *to.add(i) = value };
        }
    }
}
