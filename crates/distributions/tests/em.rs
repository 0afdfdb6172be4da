//! T09: expectation–maximisation in general: the bound, its gap, and the trait.

mod common;

use core::ops::ControlFlow::{Break, Continue};

use common::{between, probabilities, rng};
use yuragi_distributions::em::{
    End, ExpectationMaximization, Limits, Progress, ascend, bound, gap, posterior, q_function,
};
use yuragi_distributions::random::index;
use yuragi_distributions::score::log_likelihood;
use yuragi_distributions::{
    Bernoulli, Categorical, Data, Distribution, Error, Exponential, Independent, Laplace, Mixture, Poisson,
};

#[test]
fn t09_evidence_is_bound_plus_gap() {
    let mut rng = rng(1);
    for _ in 0..500 {
        // q(x, z) over 6 values of x and up to 8 of z.
        let states = 1 + index(&mut rng, 8);
        let joint = probabilities(&mut rng, 6 * states);
        for row in joint.chunks_exact(states) {
            let log_joint: Vec<f64> = row.iter().map(|q| q.ln()).collect();
            let evidence = row.iter().sum::<f64>().ln();
            let r = probabilities(&mut rng, states);
            let (bound_r, gap_r) = (bound(&log_joint, &r).unwrap(), gap(&log_joint, &r).unwrap());
            assert!((bound_r + gap_r - evidence).abs() < 1e-12 * evidence.abs().max(1.0), "{log_joint:?} {r:?}");
            assert!(gap_r >= 0.0);
            // Only the posterior closes it.
            let mut best = vec![0.0; states];
            assert!((posterior(&log_joint, &mut best).unwrap() - evidence).abs() < 1e-13 * evidence.abs().max(1.0));
            assert!(gap(&log_joint, &best).unwrap() < 1e-14);
            assert!((bound(&log_joint, &best).unwrap() - evidence).abs() < 1e-12 * evidence.abs().max(1.0));
            // bound − Q = the entropy of r, which no parameter changes.
            let entropy = Categorical::new(&r).map(|r| yuragi_distributions::Information::entropy(&r)).unwrap();
            assert!((bound_r - q_function(&log_joint, &r).unwrap() - entropy).abs() < 1e-13);
        }
    }
}

#[test]
fn t09_identity_holds_in_the_corners() {
    let inf = f64::NEG_INFINITY;
    // r in one state; a state that the model does not have; a scale that underflows.
    for (log_joint, r) in [
        (vec![-1.0, -2.0, -3.0], vec![0.0, 1.0, 0.0]),
        (vec![-1.0, inf, -3.0], vec![0.5, 0.0, 0.5]),
        (vec![-5000.0, -5001.0, -5800.0], vec![0.2, 0.3, 0.5]),
    ] {
        let mut best = vec![0.0; 3];
        let evidence = posterior(&log_joint, &mut best).unwrap();
        let sum = bound(&log_joint, &r).unwrap() + gap(&log_joint, &r).unwrap();
        assert!((sum - evidence).abs() < 1e-12 * evidence.abs(), "{sum} {evidence}");
        // Differences of logarithms of this size are rounded by ε times it.
        assert!((best.iter().sum::<f64>() - 1.0).abs() < 2.0 * f64::EPSILON * evidence.abs());
    }
    // Probability where the model has none: an infinite gap.
    assert_eq!(bound(&[0.0, inf], &[0.5, 0.5]), Ok(inf));
    assert_eq!(gap(&[0.0, inf], &[0.5, 0.5]), Ok(f64::INFINITY));
    // Nothing possible at all: r stays a distribution.
    let mut r = [0.0; 2];
    assert_eq!(posterior(&[inf, inf], &mut r), Ok(inf));
    assert_eq!(r, [0.5, 0.5]);
    assert!(matches!(gap(&[inf, inf], &r), Err(Error::Degenerate { .. })));
}

#[test]
fn t09_wrong_arguments_are_refused() {
    assert!(posterior(&[], &mut []).is_err());
    assert!(posterior(&[f64::NAN], &mut [0.0]).is_err());
    assert!(posterior(&[f64::INFINITY], &mut [0.0]).is_err());
    assert!(matches!(posterior(&[0.0], &mut [0.0; 2]), Err(Error::Length { .. })));
    for r in [[0.5, 0.6], [1.5, -0.5], [f64::NAN, 1.0]] {
        assert!(matches!(bound(&[0.0, 0.0], &r), Err(Error::Range { .. })));
        assert!(matches!(gap(&[0.0, 0.0], &r), Err(Error::Range { .. })));
    }
}

/// Bags of ten flips of one of two coins: which one is not seen.
#[derive(Clone)]
struct Coins {
    first: f64,
    heads: [f64; 2],
}

impl Coins {
    fn log_joint(&self, heads: u32) -> [f64; 2] {
        let choose = |p: f64| f64::from(heads) * p.ln() + f64::from(10 - heads) * (1.0 - p).ln();
        [self.first.ln() + choose(self.heads[0]), (1.0 - self.first).ln() + choose(self.heads[1])]
    }

    /// Σ over bags of Σ_z r(z) ln q(x, z).
    fn q(&self, bags: &[u32], r: &[[f64; 2]]) -> f64 {
        bags.iter().zip(r).map(|(heads, r)| q_function(&self.log_joint(*heads), r).unwrap()).sum()
    }
}

impl ExpectationMaximization<[u32]> for Coins {
    type Expectation = Vec<[f64; 2]>;
    type Error = Error;

    fn expectation(&self, bags: &[u32]) -> Result<(f64, Self::Expectation), Error> {
        let mut r = vec![[0.0; 2]; bags.len()];
        let mut sum = 0.0;
        for (heads, r) in bags.iter().zip(&mut r) {
            sum += posterior(&self.log_joint(*heads), r)?;
        }
        Ok((sum / bags.len() as f64, r))
    }

    fn maximization(&mut self, bags: &[u32], r: Self::Expectation) -> Result<(), Error> {
        let n: f64 = bags.len() as f64;
        for z in 0..2 {
            let count: f64 = r.iter().map(|r| r[z]).sum();
            let heads: f64 = bags.iter().zip(&r).map(|(heads, r)| f64::from(*heads) * r[z]).sum();
            self.heads[z] = heads / (10.0 * count);
            if z == 0 {
                self.first = count / n;
            }
        }
        Ok(())
    }
}

#[test]
fn t09_any_model_ascends_by_the_trait() {
    let bags = [9, 8, 1, 2, 9, 3, 10, 2, 8, 1];
    let start = Coins { first: 0.6, heads: [0.55, 0.45] };
    // Step by step: the E step makes the bound tight, the M step raises Q and with it the likelihood.
    let mut coins = start.clone();
    for _ in 0..20 {
        let (before, r) = coins.expectation(&bags).unwrap();
        let old_q = coins.q(&bags, &r);
        coins.maximization(&bags, r.clone()).unwrap();
        let gain = (coins.q(&bags, &r) - old_q) / bags.len() as f64;
        let (after, _) = coins.expectation(&bags).unwrap();
        assert!(gain > -1e-14 && after - before > gain - 1e-14, "{gain} {before} {after}");
    }
    let mut again = start.clone();
    let ascent =
        ascend(&mut again, &bags[..], &Limits { iterations: 1000, tolerance: 1e-15 }, |_| Continue(())).unwrap();
    assert_eq!(ascent.end, End::Converged);
    assert!(ascent.bounds.windows(2).all(|pair| pair[1] >= pair[0] - 1e-14));
    // A fixed point is stationary: the likelihood falls both ways along every parameter.
    let likelihood = |coins: &Coins| coins.expectation(&bags).unwrap().0;
    let best = likelihood(&again);
    assert_eq!(best, ascent.bound());
    for step in [1e-3, -1e-3] {
        assert!(likelihood(&Coins { first: again.first + step, ..again.clone() }) < best);
        for z in 0..2 {
            let mut moved = again.clone();
            moved.heads[z] += step;
            assert!(likelihood(&moved) < best);
        }
    }
    assert!(again.heads[0] > 0.8 && again.heads[1] < 0.25 && (again.first - 0.5).abs() < 0.05);
}

#[test]
fn t09_ascent_ends_as_it_says() {
    let bags = [9, 8, 1, 2];
    let start = Coins { first: 0.6, heads: [0.55, 0.45] };
    let run = |iterations, tolerance, stop: usize| {
        let mut told = Vec::new();
        let ascent = ascend(&mut start.clone(), &bags[..], &Limits { iterations, tolerance }, |progress| {
            told.push(progress);
            if progress.iteration == stop { Break(()) } else { Continue(()) }
        });
        (ascent.unwrap(), told)
    };
    let (ascent, told) = run(5, 0.0, usize::MAX);
    assert_eq!((ascent.end, ascent.iterations(), told.len()), (End::Iterations, 5, 6));
    assert_eq!(told[0], Progress { iteration: 0, bound: ascent.bounds[0], change: f64::INFINITY });
    assert!(told.iter().zip(&ascent.bounds).all(|(progress, bound)| progress.bound == *bound));
    assert_eq!(told[5].bound, ascent.bound());
    let (ascent, _) = run(5, 0.0, 2);
    assert_eq!((ascent.end, ascent.iterations()), (End::Cancelled, 2));
    let (ascent, _) = run(0, 0.0, usize::MAX);
    assert_eq!((ascent.end, ascent.iterations()), (End::Iterations, 0));
    assert_eq!(run(500, 1e-3, usize::MAX).0.end, End::Converged);
}

/// EM on a mixture: monotone, and its bound the log-likelihood.
fn climbs<D: Distribution>(mut mixture: Mixture<D>, data: &Data<'_>)
where
    Mixture<D>: for<'a> ExpectationMaximization<Data<'a>, Error = Error>,
{
    let before = log_likelihood(&mixture, data);
    let limits = Limits { iterations: 60, tolerance: 0.0 };
    let ascent = ascend(&mut mixture, data, &limits, |_| Continue(())).unwrap();
    assert!(ascent.bounds.windows(2).all(|pair| pair[1] >= pair[0] - 1e-13 * pair[0].abs()), "{:?}", ascent.bounds);
    assert!((ascent.bounds[0] - before).abs() < 1e-12 && ascent.bound() > before);
    assert!((ascent.bound() - log_likelihood(&mixture, data)).abs() < 1e-12);
    // The identity for the mixture's own joint, with responsibilities of other points.
    let gamma = mixture.responsibilities(data).unwrap();
    let k = mixture.components().len();
    for (row, r) in data.rows().zip(gamma.chunks_exact(k).skip(1)) {
        let log_joint = mixture.log_joint(yuragi_distributions::Point::of(row));
        let evidence = mixture.log_density(yuragi_distributions::Point::of(row));
        let sum = bound(&log_joint, r).unwrap() + gap(&log_joint, r).unwrap();
        assert!((sum - evidence).abs() < 1e-12 * evidence.abs().max(1.0), "{sum} {evidence}");
    }
}

#[test]
fn t09_mixtures_of_any_family_climb() {
    let mut rng = rng(2);
    let mixture = Mixture::new(&[0.3, 0.7], vec![Poisson::new(2.0).unwrap(), Poisson::new(9.0).unwrap()]).unwrap();
    let points = mixture.sample(&mut rng, 300);
    let weights: Vec<f64> = (0..300).map(|_| between(&mut rng, 0.0, 2.0)).collect();
    let data = Data::scalars(&points).unwrap();
    let start = || Mixture::new(&[1.0, 1.0], vec![Poisson::new(4.0).unwrap(), Poisson::new(5.0).unwrap()]).unwrap();
    climbs(start(), &data);
    climbs(start(), &data.weighted(&weights).unwrap());
    let mixture =
        Mixture::new(&[0.5, 0.5], vec![Exponential::new(0.2).unwrap(), Exponential::new(3.0).unwrap()]).unwrap();
    let points = mixture.sample(&mut rng, 300);
    climbs(
        Mixture::new(&[1.0, 1.0], vec![Exponential::new(0.5).unwrap(), Exponential::new(1.0).unwrap()]).unwrap(),
        &Data::scalars(&points).unwrap(),
    );
    climbs(
        Mixture::new(&[1.0, 1.0], vec![Laplace::new(0.5, 1.0).unwrap(), Laplace::new(4.0, 2.0).unwrap()]).unwrap(),
        &Data::scalars(&points).unwrap(),
    );
    // Bits of several coordinates: latent classes.
    let class = |p: [f64; 4]| Independent::new(p.map(|p| Bernoulli::new(p).unwrap()).to_vec()).unwrap();
    let mixture = Mixture::new(&[0.4, 0.6], vec![class([0.9, 0.8, 0.1, 0.2]), class([0.2, 0.1, 0.7, 0.9])]).unwrap();
    let points = mixture.sample(&mut rng, 400);
    climbs(
        Mixture::new(&[1.0, 1.0], vec![class([0.6, 0.5, 0.5, 0.5]), class([0.4, 0.5, 0.5, 0.6])]).unwrap(),
        &Data::new(&points, 4).unwrap(),
    );
}
