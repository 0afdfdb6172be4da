use super::{Dynamics, Kernel, Order, Replica};
use crate::draw::{Source, Stream, threshold64};
use crate::error::{Error, range};
use crate::problem::{Problem, Variables, spin32};
use alloc::vec::Vec;
use yuragi_numeric::elementary::exp;

/// The largest number of joint values of a block.
const LARGEST: usize = 256;

/// Neighbouring variables taken together as one: m spins are one variable of 2ᵐ values, on which
/// [`SuwaTodo`](super::SuwaTodo) differs from [`Metropolis`](super::Metropolis). The blocks are sites
/// 0 … m−1, m … 2m−1, and so on; the last may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<K> {
    /// How a block is drawn.
    pub kernel: K,
    /// In which order the blocks are visited: [`Order::Sequential`] or [`Order::Random`].
    pub order: Order,
    /// The number of variables m of a block, at least 1, with qᵐ ≤ 256.
    pub size: usize,
}

impl<K: Kernel> Blocks<K> {
    /// Draws the variables `block` anew.
    pub(super) fn draw<S: Source>(
        kernel: K,
        block: &[u32],
        problem: &Problem,
        replica: &mut Replica,
        beta: f32,
        counter: u32,
        source: &mut S,
    ) {
        match problem.variables().states().pow(block.len() as u32) {
            0..=8 => Self::draw_within::<8, S>(kernel, block, problem, replica, beta, counter, source),
            _ => Self::draw_within::<LARGEST, S>(kernel, block, problem, replica, beta, counter, source),
        }
    }

    /// The same with tables of `TABLE` joint values.
    #[inline(always)]
    fn draw_within<const TABLE: usize, S: Source>(
        kernel: K,
        block: &[u32],
        problem: &Problem,
        replica: &mut Replica,
        beta: f32,
        counter: u32,
        source: &mut S,
    ) {
        let q = problem.variables().states();
        // Weights −E up to a constant, of every joint value: value of block[i] = ⌊s / qⁱ⌋ mod q.
        let mut joint = [0.0f32; TABLE];
        let (mut count, mut current) = (1, 0);
        for (i, &site) in block.iter().enumerate() {
            let k = site as usize;
            current += count * usize::from(replica.value(k));
            let earlier = &block[..i];
            let mut own = [0.0f32; TABLE];
            for (s, own) in own.iter_mut().enumerate().take(q) {
                *own = outside(problem, replica, block, k, s as u8);
            }
            // From the last value down, so that the shorter table below is read before it is written.
            for s in (0..q).rev() {
                for j in 0..count {
                    let mut weight = joint[j] + own[s];
                    let mut rest = j;
                    for &other in earlier {
                        weight += bond(problem, k, s, other as usize, rest % q);
                        rest /= q;
                    }
                    joint[s * count + j] = weight;
                }
            }
            count *= q;
        }
        let joint = &joint[..count];
        let highest = joint.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut weights = [0.0f64; TABLE];
        for (weight, x) in weights.iter_mut().zip(joint) {
            *weight = f64::from(exp(beta * (x - highest)));
        }
        let mut probabilities = [0.0; TABLE];
        kernel.probabilities(&weights[..count], current, &mut probabilities[..count]);
        let mut cumulative = [0; TABLE];
        let mut sum = 0.0;
        for (end, probability) in cumulative.iter_mut().zip(&probabilities[..count]) {
            sum += probability;
            *end = threshold64(sum);
        }
        // Rounding must not send the chain where its probability is 0.
        let last = probabilities[..count].iter().rposition(|&p| p > 0.0).unwrap_or(count - 1);
        cumulative[last] = crate::draw::CERTAIN;
        let mut chosen = source.pick(counter, Stream::Choice, &cumulative[..=last]);
        for &site in block {
            replica.set(problem, site as usize, (chosen % q) as u8);
            chosen /= q;
        }
    }
}

/// What x_k = `value` gives with the variables outside the block and its field.
#[inline(always)]
fn outside(problem: &Problem, replica: &Replica, block: &[u32], k: usize, value: u8) -> f32 {
    let others = block.iter().map(|&other| other as usize).filter(|&other| other != k);
    match problem.variables() {
        Variables::Spin => {
            let mut field = replica.field(problem, k);
            others.for_each(|other| field -= problem.table().rounded(k, other) * spin32(replica.value(other)));
            field * spin32(value)
        }
        Variables::Potts(_) => {
            let mut weight = problem.rounded_weight(k, value, replica.values());
            for other in others.filter(|&other| replica.value(other) == value) {
                weight -= problem.table().rounded(k, other);
            }
            weight
        }
    }
}

/// What the pair (x_k = s, x_l = t) gives.
#[inline(always)]
fn bond(problem: &Problem, k: usize, s: usize, l: usize, t: usize) -> f32 {
    let weight = problem.table().rounded(k, l);
    match problem.variables() {
        Variables::Spin => {
            if s == t {
                weight
            } else {
                -weight
            }
        }
        Variables::Potts(_) => {
            if s == t {
                weight
            } else {
                0.0
            }
        }
    }
}

impl<K: Kernel> Dynamics for Blocks<K> {
    type Plan = Vec<u32>;

    fn plan(&self, problem: &Problem) -> Result<Vec<u32>, Error> {
        let states = u32::try_from(self.size).ok().and_then(|m| problem.variables().states().checked_pow(m));
        let legal = self.size > 0 && states.is_some_and(|states| states <= LARGEST);
        range("the size of a block", self.size as f64, legal, "at least 1, with at most 256 joint values")?;
        if self.order == Order::Checkerboard {
            return Err(Error::Unsupported { what: "a chain of blocks", needs: "the order Sequential or Random" });
        }
        Ok((0..problem.len() as u32).collect())
    }

    fn sweep<S: Source>(&self, plan: &Vec<u32>, problem: &Problem, replica: &mut Replica, beta: f32, source: &mut S) {
        let count = plan.len().div_ceil(self.size.max(1)) as u32;
        for step in 0..count {
            let chosen = if self.order == Order::Random { source.below(step, Stream::Site, count) } else { step };
            if let Some(block) = plan.chunks(self.size.max(1)).nth(chosen as usize) {
                Self::draw(self.kernel, block, problem, replica, beta, step, source);
            }
        }
    }
}
