//! Kernels: the loops of the costly operations.
//!
//! A [`Kernel`] is built once for fixed sizes and then run any number of times
//! on raw buffers, without allocating. What its tasks compute depends only on
//! the sizes and the instruction set, never on the number of threads: tiles
//! are fixed and every sum has one order.
#![allow(unsafe_code)] // kernels write disjoint parts of shared buffers from several threads

use crate::threads::Threads;

mod attention;
mod attention_grad;
mod conv;
mod decode;
mod fold;
mod gemm;
mod lanes;
mod norm;
mod program;
mod random;
mod reduce;
mod rows;
mod softmax;
#[cfg(test)]
mod testing;
#[cfg(all(test, feature = "std"))]
mod timing;

pub(crate) use attention::{Attention, Mask, Shape as AttentionShape};
pub(crate) use attention_grad::AttentionGrad;
pub(crate) use conv::{Conv, Direction, Geometry, Stored, Winograd};
pub(crate) use decode::Decode;
pub(crate) use fold::Fold;
pub(crate) use gemm::{Gemm, Product};
pub(crate) use norm::{GroupNorm, GroupNormPart, GroupRunMoments, LayerNorm};
pub(crate) use program::{Instruction, Place, Program};
pub(crate) use random::Random;
pub(crate) use rows::{Gather, ScatterAdd};
pub(crate) use softmax::Softmax;

/// Working memory of a kernel, in `f32` elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scratch {
    /// Shared by all tasks of one run.
    pub shared: usize,
    /// Private to one task at a time: one such area a thread.
    pub local: usize,
}

impl Scratch {
    /// Elements to reserve for a run on `threads` threads.
    pub fn total(self, threads: usize) -> usize {
        align(self.shared) + threads * align(self.local)
    }
}

/// Elements rounded up to whole cache lines.
const fn align(elements: usize) -> usize {
    elements.next_multiple_of(16)
}

/// The memory one task works on.
#[derive(Clone, Copy)]
pub(crate) struct Buffers<'a> {
    pub inputs: &'a [*const f32],
    pub outputs: &'a [*mut f32],
    /// [`Scratch::shared`] elements.
    pub shared: *mut f32,
    /// [`Scratch::local`] elements that no other running task sees.
    pub local: *mut f32,
}

/// A computation in phases; the tasks of one phase are independent and may
/// run on any thread in any order.
pub(crate) trait Kernel: Send + Sync {
    fn scratch(&self) -> Scratch {
        Scratch::default()
    }

    fn phases(&self) -> usize {
        1
    }

    fn tasks(&self, phase: usize) -> usize;

    /// Runs one task of one phase.
    ///
    /// # Safety
    /// The pointers are valid for the sizes that the kernel was built with,
    /// outputs and scratch overlap nothing (unless the kernel says that it
    /// works in place), all earlier phases are complete, and no task runs
    /// twice in a phase.
    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>);
}

/// Lets the closure of [`run`] carry raw pointers to other threads.
#[derive(Clone, Copy)]
struct Shared<'a>(Buffers<'a>);

// SAFETY: the tasks of a phase write disjoint regions, by the contract of `Kernel`.
unsafe impl Sync for Shared<'_> {}

/// Runs a kernel to its end.
///
/// # Safety
/// As [`Kernel::task`]; `scratch` is aligned to 64 bytes and holds
/// `kernel.scratch().total(pool.count())` elements.
pub(crate) unsafe fn run(
    kernel: &dyn Kernel,
    pool: &Threads,
    inputs: &[*const f32],
    outputs: &[*mut f32],
    scratch: *mut f32,
) {
    let Scratch { shared, local } = kernel.scratch();
    let all = Shared(Buffers { inputs, outputs, shared: scratch, local: scratch.wrapping_add(align(shared)) });
    for phase in 0..kernel.phases() {
        pool.run(kernel.tasks(phase), &|index, thread| {
            let Shared(buffers) = *{ &all };
            let local = buffers.local.wrapping_add(thread * align(local));
            // SAFETY: passed on to the caller; every thread has its own local area.
            unsafe { kernel.task(phase, index, Buffers { local, ..buffers }) }
        });
    }
}
