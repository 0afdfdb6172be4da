//! What the kernels' tests share.

use alloc::{boxed::Box, vec, vec::Vec};

use yuragi_graph::DType;

use super::{Kernel, run};
use crate::simd::Level;
use crate::threads::Threads;

/// Unit roundoff of f32.
pub(super) const U: f64 = f32::EPSILON as f64 / 2.0;

/// Numbers in (−1, 1), the same for the same seed.
pub(super) fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z >> 40) as f32 + 0.5) / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// The same as bfloat16.
pub(super) fn halves(seed: u64, len: usize) -> Vec<f32> {
    numbers(seed, len).iter().map(|x| f32::from_bits(x.to_bits() & 0xffff_0000)).collect()
}

/// Numbers as a type of 16 bits has them (in single precision, unchanged), and the memory that holds them so.
pub(super) fn stored_as(dtype: DType, numbers: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
    if dtype == DType::F32 {
        return (numbers.clone(), numbers);
    }
    let rounded: Vec<f32> = numbers.iter().map(|&x| dtype.round(x.into()) as f32).collect();
    let bits = |x: &f32| match dtype {
        DType::F16 => u32::from(half::f16::from_f32(*x).to_bits()),
        _ => x.to_bits() >> 16,
    };
    let words = rounded.chunks(2).map(|pair| f32::from_bits(bits(&pair[0]) | pair.get(1).map_or(0, bits) << 16));
    let words = words.collect();
    (rounded, words)
}

/// A buffer on a cache line with a margin that nobody may touch.
struct Guarded {
    memory: Vec<f32>,
    begin: usize,
    len: usize,
}

const MARGIN: usize = 64;

impl Guarded {
    fn new(len: usize) -> Self {
        let memory = vec![f32::NAN; len + 2 * MARGIN + 16];
        let begin = MARGIN + memory[MARGIN..].as_ptr().align_offset(64);
        Self { memory, begin, len }
    }

    fn pointer(&mut self) -> *mut f32 {
        self.memory[self.begin..].as_mut_ptr()
    }

    fn finish(self) -> Vec<f32> {
        let (before, rest) = self.memory.split_at(self.begin);
        let (inside, after) = rest.split_at(self.len);
        assert!(before.iter().chain(after).all(|x| x.is_nan()), "wrote outside");
        inside.to_vec()
    }
}

fn output(kernel: &dyn Kernel, threads: usize, inputs: &[&[f32]], len: usize) -> Vec<f32> {
    let pool = Threads::new(threads);
    let mut out = Guarded::new(len);
    let mut scratch = Guarded::new(kernel.scratch().total(threads));
    let inputs: Vec<_> = inputs.iter().map(|input| input.as_ptr()).collect();
    // SAFETY: the caller gives inputs of the kernel's sizes.
    unsafe { run(kernel, &pool, &inputs, &[out.pointer()], scratch.pointer()) };
    scratch.finish();
    out.finish()
}

/// Runs a kernel at every level on 1, 2 and 5 threads, sees that the threads
/// change no bit, and compares with (value, bound of the error).
pub(super) fn check<K: Kernel + 'static>(
    build: impl Fn(Level) -> K,
    inputs: &[&[f32]],
    expected: &[(f64, f64)],
    case: &dyn core::fmt::Debug,
) {
    for level in Level::available() {
        let kernel: Box<dyn Kernel> = Box::new(build(level));
        let out = output(&*kernel, 1, inputs, expected.len());
        for threads in [2, 5] {
            let again = output(&*kernel, threads, inputs, expected.len());
            let same = out.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{level:?}, {threads} threads: other bits, {case:?}");
        }
        for (i, (&got, &(value, bound))) in out.iter().zip(expected).enumerate() {
            let error = (f64::from(got) - value).abs();
            assert!(error <= bound, "{level:?}: [{i}] is {got}, not {value} ± {bound:e}, {case:?}");
        }
    }
}

/// A sum of products and its bound: (terms + 1)·u·Σ|a·b|, the sums of blocks
/// being shorter.
pub(super) struct Sum {
    value: f64,
    size: f64,
    terms: usize,
}

impl Sum {
    pub fn starting_at(value: f32) -> Self {
        Self { value: value.into(), size: f64::from(value).abs(), terms: 1 }
    }

    pub fn add(&mut self, a: f32, b: f32) {
        let product = f64::from(a) * f64::from(b);
        self.value += product;
        self.size += product.abs();
        self.terms += 1;
    }

    pub fn bounded(self) -> (f64, f64) {
        (self.value, (self.terms + 1) as f64 * U * self.size)
    }
}
