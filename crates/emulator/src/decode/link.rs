//! The variables of a module in global memory.

use std::collections::HashMap;

use super::place::{Place, bytes_of};
use crate::{
    memory::{CODE_WINDOW, global::Global},
    program::DecodeError,
    ptx::{Module, Space, Variable},
};

/// The variables of a module in global memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Linked {
    places: HashMap<String, (u64, u64)>,
    /// Addresses of device functions, the same for all kernels of a module.
    functions: HashMap<String, u64>,
    pub constant_bytes: u32,
}

impl Linked {
    pub fn global_place(&self, name: &str) -> Option<Place> {
        self.places.get(name).map(|(address, _)| Place::Global(*address))
    }

    /// Address and bytes of a variable.
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        self.places.get(name).copied()
    }

    /// The address of a device function.
    pub fn function(&self, name: &str) -> Option<u64> {
        self.functions.get(name).copied()
    }

    /// The addresses of all variables.
    pub fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        self.places.values().map(|(address, _)| *address)
    }
}

/// Puts a module's global and constant variables into global memory, with their initial values.
pub(crate) fn link(module: &Module, global: &Global) -> Result<Linked, DecodeError> {
    let numbered = module.functions.iter().zip(1_u64..).filter(|(f, _)| !f.entry);
    let functions = numbered.map(|(f, number)| (f.name.clone(), CODE_WINDOW + 16 * number)).collect();
    let mut linked = Linked { functions, ..Linked::default() };
    let lasting = |v: &&Variable| matches!(v.space, Space::Global | Space::Constant);
    let laid: Vec<&Variable> = module.variables.iter().filter(lasting).collect();
    let result = lay(&laid, &mut linked, global);
    if result.is_err() {
        // Addresses were just made, so freeing them cannot fail.
        linked.addresses().for_each(|address| drop(global.free(address)));
    }
    result.map(|()| linked)
}

/// What the rest of a variable is filled with.
const ZEROS: [u8; 4096] = [0; 4096];

fn lay(variables: &[&Variable], linked: &mut Linked, global: &Global) -> Result<(), DecodeError> {
    let at = |v: &Variable, message: String| DecodeError::new(v.line, v.name.as_str(), message);
    for v in variables {
        if v.external {
            return Err(at(v, "is declared `.extern` and defined nowhere".into()));
        }
        let bytes = bytes_of(v).map_err(|message| at(v, message))?;
        let constant = v.space == Space::Constant;
        let mark = |a: &mut crate::memory::global::Allocation| (a.constant, a.of_module) = (constant, true);
        let address = global.allocate_with(bytes, mark).map_err(|error| at(v, error.to_string()))?;
        if constant {
            linked.constant_bytes = linked.constant_bytes.saturating_add(bytes as u32);
        }
        linked.places.insert(v.name.clone(), (address, bytes));
    }
    for v in variables {
        let Some(&(address, bytes)) = linked.places.get(&v.name) else { continue };
        let mut initial = v.initial.clone();
        initial.truncate(bytes as usize);
        for (offset, name, addend) in &v.relocations {
            let target = linked.places.get(name).map(|(to, _)| *to).or_else(|| linked.function(name));
            let target = target.map(|to| to.wrapping_add_signed(*addend));
            let target = target.ok_or_else(|| at(v, format!("begins with the address of `{name}`, which has none")))?;
            let range = *offset as usize..*offset as usize + 8;
            let room = initial.get_mut(range).ok_or_else(|| at(v, "has an initial value beyond its end".into()))?;
            room.copy_from_slice(&target.to_le_bytes());
        }
        let begin = initial.len() as u64;
        global.write(address, &initial).map_err(|error| at(v, error.to_string()))?;
        for offset in (begin..bytes).step_by(ZEROS.len()) {
            let zeros = &ZEROS[..(bytes - offset).min(ZEROS.len() as u64) as usize];
            global.write(address + offset, zeros).map_err(|error| at(v, error.to_string()))?;
        }
    }
    Ok(())
}
