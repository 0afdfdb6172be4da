use core::slice::from_raw_parts_mut;

use yuragi_graph::op::Distribution;
use yuragi_numeric::fill;

use super::{Buffers, Kernel};

/// Numbers of one task.
const TASK: usize = 8192;

/// Random numbers: `[key] -> [values]`.
#[derive(Debug)]
pub(crate) struct Random {
    pub law: Distribution,
    pub stream: u32,
    pub count: usize,
}

impl Kernel for Random {
    fn tasks(&self, _phase: usize) -> usize {
        self.count.div_ceil(TASK)
    }

    unsafe fn task(&self, _phase: usize, index: usize, buffers: Buffers<'_>) {
        let first = index * TASK;
        // SAFETY: the key is two elements; every task owns its numbers.
        let (key, out) = unsafe {
            let word = |i: usize| (*buffers.inputs[0].add(i)).to_bits();
            let length = TASK.min(self.count - first);
            ([word(0), word(1)], from_raw_parts_mut(buffers.outputs[0].add(first), length))
        };
        match self.law {
            Distribution::Uniform => fill::uniform(key, self.stream, first as u64, out),
            Distribution::Normal => fill::normal(key, self.stream, first as u64, out),
        }
    }
}
