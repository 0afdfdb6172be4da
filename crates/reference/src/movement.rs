//! Elements moved without being changed.

use alloc::{vec, vec::Vec};

use yuragi_graph::{MAX_RANK, Shape, op::Movement};

use crate::Number;

/// Elements between neighbours along each axis.
pub(crate) type Strides = [usize; MAX_RANK];

/// For every element of a shape in row-major order: its offset under these strides.
pub(crate) fn places(shape: Shape, strides: Strides) -> impl Iterator<Item = usize> {
    (0..shape.count()).map(move |mut index| {
        let mut place = 0;
        for axis in (0..shape.rank()).rev() {
            place += index % shape[axis] * strides[axis];
            index /= shape[axis];
        }
        place
    })
}

/// The strides that read a tensor as one of larger extents: 0 along axes of extent 1.
pub(crate) fn broadcast_strides(shape: &Shape) -> Strides {
    let mut strides = shape.strides();
    for (stride, &extent) in strides.iter_mut().zip(shape.iter()) {
        if extent == 1 {
            *stride = 0;
        }
    }
    strides
}

pub(crate) fn movement<T: Number>(op: Movement, operands: &[(&[T], Shape)], to: &Shape) -> Vec<T> {
    let (x, from) = operands[0];
    let strides = from.strides();
    let read = |strides: Strides, first: usize| places(*to, strides).map(|place| x[first + place]).collect();
    match op {
        Movement::Reshape => x.to_vec(),
        Movement::Permute(axes) => read(axes.map(|axis| strides[usize::from(axis)]), 0),
        Movement::Broadcast => read(broadcast_strides(&from), 0),
        Movement::Slice { axis, start } => read(strides, start * strides[usize::from(axis)]),
        Movement::Pad { axis, before } => written(&[(x, from, before)], usize::from(axis), to),
        Movement::Concat(axis) => {
            let axis = usize::from(axis);
            let mut start = 0;
            let mut parts = Vec::with_capacity(operands.len());
            for &(x, from) in operands {
                parts.push((x, from, start));
                start += from[axis];
            }
            written(&parts, axis, to)
        }
    }
}

/// Zeros, with each part written from its start along an axis on.
fn written<T: Number>(parts: &[(&[T], Shape, usize)], axis: usize, to: &Shape) -> Vec<T> {
    let mut out = vec![T::exact(0.0); to.count()];
    let strides = to.strides();
    for (x, from, start) in parts {
        for (&x, place) in x.iter().zip(places(*from, strides)) {
            out[start * strides[axis] + place] = x;
        }
    }
    out
}
