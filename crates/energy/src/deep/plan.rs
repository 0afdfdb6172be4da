//! Learning deep machines as graphs, so that any backend computes them.
//!
//! As for [`rbm::plan`](crate::rbm::plan), draws are others than those of [`DbmTrainer`](super::DbmTrainer),
//! [`Dbn::greedy`] and [`WakeSleep`](super::WakeSleep). ln Z of a deep Boltzmann machine is that of [`Dbm::bipartite`], of a belief network that of its top:
//! both by [`annealed_log_z`](crate::rbm::plan::annealed_log_z).

mod wake_sleep;

pub use wake_sleep::WakeSleepLearner;

use super::{Dbm, DbmSettings, Dbn, Greedy, Learns, MeanFieldSettings, Stack};
use crate::draw::Draws;
use crate::error::{Error, range};
use crate::rbm::Rbm;
use crate::rbm::plan::{Ascent, CHAINS, Learner, Machine, Steps, device, insert, means, parameters};
use crate::sampler::Hook;
use alloc::boxed::Box;
use alloc::vec::Vec;
use yuragi_graph::op::MatMul;
use yuragi_graph::{Backend, BuildError, Builder, DType, Graph, Init, Tensor};

/// A learner of all layers at once whose machine is on a backend: as [`DbmTrainer`](super::DbmTrainer), with mean fields
/// of always so many rounds as the settings have at most.
///
/// ```
/// use yuragi_energy::{deep::{Dbm, DbmSettings, plan::DbmLearner}, rbm::Units};
/// use yuragi_reference::Reference;
/// let dbm = Dbm::new(&[4, 3, 2], Units::Binary)?;
/// let rows = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0];
/// let settings = DbmSettings { rate: 0.1, chains: 5, ..DbmSettings::default() };
/// let mut learner = DbmLearner::new(Reference::single(), &dbm, settings, 2, 1)?;
/// for _ in 0..3 {
///     learner.learn(&rows)?;
/// }
/// assert!(learner.machine()? != dbm);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub struct DbmLearner<B: Backend> {
    steps: Steps<B>,
    dbm: Dbm,
}

impl<B: Backend> DbmLearner<B> {
    /// A learner from batches of so many rows; of seed `seed` are all its draws.
    ///
    /// # Errors
    /// Settings outside their ranges, no row, or what the backend says.
    pub fn new(backend: B, dbm: &Dbm, settings: DbmSettings, rows: usize, seed: u64) -> Result<Self, Error> {
        settings.check()?;
        range("the number of rows", rows as f64, rows > 0, "at least 1")?;
        let graph = learning(dbm, settings, rows).map_err(device)?;
        let (rbm, draws) = (dbm.bipartite(), Draws::new(seed));
        let mut params = parameters(rbm)?;
        if settings.persistent {
            let chains = rbm.start(settings.chains, draws);
            insert(&mut params, CHAINS, &[settings.chains as usize, rbm.visible()], chains)?;
        }
        if is_masked(dbm) {
            let ones = alloc::vec![1.0; rbm.weights.len()];
            insert(&mut params, MASK, &[rbm.visible(), rbm.hidden()], dbm.neighbours(&ones))?;
        }
        let steps = Steps::new(backend, &graph, params, settings.rate, draws, rows * dbm.sizes()[0])?;
        Ok(Self { steps, dbm: dbm.clone() })
    }

    /// Another rate from now on.
    ///
    /// # Errors
    /// A rate that is not positive and finite.
    pub fn set_rate(&mut self, rate: f32) -> Result<(), Error> {
        self.steps.set_rate(rate)
    }

    /// Learns from one batch of rows; the largest change of a mean in the last round of the mean fields is returned.
    ///
    /// # Errors
    /// Another number of values than the learner is for, or what the backend says.
    pub fn learn(&mut self, batch: &[f32]) -> Result<f32, Error> {
        self.steps.learn(batch)
    }

    /// The machine as it stands.
    ///
    /// # Errors
    /// What the backend says.
    pub fn machine(&self) -> Result<Dbm, Error> {
        let mut dbm = self.dbm.clone();
        self.steps.read(&mut dbm.rbm)?;
        Ok(dbm)
    }
}

/// [`Dbn::greedy`] on a backend. Batches have always the same number of rows: the last of an epoch is filled with the
/// epoch's first rows.
///
/// # Errors
/// As for [`Dbn::greedy`], or what the backend says.
pub fn greedy<B: Backend + Clone + 'static>(
    backend: &B,
    stack: Stack<'_>,
    greedy: &Greedy,
    seed: u64,
    hook: Hook<'_>,
) -> Result<Dbn, Error> {
    let learner = |rbm: &Rbm, batch: usize, seed: u64| -> Result<Box<dyn Learns>, Error> {
        Ok(Box::new(Learner::new(backend.clone(), rbm, greedy.settings, batch, seed)?))
    };
    Dbn::greedy_by(&learner, stack, greedy, seed, hook)
}

impl<B: Backend> Learns for Learner<B> {
    fn learn_while(&mut self, _: &mut Rbm, rows: &[f32], going: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        if !going() {
            return Err(Error::Cancelled);
        }
        self.learn(rows).map(drop)
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn finish(&self, rbm: &mut Rbm) -> Result<(), Error> {
        *rbm = self.machine()?;
        Ok(())
    }
}

const MASK: &str = "mask";

/// Whether some of the bipartite weights stay 0.
fn is_masked(dbm: &Dbm) -> bool {
    dbm.sizes().len() > 3
}

/// A deep machine in a graph.
struct Deep<'d, 'g> {
    dbm: &'d Dbm,
    machine: Machine<'g>,
}

impl<'g> Deep<'_, 'g> {
    /// x_(layer−1) through the weights to the layer above.
    fn upwards(&self, x: Tensor<'g>, layer: usize) -> Tensor<'g> {
        let [lower, upper] = [layer - 1, layer].map(|layer| self.dbm.place(layer));
        let weights = self.machine.weights;
        if layer % 2 == 1 {
            return x.matmul(weights.slice(0, lower.start, lower.end).slice(1, upper.start, upper.end));
        }
        let weights = weights.slice(0, upper.start, upper.end).slice(1, lower.start, lower.end);
        x.matmul_with(weights, MatMul { transpose_a: false, transpose_b: true })
    }

    /// Means of the even and of the odd layers, and the largest change in the last round.
    fn mean_field(&self, v: Tensor<'g>, settings: MeanFieldSettings) -> [Tensor<'g>; 3] {
        let Machine { units: [units, _], weights, biases, .. } = self.machine;
        let sizes = self.dbm.sizes();
        let mut layers: Vec<Tensor<'g>> = Vec::from([v]);
        for layer in 1..sizes.len() {
            let place = self.dbm.place(layer);
            let fields = self.upwards(layers[layer - 1], layer);
            let fields = if layer + 1 == sizes.len() { fields } else { fields * 2.0 };
            layers.push(means(units, fields + biases[layer % 2].slice(1, place.start, place.end)));
        }
        let [even, odd] = [0, 1].map(|parity| layers.iter().skip(parity).step_by(2).copied().collect::<Vec<_>>());
        let joined = |parts: &[Tensor<'g>]| match parts {
            [] => None,
            [one] => Some(*one),
            [first, rest @ ..] => Some(first.concat(rest, 1)),
        };
        let (visible, all) = (sizes[0], self.dbm.bipartite().visible());
        let constant = v.matmul(weights.slice(0, 0, visible)) + biases[1];
        let above = (visible < all).then(|| (weights.slice(0, visible, all), biases[0].slice(1, visible, all)));
        let mut odd = joined(&odd).unwrap_or(constant);
        let (mut upper, mut change) = (joined(&even[1..]), self.machine.b.fill(&[1], 0.0, DType::F32));
        for _ in 0..settings.rounds {
            change = self.machine.b.fill(&[1], 0.0, DType::F32);
            let mut mix = |old: Tensor<'g>, fields: Tensor<'g>| {
                let new = means(units, fields);
                let kept = settings.damping;
                let next = if kept == 0.0 { new } else { old * kept + new * (1.0 - kept) };
                change = change.maximum((next - old).abs().max(&[0, 1]).reshape(&[1]));
                next
            };
            let fields = match (upper, above) {
                (Some(upper), Some((weights, _))) => constant + upper.matmul(weights),
                _ => constant,
            };
            odd = mix(odd, fields);
            if let (Some(old), Some((weights, bias))) = (upper, above) {
                let fields = odd.matmul_with(weights, MatMul { transpose_a: false, transpose_b: true }) + bias;
                upper = Some(mix(old, fields));
            }
        }
        let even = upper.map_or(v, |upper| v.concat(&[upper], 1));
        [even, odd, change]
    }
}

/// One step of learning: from rows, a key and a rate to new parameters and the last change of a mean.
fn learning(dbm: &Dbm, settings: DbmSettings, rows: usize) -> Result<Graph, BuildError> {
    let DbmSettings { momentum, weight_decay, steps, chains, persistent, mean_field, centred, .. } = settings;
    let builder = Builder::new();
    let b = &builder;
    let data = b.input("data", &[rows, dbm.sizes()[0]], DType::F32);
    let key = b.input("key", &[2], DType::U32);
    let rate = b.input("rate", &[1], DType::F32);
    let rbm = dbm.bipartite();
    let deep = Deep { dbm, machine: Machine::new(b, rbm, key) };
    let machine = &deep.machine;
    let [even, odd, change] = deep.mean_field(data, mean_field);
    let model = if persistent {
        let chains = b.param(CHAINS, &[chains as usize, rbm.visible()], DType::F32, Init::Constant(0.0));
        let moved = machine.gibbs(chains, steps, 0);
        b.update(chains, moved);
        moved
    } else {
        machine.gibbs(even, steps, 0)
    };
    let negative = means(machine.units[1], machine.hidden_fields(model));
    let mask = is_masked(dbm).then(|| b.param(MASK, &[rbm.visible(), rbm.hidden()], DType::F32, Init::Constant(1.0)));
    let ascent = Ascent { momentum, weight_decay, centred };
    machine.ascend([(even, odd), (model, negative)], ascent, rate, mask);
    builder.finish(&[("change", change)])
}
