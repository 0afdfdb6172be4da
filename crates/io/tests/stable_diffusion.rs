//! The networks of Stable Diffusion against diffusers 0.42.1 and transformers 5.23.0 (`tests/golden/stable_diffusion.py`).

use std::path::{Path, PathBuf};

use yuragi_cpu::Cpu;
use yuragi_graph::{Backend, Graph, HostTensor, Params, Plan, Slice, SliceMut};
use yuragi_io::{checkpoint::Archive, stable_diffusion as files};
use yuragi_models::stable_diffusion::{self as sd, Batch, Checkpoint, TinyAutoencoder};

/// What every value may err by, relative to the largest of its tensor.
const BOUND: f32 = 1e-5;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/stable_diffusion").join(name)
}

/// Numbers in −1..1 that follow from a name, as `uniform` of the goldens' script gives them.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    (0..count as u32).map(move |i| {
        let mut x = i.wrapping_mul(0x9e37_79b9).wrapping_add(seed);
        for (shift, factor) in [(16, 0x85eb_ca6b), (13, 0xc2b2_ae35), (16, 1)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        f64::from(x) / f64::from(1_u32 << 31) - 1.0
    })
}

/// The script's `weights` of every parameter of a graph.
fn weights(graph: &Graph) -> Params {
    let mut params = Params::new();
    for spec in graph.params() {
        let fan: usize = spec.shape[1..].iter().product();
        let value = |u: f64| match spec.shape.rank() {
            1 if spec.name.ends_with("bias") => u * 0.1,
            1 => 1.0 + 0.2 * u,
            _ => u * (3.0 / fan as f64).sqrt(),
        };
        let values = uniform(&spec.name, spec.shape.count()).map(|u| value(u) as f32).collect();
        params.insert(&spec.name, HostTensor::new(spec.shape, values).unwrap());
    }
    params
}

/// The script's values of a pipeline.
struct Values(Archive);

impl Values {
    fn of(name: &str) -> Values {
        Values(Archive::open(golden(&format!("{name}-values.safetensors"))).unwrap())
    }

    fn shape(&self, name: &str) -> Vec<usize> {
        self.0.shape(name).unwrap()
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        self.0.tensor(name).unwrap().to_f32()
    }

    fn i32(&self, name: &str) -> Vec<i32> {
        self.0.tensor(name).unwrap().to_values().unwrap()
    }

    /// A picture or latent with its channels last.
    fn last(&self, name: &str) -> Vec<f32> {
        let (shape, values) = (self.shape(name), self.f32(name));
        let [n, c, h, w] = shape[..] else { panic!("{name} has shape {shape:?}") };
        let at = |i: usize| (i / (h * w * c), i / c % (h * w), i % c);
        (0..n * c * h * w).map(at).map(|(n, pixel, channel)| values[(n * c + channel) * h * w + pixel]).collect()
    }
}

fn run(graph: &Graph, params: &Params, inputs: &[Slice<'_>]) -> Vec<Vec<f32>> {
    let cpu = Cpu::with_threads(1);
    let graph = graph.with_stored(|spec| params.get(&spec.name).map(HostTensor::dtype));
    let plan = cpu.compile(&graph).unwrap();
    let store = cpu.upload(params.clone()).unwrap();
    let mut state = plan.state(&store).unwrap();
    let count = |output: &yuragi_graph::Output| graph.node(output.node).shape.count();
    let mut outputs: Vec<Vec<f32>> = graph.outputs().iter().map(|o| vec![0.0; count(o)]).collect();
    let mut views: Vec<SliceMut<'_>> = outputs.iter_mut().map(|o| SliceMut::F32(o)).collect();
    plan.run(&mut state, &store, inputs, &mut views).unwrap();
    outputs
}

#[track_caller]
fn close(what: &str, have: &[f32], want: &[f32], bound: f32) {
    assert_eq!(have.len(), want.len(), "{what}");
    let size = want.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let error = have.iter().zip(want).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
    println!("{what}: {:.1e}", error / size);
    assert!(error <= bound * size, "{what}: off by {error} of {size}");
}

/// Runs every network of a pipeline on the script's inputs.
fn holds(name: &str, model: &Checkpoint, params: impl Fn(&Graph) -> Params) {
    let values = Values::of(name);
    let texts = Batch { pictures: 2, size: [0, 0], chunks: 1, skip: 0 };
    let ids = values.i32("ids");
    let clip = model.text.iter().flatten().next().unwrap();
    let ends = clip.ends(&ids);
    let graph = sd::encode_text(model, texts).unwrap();
    let inputs = [Slice::I32(&ids), Slice::F32(&ends), Slice::I32(&ids), Slice::F32(&ends)];
    let text = run(&graph, &params(&graph), &inputs[..graph.inputs().len()]);
    close(&format!("{name}: tokens"), &text[0], &values.f32("tokens"), BOUND);
    close(&format!("{name}: pooled"), &text[1], &values.f32("pooled"), BOUND);

    let factor = model.step();
    let size = [6 * factor, 8 * factor];
    let graph = sd::denoise(model, Batch { pictures: 2, size, chunks: 1, skip: 0 }).unwrap();
    let (t, tokens, pooled) = (values.f32("t"), values.f32("tokens"), values.f32("pooled"));
    let all = values.last("x");
    let channels = model.unet.inputs;
    let part = |from: usize, to: usize| all.chunks_exact(channels).flat_map(|c| &c[from..to]).copied().collect();
    let (x, given): (Vec<f32>, Vec<f32>) = (part(0, 4), part(4, channels));
    let more: Vec<Vec<f32>> =
        ["numbers", "guidance"].map(|n| if values.0.contains(n) { values.f32(n) } else { vec![] }).into();
    let inputs: Vec<Slice<'_>> = graph
        .inputs()
        .iter()
        .map(|input| {
            Slice::F32(match input.name.as_str() {
                "x" => &x,
                "t" => &t,
                "tokens" => &tokens,
                "pooled" => &pooled,
                "numbers" => &more[0],
                "guidance" => &more[1],
                "given" => &given,
                other => panic!("{other}"),
            })
        })
        .collect();
    let prediction = run(&graph, &params(&graph), &inputs).remove(0);
    close(&format!("{name}: prediction"), &prediction, &values.last("prediction"), BOUND);

    if values.0.contains("latent") {
        let batch = Batch { pictures: 1, size, chunks: 1, skip: 0 };
        let graph = sd::encode(model, batch).unwrap();
        let encoded = run(&graph, &params(&graph), &[Slice::F32(&values.last("picture"))]);
        close(&format!("{name}: mean"), &encoded[0], &values.last("mean"), BOUND);
        close(&format!("{name}: deviation"), &encoded[1], &values.last("deviation"), BOUND);
        let graph = sd::decode(model, batch).unwrap();
        let decoded = run(&graph, &params(&graph), &[Slice::F32(&values.last("latent"))]);
        close(&format!("{name}: decoded"), &decoded[0], &values.last("decoded"), BOUND);
    }
}

#[test]
fn t32_a_folder_in_half_precision_is_what_diffusers_reads() {
    let opened = files::open(&golden("sd15")).unwrap();
    assert!(opened.unused.is_empty(), "{:?}", opened.unused);
    assert!(opened.params.iter().all(|(_, tensor)| tensor.dtype() == yuragi_graph::DType::F16));
    holds("sd15", &opened.model, |_| opened.params.clone());

    let values = Values::of("sd15");
    let graph = sd::encode_text(&opened.model, Batch { pictures: 2, size: [0, 0], chunks: 1, skip: 1 }).unwrap();
    let ids = values.i32("ids");
    let ends = opened.model.text[0].unwrap().ends(&ids);
    let text = run(&graph, &opened.params, &[Slice::I32(&ids), Slice::F32(&ends)]);
    close("sd15: tokens of the last block but one", &text[0], &values.f32("skipped"), BOUND);
}

#[test]
fn t32_a_single_file_with_other_names_is_what_diffusers_reads() {
    let opened = files::open(&golden("single.safetensors")).unwrap();
    assert_eq!(opened.unused, ["model_ema.decay"]);
    holds("single", &opened.model, |_| opened.params.clone());
    // What was stored in 8 bits is kept in 16.
    assert!(opened.params.iter().all(|(_, tensor)| tensor.dtype() == yuragi_graph::DType::F16));
}

#[test]
fn t32_networks_of_every_family_are_those_of_diffusers() {
    for name in ["sd21", "inpaint", "sdxl", "refiner"] {
        let model = files::extents(&golden(name)).unwrap();
        holds(name, &model, weights);
    }
}

#[test]
fn t32_the_tiny_autoencoder_is_that_of_diffusers() {
    let values = Values::of("taesd");
    let tiny = TinyAutoencoder { latent: 4, channels: 8, encoder: vec![1, 2, 2], decoder: vec![2, 2, 1] };
    let graph = sd::preview(&tiny, 1, [4, 3]).unwrap();
    let decoded = run(&graph, &weights(&graph), &[Slice::F32(&values.last("latent"))]);
    close("decoded", &decoded[0], &values.last("decoded"), BOUND);
    let graph = sd::preview_encode(&tiny, 1, [16, 12]).unwrap();
    let encoded = run(&graph, &weights(&graph), &[Slice::F32(&values.last("picture"))]);
    close("encoded", &encoded[0], &values.last("encoded"), BOUND);
}
