//! Parameters, and runs of plans on them.

use std::{
    array::from_fn,
    ffi::{c_char, c_void},
    sync::{Arc, Mutex, RwLock, TryLockError},
};

use yuragi::{
    cpu::CpuState,
    graph::{DType, Params, Plan, Slice, SliceMut},
};

use super::{
    draft::YURAGI_MAX_OPERANDS,
    plan::{Operand, yuragi_plan},
    pointer::{afford, broken, free, give, guard, held, items, locked, room, tell, text},
};
use crate::failure::{Answer, YURAGI_BUFFER, YURAGI_BUSY, YURAGI_GRAPH, YURAGI_RANGE, failure, yuragi_status};

/// Named parameters, which several plans share: a step of training and the network that it trains. Runs that only read
/// them may go on at the same time; one that changes them is refused with YURAGI_BUSY while others read, and the others
/// while it runs.
pub struct yuragi_store {
    params: RwLock<Params>,
}

/// What one run at a time needs. A call on one thread is refused with YURAGI_BUSY while another one works on it.
pub struct yuragi_state {
    inside: Mutex<Inside>,
    plan: Arc<yuragi_plan>,
    store: Arc<yuragi_store>,
}

struct Inside {
    state: CpuState,
    /// Steps of training that were made, and the rate of the next one.
    step: u64,
    rate: f32,
}

fn refused<T>(error: TryLockError<T>) -> crate::failure::Failure {
    match error {
        TryLockError::WouldBlock => failure(YURAGI_BUSY, "another call works on the store"),
        TryLockError::Poisoned(_) => broken("the store"),
    }
}

/// A store without parameters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_store_new(out: *mut *mut yuragi_store) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe { give(out, || Ok(yuragi_store { params: RwLock::new(Params::new()) })) })
}

/// Adds those parameters of a plan that are missing, each as it was declared to begin: drawn from the seed and its name
/// alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_store_initialise(
    store: *const yuragi_store,
    plan: *const yuragi_plan,
    seed: u64,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let (store, plan) = (held("the store", store)?, held("the plan", plan)?);
        let mut params = store.params.try_write().map_err(refused)?;
        let missing = plan.params.iter().filter(|spec| params.get(&spec.name).is_none());
        let bytes = missing.map(|spec| spec.shape.count()).fold(0usize, usize::saturating_add).saturating_mul(4);
        afford("the parameters", bytes)?;
        params.initialise(&plan.params, seed);
        Ok(())
    })
}

/// Writes a parameter's number of elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_store_length(
    store: *const yuragi_store,
    name: *const c_char,
    length: *mut usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let store = held("the store", store)?;
        let params = store.params.try_read().map_err(refused)?;
        let name = text("the parameter's name", name)?;
        tell(length, params.get(name).ok_or_else(|| missing(name))?.shape().count());
        Ok(())
    })
}

fn missing(name: &str) -> crate::failure::Failure {
    failure(YURAGI_RANGE, format_args!("the store has no parameter `{name}`"))
}

/// Copies a parameter out, row-major.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_store_read(
    store: *const yuragi_store,
    name: *const c_char,
    values: *mut f32,
    capacity: usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let store = held("the store", store)?;
        let params = store.params.try_read().map_err(refused)?;
        let name = text("the parameter's name", name)?;
        let tensor = params.get(name).ok_or_else(|| missing(name))?;
        let (count, out) = (tensor.shape().count(), room("the buffer for the parameter", values, capacity)?);
        let have = out.len();
        let out = out.get_mut(..count).ok_or_else(|| {
            failure(YURAGI_BUFFER, format_args!("`{name}` has {count} elements, the buffer has {have}"))
        })?;
        tensor.read(0, out);
        Ok(())
    })
}

/// Copies a parameter in: exactly its number of elements, all of them finite.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_store_write(
    store: *const yuragi_store,
    name: *const c_char,
    values: *const f32,
    count: usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let store = held("the store", store)?;
        let mut params = store.params.try_write().map_err(refused)?;
        let name = text("the parameter's name", name)?;
        let values = items("the parameter's values", values, count)?;
        let place = params.place(name).ok_or_else(|| missing(name))?;
        let Some(own) = params.at_mut(place).and_then(|tensor| tensor.values_mut()) else { return Err(missing(name)) };
        if own.len() != count {
            let message = format_args!("`{name}` has {} elements, {count} were given", own.len());
            return Err(failure(YURAGI_RANGE, message));
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            let message = format_args!("element {place} for `{name}` is {}; it must be finite", values[place]);
            return Err(failure(YURAGI_RANGE, message));
        }
        own.copy_from_slice(values);
        Ok(())
    })
}

/// Frees it; states that run on it stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_store_free(store: *mut yuragi_store) {
    // SAFETY: the caller's word.
    unsafe { free(store) };
}

/// The memory to run a plan on a store, which must have all of its parameters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_state_new(
    plan: *const yuragi_plan,
    store: *const yuragi_store,
    out: *mut *mut yuragi_state,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let (plan, store) = (held("the plan", plan)?, held("the store", store)?);
            afford("a plan's arena", plan.plan.memory().arena)?;
            let params = store.params.try_read().map_err(refused)?;
            let state = plan.plan.state(&params).map_err(|error| failure(YURAGI_GRAPH, error))?;
            drop(params);
            Ok(yuragi_state { inside: Mutex::new(Inside { state, step: 0, rate: 1e-3 }), plan, store })
        })
    })
}

/// Sets the rate of the next steps of training, which is 0.001 before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_state_set_rate(state: *const yuragi_state, rate: f32) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let state = held("the state", state)?;
        if !rate.is_finite() || rate < 0.0 {
            return Err(failure(YURAGI_RANGE, format_args!("the rate is {rate}; legal is 0 and more")));
        }
        locked("the state", &state.inside)?.rate = rate;
        Ok(())
    })
}

/// Elements that a run reads: float or int32_t, as the graph declares.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct yuragi_input {
    /// The first one.
    pub elements: *const c_void,
    /// How many there are: exactly what the graph declares.
    pub count: usize,
}

/// Room for elements that a run writes: float, or int32_t.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct yuragi_output {
    /// The first one.
    pub elements: *mut c_void,
    /// How many there is room for: exactly what the graph declares.
    pub count: usize,
}

fn fits(what: &str, operands: &[Operand], counts: impl ExactSizeIterator<Item = usize>) -> Answer {
    if counts.len() != operands.len() {
        let message = format_args!("{} {what}s were given, the plan has {}", counts.len(), operands.len());
        return Err(failure(YURAGI_RANGE, message));
    }
    for (number, (operand, count)) in operands.iter().zip(counts).enumerate() {
        let (want, short) = (operand.length, count < operand.length);
        if count != want {
            let status = if short { YURAGI_BUFFER } else { YURAGI_RANGE };
            return Err(failure(status, format_args!("{what} {number} has {count} elements, the plan has {want}")));
        }
    }
    Ok(())
}

/// Runs a plan: inputs and outputs are in the order of their declaration, and no output overlaps anything else. A step of
/// training changes the store when all is computed. Takes no memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_state_run(
    state: *const yuragi_state,
    inputs: *const yuragi_input,
    input_count: usize,
    outputs: *const yuragi_output,
    output_count: usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let state = held("the state", state)?;
        let mut inside = locked("the state", &state.inside)?;
        let plan = &*state.plan;
        let given = items("the inputs", inputs, input_count)?;
        let wanted = items("the outputs", outputs, output_count)?;
        fits("input", &plan.inputs, given.iter().map(|input| input.count))?;
        fits("output", &plan.outputs, wanted.iter().map(|output| output.count))?;
        apart(given, wanted)?;
        let hyper = plan.training.map(|(optimizer, _)| optimizer.hyper(inside.step, inside.rate, 0.0));

        let mut views = [Slice::F32(&[]); YURAGI_MAX_OPERANDS + 1];
        let hidden = plan.training.map_or(usize::MAX, |(_, place)| place);
        for (number, (operand, input)) in plan.inputs.iter().zip(given).enumerate() {
            let place = number + usize::from(number >= hidden);
            views[place] = match operand.dtype {
                DType::I32 => Slice::I32(items("an input", input.elements.cast(), input.count)?),
                _ => Slice::F32(items("an input", input.elements.cast(), input.count)?),
            };
        }
        if let (Some(hyper), Some((_, place))) = (&hyper, plan.training) {
            views[place] = Slice::F32(hyper);
        }
        let views = &views[..plan.inputs.len() + usize::from(hyper.is_some())];
        let mut rooms: [SliceMut<'_>; YURAGI_MAX_OPERANDS] = from_fn(|_| SliceMut::F32(&mut []));
        for (room_for, (operand, output)) in rooms.iter_mut().zip(plan.outputs.iter().zip(wanted)) {
            *room_for = match operand.dtype {
                DType::I32 => SliceMut::I32(room("an output", output.elements.cast(), output.count)?),
                DType::U32 => SliceMut::U32(room("an output", output.elements.cast(), output.count)?),
                _ => SliceMut::F32(room("an output", output.elements.cast(), output.count)?),
            };
        }
        let rooms = &mut rooms[..plan.outputs.len()];
        let run = if plan.updates {
            let mut params = state.store.params.try_write().map_err(refused)?;
            plan.plan.update(&mut inside.state, &mut params, views, rooms)
        } else {
            let params = state.store.params.try_read().map_err(refused)?;
            plan.plan.run(&mut inside.state, &params, views, rooms)
        };
        run.map_err(|error| failure(YURAGI_GRAPH, error))?;
        inside.step += u64::from(hyper.is_some());
        Ok(())
    })
}

/// Whether no output overlaps anything else.
fn apart(inputs: &[yuragi_input], outputs: &[yuragi_output]) -> Answer {
    let span = |start: usize, count: usize| (start, start.saturating_add(count.saturating_mul(4)));
    let overlap = |a: (usize, usize), b: (usize, usize)| a.0 < b.1 && b.0 < a.1;
    for (number, output) in outputs.iter().enumerate() {
        let own = span(output.elements.addr(), output.count);
        let others = outputs[..number].iter().map(|other| span(other.elements.addr(), other.count));
        let others = others.chain(inputs.iter().map(|input| span(input.elements.addr(), input.count)));
        if others.into_iter().any(|other| overlap(own, other)) {
            return Err(failure(YURAGI_RANGE, format_args!("output {number} overlaps an input or another output")));
        }
    }
    Ok(())
}

/// Frees it; NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_state_free(state: *mut yuragi_state) {
    // SAFETY: the caller's word.
    unsafe { free(state) };
}
