//! Sums and maxima of contiguous numbers.

use crate::simd::Vector;

/// Vectors summed side by side.
const CHAINS: usize = 4;

/// Σ f(x) in a fixed order: lane by lane, the lanes at last in f64.
/// `f(0)` need not be 0: nothing beyond `n` is counted.
///
/// # Safety
/// `n` elements can be read at `from`.
#[inline(always)]
pub(super) unsafe fn sum<V: Vector>(from: *const f32, n: usize, f: impl Fn(V) -> V) -> f64 {
    let mut sums = [V::splat(0.0); CHAINS];
    let mut at = 0;
    // SAFETY: only whole vectors below n.
    unsafe {
        while at + CHAINS * V::LANES <= n {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(f(V::load(from.add(at + i * V::LANES))));
            }
            at += CHAINS * V::LANES;
        }
        while at + V::LANES <= n {
            sums[0] = sums[0].add(f(V::load(from.add(at))));
            at += V::LANES;
        }
    }
    let whole = sums.into_iter().map(|sum| total(sum, V::LANES)).sum::<f64>();
    // SAFETY: the elements that are left.
    let rest = unsafe { V::load_first(from.add(at), n - at) };
    whole + total(f(rest), n - at)
}

/// The sum of the first `count` lanes.
#[inline(always)]
fn total<V: Vector>(sum: V, count: usize) -> f64 {
    let mut lanes = [0.0; 16];
    // SAFETY: no vector is longer.
    unsafe { sum.store(lanes.as_mut_ptr()) };
    lanes[..count].iter().map(|&x| f64::from(x)).sum()
}

/// The largest element, −∞ of none.
///
/// # Safety
/// `n` elements can be read at `from`.
#[inline(always)]
pub(super) unsafe fn max<V: Vector>(from: *const f32, n: usize) -> f32 {
    let mut max = V::splat(f32::NEG_INFINITY);
    let mut at = 0;
    while at + V::LANES <= n {
        // SAFETY: a whole vector below n.
        max = max.max(unsafe { V::load(from.add(at)) });
        at += V::LANES;
    }
    let mut lanes = [f32::NEG_INFINITY; 16];
    // SAFETY: no vector is longer.
    unsafe { max.store(lanes.as_mut_ptr()) };
    // SAFETY: the elements that are left.
    let rest = unsafe { core::slice::from_raw_parts(from.add(at), n - at) };
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |max, &x| max.max(x))
}

/// Writes `f` of `n` elements, whole vectors at a time.
///
/// # Safety
/// `n` elements can be read at `from` and written at `to`; they may be the same.
#[inline(always)]
pub(super) unsafe fn map<V: Vector>(from: *const f32, to: *mut f32, n: usize, f: impl Fn(usize, V) -> V) {
    let mut at = 0;
    // SAFETY: only elements below n.
    unsafe {
        while at + V::LANES <= n {
            f(at, V::load(from.add(at))).store(to.add(at));
            at += V::LANES;
        }
        if at < n {
            f(at, V::load_first(from.add(at), n - at)).store_first(to.add(at), n - at);
        }
    }
}
