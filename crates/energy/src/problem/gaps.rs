use super::{Problem, Variables};
use alloc::vec::Vec;
use core::f64::consts::LN_2;
use yuragi_numeric::philox;

/// The inverse temperatures between which a problem freezes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BetaRange {
    /// β at which even the largest uphill step is taken with probability 1/2.
    pub hot: f64,
    /// β at which single changes are taken with probability 1/50 in the mean over that state: most variables are frozen.
    pub turn: f64,
    /// β at which in all 1/20 of a variable is off its place in a state that was quenched.
    pub cold: f64,
}

/// Sweeps of a quench, at most.
const SWEEPS: usize = 64;
/// Variables off their place at the cold end.
const EXCITED: f64 = 0.05;
/// The mean probability of a change where most variables freeze.
const MOVING: f64 = 0.02;
/// Gaps below this share of the largest are rounding errors.
const NOTHING: f64 = 1e-9;

impl Problem {
    /// The default range of inverse temperatures, from the problem's energy gaps.
    ///
    /// For spins, β_hot = ln 2 / (2 max_k (|h_k| + Σ_l |J_kl|)), a bound of the largest gap. For Potts variables the 2 is
    /// absent and the differences of a variable's fields take the place of |h|.
    ///
    /// β_cold is where Σ exp(−β ΔE) = 1/20 over all single changes with ΔE > 0 of one state: a fixed pseudo-random one,
    /// each of whose variables was then moved to its lowest energy, in turn, until none moves. It counts the gaps
    /// that a low state has, be the couplings a few numbers or a continuum. β_cold is at least β_hot; a problem
    /// without couplings and fields has the range 1 to 1.
    ///
    /// ```
    /// use yuragi_energy::{Bonds, Problem};
    /// let range = Problem::lattice(&[8, 8], Bonds::Uniform(1.0), &[])?.beta_range();
    /// assert!((range.hot - 2f64.ln() / 8.0).abs() < 1e-15);
    /// assert!((0.8..2.0).contains(&range.cold)); // 64 gaps of 4 and 8
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn beta_range(&self) -> BetaRange {
        let largest = self.largest_gap();
        if largest == 0.0 {
            return BetaRange { hot: 1.0, turn: 1.0, cold: 1.0 };
        }
        // Within f32, also for couplings next to its smallest numbers.
        let hot = (LN_2 / largest).min(1e30);
        let gaps = self.quenched_gaps(NOTHING * largest);
        let cold = freezing(&gaps, EXCITED).min(1e30).max(hot);
        BetaRange { hot, turn: freezing(&gaps, MOVING * gaps.len() as f64).clamp(hot, cold), cold }
    }

    /// A bound of ΔE over all states and single changes.
    fn largest_gap(&self) -> f64 {
        let largest = (0..self.len()).map(|k| {
            let couplings: f64 = self.couplings.row(k).map(|(_, weight)| weight.abs()).sum();
            match self.variables {
                Variables::Spin => 2.0 * (couplings + self.fields[k].abs()),
                Variables::Potts(q) => {
                    let fields = &self.fields[k * usize::from(q)..][..usize::from(q)];
                    let low = fields.iter().copied().fold(f64::INFINITY, f64::min);
                    couplings + fields.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low
                }
            }
        });
        largest.fold(0.0, f64::max)
    }

    /// ΔE above `least` of the single changes of a quenched state.
    fn quenched_gaps(&self, least: f64) -> Vec<f64> {
        let states = self.variables.states() as u8;
        let word = |k: u32| philox::block([k, 0, 0, 0], [0x9a95, 0x7e11])[0];
        let mut values: Vec<u8> = (0..self.len() as u32).map(|k| (word(k) % u32::from(states)) as u8).collect();
        for _ in 0..SWEEPS {
            let mut moved = false;
            for k in 0..values.len() {
                let mut lowest = self.potential(k, values[k], &values);
                for value in 0..states {
                    let energy = self.potential(k, value, &values);
                    if energy < lowest {
                        (lowest, values[k], moved) = (energy, value, true);
                    }
                }
            }
            if !moved {
                break;
            }
        }
        let mut gaps = Vec::new();
        for (k, &own) in values.iter().enumerate() {
            let rest = self.potential(k, own, &values);
            let others = (0..states).filter(|&value| value != own);
            gaps.extend(others.map(|value| self.potential(k, value, &values) - rest).filter(|&gap| gap > least));
        }
        gaps
    }
}

/// β of Σ exp(−β gap) = `sum`, below the number of gaps; 0 without gaps.
fn freezing(gaps: &[f64], sum: f64) -> f64 {
    const HALVINGS: usize = 24;
    let (smallest, largest) =
        gaps.iter().fold((f64::INFINITY, 0.0f64), |(low, high), &gap| (low.min(gap), high.max(gap)));
    if gaps.is_empty() {
        return 0.0;
    }
    // The sum is between those of as many of the largest and of the smallest gap.
    let ratio = libm::log(gaps.len() as f64 / sum);
    let (mut low, mut high) = (libm::log(ratio / largest), libm::log(ratio / smallest));
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        let beta = libm::exp(middle);
        let excited: f64 = gaps.iter().map(|gap| libm::exp(-beta * gap)).sum();
        if excited > sum { low = middle } else { high = middle }
    }
    libm::exp(0.5 * (low + high))
}
