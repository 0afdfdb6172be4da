//! Expectation–maximisation of a small machine.

use super::{Rbm, Units};
use crate::error::{Error, range};
use crate::minimize::minimize;
use alloc::vec::Vec;
use yuragi_distributions::em::ExpectationMaximization;
use yuragi_numeric::special::{log_sum_exp, sum};

/// The largest hidden layer that is summed over.
const LARGEST: usize = 16;
/// Evaluations of an M step.
const EVALUATIONS: u32 = 200;

/// EM on rows of visible values (two-state units, at most 16 hidden ones). The posterior of the hidden units is a product,
/// so the E step is exact and the bound is the mean log-likelihood. The M step maximises ⟨−E(v, h)⟩_r − ln Z, which is
/// concave, by L-BFGS with ln Z summed exactly.
///
/// ```
/// use yuragi_distributions::em::{Limits, ascend};
/// use yuragi_energy::rbm::{Rbm, Units};
/// use core::ops::ControlFlow;
/// let rows = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0].repeat(5);
/// let mut rbm = Rbm::new(4, 2, Units::Binary, Units::Binary)?;
/// rbm.randomize(0.1, 1);
/// let limits = Limits { iterations: 100, tolerance: 1e-6 };
/// let ascent = ascend(&mut rbm, &rows[..], &limits, |_| ControlFlow::Continue(()))?;
/// assert!(ascent.bound() > -0.75); // two patterns: −ln 2 = −0.69 at best
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
impl ExpectationMaximization<[f32]> for Rbm {
    /// ⟨h⟩ of every row.
    type Expectation = Vec<f32>;
    type Error = Error;

    fn expectation(&self, data: &[f32]) -> Result<(f64, Self::Expectation), Error> {
        let rows = self.rows(data)?;
        check(self, rows)?;
        let likelihood = -sum(self.free_energies(data)?) / rows as f64 - Parameters::of(self).log_z(self, |_, _| {});
        Ok((likelihood, self.hidden_means(data)?))
    }

    fn maximization(&mut self, data: &[f32], expectation: Self::Expectation) -> Result<(), Error> {
        let rows = self.rows(data)?;
        check(self, rows)?;
        let (n, m) = (self.visible, self.hidden);
        crate::error::length("the hidden means", expectation.len(), rows * m)?;
        let mut wanted = alloc::vec![0.0; n * m + n + m];
        for (v, h) in data.chunks(n).zip(expectation.chunks(m)) {
            let (v, h) = (v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), h.iter().map(|&h| f64::from(h)));
            add_moments(&v, &h.collect::<Vec<_>>(), 1.0 / rows as f64, &mut wanted);
        }
        let start = Parameters::of(self).0;
        let machine = &*self;
        let objective = |parameters: &[f64], gradient: &mut [f64]| {
            gradient.iter_mut().zip(&wanted).for_each(|(gradient, wanted)| *gradient = -wanted);
            let parameters = Parameters(parameters.to_vec());
            let log_z = parameters.log_z(machine, |probability, (v, h)| add_moments(v, h, probability, gradient));
            log_z - parameters.0.iter().zip(&wanted).map(|(parameter, wanted)| parameter * wanted).sum::<f64>()
        };
        let found = minimize(objective, &start, EVALUATIONS, 1e-9).at;
        let (weights, biases) = found.split_at(n * m);
        let parts = [
            (&mut self.weights, weights),
            (&mut self.visible_bias, &biases[..n]),
            (&mut self.hidden_bias, &biases[n..]),
        ];
        for (part, found) in parts {
            part.iter_mut().zip(found).for_each(|(parameter, &found)| *parameter = found as f32);
        }
        Ok(())
    }
}

fn check(rbm: &Rbm, rows: usize) -> Result<(), Error> {
    range("the number of rows", rows as f64, rows > 0, "at least 1")?;
    if rbm.visible_units == Units::Gaussian || rbm.hidden > LARGEST {
        return Err(Error::Unsupported {
            what: "exact EM",
            needs: "two-state visible units and at most 16 hidden ones",
        });
    }
    Ok(())
}

/// ⟨v hᵀ⟩, ⟨v⟩, ⟨h⟩ += share · (v hᵀ, v, h).
fn add_moments(v: &[f64], h: &[f64], share: f64, moments: &mut [f64]) {
    let (products, singles) = moments.split_at_mut(v.len() * h.len());
    for (products, v) in products.chunks_mut(h.len()).zip(v) {
        products.iter_mut().zip(h).for_each(|(product, h)| *product += share * v * h);
    }
    singles.iter_mut().zip(v.iter().chain(h)).for_each(|(single, x)| *single += share * x);
}

/// W, b, c in f64, one after another.
struct Parameters(Vec<f64>);

impl Parameters {
    fn of(rbm: &Rbm) -> Self {
        let all = rbm.weights.iter().chain(&rbm.visible_bias).chain(&rbm.hidden_bias);
        Self(all.map(|&parameter| parameter.into()).collect())
    }

    /// ln Z; `each` is told every hidden state's probability, with ⟨v⟩ given it, and itself.
    fn log_z(&self, rbm: &Rbm, mut each: impl FnMut(f64, (&[f64], &[f64]))) -> f64 {
        let (n, m) = (rbm.visible, rbm.hidden);
        let (weights, biases) = self.0.split_at(n * m);
        let (low, high, _) = rbm.hidden_units.two_state();
        let state = |number: usize, h: &mut [f64]| {
            h.iter_mut().enumerate().for_each(|(j, h)| *h = if number >> j & 1 == 1 { high } else { low }.into());
        };
        let fields = |h: &[f64], v: &mut [f64]| {
            for ((v, weights), bias) in v.iter_mut().zip(weights.chunks(m)).zip(biases) {
                *v = bias + weights.iter().zip(h).map(|(w, h)| w * h).sum::<f64>();
            }
        };
        let (mut h, mut v) = (alloc::vec![0.0; m], alloc::vec![0.0; n]);
        let exponents: Vec<f64> = (0..1 << m)
            .map(|number| {
                state(number, &mut h);
                fields(&h, &mut v);
                let own: f64 = biases[n..].iter().zip(&h).map(|(c, h)| c * h).sum();
                own + v.iter().map(|&field| rbm.visible_units.log_sum(field)).sum::<f64>()
            })
            .collect();
        let log_z = log_sum_exp(&exponents);
        for (number, exponent) in exponents.iter().enumerate() {
            state(number, &mut h);
            fields(&h, &mut v);
            v.iter_mut().for_each(|x| {
                *x = if rbm.visible_units == Units::Spin { libm::tanh(*x) } else { 1.0 / (1.0 + libm::exp(-*x)) };
            });
            each(libm::exp(exponent - log_z), (&v, &h));
        }
        log_z
    }
}
