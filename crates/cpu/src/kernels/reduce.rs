//! The end of a sum that was taken in parts.

use crate::simd::{Level, Op, Vector};

/// Elements of one task.
const CHUNK: usize = 4096;

/// Adds `parts` arrays of `len` elements, one after another in memory, in
/// their order.
#[derive(Clone, Copy)]
pub(super) struct SumParts {
    pub from: *const f32,
    pub parts: usize,
    pub len: usize,
    pub to: *mut f32,
}

impl SumParts {
    pub fn tasks(len: usize) -> usize {
        len.div_ceil(CHUNK)
    }

    /// # Safety
    /// The parts can be read and the result written.
    pub unsafe fn run(self, level: Level, task: usize) {
        level.run(Chunk { sum: self, begin: task * CHUNK, end: self.len.min((task + 1) * CHUNK) });
    }
}

struct Chunk {
    sum: SumParts,
    begin: usize,
    end: usize,
}

impl Op for Chunk {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let SumParts { from, parts, len, to } = self.sum;
        for at in (self.begin..self.end).step_by(V::LANES) {
            let count = V::LANES.min(self.end - at);
            // SAFETY: the promise of `SumParts::run`.
            unsafe {
                let mut sum = V::load_first(from.add(at), count);
                for part in 1..parts {
                    sum = sum.add(V::load_first(from.add(part * len + at), count));
                }
                sum.store_first(to.add(at), count);
            }
        }
    }
}
