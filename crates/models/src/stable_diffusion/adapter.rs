//! Low-rank adapters (Hu et al. 2021) that are learnt on a denoiser, and on text encoders, whose weights stay as they are.

use alloc::{format, string::String, vec, vec::Vec};

use yuragi_diffusion::config::PredictionType;
use yuragi_graph::{BuildError, Builder, DType, Graph, Init, Op, ParamSpec, Tensor, op::Distribution};
use yuragi_nn::{
    init,
    optim::{Group, Optimizer},
};

use super::{Batch, Checkpoint, denoiser, layers::ADAPTER, text};

/// Which maps are adapted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Targets {
    /// The four maps of each attention.
    #[default]
    Attention,
    /// All maps of its transformers.
    Transformers,
}

impl Targets {
    /// Whether a layer, by the end of its name, is one of them.
    fn contain(self, layer: &str) -> bool {
        let (inside, attention, others) = match layer.starts_with("unet.") {
            true => (
                ".attentions.",
                [".to_q", ".to_k", ".to_v", ".to_out.0"],
                &[".ff.net.0.proj", ".ff.net.2", ".proj_in", ".proj_out"][..],
            ),
            false => {
                (".encoder.layers.", [".q_proj", ".k_proj", ".v_proj", ".out_proj"], &[".mlp.fc1", ".mlp.fc2"][..])
            }
        };
        let ends = |ends: &[&str]| ends.iter().any(|end| layer.ends_with(end));
        layer.contains(inside) && (ends(&attention) || self == Targets::Transformers && ends(others))
    }
}

/// The extents of an adapter: W + (α/r)·B·A for each map W `[out, in]` that it is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adapter {
    /// r; no more than a map's inputs and outputs is used.
    pub rank: usize,
    /// α.
    pub alpha: f32,
    /// Which maps.
    pub targets: Targets,
    /// Whether those of the text encoders are adapted, too.
    pub text: bool,
}

impl Adapter {
    /// How many maps it is for: none where nothing attends.
    ///
    /// # Errors
    /// Extents that cannot be built.
    pub fn maps(&self, model: &Checkpoint) -> Result<usize, BuildError> {
        self.layers(model).map(|layers| layers.len())
    }

    /// The maps that a prediction needs, with outputs and inputs.
    ///
    /// # Errors
    /// Extents that cannot be built.
    fn layers(&self, model: &Checkpoint) -> Result<Vec<(String, [usize; 2])>, BuildError> {
        let size = [model.step() << model.unet.levels.len(); 2];
        let batch = Batch { pictures: 1, size, chunks: 1, skip: 0 };
        let b = Builder::new();
        let [h, w, z] = model.latent(size);
        let (x, t) = (b.input("x", &[1, h, w, z], DType::F32), b.input("t", &[1], DType::F32));
        let prediction = denoiser(&b, model, batch, [x, t], self.words(&b, model, batch));
        let graph = b.finish(&[("prediction", prediction)])?;
        let mut needed = vec![false; graph.params().len()];
        for node in graph.nodes() {
            if let Op::Param(place) = node.op {
                needed[place as usize] = true;
            }
        }
        let layer = |(needed, spec): (bool, &ParamSpec)| {
            let name = spec.name.strip_suffix(".weight").filter(|layer| needed && self.targets.contain(layer))?;
            Some((name.into(), [*spec.shape.first()?, *spec.shape.get(1)?]))
        };
        Ok(needed.into_iter().zip(graph.params()).filter_map(layer).collect())
    }

    /// The words as adapted encoders read them; `None` if the encoders stay as they are.
    #[track_caller]
    fn words<'g>(&self, b: &'g Builder, model: &Checkpoint, batch: Batch) -> Option<[Tensor<'g>; 2]> {
        if self.text { text(b, model, batch) } else { None }
    }

    /// Declares the adapter in a graph, before the networks that it is for.
    #[track_caller]
    fn declare(&self, b: &Builder, layers: &[(String, [usize; 2])]) {
        for (layer, [outputs, inputs]) in layers {
            let rank = self.rank.min(*outputs).min(*inputs);
            let param = |end: usize, shape: &[usize], init| {
                b.param(&format!("{layer}.{}", ADAPTER[end]), shape, DType::F32, init);
            };
            param(0, &[rank, *inputs], init::standard(*inputs));
            param(1, &[*outputs, rank], init::ZERO);
            param(2, &[], Init::Constant(self.alpha));
        }
    }
}

/// Whether a parameter is an adapter's.
#[must_use]
pub fn is_adapter(name: &str) -> bool {
    ADAPTER.iter().any(|end| name.strip_suffix(end).is_some_and(|layer| layer.ends_with('.')))
}

/// One step of learning an adapter: the mean square error of what the denoiser predicts, and an update of the adapter.
///
/// Inputs: mean and deviation `[B, h, w, Z]` of pictures' latents, key, `levels [B, 3]` (t, α and σ of each picture's noise),
/// tokens `[B, C·L, D]`, as the model wants pooled `[B, P]` and numbers `[B, n]`, and hyper; of an adapter for text encoders,
/// ids and ends (ids_2, ends_2) instead of tokens and pooled. Outputs: loss, norm.
///
/// # Errors
/// Extents that cannot be built; a denoiser that reads more than latents, or guides itself, is refused.
#[track_caller]
pub fn adapter_training(
    model: &Checkpoint,
    batch: Batch,
    adapter: &Adapter,
    optimizer: &Optimizer,
) -> Result<Graph, BuildError> {
    let layers = adapter.layers(model)?;
    let b = Builder::new();
    adapter.declare(&b, &layers);
    let (n, [h, w, z]) = (batch.pictures, model.latent(batch.size));
    let latent = |name: &str| b.input(name, &[n, h, w, z], DType::F32);
    let (mean, deviation) = (latent("mean"), latent("deviation"));
    let key = b.input("key", &[2], DType::U32);
    let levels = b.input("levels", &[n, 3], DType::F32);
    let level = |place: usize| levels.slice(1, place, place + 1);
    let normal = |stream| b.random(Distribution::Normal, key, stream, &[n, h, w, z]);
    let x0 = mean + deviation * normal(0);
    let noise = normal(1);
    let [signal, sigma] = [1, 2].map(|place| level(place).reshape(&[n, 1, 1, 1]));
    let x = x0 * signal + noise * sigma;
    let words = adapter.words(&b, model, batch);
    let prediction = denoiser(&b, model, batch, [x, level(0).reshape(&[n])], words);
    let target = match model.scheduler.prediction_type {
        None | Some(PredictionType::Epsilon) => noise,
        Some(PredictionType::Velocity) => noise * signal - x0 * sigma,
        Some(PredictionType::Sample) => x0,
        Some(PredictionType::Flow) => noise - x0,
    };
    let error = prediction - target;
    let loss = (error * error).mean_all();
    let hyper = Optimizer::input(&b);
    let group = |spec: &ParamSpec| {
        let learns = is_adapter(&spec.name) && !spec.name.ends_with(ADAPTER[2]);
        learns.then_some(Group { rate: 1.0, decay: true })
    };
    let norm = optimizer.minimize(loss, hyper, group);
    b.finish(&[("loss", loss), ("norm", norm)])
}
