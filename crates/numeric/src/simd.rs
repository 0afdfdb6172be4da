//! Loops compiled for the vector units that this machine has: the one place of the math crates that
//! chooses between instruction sets.
//!
//! A [`Task`] is ordinary safe code. [`vectorize`] holds a copy of it for each instruction set and runs
//! the widest that is there, so that the compiler's own vectorisation reaches it. The bits of the
//! result never depend on the choice: no copy may reorder floating-point operations, nor fuse any but by `mul_add`.
#![allow(unsafe_code)] // calling a copy whose instruction set was found on this machine, and a conversion in bounds

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
    match found() {
        // SAFETY: the instruction set was found.
        Set::Avx512 => unsafe { avx512(task) },
        // SAFETY: the instruction set was found.
        Set::Avx2 => unsafe { avx2(task) },
        Set::Target => task.run(),
    }
    #[cfg(not(all(target_arch = "x86_64", feature = "std")))]
    task.run()
}

/// Whether `mul_add` is one instruction in a task that [`vectorize`] runs; elsewhere it is a call, slower than the sum in
/// double precision whose bits it gives.
#[must_use]
pub fn fuses() -> bool {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    return !matches!(found(), Set::Target) || cfg!(target_feature = "fma");
    #[cfg(not(all(target_arch = "x86_64", feature = "std")))]
    return cfg!(any(target_feature = "fma", target_arch = "aarch64"));
}

/// A number cut toward zero; magnitudes from 2³¹ on become 2³¹ − 128, the largest below it in single precision, and NaN the
/// negative one. A loop over it takes three instructions a vector, where `as` takes five.
///
/// ```
/// use yuragi_numeric::simd::truncated;
/// assert_eq!([2.9, -2.9, 3e9, f32::NAN].map(truncated), [2, -2, 2_147_483_520, -2_147_483_520]);
/// ```
#[inline(always)]
#[must_use]
pub fn truncated(x: f32) -> i32 {
    const MOST: f32 = 2_147_483_520.0;
    // Not by `clamp`, which keeps NaN.
    let x = if x > -MOST { x } else { -MOST };
    let x = if x < MOST { x } else { MOST };
    // SAFETY: a finite number between integers of 32 bits.
    unsafe { x.to_int_unchecked() }
}

/// An instruction set.
#[cfg(all(target_arch = "x86_64", feature = "std"))]
enum Set {
    Target,
    Avx2,
    Avx512,
}

/// The widest that this machine has, looked for once.
#[cfg(all(target_arch = "x86_64", feature = "std"))]
#[inline]
fn found() -> Set {
    use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
    static FOUND: AtomicU8 = AtomicU8::new(0);

    #[cold]
    fn look() -> u8 {
        macro_rules! has {
            ($($feature:tt),*) => { $(std::is_x86_feature_detected!($feature))&&* };
        }
        let found = match has!("avx2", "fma", "bmi1", "bmi2", "popcnt", "lzcnt") {
            true if has!("avx512f", "avx512bw", "avx512dq", "avx512vl") => 3,
            true => 2,
            false => 1,
        };
        FOUND.store(found, Relaxed);
        found
    }

    let known = FOUND.load(Relaxed);
    match if known == 0 { look() } else { known } {
        3 => Set::Avx512,
        2 => Set::Avx2,
        _ => Set::Target,
    }
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt,lzcnt")]
fn avx2<T: Task>(task: T) -> T::Output {
    task.run()
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt,lzcnt")]
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

    #[test]
    fn numbers_are_cut_as_by_a_cast_where_that_is_in_bounds() {
        for x in [0.0, -0.0, 0.999, -0.999, 1.5, -1.5, 8_388_609.0, -134_217_720.0, 2e9, -2e9, 1e-40] {
            assert_eq!(truncated(x), x as i32, "{x}");
        }
        assert_eq!(
            [f32::INFINITY, f32::NEG_INFINITY, f32::NAN].map(truncated),
            [i32::MAX - 127, 127 - i32::MAX, 127 - i32::MAX]
        );
    }
}
