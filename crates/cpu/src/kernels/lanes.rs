//! Walking along contiguous numbers, a vector at a time.
//!
//! Vector code takes no closures: one that is not compiled into its caller
//! would lose the caller's instructions.

use crate::simd::Vector;

/// Where the vectors of `n` elements begin, and how many elements each has.
#[inline(always)]
pub(super) fn steps<V: Vector>(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(V::LANES).map(move |at| (at, V::LANES.min(n - at)))
}

/// A sum of vectors in four chains by turns, for speed and for accuracy.
#[derive(Clone, Copy)]
pub(super) struct Sum<V>([V; 4]);

impl<V: Vector> Sum<V> {
    #[inline(always)]
    pub fn new() -> Self {
        Self([V::splat(0.0); 4])
    }

    #[inline(always)]
    pub fn add(&mut self, x: V) {
        let [a, b, c, d] = self.0;
        self.0 = [b, c, d, a.add(x)];
    }

    /// The sum lane by lane.
    #[inline(always)]
    pub fn lanes(self) -> V {
        let [a, b, c, d] = self.0;
        a.add(b).add(c.add(d))
    }

    /// The sum of all lanes.
    #[inline(always)]
    pub fn total(self) -> f32 {
        self.lanes().fold(|a, b| a + b)
    }
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
    // SAFETY: the elements that are left.
    let rest = unsafe { core::slice::from_raw_parts(from.add(at), n - at) };
    let max = max.fold(|a, b| if a > b { a } else { b });
    rest.iter().fold(max, |max, &x| max.max(x))
}
