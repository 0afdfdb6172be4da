//! Chains that the kernel of a product runs on its sums, as code to be put into a copy of that kernel.

use yuragi_graph::{
    DType,
    lowering::{self, End, Home, Instruction, Value as Result, View, of_pair},
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
/// The register that says whether it is to be stored: 0 if the code has done so.
pub const STORES: &str = "%stores";
/// The register of the first sum's place in the result.
pub const PLACE: &str = "%place";
/// The register of the first sum's column.
pub const COLUMN: &str = "%column";

/// A chain that follows a product.
pub struct Epilogue<'a> {
    code: &'a [Instruction],
    /// The value that the kernel stores.
    left: Option<Result>,
    /// The values that the code stores, if that is not for the kernel to do.
    stored: Vec<(Result, Walk)>,
    /// The input that stands for the product, and its type.
    product: (usize, DType),
    /// Neighbours of the product for each element of the chain: 1 or 2.
    each: usize,
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
    /// The epilogue of a product of so many elements in rows of so many columns and of this type, with a row of biases that
    /// is added before.
    pub fn new(
        epilogue: &'a lowering::Epilogue,
        (count, columns, dtype): (usize, usize, DType),
        bias: Option<Address>,
        place: impl Fn(Home) -> launch::Home,
    ) -> Epilogue<'a> {
        let chain = &epilogue.chain;
        let each = if chain.count < count { 2 } else { 1 };
        let mut params = Params::default();
        let bias = bias.map(|at| Walk::new(&mut params, (at, dtype), &View::run(columns)));
        let load = |instruction: &Instruction| match instruction {
            Instruction::Load { input, view } if *input != epilogue.product => {
                let source = chain.inputs[*input];
                let walk = Walk::new(&mut params, (Address::start(place(source.home)), source.dtype), view);
                Some(if view.is_row(columns / each) { Load::Column(walk) } else { Load::Place(walk) })
            }
            _ => None,
        };
        let loaded: Vec<Option<Load>> = chain.code.iter().map(load).collect();
        let (mut left, mut stored) = (None, Vec::new());
        if let End::Stores(stores) = &chain.end {
            if epilogue.is_simple(count) {
                left = stores.first().map(|store| store.value);
            } else {
                stored.extend(stores.iter().map(|store| {
                    let output = chain.outputs[store.output];
                    let at = (Address::start(place(output.home)), output.dtype);
                    (store.value, Walk::new(&mut params, at, &store.view))
                }));
            }
        }
        let reach = |load: &Load| match load {
            Load::Place(walk) | Load::Column(walk) => walk.reach() < 1 << 32,
        };
        let small = count < 1 << 31
            && loaded.iter().flatten().all(reach)
            && stored.iter().all(|(_, walk)| walk.reach() < 1 << 32);
        let product = (epilogue.product, dtype);
        Epilogue { code: &chain.code, left, stored, product, each, bias, loaded, params, small }
    }

    /// Neighbours of the product for each element that is stored.
    pub fn each(&self) -> usize {
        self.each
    }

    /// Whether the code stores what results.
    pub fn stores(&self) -> bool {
        self.left.is_none()
    }

    /// The places that the code asks for, as 64-bit arguments `%a0`, `%a1`, ….
    pub fn arguments(&self) -> &[Argument] {
        self.params.arguments()
    }

    /// The code for so many neighbours of the product in a row, a power of two up to 4 that divides the number of columns and
    /// is a multiple of [`Epilogue::each`]; without loops and labels.
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
        let (items, column) = (lanes / self.each, || counter(COLUMN) / self.each);
        let place = || counter(PLACE) / self.each;
        let load = |load: &Load| match load {
            Load::Place(walk) => neighbours::<I>(tape, walk, place(), items),
            Load::Column(walk) => row::<I>(tape, walk, column(), items),
        };
        let loaded: Vec<Vec<_>> = self.loaded.iter().map(|walk| walk.as_ref().map_or_else(Vec::new, load)).collect();
        let (product, dtype) = self.product;
        let bias = self.bias.as_ref().map(|walk| row::<I>(tape, walk, counter(COLUMN), lanes));
        let sum = |lane: usize| {
            let sum = Value(tape, tape.result("mov.b32", Class::Word, vec![Operand::Name(SUMS[lane])]));
            let sum = convert(sum, DType::F32, dtype);
            match &bias {
                Some(bias) => convert(sum + bias[lane], DType::F32, dtype),
                None => sum,
            }
        };
        let sums: Vec<Traced<'_, f32>> = (0..lanes).map(sum).collect();
        let values = |item: usize| {
            evaluate(self.code, |number| match &self.code[number] {
                Instruction::Load { input, view } if *input == product => {
                    sums[item * self.each + if self.each == 2 { of_pair(view, view.count()).unwrap_or(0) } else { 0 }]
                }
                _ => loaded[number][item],
            })
        };
        let values: Vec<Vec<Traced<'_, f32>>> = (0..items).map(values).collect();
        if let Some(left) = self.left {
            for (name, values) in SUMS.into_iter().zip(&values) {
                tape.effect("mov.b32", vec![Operand::Name(name), values[left.0].operand()]);
            }
            return;
        }
        for (value, walk) in &self.stored {
            let stored: Vec<Traced<'_, f32>> = values.iter().map(|item| item[value.0]).collect();
            put::<I>(tape, walk, place(), &stored);
        }
        tape.effect("mov.b32", vec![Operand::Name(STORES), Operand::Integer(0)]);
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

/// Stores the elements that belong to a place in the result and those after it.
fn put<'t, I: Index>(tape: &'t Tape, walk: &Walk, place: Traced<'t, I>, values: &[Traced<'t, f32>]) {
    let at = |place: Traced<'t, I>| tape.address(walk.pointer, walk.place(place, 1));
    match walk.allows(values.len()) {
        true => walk.access(values.len()).store(tape, at(place), values),
        false => (0..values.len()).for_each(|n| walk.access(1).store(tape, at(place + index(n)), &values[n..=n])),
    }
}
