//! The networks of the latent diffusion model, at their full size, against the reference.

use yuragi_cpu::Cpu;
use yuragi_graph::{Graph, Init, Params, View};
use yuragi_models::{Settings, latent_diffusion};
use yuragi_numeric::fill;
use yuragi_tests::tolerance::{WHOLE_MODEL, whole_model};

/// Weights in which nothing is 0: an untrained network ends in zeros, which would hide every error.
fn weights(graph: &Graph) -> Params {
    let mut specs = graph.params().to_vec();
    for spec in specs.iter_mut().filter(|s| s.init == Init::Constant(0.0)) {
        let inputs: usize = spec.shape[..spec.shape.rank().saturating_sub(1)].iter().product();
        spec.init = Init::Normal(0.5 / (inputs.max(1) as f32).sqrt());
    }
    let mut params = Params::new();
    params.initialise(&specs, 3);
    params
}

fn normal(count: usize, stream: u32) -> Vec<f32> {
    let mut values = vec![0.0; count];
    fill::normal([8, 9], stream, 0, &mut values);
    values
}

fn holds(name: &str, graph: &Graph, inputs: &[View<'_>]) {
    let error = whole_model(&Cpu::new(), graph, &weights(graph), inputs).unwrap();
    println!("{name}: {error:.2} times the error of plain single precision");
    assert!(error <= WHOLE_MODEL, "{name}: {error} times the error of the reference in single precision");
}

#[test]
fn t32_the_unet_is_as_good_as_plain_single_precision() {
    let s = Settings::default();
    let (length, width) = (s.text.length, s.text.width);
    let (x, tokens, pooled) = (normal(s.latent_len(), 1), normal(length * width, 2), normal(width, 3));
    let time = [0.6];
    let mask: Vec<f32> = (0..length).map(|i| if i < 7 { 0.0 } else { -1e9 }).collect();
    let inputs = [&x, &time[..], &tokens, &mask, &pooled].map(View::F32);
    holds("unet", &latent_diffusion::denoise(&s, 1).unwrap(), &inputs);
}

#[test]
fn t32_the_autoencoder_is_as_good_as_plain_single_precision() {
    let s = Settings::default();
    let (picture, latent) = (normal(s.picture_len(), 4), normal(s.latent_len(), 5));
    holds("encoder", &latent_diffusion::encode(&s, 1).unwrap(), &[View::F32(&picture)]);
    holds("decoder", &latent_diffusion::decode(&s, 1).unwrap(), &[View::F32(&latent)]);
}

#[test]
fn t32_the_text_encoder_is_as_good_as_plain_single_precision() {
    let s = Settings::default();
    let ids: Vec<i32> = (0..s.text.length as i32).map(|i| if i < 9 { 100 + 37 * i } else { 0 }).collect();
    holds("text encoder", &latent_diffusion::encode_text(&s, 1).unwrap(), &[View::I32(&ids)]);
}
