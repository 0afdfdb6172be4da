//! A training step, whole or of a batch in slices.
//!
//! A batch of B examples in S slices is S batches of B/S examples: each is learned from by the same plan, with draws of
//! its own, and the step goes along the mean of their gradients. So a batch may be larger than what is computed at a time,
//! and ranks may share it. **The bits are the same for any number of ranks**, since nothing depends on it:
//!
//! - The examples and the random draws of a slice follow from its number and the step ([`philox::part_key`]).
//! - A slice's gradient is computed by one plan of the slice's extents, whichever rank runs it.
//! - Gradients (and losses with them) are added in one binary tree over the numbers of the slices ([`Tree`]); a rank
//!   has neighbouring slices, adds what nodes of the tree they fill, and what is left is added in the tree's order by
//!   [`all_reduce`].
//! - Clipping, moments, averages and the scale of the loss are a second plan, which takes the sum; every rank runs it on
//!   the same numbers.
//!
//! The number of slices is part of a training, as its batch is: another one adds and draws otherwise. With one slice, a step
//! is one plan.

use alloc::{boxed::Box, format, vec, vec::Vec};
use core::{fmt, ops::Range};

use yuragi_graph::{
    Backend, BuildError, Collective, CompileError, Cut, Graph, Half, Lost, Plan, RunError, Slice, SliceMut, all_reduce,
    least,
};
use yuragi_numeric::{philox, tree::Tree};

/// The inputs that all slices of a step share.
const SHARED: [&str; 1] = ["hyper"];
/// The input that keys a step's draws.
const KEY: &str = "key";
/// Why a step could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepError {
    /// A graph that cannot be cut.
    Build(BuildError),
    /// A graph that the backend cannot compile.
    Compile(CompileError),
    /// What the backend says, or inputs of other sizes than the slices.
    Run(RunError),
    /// Ranks that could not go on together.
    Lost(Lost),
    /// Fewer slices than ranks.
    Slices {
        /// The slices.
        slices: usize,
        /// The ranks.
        ranks: usize,
    },
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::Build(error) => error.fmt(f),
            StepError::Compile(error) => error.fmt(f),
            StepError::Run(error) => error.fmt(f),
            StepError::Lost(error) => error.fmt(f),
            StepError::Slices { slices, ranks } => {
                write!(f, "{ranks} ranks share a step of {slices} slices: there must be at least one for each rank")
            }
        }
    }
}

impl core::error::Error for StepError {}

macro_rules! from {
    ($($name:ident $error:ty),*) => {$(
        impl From<$error> for StepError {
            fn from(error: $error) -> Self {
                StepError::$name(error)
            }
        }
    )*};
}

from!(Build BuildError, Compile CompileError, Run RunError, Lost Lost);

/// A training step, compiled.
pub struct Step<B: Backend> {
    kind: Kind<B>,
}

enum Kind<B: Backend> {
    Whole(Compiled<B>),
    Sliced(Box<Sliced<B>>),
}

/// A plan and its arena.
struct Compiled<B: Backend> {
    plan: B::Plan,
    state: <B::Plan as Plan>::State,
}

impl<B: Backend> Compiled<B> {
    fn new(backend: &B, graph: &Graph, store: &B::Store) -> Result<Self, StepError> {
        let plan = backend.compile(graph)?;
        let state = plan.state(store)?;
        Ok(Compiled { plan, state })
    }
}

struct Sliced<B: Backend> {
    head: Compiled<B>,
    tail: Compiled<B>,
    slices: usize,
    /// Of each input of the step: what it is, and how many numbers a slice has of it.
    inputs: Vec<(Input, usize)>,
    /// The places of those that each half takes.
    taken: [Vec<usize>; 2],
    outputs: Vec<Half>,
    /// Lengths of the head's outputs, those of the slices first, then the cuts.
    lengths: Vec<usize>,
    /// How many of them are outputs.
    own: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Input {
    Key,
    Shared,
    Own,
}

impl<B: Backend> Step<B> {
    /// A step of so many slices, which these ranks share; `graph` is that of one slice, by an
    /// [`Optimizer`](crate::optim::Optimizer). Its inputs are a slice's own, but for `hyper`; of `key`, all have one from
    /// which theirs follow.
    ///
    /// # Errors
    /// No slice, fewer than ranks, a graph whose updates need more of the examples than gradients, or what the backend says.
    pub fn new(
        backend: &B,
        graph: &Graph,
        store: &B::Store,
        slices: usize,
        ranks: &dyn Collective,
    ) -> Result<Step<B>, StepError> {
        if slices < ranks.size() || slices == 0 {
            return Err(StepError::Slices { slices, ranks: ranks.size() });
        }
        if slices == 1 {
            return Ok(Step { kind: Kind::Whole(Compiled::new(backend, graph, store)?) });
        }
        let Cut { head, tail, outputs } = graph.cut(slices, &SHARED)?;
        let place = |name: &str| graph.inputs().iter().position(|input| input.name == name);
        let taken = [&head, &tail].map(|half| half.inputs().iter().filter_map(|input| place(&input.name)).collect());
        let inputs = graph.inputs().iter().map(|input| {
            let kind = match &*input.name {
                KEY => Input::Key,
                name if SHARED.contains(&name) => Input::Shared,
                _ => Input::Own,
            };
            (kind, input.shape.count())
        });
        let lengths: Vec<usize> = head.outputs().iter().map(|output| head.node(output.node).shape.count()).collect();
        let sliced = Sliced {
            inputs: inputs.collect(),
            taken,
            own: outputs.iter().filter(|half| matches!(half, Half::Head(_))).count(),
            outputs,
            lengths,
            head: Compiled::new(backend, &head, store)?,
            tail: Compiled::new(backend, &tail, store)?,
            slices,
        };
        Ok(Step { kind: Kind::Sliced(Box::new(sliced)) })
    }

    /// The places in a batch of the examples that this rank learns from, of a batch that the slices divide.
    pub fn places(&self, batch: usize, ranks: &dyn Collective) -> Range<usize> {
        let slices = self.slices();
        let own = ranks.share(slices, 1, ranks.rank());
        own.start * (batch / slices)..own.end * (batch / slices)
    }

    /// The slices of a step.
    pub fn slices(&self) -> usize {
        match &self.kind {
            Kind::Whole(_) => 1,
            Kind::Sliced(sliced) => sliced.slices,
        }
    }

    /// The bytes that each of so many ranks sends in a step, at least, on the average: see [`least`].
    pub fn least_bytes(&self, ranks: usize) -> usize {
        match &self.kind {
            Kind::Whole(_) => 0,
            Kind::Sliced(sliced) => least::<f32>(ranks, sliced.lengths.iter().sum()),
        }
    }

    /// One step with the examples at [`places`](Self::places), one after another in each input; outputs are means over the
    /// slices, or follow from the mean gradient, and are the same on all ranks.
    ///
    /// # Errors
    /// Inputs and outputs of other sizes, what the backend says, or a rank that is gone.
    pub fn run(
        &mut self,
        store: &mut B::Store,
        ranks: &dyn Collective,
        inputs: &[Slice<'_>],
        outputs: &mut [SliceMut<'_>],
    ) -> Result<(), StepError> {
        match &mut self.kind {
            Kind::Whole(Compiled { plan, state }) => Ok(plan.update(state, store, inputs, outputs)?),
            Kind::Sliced(sliced) => sliced.run(store, ranks, inputs, outputs),
        }
    }
}

impl<B: Backend> Sliced<B> {
    fn run(
        &mut self,
        store: &mut B::Store,
        ranks: &dyn Collective,
        inputs: &[Slice<'_>],
        outputs: &mut [SliceMut<'_>],
    ) -> Result<(), StepError> {
        let own = ranks.share(self.slices, 1, ranks.rank());
        self.check(inputs, outputs, own.len())?;
        let length = self.lengths.iter().sum();
        let mut tree: Tree<f32> = Tree::new(self.slices);
        for (turn, slice) in own.enumerate() {
            let mut sum = tree.room();
            sum.resize(length, 0.0);
            self.gradient(store, inputs, (turn, slice), &mut sum)?;
            tree.add(slice..slice + 1, sum);
        }
        let sums = all_reduce(ranks, tree, length)?;
        let parts = split(&sums, &self.lengths);
        let (told, cuts) = parts.split_at(self.own);
        let shared = self.taken[1].iter().map(|place| inputs[*place]);
        let views: Vec<Slice<'_>> = shared.chain(cuts.iter().map(|cut| Slice::F32(cut))).collect();
        let share = 1.0 / self.slices as f32;
        let mut followed = Vec::new();
        for (half, output) in self.outputs.iter().zip(outputs) {
            match (half, output) {
                (Half::Head(place), SliceMut::F32(to)) => {
                    to.iter_mut().zip(told[*place]).for_each(|(to, sum)| *to = sum * share);
                }
                (_, SliceMut::F32(to)) => followed.push(SliceMut::F32(to)),
                (_, SliceMut::I32(to)) => followed.push(SliceMut::I32(to)),
                (_, SliceMut::U32(to)) => followed.push(SliceMut::U32(to)),
            }
        }
        self.tail.plan.update(&mut self.tail.state, store, &views, &mut followed)?;
        Ok(())
    }

    /// Writes what a slice gives, outputs and gradients one after another.
    fn gradient(
        &mut self,
        store: &B::Store,
        inputs: &[Slice<'_>],
        (turn, slice): (usize, usize),
        to: &mut [f32],
    ) -> Result<(), StepError> {
        let key = self.inputs.iter().zip(inputs).find_map(|((kind, _), view)| match (kind, view) {
            (Input::Key, Slice::U32([a, b])) => Some(philox::part_key([*a, *b], slice as u64)),
            _ => None,
        });
        let key = key.unwrap_or_default();
        let view = |place: &usize| {
            let (kind, count) = self.inputs[*place];
            let first = if kind == Input::Own { turn * count } else { 0 };
            match (kind, inputs[*place]) {
                (Input::Key, _) => Slice::U32(&key),
                (_, Slice::F32(all)) => Slice::F32(&all[first..][..count]),
                (_, Slice::I32(all)) => Slice::I32(&all[first..][..count]),
                (_, Slice::U32(all)) => Slice::U32(&all[first..][..count]),
            }
        };
        let views: Vec<Slice<'_>> = self.taken[0].iter().map(view).collect();
        let mut rest = to;
        let mut outputs = Vec::with_capacity(self.lengths.len());
        for length in &self.lengths {
            let (output, after) = rest.split_at_mut(*length);
            outputs.push(SliceMut::F32(output));
            rest = after;
        }
        Ok(self.head.plan.run(&mut self.head.state, store, &views, &mut outputs)?)
    }

    /// Whether inputs and outputs are those of so many slices.
    fn check(&self, inputs: &[Slice<'_>], outputs: &[SliceMut<'_>], slices: usize) -> Result<(), StepError> {
        for (what, want, have) in
            [("inputs", self.inputs.len(), inputs.len()), ("outputs", self.outputs.len(), outputs.len())]
        {
            if want != have {
                return Err(RunError::Count { what, want, have }.into());
            }
        }
        for (place, ((kind, count), view)) in self.inputs.iter().zip(inputs).enumerate() {
            let want = if *kind == Input::Own { count * slices } else { *count };
            if view.len() != want {
                let name = format!("input {place}");
                let (want, have) = ((want, view.dtype()), (view.len(), view.dtype()));
                return Err(RunError::Operand { name, want, have }.into());
            }
        }
        Ok(())
    }
}

/// Numbers one after another, in parts of these lengths.
fn split<'n>(mut numbers: &'n [f32], lengths: &[usize]) -> Vec<&'n [f32]> {
    let mut parts = vec![];
    for length in lengths {
        let (part, rest) = numbers.split_at(*length);
        parts.push(part);
        numbers = rest;
    }
    parts
}
