//! Where a kernel's shared variables lie.

use std::collections::{HashMap, HashSet};

use super::{
    index::Index,
    place::{bytes_of, names},
};
use crate::{
    program::dynamic_begin,
    ptx::{Function, Space, Variable},
};

/// The most bytes of shared memory that a kernel can declare.
const MOST_SHARED: u64 = 48 << 10;

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
    let begin = dynamic_begin(end);
    for v in all.iter().filter(dynamic) {
        places.insert(std::ptr::from_ref(*v), begin.next_multiple_of(v.align.max(1)));
    }
    Ok((places, end))
}
