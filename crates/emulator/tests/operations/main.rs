//! Kernels of a network's operations, executed and compared with their formulas: every type that they are stored in,
//! sizes that fit no tile, addresses that fit no vector, and the numbers at the ends of the range.

#[path = "../common/mod.rs"]
mod common;

mod group_norm;
mod random;
mod row_norms;
mod rows;

use common::{Bench, Number, noise};
use half::{bf16, f16};

/// Unit roundoff of single precision.
const U: f64 = 1.0 / 16_777_216.0;

/// A type of stored elements.
trait Stored: Number + PartialEq + std::fmt::Debug {
    /// The end of its kernels' names.
    const NAME: &'static str;
    /// Elements that fill 16 bytes.
    const LANES: usize = 16 / Self::BYTES;

    fn new(x: f64) -> Self;
    fn value(self) -> f64;
    /// The most that rounding to this type moves a number of this size.
    fn rounding(size: f64) -> f64;
}

impl Stored for f32 {
    const NAME: &'static str = "f32";

    fn new(x: f64) -> f32 {
        x as f32
    }

    fn value(self) -> f64 {
        self.into()
    }

    fn rounding(_: f64) -> f64 {
        0.0 // results are already floats
    }
}

impl Stored for f16 {
    const NAME: &'static str = "f16";

    fn new(x: f64) -> f16 {
        f16::from_f32(x as f32)
    }

    fn value(self) -> f64 {
        self.into()
    }

    fn rounding(size: f64) -> f64 {
        size / 2048.0 + 2.0_f64.powi(-25)
    }
}

impl Stored for bf16 {
    const NAME: &'static str = "bf16";

    fn new(x: f64) -> bf16 {
        bf16::from_f32(x as f32)
    }

    fn value(self) -> f64 {
        self.into()
    }

    fn rounding(size: f64) -> f64 {
        size / 256.0 + 2.0_f64.powi(-134)
    }
}

/// Numbers of a type between −`size` and `size`.
fn stored<T: Stored>(seed: u64, count: usize, size: f64) -> Vec<T> {
    noise(seed, count).iter().map(|&x| T::new(f64::from(x) * size)).collect()
}

fn values<T: Stored>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.value()).collect()
}

/// The values in new memory, `skip` elements after its beginning.
fn put_at<T: Stored>(bench: &Bench, values: &[T], skip: usize) -> u64 {
    let padded: Vec<T> = std::iter::repeat_n(T::new(0.0), skip).chain(values.iter().copied()).collect();
    bench.put(&padded) + (skip * T::BYTES) as u64
}

/// Room for values, `skip` elements after a multiple of 16 bytes.
fn room_at<T: Stored>(bench: &Bench, count: usize, skip: usize) -> u64 {
    bench.room::<T>(count + skip) + (skip * T::BYTES) as u64
}

/// Compares `got` with what it should be, each within its own bound before the last rounding.
fn assert_within<T: Stored>(got: &[T], want: &[f64], bounds: &[f64], what: &dyn std::fmt::Debug) {
    assert_eq!((got.len(), bounds.len()), (want.len(), want.len()));
    for (i, ((got, &want), &bound)) in got.iter().zip(want).zip(bounds).enumerate() {
        let bound = bound + T::rounding(want.abs() + bound);
        let error = (got.value() - want).abs();
        assert!(error <= bound, "{} {what:?} [{i}]: {got:?}, want {want} ± {bound}", T::NAME);
    }
}
