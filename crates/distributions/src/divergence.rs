//! How far a distribution q is from p: in closed form, by sums and quadrature, or from samples.
//!
//! All four [`Divergence`]s are at least 0, and 0 only for equal distributions. Closed forms of the
//! Kullback–Leibler divergence are [`Information::kl`](crate::Information::kl).

use alloc::vec::Vec;

use yuragi_numeric::rand_core::Rng;
use yuragi_numeric::special::{Sum, softplus};

use crate::distribution::{Point, divergence_log_term, divergence_term};
use crate::error::{length, range};
use crate::quadrature::Rule;
use crate::{Distribution, Error, Extent, Scalar};

/// A measure of difference between distributions, in nats where it is one of information.
///
/// ```
/// use yuragi_distributions::divergence::Divergence;
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let (p, q) = ([0.5, 0.5], [0.9, 0.1]);
/// let forward = Divergence::KullbackLeibler.of_probabilities(&p, &q)?;
/// let reverse = Divergence::ReverseKullbackLeibler.of_probabilities(&p, &q)?;
/// assert!(forward > 0.0 && reverse > 0.0 && forward != reverse); // no distance: not symmetric
/// assert!((Divergence::TotalVariation.of_probabilities(&p, &q)? - 0.4).abs() < 1e-15);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// D(p‖q) = Σ p ln(p/q) (Kullback and Leibler 1951); ∞ where p has probability that q has not.
    KullbackLeibler,
    /// D(q‖p).
    ReverseKullbackLeibler,
    /// ½D(p‖m) + ½D(q‖m) with m = ½(p+q) (Lin 1991): symmetric, at most ln 2.
    JensenShannon,
    /// ½ Σ |p − q|, half the L1 norm: symmetric, at most 1.
    TotalVariation,
}

/// An average with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The average.
    pub value: f64,
    /// The standard deviation of the average, estimated from the same sample; ∞ for an average of ∞.
    pub standard_error: f64,
}

impl Divergence {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::KullbackLeibler, Self::ReverseKullbackLeibler, Self::JensenShannon, Self::TotalVariation];

    /// Between two lists of probabilities.
    ///
    /// # Errors
    /// Lists of different lengths, a probability that is not in [0, 1], or a sum further than 10⁻⁹ from 1.
    pub fn of_probabilities(self, p: &[f64], q: &[f64]) -> Result<f64, Error> {
        length("the second distribution", q.len(), p.len())?;
        for list in [p, q] {
            for value in list {
                range("a probability", *value, (0.0..=1.0).contains(value), "in [0, 1]")?;
            }
            let total = yuragi_numeric::special::sum(list.iter().copied());
            range("the sum of the probabilities", total, (total - 1.0).abs() <= 1e-9, "1, to 1e-9")?;
        }
        Ok(yuragi_numeric::special::sum(p.iter().zip(q).map(|(p, q)| self.term(*p, *q))))
    }

    /// Between two distributions of numbers: a sum over whole numbers, or adaptive quadrature to about
    /// 10⁻¹² of the value. A discrete and a continuous distribution have nothing in common.
    pub fn by_quadrature<P: Scalar, Q: Scalar>(self, p: &P, q: &Q) -> f64 {
        match (p.extent(), q.extent()) {
            (Extent::Integers(a, b), Extent::Integers(c, d)) => {
                let mut sum = Sum::default();
                for k in a.min(c)..=b.max(d) {
                    sum += self.log_term(p.log_density(k as f64), q.log_density(k as f64));
                }
                sum.value()
            }
            (Extent::Reals(a), Extent::Reals(b)) => {
                let mut marks: Vec<f64> = a.into_iter().chain(b).collect();
                marks.sort_by(f64::total_cmp);
                if self == Self::TotalVariation {
                    marks.extend(crossings(&marks, |x| p.log_density(x) - q.log_density(x)));
                    marks.sort_by(f64::total_cmp);
                }
                let f = |x: f64| self.log_term(p.log_density(x), q.log_density(x));
                Rule::new().integrate(&f, &marks)
            }
            _ => self.term(1.0, 0.0) + self.term(0.0, 1.0),
        }
    }

    /// From `n` points of each distribution that the formula averages over: p, q or both. Unbiased, but
    /// only as good as [`Estimate::standard_error`] says, and blind to what no point meets.
    ///
    /// # Errors
    /// Fewer than 2 points, or distributions of different dimensions.
    pub fn by_sampling<P, Q, R>(self, p: &P, q: &Q, n: usize, rng: &mut R) -> Result<Estimate, Error>
    where
        P: Distribution,
        Q: Distribution,
        R: Rng + ?Sized,
    {
        range("the number of points", n as f64, n >= 2, "at least 2")?;
        length("a point of the second distribution", q.dimension(), p.dimension())?;
        // The ratio ln(q/p) at points of p, and ln(p/q) at points of q, are all that the formulas need.
        let from_p =
            |rng: &mut R, f: fn(f64) -> f64| average(p, n, rng, |x, p_x| f(q.log_density(Q::Point::of(x)) - p_x));
        let from_q =
            |rng: &mut R, f: fn(f64) -> f64| average(q, n, rng, |x, q_x| f(p.log_density(P::Point::of(x)) - q_x));
        Ok(match self {
            Self::KullbackLeibler => from_p(rng, |log_ratio| -log_ratio),
            Self::ReverseKullbackLeibler => from_q(rng, |log_ratio| -log_ratio),
            // ln(p/m) = ln 2 − ln(1 + q/p).
            Self::JensenShannon => {
                let half = |log_ratio| core::f64::consts::LN_2 - softplus(log_ratio);
                from_p(rng, half).mean_with(from_q(rng, half))
            }
            // Σ (p − q)₊ = E_p(1 − q/p)₊, and as much from the other side.
            Self::TotalVariation => {
                let excess = |log_ratio: f64| -libm::expm1(log_ratio.min(0.0));
                from_p(rng, excess).mean_with(from_q(rng, excess))
            }
        })
    }

    /// What a state of probabilities p and q adds; at least 0.
    fn term(self, p: f64, q: f64) -> f64 {
        match self {
            Self::KullbackLeibler => divergence_term(p, q),
            Self::ReverseKullbackLeibler => divergence_term(q, p),
            Self::JensenShannon => {
                let middle = 0.5 * p + 0.5 * q;
                0.5 * divergence_term(p, middle) + 0.5 * divergence_term(q, middle)
            }
            Self::TotalVariation => 0.5 * (p - q).abs(),
        }
    }

    /// The same from the logarithms.
    fn log_term(self, log_p: f64, log_q: f64) -> f64 {
        match self {
            Self::KullbackLeibler => divergence_log_term(log_p, log_q),
            Self::ReverseKullbackLeibler => divergence_log_term(log_q, log_p),
            _ => self.term(libm::exp(log_p), libm::exp(log_q)),
        }
    }
}

impl Estimate {
    /// The mean of two independent estimates.
    fn mean_with(self, other: Self) -> Self {
        let standard_error = 0.5 * libm::hypot(self.standard_error, other.standard_error);
        Self { value: 0.5 * (self.value + other.value), standard_error }
    }
}

/// Where `f` changes its sign between ascending marks. |p − q| bends there, which a rule of quadrature
/// may not see between the end of a piece and its first node.
fn crossings(marks: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    const CELLS: usize = 16;
    let mut found = Vec::new();
    for pair in marks.windows(2) {
        let at = |cell: usize| pair[0] + (pair[1] - pair[0]) * (cell as f64 / CELLS as f64);
        for cell in 0..CELLS {
            let (mut low, mut high) = (at(cell), at(cell + 1));
            let below = f(low) < 0.0;
            if (f(high) < 0.0) == below {
                continue;
            }
            for _ in 0..60 {
                let middle = 0.5 * low + 0.5 * high;
                if (f(middle) < 0.0) == below { low = middle } else { high = middle }
            }
            found.push(low);
        }
    }
    found
}

/// The average of f(x, ln p(x)) over points of p.
fn average<P, R>(p: &P, n: usize, rng: &mut R, f: impl Fn(&[f64], f64) -> f64) -> Estimate
where
    P: Distribution,
    R: Rng + ?Sized,
{
    let mut x = alloc::vec![0.0; p.dimension()];
    // Welford's recurrences.
    let (mut mean, mut squares) = (0.0, 0.0);
    for i in 0..n {
        p.draw(rng, &mut x);
        let value = f(&x, p.log_density(P::Point::of(&x)));
        if !value.is_finite() {
            return Estimate { value: f64::INFINITY, standard_error: f64::INFINITY };
        }
        let before = value - mean;
        mean += before / (i + 1) as f64;
        squares += before * (value - mean);
    }
    Estimate { value: mean, standard_error: libm::sqrt(squares / ((n - 1) as f64 * n as f64)) }
}
