//! Random numbers: the bits of [`yuragi_numeric::fill`], in every kind of number.

use alloc::{vec, vec::Vec};

use yuragi_graph::op::Distribution;
use yuragi_numeric::fill;

use crate::Number;

pub(crate) fn random<T: Number>(law: Distribution, key: &[T], stream: u32, count: usize) -> Vec<T> {
    let key = [key[0].value() as u32, key[1].value() as u32];
    let mut values = vec![0.0; count];
    match law {
        Distribution::Uniform => fill::uniform(key, stream, 0, &mut values),
        Distribution::Normal => fill::normal(key, stream, 0, &mut values),
    }
    values.into_iter().map(|x| T::exact(x.into())).collect()
}
