//! Steps that parameters alone decide, such as a weight laid out or cast for its kernel: they run once for all runs with
//! the same parameters.

use alloc::{vec, vec::Vec};

use super::{Home, Step};

/// Moves the steps that depend on nothing but constants and parameters, none of which the steps replace, before all others,
/// and says how many they are. Buffers of `inputs` are written by others than the steps.
pub(super) fn first(steps: Vec<Step>, buffers: usize, inputs: &[usize], params: usize) -> (Vec<Step>, usize) {
    let mut replaced = vec![false; params];
    for step in &steps {
        step.homes(|home, written| match home {
            Home::Param(param) if written => replaced[param] = true,
            _ => {}
        });
    }
    // By buffer; whatever one writer of a buffer varies with, all of it does.
    let mut varies = vec![false; buffers];
    inputs.iter().for_each(|&input| varies[input] = true);
    let of = |step: &Step, varies: &[bool]| {
        let mut any = false;
        step.homes(|home, written| {
            any |= match home {
                Home::Buffer(buffer) => varies[buffer],
                Home::Param(param) => written || replaced[param],
                Home::Literal(_) => false,
            }
        });
        any
    };
    loop {
        let mut changed = false;
        for step in &steps {
            if of(step, &varies) {
                step.homes(|home, written| match home {
                    Home::Buffer(buffer) if written => changed |= !core::mem::replace(&mut varies[buffer], true),
                    _ => {}
                });
            }
        }
        if !changed {
            break;
        }
    }
    let (mut order, rest): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| !of(step, &varies));
    let count = order.len();
    order.extend(rest);
    (order, count)
}
