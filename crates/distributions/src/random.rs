//! Draws in f64 from any generator of [`rand_core`](yuragi_numeric::rand_core).
//!
//! How many words a draw takes is fixed: one 64-bit word for [`uniform`] and [`index`], two for
//! [`standard_normal`].

use yuragi_numeric::rand_core::Rng;

/// Uniform on [0, 1): a multiple of 2⁻⁵³.
///
/// ```
/// use yuragi_distributions::random::uniform;
/// use yuragi_numeric::philox::Philox;
/// let u = uniform(&mut Philox::new([1, 2], 3));
/// assert!((0.0..1.0).contains(&u));
/// ```
pub fn uniform<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// Uniform on (0, 1]: for logarithms.
pub fn open_uniform<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    1.0 - uniform(rng)
}

/// Standard normal, by the transformation of Box and Muller (1958): √(−2 ln u)·cos 2πv.
pub fn standard_normal<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(open_uniform(rng)));
    radius * libm::cos(2.0 * core::f64::consts::PI * uniform(rng))
}

/// Uniform on 0 … n−1, up to a bias of n·2⁻⁶⁴; 0 if n is 0.
pub fn index<R: Rng + ?Sized>(rng: &mut R, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// The first place whose running sum exceeds `u` times the last running sum; places that add nothing
/// are never chosen. 0 for an empty slice.
pub(crate) fn choose(cumulative: &[f64], u: f64) -> usize {
    let Some(total) = cumulative.last() else { return 0 };
    let target = u * total;
    let at = cumulative.partition_point(|sum| *sum <= target);
    // u < 1, yet the product may round up to the total.
    at.min(cumulative.partition_point(|sum| sum < total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use yuragi_numeric::philox::Philox;

    #[test]
    fn choose_skips_what_has_no_weight() {
        let cumulative = [0.0, 0.25, 0.25, 1.0, 1.0];
        assert_eq!([0.0, 0.2, 0.25, 0.9999, 1.0].map(|u| choose(&cumulative, u)), [1, 1, 3, 3, 3]);
        assert_eq!(choose(&[], 0.5), 0);
    }

    #[test]
    fn moments_of_draws() {
        let mut rng = Philox::new([8, 0], 0);
        const N: usize = 100_000;
        let (mut mean, mut square, mut fourth, mut level) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..N {
            let z = standard_normal(&mut rng);
            mean += z;
            square += z * z;
            fourth += z * z * z * z;
            level += uniform(&mut rng);
        }
        let n = N as f64;
        // Variances of z, z², z⁴ and u are 1, 2, 96 and 1/12.
        for (sum, exact, variance) in
            [(mean, 0.0, 1.0), (square, 1.0, 2.0), (fourth, 3.0, 96.0), (level, 0.5, 1.0 / 12.0)]
        {
            assert!((sum / n - exact).abs() < 4.5 * libm::sqrt(variance / n), "{sum} {exact}");
        }
        assert!((0..1000).all(|_| index(&mut rng, 3) < 3));
        assert_eq!(index(&mut rng, 0), 0);
    }
}
