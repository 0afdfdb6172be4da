//! A kernel under way: its parameters, its threads, and what they know of memory.

use yuragi_graph::{DType, lowering::Instruction};
use yuragi_numeric::{Real, Single};

use super::{
    index::Index,
    memory::{convert, register},
    tape::{Class, Operand, Register, Tape},
    traced::{Traced, Traced::Value},
};
use crate::launch::{Address, Argument};

/// Threads of a block.
pub(super) const THREADS: usize = 256;

/// Shared memory of a block.
pub(super) const SHARED: &str = "shared";
/// Instructions beyond which a thread has fewer lanes.
pub(super) const LONG: usize = 3000;

/// Where a chain's operands are, and the types of their elements.
pub(super) struct Operands {
    pub inputs: Vec<(Address, DType)>,
    pub outputs: Vec<(Address, DType)>,
}

/// The parameters of a kernel: pointers, each once, and sizes.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    list: Vec<Argument>,
}

impl Params {
    /// The parameter that is this argument.
    pub fn add(&mut self, argument: Argument) -> usize {
        self.list.iter().position(|known| *known == argument).unwrap_or_else(|| {
            self.list.push(argument);
            self.list.len() - 1
        })
    }

    /// The parameter that points there.
    pub fn pointer(&mut self, address: Address) -> usize {
        self.add(Argument::Pointer(address))
    }

    /// What they are.
    pub fn arguments(&self) -> &[Argument] {
        &self.list
    }

    /// A kernel of these parameters, `shared` bytes of shared memory, and what is on the tape.
    pub fn kernel(self, tape: &Tape, shared: usize, grid: [usize; 2]) -> Emitted {
        let types = self.list.iter().map(|argument| match argument {
            Argument::U32(_) | Argument::F32(_) => Class::Word,
            // Loops take the address of a tensor.
            Argument::Pointer(_) | Argument::Tensor(_) | Argument::Null | Argument::Counters(_) | Argument::U64(_) => {
                Class::Double
            }
        });
        let text = Text { params: types.collect(), shared, body: tape.to_string() };
        Emitted { text, arguments: self.list, grid }
    }
}

/// A kernel, and how it is launched.
#[derive(Clone, Debug)]
pub(super) struct Emitted {
    pub text: Text,
    pub arguments: Vec<Argument>,
    /// Blocks along x and y.
    pub grid: [usize; 2],
}

/// What makes two kernels one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Text {
    params: Vec<Class>,
    /// Bytes of shared memory.
    shared: usize,
    /// Reads its parameters from the registers `%a0`, `%a1`, ….
    body: String,
}

/// A kernel of a launch, for so many members with blocks of their own along z.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    pub text: Text,
    pub members: usize,
    /// Blocks of each along y.
    pub rows: usize,
}

/// The entry that runs these kernels. A single member's arguments are parameters; those of several are one, a table of a row
/// for each in order ([`Code::Table`](crate::launch::Code::Table)).
pub(super) fn entry(name: &str, variants: &[Variant]) -> String {
    let shared = match variants.iter().map(|variant| variant.text.shared).max().unwrap_or(0) {
        0 => String::new(),
        bytes => format!("\t.shared .align 16 .b8 {SHARED}[{bytes}];\n"),
    };
    let (params, body) = match variants {
        [Variant { text, members: 1, .. }] => {
            let params = text.each(&|n, of| format!("\t.param {of} p{n}")).join(",\n");
            let arguments = text.each(&|n, of| format!("\tld.param{of} %a{n}, [p{n}];\n")).concat();
            (params, text.registers() + &arguments + &text.body + "\tret;\n")
        }
        _ => table(variants),
    };
    format!(".visible .entry {name}(\n{params}\n)\n.maxntid {THREADS}, 1, 1\n{{\n{shared}{body}}}\n")
}

/// The parameter and the code of several members.
fn table(variants: &[Variant]) -> (String, String) {
    let mut code = String::from(
        "\t.reg .b32 %member, %line;\n\t.reg .b64 %row, %table;\n\t.reg .pred %other;\n\tmov.u32 %member, %ctaid.z;\n\
         \tmov.b64 %table, table;\n\tcvta.param.u64 %table, %table;\n",
    );
    let rows = variants.iter().map(|variant| variant.rows).max().unwrap_or(1);
    let (mut first, mut start) = (0, 0);
    for (number, Variant { text, members, rows: own }) in variants.iter().enumerate() {
        let bytes = 8 * text.params.len();
        let last = number + 1 == variants.len();
        let end = first + members;
        if !last {
            code += &format!("\tsetp.ge.u32 %other, %member, {end};\n\t@%other bra $variant{number};\n");
        }
        if *own < rows {
            code += "\tmov.u32 %line, %ctaid.y;\n";
            code += &format!("\tsetp.ge.u32 %other, %line, {own};\n\t@%other ret;\n");
        }
        code += &format!("\tsub.u32 %line, %member, {first};\n\tmul.wide.u32 %row, %line, {bytes};\n");
        code += "\tadd.u64 %row, %row, %table;\n\t{\n";
        code += &text.registers();
        code += &text.each(&|n, of| format!("\tld{of} %a{n}, [%row+{}];\n", start + 8 * n)).concat();
        code += &text.body;
        code += "\tret;\n\t}\n";
        if !last {
            code += &format!("$variant{number}:\n");
        }
        (first, start) = (end, start + bytes * members);
    }
    (format!("\t.param .align 8 .b8 table[{start}]"), code)
}

impl Text {
    /// A text for each parameter, by its number and type.
    fn each(&self, text: &dyn Fn(usize, &'static str) -> String) -> Vec<String> {
        self.params.iter().enumerate().map(|(n, class)| text(n, class.names().0)).collect()
    }

    /// Those of the parameters.
    fn registers(&self) -> String {
        self.each(&|n, of| format!("\t.reg {of} %a{n};\n")).concat()
    }
}

impl Tape {
    /// A number that the hardware gives, such as `%tid.x`.
    pub fn special(&self, name: &'static str) -> Traced<'_, u32> {
        Value(self, self.result("mov.u32", Class::Word, vec![Operand::Name(name)]))
    }

    /// A size among the parameters.
    pub fn size<I: Index>(&self, param: usize) -> Traced<'_, I> {
        Value(self, self.result(I::MOVE, I::CLASS, vec![Operand::Argument(param)]))
    }

    /// So many bytes after a pointer among the parameters.
    pub fn address<'t, I: Index>(&'t self, param: usize, bytes: Traced<'t, I>) -> Traced<'t, u64> {
        let generic = self.result("mov.b64", Class::Double, vec![Operand::Argument(param)]);
        let global = self.result("cvta.to.global.u64", Class::Double, vec![Operand::Register(generic)]);
        Value(self, global) + I::widen(bytes)
    }

    /// `body` for every `start, start + step, …` below `limit`.
    pub fn each<'t, I: Index>(&'t self, [start, limit, step]: [Traced<'t, I>; 3], body: impl FnOnce(Traced<'t, I>)) {
        let range = [start, limit, step].map(Traced::operand);
        self.repeat(I::SUFFIX, I::CLASS, range, |counter| body(Value(self, counter)));
    }

    /// `body` where a condition holds.
    pub fn where_true(&self, condition: Traced<'_, bool>, body: impl FnOnce()) {
        match condition {
            Traced::Constant(false) => {}
            Traced::Constant(true) => body(),
            Value(_, register) => self.when(register, body),
        }
    }

    /// A number that changes while the kernel runs.
    pub fn variable<'t>(&'t self, start: Traced<'t, f32>) -> Variable<'t> {
        let variable = Variable(self, self.new_variable(Class::Word));
        variable.set(start);
        variable
    }

    /// Waits for all threads of the block.
    pub fn barrier(&self) {
        self.effect("bar.sync", vec![Operand::Integer(0)]);
    }

    /// The value that the thread of the warp has whose number differs from this one's in these bits.
    pub fn exchanged<'t>(&'t self, x: Traced<'t, f32>, bits: usize) -> Traced<'t, f32> {
        let integers = [bits as u64, 0x1f, u32::MAX.into()].map(Operand::Integer);
        let operands = [register(self, "mov.b32", x.to_bits())].into_iter().chain(integers).collect();
        Value(self, self.effect_result("shfl.sync.bfly.b32", Class::Word, operands))
    }

    /// Stores a number in shared memory, so many bytes after its start.
    pub fn share<'t>(&'t self, bytes: Traced<'t, u32>, x: Traced<'t, f32>) {
        self.effect("st.shared.b32", vec![self.shared(bytes), register(self, "mov.b32", x.to_bits())]);
    }

    /// A number in shared memory.
    pub fn shared_value<'t>(&'t self, bytes: Traced<'t, u32>) -> Traced<'t, f32> {
        Value(self, self.effect_result("ld.shared.b32", Class::Word, vec![self.shared(bytes)]))
    }

    fn shared(&self, bytes: Traced<'_, u32>) -> Operand {
        let start = Value(self, self.result("mov.u32", Class::Word, vec![Operand::Name(SHARED)]));
        Operand::Memory(Box::new((start + bytes).operand()), 0)
    }

    /// The number of this thread among those of this axis's blocks, and how many such threads there are.
    pub fn thread<I: Index>(&self) -> (Traced<'_, I>, Traced<'_, I>) {
        let of = |name| I::from_word(self.special(name)) * THREADS;
        (of("%ctaid.x") + I::from_word(self.special("%tid.x")), of("%nctaid.x"))
    }
}

/// A register that is written more than once.
pub(super) struct Variable<'t>(&'t Tape, Register);

impl<'t> Variable<'t> {
    pub fn get(&self) -> Traced<'t, f32> {
        Value(self.0, self.0.effect_result("mov.b32", Class::Word, vec![Operand::Register(self.1)]))
    }

    pub fn set(&self, x: Traced<'t, f32>) {
        self.0.assign("mov.b32", self.1, x.to_bits().operand());
    }
}

/// The values of a chain for one lane, whose loads are known by the number of their instruction.
pub(super) fn evaluate<'t>(code: &[Instruction], loaded: impl Fn(usize) -> Traced<'t, f32>) -> Vec<Traced<'t, f32>> {
    let mut values: Vec<Traced<'t, f32>> = Vec::with_capacity(code.len());
    for (number, instruction) in code.iter().enumerate() {
        let value = match *instruction {
            Instruction::Number(value) => value.into(),
            Instruction::Load { .. } => loaded(number),
            Instruction::Unary(op, x) => op.eval(values[x.0]),
            Instruction::Binary(op, a, b) => op.eval(values[a.0], values[b.0]),
            Instruction::Select(condition, a, b) => Real::select(values[condition.0], values[a.0], values[b.0]),
            Instruction::Convert { from, into, x } => convert(values[x.0], from, into),
        };
        values.push(value);
    }
    values
}
