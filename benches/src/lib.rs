#![forbid(unsafe_code)]
//! What is timed: the plans in which training and generation spend their time.
//!
//! `benches/kernels.rs` times single operations; `src/bin/networks.rs` times the plans below, or
//! writes down what they compute, so that `peers/` can do the same with other systems. `src/bin/annealing.rs`,
//! `rbm.rs` and `gmm.rs` time the statistical crates on the problems of their peers, and `src/bin/ranks.rs` several processes.

pub mod clock;
pub mod cluster;
pub mod gpu;
pub mod published;

use std::{error::Error, sync::Arc, time::Instant};

use yuragi_cpu::Cpu;
use yuragi_graph::{
    Backend, BuildError, Bytes, DType, Graph, HostTensor, Init, InputSpec, Memory, Op, ParamSpec, Params, Plan, Slice,
    SliceMut, op::Distribution,
};
use yuragi_models::{
    Settings,
    latent_diffusion::{OPTIMIZER, autoencoder_training, decode, denoise, diffusion_training},
    latents::Latents,
    likelihood::Likelihood,
    tokenizer::{BEGIN, END, PAD},
    vae::{self, Layer, Vae},
};
use yuragi_nn::optim::{Optimizer, is_state};
use yuragi_numeric::{bf16, f16, fill};

/// The learning rate of a timed training.
pub const RATE: f32 = 1e-3;
/// The decay of its averaged weights.
pub const AVERAGE: f32 = 0.999;

/// A timed plan, of the networks that [`settings`] describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// One training step of the autoencoder, 16 pictures.
    AutoencoderTraining,
    /// One training step of U-Net and text encoder, 16 latents.
    DiffusionTraining,
    /// The same for pictures of 128×128: 8 latents of 32×32.
    UnetTraining,
    /// One training step of the dense autoencoder 784-200-200-50 of Burda et al. (2016), 20 binary pictures.
    VaeTraining,
    /// One evaluation of the U-Net for one guided picture: 2 latents.
    Denoise,
    /// One latent to a picture.
    Decode,
}

impl Work {
    /// All of them.
    pub const ALL: [Work; 6] = [
        Work::AutoencoderTraining,
        Work::DiffusionTraining,
        Work::UnetTraining,
        Work::VaeTraining,
        Work::Denoise,
        Work::Decode,
    ];

    /// The name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Work::AutoencoderTraining => "autoencoder-training",
            Work::DiffusionTraining => "diffusion-training",
            Work::UnetTraining => "unet-training",
            Work::VaeTraining => "vae-training",
            Work::Denoise => "denoise",
            Work::Decode => "decode",
        }
    }

    /// Its graph.
    ///
    /// # Errors
    /// None with these settings.
    pub fn graph(self) -> Result<Graph, BuildError> {
        let settings = settings();
        match self {
            Work::UnetTraining => self.of(&Settings { size: 128, ..settings }, 8),
            Work::VaeTraining => self.of(&settings, 20),
            Work::AutoencoderTraining | Work::DiffusionTraining | Work::Denoise | Work::Decode => {
                self.of(&settings, 16)
            }
        }
    }

    /// The same of small networks and batches, which the emulator computes in seconds.
    ///
    /// # Errors
    /// None.
    pub fn small(self) -> Result<Graph, BuildError> {
        let mut small = settings();
        small.size = 16;
        small.autoencoder.channels = [8, 16];
        (small.text.length, small.text.width) = (12, 16);
        (small.unet.channels, small.unet.condition) = ([8, 16, 16], 16);
        self.of(&small, 1)
    }

    fn of(self, settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
        match self {
            Work::AutoencoderTraining => autoencoder_training(settings, batch),
            Work::DiffusionTraining | Work::UnetTraining => diffusion_training(settings, batch),
            Work::VaeTraining => {
                let (hidden, latent) = if batch > 1 { (vec![200, 200], 50) } else { (vec![16], 4) };
                let (shape, layers) = (vec![28, 28], vec![Layer { hidden, latent }]);
                Vae { shape, likelihood: Likelihood::Bernoulli, layers, convolutional: false }.training(batch, 1)
            }
            Work::Denoise => denoise(settings, 2),
            Work::Decode => decode(settings, 1),
        }
    }
}

impl Work {
    /// How its training steps.
    pub fn optimizer(self) -> Optimizer {
        if self == Work::VaeTraining { vae::OPTIMIZER } else { OPTIMIZER }
    }
}

/// The emoji model's extents, with latents that count as measured.
pub fn settings() -> Settings {
    let mut settings = Settings::default();
    let channels = settings.autoencoder.latent;
    let mut colour = vec![0.0; 3 * (channels + 1)];
    fill::normal([0, 0], u32::MAX, 0, &mut colour);
    colour.iter_mut().for_each(|c| *c *= 0.25);
    settings.latents = Latents { mean: vec![0.1; channels], deviation: vec![1.5; channels], colour };
    settings
}

/// Weights that begin as usual, except that those which begin constant are moved a little, so that
/// no branch of a network is silent; optimiser state 0.
pub fn weights(specs: &[ParamSpec]) -> Params {
    let moved = |spec: &ParamSpec| match spec.init {
        Init::Constant(_) if !is_state(&spec.name) => ParamSpec { init: Init::Uniform(0.05), ..spec.clone() },
        _ => spec.clone(),
    };
    let mut params = Params::new();
    params.initialise(&specs.iter().map(moved).collect::<Vec<_>>(), 0);
    for spec in specs {
        if let Init::Constant(centre) = spec.init
            && let Some(tensor) = params.place(&spec.name).and_then(|place| params.at_mut(place))
            && let Some(values) = tensor.values_mut()
        {
            values.iter_mut().for_each(|value| *value += centre);
        }
    }
    params
}

/// Weights for plans of which only the speed matters: small normal numbers that all tensors of a type borrow from the same
/// bytes, so that billions of them take as little memory as the largest tensor, and no time.
pub fn overlaid(specs: &[ParamSpec]) -> Params {
    const DRAWN: usize = 1 << 20;
    let mut noise = vec![0.0; DRAWN];
    fill::normal([0, 0], 0, 0, &mut noise);
    let mut params = Params::new();
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let of = specs.iter().filter(|spec| spec.dtype == dtype);
        let Some(most) = of.clone().map(|spec| spec.shape.count()).max() else { continue };
        let values: Vec<f32> = noise.iter().map(|z| 0.02 * z).cycle().take(most).collect();
        let bytes: Vec<u8> = match dtype {
            DType::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
            DType::BF16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        let bytes: Arc<dyn Bytes> = Arc::new(bytes);
        for spec in of {
            let range = 0..spec.shape.count() * dtype.size();
            if let Some(tensor) = HostTensor::shared(spec.shape, dtype, bytes.clone(), range) {
                params.insert(&spec.name, tensor);
            }
        }
    }
    params
}

/// Values of one input or output, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers.
    F32(Vec<f32>),
    /// Indices.
    I32(Vec<i32>),
    /// Keys.
    U32(Vec<u32>),
}

impl Values {
    /// What a run reads.
    pub fn view(&self) -> Slice<'_> {
        match self {
            Values::F32(v) => Slice::F32(v),
            Values::I32(v) => Slice::I32(v),
            Values::U32(v) => Slice::U32(v),
        }
    }
}

/// The inputs of a graph's run number `step` from 0 on, in the graph's order.
pub fn inputs(graph: &Graph, step: u32, optimizer: &Optimizer) -> Vec<Values> {
    graph.inputs().iter().enumerate().map(|(place, spec)| input(spec, place, step, optimizer)).collect()
}

/// What an input of this name is given at a step counted from 0.
fn input(spec: &InputSpec, place: usize, step: u32, optimizer: &Optimizer) -> Values {
    let count = spec.shape.count();
    let mut noise = vec![0.0; count];
    fill::normal([0, 0], place as u32, 0, &mut noise);
    match spec.name.as_str() {
        "key" => Values::U32(key(step).to_vec()),
        "hyper" => Values::F32(optimizer.hyper(step.into(), RATE, AVERAGE).to_vec()),
        "picture" => Values::F32(noise.iter().map(|z| z.clamp(-1.0, 1.0)).collect()),
        // Probabilities of bright pixels: few are.
        "x" if spec.shape.rank() == 2 => Values::F32(noise.iter().map(|z| (z - 0.5).clamp(0.0, 1.0)).collect()),
        "t" => Values::F32((0..count).map(|i| 0.9 - 0.5 * (i % 2) as f32).collect()),
        "mask" => Values::F32((0..count).map(|i| if i % spec.shape[1] < 10 { 0.0 } else { -1e9 }).collect()),
        "caption" => Values::I32((0..count).map(|i| token(i, i % spec.shape[1]).cast_signed()).collect()),
        _ => Values::F32(noise),
    }
}

/// A caption of eight words and padding.
fn token(index: usize, place: usize) -> u32 {
    match place {
        0 => BEGIN,
        1..=8 => (index as u32).wrapping_mul(2_654_435_761) % 3000 + 3,
        9 => END,
        _ => PAD,
    }
}

fn key(step: u32) -> [u32; 2] {
    [step, 1]
}

/// A plan with all that it needs to run, again and again.
pub struct Session<B: Backend = Cpu> {
    graph: Graph,
    plan: B::Plan,
    store: B::Store,
    state: <B::Plan as Plan>::State,
    step: u32,
    outputs: Vec<Vec<f32>>,
    optimizer: Optimizer,
}

impl<B: Backend> Session<B> {
    /// Compiles a graph.
    ///
    /// # Errors
    /// A backend that lacks a kernel, or memory.
    pub fn new(graph: Graph, backend: &B) -> Result<Session<B>, Box<dyn Error>> {
        let params = weights(graph.params());
        Session::with(graph, params, backend)
    }

    /// The same with given weights.
    ///
    /// # Errors
    /// As for [`new`](Session::new), and a weight that is missing or of another shape.
    pub fn with(graph: Graph, params: Params, backend: &B) -> Result<Session<B>, Box<dyn Error>> {
        let plan = backend.compile(&graph)?;
        let store = backend.upload(params)?;
        let state = plan.state(&store)?;
        let outputs = graph.outputs().iter().map(|o| vec![0.0; graph.node(o.node).shape.count()]).collect();
        Ok(Session { graph, plan, store, state, step: 0, outputs, optimizer: OPTIMIZER })
    }

    /// With another way of stepping than that of latent diffusion.
    #[must_use]
    pub fn stepping(self, optimizer: Optimizer) -> Session<B> {
        Session { optimizer, ..self }
    }

    /// What is computed.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The bytes that the plan said it needs.
    pub fn memory(&self) -> Memory {
        self.plan.memory()
    }

    /// The plan, its state and the parameters.
    pub fn parts(&mut self) -> (&B::Plan, &mut <B::Plan as Plan>::State, &mut B::Store) {
        (&self.plan, &mut self.state, &mut self.store)
    }

    /// The parameters.
    pub fn store(&self) -> &B::Store {
        &self.store
    }

    /// The outputs of the last run, in the graph's order.
    pub fn outputs(&self) -> &[Vec<f32>] {
        &self.outputs
    }

    /// The inputs of the next run, in the graph's order.
    pub fn inputs(&self) -> Vec<Values> {
        inputs(&self.graph, self.step, &self.optimizer)
    }

    /// The stream, shape and values of each random tensor that the next run will draw.
    pub fn draws(&self) -> Vec<(u32, Vec<usize>, Vec<f32>)> {
        let nodes = self.graph.nodes().iter();
        let draw = nodes.filter_map(|node| {
            let Op::Random(law, stream) = node.op else { return None };
            let mut values = vec![0.0; node.shape.count()];
            match law {
                Distribution::Normal => fill::normal(key(self.step), stream, 0, &mut values),
                Distribution::Uniform => fill::uniform(key(self.step), stream, 0, &mut values),
            }
            Some((stream, node.shape.to_vec(), values))
        });
        draw.collect()
    }

    /// One whole run on these [`inputs`](Session::inputs).
    ///
    /// # Errors
    /// None with inputs that fit.
    pub fn run(&mut self, inputs: &[Values]) -> Result<(), Box<dyn Error>> {
        let inputs: Vec<Slice<'_>> = inputs.iter().map(Values::view).collect();
        let mut outputs: Vec<SliceMut<'_>> = self.outputs.iter_mut().map(|o| SliceMut::F32(o)).collect();
        if self.graph.updates().is_empty() {
            self.plan.run(&mut self.state, &self.store, &inputs, &mut outputs)?;
        } else {
            self.plan.update(&mut self.state, &mut self.store, &inputs, &mut outputs)?;
        }
        self.step += 1;
        Ok(())
    }
}

impl Session {
    /// What each launch computes, on operands of which shapes.
    pub fn launches(&self) -> Vec<String> {
        self.plan.launch_details().map(str::to_owned).collect()
    }

    /// The parameters as they are now.
    pub fn params(&self) -> &Params {
        &self.store
    }

    /// A run of a training step, as by [`run`](Session::run), and the seconds of each of its kernels.
    ///
    /// # Errors
    /// None with inputs that fit.
    pub fn run_timed(&mut self, inputs: &[Values]) -> Result<Vec<(&'static str, f64)>, Box<dyn Error>> {
        let inputs: Vec<Slice<'_>> = inputs.iter().map(Values::view).collect();
        let mut outputs: Vec<SliceMut<'_>> = self.outputs.iter_mut().map(|o| SliceMut::F32(o)).collect();
        let names: Vec<&'static str> = self.plan.launch_names().collect();
        let (mut times, mut start) = (Vec::with_capacity(names.len()), Instant::now());
        self.plan.update_observed(&mut self.state, &mut self.store, &inputs, &mut outputs, |launch| {
            times.push((names[launch], start.elapsed().as_secs_f64()));
            start = Instant::now();
        })?;
        self.step += 1;
        Ok(times)
    }
}

/// The number of weights, without optimiser state.
pub fn count(specs: &[ParamSpec]) -> usize {
    specs.iter().filter(|spec| !is_state(&spec.name) && spec.dtype == DType::F32).map(|spec| spec.shape.count()).sum()
}
