//! T07: gradient descent as majorise–minimise, with the curvature measured by Hessian-vector products.

mod common;

use std::collections::BTreeMap;

use common::uniform;
use yuragi_graph::{Backend, HostTensor, Shape};
use yuragi_graph::{Builder, DType, Graph, Params, Plan, SliceMut, Tensor};
use yuragi_nn::optim::{Group, Optimizer};
use yuragi_nn::{Scope, curvature, init, layer_norm, linear, loss};
use yuragi_numeric::linalg::symmetric_eigen;
use yuragi_reference::{Program, Reference};

/// A graph run in f64, with its parameters by name.
struct Run {
    program: Program,
    values: BTreeMap<String, Vec<f64>>,
}

impl Run {
    fn new(graph: &Graph) -> Run {
        let program = Program::new(graph);
        let specs = program.graph().params().iter().enumerate();
        let values = specs
            .map(|(i, spec)| {
                let shift = spec.name == "curvature.shift";
                let values = if shift { vec![0.0] } else { uniform(50 + i as u32, spec.shape.count()) };
                (spec.name.clone(), values)
            })
            .collect();
        Run { program, values }
    }

    /// The outputs at the present parameters, which are then updated.
    fn step(&mut self, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let params: Vec<Vec<f64>> =
            self.program.graph().params().iter().map(|spec| self.values[&spec.name].clone()).collect();
        let run = self.program.run::<f64>(inputs, &params).unwrap();
        for (update, value) in self.program.graph().updates().iter().zip(run.updates) {
            let name = &self.program.graph().params()[update.param].name;
            self.values.insert(name.clone(), value);
        }
        run.outputs
    }
}

/// A symmetric matrix with these eigenvalues, up to rounding to single precision; and the eigenvalues
/// and eigenvectors that it really has.
fn with_spectrum(eigenvalues: &[f64]) -> (Vec<f32>, Vec<f64>, Vec<f64>) {
    let n = eigenvalues.len();
    // The eigenvectors of a random symmetric matrix.
    let random = uniform(7, n * n);
    let mut a: Vec<f64> = (0..n * n).map(|at| random[at] + random[at % n * n + at / n]).collect();
    let (mut values, mut vectors) = (vec![0.0; n], vec![0.0; n * n]);
    symmetric_eigen(&mut a, n, &mut values, &mut vectors).unwrap();
    let entry =
        |i: usize, j: usize| -> f64 { (0..n).map(|k| eigenvalues[k] * vectors[k * n + i] * vectors[k * n + j]).sum() };
    let matrix: Vec<f32> =
        (0..n * n).map(|at| (at / n, at % n)).map(|(i, j)| entry(i.min(j), i.max(j)) as f32).collect();
    let mut rounded: Vec<f64> = matrix.iter().map(|x| f64::from(*x)).collect();
    symmetric_eigen(&mut rounded, n, &mut values, &mut vectors).unwrap();
    (matrix, values, vectors)
}

/// ½xᵀAx of the parameter x.
fn quadratic<'g>(b: &'g Builder, matrix: &[f32]) -> Tensor<'g> {
    let n = matrix.len().isqrt();
    let x = Scope::new(b).param("x", &[1, n], init::ONE);
    (x.matmul(b.literal(&[n, n], matrix)) * x).sum_all().reshape(&[]) * 0.5
}

#[test]
fn t07_power_iteration_finds_the_largest_eigenvalue() {
    let cases: [&[f64]; 7] = [
        &[4.0, 2.0, 1.0, 0.5, 0.0],
        // Indefinite: the lowest is larger in size, hardly larger, as large, smaller.
        &[3.0, 1.0, 0.0, -1.0, -7.0],
        &[3.0, 1.0, 0.0, -1.0, -3.1],
        &[2.0, 1.0, 0.0, -1.0, -2.0],
        &[5.0, 3.0, -1.0, -4.0],
        // Nothing curves upwards; one direction alone.
        &[-1.0, -2.0, -5.0],
        &[3.0],
    ];
    for eigenvalues in cases {
        let (matrix, values, vectors) = with_spectrum(eigenvalues);
        let (n, exact) = (values.len(), values[values.len() - 1]);
        let b = Builder::new();
        let c = curvature::largest(quadratic(&b, &matrix), |_| true);
        let mut run = Run::new(&b.finish(&[("largest", c.largest), ("residual", c.residual)]).unwrap());
        // The ratio of the second shifted eigenvalue to the first is at most 11/13 here: (11/13)⁴⁰⁰ < 10⁻²⁸.
        for round in 0..400 {
            let outputs = run.step(&[]);
            let (largest, residual) = (outputs[0][0], outputs[1][0]);
            assert!(largest <= exact + 1e-12, "{eigenvalues:?}: {largest} in round {round}");
            // An eigenvalue lies within the residual.
            assert!(values.iter().any(|value| (value - largest).abs() <= residual + 1e-12));
        }
        let outputs = run.step(&[]);
        assert!((outputs[0][0] - exact).abs() < 1e-12 && outputs[1][0] < 1e-7, "{eigenvalues:?}: {outputs:?} {exact}");
        let v = &run.values["curvature.v.x"];
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let along: f64 = v.iter().zip(&vectors[(n - 1) * n..]).map(|(a, b)| a * b).sum();
        assert!((along.abs() / length - 1.0).abs() < 1e-12);
    }
}

#[test]
fn t07_flat_losses_have_no_curvature() {
    let b = Builder::new();
    let x = Scope::new(&b).param("x", &[3], init::ONE);
    let c = curvature::largest(x.sum_all().reshape(&[]), |_| true);
    let mut run =
        Run::new(&b.finish(&[("largest", c.largest), ("residual", c.residual), ("rate", c.rate(8.0))]).unwrap());
    for _ in 0..5 {
        assert_eq!(run.step(&[]), [[0.0], [0.0], [8.0]]);
    }
    // No parameter at all.
    let b = Builder::new();
    let c = curvature::largest(b.fill(&[], 1.0, DType::F32), |_| true);
    assert_eq!(Run::new(&b.finish(&[("largest", c.largest)]).unwrap()).step(&[]), [[0.0]]);
}

#[test]
fn t07_descent_is_monotone_up_to_two_over_the_curvature_and_diverges_beyond() {
    let (matrix, values, vectors) = with_spectrum(&[4.0, 2.5, 1.0, 0.25]);
    let (n, largest) = (4, values[3]);
    for (times, falls) in [(0.5, true), (1.0, true), (1.9, true), (2.1, false), (3.0, false)] {
        let b = Builder::new();
        let loss = quadratic(&b, &matrix);
        let rate = b.input("rate", &[], DType::F32);
        let surrogate = curvature::majorize(loss, rate, |_| true);
        let mut run = Run::new(&b.finish(&[("loss", loss), ("surrogate", surrogate)]).unwrap());
        let along = |run: &Run| -> f64 { run.values["x"].iter().zip(&vectors[3 * n..]).map(|(x, v)| x * v).sum() };
        let (start, mut losses, mut bounds) = (along(&run), Vec::new(), Vec::new());
        for _ in 0..60 {
            let outputs = run.step(&[vec![times / largest]]);
            losses.push(outputs[0][0]);
            bounds.push(outputs[1][0]);
        }
        // Along the steepest axis every step multiplies by 1 − ηλ.
        let expected = start * (1.0 - times).powi(60);
        assert!((along(&run) - expected).abs() < 1e-12 * start.abs().max(expected.abs()), "{times}");
        let monotone = losses.windows(2).all(|pair| pair[1] <= pair[0]);
        assert_eq!(monotone, falls, "{times}: {losses:?}");
        assert!(falls || losses[59] > 1e3 * losses[0]);
        // The surrogate's promise holds up to 1/λ_max, and is broken beyond where that axis rules.
        let kept = losses[1..].iter().zip(&bounds).all(|(next, bound)| *next <= bound + 1e-15 * losses[0]);
        assert_eq!(kept, times <= 1.0, "{times}");
    }
}

#[test]
fn t07_rate_of_the_measured_curvature_descends() {
    let (matrix, values, _) = with_spectrum(&[4.0, 2.5, 1.0, 0.25]);
    let b = Builder::new();
    let loss = quadratic(&b, &matrix);
    let c = curvature::largest(loss, |_| true);
    let (rate, go) = (c.rate(100.0), b.input("go", &[], DType::F32));
    let surrogate = curvature::majorize(loss, rate * go, |_| true);
    let mut run = Run::new(&b.finish(&[("loss", loss), ("surrogate", surrogate), ("rate", rate)]).unwrap());
    // The weights rest until the iteration has found λ_max: (2.5/4)⁶⁰ is below 10⁻¹².
    let start = run.values["x"].clone();
    for _ in 0..60 {
        run.step(&[vec![0.0]]);
    }
    assert_eq!(run.values["x"], start);
    let mut promise = f64::INFINITY;
    for step in 0..50 {
        let outputs = run.step(&[vec![1.0]]);
        assert!(outputs[0][0] <= promise, "{step}");
        promise = outputs[1][0];
        assert!((outputs[2][0] * values[3] - 1.0).abs() < 1e-8);
    }
}

/// A small network, its loss with second derivatives everywhere, and its inputs' values.
fn network(b: &Builder) -> (Tensor<'_>, Vec<Vec<f64>>) {
    let s = Scope::new(b);
    let (x, y) = (b.input("x", &[12, 3], DType::F32), b.input("y", &[12, 1], DType::F32));
    let hidden = linear(&s.enter("first"), x, 5).tanh();
    let output = linear(&s.enter("second"), hidden, 1);
    let targets = uniform(21, 12).iter().map(|t| f64::from(u8::from(*t > 0.0))).collect();
    (loss::bce_with_logits(output, y).reshape(&[]), vec![uniform(20, 36), targets])
}

/// Another, through normalisation, GELU, attention and softmax.
fn deep(b: &Builder) -> (Tensor<'_>, Vec<Vec<f64>>) {
    let s = Scope::new(b);
    let x = b.input("x", &[2, 4, 6], DType::F32);
    let h = layer_norm(&s.enter("norm"), linear(&s.enter("in"), x, 6)).gelu();
    let q = h.reshape(&[2, 4, 1, 6]);
    let y = q.attention(q * 0.5, q, None, 0.4).reshape(&[2, 4, 6]);
    let p = linear(&s.enter("out"), y, 3).softmax();
    ((p * p).sum_all().reshape(&[]), vec![uniform(30, 48)])
}

/// The names of the network's weights with their tensors.
fn weights(b: &Builder) -> (Vec<String>, Vec<Tensor<'_>>) {
    let names: Vec<String> =
        b.params().into_iter().map(|spec| spec.name).filter(|name| !name.starts_with(curvature::STATE)).collect();
    let tensors = names.iter().map(|name| b.find_param(name).unwrap()).collect();
    (names, tensors)
}

/// Loss, gradient and Hessian-vector product of a network at any point along any direction.
struct Probe {
    program: Program,
    names: Vec<String>,
    inputs: Vec<Vec<f64>>,
}

impl Probe {
    fn new(build: impl for<'g> Fn(&'g Builder) -> (Tensor<'g>, Vec<Vec<f64>>)) -> Probe {
        let b = Builder::new();
        let (loss, inputs) = build(&b);
        let (names, wrt) = weights(&b);
        let count = wrt.len();
        let v: Vec<Tensor<'_>> =
            wrt.iter().enumerate().map(|(i, w)| b.input(&format!("v{i}"), &w.shape(), DType::F32)).collect();
        let gradients = b.grad(loss, &wrt);
        let products = curvature::hessian_vector(loss, &wrt, &v);
        let labels: Vec<String> = (0..2 * count).map(|i| format!("o{i}")).collect();
        let mut outputs = vec![("loss", loss)];
        outputs.extend(labels.iter().map(String::as_str).zip(gradients.into_iter().chain(products)));
        let program = Program::new(&b.finish(&outputs).unwrap());
        let declared = program.graph().params().iter().map(|spec| spec.name.clone()).collect::<Vec<_>>();
        assert_eq!(declared, names);
        Probe { program, names, inputs }
    }

    fn sizes(&self) -> Vec<usize> {
        self.program.graph().params().iter().map(|spec| spec.shape.count()).collect()
    }

    fn split(&self, flat: &[f64]) -> Vec<Vec<f64>> {
        let mut rest = flat;
        self.sizes().into_iter().map(|size| rest.split_off(..size).unwrap().to_vec()).collect()
    }

    /// Loss, gradient and H·v, flat.
    fn at(&self, theta: &[f64], v: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
        let inputs = [self.inputs.clone(), self.split(v)].concat();
        let outputs = self.program.run::<f64>(&inputs, &self.split(theta)).unwrap().outputs;
        let (gradient, product) = outputs[1..].split_at(self.names.len());
        (outputs[0][0], gradient.concat(), product.concat())
    }

    /// The Hessian's largest eigenvalue, by the whole matrix.
    fn largest(&self, theta: &[f64]) -> f64 {
        let n = theta.len();
        let mut hessian = Vec::new();
        for i in 0..n {
            let mut v = vec![0.0; n];
            v[i] = 1.0;
            hessian.extend(self.at(theta, &v).2);
        }
        let (mut values, mut vectors) = (vec![0.0; n], vec![0.0; n * n]);
        symmetric_eigen(&mut hessian, n, &mut values, &mut vectors).unwrap();
        values[n - 1]
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn moved(theta: &[f64], by: f64, direction: &[f64]) -> Vec<f64> {
    theta.iter().zip(direction).map(|(x, d)| x + by * d).collect()
}

#[test]
fn t07_hessian_vector_products_are_differences_of_gradients() {
    for probe in [Probe::new(network), Probe::new(deep)] {
        let n = probe.sizes().iter().sum();
        let (theta, u, v) = (uniform(40, n), uniform(41, n), uniform(42, n));
        let product = probe.at(&theta, &v).2;
        let gradient = |h: f64| probe.at(&moved(&theta, h, &v), &v).1;
        let h = 1e-3;
        let (near, far) = ((gradient(h), gradient(-h)), (gradient(2.0 * h), gradient(-2.0 * h)));
        let size = product.iter().fold(0.0f64, |max, x| max.max(x.abs()));
        for (i, value) in product.iter().enumerate() {
            let difference = (8.0 * (near.0[i] - near.1[i]) - (far.0[i] - far.1[i])) / (12.0 * h);
            // Fourth order in h, and constants inside gradients are in single precision.
            assert!((value - difference).abs() < 2e-6 * size.max(1.0), "{i}: {value} {difference}");
        }
        assert!(size > 1e-2);
        // Symmetric.
        let other = probe.at(&theta, &u).2;
        assert!((dot(&u, &product) - dot(&v, &other)).abs() < 1e-6 * size * n as f64);
    }
}

#[test]
fn t07_surrogate_lies_above_the_loss_where_the_curvature_is_below_one_over_the_rate() {
    let probe = Probe::new(network);
    let n = probe.sizes().iter().sum();
    let mut broken = 0;
    for start in 0..6 {
        let theta: Vec<f64> = uniform(60 + start, n).iter().map(|x| 2.0 * x).collect();
        let (f, gradient, _) = probe.at(&theta, &theta);
        let square = dot(&gradient, &gradient);
        // The largest curvature of the segment that ends at the step of the largest curvature here or, if it
        // grows on the way, of a shorter segment.
        let points = |rate: f64| (0..=16).map(move |i| rate * f64::from(i) / 16.0);
        let first = probe.largest(&theta);
        let along = points(1.0 / first).map(|t| probe.largest(&moved(&theta, -t, &gradient))).fold(first, f64::max);
        let surrogate = |t: f64, rate: f64| f - t * square + 0.5 * t * t * square / rate;
        let rate = 1.0 / along;
        for t in points(rate) {
            let value = probe.at(&moved(&theta, -t, &gradient), &theta).0;
            // Between the 17 points the curvature hardly changes.
            assert!(value <= surrogate(t, rate) + 1e-6 * square * rate, "{start} {t}: {value} {}", surrogate(t, rate));
        }
        let end = probe.at(&moved(&theta, -rate, &gradient), &theta).0;
        assert!(end <= f - 0.5 * rate * square * (1.0 - 1e-6) && end < f);
        // Along the steepest direction a much longer rate breaks it.
        broken += u32::from(
            probe.at(&moved(&theta, -40.0 * rate, &gradient), &theta).0 > surrogate(40.0 * rate, 40.0 * rate),
        );
    }
    assert!(broken > 0, "a test that would pass with any rate");
}

#[test]
fn t07_networks_descend_at_the_measured_rate() {
    let probe = Probe::new(network);
    let b = Builder::new();
    let (loss, inputs) = network(&b);
    let c = curvature::largest(loss, |_| true);
    let mut measure = Run::new(&b.finish(&[("loss", loss)]).unwrap());
    let rate = c.rate(1e3);
    let surrogate = curvature::majorize(loss, rate, |_| true);
    let mut descend = Run::new(
        &b.finish(&[("loss", loss), ("surrogate", surrogate), ("rate", rate), ("largest", c.largest)]).unwrap(),
    );
    // The same store for both: first the curvature alone.
    measure.values = descend.values.clone();
    for _ in 0..200 {
        measure.step(&inputs);
    }
    descend.values = measure.values;
    let flat = |run: &Run| -> Vec<f64> { probe.names.iter().flat_map(|name| run.values[name].clone()).collect() };
    let (mut before, mut promise, mut kept) = (f64::INFINITY, f64::INFINITY, 0);
    let mut worst = 0.0;
    for step in 0..60 {
        let theta = flat(&descend);
        let outputs = descend.step(&inputs);
        let (f, rate) = (outputs[0][0], outputs[2][0]);
        if step == 0 {
            assert!((outputs[3][0] / probe.largest(&theta) - 1.0).abs() < 1e-6);
        } else if worst <= 1.0 {
            assert!(f <= promise + 1e-9 * (before - promise), "{step}: {f} {promise}");
            kept += 1;
        } else {
            // f(θ₁) ≤ f(θ₀) − η(1 − ηL/2)|∇f|².
            assert!(worst < 2.0 && f <= before, "{step}: {worst}");
        }
        // η times the largest curvature of the segment that this step takes.
        let end = flat(&descend);
        let points = (0..=8).map(|i| f64::from(i) / 8.0);
        let along =
            points.map(|t| probe.largest(&theta.iter().zip(&end).map(|(a, b)| a + t * (b - a)).collect::<Vec<_>>()));
        worst = along.fold(0.0, f64::max) * rate;
        (before, promise) = (f, outputs[1][0]);
    }
    assert!(kept > 20, "{kept} of 59 steps stayed below the surrogate's condition");
}

#[test]
fn t07_runs_on_a_backend_beside_an_optimizer() {
    // One graph measures the curvature and steps with AdamW; the iteration's state is no weight of it.
    let b = Builder::new();
    let loss = quadratic(&b, &[2.0, 0.0, 0.0, 1.0]);
    let hyper = Optimizer::input(&b);
    let c = curvature::largest(loss, |_| true);
    let optimizer = Optimizer::default();
    optimizer.minimize(loss, hyper, |spec| Some(Group::standard(spec)));
    let graph = b.finish(&[("largest", c.largest), ("loss", loss)]).unwrap();
    assert_eq!(graph.updates().len(), 3 + 2);
    let plan = Reference::single().compile(&graph).unwrap();
    let mut params = Params::new();
    params.insert("x", HostTensor::new(Shape::new(&[1, 2]).unwrap(), vec![1.0, -2.0]).unwrap());
    params.initialise(graph.params(), 0);
    let mut state = plan.state(&params).unwrap();
    let (mut largest, mut last) = ([0.0], [0.0]);
    for step in 0..40 {
        let hyper = optimizer.hyper(step, 0.1, 0.0);
        let outputs = &mut [SliceMut::F32(&mut largest), SliceMut::F32(&mut last)];
        plan.update(&mut state, &mut params, &[yuragi_graph::Slice::F32(&hyper)], outputs).unwrap();
    }
    // In single precision: a few roundings of 2.
    assert!((largest[0] - 2.0f32).abs() < 1e-6 && last[0] < 1.0, "{largest:?} {last:?}");
}
