use super::{Dynamics, Order, Replica};
use crate::draw::{Source, Stream, threshold, threshold64};
use crate::error::{Error, range};
use crate::problem::{Problem, Variables, spin32};
use alloc::vec::Vec;
use yuragi_numeric::elementary::exp;

/// A proposed change of one or two variables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// (variable, new value).
    pub first: (u32, u8),
    /// Another variable that changes with it.
    pub second: Option<(u32, u8)>,
    /// c(x′|x): the probability that this is proposed, at this site.
    pub forward: f32,
    /// c(x|x′): the probability that the way back is proposed from x′, at the same site.
    pub backward: f32,
}

/// What may be proposed at a site.
pub trait Proposal: Send + Sync {
    /// Lists the moves at `site` in configuration `values`. Their probabilities sum to at most 1; with
    /// the rest nothing is proposed. Moves that name no variable or no value of the problem
    /// are never taken.
    fn moves(&self, problem: &Problem, values: &[u8], site: usize, moves: &mut Vec<Move>);
}

/// Metropolis–Hastings: at each visited site a move is proposed and accepted with
/// min{1, P(x′)c(x|x′) / (P(x)c(x′|x))}.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetropolisHastings<P> {
    /// What is proposed.
    pub proposal: P,
    /// The order of the sites.
    pub order: Order,
}

/// Two neighbours exchange their values, so that how often each value occurs is kept (Kawasaki 1966).
/// The chain is ergodic among such configurations only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kawasaki;

impl Proposal for Kawasaki {
    fn moves(&self, problem: &Problem, values: &[u8], site: usize, moves: &mut Vec<Move>) {
        let share = 1.0 / problem.neighbours(site).count() as f32;
        moves.extend(problem.neighbours(site).filter(|&(other, _)| values[other] != values[site]).map(|(other, _)| {
            Move {
                first: (site as u32, values[other]),
                second: Some((other as u32, values[site])),
                forward: share,
                backward: share,
            }
        }));
    }
}

/// The value goes up by 1 with probability `up`, else down by 1, both modulo q: a proposal that is not
/// symmetric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation {
    /// The probability to go up, in (0, 1).
    pub up: f32,
}

impl Proposal for Rotation {
    fn moves(&self, problem: &Problem, values: &[u8], site: usize, moves: &mut Vec<Move>) {
        let q = problem.variables().states() as u16;
        for (step, forward) in [(1, self.up), (q - 1, 1.0 - self.up)] {
            let value = (u16::from(values[site]) + step) % q;
            moves.push(Move { first: (site as u32, value as u8), second: None, forward, backward: 1.0 - forward });
        }
    }
}

impl<P: Proposal> Dynamics for MetropolisHastings<P> {
    type Plan = Vec<u32>;

    fn plan(&self, problem: &Problem) -> Result<Vec<u32>, Error> {
        // A chain that can propose nothing anywhere, or more than it may, is a mistake that can be seen here.
        let mut moves = Vec::new();
        let values = alloc::vec![0; problem.len()];
        for site in 0..problem.len() {
            moves.clear();
            self.proposal.moves(problem, &values, site, &mut moves);
            let total: f32 = moves.iter().map(|step| step.forward).sum();
            range("the sum of the proposal's probabilities", total.into(), total <= 1.0 + 1e-5, "at most 1")?;
        }
        Ok(self.order.visits(problem))
    }

    fn sweep<S: Source>(&self, plan: &Vec<u32>, problem: &Problem, replica: &mut Replica, beta: f32, source: &mut S) {
        let n = problem.len() as u32;
        let (mut moves, mut cumulative) = (Vec::new(), Vec::new());
        for step in 0..n {
            let (site, counter) = match plan.get(step as usize) {
                Some(&site) => (site, site),
                None => (source.below(step, Stream::Site, n), step),
            };
            moves.clear();
            self.proposal.moves(problem, replica.values(), site as usize, &mut moves);
            cumulative.clear();
            let mut sum = 0.0;
            cumulative.extend(moves.iter().map(|step| {
                sum += f64::from(step.forward.max(0.0));
                threshold64(sum)
            }));
            cumulative.push(crate::draw::CERTAIN); // nothing is proposed
            let Some(proposed) = moves.get(source.pick(counter, Stream::Proposal, &cumulative)) else { continue };
            let Some(rise) = rise(problem, replica, proposed) else { continue };
            let ratio = exp(-(beta * rise)) * (proposed.backward / proposed.forward);
            if source.chance(counter, Stream::Accept, threshold(ratio)) {
                for (k, value) in [Some(proposed.first), proposed.second].into_iter().flatten() {
                    replica.set(problem, k as usize, value);
                }
            }
        }
    }
}

/// E(x′) − E(x); nothing if the move does not exist.
fn rise(problem: &Problem, replica: &Replica, proposed: &Move) -> Option<f32> {
    let states = problem.variables().states();
    let exists = |(k, value): (u32, u8)| (k as usize) < problem.len() && usize::from(value) < states;
    let first = proposed.first;
    if !exists(first) {
        return None;
    }
    let mut rise = alone(problem, replica, first);
    if let Some(second) = proposed.second {
        if !exists(second) || second.0 == first.0 {
            return None;
        }
        rise += alone(problem, replica, second);
        // Each change was counted as if the other variable stayed.
        let weight = problem.table().rounded(first.0 as usize, second.0 as usize);
        let [(s, s_new), (t, t_new)] = [first, second].map(|(k, value)| (replica.value(k as usize), value));
        let pair = |s: u8, t: u8| match problem.variables() {
            Variables::Spin => spin32(s) * spin32(t),
            Variables::Potts(_) => f32::from(u8::from(s == t)),
        };
        let counted = pair(s_new, t) + pair(s, t_new) - 2.0 * pair(s, t);
        rise -= weight * (pair(s_new, t_new) - pair(s, t) - counted);
    }
    Some(rise)
}

/// The rise of E if only this variable changed.
fn alone(problem: &Problem, replica: &Replica, (k, value): (u32, u8)) -> f32 {
    let k = k as usize;
    match problem.variables() {
        Variables::Spin => (spin32(replica.value(k)) - spin32(value)) * replica.field(problem, k),
        Variables::Potts(_) => {
            let weight = |value| problem.rounded_weight(k, value, replica.values());
            weight(replica.value(k)) - weight(value)
        }
    }
}
