//! Functions: which a kernel needs, where their variables lie, and how they are called.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use super::{Decoder, Home, Part, bits_of, link, link::Place};
use crate::{
    machine::program::{Copy, ParamLayout, Program, Slot, Target},
    ptx::{Function, Module, Operand, Space, Type, Variable},
};

/// The most pairs of a call through a register and a function that it may reach.
const MOST_INDIRECT: usize = 1 << 16;
/// What all kernels of a module may hold together, with the functions that each of them calls: instructions,
/// registers, variables and labels. This many, and as many times what the module itself holds.
const FREE_WEIGHT: usize = 1 << 20;
const WEIGHTS: usize = 16;

/// What the kernels of a module share.
pub(crate) struct Index<'a> {
    /// Functions with a body, by name.
    functions: HashMap<&'a str, &'a Function>,
    /// Those whose address is taken.
    pointed: Vec<&'a Function>,
    /// The module's shared variables with their number, by name.
    pub(super) shared: HashMap<&'a str, (usize, &'a Variable)>,
    /// What further kernels may hold.
    left: Cell<usize>,
}

impl<'a> Index<'a> {
    pub fn new(module: &'a Module) -> Index<'a> {
        let defined = module.functions.iter().filter(|f| !f.declared_only);
        let functions: HashMap<&str, &Function> = defined.map(|f| (f.name.as_str(), f)).collect();
        let pointed = link::pointed(module).into_iter().filter_map(|name| functions.get(name).copied()).collect();
        let shared = module.variables.iter().enumerate().filter(|(_, v)| v.space == Space::Shared);
        let whole = module.functions.iter().fold(0_usize, |all, f| all.saturating_add(weight(f)));
        Index {
            functions,
            pointed,
            shared: shared.map(|(number, v)| (v.name.as_str(), (number, v))).collect(),
            left: Cell::new(whole.saturating_mul(WEIGHTS).saturating_add(FREE_WEIGHT)),
        }
    }

    /// A kernel after all functions that it calls or may call through a register.
    pub(super) fn callees(&self, kernel: &'a Function) -> Result<Vec<&'a Function>, String> {
        let mut order: Vec<&Function> = Vec::new();
        let mut done: HashSet<*const Function> = HashSet::new();
        let mut open = vec![(kernel, self.calls(kernel)?, true)];
        while let Some((function, left, _)) = open.last_mut() {
            let function = *function;
            match left.pop() {
                Some((next, certain)) => {
                    if let Some(place) = open.iter().position(|(f, ..)| std::ptr::eq(*f, next)) {
                        if certain && open.iter().skip(place + 1).all(|(.., certain)| *certain) {
                            return Err(format!("`{}` calls itself: recursion is not supported", next.name));
                        }
                    } else if !done.contains(&std::ptr::from_ref(next)) {
                        open.push((next, self.calls(next)?, certain));
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

    /// The functions that one calls, each with whether that is certain.
    fn calls(&self, function: &'a Function) -> Result<Vec<(&'a Function, bool)>, String> {
        let mut found = Vec::new();
        let mut through_register = false;
        for call in function.body.iter().filter(|i| i.opcode.first().is_some_and(|name| name == "call")) {
            let names = call.operands.iter().filter_map(|operand| match operand {
                Operand::Name(name) => self.functions.get(name.as_str()).copied(),
                _ => None,
            });
            let before = found.len();
            found.extend(names.map(|f| (f, true)));
            through_register |= found.len() == before;
        }
        if through_register {
            found.extend(self.pointed.iter().map(|&f| (f, false)));
        }
        let left = self.left.get().checked_sub(weight(function) + found.len());
        self.left.set(left.ok_or("the module's kernels, with the functions that each of them calls, are too large")?);
        Ok(found)
    }
}

/// About what a function holds.
fn weight(function: &Function) -> usize {
    let targets: usize = function.tables.iter().map(|(_, targets)| targets.len()).sum();
    let variables = function.variables.len() + function.params.len() + function.returns.len();
    1 + function.body.len() + function.registers.len() + function.labels.len() + targets + variables
}

impl<'a> Decoder<'a> {
    /// Gives a function's registers, variables and labels their places.
    pub(super) fn lay(&mut self, function: &'a Function, begin: usize) -> Result<Part, String> {
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
                        if variable.space == Space::Param && bytes > link::MOST_PARAMS {
                            return Err(format!("more than {} bytes of a parameter", link::MOST_PARAMS));
                        }
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

    /// The function of this name as a call with these operands sees it.
    pub(super) fn target(&self, name: &str, results: &[Operand], arguments: &[Operand]) -> Result<Target, String> {
        let external = || match (name, self.linked.function(name)) {
            ("vprintf" | "malloc" | "free", _) => format!("`{name}` is not supported: a GPU's driver provides it"),
            (_, Some(_)) => format!("`{name}` is declared but not defined in this module"),
            (_, None) => format!("the function `{name}` is not declared"),
        };
        let part = self.parts.get(name).ok_or_else(external)?;
        Ok(Target {
            address: self.linked.function(name).unwrap_or_default(),
            begin: part.begin,
            arguments: self.copies(arguments, &part.params, true)?,
            results: self.copies(results, &part.returns, false)?,
        })
    }

    /// The functions that a call through a register may reach: those whose address is taken and whose
    /// parameters fit.
    pub(super) fn targets(&mut self, results: &[Operand], arguments: &[Operand]) -> Result<Vec<Target>, String> {
        self.indirect += self.index.pointed.len();
        if self.indirect > MOST_INDIRECT {
            return Err(format!("more than {MOST_INDIRECT} pairs of calls through registers and functions"));
        }
        let fitting = |f: &&Function| self.target(&f.name, results, arguments).ok();
        Ok(self.index.pointed.iter().filter_map(fitting).collect())
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
}
