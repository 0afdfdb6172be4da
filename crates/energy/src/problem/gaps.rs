use super::{Problem, Variables};
use core::f64::consts::LN_2;

/// The inverse temperatures between which a problem freezes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BetaRange {
    /// β at which even the largest uphill step is taken with probability 1/2.
    pub hot: f64,
    /// β at which the smallest uphill step is taken with probability 1/100.
    pub cold: f64,
}

impl Problem {
    /// The default range of inverse temperatures, from the problem's energy gaps.
    ///
    /// For spins, β_hot = ln 2 / (2 max_k (|h_k| + Σ_l |J_kl|)), a bound of the largest gap, and
    /// β_cold = ln 100 / (2 min over all nonzero |h_k|, |J_kl|), an estimate of the smallest. For Potts
    /// variables the 2 is absent and the differences of a variable's fields take the place of |h|.
    /// β_cold is at least β_hot; a problem without couplings and fields has the range 1 to 1.
    ///
    /// ```
    /// use yuragi_energy::{Bonds, Problem};
    /// let range = Problem::lattice(&[8, 8], Bonds::Uniform(1.0), &[])?.beta_range();
    /// assert!((range.hot - 2f64.ln() / 8.0).abs() < 1e-15 && (range.cold - 100f64.ln() / 2.0).abs() < 1e-15);
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn beta_range(&self) -> BetaRange {
        let mut largest = 0.0f64;
        let mut smallest = f64::INFINITY;
        let mut note = |size: f64| {
            if size > 0.0 {
                smallest = smallest.min(size);
            }
        };
        for k in 0..self.len() {
            let mut sum = 0.0;
            for (_, weight) in self.couplings.row(k) {
                note(weight.abs());
                sum += weight.abs();
            }
            match self.variables {
                Variables::Spin => {
                    note(self.fields[k].abs());
                    sum += self.fields[k].abs();
                }
                Variables::Potts(q) => {
                    let fields = &self.fields[k * usize::from(q)..][..usize::from(q)];
                    let low = fields.iter().copied().fold(f64::INFINITY, f64::min);
                    let high = fields.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    fields.iter().for_each(|field| note(field - low));
                    sum += high - low;
                }
            }
            largest = largest.max(sum);
        }
        if largest == 0.0 {
            return BetaRange { hot: 1.0, cold: 1.0 };
        }
        let scale = if self.variables == Variables::Spin { 2.0 } else { 1.0 };
        // Within f32, also for couplings next to its smallest numbers.
        let hot = (LN_2 / (scale * largest)).min(1e30);
        BetaRange { hot, cold: (libm::log(100.0) / (scale * smallest)).min(1e30).max(hot) }
    }
}
