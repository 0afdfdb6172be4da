//! Short trainings on the reference, and what is measured between the two stages.

mod small;

use approx::assert_relative_eq;
use small::{latents, pictures, settings};
use yuragi_graph::{Backend, Graph, Params, Plan, Slice, SliceMut};
use yuragi_models::{
    autoencoder::Fine,
    latent_diffusion::{OPTIMIZER, autoencoder_training, decode, decoder_training, diffusion_training, encode},
    latents::Statistics,
};
use yuragi_reference::Reference;

/// The outputs of every step of a training on the same inputs and noise.
fn train(graph: &Graph, data: &[Slice<'_>], steps: u64, rate: f32) -> (Vec<Vec<f32>>, Params) {
    let backend = Reference::single();
    let mut params = Params::new();
    params.initialise(graph.params(), 1);
    let plan = backend.compile(graph).unwrap();
    let mut state = plan.state(&params).unwrap();
    let mut history = Vec::new();
    for step in 0..steps {
        let hyper = OPTIMIZER.hyper(step, rate, 0.998);
        let inputs: Vec<Slice<'_>> = data.iter().copied().chain([Slice::U32(&[5, 6]), Slice::F32(&hyper)]).collect();
        let mut values = vec![[0.0]; graph.outputs().len()];
        let mut outputs: Vec<SliceMut<'_>> = values.iter_mut().map(|v| SliceMut::F32(v)).collect();
        plan.update(&mut state, &mut params, &inputs, &mut outputs).unwrap();
        history.push(values.concat());
    }
    (history, params)
}

#[test]
fn the_autoencoder_learns() {
    let settings = settings();
    let graph = autoencoder_training(&settings, 2).unwrap();
    let pictures = pictures(&settings, 2);
    let (history, _) = train(&graph, &[Slice::F32(&pictures)], 25, 5e-3);
    let (first, last) = (&history[0], &history[24]);
    assert!(last[0] < 0.6 * first[0], "{first:?} to {last:?}");
    for step in &history {
        let [loss, l1, mse, edges, kl, norm] = step[..] else { panic!() };
        assert_relative_eq!(loss, l1 + 2.0 * mse + 0.5 * edges + 2e-4 * kl, max_relative = 1e-5);
        assert!(norm > 0.0 && kl > 0.0);
    }
}

#[test]
fn the_decoder_learns_finer_pictures_and_the_encoder_stays() {
    let mut settings = settings();
    settings.size *= 2;
    settings.autoencoder.fine = Fine { channels: 8, blocks: 1 };
    let graph = decoder_training(&settings, 2).unwrap();
    let pictures = pictures(&settings, 2);
    let (history, params) = train(&graph, &[Slice::F32(&pictures)], 25, 5e-3);
    let (first, last) = (&history[0], &history[24]);
    assert!(last[0] < 0.6 * first[0], "{first:?} to {last:?}");
    for step in &history {
        let [loss, l1, mse, edges, norm] = step[..] else { panic!() };
        assert_relative_eq!(loss, l1 + 2.0 * mse + 0.5 * edges, max_relative = 1e-5);
        assert!(norm > 0.0);
    }
    let mut before = Params::new();
    before.initialise(graph.params(), 1);
    for (name, now) in params.iter() {
        let stays = before.get(name).unwrap().to_f32() == now.to_f32();
        assert!(name.starts_with("encoder.") == stays, "{name}");
    }
}

#[test]
fn the_denoiser_learns() {
    let mut settings = settings();
    settings.latents.colour = (0..9).map(|i| (i as f32).sin()).collect();
    let graph = diffusion_training(&settings, 4).unwrap();
    let latents = latents(&settings, 4);
    let captions: Vec<i32> = (0..4).flat_map(|i| [1, 3 + i, 2, 0]).collect();
    let (history, params) = train(&graph, &[Slice::F32(&latents), Slice::I32(&captions)], 25, 5e-3);
    let (first, last) = (&history[0], &history[24]);
    assert!(last[0] < 0.6 * first[0], "{first:?} to {last:?}");
    assert!(last[2] < 0.6 * first[2] && first[2] > 0.0, "{first:?} to {last:?}");
    for step in &history {
        assert_relative_eq!(step[0], step[1] + 0.5 * step[2], max_relative = 1e-5);
    }
    // The empty rows of the vocabulary are untouched; those of the captions have moved.
    let moments = params.get("adam.v.text.embedding").unwrap().to_f32();
    let moved: Vec<bool> = moments.chunks(settings.text.width).map(|row| row.iter().any(|v| *v > 0.0)).collect();
    assert_eq!(moved[..8], [false, true, true, true, true, true, true, false]);
}

#[test]
fn statistics_standardise_latents_and_find_colours() {
    let mut settings = settings();
    // Colours of a pixel's square are an exact linear function of its latent.
    let (size, z) = (settings.latent_size(), settings.autoencoder.latent);
    let latents: Vec<f32> = latents(&settings, 1).iter().map(|x| x * 0.3 + 0.1).collect();
    let mut picture = vec![0.0; settings.picture_len()];
    for (i, value) in picture.iter_mut().enumerate() {
        let (row, column, colour) = (i / 3 / settings.size, i / 3 % settings.size, i % 3);
        let at = &latents[(row / 4 * size + column / 4) * z..][..z];
        *value = 0.2 + at[0] * (colour as f32 - 1.0) + at[1] * 0.5;
    }
    let mut statistics = Statistics::new(z);
    assert!(statistics.measure().is_none());
    statistics.add(&latents, &picture, size, 4);
    settings.latents = statistics.measure().unwrap();
    settings.check().unwrap();

    let count = (latents.len() / z) as f32;
    let standard: Vec<f32> = latents
        .iter()
        .enumerate()
        .map(|(i, x)| (x - settings.latents.mean[i % z]) / settings.latents.deviation[i % z])
        .collect();
    for channel in 0..z {
        let values = standard.iter().skip(channel).step_by(z);
        assert!(values.clone().sum::<f32>().abs() / count < 1e-5);
        assert_relative_eq!(values.map(|x| x * x).sum::<f32>() / count, 1.0, max_relative = 1e-4);
    }
    let colours = settings.latents.colours(&standard).unwrap();
    for (i, colour) in colours.iter().enumerate() {
        let (row, column) = (i / 3 / size * 4, i / 3 % size * 4);
        let want = picture[(row * settings.size + column) * 3 + i % 3] * 0.5 + 0.5;
        assert!((colour - want.clamp(0.0, 1.0)).abs() < 1e-4, "{i}: {colour} against {want}");
    }
}

#[test]
fn encode_and_decode_apply_the_measured_scale() {
    let plain = settings();
    let mut scaled = plain.clone();
    scaled.latents.mean = vec![0.25, -0.5];
    scaled.latents.deviation = vec![2.0, 0.5];
    let params = small::params(&plain);
    let run = |graph: Graph, input: &[f32], length: usize| {
        let plan = Reference::truth().compile(&graph).unwrap();
        let mut state = plan.state(&params).unwrap();
        let mut out = vec![0.0; length];
        plan.run(&mut state, &params, &[Slice::F32(input)], &mut [SliceMut::F32(&mut out)]).unwrap();
        out
    };
    let picture = pictures(&plain, 1);
    let raw = run(encode(&plain, 1).unwrap(), &picture, plain.latent_len());
    let standard = run(encode(&scaled, 1).unwrap(), &picture, plain.latent_len());
    for (raw, standard) in raw.chunks(2).zip(standard.chunks(2)) {
        assert_relative_eq!(standard[0], (raw[0] - 0.25) / 2.0, epsilon = 1e-5);
        assert_relative_eq!(standard[1], (raw[1] + 0.5) / 0.5, epsilon = 1e-5);
    }
    let expected = run(decode(&plain, 1).unwrap(), &raw, plain.picture_len());
    let have = run(decode(&scaled, 1).unwrap(), &standard, plain.picture_len());
    for (have, want) in have.iter().zip(expected) {
        assert_relative_eq!(*have, want, epsilon = 1e-3, max_relative = 1e-3);
    }
}
