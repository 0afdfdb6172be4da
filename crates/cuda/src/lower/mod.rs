//! From steps to launches: kernels by sizes, loops as PTX of their own, and one arena. Knows no driver.

mod attention_grad;
mod choice;
mod fused;
mod norm;
mod operand;
mod product;

use yuragi_graph::{
    CompileError, Graph,
    lowering::{Abilities, Halves, Schedule, Step},
    memory::{Lifetime, place},
};

use choice::Made;
pub use fused::claims;
use operand::unplaced;
pub use product::Target;

use crate::{
    batch,
    kernels::picks::Picked,
    launch::{ALIGNMENT, Argument, Home, Launch, Launches},
    ptx,
};

/// What the kernels can.
pub(crate) const ABILITIES: Abilities = Abilities {
    halves: Halves::Packed,
    matrices: true,
    epilogues: true,
    in_place: false,
    weights: false,
    prepares: true,
};

/// A lowered graph.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// In order, each after the one before it.
    pub launches: Vec<Launch>,
    /// How many of them, the first, run once for all runs with the same parameters: what they give stays where it is.
    pub prepared: usize,
    /// The PTX text of the kernels that were written for this graph; empty if none was.
    pub module: String,
    /// The PTX texts with copies of shipped kernels into which code of this graph was put.
    pub spliced: Vec<String>,
    /// Bytes.
    pub arena: usize,
    /// The most counters of a launch.
    pub counters: usize,
    /// The first byte of each input of the graph.
    pub inputs: Vec<usize>,
    /// The first byte of each output of the graph.
    pub outputs: Vec<usize>,
    /// What one of several kernels was taken for, in order.
    pub picked: Vec<Picked>,
}

impl Lowered {
    /// Bytes that a state needs: the arena and the counters.
    pub const fn bytes(&self) -> usize {
        self.arena + self.counter_bytes()
    }

    /// Bytes of the counters.
    pub(crate) const fn counter_bytes(&self) -> usize {
        self.counters * size_of::<u32>()
    }
}

/// A graph as it is lowered: without fused operations that have no kernels, and with products side by side where their
/// weights are laid out once.
pub fn arranged(graph: &Graph, target: Target<'_>) -> Graph {
    let graph = graph.expanded(claims);
    if target.prepares { graph.with_transposed().joined().paired() } else { graph }
}

/// Chooses kernels and places every buffer. Fused operations must be claimed or expanded before.
pub fn lower(graph: &Graph, target: Target<'_>) -> Result<Lowered, CompileError> {
    let schedule = Schedule::new(graph, Abilities { prepares: target.prepares, ..ABILITIES })?;
    let of_chain = |step: &Step| match step {
        Step::Chain(chain) => Some(ptx::Loop::new(chain, unplaced)),
        Step::Kernel(_) | Step::Decode { .. } => None,
    };
    let loops: Vec<Option<ptx::Loop>> = schedule.steps.iter().map(of_chain).collect();
    if let Some(most) =
        loops.iter().flatten().map(ptx::Loop::arguments).max().filter(|n| *n > ptx::Loop::MOST_ARGUMENTS)
    {
        let (have, legal) = (most / 8, ptx::Loop::MOST_ARGUMENTS / 8);
        return Err(CompileError::Device(format!(
            "a loop over elements has {have} operands; legal are at most {legal}"
        )));
    }
    let order = norm::joined(graph, target, &schedule, batch::grouped(&schedule, &loops));
    let order = attention_grad::joined(graph, target, &schedule, order);
    let mut made = Made::default();
    let mut groups: Vec<Launches> = Vec::with_capacity(order.len());
    for group in &order {
        groups.push(match &schedule.steps[group[0]] {
            Step::Chain(_) => {
                let members: Vec<&ptx::Loop> = group.iter().filter_map(|&step| loops[step].as_ref()).collect();
                made.module.add(&members)
            }
            Step::Kernel(kernel) => {
                let with = group.get(1).and_then(|&step| match &schedule.steps[step] {
                    Step::Kernel(with) => Some(with),
                    Step::Chain(_) | Step::Decode { .. } => None,
                });
                choice::launches(graph, target, (kernel, with), &mut made)?
            }
            Step::Decode { .. } => Launches::default(), // parameters keep their 16 bits
        });
    }
    placed(&schedule, &order, groups, made)
}

/// Gives every buffer and working memory its place in the arena.
fn placed(
    schedule: &Schedule,
    order: &[batch::Group],
    groups: Vec<Launches>,
    made: Made,
) -> Result<Lowered, CompileError> {
    let sizes = schedule.buffers.iter().map(|buffer| buffer.count.saturating_mul(buffer.dtype.size()));
    let of = |(size, life)| match life {
        Some((first, last)) => Lifetime { size, first, last },
        None => Lifetime { size: 0, first: 0, last: 0 },
    };
    let mut buffers: Vec<Lifetime> = sizes.zip(batch::lives(schedule, order)).map(of).collect();
    let values = buffers.len();
    for (number, group) in groups.iter().enumerate() {
        buffers.push(Lifetime { size: group.scratch, first: number, last: number });
    }
    let total = buffers.iter().try_fold(0usize, |sum, b| sum.checked_add(b.size.checked_add(ALIGNMENT)?));
    if total.is_none_or(|t| t > isize::MAX as usize / 8) {
        return Err(CompileError::TooLarge);
    }
    let (offsets, arena) = place(&buffers, ALIGNMENT);
    let mut launches = Vec::new();
    let kept = batch::prepared(schedule, order);
    let prepared = groups[..kept].iter().map(|group| group.launches.len()).sum();
    for (number, group) in groups.into_iter().enumerate() {
        for mut launch in group.launches {
            for argument in &mut launch.arguments {
                if let Some(address) = argument.address_mut() {
                    address.home = match address.home {
                        Home::Arena(buffer) => Home::Arena(offsets[buffer]),
                        Home::Scratch(at) => Home::Arena(offsets[values + number] + at),
                        home => home,
                    };
                }
            }
            launches.push(launch);
        }
    }
    let of = |argument: &Argument| if let Argument::Counters(count) = argument { *count } else { 0 };
    let counters = launches.iter().flat_map(|launch| &launch.arguments).map(of).max().unwrap_or(0);
    let element = |buffer: usize| schedule.buffers[buffer].dtype.size();
    Ok(Lowered {
        launches,
        prepared,
        module: if made.module.is_empty() { String::new() } else { made.module.to_string() },
        spliced: made.splices.into_modules(),
        arena,
        counters,
        inputs: schedule.inputs.iter().map(|&b| offsets[b]).collect(),
        outputs: schedule.outputs.iter().map(|&(b, offset)| offsets[b] + offset * element(b)).collect(),
        picked: made.picked,
    })
}
