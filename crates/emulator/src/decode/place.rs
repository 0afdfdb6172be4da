//! Where variables lie, and which registers the hardware sets.

use std::collections::HashSet;

use crate::{
    memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW},
    program::Special,
    ptx::{Operand, Variable},
};

/// The most bytes of a thread's local memory.
pub(super) const MOST_LOCAL: u64 = 512 << 10;
/// The most bytes of a kernel's parameters.
pub(super) const MOST_PARAMS: u64 = 32_764;
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

/// The bytes of a variable.
pub(super) fn bytes_of(variable: &Variable) -> Result<u64, String> {
    let bytes = (u64::from(variable.of.bits()) / 8).checked_mul(variable.count);
    bytes.ok_or_else(|| format!("`{}` is larger than an address space", variable.name))
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
        "%envreg1" => Special::Workspace(0),
        "%envreg2" => Special::Workspace(1),
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
