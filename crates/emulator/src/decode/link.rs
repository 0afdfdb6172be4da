//! Where variables lie.

use std::collections::{HashMap, HashSet};

use super::{DecodeError, Index, bits_of};
use crate::{
    machine::program::Special,
    memory::{CODE_WINDOW, LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, global::Global},
    ptx::{Function, Instruction, Module, Operand, Space, Variable},
};

/// The most bytes of a thread's local memory.
pub(super) const MOST_LOCAL: u64 = 512 << 10;
/// The most bytes of a kernel's parameters.
pub(super) const MOST_PARAMS: u64 = 32_764;
/// The most bytes of shared memory that a kernel can declare.
const MOST_SHARED: u64 = 48 << 10;
/// Dynamic shared memory begins at a multiple of this.
const DYNAMIC_ALIGN: u64 = 16;

/// The place of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An address.
    Global(u64),
    /// An offset in the block's shared memory.
    Shared(u64),
    /// An offset in the kernel's parameters.
    Param(u64),
    /// An offset in the thread's local memory, and the variable's bytes.
    Local(u64, u64),
}

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

/// The bytes of a variable.
pub(super) fn bytes_of(variable: &Variable) -> Result<u64, String> {
    let bytes = (u64::from(bits_of(variable.of)) / 8).checked_mul(variable.count);
    bytes.ok_or_else(|| format!("`{}` is larger than an address space", variable.name))
}

/// The functions whose address is taken: by an initial value, or by an instruction that is no call of them.
pub(super) fn pointed(module: &Module) -> Vec<&str> {
    let mut found: HashSet<&str> =
        module.variables.iter().flat_map(|v| &v.relocations).map(|(_, name, _)| name.as_str()).collect();
    let is_call = |i: &&Instruction| i.opcode.first().is_some_and(|name| name == "call");
    for instruction in module.functions.iter().flat_map(|f| &f.body).filter(|i| !is_call(i)) {
        instruction.operands.iter().for_each(|operand| names(operand, &mut found));
    }
    let functions = module.functions.iter().filter(|f| !f.entry).map(|f| f.name.as_str());
    functions.filter(|name| found.contains(name)).collect()
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
    let at = |v: &Variable, message| DecodeError { line: v.line, instruction: v.name.clone(), message };
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

/// Offsets of the shared variables that some functions use, and the bytes of all but the dynamic ones.
pub(super) fn lay_shared<'a>(
    index: &Index<'a>,
    functions: &[&'a Function],
) -> Result<(HashMap<*const Variable, u64>, u64), String> {
    let mut used = HashSet::new();
    for operand in functions.iter().flat_map(|f| &f.body).flat_map(|i| &i.operands) {
        names(operand, &mut used);
    }
    let mut outer: Vec<(usize, &Variable)> = used.iter().filter_map(|name| index.shared.get(name).copied()).collect();
    outer.sort_unstable_by_key(|(number, _)| *number);
    let inner = functions.iter().flat_map(|f| &f.variables).filter(|v| v.space == Space::Shared);
    let all: Vec<&Variable> = outer.into_iter().map(|(_, v)| v).chain(inner).collect();
    let (mut places, mut end) = (HashMap::new(), 0_u64);
    let dynamic = |v: &&&Variable| v.external || v.count == 0;
    for v in all.iter().filter(|v| !dynamic(v)) {
        let offset = end.next_multiple_of(v.align.max(1));
        end = offset
            .checked_add(bytes_of(v)?)
            .filter(|&end| end <= MOST_SHARED)
            .ok_or_else(|| format!("more than {MOST_SHARED} bytes of shared memory with `{}`", v.name))?;
        places.insert(std::ptr::from_ref(*v), offset);
    }
    let begin = end.next_multiple_of(DYNAMIC_ALIGN);
    for v in all.iter().filter(dynamic) {
        places.insert(std::ptr::from_ref(*v), begin.next_multiple_of(v.align.max(1)));
    }
    Ok((places, end))
}

/// Where dynamic shared memory begins after so many bytes.
pub(crate) fn dynamic_begin(static_bytes: u64) -> u64 {
    static_bytes.next_multiple_of(DYNAMIC_ALIGN)
}

/// The names in an operand.
pub(super) fn names<'a>(operand: &'a Operand, found: &mut HashSet<&'a str>) {
    match operand {
        Operand::Name(name) | Operand::Not(name) | Operand::Negative(name) | Operand::Offset(name, _) => {
            found.insert(name);
        }
        Operand::Address { base, coordinates, .. } => {
            found.insert(base);
            coordinates.iter().for_each(|one| names(one, found));
        }
        Operand::Pair(first, second) => {
            names(first, found);
            names(second, found);
        }
        Operand::Vector(list) | Operand::List(list) => list.iter().for_each(|one| names(one, found)),
        _ => {}
    }
}

/// A special register that is constant for a thread.
pub(super) fn special(name: &str) -> Option<Special> {
    let axis = |prefix: &str| {
        let axis = name.strip_prefix(prefix)?;
        [".x", ".y", ".z"].iter().position(|known| *known == axis)
    };
    type Axis = fn(usize) -> Special;
    let axes: [(&str, Axis); 8] = [
        ("%tid", Special::Tid),
        ("%ntid", Special::Ntid),
        ("%ctaid", Special::Ctaid),
        ("%nctaid", Special::Nctaid),
        ("%clusterid", Special::ClusterId),
        ("%nclusterid", Special::NclusterId),
        ("%cluster_ctaid", Special::ClusterCtaid),
        ("%cluster_nctaid", Special::ClusterNctaid),
    ];
    if let Some(found) = axes.iter().find_map(|(prefix, make)| axis(prefix).map(make)) {
        return Some(found);
    }
    Some(match name {
        "%laneid" => Special::Laneid,
        "%warpid" => Special::Warpid,
        "%nwarpid" => Special::Nwarpid,
        "%smid" => Special::Smid,
        "%nsmid" => Special::Nsmid,
        "%gridid" => Special::Gridid,
        "%cluster_ctarank" => Special::ClusterCtarank,
        "%cluster_nctarank" => Special::ClusterNctarank,
        "%is_explicit_cluster" => Special::IsExplicitCluster,
        "%lanemask_eq" => Special::LanesEqual,
        "%lanemask_lt" => Special::LanesBelow,
        "%lanemask_le" => Special::LanesUpTo,
        "%lanemask_gt" => Special::LanesAbove,
        "%lanemask_ge" => Special::LanesFrom,
        _ => return None,
    })
}
impl Place {
    /// The address in the variable's own space.
    pub(super) fn address(self) -> u64 {
        match self {
            Place::Global(address) | Place::Shared(address) | Place::Param(address) | Place::Local(address, _) => {
                address
            }
        }
    }

    /// The generic address.
    pub(super) fn generic(self) -> u64 {
        match self {
            Place::Global(address) => address,
            Place::Shared(offset) => SHARED_WINDOW + offset,
            Place::Local(offset, _) => LOCAL_WINDOW + offset,
            Place::Param(offset) => PARAM_WINDOW + offset,
        }
    }
}
