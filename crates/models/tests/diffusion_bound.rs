//! The bound of variational diffusion models against log-likelihoods that are known.

mod fixed;

use fixed::{mean, run, train};
use yuragi_graph::{Builder, DType, Graph, Params, Tensor};
use yuragi_models::{
    gamma::Gamma,
    likelihood::{HALF_BIN, Likelihood},
    vdm::{Vdm, terms},
};
use yuragi_nn::Scope;
use yuragi_numeric::fill;

const LN_TAU: f64 = 1.837_877_066_409_345_3;
const EXAMPLES: usize = 4000;
const DRAWS: usize = 25;
/// Means and deviations of a normal law of two columns.
const MEAN: [f32; 2] = [0.5, -0.2];
const DEVIATION: [f32; 2] = [1.2, 0.3];

fn linear(low: f32, high: f32) -> Gamma {
    Gamma { ends: [low, high], learned_ends: false, hidden: 0 }
}

fn normals(stream: u32, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    fill::normal([4, 4], stream, 0, &mut values);
    values
}

/// E[ε|z] of the normal law: σ·(z − α·m)/(α²s² + σ²).
fn exact<'g>(z: Tensor<'g>, at: Tensor<'g>) -> Tensor<'g> {
    let b = z.builder();
    let square = DEVIATION.map(|s| s * s);
    let (m, square) = (b.literal(&[1, 2], &MEAN), b.literal(&[1, 2], &square));
    let (signal, noise) = ((-at).sigmoid(), at.sigmoid());
    (z - m * signal.sqrt()) * noise.sqrt() / (signal * square + noise)
}

/// The terms of every example of the normal law: total, diffusion.
fn bound(
    gamma: Gamma,
    steps: usize,
    seed: u32,
    denoise: impl for<'g> Fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>,
) -> [Vec<f64>; 2] {
    let b = Builder::new();
    let x = b.input("x", &[EXAMPLES, 2], DType::F32);
    let key = b.input("key", &[2], DType::U32);
    let each = terms(&Scope::new(&b), x, key, (gamma, Likelihood::Gaussian), (DRAWS, steps), denoise);
    let graph = b.finish(&[("total", each.total()), ("diffusion", each.diffusion)]).unwrap();
    let x: Vec<f32> =
        normals(0, 2 * EXAMPLES).iter().enumerate().map(|(i, z)| MEAN[i % 2] + DEVIATION[i % 2] * z).collect();
    let out = run(&graph, &path(&graph, seed), &[&x], Some([seed, 3]));
    [0, 1].map(|i| out[i].iter().map(|&x| f64::from(x)).collect())
}

/// Weights of γ's path that are anything.
fn path(graph: &Graph, seed: u32) -> Params {
    let mut params = Params::new();
    params.initialise(graph.params(), seed.into());
    for place in 0..graph.params().len() {
        let noise = normals(1000 * seed + place as u32, 1024);
        let values = params.at_mut(place).unwrap().values_mut().unwrap();
        values.iter_mut().zip(noise).for_each(|(value, noise)| *value += 3.0 * noise);
    }
    params
}

/// L_∞ with the exact denoiser: ½∫ s²/(s² + e^γ) dγ, summed over columns.
fn continuous(low: f64, high: f64) -> f64 {
    let integral = |g: f64, s: f64| g - (s * s + g.exp()).ln();
    DEVIATION.map(|s| 0.5 * (integral(high, s.into()) - integral(low, s.into()))).iter().sum()
}

/// The mean of −ln p: ½(1 + ln 2πs²), summed over columns.
fn entropy() -> f64 {
    DEVIATION.map(|s| 0.5 * (1.0 + LN_TAU + 2.0 * f64::from(s).ln())).iter().sum()
}

#[test]
fn t26_the_bound_of_a_normal_law_with_its_denoiser_is_the_log_likelihood_in_the_limit() {
    let mut gaps = Vec::new();
    for low in [-1.0f32, -4.0, -14.0] {
        let [total, diffusion] = bound(linear(low, 12.0), 0, 5, exact);
        let ((total, error), (diffusion, own)) = (mean(&total), mean(&diffusion));
        let want = continuous(low.into(), 12.0);
        assert!((diffusion - want).abs() < 5.0 * own && own < 0.06, "{diffusion} ± {own} against {want}");
        // Exactly: prior by its formula, reconstruction ½(1 + γ₀ + ln 2π) a column.
        let sigma = |g: f64| 1.0 / (1.0 + (-g).exp());
        let prior: f64 = (0..2)
            .map(|i| {
                let square = f64::from(DEVIATION[i]).powi(2) + f64::from(MEAN[i]).powi(2);
                0.5 * (sigma(12.0) + square * sigma(-12.0) - 1.0 - sigma(12.0).ln())
            })
            .sum();
        let exactly = prior + (1.0 + f64::from(low) + LN_TAU) + want;
        assert!((total - exactly).abs() < 5.0 * error + 1e-3, "{total} ± {error} against {exactly}");
        assert!(exactly > entropy() - 1e-4, "a bound is below ln p: {exactly}, {}", entropy());
        gaps.push(exactly - entropy());
        if low == -14.0 {
            assert!((total - entropy()).abs() < 5.0 * error, "{total} ± {error} against {}", entropy());
        }
    }
    assert!(gaps[0] > 0.1 && gaps[1] < gaps[0] && gaps[2].abs() < 1e-4, "{gaps:?}");
}

#[test]
fn t26_the_discrete_bound_falls_to_the_continuous_one() {
    let (low, high) = (-6.0f64, 6.0f64);
    // ½ Σ_i (e^(γ_i − γ_{i−1}) − 1)·s²/(s² + e^γ_i).
    let sum = |steps: usize| -> f64 {
        let at = |i: usize| low + (high - low) * i as f64 / steps as f64;
        let term = |i: usize, s: f64| ((at(i) - at(i - 1)).exp() - 1.0) * s * s / (s * s + at(i).exp());
        DEVIATION.map(|s| (1..=steps).map(|i| 0.5 * term(i, s.into())).sum::<f64>()).iter().sum()
    };
    let mut last = f64::INFINITY;
    for steps in [4, 16, 64, 10_000] {
        let (value, error) = mean(&bound(linear(low as f32, high as f32), steps, 6, exact)[1]);
        let want = sum(steps);
        assert!((value - want).abs() < 5.0 * error, "{steps} steps: {value} ± {error} against {want}");
        assert!(want < last && want > continuous(low, high), "{steps} steps: {want} after {last}");
        last = want;
    }
    assert!(last - continuous(low, high) < 0.005);
}

#[test]
fn t28_the_bound_is_the_same_along_every_path_of_equal_ends() {
    let network = Gamma { hidden: 16, ..linear(-7.0, 7.0) };
    // They are different paths; the straight one has −3.5, 0 and 3.5 here.
    for seed in [2, 3] {
        let b = Builder::new();
        let [at, _] = network.at(&Scope::new(&b), b.literal(&[3, 1], &[0.25, 0.5, 0.75]));
        let graph = b.finish(&[("gamma", at)]).unwrap();
        let at = &run(&graph, &path(&graph, seed), &[], None)[0];
        assert!((at[0] + 3.5).abs() + at[1].abs() + (at[2] - 3.5).abs() > 0.4, "{at:?}");
    }
    for which in 0..2 {
        let denoise = |gamma, seed| match which {
            0 => bound(gamma, 0, seed, exact),
            // Any function of z and γ will do.
            _ => bound(gamma, 0, seed, |z, at| (z * 1.5).tanh() * at.sigmoid()),
        };
        let paths = [denoise(linear(-7.0, 7.0), 1), denoise(network, 2), denoise(network, 3)];
        let means = paths.map(|[total, _]| mean(&total));
        for (value, error) in &means[1..] {
            let (first, own) = means[0];
            assert!((value - first).abs() < 5.0 * error.hypot(own), "denoiser {which}: {means:?}");
        }
    }
}

#[test]
fn t28_gamma_rises_for_any_weights_and_its_slope_is_its_derivative() {
    let count = 2001;
    let gamma = Gamma { ends: [-13.3, 5.0], learned_ends: false, hidden: 24 };
    let b = Builder::new();
    let t = b.input("t", &[count, 1], DType::F32);
    let [at, slope] = gamma.at(&Scope::new(&b), t);
    let graph = b.finish(&[("gamma", at), ("slope", slope)]).unwrap();
    let times: Vec<f32> = (0..count).map(|i| i as f32 / (count - 1) as f32).collect();
    for seed in 1..20 {
        let out = run(&graph, &path(&graph, seed), &[&times], None);
        let (at, slope) = (&out[0], &out[1]);
        assert!((at[0] + 13.3).abs() < 1e-4 && (at[count - 1] - 5.0).abs() < 1e-4, "{} {}", at[0], at[count - 1]);
        assert!(slope.iter().all(|&slope| slope > 0.0), "seed {seed}");
        for (i, pair) in at.windows(2).enumerate() {
            // Rounding of γ is a few units of 13·2⁻²⁴.
            assert!(pair[1] - pair[0] > -1e-5, "seed {seed}, t = {}: {pair:?}", times[i]);
        }
        let rise: f64 = slope.windows(2).map(|pair| f64::from(pair[0] + pair[1]) * 0.5 / (count - 1) as f64).sum();
        assert!((rise - 18.3).abs() < 0.02, "seed {seed}: the slope's integral is {rise}");
    }
}

/// Eight clouds of deviation 0.2 on a circle of radius 1.4, in the plane: about standardised.
fn clouds(stream: u32, count: usize) -> Vec<f32> {
    let noise = normals(stream, 3 * count);
    let place = |row: &[f32]| {
        let angle = ((row[2] * 1e4) as i32).rem_euclid(8) as f32 * std::f32::consts::FRAC_PI_4;
        [1.4 * angle.cos() + 0.2 * row[0], 1.4 * angle.sin() + 0.2 * row[1]]
    };
    noise.chunks(3).flat_map(place).collect()
}

#[test]
fn t28_a_trained_model_is_near_the_entropy_and_its_path_makes_the_bound_scatter_less() {
    let vdm = Vdm {
        shape: vec![2],
        likelihood: Likelihood::Gaussian,
        channels: 32,
        blocks: 2,
        steps: 0,
        gamma: Gamma { ends: [-8.0, 6.0], learned_ends: false, hidden: 16 },
    };
    let mut params = Params::new();
    train(&vdm.training(128, 1).unwrap(), &mut params, 3000, 3e-3, |step| clouds(1000 + step, 128));
    let x = clouds(1, 4000);
    let measured = |vdm: &Vdm| {
        let out = run(&vdm.bound(4000, 1).unwrap(), &params, &[&x], Some([7, 7]));
        mean(&out[0].iter().map(|&elbo| f64::from(elbo)).collect::<Vec<_>>())
    };
    // Entropy of the law: ln 8 + 1 + ln(2π·0.04), the clouds lying apart.
    let most = -(8f64.ln() + 1.0 + LN_TAU + 0.04f64.ln());
    let (elbo, error) = measured(&vdm);
    assert!(elbo < most + 5.0 * error && elbo > most - 0.35, "{elbo} ± {error}, at most {most}");
    let (same, straight) = measured(&Vdm { gamma: Gamma { hidden: 0, ..vdm.gamma }, ..vdm });
    assert!((same - elbo).abs() < 5.0 * error.hypot(straight), "{same} ± {straight}, {elbo} ± {error}");
    assert!(error < 0.9 * straight, "{error} against {straight} of the straight path");
}

/// The gradient of ⟨L²⟩ by γ's path, which a step takes from the gradient of the bound, is that of ⟨L²⟩ itself.
#[test]
fn t28_one_backward_pass_serves_the_bound_and_its_scatter() {
    for steps in [0, 7] {
        let vdm = Vdm {
            shape: vec![2],
            likelihood: Likelihood::Gaussian,
            channels: 8,
            blocks: 1,
            steps,
            gamma: Gamma { ends: [-5.0, 4.0], learned_ends: false, hidden: 4 },
        };
        let (x, training) = (clouds(3, 16), vdm.training(16, 2).unwrap());
        let begin = path(&training, 5);
        let mut after = begin.clone();
        for spec in training.params().iter().filter(|spec| yuragi_nn::optim::is_state(&spec.name)) {
            let place = after.place(&spec.name).unwrap();
            after.at_mut(place).unwrap().values_mut().unwrap().fill(0.0);
        }
        train(&training, &mut after, 1, 1e-3, |_| x.clone());
        let b = Builder::new();
        let input = b.input("x", &[16, 2], DType::F32);
        let key = b.input("key", &[2], DType::U32);
        let s = Scope::new(&b);
        let law = (vdm.gamma, Likelihood::Gaussian);
        let each = terms(&s, input, key, law, (2, steps), |z, at| vdm.denoise(&s, z, at));
        let square = (each.diffusion * each.diffusion).mean_all();
        let of_path = b.params().into_iter().filter(|p| p.name.starts_with(yuragi_models::gamma::PATH));
        let (names, weights): (Vec<String>, Vec<Tensor<'_>>) =
            of_path.map(|p| (p.name.clone(), b.param(&p.name, &p.shape, p.dtype, p.init))).unzip();
        let gradients = b.grad(square, &weights);
        let named: Vec<(&str, Tensor<'_>)> = names.iter().map(String::as_str).zip(gradients).collect();
        let graph = b.finish(&named).unwrap();
        let exact = run(&graph, &begin, &[&x], Some([0, 77]));
        let size = exact.iter().flatten().fold(0f32, |most, g| most.max(g.abs()));
        assert!(names.len() == 4 && size > 0.0);
        for (name, exact) in names.iter().zip(&exact) {
            // Adam's first moment after a step is a tenth of the gradient.
            let moment = after.get(&format!("adam.m.{name}")).unwrap().to_f32();
            for (got, want) in moment.iter().zip(exact) {
                assert!((10.0 * got - want).abs() < 1e-4 * size, "{steps} steps, {name}: {} for {want}", 10.0 * got);
            }
        }
    }
}

/// The reconstruction of a training step, which leaves far levels out, is that of the bound.
#[test]
fn t26_far_levels_change_no_reconstruction() {
    for low in [-16.0, -13.3, -8.5] {
        let gamma = Gamma { ends: [low, 5.0], learned_ends: false, hidden: 0 };
        let shape = vec![8, 8];
        let vdm = Vdm { shape, likelihood: Likelihood::Logistic, channels: 8, blocks: 0, steps: 0, gamma };
        let training = vdm.training(4, 1).unwrap();
        let x: Vec<f32> = (0..256).map(|k| (2 * k + 1) as f32 * HALF_BIN - 1.0).collect();
        let mut params = Params::new();
        params.initialise(training.params(), 3);
        let bound = run(&vdm.bound(4, 1).unwrap(), &params, &[&x], Some([0, 77]));
        let place = |graph: &Graph| graph.outputs().iter().position(|o| o.name == "reconstruction").unwrap();
        let whole = bound[place(&vdm.bound(4, 1).unwrap())].iter().sum::<f32>() / 4.0;
        let near = outputs(&training, params, &x)[place(&training)];
        assert!((near - whole).abs() < 1e-5 * whole.max(1.0), "γ₀ = {low}: {near} and {whole}");
    }
}

/// What one training step tells.
fn outputs(graph: &Graph, params: Params, x: &[f32]) -> Vec<f32> {
    use yuragi_graph::{Backend, Plan, Slice, SliceMut};
    let cpu = yuragi_cpu::Cpu::with_threads(1);
    let plan = cpu.compile(graph).unwrap();
    let mut store = cpu.upload(params).unwrap();
    let mut values: Vec<[f32; 1]> = vec![[0.0]; graph.outputs().len()];
    let mut views: Vec<SliceMut<'_>> = values.iter_mut().map(|o| SliceMut::F32(o)).collect();
    let inputs = [Slice::F32(x), Slice::U32(&[0, 77]), Slice::F32(&yuragi_models::vdm::OPTIMIZER.hyper(0, 1e-3, 0.9))];
    plan.update(&mut plan.state(&store).unwrap(), &mut store, &inputs, &mut views).unwrap();
    values.into_iter().flatten().collect()
}

#[test]
fn t26_levels_are_certain_without_noise_and_uniform_in_it() {
    let levels = |low: f32| {
        let b = Builder::new();
        let x = b.input("x", &[64, 4], DType::F32);
        let key = b.input("key", &[2], DType::U32);
        let s = Scope::new(&b);
        let law = (linear(low, 31.0), Likelihood::Logistic);
        let each = terms(&s, x, key, law, (1, 0), |z, _| z);
        let graph = b.finish(&[("reconstruction", each.reconstruction)]).unwrap();
        let x: Vec<f32> = (0..256).map(|k| (2 * k + 1) as f32 * HALF_BIN - 1.0).collect();
        let each = &run(&graph, &Params::new(), &[&x], Some([1, 2]))[0];
        each.iter().map(|&x| f64::from(x)).sum::<f64>() / 256.0
    };
    assert!(levels(-16.0).abs() < 1e-6);
    assert!((levels(30.0) - 256f64.ln()).abs() < 1e-3);
    // At e^(γ₀/2) = one bin's width, −ln p is the entropy of a rounded normal law about, ½ln(2πe).
    let bin = 2.0 * (2.0 * HALF_BIN).ln();
    assert!((levels(bin) - 0.5 * (LN_TAU + 1.0)).abs() < 0.15, "{}", levels(bin));
}

#[test]
fn t26_levels_of_pictures_are_learned() {
    let vdm = Vdm {
        shape: vec![4, 6],
        likelihood: Likelihood::Logistic,
        channels: 16,
        blocks: 1,
        steps: 0,
        gamma: Gamma { ends: [-13.3, 5.0], learned_ends: true, hidden: 8 },
    };
    // A bright column, at one of six places.
    let picture = |i: usize| (0..24).map(move |at| if at % 6 == i % 6 { 200.0 } else { 20.0f32 });
    let x: Vec<f32> = (0..12).flat_map(picture).map(|level| (2.0 * level + 1.0) * HALF_BIN - 1.0).collect();
    let losses = train(&vdm.training(12, 1).unwrap(), &mut Params::new(), 1200, 2e-3, |_| x.clone());
    let last = losses[1000..].iter().sum::<f32>() / 200.0;
    // Uniform levels take 24·ln 256 = 133 nats.
    assert!(last.is_finite() && last < 112.0, "{} to {last}", losses[0]);
    let refused = Vdm { channels: 12, ..vdm };
    assert!(refused.training(1, 1).unwrap_err().to_string().contains("multiple of 8"));
}
