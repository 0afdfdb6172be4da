//! Stacks of restricted Boltzmann machines.
//!
//! A deep belief network, [`Dbn`], is directed downwards below its top machine; a deep Boltzmann machine,
//! [`Dbm`], is undirected throughout. Both learn layer by layer first, each layer on what the one below it makes of
//! the data, then together. Layers are ±1 or 0/1 units.

mod belief;
mod boltzmann;
pub mod plan;

pub use belief::{Bound, Dbn, WakeSleep};
pub use boltzmann::{Dbm, DbmSettings, DbmTrainer, MeanField, MeanFieldSettings};

use crate::draw::Draws;
use crate::error::{Error, counter, length, range};
use crate::rbm::train::{Settings, Trainer};
use crate::rbm::{Rbm, Slices, Units};
use crate::sampler::{Hook, report};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;

/// How each layer of a stack is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Greedy {
    /// The learning of its restricted Boltzmann machine.
    pub settings: Settings,
    /// How often a layer sees all data.
    pub epochs: u32,
    /// Rows a batch.
    pub batch: usize,
    /// The standard deviation of the first weights.
    pub scale: f32,
}

impl Default for Greedy {
    fn default() -> Self {
        Self { settings: Settings::default(), epochs: 10, batch: 100, scale: 0.01 }
    }
}

/// What a stack is to be, and what it is to learn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stack<'a> {
    /// Rows of `sizes[0]` values, one after another.
    pub data: &'a [f32],
    /// The units of each layer, the visible one's first.
    pub sizes: &'a [usize],
    /// Their kind.
    pub units: Units,
}

/// Two or more layers of two-state units, and whole rows of data for the first; gives the number of rows.
fn check(Stack { data, sizes, units }: Stack<'_>, greedy: &Greedy) -> Result<usize, Error> {
    range("the number of layers", sizes.len() as f64, sizes.len() >= 2, "at least 2, with the visible one")?;
    range("the batch", greedy.batch as f64, greedy.batch > 0, "at least 1 row")?;
    two_state(units)?;
    let visible = sizes[0].max(1);
    let rows = data.len() / visible;
    length("the data", data.len(), rows * visible)?;
    range("the number of rows", rows as f64, rows > 0, "at least 1")?;
    counter("the number of rows", rows)?;
    Ok(rows)
}

fn two_state(units: Units) -> Result<(), Error> {
    if units == Units::Gaussian {
        return Err(Error::Unsupported { what: "a deep stack", needs: "two-state units" });
    }
    Ok(())
}

/// What learns a layer of a stack.
trait Learns {
    /// Learns from one batch of rows, unless `going` says not to go on.
    fn learn_while(&mut self, rbm: &mut Rbm, rows: &[f32], going: &mut dyn FnMut() -> bool) -> Result<(), Error>;
    /// Whether all batches must have the same number of rows.
    fn is_fixed(&self) -> bool;
    /// Brings what was learned into the machine.
    fn finish(&self, rbm: &mut Rbm) -> Result<(), Error>;
}

impl Learns for Trainer {
    fn learn_while(&mut self, rbm: &mut Rbm, rows: &[f32], going: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        Trainer::learn_while(self, rbm, rows, going).map(drop)
    }

    fn is_fixed(&self) -> bool {
        false
    }

    fn finish(&self, _: &mut Rbm) -> Result<(), Error> {
        Ok(())
    }
}

/// Makes a learner of a machine by batches of so many rows, with a seed.
type Make<'a, 'l> = &'a dyn Fn(&Rbm, usize, u64) -> Result<Box<dyn Learns + 'l>, Error>;

/// A trainer by batches in slices, which ranks may share; what a hook wishes is heard between batches, from any rank.
struct Shared<'a> {
    trainer: Trainer,
    slices: Slices<'a>,
    stop: &'a Cell<bool>,
}

impl Learns for Shared<'_> {
    fn learn_while(&mut self, rbm: &mut Rbm, rows: &[f32], _: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        if self.slices.ranks.any(self.stop.get())? {
            return Err(Error::Cancelled);
        }
        let (slices, columns) = (self.slices.or_all(), rbm.visible());
        let places = slices.places(rows.len() / columns);
        let own = &rows[places.start * columns..places.end * columns];
        self.trainer.learn_on(rbm, own, slices, &mut || true).map(drop)
    }

    fn is_fixed(&self) -> bool {
        self.slices.count > 1
    }

    fn finish(&self, _: &mut Rbm) -> Result<(), Error> {
        Ok(())
    }
}

/// Makes trainers.
fn trainer(settings: Settings) -> impl Fn(&Rbm, usize, u64) -> Result<Box<dyn Learns>, Error> {
    move |rbm, _, seed| Ok(Box::new(Trainer::new(rbm, settings, seed)?))
}

/// Where a stack's greedy learning is.
struct Course<'a, 'l, 'h> {
    greedy: &'a Greedy,
    seed: u64,
    layers: usize,
    rows: usize,
    make: Make<'a, 'l>,
    hook: Hook<'h>,
}

impl Course<'_, '_, '_> {
    /// Learns layer `layer` from what `data` gives for each epoch; `tie` restores what must stay equal after each step.
    /// Gives whether a batch was learned, and whether all were, the hook not having cancelled.
    fn learn(
        &mut self,
        rbm: &mut Rbm,
        layer: usize,
        data: impl FnMut(u32, &mut dyn FnMut() -> bool) -> Result<Vec<f32>, Error>,
        tie: impl Fn(&mut Rbm),
    ) -> Result<(bool, bool), Error> {
        let rows = self.greedy.batch.min(self.rows);
        let mut learner = (self.make)(rbm, rows, self.seed.wrapping_add(1 + layer as u64))?;
        let ending = self.learn_by(&mut *learner, rbm, layer, data, tie)?;
        learner.finish(rbm)?;
        Ok(ending)
    }

    fn learn_by(
        &mut self,
        learner: &mut dyn Learns,
        rbm: &mut Rbm,
        layer: usize,
        mut data: impl FnMut(u32, &mut dyn FnMut() -> bool) -> Result<Vec<f32>, Error>,
        tie: impl Fn(&mut Rbm),
    ) -> Result<(bool, bool), Error> {
        let Greedy { epochs, batch, .. } = *self.greedy;
        let batches = self.rows.div_ceil(batch) as u64;
        let total = self.layers as u64 * u64::from(epochs) * batches;
        let mut done = layer as u64 * u64::from(epochs) * batches;
        let (hook, first) = (&mut *self.hook, done);
        for epoch in 0..epochs {
            let mut rows = match data(epoch, &mut || report(hook, done, total).is_ok()) {
                Err(Error::Cancelled) => return Ok((done > first, false)),
                rows => rows?,
            };
            let size = batch.min(self.rows) * rbm.visible();
            if learner.is_fixed() {
                let missing = rows.len().next_multiple_of(size) - rows.len();
                rows.extend_from_within(..missing);
            }
            for rows in rows.chunks(size) {
                match learner.learn_while(rbm, rows, &mut || report(hook, done, total).is_ok()) {
                    Err(Error::Cancelled) => return Ok((done > first, false)),
                    learned => drop(learned?),
                }
                tie(rbm);
                done += 1;
                if report(hook, done, total).is_err() {
                    return Ok((true, false));
                }
            }
        }
        Ok((true, true))
    }
}

/// Rows that go up together between two questions whether to go on.
const TOGETHER: usize = 1000;

/// [`Rbm::sample_hidden`] that asks from time to time whether to go on.
fn upwards(
    below: &Rbm,
    x: &[f32],
    draws: Draws,
    step: u32,
    going: &mut dyn FnMut() -> bool,
) -> Result<Vec<f32>, Error> {
    let mut fields = Vec::with_capacity(x.len() / below.visible().max(1) * below.hidden());
    for rows in x.chunks(TOGETHER * below.visible()) {
        if !going() {
            return Err(Error::Cancelled);
        }
        fields.extend(below.hidden_fields(rows)?);
    }
    below.draw_hidden(&mut fields, draws, (step, 0));
    Ok(fields)
}
