//! Learning and measuring as graphs, so that any backend computes them.
//!
//! A [`Learner`]'s step is one graph and one plan: both phases, the gradient of [`train`](super::train), momentum and the
//! change of the weights, which stay with the backend as the chains of PCD do. [`annealed_log_z`] runs a plan of one Gibbs
//! step. Draws are functions of (seed, step, place) and the same on every backend; they are others than those of
//! [`Trainer`](super::train::Trainer) and [`partition`](super::partition), which draw bit by bit.

use super::train::Settings;
use super::{Rbm, Units};
use crate::draw::{Draws, Stream};
use crate::error::{Error, length, range};
use crate::sampler::{Hook, report};
use crate::shares;
use crate::statistics::{Estimate, log_expectation};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::Range;
use yuragi_graph::op::{Distribution, MatMul};
use yuragi_graph::{
    Alone, Backend, Builder, Collective, DType, Graph, HostTensor, Init, Params, Plan, Shape, Slice, SliceMut, Tensor,
};

/// A learner whose machine is on a backend.
///
/// ```
/// use yuragi_energy::rbm::{Rbm, Units, plan::Learner, train::Settings};
/// use yuragi_reference::Reference;
/// let rbm = Rbm::new(4, 3, Units::Binary, Units::Binary)?;
/// let rows = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0];
/// let mut learner = Learner::new(Reference::single(), &rbm, Settings { steps: 2, ..Settings::default() }, 2, 1)?;
/// for _ in 0..3 {
///     assert!(learner.learn(&rows)? < 1.0);
/// }
/// assert!(learner.machine()?.weights != rbm.weights);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub struct Learner<B: Backend> {
    steps: Steps<B>,
    rbm: Rbm,
}

pub(crate) fn device(error: impl ToString) -> Error {
    Error::Device(error.to_string())
}

impl<B: Backend> Learner<B> {
    /// A learner from batches of so many rows; of seed `seed` are all its draws.
    ///
    /// # Errors
    /// Settings outside their ranges, no row, or what the backend says.
    pub fn new(backend: B, rbm: &Rbm, settings: Settings, rows: usize, seed: u64) -> Result<Self, Error> {
        settings.check()?;
        rbm.rows(&[])?;
        range("the number of rows", rows as f64, rows > 0, "at least 1")?;
        let graph = learning(rbm, settings, rows).map_err(device)?;
        let draws = Draws::new(seed);
        let mut params = parameters(rbm)?;
        if settings.persistent {
            let chains = rbm.start(u32::try_from(rows).unwrap_or(u32::MAX), draws);
            insert(&mut params, CHAINS, &[rows, rbm.visible()], chains)?;
        }
        let steps = Steps::new(backend, &graph, params, settings.rate, draws, rows * rbm.visible())?;
        Ok(Self { steps, rbm: rbm.clone() })
    }

    /// Another rate from now on.
    ///
    /// # Errors
    /// A rate that is not positive and finite.
    pub fn set_rate(&mut self, rate: f32) -> Result<(), Error> {
        self.steps.set_rate(rate)
    }

    /// Learns from one batch of rows; its mean squared reconstruction error (of ⟨v⟩ after one step) is returned.
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
    pub fn machine(&self) -> Result<Rbm, Error> {
        let mut rbm = self.rbm.clone();
        self.steps.read(&mut rbm)?;
        Ok(rbm)
    }
}

/// Steps of learning on a backend: a plan from a batch, a key and a rate to new parameters and one number.
pub(crate) struct Steps<B: Backend> {
    backend: B,
    plan: B::Plan,
    store: B::Store,
    state: <B::Plan as Plan>::State,
    rate: f32,
    draws: Draws,
    step: u32,
    values: usize,
}

impl<B: Backend> Steps<B> {
    /// Steps from batches of so many values; parameters that are missing begin as the graph says.
    pub fn new(
        backend: B,
        graph: &Graph,
        mut params: Params,
        rate: f32,
        draws: Draws,
        values: usize,
    ) -> Result<Self, Error> {
        params.initialise(graph.params(), 0);
        let plan = backend.compile(graph).map_err(device)?;
        let store = backend.upload(params).map_err(device)?;
        let state = plan.state(&store).map_err(device)?;
        Ok(Self { backend, plan, store, state, rate, draws, step: 0, values })
    }

    pub fn set_rate(&mut self, rate: f32) -> Result<(), Error> {
        range("the rate", rate.into(), rate > 0.0 && rate.is_finite(), "positive and finite")?;
        self.rate = rate;
        Ok(())
    }

    pub fn learn(&mut self, batch: &[f32]) -> Result<f32, Error> {
        length("the batch", batch.len(), self.values)?;
        let (key, rate, mut told) = (key(self.draws, self.step), [self.rate], [0.0]);
        let inputs = [Slice::F32(batch), Slice::U32(&key), Slice::F32(&rate)];
        self.plan.update(&mut self.state, &mut self.store, &inputs, &mut [SliceMut::F32(&mut told)]).map_err(device)?;
        self.step = self.step.wrapping_add(1);
        Ok(told[0])
    }

    /// Brings the parameters back.
    pub fn read(&self, rbm: &mut Rbm) -> Result<(), Error> {
        let names = [WEIGHTS, VISIBLE_BIAS, HIDDEN_BIAS];
        let values = [&mut rbm.weights, &mut rbm.visible_bias, &mut rbm.hidden_bias];
        self.read_all(names.into_iter().zip(values))
    }

    /// Brings parameters of these names back.
    pub fn read_all<'v>(
        &self,
        all: impl IntoIterator<Item = (impl AsRef<str>, &'v mut Vec<f32>)>,
    ) -> Result<(), Error> {
        let params = self.backend.download(&self.store).map_err(device)?;
        for (name, values) in all {
            *values = params.get(name.as_ref()).ok_or(Error::Device("a parameter is missing".into()))?.to_f32();
        }
        Ok(())
    }
}

/// ln Z by annealed importance sampling along the path of
/// [`partition::annealed_log_z`](super::partition::annealed_log_z), on a backend. Changes of the log-weights are summed in
/// single precision over the units, which costs about 10⁻⁵ of a nat a step, and in double precision over the steps.
///
/// # Errors
/// Those of [`partition::annealed_log_z`](super::partition::annealed_log_z), or what the backend says.
pub fn annealed_log_z<B: Backend>(
    backend: &B,
    rbm: &Rbm,
    base: &[f32],
    effort: (u32, u32),
    seed: u64,
    hook: Hook<'_>,
) -> Result<Estimate, Error> {
    annealed_log_z_on((&Alone, backend), rbm, base, effort, seed, hook)
}

/// [`annealed_log_z`] with the chains shared out among ranks, as
/// [`partition::annealed_log_z_on`](super::partition::annealed_log_z_on) does it. Each draw is of its chain's number; the
/// estimate is the same bits on any number of ranks where a product's row does not depend on the number of rows.
///
/// # Errors
/// Those of [`annealed_log_z`], cancelled on all ranks if on one, or a rank that is gone.
pub fn annealed_log_z_on<B: Backend>(
    (collective, backend): (&dyn Collective, &B),
    rbm: &Rbm,
    base: &[f32],
    (steps, chains): (u32, u32),
    seed: u64,
    hook: Hook<'_>,
) -> Result<Estimate, Error> {
    let path = super::partition::Path::new(rbm, base, steps)?;
    range("the number of chains", chains.into(), chains > 0, "at least 1")?;
    let here = |own| chains_of(backend, (rbm, base), (steps, chains), own, Draws::new(seed), hook);
    let ratio = log_expectation(&shares::numbers(collective, (chains as usize, 1), here)?);
    Ok(Estimate { value: path.log_z0() + ratio.value, error: ratio.error })
}

/// The log-weights of some of all chains.
fn chains_of<B: Backend>(
    backend: &B,
    (rbm, base): (&Rbm, &[f32]),
    (steps, chains): (u32, u32),
    own: Range<usize>,
    draws: Draws,
    hook: Hook<'_>,
) -> Result<Vec<f64>, Error> {
    let count = own.len();
    let graph = annealing(rbm, chains as usize, own.clone()).map_err(device)?;
    let mut params = parameters(rbm)?;
    let mut start = base.repeat(count);
    rbm.draw_visible(&mut start, draws, (0, own.start as u32));
    insert(&mut params, CHAINS, &[count, rbm.visible()], start)?;
    insert(&mut params, BASE, &[1, rbm.visible()], base.to_vec())?;
    let plan = backend.compile(&graph).map_err(device)?;
    let mut store = backend.upload(params).map_err(device)?;
    let mut state = plan.state(&store).map_err(device)?;
    let (mut log_weights, mut change) = (alloc::vec![0.0; count], alloc::vec![0.0f32; count]);
    for step in 1..=steps {
        let beta = |step: u32| (f64::from(step) / f64::from(steps)) as f32;
        let (key, betas) = (key(draws, step), [beta(step - 1), beta(step)]);
        let inputs = [Slice::U32(&key), Slice::F32(&betas)];
        plan.update(&mut state, &mut store, &inputs, &mut [SliceMut::F32(&mut change)]).map_err(device)?;
        log_weights.iter_mut().zip(&change).for_each(|(sum, change)| *sum += f64::from(*change));
        report(hook, step.into(), steps.into())?;
    }
    Ok(log_weights)
}

const WEIGHTS: &str = "weights";
const VISIBLE_BIAS: &str = "visible_bias";
const HIDDEN_BIAS: &str = "hidden_bias";
pub(crate) const CHAINS: &str = "chains";
const BASE: &str = "base";

pub(crate) fn insert(params: &mut Params, name: &str, extents: &[usize], values: Vec<f32>) -> Result<(), Error> {
    let tensor = Shape::new(extents).and_then(|shape| HostTensor::new(shape, values));
    params.insert(name, tensor.ok_or(Error::Overflow { what: "the number of values" })?);
    Ok(())
}

pub(crate) fn parameters(rbm: &Rbm) -> Result<Params, Error> {
    let (n, m, mut params) = (rbm.visible(), rbm.hidden(), Params::new());
    insert(&mut params, WEIGHTS, &[n, m], rbm.weights.clone())?;
    insert(&mut params, VISIBLE_BIAS, &[1, n], rbm.visible_bias.clone())?;
    insert(&mut params, HIDDEN_BIAS, &[1, m], rbm.hidden_bias.clone())?;
    Ok(params)
}

/// The key of a step's draws.
fn key(draws: Draws, step: u32) -> [u32; 2] {
    [0, 1].map(|word| draws.word(step, word, Stream::Choice, 0))
}

/// A machine in a graph.
pub(crate) struct Machine<'g> {
    pub b: &'g Builder,
    key: Tensor<'g>,
    pub units: [Units; 2],
    pub weights: Tensor<'g>,
    pub biases: [Tensor<'g>; 2],
    /// Which of so many rows draw; they are all, unless it is said.
    share: Option<(usize, Range<usize>)>,
}

impl<'g> Machine<'g> {
    pub fn new(b: &'g Builder, rbm: &Rbm, key: Tensor<'g>) -> Self {
        let param = |name: &str, extents: &[usize]| b.param(name, extents, DType::F32, Init::Constant(0.0));
        let (n, m) = (rbm.visible(), rbm.hidden());
        let biases = [param(VISIBLE_BIAS, &[1, n]), param(HIDDEN_BIAS, &[1, m])];
        let units = [rbm.visible_units(), rbm.hidden_units()];
        Self { b, key, units, weights: param(WEIGHTS, &[n, m]), biases, share: None }
    }

    /// c + vW.
    pub fn hidden_fields(&self, v: Tensor<'g>) -> Tensor<'g> {
        v.matmul(self.weights) + self.biases[1]
    }

    /// b + hWᵀ.
    pub fn visible_fields(&self, h: Tensor<'g>) -> Tensor<'g> {
        h.matmul_with(self.weights, MatMul { transpose_a: false, transpose_b: true }) + self.biases[0]
    }

    /// One draw of each unit, of a random stream.
    pub fn draw(&self, units: Units, fields: Tensor<'g>, stream: u32) -> Tensor<'g> {
        if units == Units::Gaussian {
            return fields + self.random(Distribution::Normal, stream, &fields.shape());
        }
        let (low, high, factor) = units.two_state();
        let up = self.random(Distribution::Uniform, stream, &fields.shape()).less((fields * factor).sigmoid());
        up * (high - low) + low
    }

    /// Random numbers of the rows, as they are among all rows.
    fn random(&self, law: Distribution, stream: u32, shape: &[usize]) -> Tensor<'g> {
        match &self.share {
            Some((all, own)) if *all != own.len() => {
                let shape: Vec<usize> = core::iter::once(*all).chain(shape[1..].iter().copied()).collect();
                self.b.random(law, self.key, stream, &shape).slice(0, own.start, own.end)
            }
            _ => self.b.random(law, self.key, stream, shape),
        }
    }

    /// Block Gibbs sampling from v, of the random streams from `first` on, two a step.
    pub fn gibbs(&self, mut v: Tensor<'g>, steps: u32, first: u32) -> Tensor<'g> {
        for step in 0..steps {
            let h = self.draw(self.units[1], self.hidden_fields(v), first + 2 * step);
            v = self.draw(self.units[0], self.visible_fields(h), first + 2 * step + 1);
        }
        v
    }
}

/// ⟨x⟩ of each unit given its field.
pub(crate) fn means(units: Units, fields: Tensor<'_>) -> Tensor<'_> {
    match units {
        Units::Spin => fields.tanh(),
        Units::Binary => fields.sigmoid(),
        Units::Gaussian => fields,
    }
}

/// ln Σ over a unit's values of e^(x·field).
fn log_sum(units: Units, fields: Tensor<'_>) -> Tensor<'_> {
    let (largest, gap) = match units {
        Units::Spin => (fields.abs(), fields.abs() * 2.0),
        Units::Binary | Units::Gaussian => (fields.relu(), fields.abs()),
    };
    largest + ((-gap).exp() + 1.0).ln()
}

/// Σ_r a\[r, i\] b\[r, j\].
pub(crate) fn outer<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    a.matmul_with(b, MatMul { transpose_a: true, transpose_b: false })
}

/// One step of learning: from rows, a key and a rate to new parameters and the error of reconstruction.
fn learning(rbm: &Rbm, settings: Settings, rows: usize) -> Result<Graph, yuragi_graph::BuildError> {
    let builder = Builder::new();
    let b = &builder;
    let data = b.input("data", &[rows, rbm.visible()], DType::F32);
    let key = b.input("key", &[2], DType::U32);
    let rate = b.input("rate", &[1], DType::F32);
    let reconstruction = Machine::new(b, rbm, key).contrast(data, settings, rate, 0);
    builder.finish(&[("reconstruction", reconstruction)])
}

/// How a machine goes along a gradient.
pub(crate) struct Ascent {
    pub momentum: f32,
    pub weight_decay: f32,
    pub centred: bool,
}

impl<'g> Machine<'g> {
    /// One step of contrastive divergence, of the random streams from `first` on, two for the data and two a step of the chains;
    /// gives the error of reconstruction.
    pub fn contrast(&self, data: Tensor<'g>, settings: Settings, rate: Tensor<'g>, first: u32) -> Tensor<'g> {
        let Settings { momentum, weight_decay, steps, persistent, centred, .. } = settings;
        let [visible, hidden] = self.units;
        let fields = self.hidden_fields(data);
        let positive = means(hidden, fields);
        let once = self.visible_fields(self.draw(hidden, fields, first));
        let missed = means(visible, once) - data;
        let reconstruction = (missed * missed).mean_all();
        let model = if persistent {
            let chains = self.b.param(CHAINS, &data.shape(), DType::F32, Init::Constant(0.0));
            let moved = self.gibbs(chains, steps, first + 2);
            self.b.update(chains, moved);
            moved
        } else {
            self.gibbs(self.draw(visible, once, first + 1), steps - 1, first + 2)
        };
        let negative = means(hidden, self.hidden_fields(model));
        let ascent = Ascent { momentum, weight_decay, centred };
        self.ascend([(data, positive), (model, negative)], ascent, rate, None);
        reconstruction
    }

    /// Changes the parameters along the difference of the moments of visible and hidden values under the data and under
    /// the model; where `mask` is 0, weights stay.
    pub fn ascend(
        &self,
        phases: [(Tensor<'g>, Tensor<'g>); 2],
        Ascent { momentum, weight_decay, centred }: Ascent,
        rate: Tensor<'g>,
        mask: Option<Tensor<'g>>,
    ) {
        let b = self.b;
        let moment = |(v, h): (Tensor<'g>, Tensor<'g>)| outer(v, h) * (1.0 / v.shape()[0] as f32);
        let v = phases.map(|(v, _)| v.mean(&[0]));
        let h = phases.map(|(_, h)| h.mean(&[0]));
        let mut weights = moment(phases[0]) - moment(phases[1]);
        let [mut visible_bias, mut hidden_bias] = [v, h].map(|[data, model]| data - model);
        let masked = |weights: Tensor<'g>| mask.map_or(weights, |mask| weights * mask);
        if centred {
            let [mu, lambda] = [v, h].map(|[data, model]| (data + model) * 0.5);
            weights = masked(weights - outer(visible_bias, lambda) - outer(mu, hidden_bias));
            visible_bias = visible_bias - lambda.matmul_with(weights, MatMul { transpose_a: false, transpose_b: true });
            hidden_bias = hidden_bias - mu.matmul(weights);
        } else {
            weights = masked(weights);
        }
        let [b_visible, b_hidden] = self.biases;
        for (name, param, slope, decay) in [
            (WEIGHTS, self.weights, weights, weight_decay),
            (VISIBLE_BIAS, b_visible, visible_bias, 0.0),
            (HIDDEN_BIAS, b_hidden, hidden_bias, 0.0),
        ] {
            let slope = if decay == 0.0 { slope } else { slope - param * decay };
            let mut step = slope * rate;
            if momentum != 0.0 {
                let velocity =
                    b.param(&alloc::format!("velocity.{name}"), &param.shape(), DType::F32, Init::Constant(0.0));
                step = velocity * momentum + step;
                b.update(velocity, step);
            }
            b.update(param, param + step);
        }
    }
}

/// One step of annealing some of all chains: the change of each one's log-weight between two inverse temperatures, then a
/// step of Gibbs sampling at the second.
fn annealing(rbm: &Rbm, all: usize, own: Range<usize>) -> Result<Graph, yuragi_graph::BuildError> {
    let builder = Builder::new();
    let b = &builder;
    let key = b.input("key", &[2], DType::U32);
    let betas = b.input("betas", &[1, 2], DType::F32);
    let chains = own.len();
    let machine = Machine { share: Some((all, own)), ..Machine::new(b, rbm, key) };
    let base = b.param(BASE, &[1, rbm.visible()], DType::F32, Init::Constant(0.0));
    let v = b.param(CHAINS, &[chains, rbm.visible()], DType::F32, Init::Constant(0.0));
    let [before, beta] = [betas.slice(1, 0, 1), betas.slice(1, 1, 2)];
    let [visible, hidden] = machine.units;

    let fields = machine.hidden_fields(v);
    let linear = ((machine.biases[0] - base) * v).sum(&[1]) * (beta - before);
    let sums = (log_sum(hidden, fields * beta) - log_sum(hidden, fields * before)).sum(&[1]);
    let h = machine.draw(hidden, fields * beta, 0);
    // (1−β)b_A + β(b + Wh)
    let moved = base * (1.0 - beta) + machine.visible_fields(h) * beta;
    b.update(v, machine.draw(visible, moved, 1));
    builder.finish(&[("change", (linear + sums).reshape(&[chains]))])
}
