//! Folds along axes.

use alloc::{vec, vec::Vec};

use yuragi_graph::{Shape, op::Reduce};
use yuragi_numeric::Real;

use crate::{Number, movement};

/// Folds an operand of shape `from` to shape `to`, whose folded extents are 1.
pub(crate) fn reduce<T: Number>(op: Reduce, x: &[T], from: &Shape, to: &Shape) -> Vec<T> {
    let places = movement::places(*from, movement::broadcast_strides(to));
    match op {
        Reduce::Sum => {
            let mut totals = vec![T::Total::default(); to.count()];
            for (&x, place) in x.iter().zip(places) {
                T::accumulate(&mut totals[place], x, T::exact(1.0));
            }
            totals.into_iter().map(T::total).collect()
        }
        Reduce::Max => {
            let mut largest = vec![T::exact(f64::NEG_INFINITY); to.count()];
            for (&x, place) in x.iter().zip(places) {
                largest[place] = Real::max(largest[place], x);
            }
            largest
        }
    }
}
