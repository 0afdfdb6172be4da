//! Every layer's and every loss's gradient against central differences.

mod common;

use common::{Input::*, check};
use yuragi_graph::Tensor;
use yuragi_nn::*;

#[test]
fn linear_maps() {
    check(&[Real(&[2, 3, 4])], |s, x| vec![linear(s, x[0], 5)]);
    check(&[Real(&[3, 4])], |s, x| vec![Linear::new(2).unbiased().init(init::xavier(4, 2)).apply(s, x[0])]);
    check(&[Real(&[3, 4])], |s, x| vec![mlp(s, x[0], &[6, 5, 2], Tensor::tanh)]);
    check(&[Real(&[3, 4])], |s, x| vec![geglu(s, x[0], 3)]);
    check(&[Real(&[2, 3, 4])], |s, x| vec![feed_forward(s, x[0], 8)]);
}

#[test]
fn convolutions() {
    check(&[Real(&[2, 5, 4, 3])], |s, x| vec![conv2d(s, x[0], 2, 3)]);
    check(&[Real(&[2, 5, 4, 3])], |s, x| vec![conv2d(s, x[0], 4, 1)]);
    check(&[Real(&[1, 6, 5, 2])], |s, x| vec![Conv2d::new(3, 3).stride(2).unbiased().apply(s, x[0])]);
}

#[test]
fn normalisations() {
    check(&[Real(&[2, 3, 6])], |s, x| vec![layer_norm(s, x[0])]);
    check(&[Real(&[2, 2, 3, 6])], |s, x| vec![group_norm(s, x[0], 3)]);
    check(&[Real(&[2, 2, 3, 6]), Real(&[2, 4])], |s, x| vec![modulated_group_norm(s, x[0], x[1], 2)]);
}

#[test]
fn embeddings() {
    check(&[Index(&[2, 3], &[0, 4, 1, 1, 4, 4])], |s, x| vec![embedding(s, x[0], 5, 3, 1.0)]);
    check(&[Real(&[4])], |s, x| vec![timestep_embedding(s, x[0], 6, 100.0)]);
}

#[test]
fn attentions() {
    check(&[Real(&[2, 3, 4])], |s, x| vec![attention(s, x[0], x[0], 2, None)]);
    check(&[Real(&[2, 3, 4]), Real(&[2, 5, 6]), Real(&[2, 5])], |s, x| vec![attention(s, x[0], x[1], 2, Some(x[2]))]);
}

#[test]
fn resampling() {
    check(&[Real(&[2, 4, 6, 3])], |_, x| vec![upsample(x[0]), mean_pool(x[0], 2), space_to_depth(x[0], 2)]);
    check(&[Real(&[1, 2, 3, 8])], |_, x| vec![depth_to_space(x[0], 2)]);
}

#[test]
fn losses() {
    let pair = [Real(&[2, 3, 4, 2]), Real(&[2, 3, 4, 2])];
    check(&pair, |_, x| vec![loss::mse(x[0], x[1])]);
    check(&pair, |_, x| vec![loss::l1(x[0], x[1])]);
    check(&pair, |_, x| vec![loss::edges(x[0], x[1])]);
    check(&pair, |_, x| vec![loss::bce_with_logits(x[0], x[1]), loss::log_softmax(x[0])]);
    check(&pair, |_, x| vec![loss::gaussian_kl(x[0], x[1])]);
    check(&[Real(&[2, 2, 3]), Index(&[2, 2], &[2, 0, 1, 1])], |_, x| vec![loss::cross_entropy(x[0], x[1])]);
}
