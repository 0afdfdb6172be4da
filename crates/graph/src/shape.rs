use core::{fmt, ops::Deref};

/// The most axes that a tensor may have.
pub const MAX_RANK: usize = 6;

/// The extents of a tensor's axes, outermost first. Rank 0 is a scalar; an extent may be 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    dims: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// A scalar.
    pub const SCALAR: Shape = Shape { dims: [0; MAX_RANK], rank: 0 };

    /// The shape with these extents; `None` beyond [`MAX_RANK`] axes or 2⁴⁷ elements (2²⁸ where an address has 32
    /// bits).
    pub fn new(extents: &[usize]) -> Option<Shape> {
        const MOST: usize = if usize::BITS > 48 { 1 << 47 } else { isize::MAX as usize / 8 };
        let product = extents.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
        if extents.len() > MAX_RANK || product.is_none_or(|n| n > MOST) {
            return None;
        }
        let mut dims = [0; MAX_RANK];
        dims[..extents.len()].copy_from_slice(extents);
        Some(Shape { dims, rank: extents.len() as u8 })
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        self.iter().product()
    }

    /// Elements between neighbours along each axis of a contiguous row-major tensor.
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [0; MAX_RANK];
        let mut step = 1;
        for axis in (0..self.rank()).rev() {
            strides[axis] = step;
            step *= self[axis];
        }
        strides
    }

    /// The shape with the extent of one axis replaced.
    pub(crate) fn with(mut self, axis: usize, extent: usize) -> Shape {
        self.dims[axis] = extent;
        self
    }

    /// What both shapes broadcast to (aligned at the last axis, 1 stretches); `None` if they do not fit.
    pub fn broadcast(a: &Shape, b: &Shape) -> Option<Shape> {
        let rank = a.rank().max(b.rank());
        let mut dims = [0; MAX_RANK];
        for (axis, dim) in dims.iter_mut().enumerate().take(rank) {
            let at = |s: &Shape| (axis + s.rank()).checked_sub(rank).map_or(1, |i| s[i]);
            *dim = match (at(a), at(b)) {
                (x, y) if x == y => x,
                (1, y) => y,
                (x, 1) => x,
                _ => return None,
            };
        }
        Some(Shape { dims, rank: rank as u8 })
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank()]
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
