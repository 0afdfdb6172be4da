//! PTX of loops, written from the graph's own table of operations.
//!
//! A formula of `graph/src/op` is generic over [`Real`](yuragi_numeric::Real). Evaluated with numbers of a tape it
//! records instructions instead of computing, so an operation has no code of its own here: its table line is its kernel.
//!
//! | file | noun |
//! |---|---|
//! | `tape` | instructions under way: shared, hoisted out of loops, dropped if dead; their text |
//! | `traced` | numbers on a tape; **every operation gets its instruction here** |
//! | `index` | integers that count: division by constants, walks |
//! | `memory` | elements in memory: loads and stores of up to 16 bytes, element types |
//! | `walk` | a chain's way through an operand |
//! | `kernel` | parameters and threads |
//! | `elementwise`, `fold` | chains that end in stores, and in a reduction |
//! | `epilogue` | chains that run inside the kernel of a product |

mod elementwise;
pub mod epilogue;
mod fold;
mod index;
mod kernel;
mod memory;
mod tape;
mod traced;
mod walk;

use std::{collections::HashMap, fmt};

use yuragi_graph::lowering::{Chain, End, Home, Source};

use self::{
    elementwise::Elementwise,
    fold::{Folded, Reduction},
    kernel::{Emitted, Operands, Text},
};
use crate::launch::{self, ALIGNMENT, Address, Argument, Code, Launch, Launches};

/// A chain as kernels that are in no module yet.
#[derive(Clone, Debug)]
pub struct Loop {
    name: &'static str,
    kernels: Vec<Emitted>,
    /// Bytes of working memory.
    scratch: usize,
}

impl Loop {
    /// The most bytes of arguments of a kernel.
    pub const MOST_ARGUMENTS: usize = 32_764;

    /// Writes a chain whose operands are where `place` says.
    pub fn new(chain: &Chain, place: impl Fn(Home) -> launch::Home) -> Loop {
        let places = |sources: &[Source]| {
            sources.iter().map(|source| (Address::start(place(source.home)), source.dtype)).collect()
        };
        let operands = Operands { inputs: places(&chain.inputs), outputs: places(&chain.outputs) };
        let (kernels, scratch) = match &chain.end {
            End::Stores(_) if chain.count == 0 => (Vec::new(), 0),
            End::Stores(stores) => (vec![Elementwise::new(chain.count, &chain.code, stores, &operands).emit()], 0),
            End::Fold(fold) => {
                let Folded { kernels, scratch } = Reduction::new(&chain.code, fold, &operands).emit();
                (kernels, scratch)
            }
        };
        Loop { name: chain.name, kernels, scratch }
    }

    /// Whether the same kernels do both, with other arguments.
    pub fn is_like(&self, other: &Loop) -> bool {
        self.kernels.len() == other.kernels.len()
            && self.kernels.iter().zip(&other.kernels).all(|(a, b)| a.text == b.text && a.grid[1] == b.grid[1])
    }

    /// The most bytes of arguments of one of its kernels.
    pub fn arguments(&self) -> usize {
        self.kernels.iter().map(|kernel| 8 * kernel.arguments.len()).max().unwrap_or(0)
    }
}

/// The kernels of one plan's chains; equal ones are one.
#[derive(Debug, Default)]
pub struct Module {
    /// Kernels, each for so many members, in order.
    entries: Vec<(Text, usize)>,
    numbers: HashMap<(Text, usize), usize>,
}

impl Module {
    /// No kernels yet.
    pub fn new() -> Module {
        Module::default()
    }

    /// Whether there is no kernel.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds what runs a chain, whose operands are where `place` says.
    pub fn chain(&mut self, chain: &Chain, place: impl Fn(Home) -> launch::Home) -> Launches {
        self.add(&[&Loop::new(chain, place)])
    }

    /// Adds what runs loops that are alike and do not depend on each other, at once.
    pub fn add(&mut self, loops: &[&Loop]) -> Launches {
        let Some(first) = loops.first() else { return Launches::default() };
        let scratch = first.scratch.next_multiple_of(ALIGNMENT);
        let launches = (0..first.kernels.len()).map(|kernel| self.launch(loops, kernel, scratch)).collect();
        Launches { launches, scratch: scratch * loops.len() }
    }

    /// One launch of the kernel of this number of every loop.
    fn launch(&mut self, loops: &[&Loop], kernel: usize, scratch: usize) -> Launch {
        let key = (loops[0].kernels[kernel].text.clone(), loops.len());
        let number = *self.numbers.entry(key).or_insert_with_key(|key| {
            self.entries.push(key.clone());
            self.entries.len() - 1
        });
        let kernels = || loops.iter().map(|one| &one.kernels[kernel]);
        let most = |axis: usize| kernels().map(|kernel| kernel.grid[axis]).max().unwrap_or(1) as u32;
        let of_member = |(member, kernel): (usize, &Emitted)| {
            let moved = |argument: &Argument| {
                let mut argument = argument.clone();
                if let Some(Address { home: launch::Home::Scratch(at), .. }) = argument.address_mut() {
                    *at += member * scratch;
                }
                argument
            };
            kernel.arguments.iter().map(moved).collect::<Vec<Argument>>()
        };
        Launch {
            name: loops[0].name,
            code: if loops.len() == 1 { Code::Emitted } else { Code::Table },
            function: function(number),
            grid: [most(0), most(1), loops.len() as u32],
            block: [kernel::THREADS as u32, 1, 1],
            shared: 0,
            arguments: kernels().enumerate().flat_map(of_member).collect(),
        }
    }
}

/// The name of a kernel.
fn function(number: usize) -> String {
    format!("chain_{number}")
}

/// The module's text.
impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, ".version 8.1\n.target sm_80\n.address_size 64")?;
        for (number, (text, members)) in self.entries.iter().enumerate() {
            write!(f, "\n{}", text.entry(&function(number), *members))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
