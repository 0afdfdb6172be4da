//! Combinations: what fusion, planning of memory and in-place updates may break.

use yuragi_graph::{
    Builder, DType, Init, Tensor,
    op::{Distribution, Window},
};

use super::{Case, FLOATS, Law, Smooth};

pub(super) fn cases(cases: &mut Vec<Case>) {
    for dtype in FLOATS {
        cases.extend([
            chains(dtype),
            fan_out(dtype),
            outputs(dtype),
            views(dtype),
            folded_chain(dtype),
            perceptron(dtype),
            convolution_block(dtype),
            transformer_block(dtype),
        ]);
    }
    cases.extend([second_gradient(), noise(), many_buffers(), parameters(), sgd(), momentum(), adam(), exchange()]);
}

/// A long elementwise chain over operands of different broadcasts.
fn chains(dtype: DType) -> Case {
    let case = Case::new("composite", dtype, "elementwise chain", |_, x| {
        let y = (x[0] * 1.7 + x[1]).tanh() * (x[2].sigmoid() - 0.5);
        let y = (y.abs() + 1.0).ln().maximum(x[0] * 0.125).silu();
        vec![x[0].less(x[1]).select(y, y * x[2])]
    });
    case.input(&[7, 1, 5], Law::Normal).input(&[3, 5], Law::Normal).input(&[3, 1], Law::Normal).smooth(Smooth::Once)
}

/// Inner values that several users, some of them outputs, need.
fn fan_out(dtype: DType) -> Case {
    let case = Case::new("composite", dtype, "fan-out", |_, x| {
        let a = x[0].exp();
        let b = a + x[1];
        let c = a * b;
        vec![c.sum(&[1]), b, (c - a).permute(&[1, 0]), a.max(&[0]) + b]
    });
    case.input(&[4, 6], Law::Normal).input(&[4, 6], Law::Normal).smooth(Smooth::Once)
}

/// Outputs that are inputs, constants, each other, and views.
fn outputs(dtype: DType) -> Case {
    let case = Case::new("composite", dtype, "trivial outputs", move |b, x| {
        let fill = b.fill(&[2, 2], 0.1, dtype);
        vec![x[0], x[0], fill, x[0].reshape(&[6]), x[0].permute(&[1, 0]), b.literal(&[3], &[1.0, -2.5, 1e-3])]
    });
    case.input(&[2, 3], Law::Normal)
}

/// A concatenation of views of what is written and read again.
fn views(dtype: DType) -> Case {
    let case = Case::new("composite", dtype, "concat of views", |_, x| {
        let y = x[0].silu();
        let z = y.slice(1, 0, 2).concat(&[y.slice(1, 2, 5).permute(&[1, 0]).permute(&[1, 0]), x[1].pad(1, 0, 1)], 1);
        vec![z.permute(&[1, 0]).reshape(&[2, 12]).sum(&[0]), z * z, z.broadcast(&[2, 3, 8]).sum(&[0, 1])]
    });
    case.input(&[3, 5], Law::Normal).input(&[3, 2], Law::Normal).smooth(Smooth::Once)
}

/// A fold whose operand is an elementwise chain, and a chain over its result.
fn folded_chain(dtype: DType) -> Case {
    let case = Case::new("composite", dtype, "fold of a chain", |_, x| {
        let centred = x[0] - x[0].mean(&[-1]);
        let deviation = ((centred * centred).mean(&[-1]) + 1e-3).sqrt();
        vec![centred / deviation * x[1], (x[0] * x[1]).exp().sum_all()]
    });
    case.input(&[5, 9], Law::Normal).input(&[9], Law::Normal).smooth(Smooth::Twice)
}

/// x·w + b through GELU, twice.
fn perceptron(dtype: DType) -> Case {
    let case = Case::new("composite", dtype, "perceptron", |_, x| {
        let hidden = (x[0].matmul(x[1]) + x[2]).gelu();
        vec![(hidden.matmul(x[3]) + x[4]).sigmoid()]
    });
    let case = case.input(&[3, 4], Law::Normal).input(&[4, 5], Law::Normal).input(&[5], Law::Normal);
    case.input(&[5, 2], Law::Normal).input(&[2], Law::Normal).smooth(Smooth::Twice)
}

/// Norm, activation, convolution, bias, and the residual sum; then halved and doubled in size.
fn convolution_block(dtype: DType) -> Case {
    let case = Case::new("composite", dtype, "convolution block", |_, x| {
        let y = x[0].group_norm(2, x[1], x[2], 1e-5).silu();
        let y = y.conv2d(x[3], Window::same(3)) + x[2] + x[0];
        let halves = Window { stride: [2, 2], padding: [0; 4] };
        let small = y.reshape(&[1, 2, 2, 2, 2, 4]).sum(&[2, 4]).reshape(&[1, 2, 2, 4]);
        let doubled = small.reshape(&[1, 2, 1, 2, 1, 4]).broadcast(&[1, 2, 2, 2, 2, 4]).reshape(&[1, 4, 4, 4]);
        vec![y + doubled, y.conv2d(x[3].slice(0, 0, 2).slice(1, 0, 2), halves)]
    });
    let case = case.input(&[1, 4, 4, 4], Law::Normal).input(&[4], Law::Normal).input(&[4], Law::Normal);
    case.input(&[3, 3, 4, 4], Law::Normal).smooth(Smooth::Once)
}

/// Pre-norm attention with two heads, and its residual sum.
fn transformer_block(dtype: DType) -> Case {
    let case = Case::new("composite", dtype, "transformer block", |_, x| {
        let parts = x[0].layer_norm(x[1], x[1], 1e-5).matmul(x[2]).chunk(-1, 3);
        let heads = |t: Tensor<'_>| -> [usize; 4] {
            let shape = t.shape();
            [shape[0], shape[1], 2, shape[2] / 2]
        };
        let head = |i: usize| parts[i].reshape(&heads(parts[i])).permute(&[0, 2, 1, 3]);
        let mixed = head(0).attention(head(1), head(2), None, 0.7).permute(&[0, 2, 1, 3]).reshape(&x[0].shape());
        vec![x[0] + mixed]
    });
    case.input(&[2, 3, 4], Law::Normal).input(&[4], Law::Normal).input(&[4, 12], Law::Normal).smooth(Smooth::Once)
}

/// A gradient of a gradient's norm.
fn second_gradient() -> Case {
    let case = Case::new("composite", DType::F32, "gradient of a gradient", |b, x| {
        let loss = (x[0].matmul(x[1]).softmax() * x[2]).sum_all();
        let g = b.grad(loss, &[x[0]])[0];
        let norm = (g * g).sum_all();
        let mut outputs = b.grad(norm, &[x[0], x[1]]);
        outputs.push(norm);
        outputs
    });
    case.input(&[3, 4], Law::Normal).input(&[4, 5], Law::Normal).input(&[3, 5], Law::Normal).smooth(Smooth::Once)
}

/// Noise added to data, as a diffusion model trains.
fn noise() -> Case {
    let case = Case::new("composite", DType::F32, "noise", |b, x| {
        let noise = b.random(Distribution::Normal, x[1], 3, &[6, 5]);
        let t = b.random(Distribution::Uniform, x[1], 4, &[6, 1]);
        let noisy = x[0] * (1.0 - t).sqrt() + noise * t.sqrt();
        vec![noisy, noise, t]
    });
    case.input(&[6, 5], Law::Normal).typed_input(&[2], DType::U32, Law::Key)
}

/// Buffers of many sizes that live and die at different times.
fn many_buffers() -> Case {
    let case = Case::new("composite", DType::F32, "many buffers", |_, x| {
        let mut y = x[0];
        let mut kept = Vec::new();
        for i in 0..9 {
            let wide = y.broadcast(&[i % 4 + 2, 5, 6]).matmul(x[1].broadcast(&[i % 4 + 2, 6, 6]));
            let small = wide.max(&[0]).tanh() + wide.sum(&[1]).slice(0, 1, 2);
            if i % 3 == 0 {
                kept.push(small.slice(1, 1, 3));
            }
            y = (small.reshape(&[5, 6]) * 0.125).sigmoid();
        }
        vec![y, kept[0].concat(&kept[1..], 2)]
    });
    case.input(&[5, 6], Law::Normal).input(&[6, 6], Law::Normal).smooth(Smooth::Once)
}

/// Parameters read in several ways.
fn parameters() -> Case {
    let case = Case::new("composite", DType::F32, "parameters", |b, x| {
        let w = b.param("w", &[4, 3], DType::F32, Init::Normal(1.0));
        let v = b.param("v", &[3], DType::F32, Init::Uniform(0.5));
        vec![x[0].matmul(w) + v, w.permute(&[1, 0]), w, v.sum_all() * w]
    });
    case.input(&[5, 4], Law::Normal).smooth(Smooth::Twice)
}

/// A loss, and the gradients of two parameters.
fn regression<'g>(b: &'g Builder, x: &[Tensor<'g>]) -> (Tensor<'g>, [Tensor<'g>; 2], Vec<Tensor<'g>>) {
    let w = b.param("w", &[4, 3], DType::F32, Init::Normal(1.0));
    let v = b.param("v", &[3], DType::F32, Init::Normal(1.0));
    let miss = (x[0].matmul(w) + v).tanh() - x[1];
    let loss = (miss * miss).mean_all();
    (loss, [w, v], b.grad(loss, &[w, v]))
}

fn regression_case(
    detail: &str,
    build: impl for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Vec<Tensor<'g>> + 'static,
) -> Case {
    Case::new("update", DType::F32, detail, build).input(&[5, 4], Law::Normal).input(&[5, 3], Law::Normal)
}

/// One step down the gradient.
fn sgd() -> Case {
    regression_case("gradient descent", |b, x| {
        let (loss, params, grads) = regression(b, x);
        for (p, g) in params.into_iter().zip(grads) {
            b.update(p, p - g * 0.1);
        }
        vec![loss]
    })
}

/// Two updates that share a value; the old parameter is an output.
fn momentum() -> Case {
    regression_case("momentum", |b, x| {
        let (loss, params, grads) = regression(b, x);
        for (i, (p, g)) in params.into_iter().zip(grads).enumerate() {
            let m = b.param(&format!("m{i}"), &p.shape(), DType::F32, Init::Normal(0.1));
            let next = m * 0.9 + g;
            b.update(m, next);
            b.update(p, p - next * 0.1);
        }
        vec![loss, params[0]]
    })
}

/// Adam, with the count of steps a parameter, and an average of the weights.
fn adam() -> Case {
    regression_case("adam with an average", |b, x| {
        let (loss, params, grads) = regression(b, x);
        let step = b.param("step", &[], DType::F32, Init::Constant(3.0));
        let next = step + 1.0;
        b.update(step, next);
        let correction = |beta: f32| 1.0 - (next * beta.ln()).exp();
        for (i, (p, g)) in params.into_iter().zip(grads).enumerate() {
            let state =
                |name: &str, bound: f32| b.param(&format!("{name}{i}"), &p.shape(), DType::F32, Init::Uniform(bound));
            let (m, v, average) = (state("m", 0.1), state("v", 0.1), state("average", 1.0));
            let new_m = m * 0.9 + g * 0.1;
            let new_v = (v * v).sqrt() * 0.999 + g * g * 0.001;
            let new = p - (new_m / correction(0.9)) / ((new_v / correction(0.999)).sqrt() + 1e-8) * 1e-3;
            b.update(m, new_m);
            b.update(v, new_v);
            b.update(p, new);
            b.update(average, average + (new - average) * 0.01);
        }
        vec![loss]
    })
}

/// Parameters that take each other's old values.
fn exchange() -> Case {
    let case = Case::new("update", DType::F32, "exchange", |b, x| {
        let param = |name: &str| b.param(name, &[3, 3], DType::F32, Init::Normal(1.0));
        let (p, q, r) = (param("p"), param("q"), param("r"));
        b.update(p, q);
        b.update(q, p.permute(&[1, 0]));
        b.update(r, x[0]);
        vec![p + q, r]
    });
    case.input(&[3, 3], Law::Normal)
}
