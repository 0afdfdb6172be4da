//! The judge itself: what it knows, and how it looks.

use std::path::Path;

use yuragi_graph::{Backend, HostTensor, Params, Plan, Slice, SliceMut};
use yuragi_io::{Checkpoint, Item, Picture, checkpoint::Archive, quantize::Groups};
use yuragi_models::{
    classifier::{Classifier, MOST},
    tokenizer::normal,
};

use crate::{
    Failure,
    machine::Machine,
    train::{data::stack, wording},
};

/// Pictures of one run.
const BATCH: usize = 16;
/// Smaller tensors keep 16 bits.
const GROUPED_FROM: usize = 1024;

/// Names things in pictures.
#[derive(Clone, Debug)]
pub struct Judge {
    pub(super) network: Classifier,
    /// The emoji of each kind of things.
    pub(super) signs: Vec<String>,
    pub(super) params: Params,
}

/// What a picture shows, in the judge's eyes.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The logarithm of the probability of each kind of things.
    pub things: Vec<f32>,
    /// How many things there are; the most that it counts to stands for more, too.
    pub count: usize,
}

impl Seen {
    /// How many kinds are more probable than the most probable of these; 0 is the best.
    pub fn rank(&self, kinds: &[usize]) -> usize {
        let best = kinds.iter().filter_map(|&kind| self.things.get(kind)).copied().fold(f32::NEG_INFINITY, f32::max);
        self.things.iter().filter(|&&other| other > best).count()
    }

    /// How far the picture is from showing things, each of which may be of any of its kinds: 0 if each of k different things is
    /// among the k most probable kinds and, of things that are to be there more than once, their number is right; else how
    /// many places the last of them is behind, at least 1.
    pub fn behind(&self, things: &[Vec<usize>]) -> usize {
        let mut different: Vec<&Vec<usize>> = things.iter().collect();
        different.sort();
        different.dedup();
        let last = different.iter().map(|kinds| self.rank(kinds)).max().unwrap_or_default();
        let behind = last.saturating_sub(different.len().saturating_sub(1));
        let repeated = different.len() < things.len();
        if repeated && self.count != things.len() { behind.max(1) } else { behind }
    }

    /// The most probable kinds, the best first.
    pub fn best(&self, count: usize) -> Vec<usize> {
        let mut kinds: Vec<usize> = (0..self.things.len()).collect();
        kinds.sort_by(|&a, &b| self.things[b].total_cmp(&self.things[a]));
        kinds.truncate(count);
        kinds
    }
}

impl Judge {
    /// What it names: things of their own, no signs, flags or combinations.
    pub fn names(item: &Item) -> bool {
        item.emoji.as_ref().is_some_and(|emoji| !emoji.is_combination()) && !wording::is_sign(item)
    }

    /// The emoji of each kind of things.
    pub fn signs(&self) -> &[String] {
        &self.signs
    }

    /// The kind of things that an emoji or its English name means.
    pub fn kind(&self, name: &str) -> Option<usize> {
        let name = normal(name);
        self.signs.iter().position(|sign| normal(sign) == name || normal(&format!("{sign}\u{fe0f}")) == name)
    }

    /// The kind of things that an item is.
    pub fn kind_of(&self, item: &Item) -> Option<usize> {
        let sequence = &item.emoji.as_ref()?.sequence;
        self.signs.iter().position(|sign| sign == sequence)
    }

    /// Looks at pictures, scaled to its size.
    ///
    /// # Errors
    /// What the machine reports.
    pub fn look(&self, pictures: &[Picture], machine: &Machine) -> Result<Vec<Seen>, Failure> {
        let Classifier { size, classes, .. } = self.network;
        let plan = machine.compile(&self.network.look(BATCH)?)?;
        let weights = machine.upload(self.params.clone())?;
        let mut state = plan.state(&weights)?;
        let (mut input, mut seen) = (Vec::new(), Vec::with_capacity(pictures.len()));
        let (mut things, mut counts) = (vec![0.0; BATCH * classes], vec![0.0; BATCH * MOST]);
        for batch in pictures.chunks(BATCH) {
            let scaled: Vec<Picture> =
                batch.iter().map(|picture| picture.resize(size, size)).collect::<Result<_, _>>()?;
            stack(&scaled, &mut input);
            input.resize(BATCH * size * size * 3, 0.0);
            let outputs = &mut [SliceMut::F32(&mut things), SliceMut::F32(&mut counts)];
            plan.run(&mut state, &weights, &[Slice::F32(&input)], outputs)?;
            for (things, counts) in things.chunks(classes).zip(counts.chunks(MOST)).take(batch.len()) {
                let count = (0..MOST).max_by(|&a, &b| counts[a].total_cmp(&counts[b])).unwrap_or_default() + 1;
                seen.push(Seen { things: things.to_vec(), count });
            }
        }
        Ok(seen)
    }

    /// Writes the judge, matrices and kernels in so many bits, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path, groups: Groups) -> Result<(), Failure> {
        let mut file = Checkpoint::default();
        let Classifier { size, channels, width, .. } = self.network;
        file.set("judge.size", size);
        file.set("judge.channels", channels.map(|c| c.to_string()).join(","));
        file.set("judge.width", width);
        file.set("judge.things", self.signs.join(" "));
        for (name, tensor) in self.params.iter() {
            let values = tensor.to_f32();
            if tensor.shape().rank() >= 2 && values.len() >= GROUPED_FROM {
                file.insert_grouped(name, &tensor.shape(), &values, groups)?;
            } else {
                file.insert_half(name, &tensor.shape(), &values)?;
            }
        }
        Ok(file.save(path)?)
    }

    /// Reads a judge's file.
    ///
    /// # Errors
    /// A file that is no judge's, or was damaged.
    pub fn read(file: &Archive) -> Result<Judge, Failure> {
        let signs: Vec<String> = file.setting::<String>("judge.things")?.split(' ').map(str::to_owned).collect();
        let channels = file.setting::<String>("judge.channels")?;
        let channels: Vec<usize> = channels.split(',').filter_map(|c| c.parse().ok()).collect();
        let channels =
            channels.try_into().map_err(|_| Failure::new("the setting `judge.channels` is not 4 numbers"))?;
        let (size, width) = (file.setting("judge.size")?, file.setting("judge.width")?);
        let network = Classifier { size, channels, width, classes: signs.len() };
        network.check().map_err(Failure::new)?;
        let mut params = Params::new();
        for spec in network.look(1)?.params() {
            let values = file.f32(&spec.name, &spec.shape)?;
            if let Some(tensor) = HostTensor::new(spec.shape, values) {
                params.insert(&spec.name, tensor);
            }
        }
        Ok(Judge { network, signs, params })
    }
}
