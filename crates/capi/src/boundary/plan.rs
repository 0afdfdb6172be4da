//! Compiled graphs.

use std::{
    ffi::{CString, c_char},
    ptr::null,
};

use yuragi::{
    cpu::CpuPlan,
    graph::{Backend, DType, ParamSpec, Plan, Tensor},
    nn::optim::Optimizer,
};

use super::{
    cpu::yuragi_cpu,
    draft::{YURAGI_MAX_OPERANDS, yuragi_graph},
    pointer::{free, give, guard, held, locked, room, tell, value_or},
};
use crate::failure::{Answer, YURAGI_GRAPH, YURAGI_RANGE, failure, yuragi_status};

/// A graph compiled for the processor. It never changes: any number of states may run it, on several threads.
pub struct yuragi_plan {
    pub plan: CpuPlan,
    pub inputs: Vec<Operand>,
    pub outputs: Vec<Operand>,
    pub params: Vec<ParamSpec>,
    /// The optimizer of a training step, and the place of its input among the graph's, which `inputs` leaves out.
    pub training: Option<(Optimizer, usize)>,
    pub updates: bool,
}

/// What a run takes or gives.
pub struct Operand {
    name: CString,
    pub length: usize,
    pub dtype: DType,
}

/// The name of an optimizer's input.
const HYPER: &str = "hyper";

/// Compiles a graph as it stands, with the outputs that were named; the graph may go on. Tells the first mistake that was
/// made in building it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_plan_new(
    cpu: *const yuragi_cpu,
    graph: *const yuragi_graph,
    out: *mut *mut yuragi_plan,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let (cpu, graph) = (held("the processor", cpu)?, held("the graph", graph)?);
            let draft = locked("the graph", &graph.draft)?;
            if let Some(failure) = &draft.failure {
                return Err(failure.clone());
            }
            let outputs = draft.outputs.iter().filter_map(|(name, id)| Some((&**name, draft.builder.at(id.index())?)));
            let outputs: Vec<(&str, Tensor<'_>)> = outputs.collect();
            let graph = draft.builder.finish(&outputs).map_err(|error| failure(YURAGI_GRAPH, error.message))?;
            let operand = |name: &str, length, dtype| {
                let name = CString::new(name).map_err(|error| failure(YURAGI_RANGE, error))?;
                Ok(Operand { name, length, dtype })
            };
            let mut inputs = graph
                .inputs()
                .iter()
                .map(|input| operand(&input.name, input.shape.count(), input.dtype))
                .collect::<Answer<Vec<_>>>()?;
            let outputs = graph.outputs().iter().map(|output| {
                let node = graph.node(output.node);
                operand(&output.name, node.shape.count(), node.dtype)
            });
            let outputs = outputs.collect::<Answer<Vec<_>>>()?;
            let hyper = graph.inputs().iter().position(|input| input.name == HYPER);
            let training = draft.optimizer.get().zip(hyper);
            if let Some((_, place)) = training {
                inputs.remove(place);
            }
            for (what, count) in [("inputs", inputs.len()), ("outputs", outputs.len())] {
                if count > YURAGI_MAX_OPERANDS {
                    let message = format_args!("the graph has {count} {what}; at most {YURAGI_MAX_OPERANDS} are legal");
                    return Err(failure(YURAGI_RANGE, message));
                }
            }
            let (params, updates) = (graph.params().to_vec(), !graph.updates().is_empty());
            let plan = cpu.cpu.compile(&graph).map_err(|error| failure(YURAGI_GRAPH, error))?;
            Ok(yuragi_plan { plan, inputs, outputs, params, training, updates })
        })
    })
}

/// The bytes that a plan needs, known before anything runs.
#[repr(C)]
pub struct yuragi_memory {
    /// What each state has for itself.
    pub arena: usize,
    /// Constants.
    pub constants: usize,
    /// Parameters, which plans of one store share.
    pub parameters: usize,
}

/// Writes what a plan needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_plan_memory(plan: *const yuragi_plan, memory: *mut yuragi_memory) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let said = held("the plan", plan)?.plan.memory();
        let out = room("the place for the memory", memory, 1)?;
        out[0] = yuragi_memory { arena: said.arena, constants: said.literals, parameters: said.params };
        Ok(())
    })
}

/// The number of inputs that a run takes; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_plan_inputs(plan: *const yuragi_plan) -> usize {
    // SAFETY: the caller's word.
    value_or(|| Ok(unsafe { held("the plan", plan) }?.inputs.len())).unwrap_or(0)
}

/// The number of outputs that a run gives; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_plan_outputs(plan: *const yuragi_plan) -> usize {
    // SAFETY: the caller's word.
    value_or(|| Ok(unsafe { held("the plan", plan) }?.outputs.len())).unwrap_or(0)
}

/// # Safety
/// Places for what is not NULL.
unsafe fn describe(
    what: &str,
    operands: &[Operand],
    number: usize,
    name: *mut *const c_char,
    length: *mut usize,
) -> Answer {
    let found = operands.get(number);
    // SAFETY: passed on to the caller.
    unsafe {
        tell(name, found.map_or(null(), |operand| operand.name.as_ptr()));
        tell(length, found.map_or(0, |operand| operand.length));
    }
    let count = operands.len();
    found
        .map(|_| ())
        .ok_or_else(|| failure(YURAGI_RANGE, format_args!("{what} {number} does not exist; there are {count}")))
}

/// Writes the name of an input, which lives as long as the plan, and its number of elements, where these are not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_plan_input(
    plan: *const yuragi_plan,
    number: usize,
    name: *mut *const c_char,
    length: *mut usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe { describe("input", &held("the plan", plan)?.inputs, number, name, length) })
}

/// The same of an output.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_plan_output(
    plan: *const yuragi_plan,
    number: usize,
    name: *mut *const c_char,
    length: *mut usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe { describe("output", &held("the plan", plan)?.outputs, number, name, length) })
}

/// Frees it; its states stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_plan_free(plan: *mut yuragi_plan) {
    // SAFETY: the caller's word.
    unsafe { free(plan) };
}
