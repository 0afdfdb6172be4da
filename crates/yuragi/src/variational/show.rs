use yuragi_graph::{Backend, Graph, Plan, Slice, SliceMut};
use yuragi_io::{Picture, picture::contact_sheet};
use yuragi_models::{likelihood::Likelihood, vae::Vae, vdm::Vdm};
use yuragi_nn::optim;
use yuragi_numeric::{fill, level, philox};

use super::{
    Examples, Model, Network,
    examples::{grey, restored},
};
use crate::{
    Failure,
    machine::{Machine, MachinePlan, State, Store, Work},
};

/// Examples of one run of a drawing.
const BATCH: usize = 64;
/// Ancestral steps of a diffusion model.
const STEPS: u32 = 110;
/// Apart from other draws' streams.
const STREAM: u32 = 0x7761_6c6b;

/// Examples that were drawn from a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The examples as a table holds them; bytes as shares of 255.
    pub values: Vec<f64>,
    /// Grey levels or colours, 0 to 1: the means that they were drawn from.
    pub grey: Vec<f32>,
}

/// Rows of levels from 0 to 1 as pictures: of two axes, or three with 1 or 3 colours; of other rows, each is a square
/// with as many pixels as fit in it.
///
/// # Errors
/// Rows that are no pictures.
pub fn pictures(levels: &[f32], shape: &[usize]) -> Result<Vec<Picture>, Failure> {
    let columns: usize = shape.iter().product();
    let (height, width, colours) = match *shape {
        [height, width] => (height, width, 1),
        [height, width, colours @ (1 | 3)] => (height, width, colours),
        _ => {
            let side = columns.isqrt();
            if side * side != columns {
                return Err(Failure::new(format!("rows of {columns} numbers are no pictures")));
            }
            (side, side, 1)
        }
    };
    let rgb = |row: &[f32]| match colours {
        3 => row.iter().copied().map(level).collect(),
        _ => row.iter().flat_map(|value| [level(*value); 3]).collect(),
    };
    Ok(levels.chunks(columns).map(|row| Picture::new(width, height, rgb(row))).collect::<Result<_, _>>()?)
}

/// A sheet that shows what a model has learned: of an autoencoder two rows of examples, each above its reconstruction, and
/// four of draws; of a diffusion model, strips of denoising.
/// `None` where examples are no pictures.
///
/// # Errors
/// What the machine reports.
pub fn progress_sheet(
    model: &Model,
    examples: &Examples,
    seed: u64,
    machine: &Machine,
) -> Result<Option<Picture>, Failure> {
    const ACROSS: usize = 12;
    let shape = model.network.shape();
    if !matches!(shape, [_, _] | [_, _, 1 | 3]) {
        return Ok(None);
    }
    let mut all = Vec::new();
    if let Network::Vdm(_) = &model.network {
        all = pictures(&strips(model, 8, ACROSS, seed, machine)?, shape)?;
        return Ok(Some(contact_sheet(&all, ACROSS, 2)?));
    }
    let (shown, again) = reconstructions(model, examples, 2 * ACROSS, machine)?;
    let drawn = draw(model, 4 * ACROSS, seed, machine, &mut |_| true)?;
    let [shown, again] = [pictures(&shown, shape)?, pictures(&again, shape)?];
    for (shown, again) in shown.chunks(ACROSS).zip(again.chunks(ACROSS)) {
        all.extend(shown.iter().chain(again).cloned());
    }
    all.extend(pictures(&drawn.grey, shape)?);
    Ok(Some(contact_sheet(&all, ACROSS.min(examples.len()), 2)?))
}

/// What [`draw`] asks of a machine.
///
/// # Errors
/// A network that does not draw.
pub fn drawing(model: &Model, count: usize) -> Result<Work, Failure> {
    let batch = BATCH.min(count.max(1));
    let (graph, steps) = match &model.network {
        Network::Vae(vae) => (vae.sample(batch)?, 1),
        Network::Vdm(vdm) => (vdm.step(batch)?, STEPS),
    };
    Ok(Work::of(&graph, count.div_ceil(batch) as f64 * f64::from(steps)))
}

/// Draws `count` examples; `tell` hears the number done and may end it.
///
/// # Errors
/// What the machine reports, or an interruption.
pub fn draw(
    model: &Model,
    count: usize,
    seed: u64,
    machine: &Machine,
    tell: &mut dyn FnMut(usize) -> bool,
) -> Result<Drawn, Failure> {
    let vae = match &model.network {
        Network::Vae(vae) => vae,
        Network::Vdm(vdm) => return diffused(model, vdm, (count, STEPS), seed, machine, tell),
    };
    let (batch, columns) = (BATCH.min(count.max(1)), vae.columns());
    let plan = machine.compile(&vae.sample(batch)?)?;
    let store = machine.upload(optim::averaged(&model.params))?;
    let mut state = plan.state(&store)?;
    let (mut xs, mut means) = (Vec::new(), Vec::new());
    let mut number = 0u32;
    while xs.len() < count * columns {
        if !tell(xs.len() / columns) {
            return Err(Failure::new("interrupted"));
        }
        let [low, high] = philox::key(seed);
        let key = [low.wrapping_add(number.wrapping_mul(0x9e37_79b9)), high ^ number];
        let (mut x, mut mean) = (vec![0.0f32; batch * columns], vec![0.0f32; batch * columns]);
        plan.run(&mut state, &store, &[Slice::U32(&key)], &mut [SliceMut::F32(&mut x), SliceMut::F32(&mut mean)])?;
        xs.extend(x);
        means.extend(mean);
        number += 1;
    }
    xs.truncate(count * columns);
    means.truncate(count * columns);
    let law = model.network.likelihood();
    Ok(Drawn { values: restored(law, &model.moments, &xs), grey: grey(law, &model.moments, &means) })
}

/// Draws of a diffusion model by so many ancestral steps; of levels, the estimates of the data at the end, rounded.
fn diffused(
    model: &Model,
    vdm: &Vdm,
    (count, steps): (usize, u32),
    seed: u64,
    machine: &Machine,
    tell: &mut dyn FnMut(usize) -> bool,
) -> Result<Drawn, Failure> {
    let (batch, columns) = (BATCH.min(count.max(1)), vdm.columns());
    let mut chain = Chain::new(model, vdm, batch, seed, machine)?;
    let mut xs = Vec::new();
    let runs = count.div_ceil(batch);
    for run in 0..runs {
        chain.begin(run as u32)?;
        for step in (0..steps).rev() {
            if !tell((count * (run * steps as usize + (steps - step) as usize)) / (runs * steps as usize)) {
                return Err(Failure::new("interrupted"));
            }
            chain.down(step, steps)?;
        }
        xs.extend_from_slice(&chain.x);
    }
    xs.truncate(count * columns);
    let values = restored(vdm.likelihood, &model.moments, &xs);
    let values = match vdm.likelihood {
        Likelihood::Logistic => values.iter().map(|v| (v * 255.0).round().clamp(0.0, 255.0) / 255.0).collect(),
        Likelihood::Gaussian | Likelihood::Bernoulli => values,
    };
    Ok(Drawn { values, grey: grey(vdm.likelihood, &model.moments, &xs) })
}

/// Ancestral steps of a diffusion model, from noise down.
struct Chain {
    start: MachinePlan,
    step: MachinePlan,
    store: Store,
    states: [State; 2],
    seed: [u32; 2],
    run: u32,
    z: Vec<f32>,
    x: Vec<f32>,
}

impl Chain {
    fn new(model: &Model, vdm: &Vdm, batch: usize, seed: u64, machine: &Machine) -> Result<Chain, Failure> {
        let (start, step) = (machine.compile(&vdm.start(batch)?)?, machine.compile(&vdm.step(batch)?)?);
        let store = machine.upload(optim::averaged(&model.params))?;
        let states = [start.state(&store)?, step.state(&store)?];
        let room = vec![0.0; batch * vdm.columns()];
        Ok(Chain { start, step, store, states, seed: philox::key(seed), run: 0, z: room.clone(), x: room })
    }

    /// A key for each run and step.
    fn key(&self, step: u32) -> [u32; 2] {
        [self.seed[0].wrapping_add(step.wrapping_mul(0x9e37_79b9)), self.seed[1] ^ self.run]
    }

    fn begin(&mut self, run: u32) -> Result<(), Failure> {
        self.run = run;
        let key = self.key(u32::MAX);
        let out = &mut [SliceMut::F32(&mut self.z)];
        Ok(self.start.run(&mut self.states[0], &self.store, &[Slice::U32(&key)], out)?)
    }

    /// From time (step + 1)/steps to step/steps.
    fn down(&mut self, step: u32, steps: u32) -> Result<(), Failure> {
        let times = [step + 1, step].map(|at| at as f32 / steps as f32);
        let (key, old) = (self.key(step), self.z.clone());
        let inputs = [Slice::F32(&old), Slice::F32(&times), Slice::U32(&key)];
        let out = &mut [SliceMut::F32(&mut self.z), SliceMut::F32(&mut self.x)];
        Ok(self.step.run(&mut self.states[1], &self.store, &inputs, out)?)
    }
}

/// Denoising, as levels from 0 to 1: `count` rows, each of noise and then estimates of the data at `across` times on the
/// way down.
///
/// # Errors
/// A model that is no diffusion model, or what the machine reports.
pub fn strips(model: &Model, count: usize, across: usize, seed: u64, machine: &Machine) -> Result<Vec<f32>, Failure> {
    let Network::Vdm(vdm) = &model.network else {
        return Err(Failure::new(format!("a {} does not denoise step by step", model.network.kind())));
    };
    let columns = vdm.columns();
    let mut chain = Chain::new(model, vdm, count, seed, machine)?;
    chain.begin(0)?;
    let (mut shown, across) = (vec![chain.z.clone()], across.max(2));
    let every = STEPS / (across as u32 - 1);
    for step in (0..STEPS).rev() {
        chain.down(step, STEPS)?;
        if step.is_multiple_of(every) && shown.len() < across {
            shown.push(chain.x.clone());
        }
    }
    let rows = (0..count).flat_map(|row| shown.iter().flat_map(move |all| &all[row * columns..][..columns]));
    let rows: Vec<f32> = rows.copied().collect();
    Ok(grey(vdm.likelihood, &model.moments, &rows))
}

/// γ at `count` evenly spaced times from 0 to 1.
///
/// # Errors
/// A model that is no diffusion model, or what the machine reports.
pub fn schedule(model: &Model, count: usize, machine: &Machine) -> Result<Vec<(f64, f64)>, Failure> {
    let Network::Vdm(vdm) = &model.network else {
        return Err(Failure::new(format!("a {} has no schedule", model.network.kind())));
    };
    let times: Vec<f32> = (0..count).map(|i| i as f32 / (count.max(2) - 1) as f32).collect();
    let values = once(model, &vdm.curve(count)?, &times, count, machine)?;
    Ok(times.into_iter().map(f64::from).zip(values.into_iter().map(f64::from)).collect())
}

/// The autoencoder of a model.
fn autoencoder(model: &Model) -> Result<&Vae, Failure> {
    match &model.network {
        Network::Vae(vae) => Ok(vae),
        Network::Vdm(_) => Err(Failure::new(format!("a {} has no latents to walk through", model.network.kind()))),
    }
}

/// The first examples as grey levels, and what becomes of each through the means of its latents.
///
/// # Errors
/// What the machine reports.
pub fn reconstructions(
    model: &Model,
    examples: &Examples,
    count: usize,
    machine: &Machine,
) -> Result<(Vec<f32>, Vec<f32>), Failure> {
    let vae = autoencoder(model)?;
    let count = count.min(examples.len());
    let mut x = Vec::new();
    (0..count).for_each(|row| examples.push_fixed(row, &mut x));
    let z = once(model, &vae.encode(count)?, &x, count * vae.top(), machine)?;
    Ok((grey(vae.likelihood, &model.moments, &x), decoded(model, &z, machine)?))
}

/// Means of examples for top latents, as grey levels.
///
/// # Errors
/// What the machine reports.
pub fn decoded(model: &Model, z: &[f32], machine: &Machine) -> Result<Vec<f32>, Failure> {
    let vae = autoencoder(model)?;
    let count = z.len() / vae.top().max(1);
    let x = once(model, &vae.decode(count)?, z, count * vae.columns(), machine)?;
    Ok(grey(vae.likelihood, &model.moments, &x))
}

/// Walks through the space of latents, as grey levels, row by row. With two latents, a grid of their quantiles
/// (side×side); otherwise `side` walks of `side` steps from one draw of the prior to another along a great circle. Of a
/// diffusion model, [`strips`].
///
/// # Errors
/// What the machine reports.
pub fn walk(model: &Model, side: usize, seed: u64, machine: &Machine) -> Result<Vec<f32>, Failure> {
    if let Network::Vdm(_) = &model.network {
        return strips(model, side, side, seed, machine);
    }
    let vae = autoencoder(model)?;
    let share = |i: usize| i as f32 / (side.max(2) - 1) as f32;
    let mut z = Vec::new();
    if vae.top() == 2 {
        for row in 0..side {
            (0..side).for_each(|column| z.extend([4.0 * share(column) - 2.0, 2.0 - 4.0 * share(row)]));
        }
    } else {
        let mut ends = vec![0.0f32; 2 * vae.top() * side];
        fill::normal(philox::key(seed), STREAM, 0, &mut ends);
        for pair in ends.chunks(2 * vae.top()) {
            let (from, to) = pair.split_at(vae.top());
            for step in 0..side {
                let (sine, cosine) = (share(step) * std::f32::consts::FRAC_PI_2).sin_cos();
                z.extend(from.iter().zip(to).map(|(a, b)| a * cosine + b * sine));
            }
        }
    }
    decoded(model, &z, machine)
}

/// One run of a graph with one input and one output.
fn once(model: &Model, graph: &Graph, input: &[f32], outputs: usize, machine: &Machine) -> Result<Vec<f32>, Failure> {
    let plan = machine.compile(graph)?;
    let store = machine.upload(optim::averaged(&model.params))?;
    let mut out = vec![0.0; outputs];
    plan.run(&mut plan.state(&store)?, &store, &[Slice::F32(input)], &mut [SliceMut::F32(&mut out)])?;
    Ok(out)
}
