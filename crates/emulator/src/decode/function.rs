//! Functions: where their variables lie, and how they are called.

use std::collections::{HashMap, HashSet};

use super::{
    decoder::{Decoder, Home, Part},
    place::{MOST_LOCAL, MOST_PARAMS, Place, bytes_of, names},
};
use crate::{
    program::{Copy, ParamLayout, Program, Room, Slot, Target, parameter_offset},
    ptx::{Function, Operand, Space, Type, Variable},
};

/// The most pairs of a call through a register and a function that it may reach.
const MOST_INDIRECT: usize = 1 << 16;
impl<'a> Decoder<'a> {
    /// Gives a function's registers, variables and labels their places.
    pub(super) fn lay(&mut self, function: &'a Function, begin: usize) -> Result<Part, String> {
        let mut used = HashSet::new();
        for instruction in &function.body {
            used.extend(instruction.guard.iter().map(|(name, _)| name.as_str()));
            instruction.operands.iter().for_each(|operand| names(operand, &mut used));
        }
        let before = self.extent();
        let mut registers = HashMap::new();
        // A register that is only declared takes no room.
        for register in function.registers.iter().filter(|register| used.contains(register.name.as_str())) {
            let home = match register.of {
                Type::Pred => {
                    self.program.predicates += 1;
                    Home::Predicate(self.program.predicates as Slot - 1)
                }
                of => Home::General { slot: self.new_slot(), bits: of.bits().min(64) },
            };
            registers.insert(register.name.clone(), home);
        }
        self.program.registers += function.registers.len() as u32;
        let mut places = HashMap::new();
        let mut list = |variables: &[Variable], program: &mut Program| -> Result<Vec<Place>, String> {
            let mut found = Vec::new();
            for variable in variables {
                let bytes = bytes_of(variable)?;
                let place = match variable.space {
                    Space::Shared => self
                        .shared
                        .get(&std::ptr::from_ref(variable))
                        .copied()
                        .map(Place::Shared)
                        .ok_or("a shared variable has no place")?,
                    Space::Param if function.entry && std::ptr::eq(variables, function.params.as_slice()) => {
                        let end = program.params.last().map_or(0, |p| p.offset + p.bytes);
                        let offset = parameter_offset(end as u64, variable.align) as usize;
                        if offset as u64 + bytes > MOST_PARAMS {
                            return Err(format!("more than {} bytes of parameters", MOST_PARAMS));
                        }
                        program.params.push(ParamLayout { offset, bytes: bytes as usize });
                        Place::Param(offset as u64)
                    }
                    Space::Local | Space::Param => {
                        if variable.space == Space::Param && bytes > MOST_PARAMS {
                            return Err(format!("more than {} bytes of a parameter", MOST_PARAMS));
                        }
                        let offset = u64::from(program.local).next_multiple_of(variable.align.max(1));
                        let end = offset.checked_add(bytes).filter(|&end| end <= MOST_LOCAL);
                        program.local =
                            end.ok_or_else(|| format!("more than {} bytes of local memory", MOST_LOCAL))? as u32;
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
        let after = self.extent();
        let room = Room {
            registers: before.0..after.0,
            predicates: before.1..after.1,
            local: before.2..after.2,
            has_variables: function.variables.iter().any(|variable| variable.space == Space::Local),
        };
        Ok(Part { begin, registers, places, labels, params, returns, room })
    }

    /// Registers, predicates and bytes of local memory so far.
    fn extent(&self) -> (Slot, Slot, u32) {
        (self.program.slots as Slot, self.program.predicates as Slot, self.program.local)
    }

    /// The function of this name as a call with these operands sees it.
    pub(super) fn target(&self, name: &str, results: &[Operand], arguments: &[Operand]) -> Result<Target, String> {
        let external = || match self.linked.function(name) {
            Some(_) => format!("`{name}` is declared but not defined in this module"),
            None => format!("the function `{name}` is not declared"),
        };
        let part = self.parts.get(name).ok_or_else(external)?;
        Ok(Target {
            address: self.linked.function(name).unwrap_or_default(),
            begin: part.begin,
            arguments: self.copies(arguments, &part.params, true)?,
            results: self.copies(results, &part.returns, false)?,
            room: part.room.clone(),
        })
    }

    /// Whether the module has this function's body.
    pub(super) fn is_defined(&self, name: &str) -> bool {
        self.parts.contains_key(name)
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

    /// Where so many variables lie in local memory, if they all do, each of at least so many bytes.
    pub(super) fn local_places<const N: usize>(&self, variables: &[Operand], least: u64) -> Option<[u32; N]> {
        let place = |variable: &Operand| match variable {
            Operand::Name(name) => match self.current.places.get(name) {
                Some(Place::Local(offset, bytes)) if *bytes >= least => Some(*offset as u32),
                _ => None,
            },
            _ => None,
        };
        variables.iter().map(place).collect::<Option<Vec<u32>>>()?.try_into().ok()
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
