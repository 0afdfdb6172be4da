//! What C calls. The only place where the caller's pointers are followed: by the functions of `pointer`, each of which
//! says what it takes the caller's word for.
#![allow(unsafe_code)] // exported names, and pointers that C gives
#![allow(clippy::missing_safety_doc)] // the header says once, for all functions, what callers must keep to
#![allow(non_camel_case_types)] // names are C's

mod annealing;
mod cpu;
mod draft;
mod drawing;
mod heap;
mod log;
mod model;
mod network;
mod operations;
mod plan;
mod pointer;
mod problem;
mod status;

/// What the header promises of handles.
const _: () = {
    const fn for_all_threads<T: Send + Sync>() {}
    for_all_threads::<cpu::yuragi_cpu>();
    for_all_threads::<model::yuragi_model>();
    for_all_threads::<model::yuragi_generator>();
    for_all_threads::<drawing::yuragi_job>();
    for_all_threads::<problem::yuragi_problem>();
    for_all_threads::<annealing::yuragi_annealing>();
    for_all_threads::<draft::yuragi_graph>();
    for_all_threads::<plan::yuragi_plan>();
    for_all_threads::<network::yuragi_store>();
    for_all_threads::<network::yuragi_state>();
};
