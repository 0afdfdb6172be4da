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
//!   a [`Reduction`].
//! - Clipping, moments, averages and the scale of the loss are a second plan, which takes the sum; every rank runs it on
//!   the same numbers.
//!
//! Gradients leave in buckets of a mebibyte or more, in the order in which the backward pass of the first rank makes them ready,
//! and travel while that of a rank's last slice goes on (Li et al. 2020, "PyTorch Distributed", section 3.2.3).
//!
//! The number of slices is part of a training, as its batch is: another one adds and draws otherwise. With one slice, a step
//! is one plan.

mod bucket;
mod compiled;
mod sharded;

use alloc::{boxed::Box, collections::BTreeMap, format, vec, vec::Vec};
use core::{mem, ops::Range};

use bucket::{Bucket, owners, parts, wait};
use compiled::Compiled;
pub use compiled::StepError;
use sharded::{Gradients, Sharded, again, rooms, views};
use yuragi_graph::{
    Backend, Collective, Cut, GRADIENT, Given, Graph, Half, Lost, ParamSpec, Params, Plan, Reach, Reduction, RunError,
    Slice, SliceMut, least,
};
use yuragi_numeric::{philox, tree::Tree};

/// The inputs that all slices of a step share.
const SHARED: [&str; 1] = ["hyper"];
/// The input that keys a step's draws.
const KEY: &str = "key";

/// A training step, compiled.
pub struct Step<B: Backend> {
    kind: Kind<B>,
}

enum Kind<B: Backend> {
    Whole(Compiled<B>),
    Sliced(Box<Sliced<B>>),
}

struct Sliced<B: Backend> {
    head: Compiled<B>,
    tail: Tail<B>,
    slices: usize,
    /// Of each input of the step: what it is, and how many numbers a slice has of it.
    inputs: Vec<(Input, usize)>,
    /// The places of those that the head takes.
    taken: Vec<usize>,
    outputs: Vec<Half>,
    /// Lengths of the head's outputs, those of the slices first, then the cuts.
    lengths: Vec<usize>,
    /// How many of them are outputs.
    own: usize,
    /// The head's outputs in the order in which they are ready on the first rank.
    buckets: Vec<Bucket>,
    overlaps: bool,
}

/// The update, with all of the optimiser's state on every rank or a share of it on each.
enum Tail<B: Backend> {
    /// And what each of its inputs is.
    Whole(Compiled<B>, Vec<Given>),
    /// The same, of gradients that stay in the store.
    Stored(Compiled<B>, Vec<Given>),
    Sharded(Sharded<B>),
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
        check_slices(slices, ranks)?;
        if slices == 1 {
            return Ok(Step { kind: Kind::Whole(Compiled::new(backend, graph, store)?) });
        }
        let cut = graph.cut(slices, &SHARED)?;
        let tail = Tail::Whole(Compiled::new(backend, &cut.tail, store)?, Given::inputs(&cut.tail, graph));
        let sliced = Sliced::new((backend, store), graph, cut, tail, (slices, None, ranks))?;
        Ok(Step { kind: Kind::Sliced(Box::new(sliced)) })
    }

    /// The same of weights that are not on the device yet, and what this rank needs of them: of the optimiser's state, that of
    /// a share of the weights, for which it alone computes the update, and gives the new weights to all (the first stage of
    /// Rajbhandari et al. 2020, "ZeRO"). The weights are those of [`new`](Self::new), bit for bit, and ranks send as much.
    /// Who has what of the state, [`keepers`](Self::keepers) says.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn sharded(
        backend: &B,
        graph: &Graph,
        mut params: Params,
        slices: usize,
        ranks: &dyn Collective,
    ) -> Result<(Step<B>, B::Store), StepError> {
        check_slices(slices, ranks)?;
        if ranks.size() == 1 {
            let store = backend.upload(params)?;
            return Ok((Step::new(backend, graph, &store, slices, ranks)?, store));
        }
        let cut = graph.cut(slices, &SHARED)?;
        let owners = owners(&lengths(&cut.head), ranks.size());
        let own = told(&cut);
        let shard = cut.shard(&|cut| owners[own + cut] == ranks.rank())?;
        let keepers: BTreeMap<&str, usize> =
            shard.state.iter().map(|(cut, spec)| (&*spec.name, owners[own + cut])).collect();
        params.retain(|name| keepers.get(name).is_none_or(|keeper| *keeper == ranks.rank()));
        let store = backend.upload(params)?;
        let rooms = rooms(&shard, own, &lengths(&cut.head));
        let tail = Tail::Sharded(Sharded::new((backend, &store), graph, shard, &owners[own..], ranks)?);
        let sliced = Sliced::new((backend, &store), graph, cut, tail, (slices, Some((&owners, &rooms)), ranks))?;
        Ok((Step { kind: Kind::Sliced(Box::new(sliced)) }, store))
    }

    /// The same with gradients that stay where they are computed: those of a rank's slices are added up one after another in
    /// the store, beside the weights, and what [`run_by`](Self::run_by) is given adds up those of all ranks, in whatever order
    /// it has. So the weights are near those of [`new`](Self::new), not their bits.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn stored(
        backend: &B,
        graph: &Graph,
        mut params: Params,
        slices: usize,
        ranks: &dyn Collective,
    ) -> Result<(Step<B>, B::Store), StepError> {
        check_slices(slices, ranks)?;
        if slices == 1 {
            let store = backend.upload(params)?;
            return Ok((Step::new(backend, graph, &store, slices, ranks)?, store));
        }
        let cut = graph.cut(slices, &SHARED)?.in_store();
        let new: Vec<ParamSpec> =
            cut.head.params().iter().filter(|spec| spec.name.starts_with(GRADIENT)).cloned().collect();
        params.initialise(&new, 0);
        let store = backend.upload(params)?;
        let tail = Tail::Stored(Compiled::new(backend, &cut.tail, &store)?, Given::inputs(&cut.tail, graph));
        let sliced = Sliced::new((backend, &store), graph, cut, tail, (slices, None, ranks))?;
        Ok((Step { kind: Kind::Sliced(Box::new(sliced)) }, store))
    }

    /// The parts of the optimiser's state that one rank alone has: which, and what.
    pub fn keepers(&self) -> &[(usize, ParamSpec)] {
        match &self.kind {
            Kind::Sliced(sliced) => match &sliced.tail {
                Tail::Sharded(sharded) => sharded.keepers(),
                Tail::Whole(..) | Tail::Stored(..) => &[],
            },
            Kind::Whole(_) => &[],
        }
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

    /// Whether gradients leave as they are computed, while others still are (they do, unless it is said); the weights are the
    /// same. For measurements.
    #[must_use]
    pub fn overlapping(mut self, overlaps: bool) -> Self {
        if let Kind::Sliced(sliced) = &mut self.kind {
            sliced.overlaps = overlaps;
        }
        self
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
        let mut alone = |_: &mut B::Store| match ranks.size() {
            1 => Ok(()),
            _ => Err(Lost::new("gradients of several ranks in their stores, and nobody who adds them up")),
        };
        self.run_by(store, ranks, inputs, outputs, &mut alone)
    }

    /// The same; `add` adds up, over all ranks, the parameters of a store whose names begin with [`GRADIENT`], of a step whose
    /// gradients [stay there](Self::stored).
    ///
    /// # Errors
    /// As [`run`](Self::run), and those of `add`.
    pub fn run_by(
        &mut self,
        store: &mut B::Store,
        ranks: &dyn Collective,
        inputs: &[Slice<'_>],
        outputs: &mut [SliceMut<'_>],
        add: &mut dyn FnMut(&mut B::Store) -> Result<(), Lost>,
    ) -> Result<(), StepError> {
        match &mut self.kind {
            Kind::Whole(Compiled { plan, state }) => Ok(plan.update(state, store, inputs, outputs)?),
            Kind::Sliced(sliced) => sliced.run(store, ranks, inputs, outputs, add),
        }
    }
}

/// Of a step whose weights are shared out: who has each of the head's outputs, and what room it takes.
type Shares<'s> = Option<(&'s [usize], &'s [usize])>;

fn check_slices(slices: usize, ranks: &dyn Collective) -> Result<(), StepError> {
    match slices {
        0 => Err(StepError::Slices { slices, ranks: ranks.size() }),
        _ if slices < ranks.size() => Err(StepError::Slices { slices, ranks: ranks.size() }),
        _ => Ok(()),
    }
}

/// The numbers of each output.
fn lengths(graph: &Graph) -> Vec<usize> {
    graph.outputs().iter().map(|output| graph.node(output.node).shape.count()).collect()
}

/// How many outputs of the step are the parts' own.
fn told(cut: &Cut) -> usize {
    cut.outputs.iter().filter(|half| matches!(half, Half::Head(_))).count()
}

impl<B: Backend> Sliced<B> {
    fn new(
        (backend, store): (&B, &B::Store),
        graph: &Graph,
        cut: Cut,
        tail: Tail<B>,
        (slices, shares, ranks): (usize, Shares<'_>, &dyn Collective),
    ) -> Result<Self, StepError> {
        let place = |name: &str| graph.inputs().iter().position(|input| input.name == name);
        let inputs = graph.inputs().iter().map(|input| {
            let kind = match &*input.name {
                KEY => Input::Key,
                name if SHARED.contains(&name) => Input::Shared,
                _ => Input::Own,
            };
            (kind, input.shape.count())
        });
        let (own, lengths) = (told(&cut), lengths(&cut.head));
        let head = Compiled::new(backend, &cut.head, store)?;
        let ready: Vec<usize> = (0..lengths.len()).map(|output| head.plan.ready(output)).collect();
        Ok(Sliced {
            inputs: inputs.collect(),
            taken: cut.head.inputs().iter().filter_map(|input| place(&input.name)).collect(),
            own,
            outputs: cut.outputs,
            buckets: match shares {
                None => Bucket::all(&ready, &lengths, None, ranks),
                Some((owners, rooms)) => Bucket::all(&ready, rooms, Some(owners), ranks),
            }?,
            lengths,
            head,
            tail,
            slices,
            overlaps: true,
        })
    }

    fn run(
        &mut self,
        store: &mut B::Store,
        ranks: &dyn Collective,
        inputs: &[Slice<'_>],
        outputs: &mut [SliceMut<'_>],
        add: &mut dyn FnMut(&mut B::Store) -> Result<(), Lost>,
    ) -> Result<(), StepError> {
        let own = ranks.share(self.slices, 1, ranks.rank());
        self.check(inputs, outputs, own.len())?;
        let mut sums = if matches!(self.tail, Tail::Stored(..)) {
            self.stored(store, ranks, inputs, own)?
        } else {
            self.gradients(store, ranks, inputs, own)?
        };
        let (mut means, mut followed) = (Vec::new(), Vec::new());
        for (half, output) in self.outputs.iter().zip(outputs) {
            match (half, again(output)) {
                (Half::Head(place), SliceMut::F32(to)) => means.push((*place, to)),
                (_, output) => followed.push(output),
            }
        }
        match &mut self.tail {
            Tail::Whole(Compiled { plan, state }, given) => {
                // What a rank has added up leaves before the next sum is waited for.
                for sum in &mut sums {
                    sum.advance(Reach::Share, true)?;
                    sum.advance(Reach::Whole, false)?;
                }
                wait(&mut sums, Reach::Whole)?;
                let parts = parts(&self.buckets, &sums, self.lengths.len());
                let views = views(given, inputs, &parts[self.own..], |_| &[]);
                plan.update(state, store, &views, &mut followed)?;
            }
            Tail::Stored(Compiled { plan, state }, given) => {
                wait(&mut sums, Reach::Whole)?;
                add(store)?;
                plan.update(state, store, &views(given, inputs, &[], |_| &[]), &mut followed)?;
            }
            Tail::Sharded(sharded) => {
                let (buckets, sums, lengths) = (&self.buckets[..], &mut sums[..], &self.lengths[..]);
                let gradients = Gradients { buckets, sums, told: self.own, lengths };
                sharded.run(store, ranks, inputs, gradients, &mut followed)?;
            }
        }
        let parts = parts(&self.buckets, &sums, self.lengths.len());
        let share = 1.0 / self.slices as f32;
        for (place, to) in means {
            to.iter_mut().zip(parts[place]).for_each(|(to, sum)| *to = sum * share);
        }
        for (bucket, sum) in self.buckets.iter_mut().zip(sums) {
            // They are taken from the end: the next step finds each as it needs it.
            bucket.rooms = sum.into_rooms();
            bucket.rooms.reverse();
        }
        Ok(())
    }

    /// How far sums come while others are computed.
    fn reach(&self) -> Reach {
        match self.tail {
            Tail::Whole(..) | Tail::Stored(..) => Reach::Whole,
            Tail::Sharded(_) => Reach::Share,
        }
    }

    /// Computes what the slices of a rank give, and begins to add it up over all ranks, bucket by bucket; those of the last
    /// slice leave as soon as they are ready.
    fn gradients<'r>(
        &mut self,
        store: &B::Store,
        ranks: &'r dyn Collective,
        inputs: &[Slice<'_>],
        own: Range<usize>,
    ) -> Result<Vec<Reduction<'r, f32>>, StepError> {
        let rooms = self.buckets.iter_mut().map(|bucket| mem::take(&mut bucket.rooms));
        let mut trees: Vec<Tree<f32>> = rooms.map(|rooms| Tree::with_rooms(self.slices, rooms)).collect();
        let mut sums: Vec<Reduction<'r, f32>> = Vec::with_capacity(self.buckets.len());
        let (last, reach) = (own.len().saturating_sub(1), self.reach());
        for (turn, slice) in own.enumerate() {
            let key = self.key(inputs, slice);
            let views = self.views(inputs, turn, &key);
            self.head.plan.begin(&mut self.head.state, &views)?;
            let mut done = 0;
            for (number, bucket) in (0..).zip(&self.buckets) {
                while done < bucket.ready {
                    // Launch by launch, as long as there is something to look after between them.
                    let alone = sums.is_empty() || ranks.size() == 1;
                    let launches = if alone { bucket.ready - done } else { 1 };
                    self.head.plan.advance(&mut self.head.state, store, launches)?;
                    done += launches;
                    sums.iter_mut().try_for_each(|sum| sum.advance(reach, false).map(drop))?;
                }
                let tree = &mut trees[number as usize];
                let mut sum = tree.room_for(bucket.length());
                for (output, range) in &bucket.outputs {
                    let view = &mut SliceMut::F32(&mut sum[range.start..range.start + self.lengths[*output]]);
                    self.head.plan.output(&self.head.state, *output, view)?;
                }
                tree.add(slice..slice + 1, sum);
                if turn == last && self.overlaps {
                    let tree = mem::replace(tree, Tree::new(0));
                    sums.push(bucket.send(ranks, tree, number)?);
                }
            }
        }
        if !self.overlaps {
            for ((number, bucket), tree) in (0..).zip(&self.buckets).zip(trees) {
                sums.push(bucket.send(ranks, tree, number)?);
            }
        }
        Ok(sums)
    }

    /// Computes what the slices of a rank give, of which gradients are added up in the store, and outputs over all ranks.
    fn stored<'r>(
        &mut self,
        store: &mut B::Store,
        ranks: &'r dyn Collective,
        inputs: &[Slice<'_>],
        own: Range<usize>,
    ) -> Result<Vec<Reduction<'r, f32>>, StepError> {
        let mut trees: Vec<Tree<f32>> = self.buckets.iter().map(|_| Tree::new(self.slices)).collect();
        for (turn, slice) in own.enumerate() {
            let key = self.key(inputs, slice);
            let views = self.views(inputs, turn, &key);
            let mut told: Vec<Vec<f32>> = self.lengths.iter().map(|length| vec![0.0; *length]).collect();
            let mut outputs: Vec<SliceMut<'_>> = told.iter_mut().map(|output| SliceMut::F32(output)).collect();
            self.head.plan.update(&mut self.head.state, store, &views, &mut outputs)?;
            for (bucket, tree) in self.buckets.iter().zip(&mut trees) {
                let outputs = bucket.outputs.iter().map(|(output, _)| told[*output].as_slice());
                tree.add(slice..slice + 1, outputs.collect::<Vec<_>>().concat());
            }
        }
        let send = |((number, bucket), tree): ((u32, &Bucket), _)| Ok(bucket.send(ranks, tree, number)?);
        (0..).zip(&self.buckets).zip(trees).map(send).collect()
    }

    /// The key of a slice's draws.
    fn key(&self, inputs: &[Slice<'_>], slice: usize) -> [u32; 2] {
        let key = self.inputs.iter().zip(inputs).find_map(|((kind, _), view)| match (kind, view) {
            (Input::Key, Slice::U32([a, b])) => Some(philox::part_key([*a, *b], slice as u64)),
            _ => None,
        });
        key.unwrap_or_default()
    }

    /// What the head takes of a slice.
    fn views<'v>(&self, inputs: &[Slice<'v>], turn: usize, key: &'v [u32; 2]) -> Vec<Slice<'v>> {
        let view = |place: &usize| {
            let (kind, count) = self.inputs[*place];
            let first = if kind == Input::Own { turn * count } else { 0 };
            match (kind, inputs[*place]) {
                (Input::Key, _) => Slice::U32(key),
                (_, Slice::F32(all)) => Slice::F32(&all[first..][..count]),
                (_, Slice::I32(all)) => Slice::I32(&all[first..][..count]),
                (_, Slice::U32(all)) => Slice::U32(&all[first..][..count]),
            }
        };
        self.taken.iter().map(view).collect()
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
