//! Sets of lanes.

/// Calls a function with each lane of a set.
#[inline(always)]
pub(crate) fn each(mut lanes: u32, mut f: impl FnMut(usize)) {
    while lanes != 0 {
        f(lanes.trailing_zeros() as usize);
        lanes &= lanes - 1;
    }
}
