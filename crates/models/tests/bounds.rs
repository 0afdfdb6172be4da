//! Bounds of autoencoders against log-likelihoods that are known.

mod fixed;

use approx::assert_abs_diff_eq;
use fixed::{mean, run, train, weights};
use yuragi_cpu::Cpu;
use yuragi_graph::{Backend, Builder, DType, Params, Plan, Slice, SliceMut};
use yuragi_models::{
    likelihood::{HALF_BIN, LEVELS, Likelihood},
    vae::{Estimator, Layer, Vae},
};
use yuragi_nn::{
    Scope,
    optim::{Optimizer, Rule},
};
use yuragi_numeric::fill;

fn vae(columns: usize, likelihood: Likelihood, layers: &[(&[usize], usize)]) -> Vae {
    let layers = layers.iter().map(|&(hidden, latent)| Layer { hidden: hidden.to_vec(), latent }).collect();
    Vae { shape: vec![columns], likelihood, layers, convolutional: false }
}

fn normals(stream: u32, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    fill::normal([2, 7], stream, 0, &mut values);
    values
}

/// ln N(x; m, v).
fn log_normal(x: f64, m: f64, v: f64) -> f64 {
    -0.5 * ((x - m) * (x - m) / v + (std::f64::consts::TAU * v).ln())
}

/// x = W·z + b + s·ε with orthogonal columns of W, so that the posterior's covariance is diagonal: its variances are
/// 1/(1 + |w|²/s²), its means those times wᵀ(x − b)/s².
struct Linear {
    vae: Vae,
    params: Params,
    variance: [f64; 2],
}

const W: [[f64; 3]; 2] = [[1.2, 0.6, 0.0], [-0.3, 0.6, 0.9]];
const B: [f64; 3] = [0.5, -0.25, 1.0];
const S: f64 = 0.5;

impl Linear {
    /// The true model, and a posterior whose means are moved and whose variances are scaled.
    fn new(moved: f64, scaled: f64) -> Linear {
        let vae = vae(3, Likelihood::Gaussian, &[(&[], 2)]);
        let square = |w: &[f64; 3]| w.iter().map(|w| w * w).sum::<f64>();
        let variance = [0, 1].map(|k| 1.0 / (1.0 + square(&W[k]) / (S * S)));
        let gain = |column: usize, k: usize| variance[k] * W[k][column] / (S * S);
        let mean: Vec<f64> = (0..6).map(|i| gain(i / 2, i % 2)).collect();
        let bias = |k: usize| moved - (0..3).map(|column| gain(column, k) * B[column]).sum::<f64>();
        let params = weights(&[
            ("encoder.0.mean.weight", &[3, 2], &mean),
            ("encoder.0.mean.bias", &[2], &[bias(0), bias(1)]),
            ("encoder.0.log_variance.weight", &[3, 2], &[0.0; 6]),
            ("encoder.0.log_variance.bias", &[2], &variance.map(|v| (v * scaled).ln())),
            ("decoder.0.out.weight", &[2, 3], &W.concat()),
            ("decoder.0.out.bias", &[3], &B),
            ("decoder.0.log_scale", &[3], &[S.ln(); 3]),
        ]);
        Linear { vae, params, variance }
    }

    /// ln p(x) = ln p(x|z) + ln p(z) − ln p(z|x) at any z, here at 0.
    fn log_density(&self, x: &[f32]) -> f64 {
        let x: Vec<f64> = x.iter().map(|&x| x.into()).collect();
        let joint = (0..3).map(|i| log_normal(x[i], B[i], S * S)).sum::<f64>() + 2.0 * log_normal(0.0, 0.0, 1.0);
        let posterior = |k: usize| {
            let mean = self.variance[k] * (0..3).map(|i| W[k][i] * (x[i] - B[i])).sum::<f64>() / (S * S);
            log_normal(0.0, mean, self.variance[k])
        };
        joint - posterior(0) - posterior(1)
    }

    /// Bounds of examples, with their true log-densities.
    fn bounds(&self, examples: usize, samples: usize, stream: u32) -> Vec<[f64; 3]> {
        let x = normals(0, 3 * examples);
        let out = run(&self.vae.bound(examples, samples).unwrap(), &self.params, &[&x], Some([stream, 9]));
        let each = |i: usize| [out[0][i].into(), out[1][i].into(), self.log_density(&x[3 * i..][..3])];
        (0..examples).map(each).collect()
    }
}

#[test]
fn t24_the_bound_is_ln_p_at_the_true_posterior_whatever_is_drawn() {
    for [elbo, importance, truth] in Linear::new(0.0, 1.0).bounds(200, 7, 1) {
        assert_abs_diff_eq!(elbo, truth, epsilon = 2e-5 * truth.abs().max(1.0));
        assert_abs_diff_eq!(importance, truth, epsilon = 2e-5 * truth.abs().max(1.0));
    }
}

#[test]
fn t24_the_bound_of_another_posterior_falls_short_by_its_divergence() {
    let (moved, scaled) = (0.2, 1.5);
    let linear = Linear::new(moved, scaled);
    // D(N(m + δ, c·v)‖N(m, v)) = ½(c + δ²/v − 1 − ln c), for each latent.
    let gap: f64 = linear.variance.iter().map(|v| 0.5 * (scaled + moved * moved / v - 1.0 - scaled.ln())).sum();
    let gaps: Vec<f64> = linear.bounds(2000, 50, 2).iter().map(|[elbo, _, truth]| truth - elbo).collect();
    let (value, error) = mean(&gaps);
    assert!((value - gap).abs() < 5.0 * error && error < 0.01 && gap > 0.1, "{value} ± {error} against {gap}");
}

#[test]
fn t24_the_importance_weighted_bound_rises_with_k_towards_ln_p() {
    let linear = Linear::new(0.3, 2.0);
    let gaps = |k: usize| -> Vec<f64> {
        linear.bounds(2000, k, 100 + k as u32).iter().map(|[_, bound, truth]| truth - bound).collect()
    };
    let each: Vec<(f64, f64)> = [1, 2, 5, 20, 100].map(|k| mean(&gaps(k))).to_vec();
    for pair in each.windows(2) {
        let [(less, e1), (more, e2)] = [pair[0], pair[1]];
        assert!(more < less + 5.0 * e1.hypot(e2), "{each:?}");
    }
    // The first step is far beyond its error, and the last is where it must be: the bias is about var(w)/2k.
    assert!(each[0].0 - each[1].0 > 5.0 * each[0].1.hypot(each[1].1), "{each:?}");
    let (last, error) = each[4];
    assert!(last > -5.0 * error && last < 0.1 * each[0].0, "{each:?}");
}

#[test]
fn t24_levels_of_the_discretised_logistic_sum_to_1() {
    let laws: Vec<(f32, f32)> = [-1.3, -0.996, -0.2, 0.0, 0.731, 1.0, 2.5]
        .into_iter()
        .flat_map(|m| [-6.5, -4.0, -1.0, 1.5].map(|s| (m, s)))
        .collect();
    let b = Builder::new();
    let parameters = b.input("parameters", &[laws.len()], DType::F32);
    let x: Vec<f32> = (0..LEVELS).map(|k| (2 * k + 1) as f32 * HALF_BIN - 1.0).collect();
    let x = b.literal(&[LEVELS, 1], &x);
    let each = Likelihood::Logistic.log_density(&Scope::new(&b), parameters, x);
    let graph = b.finish(&[("p", each.exp().sum(&[0])), ("least", -(-each).max(&[0, 1]))]).unwrap();
    let (means, scales): (Vec<f32>, Vec<f32>) = laws.iter().copied().unzip();
    let scales: Vec<f64> = scales.iter().map(|&s| s.into()).collect();
    let params = weights(&[("log_scale", &[laws.len()], &scales)]);
    let out = run(&graph, &params, &[&means], None);
    for ((mean, scale), total) in laws.iter().zip(&out[0]) {
        assert!((total - 1.0).abs() < 2e-5, "mean {mean}, log scale {scale}: {total}");
    }
    assert!(out[1][0].is_finite());
}

#[test]
fn t24_drawn_levels_are_levels_and_follow_their_law() {
    let vae = vae(1, Likelihood::Logistic, &[(&[], 1)]);
    let params = weights(&[
        ("decoder.0.out.weight", &[1, 1], &[0.0]),
        ("decoder.0.out.bias", &[1], &[0.93]),
        ("decoder.0.log_scale", &[1], &[-2.5]),
    ]);
    let count = 20_000;
    let x = &run(&vae.sample(count).unwrap(), &params, &[], Some([5, 6]))[0];
    let level = |x: f32| ((x + 1.0 - HALF_BIN) / (2.0 * HALF_BIN)).round();
    assert!(
        x.iter()
            .all(|&x| (0.0..=255.0).contains(&level(x)) && ((2.0 * level(x) + 1.0) * HALF_BIN - 1.0 - x).abs() < 1e-6)
    );
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    // P(x ≤ c) at the upper ends of some bins, and the pile in the last one.
    for end in [0.5, 0.875, 1.0 - 2.0 * f64::from(HALF_BIN)] {
        let p = sigmoid((end - 0.93) / (-2.5f64).exp());
        let below = x.iter().filter(|&&x| f64::from(x) < end).count() as f64;
        let deviation = (count as f64 * p * (1.0 - p)).sqrt();
        assert!((below - count as f64 * p).abs() < 5.0 * deviation, "{below} below {end}, {p}");
    }
}

#[test]
fn t24_convolutional_autoencoders_have_the_shapes_of_their_pictures() {
    for shape in [vec![8, 12], vec![8, 12, 3]] {
        let layers = vec![Layer { hidden: vec![6, 8], latent: 3 }];
        let vae = Vae { shape: shape.clone(), likelihood: Likelihood::Logistic, layers, convolutional: true };
        let columns = vae.columns();
        let graph = vae.training(4, 2).unwrap();
        // Four pictures, each of one level.
        let level = |i: usize| (40 + 50 * (i / columns)) as f32;
        let x: Vec<f32> = (0..4 * columns).map(|i| (level(i) * 2.0 + 1.0) * HALF_BIN - 1.0).collect();
        let losses = train(&graph, &mut Params::new(), 150, 5e-3, |_| x.clone());
        assert!(losses[149] < 0.8 * losses[0], "{shape:?}: {} to {}", losses[0], losses[149]);
        let bad = Vae { shape: vec![9, 12], ..vae };
        assert!(bad.training(4, 1).unwrap_err().to_string().contains("multiples of 4"));
    }
}

#[test]
fn t24_no_draws_are_refused() {
    let vae = vae(2, Likelihood::Gaussian, &[(&[4], 2)]);
    assert!(vae.bound(3, 0).unwrap_err().to_string().contains("0 samples: a bound takes at least 1"));
    assert!(Vae { layers: vec![], ..vae }.bound(3, 1).unwrap_err().to_string().contains("it must be 1 to 64"));
}

/// z₂ ~ N(0, 1), z₁ = a·z₂ + t·ε, x = w·z₁ + s·ε, all numbers: the posteriors are normal, and so is x.
#[test]
fn t25_a_chain_of_latents_has_ln_p_for_its_bound_at_the_true_posterior() {
    let (a, t, w, s) = (0.8f64, 0.7f64, 1.3f64, 0.4f64);
    let prior = a * a + t * t;
    let total = w * w * prior + s * s;
    let below = 1.0 / (1.0 / prior + w * w / (s * s));
    let above = 1.0 / (1.0 + a * a / (t * t));
    let chain = vae(1, Likelihood::Gaussian, &[(&[], 1), (&[], 1)]);
    let params = weights(&[
        ("encoder.0.mean.weight", &[1, 1], &[below * w / (s * s)]),
        ("encoder.0.mean.bias", &[1], &[0.0]),
        ("encoder.0.log_variance.weight", &[1, 1], &[0.0]),
        ("encoder.0.log_variance.bias", &[1], &[below.ln()]),
        ("encoder.1.mean.weight", &[1, 1], &[above * a / (t * t)]),
        ("encoder.1.mean.bias", &[1], &[0.0]),
        ("encoder.1.log_variance.weight", &[1, 1], &[0.0]),
        ("encoder.1.log_variance.bias", &[1], &[above.ln()]),
        ("decoder.1.mean.weight", &[1, 1], &[a]),
        ("decoder.1.mean.bias", &[1], &[0.0]),
        ("decoder.1.log_variance.weight", &[1, 1], &[0.0]),
        ("decoder.1.log_variance.bias", &[1], &[(t * t).ln()]),
        ("decoder.0.out.weight", &[1, 1], &[w]),
        ("decoder.0.out.bias", &[1], &[0.0]),
        ("decoder.0.log_scale", &[1], &[s.ln()]),
    ]);
    let x = normals(3, 100);
    let out = run(&chain.bound(100, 3).unwrap(), &params, &[&x], Some([1, 1]));
    for (i, &x) in x.iter().enumerate() {
        let truth = log_normal(x.into(), 0.0, total);
        assert_abs_diff_eq!(f64::from(out[0][i]), truth, epsilon = 3e-5 * truth.abs().max(1.0));
        assert_abs_diff_eq!(f64::from(out[1][i]), truth, epsilon = 3e-5 * truth.abs().max(1.0));
    }
}

/// Eight clouds of deviation 0.1 on a circle of radius 2, in the plane.
fn clouds(stream: u32, count: usize) -> Vec<f32> {
    let noise = normals(stream, 3 * count);
    let place = |row: &[f32]| {
        let angle = ((row[2] * 1e4) as i32).rem_euclid(8) as f32 * std::f32::consts::FRAC_PI_4;
        [2.0 * angle.cos() + 0.1 * row[0], 2.0 * angle.sin() + 0.1 * row[1]]
    };
    noise.chunks(3).flat_map(place).collect()
}

#[test]
fn t25_two_layers_improve_the_bound_of_one_on_eight_clouds() {
    let bound = |layers: &[(&[usize], usize)]| {
        let vae = vae(2, Likelihood::Gaussian, layers);
        let mut params = Params::new();
        train(&vae.training(200, 1).unwrap(), &mut params, 4000, 3e-3, |step| clouds(1000 + step, 200));
        let x = clouds(1, 4000);
        let out = run(&vae.bound(4000, 10).unwrap(), &params, &[&x], Some([8, 8]));
        mean(&out[0].iter().map(|&elbo| f64::from(elbo)).collect::<Vec<_>>())
    };
    let (one, e1) = bound(&[(&[16], 2)]);
    let (two, e2) = bound(&[(&[16], 2), (&[16], 2)]);
    // The entropy of the law itself: no bound is above it.
    let most = -(8f64.ln() + 1.0 + (std::f64::consts::TAU * 0.01).ln());
    assert!(two - one > 5.0 * e1.hypot(e2), "one layer {one} ± {e1}, two {two} ± {e2}");
    assert!(two < most + 5.0 * e2, "{two} ± {e2}, at most {most}");
}

/// Gradients of the bound for all weights, one after another: of each of so many batches.
fn gradients(
    vae: &Vae,
    params: &Params,
    x: &[f32],
    samples: usize,
    estimator: Estimator,
    batches: u32,
) -> Vec<Vec<f64>> {
    let descent = Optimizer { rule: Rule::Sgd { momentum: 0.0 }, ..Optimizer::default() };
    let graph = vae.training_by(&descent, x.len() / vae.columns(), samples, estimator).unwrap();
    let cpu = Cpu::with_threads(1);
    let plan = cpu.compile(&graph).unwrap();
    let numbers = |params: &Params| params.iter().flat_map(|(_, t)| t.to_f32()).map(f64::from).collect::<Vec<_>>();
    let before = numbers(params);
    let gradient = |batch| {
        let mut store = cpu.upload(params.clone()).unwrap();
        let mut state = plan.state(&store).unwrap();
        // A rate of 1: the step is the gradient.
        let (key, hyper) = ([batch, 3], descent.hyper(0, 1.0, 0.0));
        let inputs = [Slice::F32(x), Slice::U32(&key), Slice::F32(&hyper)];
        let mut out = [[0.0f32; 1]; 4];
        let mut views = out.each_mut().map(|o| SliceMut::F32(o));
        plan.update(&mut state, &mut store, &inputs, &mut views).unwrap();
        let after = numbers(&cpu.download(&store).unwrap());
        before.iter().zip(after).map(|(before, after)| before - after).collect()
    };
    (0..batches).map(gradient).collect()
}

#[test]
fn t24_the_doubly_reparameterised_gradient_has_no_noise_at_the_true_posterior() {
    let linear = Linear::new(0.0, 1.0);
    let x = normals(4, 3 * 50);
    let of_encoder = |estimator| {
        let all = &gradients(&linear.vae, &linear.params, &x, 5, estimator, 1)[0];
        let places = linear.params.iter().flat_map(|(name, t)| vec![name.starts_with("encoder"); t.shape().count()]);
        let own = places.zip(all).filter(|(of_encoder, _)| *of_encoder).map(|(_, g)| g.abs());
        own.fold(0.0, f64::max)
    };
    let (single, double) = (of_encoder(Estimator::Single), of_encoder(Estimator::Double));
    assert!(double < 1e-5 && single > 1e-2, "{single} and {double}");
}

#[test]
fn t24_both_estimators_have_one_mean_and_the_double_one_less_noise() {
    let one = Linear::new(0.3, 2.0);
    let two = vae(2, Likelihood::Gaussian, &[(&[5], 3), (&[4], 2)]);
    let mut of_two = Params::new();
    of_two.initialise(two.training(1, 1).unwrap().params(), 5);
    for (vae, params) in [(&one.vae, &one.params), (&two, &of_two)] {
        let params = {
            let mut own = Params::new();
            let weights = params.iter().filter(|(name, _)| !yuragi_nn::optim::is_state(name));
            weights.for_each(|(name, tensor)| {
                own.insert(name, tensor.clone());
            });
            own
        };
        let x = normals(9, vae.columns() * 400);
        let [single, double] = Estimator::ALL.map(|e| gradients(vae, &params, &x, 8, e, 60));
        let of = |all: &[Vec<f64>], weight: usize| mean(&all.iter().map(|g| g[weight]).collect::<Vec<_>>());
        let names: Vec<&str> = params.iter().flat_map(|(name, t)| vec![name; t.shape().count()]).collect();
        let mut noise = [0.0; 2];
        for (weight, name) in names.iter().enumerate() {
            let [(a, ea), (b, eb)] = [&single, &double].map(|all| of(all, weight));
            assert!((a - b).abs() <= 5.0 * ea.hypot(eb) + 1e-6, "{name}: {a} ± {ea}, {b} ± {eb}");
            if name.starts_with("encoder") {
                noise = [noise[0] + ea * ea, noise[1] + eb * eb];
            }
        }
        assert!(noise[1] < 0.7 * noise[0], "variances {noise:?}");
        println!("variances {noise:?}");
    }
}

#[test]
fn training_is_the_same_for_any_number_of_threads_and_in_parts() {
    let vae = vae(6, Likelihood::Bernoulli, &[(&[9], 4), (&[5], 2)]);
    let graph = vae.training(8, 3).unwrap();
    let x: Vec<f32> = normals(0, 48).iter().map(|x| x.abs().min(1.0)).collect();
    let reached = |threads: usize, cut: bool| {
        let cpu = Cpu::with_threads(threads);
        let plan = cpu.compile(&graph).unwrap();
        let mut params = Params::new();
        params.initialise(graph.params(), 3);
        let mut store = cpu.upload(params).unwrap();
        for part in if cut { [0..7u64, 7..20] } else { [0..20, 20..20] } {
            // A part begins from what the last one left on the host.
            store = cpu.upload(cpu.download(&store).unwrap()).unwrap();
            let mut state = plan.state(&store).unwrap();
            for step in part {
                let hyper = yuragi_models::vae::OPTIMIZER.hyper(step, 1e-3, 0.0);
                let inputs = [Slice::F32(&x), Slice::U32(&[step as u32, 5]), Slice::F32(&hyper)];
                let mut out = [[0.0f32; 1]; 4];
                let mut views = out.each_mut().map(|o| SliceMut::F32(o));
                plan.update(&mut state, &mut store, &inputs, &mut views).unwrap();
            }
        }
        let params = cpu.download(&store).unwrap();
        params.iter().flat_map(|(_, t)| t.to_f32()).map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(reached(1, false), reached(2, true));
}
