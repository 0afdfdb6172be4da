//! Loops that are independent run at once.
//!
//! A training step has hundreds of small loops, such as the optimiser's for every parameter, and a launch costs more
//! than most of them. They are delayed until somebody needs what they give, and those that wait together become one
//! launch, whatever they compute.

use std::collections::HashSet;

use yuragi_graph::lowering::{End, Home, Schedule, Step};

use crate::ptx::Loop;

/// Loops of one launch at most.
const MOST: usize = 256;
/// Bytes of a buffer from which on its life is not prolonged.
const LARGE: usize = 1 << 16;

/// Steps of a schedule that run at once, by their numbers: usually one.
pub type Group = Vec<usize>;

/// What a step, or several, touch.
#[derive(Default)]
struct Touched {
    reads: HashSet<Home>,
    writes: HashSet<Home>,
    /// Those of which not just a part is written: parts of one buffer that different steps write do not overlap.
    whole: HashSet<Home>,
}

impl Touched {
    fn of(step: &Step, schedule: &Schedule) -> Touched {
        let mut touched = Touched::default();
        step.homes(|home, written| {
            touched.reads.extend((!written).then_some(home));
            touched.writes.extend(written.then_some(home));
        });
        let chain = match step {
            Step::Chain(chain) => Some(chain),
            Step::Kernel(kernel) => kernel.epilogue.as_ref().map(|epilogue| &epilogue.chain),
            Step::Decode { .. } => None,
        };
        let stores = chain.filter(|chain| matches!(chain.end, End::Stores(_)));
        let is_part = |home: &Home| match (stores, *home) {
            (Some(chain), Home::Buffer(number)) => chain.count < schedule.buffers[number].count,
            _ => false,
        };
        touched.whole = touched.writes.iter().copied().filter(|home| !is_part(home)).collect();
        touched
    }

    /// Whether two steps must keep their order.
    fn conflicts(&self, other: &Touched) -> bool {
        !self.reads.is_disjoint(&other.writes)
            || !self.writes.is_disjoint(&other.reads)
            || !self.writes.is_disjoint(&other.whole)
            || !self.whole.is_disjoint(&other.writes)
    }

    fn extend(&mut self, other: Touched) {
        self.reads.extend(other.reads);
        self.writes.extend(other.writes);
        self.whole.extend(other.whole);
    }
}

/// Loops that wait.
struct Waiting {
    steps: Group,
    touched: Touched,
    /// Somebody's memory becomes free when they have run.
    holds_memory: bool,
}

/// The steps of a schedule in an order that keeps every dependency, those that run at once together, and what is prepared
/// before the rest. `loops` are its chains, by step.
pub fn grouped(schedule: &Schedule, loops: &[Option<Loop>]) -> Vec<Group> {
    let large = |home: &Home| match *home {
        Home::Buffer(number) => {
            let buffer = &schedule.buffers[number];
            Some(buffer).filter(|buffer| buffer.count * buffer.dtype.size() > LARGE)
        }
        Home::Param(_) | Home::Literal(_) => None,
    };
    let mut order: Vec<Group> = Vec::new();
    let mut waiting: Vec<Waiting> = Vec::new();
    for (number, step) in schedule.steps.iter().enumerate() {
        if number == schedule.prepared {
            order.extend(waiting.drain(..).map(|group| group.steps));
        }
        let touched = Touched::of(step, schedule);
        let allocates = touched.writes.iter().filter_map(large).any(|buffer| buffer.first == number);
        let holds_memory = touched.reads.iter().filter_map(large).any(|buffer| buffer.last == number);
        let friends = |group: &Waiting| {
            let arguments: usize =
                group.steps.iter().chain([&number]).filter_map(|&step| loops[step].as_ref()).map(Loop::arguments).sum();
            let launches = |step: usize| loops[step].as_ref().map(Loop::launches);
            let fits = group.steps.len() < MOST && arguments <= Loop::MOST_ARGUMENTS;
            fits && launches(number) == launches(group.steps[0])
        };
        let (ready, still): (Vec<Waiting>, Vec<Waiting>) = waiting
            .into_iter()
            .partition(|group| group.touched.conflicts(&touched) || allocates && group.holds_memory && !friends(group));
        order.extend(ready.into_iter().map(|group| group.steps));
        waiting = still;
        match (waiting.iter_mut().find(|group| friends(group)), &loops[number]) {
            (Some(group), _) => {
                group.steps.push(number);
                group.touched.extend(touched);
                group.holds_memory |= holds_memory;
            }
            (None, Some(_)) => waiting.push(Waiting { steps: vec![number], touched, holds_memory }),
            (None, None) => order.push(vec![number]),
        }
    }
    order.extend(waiting.into_iter().map(|group| group.steps));
    order
}

/// The number of the first group that runs every time.
pub fn prepared(schedule: &Schedule, order: &[Group]) -> usize {
    order.iter().take_while(|group| group.iter().all(|&step| step < schedule.prepared)).count()
}

/// When each buffer is alive, in numbers of groups: from the first that writes it (the graph's inputs are there from
/// the start) to the last that touches it (its outputs outlive all, and so does what is prepared). `None` if nothing
/// touches it, such as a product that its kernel turns into something else.
pub fn lives(schedule: &Schedule, order: &[Group]) -> Vec<Option<(usize, usize)>> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; schedule.buffers.len()];
    for (time, group) in order.iter().enumerate() {
        for &step in group {
            schedule.steps[step].homes(|home, _| {
                if let Home::Buffer(number) = home {
                    let (first, _) = lives[number].unwrap_or((time, time));
                    lives[number] = Some((first, time));
                }
            });
        }
    }
    let prepared = prepared(schedule, order);
    let kept = lives.iter_mut().flatten().filter(|(first, last)| *first < prepared && *last >= prepared);
    kept.for_each(|(_, last)| *last = order.len());
    let mut widen = |buffer: usize, time: usize| {
        let (first, last) = lives[buffer].unwrap_or((time, time));
        lives[buffer] = Some((first.min(time), last.max(time)));
    };
    schedule.inputs.iter().for_each(|&buffer| widen(buffer, 0));
    schedule.outputs.iter().for_each(|&(buffer, _)| widen(buffer, order.len()));
    lives
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
