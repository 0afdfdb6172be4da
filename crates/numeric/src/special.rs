//! Numerically safe f64 forms, and sums that do not lose low bits.

/// ln Σ eˣ, without overflow. An empty slice gives −∞.
///
/// ```
/// use yuragi_numeric::special::log_sum_exp;
/// assert_eq!(log_sum_exp(&[1000.0, 1000.0]), 1000.0 + core::f64::consts::LN_2);
/// assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
/// ```
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max.is_infinite() {
        return if values.iter().any(|x| x.is_nan()) { f64::NAN } else { max };
    }
    max + libm::log(sum(values.iter().map(|x| libm::exp(x - max))))
}

/// ln(eˣ + e⁻ˣ) = |x| + ln(1 + e^(−2|x|)): the free energy of one ±1 spin in
/// the field x.
///
/// ```
/// use yuragi_numeric::special::log_2cosh;
/// assert_eq!(log_2cosh(0.0), core::f64::consts::LN_2);
/// assert_eq!(log_2cosh(-1e6), 1e6);
/// ```
pub fn log_2cosh(x: f64) -> f64 {
    let x = x.abs();
    x + libm::log1p(libm::exp(-2.0 * x))
}

/// ln(1 + eˣ): the free energy of one 0/1 unit in the field x.
///
/// ```
/// use yuragi_numeric::special::softplus;
/// assert_eq!(softplus(0.0), core::f64::consts::LN_2);
/// assert_eq!(softplus(1e6), 1e6);
/// ```
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// The compensated sum of `values`; see [`Sum`].
///
/// ```
/// use yuragi_numeric::special::sum;
/// assert_eq!(sum([1.0, 1e100, 1.0, -1e100]), 2.0);
/// ```
pub fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().collect::<Sum>().value()
}

/// A running sum with Neumaier's compensation (ZAMM 54, 1974): the error is
/// that of one rounding, plus a second-order term, whatever the length.
///
/// ```
/// use yuragi_numeric::special::Sum;
/// let mut sum = Sum::default();
/// for _ in 0..10 {
///     sum += 0.1;
/// }
/// assert_eq!(sum.value(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    sum: f64,
    compensation: f64,
}

impl Sum {
    /// The sum so far.
    pub fn value(self) -> f64 {
        if self.compensation.is_finite() { self.sum + self.compensation } else { self.sum }
    }
}

impl core::ops::AddAssign<f64> for Sum {
    fn add_assign(&mut self, x: f64) {
        let sum = self.sum + x;
        self.compensation += if self.sum.abs() >= x.abs() { (self.sum - sum) + x } else { (x - sum) + self.sum };
        self.sum = sum;
    }
}

impl Extend<f64> for Sum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|x| *self += x);
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sum = Self::default();
        sum.extend(values);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use core::f64::consts::LN_2;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn log_sum_exp_equals_its_definition_and_never_overflows() {
        let values = [-3.0, 0.5, 2.0, 1.25];
        let naive = libm::log(values.iter().map(|x| libm::exp(*x)).sum());
        assert_relative_eq!(log_sum_exp(&values), naive, max_relative = 1e-15);
        let shifted = values.map(|x| x - 5000.0);
        assert_relative_eq!(log_sum_exp(&shifted), naive - 5000.0, max_relative = 1e-15);
        assert_eq!(log_sum_exp(&[-INF, -INF]), -INF);
        assert_eq!(log_sum_exp(&[-INF, 2.0]), 2.0);
        assert_eq!(log_sum_exp(&[INF, 2.0]), INF);
        assert!(log_sum_exp(&[f64::NAN, INF]).is_nan());
        assert!(log_sum_exp(&[f64::NAN, 1.0]).is_nan());
        assert!(log_sum_exp(&[f64::NAN]).is_nan());
    }

    #[test]
    fn log_2cosh_and_softplus_are_their_definitions() {
        for i in -200..=200 {
            let x = f64::from(i) * 0.1;
            assert_relative_eq!(log_2cosh(x), libm::log(2.0 * libm::cosh(x)), max_relative = 1e-14);
            assert_relative_eq!(softplus(x), libm::log1p(libm::exp(x)), max_relative = 1e-15);
            // softplus(2x) = x + ln 2cosh x
            assert_relative_eq!(softplus(2.0 * x), x + log_2cosh(x), max_relative = 1e-12, epsilon = 1e-14);
        }
        assert_eq!([log_2cosh(0.0), softplus(0.0)], [LN_2; 2]);
        assert_eq!([log_2cosh(INF), log_2cosh(-INF), softplus(INF), softplus(-INF)], [INF, INF, INF, 0.0]);
        assert_eq!(softplus(-700.0), libm::exp(-700.0));
        assert!(log_2cosh(f64::NAN).is_nan() && softplus(f64::NAN).is_nan());
    }

    #[test]
    fn compensated_sum_is_correct_where_a_plain_one_is_not() {
        let values = (0..1_000_000).map(|_| 0.1);
        let plain: f64 = values.clone().sum();
        assert!((plain - 100_000.0).abs() > 1e-6);
        assert_eq!(sum(values), 100_000.0);
        assert_eq!(sum([1e16, 1.0, 1.0, -1e16]), 2.0);
        assert_eq!(sum([]), 0.0);
    }

    #[test]
    fn sums_of_infinities() {
        assert_eq!(sum([1.0, INF, 2.0]), INF);
        assert_eq!(sum([-INF, 1.0]), -INF);
        assert!(sum([INF, -INF]).is_nan());
        assert!(sum([1.0, f64::NAN]).is_nan());
    }
}
