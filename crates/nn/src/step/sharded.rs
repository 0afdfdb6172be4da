use alloc::{vec, vec::Vec};
use core::{mem, ops::Range};

use yuragi_graph::{
    Backend, Collective, Given, Graph, Lost, Number, ParamSpec, Plan, Reach, Run, Shard, Slice, SliceMut, Swap,
};

use super::{
    bucket::{Bucket, Sums, parts, trimmed, wait},
    compiled::{Compiled, StepError},
};

/// The update of the weights whose optimiser's state this rank keeps.
pub(super) struct Sharded<B: Backend> {
    /// What all need to know of the gradients, the update itself, and the new weights of others; each with its inputs.
    told: Option<(Compiled<B>, Vec<Given>)>,
    tail: (Compiled<B>, Vec<Given>),
    taken: Option<Compiled<B>>,
    /// The words of all, those of a rank one after another: where those of each are, and each one.
    shares: Vec<Range<usize>>,
    words: Vec<Range<usize>>,
    room: Vec<f32>,
    /// Where the weights of each cut are that are updated here: the cut, and where in its room. Those of others.
    own: Vec<(usize, Range<usize>)>,
    others: Vec<(usize, Range<usize>)>,
    /// New weights.
    new: Vec<f32>,
    keepers: Vec<(usize, ParamSpec)>,
}

/// The gradients of a step, on their way: behind so many outputs.
pub(super) struct Gradients<'s, 'r> {
    pub buckets: &'s [Bucket],
    pub sums: &'s mut Sums<'r>,
    pub told: usize,
    /// The numbers of each, outputs and gradients.
    pub lengths: &'s [usize],
}

/// Apart from the buckets' numbers.
const WORDS: u32 = u32::MAX;

/// The inputs of a half of a step.
pub(super) fn views<'v>(
    given: &[Given],
    inputs: &[Slice<'v>],
    cuts: &[&'v [f32]],
    words: impl Fn(usize) -> &'v [f32],
) -> Vec<Slice<'v>> {
    let view = |given: &Given| match *given {
        Given::Input(place) => inputs[place],
        Given::Cut(cut) => Slice::F32(cuts[cut]),
        Given::Word(word) => Slice::F32(words(word)),
    };
    given.iter().map(view).collect()
}

/// Room for numbers of these lengths, one after another.
fn split(mut room: &mut [f32], lengths: impl Iterator<Item = usize>) -> Vec<SliceMut<'_>> {
    let mut parts = Vec::new();
    for length in lengths {
        let (part, rest) = room.split_at_mut(length);
        parts.push(SliceMut::F32(part));
        room = rest;
    }
    parts
}

/// Where the new weights of each cut are in its room, one after another.
fn places(shard: &Shard) -> Vec<(usize, Range<usize>)> {
    let mut places: Vec<(usize, Range<usize>)> = Vec::new();
    for (cut, spec) in &shard.changed {
        let start = places.last().filter(|(last, _)| last == cut).map_or(0, |(_, range)| range.end);
        places.push((*cut, start..start + spec.shape.count()));
    }
    places
}

/// The room that each of the head's outputs takes, behind so many of the step: for its numbers, or the new weights.
pub(super) fn rooms(shard: &Shard, told: usize, lengths: &[usize]) -> Vec<usize> {
    let mut rooms = lengths.to_vec();
    for (cut, range) in places(shard) {
        rooms[told + cut] = rooms[told + cut].max(range.end);
    }
    rooms
}

/// The same room, for a while.
pub(super) fn again<'v>(view: &'v mut SliceMut<'_>) -> SliceMut<'v> {
    match view {
        SliceMut::F32(room) => SliceMut::F32(room),
        SliceMut::I32(room) => SliceMut::I32(room),
        SliceMut::U32(room) => SliceMut::U32(room),
    }
}

impl<B: Backend> Sharded<B> {
    /// A rank's part of a step, where each cut is some rank's.
    pub fn new(
        (backend, store): (&B, &B::Store),
        step: &Graph,
        shard: Shard,
        owners: &[usize],
        ranks: &dyn Collective,
    ) -> Result<Self, StepError> {
        let mut words = vec![0..0; shard.words.len()];
        let (mut shares, mut end) = (Vec::new(), 0);
        for rank in 0..ranks.size() {
            let first = end;
            for (word, (_, count)) in words.iter_mut().zip(&shard.words).filter(|(_, (cut, _))| owners[*cut] == rank) {
                *word = end..end + count;
                end += count;
            }
            shares.push(first..end);
        }
        let (own, others): (Vec<_>, Vec<_>) =
            places(&shard).into_iter().partition(|(cut, _)| owners[*cut] == ranks.rank());
        let told = (!shard.told.outputs().is_empty()).then_some(&shard.told);
        let told =
            told.map(|told| Ok::<_, StepError>((Compiled::new(backend, told, store)?, Given::inputs(told, step))));
        let taken = (!shard.taken.updates().is_empty()).then(|| Compiled::new(backend, &shard.taken, store));
        Ok(Sharded {
            told: told.transpose()?,
            tail: (Compiled::new(backend, &shard.tail, store)?, Given::inputs(&shard.tail, step)),
            taken: taken.transpose()?,
            shares,
            words,
            room: vec![0.0; end],
            new: vec![0.0; own.iter().map(|(_, range)| range.len()).sum()],
            own,
            others,
            keepers: shard.state.into_iter().map(|(cut, spec)| (owners[cut], spec)).collect(),
        })
    }

    /// See [`Step::keepers`](super::Step::keepers).
    pub fn keepers(&self) -> &[(usize, ParamSpec)] {
        &self.keepers
    }

    /// The update, when the sums of this rank's gradients are there; then all ranks have all weights.
    pub fn run(
        &mut self,
        store: &mut B::Store,
        ranks: &dyn Collective,
        inputs: &[Slice<'_>],
        Gradients { buckets, sums, told, lengths }: Gradients<'_, '_>,
        outputs: &mut [SliceMut<'_>],
    ) -> Result<(), StepError> {
        wait(sums, Reach::Share)?;
        // A step that failed has left none.
        self.room.resize(self.shares.last().map_or(0, |last| last.end), 0.0);
        let sent = trimmed(&parts(buckets, sums, lengths.len()), lengths);
        let cuts = &sent[told..];
        if let Some((Compiled { plan, state }, given)) = &mut self.told {
            let here = self.shares[ranks.rank()].clone();
            let lengths = self.words.iter().filter(|word| here.start <= word.start && word.end <= here.end);
            let mut own = split(&mut self.room[here.clone()], lengths.map(Range::len));
            plan.run(state, store, &views(given, inputs, cuts, |_| &[]), &mut own)?;
        }
        self.room = self.gathered(ranks)?;
        let (Compiled { plan, state }, given) = &mut self.tail;
        let own = split(&mut self.new, self.own.iter().map(|(_, range)| range.len()));
        let mut outputs: Vec<SliceMut<'_>> = outputs.iter_mut().map(again).chain(own).collect();
        let word = |word: usize| &self.room[self.words[word].clone()];
        plan.update(state, store, &views(given, inputs, cuts, word), &mut outputs)?;
        // The new weights leave from where their gradients were added up.
        let mut places: Vec<Option<(usize, usize)>> = vec![None; lengths.len()];
        for (number, bucket) in buckets.iter().enumerate() {
            bucket.outputs.iter().for_each(|(output, range)| places[*output] = Some((number, range.start)));
        }
        let mut rest = self.new.as_slice();
        for (cut, range) in &self.own {
            let (new, after) = rest.split_at(range.len());
            if let Some((number, start)) = places[told + cut] {
                sums[number].numbers_mut()[start + range.start..start + range.end].copy_from_slice(new);
            }
            rest = after;
        }
        for sum in &mut *sums {
            sum.advance(Reach::Whole, false)?;
        }
        wait(sums, Reach::Whole)?;
        if let Some(Compiled { plan, state }) = &mut self.taken {
            let found = parts(buckets, sums, lengths.len());
            let new = |(cut, range): &(usize, Range<usize>)| Slice::F32(&found[told + cut][range.clone()]);
            let views: Vec<Slice<'_>> = self.others.iter().map(new).collect();
            plan.update(state, store, &views, &mut [])?;
        }
        Ok(())
    }

    /// The words of all ranks, each of which has its own.
    fn gathered(&mut self, ranks: &dyn Collective) -> Result<Vec<f32>, Lost> {
        let rank = ranks.rank();
        let others = || (0..ranks.size()).filter(move |other| *other != rank);
        let run = |other: usize, of: usize| Run { rank: other, room: 0, range: self.shares[of].clone() };
        let sent = others().map(|other| run(other, rank)).collect();
        let coming = others().map(|other| run(other, other)).collect();
        let rooms = f32::rooms(vec![mem::take(&mut self.room)]);
        let landed = ranks.begin(Swap { rooms, sent, coming, number: WORDS })?.land()?;
        let room = f32::of(landed).and_then(|rooms| rooms.into_iter().next());
        room.ok_or_else(|| Lost::new("what ranks told each other is gone"))
    }
}
