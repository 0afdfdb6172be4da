//! The networks of the latent diffusion model, at their full size, against the reference.

use yuragi_cpu::Cpu;
#[cfg(all(feature = "cuda", target_os = "linux"))]
use yuragi_cuda::Cuda;
use yuragi_graph::{Backend, Graph, Init, Params, View};
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

fn holds<B: Backend>(backend: &B, name: &str, graph: &Graph, inputs: &[View<'_>]) {
    let error = whole_model(backend, graph, &weights(graph), inputs).unwrap();
    println!("{name}: {error:.2} times the error of plain single precision");
    assert!(error <= WHOLE_MODEL, "{name}: {error} times the error of the reference in single precision");
}

fn unet_holds<B: Backend>(backend: &B) {
    let s = Settings::default();
    let (length, width) = (s.text.length, s.text.width);
    let (x, tokens, pooled) = (normal(s.latent_len(), 1), normal(length * width, 2), normal(width, 3));
    let time = [0.6];
    let mask: Vec<f32> = (0..length).map(|i| if i < 7 { 0.0 } else { -1e9 }).collect();
    let inputs = [&x, &time[..], &tokens, &mask, &pooled].map(View::F32);
    holds(backend, "unet", &latent_diffusion::denoise(&s, 1).unwrap(), &inputs);
}

fn decoder_holds<B: Backend>(backend: &B) {
    let s = Settings::default();
    let latent = normal(s.latent_len(), 5);
    holds(backend, "decoder", &latent_diffusion::decode(&s, 1).unwrap(), &[View::F32(&latent)]);
}

fn text_encoder_holds<B: Backend>(backend: &B) {
    let s = Settings::default();
    let ids: Vec<i32> = (0..s.text.length as i32).map(|i| if i < 9 { 100 + 37 * i } else { 0 }).collect();
    holds(backend, "text encoder", &latent_diffusion::encode_text(&s, 1).unwrap(), &[View::I32(&ids)]);
}

#[test]
fn t32_the_unet_is_as_good_as_plain_single_precision() {
    unet_holds(&Cpu::new());
}

#[test]
fn t32_the_autoencoder_is_as_good_as_plain_single_precision() {
    let s = Settings::default();
    let picture = normal(s.picture_len(), 4);
    holds(&Cpu::new(), "encoder", &latent_diffusion::encode(&s, 1).unwrap(), &[View::F32(&picture)]);
    decoder_holds(&Cpu::new());
}

#[test]
fn t32_the_text_encoder_is_as_good_as_plain_single_precision() {
    text_encoder_holds(&Cpu::new());
}

#[cfg(all(feature = "cuda", target_os = "linux"))]
yuragi_tests::on_a_driver! {
    fn t32_the_unet_on_a_gpu_is_as_good_as_plain_single_precision() {
        unet_holds(&Cuda::new().unwrap());
    }

    fn t32_decoder_and_text_encoder_on_a_gpu_are_as_good_as_plain_single_precision() {
        decoder_holds(&Cuda::new().unwrap());
        text_encoder_holds(&Cuda::new().unwrap());
    }
}
