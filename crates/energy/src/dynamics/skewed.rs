use super::{Dynamics, Kernel, Replica};
use crate::draw::{CERTAIN, Source, Stream, threshold};
use crate::error::Error;
use crate::problem::{Problem, Variables, spin32};
use alloc::vec::Vec;

/// A lifted chain of single spins: beside x it keeps a direction ε = ±1, and flips only spins that turn
/// towards ε.
///
/// With T(x; ε) the probability to move at all from (x, ε), the direction turns with
/// probability Λ(x, ε) = max{0, T(x; −ε) − T(x; ε)} (Turitsyn, Chertkov and Vucelja, *Physica D* 240,
/// 410 (2011)). Then π(x) w(x → x′; ε) = π(x′) w(x′ → x; −ε), skewed detailed balance, and π/2 is
/// stationary on (x, ε), without detailed balance. The sums T are kept as exact integers.
///
/// A sweep is N steps at sites drawn with replacement. A flip costs the neighbours' probabilities, a
/// sweep at least N of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skewed<K> {
    /// Gives the probability of a flip.
    pub kernel: K,
}

/// Thresholds of the flips, and their sums over the spins that are 0 and that are 1.
struct Rates {
    thresholds: Vec<u64>,
    sums: [u64; 2],
}

impl<K: Kernel> Skewed<K> {
    fn threshold(&self, problem: &Problem, replica: &Replica, k: usize, beta: f32) -> u64 {
        let rise = 2.0 * (spin32(replica.value(k)) * replica.field(problem, k));
        threshold(self.kernel.flip(beta * rise))
    }

    fn rates(&self, problem: &Problem, replica: &Replica, beta: f32) -> Rates {
        let thresholds: Vec<u64> = (0..problem.len()).map(|k| self.threshold(problem, replica, k, beta)).collect();
        let mut sums = [0; 2];
        for (threshold, &value) in thresholds.iter().zip(replica.values()) {
            sums[usize::from(value & 1)] += threshold;
        }
        Rates { thresholds, sums }
    }
}

impl<K: Kernel> Dynamics for Skewed<K> {
    type Plan = ();

    const LIFTED: bool = true;

    fn plan(&self, problem: &Problem) -> Result<(), Error> {
        match problem.variables() {
            Variables::Spin => Ok(()),
            Variables::Potts(_) => Err(Error::Unsupported { what: "a lifted chain", needs: "spins" }),
        }
    }

    fn sweep<S: Source>(&self, _: &(), problem: &Problem, replica: &mut Replica, beta: f32, source: &mut S) {
        let n = problem.len() as u32;
        let mut rates = self.rates(problem, replica, beta);
        for step in 0..n {
            let k = source.below(step, Stream::Site, n) as usize;
            let movable = u8::from(!replica.up);
            let value = replica.value(k);
            if value == movable && source.chance(step, Stream::Accept, rates.thresholds[k]) {
                rates.sums[usize::from(value)] -= rates.thresholds[k];
                rates.sums[usize::from(value ^ 1)] += rates.thresholds[k];
                replica.set(problem, k, value ^ 1);
                let mut update = |l: usize| {
                    let new = self.threshold(problem, replica, l, beta);
                    let sum = &mut rates.sums[usize::from(replica.value(l))];
                    *sum = *sum - rates.thresholds[l] + new;
                    rates.thresholds[l] = new;
                };
                update(k);
                problem.neighbours(k).for_each(|(l, _)| update(l));
            } else {
                let onward = rates.sums[usize::from(movable)];
                let back = rates.sums[usize::from(movable ^ 1)];
                let stay = u64::from(n) * CERTAIN - onward;
                let turn = u128::from(back.saturating_sub(onward)) * u128::from(CERTAIN);
                let turn = turn.checked_div(stay.into()).unwrap_or(0) as u64;
                if source.chance(step, Stream::Turn, turn) {
                    replica.up = !replica.up;
                }
            }
        }
    }
}
