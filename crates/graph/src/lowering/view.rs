use alloc::vec::Vec;

use crate::{MAX_RANK, Shape, op::Movement};

/// A tensor as a walk through a buffer: one step size per axis, in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Extent and step of each axis, outermost first.
    axes: Vec<(usize, usize)>,
    /// The first element.
    pub offset: usize,
}

/// Matrices `[.., inner, rows, columns]` whose rows are contiguous: elements from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrices {
    /// Along all axes before the last three, as one.
    pub outer: usize,
    /// Along the last axis but two, such as heads.
    pub inner: usize,
    /// From one row to the next.
    pub pitch: usize,
}

impl View {
    /// A walk along axes of these extents and steps.
    pub(super) fn along(axes: Vec<(usize, usize)>) -> View {
        View { axes, offset: 0 }
    }

    /// The walk as matrices, if it is one through matrices.
    pub fn matrices(&self) -> Option<Matrices> {
        let (leading, matrix) = self.axes.split_last_chunk::<2>()?;
        let step = |(extent, step): (usize, usize)| if extent > 1 { step } else { 0 };
        if step(matrix[1]) > 1 {
            return None;
        }
        let (inner, outer) = match leading.split_last() {
            Some((&inner, outer)) => (step(inner), View::along(outer.to_vec()).collapsed()),
            None => (0, View::along(Vec::new())),
        };
        let outer = match outer.axes[..] {
            [] => 0,
            [(_, step)] => step,
            _ => return None,
        };
        Some(Matrices { outer, inner, pitch: step(matrix[0]) })
    }

    /// All of a row-major buffer.
    pub fn whole(shape: &Shape) -> View {
        let strides = shape.strides();
        View { axes: shape.iter().copied().zip(strides).collect(), offset: 0 }
    }

    /// So many consecutive elements from the first on.
    pub fn run(count: usize) -> View {
        View { axes: [(count, 1)].to_vec(), offset: 0 }
    }

    /// Extent and step of each axis, outermost first.
    pub fn axes(&self) -> &[(usize, usize)] {
        &self.axes
    }

    /// What a movement makes of this view; `None` if no walk with constant steps shows it.
    pub fn moved(mut self, movement: &Movement, shape: &Shape) -> Option<View> {
        match *movement {
            Movement::Reshape => return self.reshaped(shape),
            Movement::Permute(p) => {
                self.axes = p[..shape.rank()].iter().map(|&from| self.axes[usize::from(from)]).collect()
            }
            Movement::Broadcast => {
                for (axis, &extent) in self.axes.iter_mut().zip(shape.iter()) {
                    if axis.0 != extent {
                        *axis = (extent, 0);
                    }
                }
            }
            Movement::Slice { axis, start } => {
                let axis = usize::from(axis);
                self.offset += start * self.axes[axis].1;
                self.axes[axis].0 = shape[axis];
            }
            Movement::Pad { .. } | Movement::Concat(_) => return None,
        }
        Some(self)
    }

    /// A kernel's walk `[KH, KW, I, O]` with its filters first: `[O, I, KH, KW]`.
    pub(super) fn filters_first(&self) -> Option<View> {
        let &[height, width, inputs, filters] = &self.axes[..] else { return None };
        Some(View { axes: [filters, inputs, height, width].to_vec(), offset: self.offset })
    }

    /// The part of one axis that begins at `start`.
    pub fn part(mut self, axis: usize, start: usize, extent: usize) -> View {
        self.offset += start * self.axes[axis].1;
        self.axes[axis].0 = extent;
        self
    }

    /// Splits and joins axes. Joined axes must lie one inside the other without gaps.
    fn reshaped(self, shape: &Shape) -> Option<View> {
        let flat = self.collapsed();
        let mut axes = Vec::with_capacity(shape.rank());
        let mut old = flat.axes.iter().rev().copied();
        let (mut left, mut step) = old.next().unwrap_or((1, 0));
        for &extent in shape.iter().rev() {
            if extent == 1 {
                axes.push((1, 0));
                continue;
            }
            while left == 1 {
                (left, step) = old.next()?;
            }
            if extent == 0 || left % extent != 0 {
                return None;
            }
            axes.push((extent, step));
            left /= extent;
            step *= extent;
        }
        axes.reverse();
        Some(View { axes, offset: flat.offset })
    }

    /// The same walk with the fewest axes.
    pub fn collapsed(&self) -> View {
        let mut axes: Vec<(usize, usize)> = Vec::with_capacity(self.axes.len());
        for &(extent, step) in self.axes.iter().filter(|axis| axis.0 != 1) {
            match axes.last_mut() {
                Some(outer) if outer.1 == extent * step => *outer = (outer.0 * extent, step),
                _ => axes.push((extent, step)),
            }
        }
        View { axes, offset: self.offset }
    }

    /// Whether the walk visits consecutive elements.
    pub fn is_contiguous(&self) -> bool {
        match self.collapsed().axes[..] {
            [] | [(_, 1)] => true,
            _ => self.count() == 0,
        }
    }

    /// Whether the walk repeats one run of consecutive elements of this length.
    pub fn is_row(&self, length: usize) -> bool {
        match self.collapsed().axes[..] {
            [(extent, 1)] => extent == length,
            [(_, 0), (extent, 1)] => extent == length,
            _ => false,
        }
    }

    /// Whether the walk stays at one element.
    pub fn is_single(&self) -> bool {
        self.axes.iter().all(|&(extent, step)| extent == 1 || step == 0)
    }

    /// The number of elements visited.
    pub fn count(&self) -> usize {
        self.axes.iter().map(|axis| axis.0).product()
    }

    /// Visits elements `start..start + length` of the walk as runs with one step:
    /// `visit(position in the range, offset of the run's first element, step, length)`.
    #[inline(always)]
    pub fn runs(&self, start: usize, length: usize, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let Some((&(inner, step), outer)) = self.axes.split_last() else {
            return visit(0, self.offset, 0, length);
        };
        if length == 0 {
            return;
        }
        let mut place = [0; MAX_RANK];
        let mut within = start % inner;
        let mut rest = start / inner;
        let mut offset = self.offset;
        for (place, &(extent, step)) in place[..outer.len()].iter_mut().zip(outer).rev() {
            *place = rest % extent;
            rest /= extent;
            offset += *place * step;
        }
        let mut done = 0;
        loop {
            let run = (inner - within).min(length - done);
            visit(done, offset + within * step, step, run);
            done += run;
            within = 0;
            if done == length {
                return;
            }
            for (place, &(extent, step)) in place[..outer.len()].iter_mut().zip(outer).rev() {
                *place += 1;
                offset += step;
                if *place < extent {
                    break;
                }
                offset -= extent * step;
                *place = 0;
            }
        }
    }
}
