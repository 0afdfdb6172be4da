//! Functions of one, two or three numbers, element by element.

use alloc::vec::Vec;

use yuragi_graph::op::{Binary, Unary};

use crate::Number;

pub(crate) fn unary<T: Number>(op: Unary, x: &[T]) -> Vec<T> {
    x.iter().map(|&x| op.eval(x)).collect()
}

pub(crate) fn binary<T: Number>(op: Binary, a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(&a, &b)| op.eval(a, b)).collect()
}

pub(crate) fn select<T: Number>(condition: &[T], a: &[T], b: &[T]) -> Vec<T> {
    condition.iter().zip(a).zip(b).map(|((&c, &a), &b)| T::select(c, a, b)).collect()
}
