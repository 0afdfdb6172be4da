//! From instructions as written to instructions as executed. What is not understood is an error that
//! names it with its line.

mod compare;
mod control;
mod convert;
mod float;
mod hopper;
mod integer;
mod link;
mod memory;
mod words;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use link::Place;
pub(crate) use link::{Linked, dynamic_begin, link};

use crate::{
    machine::hopper::map_address,
    machine::program::{
        Address, Class, Combine, Copy, Function as Map, Inst, Lanes, Op, ParamLayout, Program, Slot, Special, Target,
    },
    memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW},
    ptx::{Function, Instruction, Module, Operand, Space, Type, Variable},
};
use words::Words;

/// Why a module cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The line in the PTX text, counted from 1.
    pub line: u32,
    /// What stands there.
    pub instruction: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}: `{}`: {}", self.line, self.instruction, self.message)
    }
}

impl std::error::Error for DecodeError {}

/// How few and how many operands an instruction takes, as far as its name says.
fn operand_counts(name: &str) -> (usize, usize) {
    match name {
        "ret" | "exit" | "trap" | "brkpt" | "membar" => (0, 0),
        "bra" | "activemask" | "nanosleep" | "pmevent" | "setmaxnreg" => (1, 1),
        "mov" | "brx" | "elect" | "ldmatrix" | "stmatrix" | "cvta" | "isspacep" | "testp" => (2, 2),
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

type Operands<'a> = &'a [Operand];
type Found = Result<Option<(Op, Class)>, String>;

/// The bits of a type; those of a packed pair together.
pub(crate) fn bits_of(of: Type) -> u32 {
    use Type::*;
    match of {
        Pred => 1,
        B8 | U8 | S8 | E4M3 | E5M2 => 8,
        B16 | U16 | S16 | F16 | BF16 | E4M3x2 | E5M2x2 => 16,
        B32 | U32 | S32 | F32 | TF32 | F16x2 | BF16x2 => 32,
        B64 | U64 | S64 | F64 => 64,
        B128 => 128,
    }
}

/// A register's place.
#[derive(Clone, Copy)]
enum Home {
    General { slot: Slot, bits: u32 },
    Predicate(Slot),
}

/// A function of a program.
#[derive(Clone)]
struct Part {
    begin: usize,
    registers: HashMap<String, Home>,
    places: HashMap<String, Place>,
    labels: HashMap<String, usize>,
    params: Vec<Place>,
    returns: Vec<Place>,
}

/// Turns one kernel, and the functions that it calls, into a program.
pub(crate) struct Decoder<'a> {
    module: &'a Module,
    linked: &'a Linked,
    /// Offsets of shared variables.
    shared: HashMap<*const Variable, u64>,
    program: Program,
    constants: HashMap<u64, Slot>,
    parts: HashMap<&'a str, Part>,
    /// The function whose instructions are being decoded.
    current: Part,
    function: &'a Function,
    /// Pairs of a call through a register and a function that it may reach.
    indirect: usize,
}

/// The most pairs of a call through a register and a function that it may reach.
const MOST_INDIRECT: usize = 1 << 16;

/// Decodes a kernel of a module whose variables have their addresses.
pub(crate) fn decode(module: &Module, linked: &Linked, kernel: &Function) -> Result<Program, DecodeError> {
    let whole = |message: String| DecodeError { line: kernel.line, instruction: kernel.name.clone(), message };
    let order = callees(module, kernel).map_err(whole)?;
    let (shared, shared_bytes) = link::lay_shared(module, &order).map_err(whole)?;
    let program = Program {
        name: kernel.name.clone(),
        code: Vec::new(),
        entry: 0,
        slots: 1,
        predicates: 0,
        constants: Vec::new(),
        specials: Vec::new(),
        params: Vec::new(),
        shared: shared_bytes as u32,
        local: 0,
        constant_bytes: linked.constant_bytes,
        registers: 0,
        max_threads: kernel
            .required_threads
            .or(kernel.max_threads)
            .map(|n| n.iter().fold(1_u32, |all, n| all.saturating_mul(*n))),
        required_threads: kernel.required_threads,
        cluster: kernel.cluster,
    };
    let mut parts = HashMap::new();
    let mut decoder = Decoder {
        module,
        linked,
        shared,
        program,
        constants: HashMap::from([(0, 0)]),
        parts: HashMap::new(),
        current: Part {
            begin: 0,
            registers: HashMap::new(),
            places: HashMap::new(),
            labels: HashMap::new(),
            params: Vec::new(),
            returns: Vec::new(),
        },
        function: kernel,
        indirect: 0,
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
        decoder.program.entry = decoder.current.begin;
        for instruction in &function.body {
            let inst = decoder.instruction(instruction)?;
            decoder.program.code.push(inst);
        }
        // Control that falls off the end returns.
        decoder.program.code.push(Inst {
            guard: None,
            op: Op::Return,
            class: Class::Control,
            line: function.body.last().map_or(function.line, |last| last.line),
            text: "ret".into(),
        });
    }
    Ok(decoder.program)
}

/// A kernel after all functions that it calls or may call through a register.
fn callees<'a>(module: &'a Module, kernel: &'a Function) -> Result<Vec<&'a Function>, String> {
    let by_name: HashMap<&str, &Function> =
        module.functions.iter().filter(|f| !f.declared_only).map(|f| (f.name.as_str(), f)).collect();
    let pointed: Vec<&Function> =
        link::pointed(module).into_iter().filter_map(|name| by_name.get(name).copied()).collect();
    // Each with whether it is certain to be called.
    let calls = |function: &'a Function| -> Vec<(&'a Function, bool)> {
        let mut found = Vec::new();
        let mut through_register = false;
        for call in function.body.iter().filter(|i| i.opcode.first().is_some_and(|name| name == "call")) {
            let names = call.operands.iter().filter_map(|operand| match operand {
                Operand::Name(name) => by_name.get(name.as_str()).copied(),
                _ => None,
            });
            let before = found.len();
            found.extend(names.map(|f| (f, true)));
            through_register |= found.len() == before;
        }
        if through_register {
            found.extend(pointed.iter().map(|&f| (f, false)));
        }
        found
    };
    let mut order: Vec<&Function> = Vec::new();
    let mut done: HashSet<*const Function> = HashSet::new();
    let mut open = vec![(kernel, calls(kernel), true)];
    while let Some((function, left, _)) = open.last_mut() {
        let function = *function;
        match left.pop() {
            Some((next, certain)) => {
                if let Some(place) = open.iter().position(|(f, ..)| std::ptr::eq(*f, next)) {
                    if certain && open.iter().skip(place + 1).all(|(.., certain)| *certain) {
                        return Err(format!("`{}` calls itself: recursion is not supported", next.name));
                    }
                } else if !done.contains(&std::ptr::from_ref(next)) {
                    open.push((next, calls(next), certain));
                }
            }
            None => {
                done.insert(function);
                order.push(function);
                open.pop();
            }
        }
    }
    Ok(order)
}

impl<'a> Decoder<'a> {
    /// Gives a function's registers, variables and labels their places.
    fn lay(&mut self, function: &'a Function, begin: usize) -> Result<Part, String> {
        let mut used = HashSet::new();
        for instruction in &function.body {
            used.extend(instruction.guard.iter().map(|(name, _)| name.as_str()));
            instruction.operands.iter().for_each(|operand| link::names(operand, &mut used));
        }
        let mut registers = HashMap::new();
        // A register that is only declared takes no room.
        for register in function.registers.iter().filter(|register| used.contains(register.name.as_str())) {
            let home = match register.of {
                Type::Pred => {
                    self.program.predicates += 1;
                    Home::Predicate(self.program.predicates as Slot - 1)
                }
                of => Home::General { slot: self.new_slot(), bits: bits_of(of).min(64) },
            };
            registers.insert(register.name.clone(), home);
        }
        self.program.registers += function.registers.len() as u32;
        let mut places = HashMap::new();
        let mut list = |variables: &[Variable], program: &mut Program| -> Result<Vec<Place>, String> {
            let mut found = Vec::new();
            for variable in variables {
                let bytes = link::bytes_of(variable)?;
                let place = match variable.space {
                    Space::Shared => self
                        .shared
                        .get(&std::ptr::from_ref(variable))
                        .copied()
                        .map(Place::Shared)
                        .ok_or("a shared variable has no place")?,
                    Space::Param if function.entry && std::ptr::eq(variables, function.params.as_slice()) => {
                        let end = program.params.last().map_or(0, |p| p.offset + p.bytes);
                        let offset = end.next_multiple_of(variable.align.max(1) as usize);
                        if offset as u64 + bytes > link::MOST_PARAMS {
                            return Err(format!("more than {} bytes of parameters", link::MOST_PARAMS));
                        }
                        program.params.push(ParamLayout { offset, bytes: bytes as usize });
                        Place::Param(offset as u64)
                    }
                    Space::Local | Space::Param => {
                        let offset = u64::from(program.local).next_multiple_of(variable.align.max(1));
                        let end = offset.checked_add(bytes).filter(|&end| end <= link::MOST_LOCAL);
                        program.local =
                            end.ok_or_else(|| format!("more than {} bytes of local memory", link::MOST_LOCAL))? as u32;
                        Place::Local(offset, bytes)
                    }
                    _ => return Err(format!("`{}` lies in a space that a function cannot declare", variable.name)),
                };
                places.insert(variable.name.clone(), place);
                found.push(place);
            }
            Ok(found)
        };
        let params = list(&function.params, &mut self.program)?;
        let returns = list(&function.returns, &mut self.program)?;
        list(&function.variables, &mut self.program)?;
        let labels = function.labels.iter().map(|(name, at)| (name.clone(), begin + at)).collect();
        Ok(Part { begin, registers, places, labels, params, returns })
    }

    fn new_slot(&mut self) -> Slot {
        self.program.slots += 1;
        self.program.slots as Slot - 1
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<Inst, DecodeError> {
        let text: Arc<str> = instruction.opcode.join(".").into();
        let at = |message| DecodeError { line: instruction.line, instruction: text.to_string(), message };
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
        ];
        for family in families {
            if let Some((op, class)) = family(self, name, &mut w, &o).map_err(at)? {
                w.done().map_err(at)?;
                return Ok(Inst { guard, op, class, line: instruction.line, text });
            }
        }
        Err(at("this instruction is not known".into()))
    }

    /// A slot that always holds a value.
    fn constant(&mut self, value: u64) -> Slot {
        if let Some(&slot) = self.constants.get(&value) {
            return slot;
        }
        let slot = self.new_slot();
        self.constants.insert(value, slot);
        self.program.constants.push((slot, value));
        slot
    }

    fn special(&mut self, special: Special) -> Slot {
        if let Some((slot, _)) = self.program.specials.iter().find(|(_, s)| *s == special) {
            return *slot;
        }
        let slot = self.new_slot();
        self.program.specials.push((slot, special));
        slot
    }

    fn source(&mut self, o: &Operands<'_>, place: usize) -> Result<Slot, String> {
        self.source_of(o.get(place).ok_or("an operand is missing")?)
    }

    /// The same where a number must have no more than so many bits.
    fn source_bits(&mut self, o: &Operands<'_>, place: usize, bits: u32) -> Result<Slot, String> {
        match o.get(place) {
            Some(Operand::Integer(value)) => Ok(self.constant(value & integer::ones(bits))),
            _ => self.source(o, place),
        }
    }

    fn source_of(&mut self, operand: &Operand) -> Result<Slot, String> {
        match operand {
            Operand::Integer(value) => Ok(self.constant(*value)),
            Operand::F32(bits) => Ok(self.constant((*bits).into())),
            Operand::F64(bits) => Ok(self.constant(*bits)),
            Operand::Offset(name, offset) => {
                let address = self.address_of(name)?;
                Ok(self.constant(address.wrapping_add_signed(*offset)))
            }
            Operand::Name(name) => {
                if let Some(home) = self.current.registers.get(name) {
                    return match *home {
                        Home::General { slot, .. } => Ok(slot),
                        Home::Predicate(_) => Err(format!("`{name}` is a predicate")),
                    };
                }
                if let Some(special) = link::special(name) {
                    return Ok(self.special(special));
                }
                match name.as_str() {
                    "WARP_SZ" => Ok(self.constant(32)),
                    "%dynamic_smem_size" => Ok(self.special(Special::DynamicSharedBytes)),
                    "%total_smem_size" => Ok(self.special(Special::TotalSharedBytes)),
                    _ if name.starts_with('%') => Err(format!("the register `{name}` is not known")),
                    _ => {
                        let address = self.address_of(name)?;
                        Ok(self.constant(address))
                    }
                }
            }
            _ => Err("a register or a number is expected".into()),
        }
    }

    /// The place of a variable, of this function or the module.
    fn place_of(&self, name: &str) -> Option<Place> {
        let shared = || {
            let variable = self.module.variables.iter().find(|v| v.space == Space::Shared && v.name == name)?;
            self.shared.get(&std::ptr::from_ref(variable)).copied().map(Place::Shared)
        };
        self.current.places.get(name).copied().or_else(|| self.linked.global_place(name)).or_else(shared)
    }

    /// The address of a variable or function in its own space.
    fn address_of(&self, name: &str) -> Result<u64, String> {
        if let Some(place) = self.place_of(name) {
            return Ok(place.address());
        }
        link::function_address(self.module, name).ok_or_else(|| format!("`{name}` is not declared"))
    }

    fn destination(&mut self, o: &Operands<'_>, place: usize) -> Result<Slot, String> {
        self.destination_of(o.get(place).ok_or("a destination is missing")?)
    }

    fn destination_of(&mut self, operand: &Operand) -> Result<Slot, String> {
        self.destination_or_sink(operand)?.map_or_else(|| Ok(self.new_slot()), Ok)
    }

    fn destination_or_sink(&mut self, operand: &Operand) -> Result<Option<Slot>, String> {
        let Operand::Name(name) = operand else { return Err("a register is expected".into()) };
        match self.current.registers.get(name) {
            Some(Home::General { slot, .. }) => Ok(Some(*slot)),
            None if name == "_" => Ok(None),
            _ => Err(format!("`{name}` is no general register")),
        }
    }

    /// The bits of a destination.
    fn width(&self, o: &Operands<'_>, place: usize) -> Result<u32, String> {
        o.get(place).map(|one| self.register_bits(one)).ok_or_else(|| "a destination is missing".into())
    }

    fn register_bits(&self, operand: &Operand) -> u32 {
        match operand {
            Operand::Name(name) => match self.current.registers.get(name) {
                Some(Home::General { bits, .. }) => *bits,
                _ => 64,
            },
            _ => 64,
        }
    }

    fn predicate_named(&self, name: &str) -> Result<Slot, String> {
        match self.current.registers.get(name) {
            Some(Home::Predicate(slot)) => Ok(*slot),
            _ => Err(format!("`{name}` is no predicate")),
        }
    }

    fn predicate_or_sink(&mut self, operand: &Operand) -> Result<Option<Slot>, String> {
        match operand {
            Operand::Name(name) if name == "_" => Ok(None),
            Operand::Name(name) => self.predicate_named(name).map(Some),
            _ => Err("a predicate is expected".into()),
        }
    }

    fn predicate_of(&mut self, o: &Operands<'_>, place: usize) -> Result<Slot, String> {
        let operand = o.get(place).ok_or("a predicate is missing")?;
        self.predicate_or_sink(operand)?.ok_or_else(|| "a predicate is expected".into())
    }

    /// A predicate that is read, and whether it is negated.
    fn predicate_source(&mut self, o: &Operands<'_>, place: usize) -> Result<(Slot, bool), String> {
        match o.get(place) {
            Some(Operand::Not(name)) => Ok((self.predicate_named(name)?, true)),
            Some(Operand::Integer(value)) => {
                // A constant predicate: the one that is never written, which is false.
                self.program.predicates += 1;
                Ok((self.program.predicates as Slot - 1, *value != 0))
            }
            _ => Ok((self.predicate_of(o, place)?, false)),
        }
    }

    fn predicate2(&mut self, o: &Operands<'_>, f: fn(u32, u32) -> u32) -> Result<Op, String> {
        if o.len() != 3 {
            return Err("a destination and 2 operands are expected".into());
        }
        let (p, a, b) = (self.predicate_of(o, 0)?, self.predicate_of(o, 1)?, self.predicate_of(o, 2)?);
        Ok(Op::Predicate { f, p, a, b })
    }

    fn combine(
        &mut self,
        o: &Operands<'_>,
        place: usize,
        join: Option<fn(u32, u32) -> u32>,
    ) -> Result<Option<Combine>, String> {
        let Some(f) = join else {
            return if o.len() > place { Err("an operand too many".into()) } else { Ok(None) };
        };
        let (with, negated) = self.predicate_source(o, place)?;
        Ok(Some(Combine { f, with, negated }))
    }

    fn address(&mut self, o: &Operands<'_>, place: usize, space: Space) -> Result<Address, String> {
        let Some(Operand::Address { base, offset, coordinates }) = o.get(place) else {
            return Err("an address is expected".into());
        };
        if !coordinates.is_empty() {
            return Err("tensor coordinates are not supported".into());
        }
        if base.is_empty() {
            return Ok(Address { space, base: 0, offset: *offset });
        }
        if let Some(Home::General { slot, .. }) = self.current.registers.get(base) {
            return Ok(Address { space, base: *slot, offset: *offset });
        }
        let place = self.place_of(base).ok_or_else(|| format!("`{base}` is not declared"))?;
        // A device function's parameters and a call's arguments are laid in local memory.
        let space = match place {
            Place::Local(..) => Space::Local,
            Place::Param(_) => Space::Param,
            _ => space,
        };
        let base = if space == Space::Generic { place.generic() } else { place.address() };
        Ok(Address { space, base: self.constant(base), offset: *offset })
    }

    /// A tensor's description and the coordinates in it: `[map, {x, y}]`.
    fn tensor(&mut self, o: &Operands<'_>, place: usize) -> Result<(Address, Vec<Slot>), String> {
        let Some(Operand::Address { base, offset, coordinates }) = o.get(place) else {
            return Err("a tensor's address is expected".into());
        };
        let slots = coordinates.iter().map(|one| self.source_of(one)).collect::<Result<_, _>>()?;
        let base = match self.current.registers.get(base) {
            Some(Home::General { slot, .. }) => *slot,
            _ => {
                let place = self.place_of(base).ok_or_else(|| format!("`{base}` is not declared"))?;
                self.constant(place.generic())
            }
        };
        Ok((map_address(base, *offset), slots))
    }

    fn label(&self, o: &Operands<'_>, place: usize) -> Result<usize, String> {
        match o.get(place) {
            Some(Operand::Name(name)) => self.label_named(name),
            _ => Err("a label is expected".into()),
        }
    }

    fn label_named(&self, name: &str) -> Result<usize, String> {
        self.current.labels.get(name).copied().ok_or_else(|| format!("the label `{name}` is not declared"))
    }

    fn table(&self, o: &Operands<'_>, place: usize) -> Result<Vec<usize>, String> {
        let Some(Operand::Name(name)) = o.get(place) else { return Err("a branch table is expected".into()) };
        let (_, labels) = self
            .function
            .tables
            .iter()
            .find(|(table, _)| table == name)
            .ok_or_else(|| format!("the branch table `{name}` is not declared"))?;
        labels.iter().map(|label| self.label_named(label)).collect()
    }

    fn is_register(&self, name: &str) -> bool {
        self.current.registers.contains_key(name)
    }

    /// The function of this name as a call with these operands sees it.
    fn target(&self, name: &str, results: &[Operand], arguments: &[Operand]) -> Result<Target, String> {
        let external = || match (self.module.functions.iter().any(|f| f.name == name), name) {
            (_, "vprintf" | "malloc" | "free") => format!("`{name}` is not supported: a GPU's driver provides it"),
            (true, _) => format!("`{name}` is declared but not defined in this module"),
            (false, _) => format!("the function `{name}` is not declared"),
        };
        let part = self.parts.get(name).ok_or_else(external)?;
        Ok(Target {
            address: link::function_address(self.module, name).unwrap_or_default(),
            begin: part.begin,
            arguments: self.copies(arguments, &part.params, true)?,
            results: self.copies(results, &part.returns, false)?,
        })
    }

    /// The functions that a call through a register may reach: those whose address is taken and whose
    /// parameters fit.
    fn targets(&mut self, results: &[Operand], arguments: &[Operand]) -> Result<Vec<Target>, String> {
        let pointed = link::pointed(self.module);
        let found: Vec<Target> =
            pointed.into_iter().filter_map(|name| self.target(name, results, arguments).ok()).collect();
        self.indirect += found.len();
        match self.indirect <= MOST_INDIRECT {
            true => Ok(found),
            false => Err(format!("more than {MOST_INDIRECT} pairs of calls through registers and functions")),
        }
    }

    /// What a call copies between the caller's variables and the function's.
    fn copies(&self, actual: &[Operand], formal: &[Place], into: bool) -> Result<Vec<Copy>, String> {
        if actual.len() != formal.len() {
            return Err(format!("{} parameters are expected, {} are given", formal.len(), actual.len()));
        }
        let copy = |(actual, formal): (&Operand, &Place)| {
            let Operand::Name(name) = actual else { return Err("a parameter variable is expected".into()) };
            match (self.current.places.get(name), formal) {
                (Some(Place::Local(mine, bytes)), Place::Local(theirs, room)) => {
                    let (from, to) = if into { (*mine, *theirs) } else { (*theirs, *mine) };
                    Ok(Copy { from: from as u32, to: to as u32, bytes: (*bytes).min(*room) as u32 })
                }
                _ => Err(format!("`{name}` is no parameter variable")),
            }
        };
        actual.iter().zip(formal).map(copy).collect()
    }

    fn map(&mut self, o: &Operands<'_>, count: usize, f: Map) -> Result<Op, String> {
        if o.len() != count + 1 {
            return Err(format!("a destination and {count} operands are expected"));
        }
        let mut a = [0; 4];
        for (place, slot) in a.iter_mut().enumerate().take(count) {
            *slot = self.source(o, place + 1)?;
        }
        Ok(Op::Map { f, d: self.destination(o, 0)?, a })
    }

    fn map1(&mut self, o: &Operands<'_>, f: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Result<Op, String> {
        self.map(
            o,
            1,
            Box::new(move |d: &mut Lanes, [a, ..]: [&Lanes; 4]| {
                for i in 0..32 {
                    d[i] = f(a[i]);
                }
            }),
        )
    }

    fn map2(&mut self, o: &Operands<'_>, f: impl Fn(u64, u64) -> u64 + Send + Sync + 'static) -> Result<Op, String> {
        self.map(
            o,
            2,
            Box::new(move |d: &mut Lanes, [a, b, ..]: [&Lanes; 4]| {
                for i in 0..32 {
                    d[i] = f(a[i], b[i]);
                }
            }),
        )
    }

    fn map3(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(
            o,
            3,
            Box::new(move |d: &mut Lanes, [a, b, c, _]: [&Lanes; 4]| {
                for i in 0..32 {
                    d[i] = f(a[i], b[i], c[i]);
                }
            }),
        )
    }

    fn map4(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64, u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(
            o,
            4,
            Box::new(move |d: &mut Lanes, [a, b, c, e]: [&Lanes; 4]| {
                for i in 0..32 {
                    d[i] = f(a[i], b[i], c[i], e[i]);
                }
            }),
        )
    }
}

impl Place {
    /// The address in the variable's own space.
    fn address(self) -> u64 {
        match self {
            Place::Global(address) | Place::Shared(address) | Place::Param(address) | Place::Local(address, _) => {
                address
            }
        }
    }

    /// The generic address.
    fn generic(self) -> u64 {
        match self {
            Place::Global(address) => address,
            Place::Shared(offset) => SHARED_WINDOW + offset,
            Place::Local(offset, _) => LOCAL_WINDOW + offset,
            Place::Param(offset) => PARAM_WINDOW + offset,
        }
    }
}
