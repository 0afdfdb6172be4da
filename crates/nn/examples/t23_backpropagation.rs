//! The four steps of backpropagation, written as they are derived, teach a perceptron the exclusive or; at its first
//! weights they are compared with the gradient that a graph gives.
//!
//! ```text
//! 1. forward    u^l = z^(l−1)·w^l + b^l,  z^l = f(u^l),  z^0 = x
//! 2. output     δ^L = y − d                     (sigmoid with cross-entropy)
//! 3. backward   δ^l = f′(u^l)·Σ δ^(l+1)·w^(l+1)
//! 4. descent    w^l ← w^l − η·z^(l−1)·δ^l,  b^l ← b^l − η·δ^l
//! ```

use yuragi_graph::{BuildError, Builder, DType, Tensor};
use yuragi_nn::{Scope, loss, mlp};
use yuragi_reference::Program;

/// A layer: `w[i][j]` leads from unit i below to unit j.
struct Layer {
    w: Vec<Vec<f64>>,
    b: Vec<f64>,
}

/// The sums of z·δ and of δ over the data: a layer's gradient.
type Gradient = (Vec<Vec<f64>>, Vec<f64>);

const DATA: [([f64; 2], f64); 4] = [([0.0, 0.0], 0.0), ([0.0, 1.0], 1.0), ([1.0, 0.0], 1.0), ([1.0, 1.0], 0.0)];
const HIDDEN: usize = 4;

fn sigmoid(u: f64) -> f64 {
    1.0 / (1.0 + (-u).exp())
}

/// The summed cross-entropy and the gradient of each layer.
fn gradients(layers: &[Layer; 2]) -> (f64, [Gradient; 2]) {
    let zero = |layer: &Layer| (layer.w.iter().map(|row| vec![0.0; row.len()]).collect(), vec![0.0; layer.b.len()]);
    let (mut error, mut sums): (f64, [Gradient; 2]) = (0.0, [zero(&layers[0]), zero(&layers[1])]);
    for (x, d) in DATA {
        // 1. Forward.
        let u = |z: &[f64], l: usize, j: usize| {
            layers[l].b[j] + z.iter().zip(&layers[l].w).map(|(z, w)| z * w[j]).sum::<f64>()
        };
        let z1: Vec<f64> = (0..HIDDEN).map(|j| u(&x, 0, j).tanh()).collect();
        let y = sigmoid(u(&z1, 1, 0));
        error -= d * y.ln() + (1.0 - d) * (1.0 - y).ln();
        // 2. At the output.
        let delta2 = vec![y - d];
        // 3. Backward: f′(u) = 1 − tanh²u.
        let back = |j: usize| (1.0 - z1[j] * z1[j]) * delta2[0] * layers[1].w[j][0];
        let delta1: Vec<f64> = (0..HIDDEN).map(back).collect();
        // 4. The gradients z·δ.
        for (sum, (z, delta)) in sums.iter_mut().zip([(&x[..], &delta1), (&z1, &delta2)]) {
            for (row, z) in sum.0.iter_mut().zip(z) {
                row.iter_mut().zip(delta).for_each(|(w, delta)| *w += z * delta);
            }
            sum.1.iter_mut().zip(delta).for_each(|(b, delta)| *b += delta);
        }
    }
    (error, sums)
}

/// The same gradient from a graph, flat, layer by layer.
fn of_graph(layers: &[Layer; 2]) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let b = Builder::new();
    let x = b.input("x", &[4, 2], DType::F32);
    let d = b.input("d", &[4, 1], DType::F32);
    let logits = mlp(&Scope::new(&b), x, &[HIDDEN, 1], Tensor::tanh);
    let error = loss::bernoulli(logits, d).sum_all();
    let weights: Vec<Tensor<'_>> = b.params().iter().filter_map(|p| b.find_param(&p.name)).collect();
    let outputs = b.grad(error, &weights);
    let names: Vec<String> = (0..outputs.len()).map(|i| i.to_string()).collect();
    let named: Vec<(&str, Tensor<'_>)> = names.iter().map(String::as_str).zip(outputs).collect();
    let graph = b.finish(&named).map_err(|e: BuildError| e.to_string())?;
    let inputs = [DATA.iter().flat_map(|(x, _)| *x).collect(), DATA.iter().map(|(_, d)| *d).collect()];
    let params: Vec<Vec<f64>> = layers.iter().flat_map(|layer| [layer.w.concat(), layer.b.clone()]).collect();
    Ok(Program::new(&graph).run::<f64>(&inputs, &params)?.outputs.concat())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = |i: usize, j: usize| ((i * 5 + j * 3) as f64).sin();
    let matrix = |rows: usize, columns: usize, at: usize| {
        (0..rows).map(|i| (0..columns).map(|j| start(i + at, j)).collect()).collect()
    };
    let mut layers =
        [Layer { w: matrix(2, HIDDEN, 1), b: vec![0.0; HIDDEN] }, Layer { w: matrix(HIDDEN, 1, 7), b: vec![0.0] }];

    let (_, by_hand) = gradients(&layers);
    let by_hand: Vec<f64> = by_hand.iter().flat_map(|(w, b)| [w.concat(), b.clone()].concat()).collect();
    let far = by_hand.iter().zip(of_graph(&layers)?).map(|(hand, graph)| (hand - graph).abs()).fold(0.0, f64::max);
    println!("by hand and by the graph: {} numbers, at most {far:.1e} apart", by_hand.len());

    for step in 0..=2000 {
        let (error, sums) = gradients(&layers);
        if step % 500 == 0 {
            println!("step {step:4}: cross-entropy {error:.4}");
        }
        for (layer, (w, b)) in layers.iter_mut().zip(sums) {
            let rate = 0.3;
            layer.w.iter_mut().flatten().zip(w.concat()).for_each(|(w, g)| *w -= rate * g);
            layer.b.iter_mut().zip(b).for_each(|(b, g)| *b -= rate * g);
        }
    }
    Ok(())
}
