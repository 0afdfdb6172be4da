use yuragi_graph::{DType, lowering::View};

use super::{
    index::Index,
    kernel::Params,
    memory::{Access, WIDEST},
    traced::Traced,
};
use crate::launch::Address;

/// A walk through the memory of one operand.
pub(super) struct Walk {
    /// The parameter that points to the first element.
    pub pointer: usize,
    pub dtype: DType,
    /// Extents and steps in elements, outermost first.
    pub axes: Vec<(usize, usize)>,
    /// The largest power of two in bytes that divides the first element's address and every step but the innermost.
    alignment: usize,
}

impl Walk {
    /// A view with the fewest axes.
    pub fn new(params: &mut Params, operand: (Address, DType), view: &View) -> Walk {
        let view = view.collapsed();
        Walk::along(params, operand, view.offset, view.axes().to_vec())
    }

    /// A walk from an element on.
    pub fn along(
        params: &mut Params,
        (address, dtype): (Address, DType),
        offset: usize,
        axes: Vec<(usize, usize)>,
    ) -> Walk {
        let address = address.plus(offset * dtype.size());
        let outer = axes.split_last().map_or(&[][..], |(_, outer)| outer);
        let alignment = outer.iter().fold(address.alignment(), |all, axis| all | (axis.1 * dtype.size()));
        Walk { pointer: params.pointer(address), dtype, axes, alignment: 1 << alignment.trailing_zeros() }
    }

    /// Whether so many consecutive elements, from a multiple of that number on, always lie along the innermost axis.
    pub fn allows(&self, lanes: usize) -> bool {
        match self.axes[..] {
            [] | [_] => true,
            [.., (extent, _)] => extent % lanes == 0,
        }
    }

    /// Elements between neighbours along the innermost axis.
    pub fn step(&self) -> usize {
        self.axes.last().map_or(0, |axis| axis.1)
    }

    /// Bytes from the first element to the end of the last.
    pub fn reach(&self) -> usize {
        let steps: usize = self.axes.iter().map(|&(extent, step)| extent.saturating_sub(1) * step).sum();
        (steps + 1) * self.dtype.size()
    }

    /// How a thread reaches so many neighbours.
    pub fn access(&self, lanes: usize) -> Access {
        let size = self.dtype.size();
        let fits = |width: &usize| width * size <= WIDEST && self.alignment.is_multiple_of(width * size);
        let width = if self.step() == 1 { halves(lanes).find(fits).unwrap_or(1) } else { 1 };
        Access { dtype: self.dtype, lanes, step: self.step(), width }
    }

    /// Extents and steps in bytes, the innermost axis in items of so many elements.
    pub fn bytes(&self, lanes: usize) -> Vec<(usize, usize)> {
        let size = self.dtype.size();
        let mut axes: Vec<(usize, usize)> = self.axes.iter().map(|&(extent, step)| (extent, step * size)).collect();
        if let Some(inner) = axes.last_mut() {
            *inner = (inner.0 / lanes, inner.1 * lanes);
        }
        axes
    }

    /// Bytes from the first element to an item of so many elements.
    pub fn place<'t, I: Index>(&self, item: Traced<'t, I>, lanes: usize) -> Traced<'t, I> {
        item.walk(&self.bytes(lanes))
    }
}

/// A power of two, and what is left of it by halving.
pub(super) fn halves(most: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(most), |lanes| (*lanes > 1).then_some(lanes / 2))
}

/// As many lanes as one instruction moves of the narrowest operand whose elements are neighbours; 1 if none's are.
pub(super) fn most_lanes<'a>(walks: impl Iterator<Item = &'a Walk>) -> usize {
    let sizes = walks.filter(|walk| walk.step() == 1).map(|walk| walk.dtype.size());
    WIDEST / sizes.min().unwrap_or(WIDEST)
}
