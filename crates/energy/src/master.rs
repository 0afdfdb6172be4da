//! The master equation: the exact transition matrix of a [`Dynamics`] on a small problem, found by
//! following every decision that one sweep can take.

use crate::draw::{CERTAIN, Source, Stream};
use crate::dynamics::{Dynamics, Replica};
use crate::error::{Error, length, range};
use crate::exact::{digits, enumerate, number};
use crate::problem::Problem;
use alloc::vec::Vec;
use yuragi_numeric::special::sum;

/// The largest number of states.
const LARGEST: usize = 1 << 11;

/// W\[x′, x\] = P(x → x′) of one sweep, so that columns sum to 1 and p_{t+1} = W p_t.
///
/// States are numbered as in [`Enumeration`](crate::exact::Enumeration). For a lifted chain there are
/// twice as many: those of direction +1, then those of direction −1.
#[derive(Clone, Debug, PartialEq)]
pub struct TransitionMatrix {
    size: usize,
    /// Column by column: P(x → x′) at x·size + x′.
    columns: Vec<f64>,
    /// exp(−βE)/Z, divided between the directions of a lifted chain.
    stationary: Vec<f64>,
}

impl TransitionMatrix {
    /// Follows every decision of one sweep from every state. A sweep of N random sites has at least (2N)ᴺ
    /// courses: keep N small.
    ///
    /// # Errors
    /// More than 2¹¹ states, a β that is negative or not finite, or a problem that the chain is not for.
    ///
    /// ```
    /// use yuragi_energy::{Problem, dynamics::Metropolis, master::TransitionMatrix};
    /// let pair = Problem::ising(2, [(0, 1, 1.0)], &[0.3, 0.0])?;
    /// let sweep = TransitionMatrix::new(&Metropolis, &pair, 0.7)?;
    /// assert!(sweep.column_error() < 1e-12);
    /// assert!(sweep.balance_error() < 1e-6); // acceptance probabilities are f32
    /// assert!(sweep.detailed_balance_error() > 1e-3); // a sweep in order is not its own reverse
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn new<D: Dynamics>(dynamics: &D, problem: &Problem, beta: f32) -> Result<Self, Error> {
        range("beta", beta.into(), beta >= 0.0 && beta.is_finite(), "finite and at least 0")?;
        let plan = dynamics.plan(problem)?;
        let exact = enumerate(problem)?;
        let (states, configurations) = (problem.variables().states(), exact.energies().len());
        let directions = if D::LIFTED { 2 } else { 1 };
        let size = directions * configurations;
        range("the number of states", size as f64, size <= LARGEST, "at most 2048")?;
        let mut columns = alloc::vec![0.0; size * size];
        let mut values = alloc::vec![0; problem.len()];
        for (x, column) in columns.chunks_mut(size).enumerate() {
            digits(x % configurations, states, &mut values);
            let start = Replica::new(problem, &values)?.with_direction(x < configurations);
            let mut courses = Courses::default();
            loop {
                let mut replica = start.clone();
                dynamics.sweep(&plan, problem, &mut replica, beta, &mut courses);
                let down = usize::from(D::LIFTED && !replica.direction());
                column[down * configurations + number(states, replica.values())] += courses.probability();
                if !courses.next() {
                    break;
                }
            }
        }
        let distribution = exact.distribution(beta.into());
        let stationary = (0..size).map(|x| distribution[x % configurations] / directions as f64).collect();
        Ok(Self { size, columns, stationary })
    }

    /// The number of states.
    pub fn size(&self) -> usize {
        self.size
    }

    /// P(`from` → `to`); 0 for states that do not exist.
    pub fn probability(&self, from: usize, to: usize) -> f64 {
        let exists = from < self.size && to < self.size;
        if exists { self.columns[from * self.size + to] } else { 0.0 }
    }

    /// The distribution that should be stationary.
    pub fn stationary(&self) -> &[f64] {
        &self.stationary
    }

    /// One step of the master equation: W p.
    ///
    /// # Errors
    /// A distribution of the wrong length.
    pub fn advance(&self, distribution: &[f64]) -> Result<Vec<f64>, Error> {
        length("the distribution", distribution.len(), self.size)?;
        let mut next = alloc::vec![0.0; self.size];
        for (column, p) in self.columns.chunks(self.size).zip(distribution) {
            for (next, w) in next.iter_mut().zip(column) {
                *next += w * p;
            }
        }
        Ok(next)
    }

    /// The largest |Σ_{x′} W\[x′, x\] − 1|.
    pub fn column_error(&self) -> f64 {
        let errors = self.columns.chunks(self.size).map(|column| (sum(column.iter().copied()) - 1.0).abs());
        errors.fold(0.0, f64::max)
    }

    /// Balance: Σ_{x′} |(W π)(x′) − π(x′)|.
    pub fn balance_error(&self) -> f64 {
        let next = self.advance(&self.stationary).unwrap_or_default();
        next.iter().zip(&self.stationary).map(|(next, p)| (next - p).abs()).sum()
    }

    /// Detailed balance: Σ over pairs of |π(x) P(x → x′) − π(x′) P(x′ → x)|.
    pub fn detailed_balance_error(&self) -> f64 {
        self.flow_difference(|x| x)
    }

    /// Skewed detailed balance of a lifted chain: Σ over x ≠ x′ and ε of
    /// |π(x) P((x, ε) → (x′, ε)) − π(x′) P((x′, −ε) → (x, −ε))|. 0 for other chains.
    ///
    /// It holds of one step; of a sweep it holds with all turns of the direction between the steps.
    pub fn skew_balance_error(&self) -> f64 {
        let half = self.size / 2;
        self.flow_difference(|x| (x + half) % self.size)
    }

    fn flow_difference(&self, reverse: impl Fn(usize) -> usize) -> f64 {
        let flow = |x: usize, y: usize| self.stationary[x] * self.probability(x, y);
        let pairs = (0..self.size).flat_map(|x| (0..self.size).map(move |y| (x, y)));
        0.5 * pairs.map(|(x, y)| (flow(x, y) - flow(reverse(y), reverse(x))).abs()).sum::<f64>()
    }
}

/// Walks through all courses of decisions, depth first: a course is replayed up to its last decision
/// that has an outcome left.
#[derive(Default)]
struct Courses {
    decisions: Vec<Decision>,
    at: usize,
}

struct Decision {
    /// (outcome, probability), all positive, last first.
    left: Vec<(usize, f64)>,
}

impl Courses {
    fn decide(&mut self, outcomes: impl Iterator<Item = (usize, f64)>) -> usize {
        if self.at == self.decisions.len() {
            self.decisions.push(Decision { left: outcomes.filter(|outcome| outcome.1 > 0.0).collect() });
        }
        let decision = &self.decisions[self.at];
        self.at += 1;
        decision.left.last().map_or(0, |outcome| outcome.0)
    }

    fn probability(&self) -> f64 {
        self.decisions.iter().filter_map(|decision| decision.left.last()).map(|outcome| outcome.1).product()
    }

    /// On to the next course; false after the last.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some(decision) = self.decisions.last_mut() {
            decision.left.pop();
            if !decision.left.is_empty() {
                return true;
            }
            self.decisions.pop();
        }
        false
    }
}

impl Source for Courses {
    fn chance(&mut self, _: u32, _: Stream, threshold: u64) -> bool {
        if threshold == 0 || threshold >= CERTAIN {
            return threshold != 0;
        }
        let p = threshold as f64 / CERTAIN as f64;
        self.decide([(0, 1.0 - p), (1, p)].into_iter()) == 1
    }

    fn below(&mut self, _: u32, _: Stream, count: u32) -> u32 {
        self.decide((0..count as usize).map(|i| (i, 1.0 / f64::from(count)))) as u32
    }

    fn pick(&mut self, _: u32, _: Stream, cumulative: &[u64]) -> usize {
        let last = cumulative.len().saturating_sub(1);
        let mut before = 0;
        self.decide(cumulative.iter().enumerate().map(|(i, &end)| {
            let end = if i == last { CERTAIN } else { end.max(before) };
            let p = (end - before) as f64 / CERTAIN as f64;
            before = end;
            (i, p)
        }))
    }
}
