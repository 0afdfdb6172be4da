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
    kernel::{Emitted, Operands, Variant},
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

    /// Kernels, one after the other.
    pub fn launches(&self) -> usize {
        self.kernels.len()
    }

    /// The most bytes of arguments of one of its kernels.
    pub fn arguments(&self) -> usize {
        self.kernels.iter().map(|kernel| 8 * kernel.arguments.len()).max().unwrap_or(0)
    }
}

/// The kernels of one plan's chains; equal ones are one.
#[derive(Debug, Default)]
pub struct Module {
    /// What each entry runs.
    entries: Vec<Vec<Variant>>,
    numbers: HashMap<Vec<Variant>, usize>,
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

    /// Adds what runs loops of as many launches that do not depend on each other, at once.
    pub fn add(&mut self, loops: &[&Loop]) -> Launches {
        let Some(first) = loops.first() else { return Launches::default() };
        let mut scratch = 0;
        let of_loop = |one: &&Loop| {
            let at = scratch;
            scratch += one.scratch.next_multiple_of(ALIGNMENT);
            at
        };
        let starts: Vec<usize> = loops.iter().map(of_loop).collect();
        let launches = (0..first.kernels.len()).map(|kernel| self.launch(loops, kernel, &starts)).collect();
        Launches { launches, scratch }
    }

    /// One launch of the kernel of this number of every loop, whose working memory begins at `starts`.
    fn launch(&mut self, loops: &[&Loop], kernel: usize, starts: &[usize]) -> Launch {
        let of = |member: usize| &loops[member].kernels[kernel];
        // Equal kernels side by side.
        let mut variants: Vec<Variant> = Vec::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        for member in 0..loops.len() {
            let (text, rows) = (&of(member).text, of(member).grid[1]);
            let same = variants.iter().position(|variant| variant.text == *text && variant.rows == rows);
            let variant = same.unwrap_or_else(|| {
                variants.push(Variant { text: text.clone(), members: 0, rows });
                members.push(Vec::new());
                variants.len() - 1
            });
            variants[variant].members += 1;
            members[variant].push(member);
        }
        let number = *self.numbers.entry(variants).or_insert_with_key(|variants| {
            self.entries.push(variants.clone());
            self.entries.len() - 1
        });
        let most = |axis: usize| (0..loops.len()).map(|member| of(member).grid[axis]).max().unwrap_or(1) as u32;
        let of_member = |member: usize| {
            let moved = |argument: &Argument| {
                let mut argument = argument.clone();
                if let Some(Address { home: launch::Home::Scratch(at), .. }) = argument.address_mut() {
                    *at += starts[member];
                }
                argument
            };
            of(member).arguments.iter().map(moved).collect::<Vec<Argument>>()
        };
        Launch {
            name: loops[0].name,
            code: if loops.len() == 1 { Code::Emitted } else { Code::Table },
            function: function(number),
            grid: [most(0), most(1), loops.len() as u32],
            block: [kernel::THREADS as u32, 1, 1],
            shared: 0,
            arguments: members.into_iter().flatten().flat_map(of_member).collect(),
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
        for (number, variants) in self.entries.iter().enumerate() {
            write!(f, "\n{}", kernel::entry(&function(number), variants))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
