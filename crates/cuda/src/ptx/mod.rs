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

mod elementwise;
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
    kernel::{Emitted, Operands},
};
use crate::launch::{self, Address, Code, Launch, Launches};

/// The kernels of one plan's chains; equal ones are one.
#[derive(Debug, Default)]
pub struct Module {
    /// Entries without their names, in order.
    entries: Vec<String>,
    numbers: HashMap<String, usize>,
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
        Launches { launches: kernels.into_iter().map(|kernel| self.add(chain.name, kernel)).collect(), scratch }
    }

    fn add(&mut self, name: &'static str, kernel: Emitted) -> Launch {
        let number = *self.numbers.entry(kernel.text).or_insert_with_key(|text| {
            self.entries.push(text.clone());
            self.entries.len() - 1
        });
        let [x, y] = kernel.grid.map(|blocks| blocks as u32);
        Launch {
            name,
            code: Code::Emitted,
            function: function(number),
            grid: [x, y, 1],
            block: [kernel::THREADS as u32, 1, 1],
            shared: 0,
            arguments: kernel.arguments,
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
        for (number, entry) in self.entries.iter().enumerate() {
            write!(f, "\n.visible .entry {}{entry}", function(number))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
