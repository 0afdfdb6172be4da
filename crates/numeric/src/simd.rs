//! Loops compiled for the vector units that this machine has: the one place of the math crates that
//! chooses between instruction sets.
//!
//! A [`Task`] is ordinary safe code. [`vectorize`] holds a copy of it for each instruction set and runs
//! the widest that is there, so that the compiler's own vectorisation reaches it. The bits of the
//! result never depend on the choice: no copy may fuse or reorder floating-point operations.
#![allow(unsafe_code)] // calling a copy whose instruction set was found on this machine

/// A computation to be compiled for every instruction set. Mark `run`, and all that it calls in
/// its inner loops, `#[inline(always)]`: what is not inlined is compiled for none.
pub trait Task {
    /// What it gives.
    type Output;
    /// Does it.
    fn run(self) -> Self::Output;
}

/// Runs a task on the widest vector units of this machine. Without the feature `std`, on those that
/// the compilation target promises.
///
/// ```
/// use yuragi_numeric::simd::{Task, vectorize};
///
/// struct Dot<'a>(&'a [f64], &'a [f64]);
///
/// impl Task for Dot<'_> {
///     type Output = f64;
///     #[inline(always)]
///     fn run(self) -> f64 {
///         let mut sums = [0.0; 8]; // eight sums in a fixed order leave room for vectors
///         for (x, y) in self.0.chunks_exact(8).zip(self.1.chunks_exact(8)) {
///             for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
///                 *sum += x * y;
///             }
///         }
///         sums.iter().sum()
///     }
/// }
///
/// assert_eq!(vectorize(Dot(&[1.0; 16], &[2.0; 16])), 32.0);
/// ```
pub fn vectorize<T: Task>(task: T) -> T::Output {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    {
        macro_rules! has {
            ($($feature:tt),*) => { $(std::is_x86_feature_detected!($feature))&&* };
        }
        if has!("avx2", "bmi1", "bmi2", "popcnt", "lzcnt") {
            if has!("avx512f", "avx512bw", "avx512dq", "avx512vl") {
                // SAFETY: the instruction set was found.
                return unsafe { avx512(task) };
            }
            // SAFETY: the instruction set was found.
            return unsafe { avx2(task) };
        }
    }
    task.run()
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
fn avx2<T: Task>(task: T) -> T::Output {
    task.run()
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt,lzcnt")]
fn avx512<T: Task>(task: T) -> T::Output {
    task.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An expression in which a fused multiply-add would show.
    struct Products<'a>(&'a mut [f32]);

    impl Task for Products<'_> {
        type Output = f32;
        #[inline(always)]
        fn run(self) -> f32 {
            let mut sum = 0.0;
            for x in self.0 {
                *x = *x * *x + 0.1 * *x;
                sum += *x;
            }
            sum
        }
    }

    #[test]
    fn the_choice_of_instructions_never_shows() {
        let values: [f32; 67] = core::array::from_fn(|i| 1.0 / (i as f32 + 0.7));
        let (mut wide, mut plain) = (values, values);
        assert_eq!(vectorize(Products(&mut wide)).to_bits(), Products(&mut plain).run().to_bits());
        assert_eq!(wide.map(f32::to_bits), plain.map(f32::to_bits));
    }
}
