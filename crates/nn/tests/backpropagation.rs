//! The slides' four-step algorithm, by hand, against the graph's gradient.

mod common;

use common::uniform;
use yuragi_graph::{Builder, DType, Tensor};
use yuragi_nn::{Scope, loss, mlp};
use yuragi_reference::Program;

const WIDTHS: [usize; 4] = [3, 5, 4, 2];
const BATCH: usize = 6;

/// y = x·w + b of one sample.
fn affine(x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    (0..b.len()).map(|j| b[j] + x.iter().enumerate().map(|(i, x)| x * w[i * b.len() + j]).sum::<f64>()).collect()
}

/// Gradients of the summed cross-entropy in every weight and bias, in the order of `params`.
fn by_hand(x: &[f64], classes: &[usize], params: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut gradients: Vec<Vec<f64>> = params.iter().map(|p| vec![0.0; p.len()]).collect();
    for (x, &class) in x.chunks(WIDTHS[0]).zip(classes) {
        // 1. Forward: u^l = z^(l−1)·w^l + b^l, z^l = tanh u^l, and a softmax at the end.
        let mut z = vec![x.to_vec()];
        for layer in 0..3 {
            let u = affine(&z[layer], &params[2 * layer], &params[2 * layer + 1]);
            z.push(if layer < 2 { u.iter().map(|u| u.tanh()).collect() } else { u });
        }
        let total: f64 = z[3].iter().map(|u| u.exp()).sum();
        // 2. At the output: δ^L = y − d.
        let mut delta: Vec<f64> = z[3].iter().map(|u| u.exp() / total).collect();
        delta[class] -= 1.0;
        for layer in (0..3).rev() {
            // 4. ∂E/∂w^l = z^(l−1)·δ^l.
            for (i, z) in z[layer].iter().enumerate() {
                for (j, d) in delta.iter().enumerate() {
                    gradients[2 * layer][i * delta.len() + j] += z * d;
                }
            }
            gradients[2 * layer + 1].iter_mut().zip(&delta).for_each(|(g, d)| *g += d);
            // 3. Backwards: δ^l = f′(u^l)·Σ δ^(l+1)·w^(l+1).
            let w = &params[2 * layer];
            let back = |(i, z): (usize, &f64)| {
                (1.0 - z * z) * delta.iter().enumerate().map(|(j, d)| d * w[i * delta.len() + j]).sum::<f64>()
            };
            delta = z[layer].iter().enumerate().map(back).collect();
        }
    }
    gradients
}

#[test]
fn t23_the_hand_derived_perceptron_equals_the_graph() {
    let b = Builder::new();
    let x = b.input("x", &[BATCH, WIDTHS[0]], DType::F32);
    let classes = b.input("classes", &[BATCH], DType::I32);
    let logits = mlp(&Scope::new(&b), x, &WIDTHS[1..], Tensor::tanh);
    let error = loss::cross_entropy(logits, classes) * BATCH as f32;
    let weights: Vec<Tensor<'_>> = b.params().iter().map(|p| b.find_param(&p.name).unwrap()).collect();
    let gradients = b.grad(error, &weights);
    let names: Vec<String> = b.params().iter().map(|p| p.name.clone()).collect();
    assert_eq!(names, ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]);
    let outputs: Vec<(&str, Tensor<'_>)> = names.iter().map(String::as_str).zip(gradients).collect();
    let graph = b.finish(&outputs).unwrap();

    let pictures = uniform(0, BATCH * WIDTHS[0]);
    let labels = [0, 1, 1, 0, 1, 0];
    let params: Vec<Vec<f64>> = (1..).zip(graph.params()).map(|(i, p)| uniform(i, p.shape.count())).collect();
    let inputs = [pictures.clone(), labels.map(|l| l as f64).to_vec()];
    let have = Program::new(&graph).run::<f64>(&inputs, &params).unwrap().outputs;
    let want = by_hand(&pictures, &labels, &params);
    for ((name, have), want) in names.iter().zip(have).zip(want) {
        for (have, want) in have.iter().zip(want) {
            // The mean's divisor 1/6 is single precision.
            assert!((have - want).abs() < 1e-7 * want.abs().max(1.0), "{name}: {have} against {want}");
        }
    }
}
