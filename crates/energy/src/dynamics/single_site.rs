use super::{Blocks, Dynamics, HeatBath, Kernel, Metropolis, Order, Replica, Rule, SuwaTodo, TwoState};
use crate::draw::{Source, Stream, threshold};
use crate::error::Error;
use crate::problem::{Problem, Variables, spin32};
use alloc::vec::Vec;
use yuragi_numeric::elementary::{exp, sigmoid};

/// One variable at a time.
///
/// ```
/// use yuragi_energy::dynamics::{HeatBath, Order, SingleSite};
/// let sequential = SingleSite::sequential(HeatBath);
/// assert_eq!(sequential, SingleSite { kernel: HeatBath, order: Order::Sequential });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SingleSite<K> {
    /// How a variable is drawn.
    pub kernel: K,
    /// In which order.
    pub order: Order,
}

impl<K> SingleSite<K> {
    /// Sites 0, 1, …, N−1.
    pub fn sequential(kernel: K) -> Self {
        Self { kernel, order: Order::Sequential }
    }

    /// Colour by colour.
    pub fn checkerboard(kernel: K) -> Self {
        Self { kernel, order: Order::Checkerboard }
    }

    /// N sites drawn with replacement.
    pub fn random(kernel: K) -> Self {
        Self { kernel, order: Order::Random }
    }
}

/// The threshold of one spin's draw: see [`Rule`]. `value` is the spin's, `field` its λ.
#[inline(always)]
pub(crate) fn spin_threshold(rule: Rule, value: u8, field: f32, beta: f32) -> u64 {
    threshold(spin_probability(rule, spin32(value) * field, field, beta))
}

/// The probability of that draw; `aligned` is x·λ.
#[inline(always)]
pub(crate) fn spin_probability(rule: Rule, aligned: f32, field: f32, beta: f32) -> f32 {
    match rule {
        Rule::Metropolis => {
            let rise = 2.0 * aligned;
            let probability = exp(-(beta * rise));
            if rise > 0.0 { probability } else { 1.0 }
        }
        Rule::HeatBath => sigmoid(2.0 * (beta * field)),
    }
}

/// The spin's next value, once it is known whether u < threshold.
#[inline(always)]
pub(crate) fn spin_outcome(rule: Rule, value: u8, below: bool) -> u8 {
    match rule {
        Rule::Metropolis => value ^ u8::from(below),
        Rule::HeatBath => below.into(),
    }
}

impl<K: Kernel> Dynamics for SingleSite<K> {
    type Plan = Vec<u32>;

    fn plan(&self, problem: &Problem) -> Result<Vec<u32>, Error> {
        Ok(self.order.visits(problem))
    }

    fn sweep<S: Source>(&self, plan: &Vec<u32>, problem: &Problem, replica: &mut Replica, beta: f32, source: &mut S) {
        let n = problem.len() as u32;
        for step in 0..n {
            let (site, counter) = match plan.get(step as usize) {
                Some(&site) => (site, site),
                None => (source.below(step, Stream::Site, n), step),
            };
            let k = site as usize;
            match problem.variables() {
                Variables::Spin => {
                    let (rule, value) = (self.kernel.rule(), replica.value(k));
                    let threshold = spin_threshold(rule, value, replica.field(problem, k), beta);
                    let below = source.chance(counter, Stream::Accept, threshold);
                    replica.set(problem, k, spin_outcome(rule, value, below));
                }
                Variables::Potts(_) => Blocks::<K>::draw(self.kernel, &[site], problem, replica, beta, counter, source),
            }
        }
    }

    fn two_state(&self) -> Option<TwoState> {
        (self.order != Order::Random).then(|| TwoState { rule: self.kernel.rule(), order: self.order })
    }
}

macro_rules! sequential {
    ($($kernel:ident),*) => {$(
        /// As [`SingleSite::sequential`].
        impl Dynamics for $kernel {
            type Plan = Vec<u32>;

            fn plan(&self, problem: &Problem) -> Result<Vec<u32>, Error> {
                SingleSite::sequential(*self).plan(problem)
            }

            fn sweep<S: Source>(
                &self,
                plan: &Vec<u32>,
                problem: &Problem,
                replica: &mut Replica,
                beta: f32,
                source: &mut S,
            ) {
                SingleSite::sequential(*self).sweep(plan, problem, replica, beta, source);
            }

            fn two_state(&self) -> Option<TwoState> {
                SingleSite::sequential(*self).two_state()
            }
        }
    )*};
}

sequential!(Metropolis, HeatBath, SuwaTodo);
