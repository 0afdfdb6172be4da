//! What the kernels of a module share, and which functions each of them needs.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use super::place::names;
use crate::ptx::{Function, Instruction, Module, Operand, Space, Variable};

/// What all kernels of a module may hold together, with the functions that each of them calls: instructions,
/// registers, variables and labels. This many, and as many times what the module itself holds.
const FREE_WEIGHT: usize = 1 << 20;
const WEIGHTS: usize = 16;

/// What the kernels of a module share.
pub(crate) struct Index<'a> {
    /// Functions with a body, by name.
    functions: HashMap<&'a str, &'a Function>,
    /// Those whose address is taken.
    pub(super) pointed: Vec<&'a Function>,
    /// The module's shared variables with their number, by name.
    pub(super) shared: HashMap<&'a str, (usize, &'a Variable)>,
    /// The number of the `sm_` that the module is for.
    pub(super) target: u32,
    /// The names of source files by their numbers, without their folders.
    pub(super) files: HashMap<u64, &'a str>,
    /// What further kernels may hold.
    left: Cell<usize>,
}

impl<'a> Index<'a> {
    pub fn new(module: &'a Module) -> Index<'a> {
        let defined = module.functions.iter().filter(|f| !f.declared_only);
        let functions: HashMap<&str, &Function> = defined.map(|f| (f.name.as_str(), f)).collect();
        let pointed = pointed(module).into_iter().filter_map(|name| functions.get(name).copied()).collect();
        let shared = module.variables.iter().enumerate().filter(|(_, v)| v.space == Space::Shared);
        let whole = module.functions.iter().fold(0_usize, |all, f| all.saturating_add(weight(f)));
        Index {
            functions,
            pointed,
            target: module.target_number(),
            files: module.files.iter().map(|(number, name)| (*number, last_part(name))).collect(),
            shared: shared.map(|(number, v)| (v.name.as_str(), (number, v))).collect(),
            left: Cell::new(whole.saturating_mul(WEIGHTS).saturating_add(FREE_WEIGHT)),
        }
    }

    /// A kernel after all functions that it calls or may call through a register.
    pub(super) fn callees(&self, kernel: &'a Function) -> Result<Vec<&'a Function>, String> {
        let mut order: Vec<&Function> = Vec::new();
        let mut done: HashSet<*const Function> = HashSet::new();
        let mut open = vec![(kernel, self.calls(kernel)?)];
        done.insert(kernel);
        while let Some((function, left)) = open.last_mut() {
            let function = *function;
            match left.pop() {
                Some(next) => {
                    if done.insert(std::ptr::from_ref(next)) {
                        open.push((next, self.calls(next)?));
                    }
                }
                None => {
                    order.push(function);
                    open.pop();
                }
            }
        }
        Ok(order)
    }

    /// The functions that one calls, or may call.
    fn calls(&self, function: &'a Function) -> Result<Vec<&'a Function>, String> {
        let mut found = Vec::new();
        let mut through_register = false;
        for call in function.body.iter().filter(|i| i.opcode.first().is_some_and(|name| name == "call")) {
            let names = call.operands.iter().filter_map(|operand| match operand {
                Operand::Name(name) => self.functions.get(name.as_str()).copied(),
                _ => None,
            });
            let before = found.len();
            found.extend(names);
            through_register |= found.len() == before;
        }
        if through_register {
            found.extend(&self.pointed);
        }
        let left = self.left.get().checked_sub(weight(function) + found.len());
        self.left.set(left.ok_or("the module's kernels, with the functions that each of them calls, are too large")?);
        Ok(found)
    }
}

/// A file's name without its folders.
fn last_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// About what a function holds.
fn weight(function: &Function) -> usize {
    let targets: usize = function.tables.iter().map(|(_, targets)| targets.len()).sum();
    let variables = function.variables.len() + function.params.len() + function.returns.len();
    1 + function.body.len() + function.registers.len() + function.labels.len() + targets + variables
}

/// The functions whose address is taken: by an initial value, or by an instruction that is no call of them.
fn pointed(module: &Module) -> Vec<&str> {
    let mut found: HashSet<&str> =
        module.variables.iter().flat_map(|v| &v.relocations).map(|(_, name, _)| name.as_str()).collect();
    let is_call = |i: &&Instruction| i.opcode.first().is_some_and(|name| name == "call");
    for instruction in module.functions.iter().flat_map(|f| &f.body).filter(|i| !is_call(i)) {
        instruction.operands.iter().for_each(|operand| names(operand, &mut found));
    }
    let functions = module.functions.iter().filter(|f| !f.entry).map(|f| f.name.as_str());
    functions.filter(|name| found.contains(name)).collect()
}
