//! Finding functions by name, as `cuGetProcAddress` does.

use super::error::{Code, Outcome};
use super::machine::VERSION;
use super::pointer::{Buffer, Out, Text};
use super::{
    array, captures, contexts, copy, device, events, exports, function, graph, host, launch, link, memory, messages,
    module, occupancy, pool, streams, tensor, textures,
};

/// Finds a function by its name.
type Find = fn(&str) -> Option<*const ()>;

/// The address of an exported function.
fn address(name: &str) -> Option<*const ()> {
    let all: [Find; 21] = [
        symbol,
        array::symbol,
        captures::symbol,
        contexts::symbol,
        copy::symbol,
        device::symbol,
        messages::symbol,
        events::symbol,
        function::symbol,
        graph::symbol,
        host::symbol,
        launch::symbol,
        link::symbol,
        memory::symbol,
        module::symbol,
        occupancy::symbol,
        pool::symbol,
        streams::symbol,
        tensor::symbol,
        textures::symbol,
        exports::symbol,
    ];
    all.iter().find_map(|find| find(name))
}

/// The address of its form for programs whose default streams are those of their threads.
fn per_thread_address(name: &str) -> Option<*const ()> {
    let all: [Find; 21] = [
        per_thread_symbol,
        array::per_thread_symbol,
        captures::per_thread_symbol,
        contexts::per_thread_symbol,
        copy::per_thread_symbol,
        device::per_thread_symbol,
        messages::per_thread_symbol,
        events::per_thread_symbol,
        function::per_thread_symbol,
        graph::per_thread_symbol,
        host::per_thread_symbol,
        launch::per_thread_symbol,
        link::per_thread_symbol,
        memory::per_thread_symbol,
        module::per_thread_symbol,
        occupancy::per_thread_symbol,
        pool::per_thread_symbol,
        streams::per_thread_symbol,
        tensor::per_thread_symbol,
        textures::per_thread_symbol,
        exports::per_thread_symbol,
    ];
    all.iter().find_map(|find| find(name))
}

/// Names whose meaning depends on the CUDA version that a program was compiled for: from which version on (as
/// 1000 · major + 10 · minor) another function is meant than before, the newest first.
const BY_VERSION: [(&str, &[(i32, &str)]); 11] = [
    ("cuCtxCreate", &[(13_000, "cuCtxCreate_v4"), (0, "cuCtxCreate_v2")]),
    ("cuDeviceGetUuid", &[(11_040, "cuDeviceGetUuid_v2"), (0, "cuDeviceGetUuid")]),
    ("cuEventElapsedTime", &[(12_080, "cuEventElapsedTime_v2"), (0, "cuEventElapsedTime")]),
    ("cuGetProcAddress", &[(12_000, "cuGetProcAddress_v2"), (0, "cuGetProcAddress")]),
    ("cuGraphGetEdges", &[(13_000, "cuGraphGetEdges_v2"), (0, "cuGraphGetEdges")]),
    ("cuGraphInstantiate", &[(12_000, "cuGraphInstantiateWithFlags"), (0, "cuGraphInstantiate_v2")]),
    ("cuGraphNodeGetDependencies", &[(13_000, "cuGraphNodeGetDependencies_v2"), (0, "cuGraphNodeGetDependencies")]),
    (
        "cuGraphNodeGetDependentNodes",
        &[(13_000, "cuGraphNodeGetDependentNodes_v2"), (0, "cuGraphNodeGetDependentNodes")],
    ),
    ("cuMemAdvise", &[(13_000, "cuMemAdvise_v2"), (0, "cuMemAdvise")]),
    ("cuMemPrefetchAsync", &[(13_000, "cuMemPrefetchAsync_v2"), (0, "cuMemPrefetchAsync")]),
    (
        "cuStreamGetCaptureInfo",
        &[(13_000, "cuStreamGetCaptureInfo_v3"), (11_030, "cuStreamGetCaptureInfo_v2"), (0, "cuStreamGetCaptureInfo")],
    ),
];

/// The function that a program of a CUDA version means by a name.
fn meant(name: &str, version: i32, address: Find) -> Option<*const ()> {
    if let Some((_, forms)) = BY_VERSION.iter().find(|(own, _)| *own == name) {
        return forms.iter().find(|(since, _)| version >= *since).and_then(|(_, form)| address(form));
    }
    // Where a second form replaced the first long ago, the first is not there.
    address(name).or_else(|| address(&format!("{name}_v2")))
}

/// `CU_GET_PROC_ADDRESS_...`
const FOUND: i32 = 0;
const NOT_FOUND: i32 = 1;
const VERSION_NOT_SUFFICIENT: i32 = 2;
/// The flag that asks for default streams of each thread.
const PER_THREAD_DEFAULT_STREAM: u64 = 2;

fn find(name: Text, function: Out<*const ()>, version: i32, flags: u64, status: Out<i32>) -> Outcome {
    let place = function.place()?;
    let name = name.read()?;
    if version > VERSION {
        place.put(std::ptr::null());
        status.put_if_wanted(VERSION_NOT_SUFFICIENT);
        return if status.is_null() { Err(Code::NOT_FOUND.into()) } else { Ok(()) };
    }
    let forms: Find = if flags & PER_THREAD_DEFAULT_STREAM == 0 { address } else { per_thread_address };
    let found = meant(&name, version, forms);
    place.put(found.unwrap_or(std::ptr::null()));
    status.put_if_wanted(if found.is_some() { FOUND } else { NOT_FOUND });
    // Without a status only the code can tell.
    if found.is_none() && status.is_null() { Err(Code::NOT_FOUND.into()) } else { Ok(()) }
}

super::boundary::exported! {
    fn cuGetProcAddress(name: Text, function: Out<*const ()>, version: i32, flags: u64) {
        find(name, function, version, flags, Out::NULL)
    }

    fn cuGetProcAddress_v2(name: Text, function: Out<*const ()>, version: i32, flags: u64, status: Out<i32>) {
        find(name, function, version, flags, status)
    }

    fn cuGetExportTable(table: Out<usize>, _id: Buffer) {
        table.put_if_wanted(0);
        Err(Code::NOT_SUPPORTED.because(
            "tables of undocumented functions, which NVIDIA's runtime library asks for: link the program with \
             `nvcc -cudart shared`, and put this library in its place as libcudart.so.13"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_they_meant_in_their_version() {
        let meant = |name, version| meant(name, version, address);
        let is = |name, version, form| meant(name, version).is_some() && meant(name, version) == address(form);
        assert!(is("cuMemAlloc", 12_000, "cuMemAlloc_v2"));
        assert!(is("cuInit", 12_000, "cuInit"));
        assert!(is("cuCtxCreate", 12_000, "cuCtxCreate_v2") && is("cuCtxCreate", 13_000, "cuCtxCreate_v4"));
        assert!(is("cuStreamGetCaptureInfo", 10_010, "cuStreamGetCaptureInfo"));
        assert!(is("cuTexObjectCreate", 13_000, "cuTexObjectCreate"));
        assert_eq!(meant("cuNothing", 13_000), None);
    }
}
