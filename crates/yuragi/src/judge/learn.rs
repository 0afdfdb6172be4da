//! How a judge learns.

use std::ops::ControlFlow;

use yuragi_graph::{Params, Slice};
use yuragi_io::{Dataset, Item, Picture};
use yuragi_models::classifier::{Classifier, MOST, OPTIMIZER};
use yuragi_nn::{optim, rate};

use super::{examples::Examples, looking::Judge};
use crate::{
    Failure,
    machine::{Machine, Work},
    model::Model,
    train::{
        codec::Codec,
        data::stack,
        device::{For, Sharing, Trainer},
    },
};

/// The extents of a judge, but for what follows from the data.
const CHANNELS: [usize; 4] = [24, 48, 96, 96];
const WIDTH: usize = 96;
/// The share of the steps in which the rate rises, and the decay of the averaged weights.
const RISE: f32 = 0.15;
const AVERAGE: f32 = 0.998;

/// How to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Steps.
    pub steps: u64,
    /// Pictures of a step.
    pub batch: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// Decides weights and pictures.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { steps: 9_000, batch: 32, rate: 3e-3, seed: 0 }
    }
}

/// Pictures that were never learned from, by which a judge is told how well it sees.
const TRIED: u64 = 2048;
/// The number of the first of them.
const TRIED_FROM: u64 = 1 << 48;

/// How often a judge is right about pictures that it never saw, of things that it knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// What pictures show.
    pub what: &'static str,
    /// How many pictures.
    pub pictures: usize,
    /// How many of them were named rightly: each of k different things among the k most probable, and the right number
    /// where one is there more than once.
    pub right: usize,
}

/// A judge, and how well it sees.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The judge.
    pub judge: Judge,
    /// How well it sees pictures of one thing, of two different ones, of two or three of one.
    pub sight: Vec<Sight>,
}

/// Learns to name the things of a data set; `model` gives back what its autoencoder leaves of pictures. `tell` hears the
/// steps done and the loss, and may end it: what was learned so far is kept.
///
/// # Errors
/// Nothing to name, a batch of nothing, or what the machine reports.
pub fn learn(
    dataset: &Dataset,
    model: &Model,
    options: Options,
    machine: &Machine,
    tell: &mut dyn FnMut(u64, f64) -> ControlFlow<()>,
) -> Result<Learned, Failure> {
    let items = known(dataset);
    if items.is_empty() || options.batch == 0 {
        return Err(Failure::new("a judge learns from emoji, and at least one at a time: there is none"));
    }
    let pictures: Vec<&Picture> = items.iter().map(|item| &item.picture).collect();
    let codec = Codec::new(&model.settings, machine)?;
    let autoencoded = codec.decode(&model.params, &codec.encode(&model.params, &pictures, |_| {})?)?;
    let examples = Examples::new(&items, &autoencoded, options.seed);
    let network = network(dataset, items.len());
    let graph = network.training(options.batch)?;
    let mut params = Params::new();
    params.initialise(graph.params(), options.seed);
    let mut trainer = Trainer::new(machine, &graph, params, Sharing::NONE)?;
    let (mut input, mut mean) = (Vec::new(), 0.0);
    for step in 0..options.steps {
        if tell(step, mean).is_break() {
            break;
        }
        let (mut shares, mut counts) = (vec![0.0; options.batch * items.len()], vec![0.0; options.batch * MOST]);
        let mut pictures = Vec::with_capacity(options.batch);
        for place in 0..options.batch {
            let (picture, kinds) = examples.example(step * options.batch as u64 + place as u64)?;
            pictures.push(picture);
            kinds.iter().for_each(|kind| shares[place * items.len() + kind] += 1.0 / kinds.len() as f32);
            counts[place * MOST + kinds.len().clamp(1, MOST) - 1] = 1.0;
        }
        stack(&pictures, &mut input);
        let hyper = OPTIMIZER.hyper(step, options.rate as f32 * rate::one_cycle(step, options.steps, RISE), AVERAGE);
        let inputs = [Slice::F32(&input), Slice::F32(&shares), Slice::F32(&counts), Slice::F32(&hyper)];
        let [loss, _norm] = trainer.step(&inputs)?;
        if !loss.is_finite() {
            return Err(Failure::new(format!("the judge diverged at step {}: learn at a lower rate", step + 1)));
        }
        mean = if step == 0 { loss.into() } else { 0.98 * mean + 0.02 * f64::from(loss) };
    }
    let signs = items.iter().filter_map(|item| Some(item.emoji.as_ref()?.sequence.clone())).collect();
    let judge = Judge { network, signs, params: optim::averaged(&trainer.params(For::All)?) };
    let sight = sight(&judge, &examples, machine)?;
    Ok(Learned { judge, sight })
}

/// What a judge of a data set learns to name.
fn known(dataset: &Dataset) -> Vec<&Item> {
    dataset.trained().filter(|item| Judge::names(item)).collect()
}

fn network(dataset: &Dataset, classes: usize) -> Classifier {
    Classifier { size: dataset.size, channels: CHANNELS, width: WIDTH, classes }
}

/// What learning takes, for a machine to be chosen by.
///
/// # Errors
/// As for [`learn`].
pub fn work(dataset: &Dataset, options: Options) -> Result<Work, Failure> {
    let classes = known(dataset).len().max(1);
    Ok(Work::of(&network(dataset, classes).training(options.batch)?, options.steps as f64))
}

fn sight(judge: &Judge, examples: &Examples<'_>, machine: &Machine) -> Result<Vec<Sight>, Failure> {
    let shown: Result<Vec<_>, _> = (TRIED_FROM..TRIED_FROM + TRIED).map(|number| examples.example(number)).collect();
    let (pictures, kinds): (Vec<Picture>, Vec<Vec<usize>>) = shown?.into_iter().unzip();
    let mut sight = ["one thing", "two things", "several of one"].map(|what| Sight { what, pictures: 0, right: 0 });
    for (seen, kinds) in judge.look(&pictures, machine)?.iter().zip(&kinds) {
        let of = &mut sight[match &kinds[..] {
            [_] => 0,
            [first, others @ ..] if others.contains(first) => 2,
            _ => 1,
        }];
        let things: Vec<Vec<usize>> = kinds.iter().map(|kind| vec![*kind]).collect();
        of.pictures += 1;
        of.right += usize::from(seen.behind(&things) == 0);
    }
    Ok(sight.into())
}
