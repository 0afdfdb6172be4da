//! A kernel and the functions that it calls, instruction by instruction.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::{
    compare, control, convert,
    decoder::{Decoder, Part},
    float, hopper,
    index::Index,
    integer,
    link::Linked,
    memory,
    place::{MOST_PARAMS, bytes_of},
    shared::lay_shared,
    texture, wmma,
    words::Words,
};
use crate::{
    counters::Class,
    program::{DecodeError, Inst, Op, ParamLayout, Program, Room, compact, parameter_offset},
    ptx::{Function, Instruction, Operand, Type},
};

/// How few and how many operands an instruction takes, as far as its name says.
fn operand_counts(name: &str) -> (usize, usize) {
    match name {
        "ret" | "exit" | "trap" | "brkpt" | "membar" => (0, 0),
        "bra" | "activemask" | "nanosleep" | "pmevent" | "setmaxnreg" => (1, 1),
        "mov" | "brx" | "elect" | "ldmatrix" | "stmatrix" | "movmatrix" | "cvta" | "isspacep" | "testp" => (2, 2),
        "ld" | "ldu" | "st" | "vote" => (2, 3),
        "red" => (2, 3),
        "match" | "redux" => (3, 3),
        "setp" | "set" => (3, 4),
        "atom" => (3, 5),
        "selp" | "slct" | "mma" => (4, 4),
        "shfl" => (4, 5),
        "call" => (1, 5),
        _ => (0, usize::MAX),
    }
}

/// Operands with their literals in an instruction's format: `add.f32 %f1, %f2, 1.5` writes f64.
fn in_format(operands: &[Operand], of: Option<Type>) -> Cow<'_, [Operand]> {
    fn converted(operand: &Operand, of: Type) -> Operand {
        match (operand, of) {
            (Operand::F64(bits), Type::F32) => Operand::F32((f64::from_bits(*bits) as f32).to_bits()),
            (Operand::F32(bits), Type::F64) => Operand::F64(f64::from(f32::from_bits(*bits)).to_bits()),
            (Operand::Vector(list), _) => Operand::Vector(list.iter().map(|one| converted(one, of)).collect()),
            _ => operand.clone(),
        }
    }
    match of {
        Some(of @ (Type::F32 | Type::F64)) => operands.iter().map(|one| converted(one, of)).collect(),
        _ => Cow::Borrowed(operands),
    }
}

/// Decodes a kernel of a module whose variables have their addresses. What is not known in it makes it one that is
/// refused.
pub(crate) fn decode<'a>(index: &'a Index<'a>, linked: &'a Linked, kernel: &'a Function) -> Program {
    decoded(index, linked, kernel).unwrap_or_else(|refusal| {
        let (mut params, mut end) = (Vec::new(), 0);
        for variable in &kernel.params {
            let offset = parameter_offset(end, variable.align);
            // A parameter that is too large for one takes no room.
            let bytes = bytes_of(variable).unwrap_or(0).min(MOST_PARAMS - offset.min(MOST_PARAMS));
            params.push(ParamLayout { offset: offset as usize, bytes: bytes as usize });
            end = offset + bytes;
        }
        Program { params, refusal: Some(refusal), ..empty(kernel, linked) }
    })
}

/// The program of a kernel before its first instruction.
fn empty(kernel: &Function, linked: &Linked) -> Program {
    Program {
        name: kernel.name.clone(),
        code: Vec::new(),
        entry: 0,
        slots: 1,
        predicates: 0,
        constants: Vec::new(),
        specials: Vec::new(),
        unwritten: None,
        params: Vec::new(),
        shared: 0,
        local: 0,
        constant_bytes: linked.constant_bytes,
        registers: 0,
        max_threads: kernel
            .required_threads
            .or(kernel.max_threads)
            .map(|n| n.iter().fold(1_u32, |all, n| all.saturating_mul(*n))),
        required_threads: kernel.required_threads,
        cluster: kernel.cluster,
        allocates: false,
        reserved: false,
        refusal: None,
    }
}

fn decoded<'a>(index: &'a Index<'a>, linked: &'a Linked, kernel: &'a Function) -> Result<Program, DecodeError> {
    let whole = |message: String| DecodeError::new(kernel.line, kernel.name.as_str(), message);
    let order = index.callees(kernel).map_err(whole)?;
    if let Some((function, error)) = order.iter().find_map(|f| Some((f, f.refusal.as_ref()?))) {
        return Err(DecodeError::new(error.line, function.name.as_str(), error.message.clone()));
    }
    let (shared, shared_bytes) = lay_shared(index, &order).map_err(whole)?;
    let program = Program { shared: shared_bytes as u32, ..empty(kernel, linked) };
    let mut parts = HashMap::new();
    let mut decoder = Decoder {
        index,
        linked,
        shared,
        program,
        constants: HashMap::from([(0, 0)]),
        shared_slots: HashMap::new(),
        parts: HashMap::new(),
        current: Part {
            begin: 0,
            registers: HashMap::new(),
            places: HashMap::new(),
            labels: HashMap::new(),
            params: Vec::new(),
            returns: Vec::new(),
            room: Room::default(),
        },
        function: kernel,
        tables: HashMap::new(),
        indirect: 0,
        sources: HashMap::new(),
    };
    let mut begin = 0;
    for function in &order {
        let part = decoder.lay(function, begin).map_err(whole)?;
        begin += function.body.len() + 1;
        parts.insert(function.name.as_str(), part);
    }
    decoder.parts = parts;
    for function in order {
        decoder.current = decoder.parts[function.name.as_str()].clone();
        decoder.function = function;
        decoder.tables.clear();
        decoder.program.entry = decoder.current.begin;
        for (instruction, source) in function.body.iter().zip(&function.sources) {
            let inst = decoder.instruction(instruction)?;
            let source = source.and_then(|place| decoder.source_line(place));
            decoder.program.code.push(Inst { source, ..inst });
        }
        // Control that falls off the end returns.
        decoder.program.code.push(Inst {
            guard: None,
            op: Op::Return,
            class: Class::Control,
            line: function.body.last().map_or(function.line, |last| last.line),
            source: None,
            text: "ret".into(),
        });
    }
    compact(&mut decoder.program);
    Ok(decoder.program)
}

impl Decoder<'_> {
    /// A line of a source file in words.
    fn source_line(&mut self, place: (u64, u64)) -> Option<Arc<str>> {
        let (file, line) = place;
        let name = self.index.files.get(&file)?;
        Some(self.sources.entry(place).or_insert_with(|| format!("{name}:{line}").into()).clone())
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<Inst, DecodeError> {
        let text: Arc<str> = instruction.opcode.join(".").into();
        let at = |message: String| DecodeError::new(instruction.line, &*text, message);
        let guard = match &instruction.guard {
            Some((name, negated)) => Some((self.predicate_named(name).map_err(at)?, *negated)),
            None => None,
        };
        let Some((name, rest)) = instruction.opcode.split_first() else { return Err(at("no instruction".into())) };
        let mut w = Words::new(rest);
        let operands = in_format(&instruction.operands, rest.last().and_then(|word| Type::parse(word)));
        let o = operands.as_ref();
        let (least, most) = operand_counts(name);
        if !(least..=most).contains(&o.len()) {
            return Err(at(format!("{} operands stand there; legal are {least} to {most}", o.len())));
        }
        let families = [
            hopper::decode,
            control::decode,
            float::decode,
            integer::decode,
            memory::decode,
            compare::decode,
            convert::decode,
            wmma::decode,
            texture::decode,
        ];
        for family in families {
            if let Some((op, class)) = family(self, name, &mut w, &o).map_err(at)? {
                w.done().map_err(at)?;
                return Ok(Inst { guard, op, class, line: instruction.line, source: None, text });
            }
        }
        Err(at("this instruction is not known".into()))
    }
}
