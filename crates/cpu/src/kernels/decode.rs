use core::ptr::read_unaligned;

use yuragi_graph::DType;

use super::{Buffers, Kernel};

/// Elements of one task.
const TASK: usize = 8192;

/// Numbers stored in half precision, made single: `[bytes] -> [values]`.
#[derive(Debug)]
pub(crate) struct Decode {
    pub dtype: DType,
    pub count: usize,
}

impl Kernel for Decode {
    fn tasks(&self, _phase: usize) -> usize {
        self.count.div_ceil(TASK)
    }

    unsafe fn task(&self, _phase: usize, index: usize, buffers: Buffers<'_>) {
        let from = buffers.inputs[0].cast::<u16>();
        for i in index * TASK..self.count.min((index + 1) * TASK) {
            // SAFETY: `count` elements of two bytes stand at the input; every task owns its part of the output.
            unsafe {
                let bits = read_unaligned(from.add(i));
                *buffers.outputs[0].add(i) = match self.dtype {
                    DType::F16 => half::f16::from_bits(bits).to_f32(),
                    _ => f32::from_bits(u32::from(bits) << 16),
                };
            }
        }
    }
}
