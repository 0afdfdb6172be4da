//! Chains that the kernel of a product runs on its sums, as code to be put into a copy of that kernel.

use yuragi_graph::{
    DType,
    lowering::{self, End, Home, Instruction, View},
};

use super::{
    index::{Index, index},
    kernel::{Params, evaluate},
    memory::convert,
    tape::{Class, Operand, Tape},
    traced::{Traced, Traced::Value},
    walk::Walk,
};
use crate::launch::{self, Address, Argument};

/// The registers in which the code finds sums and leaves what is to be stored.
pub const SUMS: [&str; 4] = ["%x0", "%x1", "%x2", "%x3"];
/// The register of the first sum's place in the result.
pub const PLACE: &str = "%place";
/// The register of the first sum's column.
pub const COLUMN: &str = "%column";

/// A chain that follows a product.
pub struct Epilogue<'a> {
    code: &'a [Instruction],
    /// The value that is stored.
    stored: usize,
    /// The input that stands for the product, and its type.
    product: (usize, DType),
    /// The place of a bias, of the product's type.
    bias: Option<Walk>,
    /// By instruction.
    loaded: Vec<Option<Load>>,
    params: Params,
    /// Whether 32 bits count everything.
    small: bool,
}

/// How an operand is walked through.
enum Load {
    /// By the place in the result.
    Place(Walk),
    /// By the column: a row that repeats.
    Column(Walk),
}

impl<'a> Epilogue<'a> {
    /// The epilogue of a product of so many columns and this type, with a row of biases that is added before.
    pub fn new(
        epilogue: &'a lowering::Epilogue,
        (columns, dtype): (usize, DType),
        bias: Option<Address>,
        place: impl Fn(Home) -> launch::Home,
    ) -> Epilogue<'a> {
        let chain = &epilogue.chain;
        let mut params = Params::default();
        let bias = bias.map(|at| Walk::new(&mut params, (at, dtype), &View::run(columns)));
        let load = |instruction: &Instruction| match instruction {
            Instruction::Load { input, view } if *input != epilogue.product => {
                let source = chain.inputs[*input];
                let walk = Walk::new(&mut params, (Address::start(place(source.home)), source.dtype), view);
                Some(if view.is_row(columns) { Load::Column(walk) } else { Load::Place(walk) })
            }
            _ => None,
        };
        let loaded: Vec<Option<Load>> = chain.code.iter().map(load).collect();
        let stored = match &chain.end {
            End::Stores(stores) => stores.first().map_or(0, |store| store.value.0),
            End::Fold(fold) => fold.value.0,
        };
        let reach = |load: &Load| match load {
            Load::Place(walk) | Load::Column(walk) => walk.reach() < 1 << 32,
        };
        let small = chain.count < 1 << 31 && loaded.iter().flatten().all(reach);
        Epilogue { code: &chain.code, stored, product: (epilogue.product, dtype), bias, loaded, params, small }
    }

    /// The places that the code asks for, as 64-bit arguments `%a0`, `%a1`, ….
    pub fn arguments(&self) -> &[Argument] {
        self.params.arguments()
    }

    /// The code for so many neighbours in a row, a power of two up to 4 that divides the number of columns; without
    /// loops and labels.
    pub fn text(&self, lanes: usize) -> String {
        let tape = Tape::new();
        if self.small {
            self.record::<u32>(&tape, lanes);
        } else {
            self.record::<u64>(&tape, lanes);
        }
        tape.to_string()
    }

    fn record<I: Index>(&self, tape: &Tape, lanes: usize) {
        let counter =
            |name| I::from_double(Value(tape, tape.result("mov.b64", Class::Double, vec![Operand::Name(name)])));
        let load = |load: &Load| match load {
            Load::Place(walk) => neighbours::<I>(tape, walk, counter(PLACE), lanes),
            Load::Column(walk) => row::<I>(tape, walk, counter(COLUMN), lanes),
        };
        let loaded: Vec<Vec<_>> = self.loaded.iter().map(|walk| walk.as_ref().map_or_else(Vec::new, load)).collect();
        let (product, dtype) = self.product;
        let bias = self.bias.as_ref().map(|walk| row::<I>(tape, walk, counter(COLUMN), lanes));
        let value = |lane: usize| {
            let sum = Value(tape, tape.result("mov.b32", Class::Word, vec![Operand::Name(SUMS[lane])]));
            let mut sum = convert(sum, DType::F32, dtype);
            if let Some(bias) = &bias {
                sum = convert(sum + bias[lane], DType::F32, dtype);
            }
            let values = evaluate(self.code, |number| match self.code[number] {
                Instruction::Load { input, .. } if input == product => sum,
                _ => loaded[number][lane],
            });
            values[self.stored]
        };
        let values: Vec<Traced<'_, f32>> = (0..lanes).map(value).collect();
        for (name, value) in SUMS.into_iter().zip(values) {
            tape.effect("mov.b32", vec![Operand::Name(name), value.operand()]);
        }
    }
}

/// The elements of a row from a column on.
fn row<'t, I: Index>(tape: &'t Tape, walk: &Walk, column: Traced<'t, I>, lanes: usize) -> Vec<Traced<'t, f32>> {
    walk.access(lanes).load(tape, tape.address(walk.pointer, column * walk.dtype.size()))
}

/// The elements that belong to a place in the result and those after it.
fn neighbours<'t, I: Index>(tape: &'t Tape, walk: &Walk, place: Traced<'t, I>, lanes: usize) -> Vec<Traced<'t, f32>> {
    let from = |place, lanes| walk.access(lanes).load(tape, tape.address(walk.pointer, walk.place(place, 1)));
    match walk.allows(lanes) {
        true => from(place, lanes),
        false => (0..lanes).map(|lane| from(place + index(lane), 1)[0]).collect(),
    }
}
