//! Optimisers against PyTorch 2.15 (torch.optim, f64) and against their definitions.

use approx::assert_relative_eq;
use yuragi_graph::{Backend, Builder, DType, Graph, HostTensor, Params, Plan, Precision, Shape, Slice, SliceMut};
use yuragi_nn::{
    Scope, init,
    optim::{Group, Optimizer, Rule, Scaling, averaged, is_state},
};
use yuragi_reference::Reference;

/// Σ c·p² + b³ with p = (0.5, −1, 2), c = (1, 2, ½) and b = ¼.
fn problem(optimizer: &Optimizer, freeze: &str) -> (Graph, Params) {
    let b = Builder::new();
    let s = Scope::new(&b);
    let p = s.param("p", &[1, 3], init::ZERO);
    let q = s.param("b", &[1], init::ZERO);
    let loss = (p * p * b.literal(&[1, 3], &[1.0, 2.0, 0.5])).sum_all() + (q * q * q).sum_all();
    let hyper = Optimizer::input(&b);
    let norm = optimizer.minimize(loss, hyper, |spec| (spec.name != freeze).then(|| Group::standard(spec)));
    let graph = b.finish(&[("loss", loss), ("norm", norm)]).unwrap();
    let mut params = Params::new();
    let tensor =
        |shape: &[usize], values: &[f32]| HostTensor::new(Shape::new(shape).unwrap(), values.to_vec()).unwrap();
    params.insert("p", tensor(&[1, 3], &[0.5, -1.0, 2.0]));
    params.insert("b", tensor(&[1], &[0.25]));
    params.initialise(graph.params(), 0);
    (graph, params)
}

struct Row {
    loss: f64,
    norm: f64,
    p: Vec<f64>,
    b: f64,
}

fn steps(optimizer: &Optimizer, rates: &[f32], average: f32) -> (Vec<Row>, Params) {
    let (graph, mut params) = problem(optimizer, "");
    let plan = Reference::truth().compile(&graph).unwrap();
    let mut state = plan.state(&params).unwrap();
    let mut rows = Vec::new();
    for (step, &rate) in rates.iter().enumerate() {
        let hyper = optimizer.hyper(step as u64, rate, average);
        let (mut loss, mut norm) = ([0.0], [0.0]);
        let outputs = &mut [SliceMut::F32(&mut loss), SliceMut::F32(&mut norm)];
        plan.update(&mut state, &mut params, &[Slice::F32(&hyper)], outputs).unwrap();
        let now = |name: &str| params.get(name).unwrap().to_f32().into_iter().map(f64::from).collect::<Vec<_>>();
        rows.push(Row { loss: loss[0].into(), norm: norm[0].into(), p: now("p"), b: now("b")[0] });
    }
    (rows, params)
}

fn compare(rows: &[Row], expected: &[(f64, f64, [f64; 3], f64)]) {
    for (row, (loss, norm, p, b)) in rows.iter().zip(expected) {
        assert_relative_eq!(row.loss, *loss, max_relative = 1e-6);
        assert_relative_eq!(row.norm, *norm, max_relative = 1e-6);
        for (have, want) in row.p.iter().zip(p).chain([(&row.b, b)]) {
            assert_relative_eq!(*have, *want, max_relative = 2e-6);
        }
    }
}

#[test]
fn adam_w_steps_as_in_pytorch() {
    let rule = Rule::Adam { betas: [0.9, 0.99], eps: 1e-8 };
    let optimizer = Optimizer { rule, weight_decay: 0.1, clip: 1.5, ..Optimizer::default() };
    let (rows, _) = steps(&optimizer, &[0.1, 0.05, 0.02], 0.0);
    compare(
        &rows,
        &[
            (
                4.265625,
                4.586409952239333,
                [0.3950000030576072, -0.8900000007644018, 1.8800000015288036],
                0.15000001630723628,
            ),
            (
                3.51080000911167,
                4.103249479273937,
                [0.343268893641561, -0.8355563784640717, 1.820556455829991],
                0.10495225296046914,
            ),
            (
                3.1725114074427094,
                3.8674698828629084,
                [0.32278477426777286, -0.8138912008651996, 1.7968772115572078],
                0.08880876933941714,
            ),
        ],
    );
}

#[test]
fn momentum_steps_as_in_pytorch() {
    let optimizer = Optimizer { rule: Rule::Sgd { momentum: 0.9 }, clip: 1.5, ..Optimizer::default() };
    let (rows, _) = steps(&optimizer, &[0.1, 0.05, 0.02], 0.0);
    compare(
        &rows,
        &[
            (
                4.265625,
                4.586409952239333,
                [0.46729468825143944, -0.8691787530057576, 1.9345893765028788],
                0.2438677540471449,
            ),
            (
                3.615128939474678,
                4.090901165653339,
                [0.4354431303899584, -0.7465693087364839, 1.8696870639857541],
                0.23783730635066616,
            ),
            (
                3.0656606879536845,
                3.6332935921190783,
                [0.4167856888973906, -0.6777723109150515, 1.8308842837719528],
                0.2342651396191914,
            ),
        ],
    );
}

#[test]
fn plain_descent_is_a_step_against_the_gradient_and_short_gradients_are_not_clipped() {
    let optimizer = Optimizer { rule: Rule::Sgd { momentum: 0.0 }, clip: 100.0, ..Optimizer::default() };
    let (rows, _) = steps(&optimizer, &[0.1], 0.0);
    compare(&rows, &[(4.265625, 4.586409952239333, [0.4, -0.6, 1.8], 0.23125)]);
}

#[test]
fn the_average_begins_at_the_first_weights_and_takes_their_place() {
    let optimizer = Optimizer { average: true, ..Optimizer::default() };
    let (rows, params) = steps(&optimizer, &[0.1, 0.1, 0.1], 0.05);
    let b: Vec<f64> = rows.iter().map(|row| row.b).collect();
    // Decays 0, 1/11 and 2/12, the last two cut to 0.05.
    let second = 0.05 * b[0] + 0.95 * b[1];
    let third = 0.05 * second + 0.95 * b[2];
    assert_relative_eq!(f64::from(params.get("ema.b").unwrap().to_f32()[0]), third, max_relative = 1e-6);
    let shipped = averaged(&params);
    let names: Vec<&str> = shipped.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["p", "b"]);
    assert_eq!(shipped.get("b").unwrap().to_f32(), params.get("ema.b").unwrap().to_f32());
}

#[test]
fn frozen_parameters_have_no_state_and_no_update() {
    let (graph, _) = problem(&Optimizer::default(), "p");
    let names: Vec<&str> = graph.params().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["p", "b", "adam.m.b", "adam.v.b"]);
    assert_eq!(graph.updates().len(), 3);
}

#[test]
fn rates_of_groups_multiply() {
    let b = Builder::new();
    let s = Scope::new(&b);
    let (slow, fast) = (s.param("slow", &[], init::ONE), s.param("fast", &[], init::ONE));
    let optimizer = Optimizer { rule: Rule::Sgd { momentum: 0.0 }, weight_decay: 0.5, ..Optimizer::default() };
    let hyper = Optimizer::input(&b);
    optimizer.minimize(slow + fast, hyper, |spec| {
        Some(Group { rate: if spec.name == "fast" { 6.0 } else { 1.0 }, decay: true })
    });
    let graph = b.finish(&[]).unwrap();
    let mut params = Params::new();
    params.initialise(graph.params(), 0);
    let plan = Reference::truth().compile(&graph).unwrap();
    let mut state = plan.state(&params).unwrap();
    let hyper = optimizer.hyper(0, 0.01, 0.0);
    plan.update(&mut state, &mut params, &[Slice::F32(&hyper)], &mut []).unwrap();
    assert_relative_eq!(params.get("slow").unwrap().to_f32()[0], 1.0 - 0.01 - 0.005, max_relative = 1e-6);
    assert_relative_eq!(params.get("fast").unwrap().to_f32()[0], 1.0 - 0.06 - 0.03, max_relative = 1e-6);
}

#[test]
fn a_scaled_loss_steps_like_a_plain_one() {
    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8 };
    let plain = Optimizer { rule, weight_decay: 0.1, clip: 1.5, average: true, scaling: None };
    let scaled = Optimizer { scaling: Some(Scaling::default()), ..plain };
    let rates = [0.1, 0.05, 0.2];
    let ((plain, _), (scaled, _)) = (steps(&plain, &rates, 0.9), steps(&scaled, &rates, 0.9));
    for (plain, scaled) in plain.iter().zip(&scaled) {
        // A power of two changes no bit of the gradient; the norm's sum is rounded elsewhere.
        assert_relative_eq!(plain.norm, scaled.norm, max_relative = 1e-6);
        assert_relative_eq!(plain.b, scaled.b, max_relative = 1e-6);
    }
}

/// Half-precision products of a linear map whose gradient for the product is the scale itself.
fn in_half(scaling: Scaling, runs: usize) -> Vec<Params> {
    let b = Builder::new();
    let w = Scope::new(&b).param("w", &[2, 1], init::ZERO);
    let x = b.input("x", &[1, 2], DType::F32);
    let hyper = Optimizer::input(&b);
    let optimizer = Optimizer { average: true, scaling: Some(scaling), ..Optimizer::default() };
    let loss = x.matmul(w).sum_all();
    let norm = optimizer.minimize(loss, hyper, |spec| Some(Group::standard(spec)));
    let graph = b.finish(&[("norm", norm)]).unwrap().in_precision(Precision::F16);
    let mut params = Params::new();
    params.initialise(graph.params(), 0);
    let plan = Reference::single().compile(&graph).unwrap();
    let mut state = plan.state(&params).unwrap();
    let mut history = vec![params.clone()];
    for step in 0..runs {
        let mut norm = [0.0];
        let hyper = optimizer.hyper(step as u64, 0.1, 0.9);
        let inputs = [Slice::F32(&[1.0, 2.0]), Slice::F32(&hyper)];
        plan.update(&mut state, &mut params, &inputs, &mut [SliceMut::F32(&mut norm)]).unwrap();
        history.push(params.clone());
    }
    history
}

#[test]
fn an_overflow_halves_the_scale_and_changes_nothing_else() {
    // 65536 is beyond half precision, 32768 is not, and neither is twice that of the second weight.
    let history = in_half(Scaling { start: 131_072.0, interval: 2000.0 }, 4);
    let number = |params: &Params, name: &str| params.get(name).unwrap().to_f32()[0];
    let scales: Vec<f32> = history.iter().map(|params| number(params, "scaling.scale")).collect();
    assert_eq!(scales, [131_072.0, 65_536.0, 32_768.0, 16_384.0, 16_384.0]);
    for (before, after) in history.iter().zip(&history[1..4]) {
        for (name, tensor) in before.iter().filter(|(name, _)| !name.starts_with("scaling.")) {
            let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(tensor.to_f32()), bits(after.get(name).unwrap().to_f32()), "{name}");
        }
    }
    assert!(
        number(&history[4], "w") < 0.0 && number(&history[4], "ema.w") < 0.0 && number(&history[4], "adam.v.w") > 0.0
    );
    assert!(history[4].iter().all(|(_, tensor)| tensor.to_f32().iter().all(|x| x.is_finite())));
    assert!(is_state("scaling.scale") && is_state("scaling.steps"));
}

#[test]
fn the_scale_grows_after_steps_without_an_overflow() {
    let history = in_half(Scaling { start: 4096.0, interval: 2.0 }, 9);
    let of = |name: &str| history.iter().map(|params| params.get(name).unwrap().to_f32()[0]).collect::<Vec<_>>();
    let scales = of("scaling.scale");
    assert_eq!(scales[..7], [4096.0, 4096.0, 8192.0, 8192.0, 16_384.0, 16_384.0, 32_768.0]);
    // The second gradient, twice the scale, is too large then.
    assert_eq!(scales[7..], [16_384.0, 16_384.0, 32_768.0]);
    assert_eq!(of("scaling.steps")[6..], [0.0, 0.0, 1.0, 0.0]);
}
