//! Learning belief networks by wake and sleep as a graph, so that any backend computes it.

use crate::deep::Dbn;
use crate::draw::Draws;
use crate::error::{Error, range};
use crate::rbm::plan::{CHAINS, Machine, Steps, device, insert, means, outer, parameters};
use crate::rbm::train::Settings;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use yuragi_graph::op::MatMul;
use yuragi_graph::{Backend, BuildError, Builder, DType, Graph, Init, Tensor};

/// [`WakeSleep`](crate::deep::WakeSleep) of a network that is on a backend; its draws are others.
///
/// ```
/// use yuragi_energy::{deep::{Dbn, Greedy, Stack, plan::WakeSleepLearner}, rbm::{Units, train::Settings}, sampler::quiet};
/// use yuragi_reference::Reference;
/// let data = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0];
/// let stack = Stack { data: &data, sizes: &[4, 3, 4], units: Units::Binary };
/// let dbn = Dbn::greedy(stack, &Greedy { epochs: 2, ..Greedy::default() }, 1, &mut quiet)?;
/// let mut learner = WakeSleepLearner::new(Reference::single(), &dbn, 0.05, Settings::default(), 2, 1)?;
/// for _ in 0..3 {
///     assert!(learner.learn(&data)? < 1.0);
/// }
/// assert!(learner.network()? != dbn);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub struct WakeSleepLearner<B: Backend> {
    steps: Steps<B>,
    dbn: Dbn,
}

impl<B: Backend> WakeSleepLearner<B> {
    /// A learner from batches of so many rows, with a rate for the directed layers and settings for the top machine; of seed
    /// `seed` are all its draws.
    ///
    /// # Errors
    /// A number out of range, no row, layers that do not fit, or what the backend says.
    pub fn new(backend: B, dbn: &Dbn, rate: f32, top: Settings, rows: usize, seed: u64) -> Result<Self, Error> {
        range("the rate", rate.into(), rate > 0.0 && rate.is_finite(), "positive and finite")?;
        top.check()?;
        dbn.rows(&[])?;
        range("the number of rows", rows as f64, rows > 0, "at least 1")?;
        let graph = learning(dbn, rate, top, rows).map_err(device)?;
        let (draws, mut params) = (Draws::new(seed), parameters(&dbn.top)?);
        if top.persistent {
            let chains = dbn.top.start(u32::try_from(rows).unwrap_or(u32::MAX), draws);
            insert(&mut params, CHAINS, &[rows, dbn.top.visible()], chains)?;
        }
        for (layer, (down, up)) in dbn.generative.iter().zip(&dbn.recognition).enumerate() {
            let (lower, upper) = (down.visible(), down.hidden());
            let values = [&down.weights, &down.visible_bias, &up.weights, &up.hidden_bias];
            let extents = [[lower, upper], [1, lower], [lower, upper], [1, upper]];
            for ((name, extents), values) in names(layer).iter().zip(extents).zip(values) {
                insert(&mut params, name, &extents, values.clone())?;
            }
        }
        let visible = dbn.generative.first().unwrap_or(&dbn.top).visible();
        let steps = Steps::new(backend, &graph, params, top.rate, draws, rows * visible)?;
        Ok(Self { steps, dbn: dbn.clone() })
    }

    /// Another rate of the top machine from now on.
    ///
    /// # Errors
    /// A rate that is not positive and finite.
    pub fn set_rate(&mut self, rate: f32) -> Result<(), Error> {
        self.steps.set_rate(rate)
    }

    /// Learns from one batch of rows; the top machine's mean squared reconstruction error is returned.
    ///
    /// # Errors
    /// Another number of values than the learner is for, or what the backend says.
    pub fn learn(&mut self, batch: &[f32]) -> Result<f32, Error> {
        self.steps.learn(batch)
    }

    /// The network as it stands.
    ///
    /// # Errors
    /// What the backend says.
    pub fn network(&self) -> Result<Dbn, Error> {
        let mut dbn = self.dbn.clone();
        self.steps.read(&mut dbn.top)?;
        let layers = dbn.generative.iter_mut().zip(&mut dbn.recognition).enumerate();
        self.steps.read_all(layers.flat_map(|(layer, (down, up))| {
            let values = [&mut down.weights, &mut down.visible_bias, &mut up.weights, &mut up.hidden_bias];
            names(layer).into_iter().zip(values)
        }))?;
        Ok(dbn)
    }
}

/// The parameters of a directed layer: weights and biases downwards, then upwards.
fn names(layer: usize) -> [String; 4] {
    ["generative.weights", "generative.bias", "recognition.weights", "recognition.bias"]
        .map(|name| format!("{name}.{layer}"))
}

/// One of the two ways through a directed layer, in a graph.
struct Way<'g> {
    weights: Tensor<'g>,
    bias: Tensor<'g>,
}

impl<'g> Way<'g> {
    /// b + hWᵀ.
    fn downwards(&self, above: Tensor<'g>) -> Tensor<'g> {
        above.matmul_with(self.weights, MatMul { transpose_a: false, transpose_b: true }) + self.bias
    }

    /// c + xW.
    fn upwards(&self, below: Tensor<'g>) -> Tensor<'g> {
        below.matmul(self.weights) + self.bias
    }

    /// The way after a step: `errors`, one of `below` and `above`, are of what it gives.
    fn stepped(&self, [below, above]: [Tensor<'g>; 2], errors: Tensor<'g>, rate: f32) -> Way<'g> {
        let (b, share) = (below.builder(), rate / below.dim(0) as f32);
        let weights = self.weights + outer(below, above) * share;
        let bias = self.bias + errors.sum(&[0]) * share;
        b.update(self.weights, weights);
        b.update(self.bias, bias);
        Way { weights, bias }
    }
}

/// One step of learning: from rows, a key and the top's rate to new parameters and the error of reconstruction.
fn learning(dbn: &Dbn, rate: f32, settings: Settings, rows: usize) -> Result<Graph, BuildError> {
    let builder = Builder::new();
    let b = &builder;
    let visible = dbn.generative.first().unwrap_or(&dbn.top).visible();
    let data = b.input("data", &[rows, visible], DType::F32);
    let key = b.input("key", &[2], DType::U32);
    let top_rate = b.input("rate", &[1], DType::F32);
    let top = Machine::new(b, &dbn.top, key);
    let ways: Vec<[Way<'_>; 2]> = dbn
        .generative
        .iter()
        .enumerate()
        .map(|(layer, rbm)| directed(b, layer, [rbm.visible(), rbm.hidden()]))
        .collect();

    let mut streams = 0;
    let mut next = |count: u32| {
        streams += count;
        streams - count
    };
    let mut x = Vec::from([data]);
    for ([_, up], rbm) in ways.iter().zip(&dbn.recognition) {
        let below = x[x.len() - 1];
        x.push(top.draw(rbm.hidden_units(), up.upwards(below), next(1)));
    }
    let highest = x[ways.len()];
    let mut y = top.gibbs(highest, settings.steps, next(2 * settings.steps));
    let reconstruction = top.contrast(highest, settings, top_rate, next(2 + 2 * settings.steps));
    let mut learned = Vec::new();
    for (([down, _], rbm), x) in ways.iter().zip(&dbn.generative).zip(x.windows(2)) {
        let errors = x[0] - means(rbm.visible_units(), down.downwards(x[1]));
        learned.push(down.stepped([errors, x[1]], errors, rate));
    }
    // Sleep goes down by what wake has learned.
    for ((down, [_, up]), rbm) in learned.iter().zip(&ways).zip(&dbn.generative).rev() {
        let below = top.draw(rbm.visible_units(), down.downwards(y), next(1));
        let errors = y - means(rbm.hidden_units(), up.upwards(below));
        up.stepped([below, errors], errors, rate);
        y = below;
    }
    builder.finish(&[("reconstruction", reconstruction)])
}

/// The ways down and up of a layer.
fn directed(b: &Builder, layer: usize, [lower, upper]: [usize; 2]) -> [Way<'_>; 2] {
    let param = |name: &str, extents: &[usize]| b.param(name, extents, DType::F32, Init::Constant(0.0));
    let [w_down, b_down, w_up, b_up] = names(layer);
    [
        Way { weights: param(&w_down, &[lower, upper]), bias: param(&b_down, &[1, lower]) },
        Way { weights: param(&w_up, &[lower, upper]), bias: param(&b_up, &[1, upper]) },
    ]
}
