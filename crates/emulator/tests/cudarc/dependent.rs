//! Programmatic dependent launch: the attribute of a launch, in streams and in captures.

use std::ffi::c_void;
use std::ptr;

use cudarc::driver::sys::{CUgraphInstantiate_flags as Flags, CUresult, CUstreamCaptureMode};
use cudarc::driver::{CudaContext, CudaStream, DevicePtrMut, sys};
use cudarc::nvrtc::Ptx;

use crate::harness::{on_a_driver, on_gpu, run};

/// Adds 1 to a word.
fn text(wait: &str) -> String {
    format!(
        ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry add(.param .u64 x)\n{{\n .reg .b64 %rd<2>; .reg .b32 \
         %r<2>;\n ld.param.u64 %rd1, [x];\n {wait}\n ld.global.u32 %r1, [%rd1];\n add.u32 %r1, %r1, 1;\n st.global.u32 \
         [%rd1], %r1;\n ret;\n}}\n"
    )
}

const WAIT: &str = "griddepcontrol.wait;";

/// Launches one thread that may begin early, or not.
fn launch(stream: &CudaStream, function: sys::CUfunction, x: u64, early: i32) -> CUresult {
    let mut attribute = sys::CUlaunchAttribute {
        id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
        pad: [0; 4],
        value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: early },
    };
    let config = sys::CUlaunchConfig {
        gridDimX: 1,
        gridDimY: 1,
        gridDimZ: 1,
        blockDimX: 1,
        blockDimY: 1,
        blockDimZ: 1,
        sharedMemBytes: 0,
        hStream: stream.cu_stream(),
        attrs: &raw mut attribute,
        numAttrs: 1,
    };
    let mut x = x;
    let mut params = [(&raw mut x).cast::<c_void>()];
    unsafe { sys::cuLaunchKernelEx(&config, function, params.as_mut_ptr(), ptr::null_mut()) }
}

/// Launches three kernels of a text, of which all but the first may begin early, and gives what they leave.
fn three(wait: &str, captured: bool) -> Option<u32> {
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let module = context.load_module(Ptx::from_src(text(wait))).unwrap();
    let add = module.load_function("add").unwrap();
    let mut word = stream.clone_htod(&[0_u32]).unwrap();
    let at = word.device_ptr_mut(&stream).0;
    stream.synchronize().unwrap();
    if captured {
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
    }
    let launched: Result<(), _> =
        (0..3).try_for_each(|n| launch(&stream, add.cu_function(), at, i32::from(n > 0)).result());
    if captured {
        let graph = stream.end_capture(Flags(0)).unwrap().unwrap();
        graph.launch().unwrap();
    }
    launched.ok()?;
    stream.clone_dtoh(&word).ok().map(|words| words[0])
}

on_a_driver! {
    fn waiting() {
        assert_eq!(three(WAIT, false), Some(3));
        assert_eq!(three(WAIT, true), Some(3));
    }

    fn not_waiting() {
        assert_eq!(three("", false), None);
    }

    fn not_waiting_in_a_graph() {
        assert_eq!(three("", true), None);
    }

    /// Behind nothing, behind copies, and with the attribute's value 0 a launch begins when all is over.
    fn nothing_to_wait_for() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let module = context.load_module(Ptx::from_src(text(""))).unwrap();
        let add = module.load_function("add").unwrap().cu_function();
        let mut word = stream.clone_htod(&[5_u32]).unwrap();
        let at = word.device_ptr_mut(&stream).0;
        launch(&stream, add, at, 1).result().unwrap();
        launch(&stream, add, at, 0).result().unwrap();
        stream.memcpy_htod(&[7_u32], &mut word).unwrap();
        launch(&stream, add, at, 1).result().unwrap();
        assert_eq!(stream.clone_dtoh(&word).unwrap(), [8]);
    }
}

#[test]
fn launches_that_wait_may_begin_early() {
    let printed = run(module_path!(), "waiting", &[]);
    assert!(printed.passed && !printed.err.contains("yuragi-emulator:"), "{}{}", printed.out, printed.err);
    let printed = run(module_path!(), "nothing_to_wait_for", &[]);
    assert!(printed.passed && !printed.err.contains("yuragi-emulator:"), "{}{}", printed.out, printed.err);
}

#[test]
fn a_launch_that_begins_early_and_does_not_wait_is_found() {
    if on_gpu() {
        println!("skipped on a GPU: it races there, or not");
        return;
    }
    for test in ["not_waiting", "not_waiting_in_a_graph"] {
        let printed = run(module_path!(), test, &[]);
        assert!(printed.passed, "{test}: {}{}", printed.out, printed.err);
        let line = 1 + text("").lines().position(|line| line.contains("ld.global")).unwrap();
        let found = format!("launch before not waited for in add, line {line}");
        assert!(printed.err.contains(&found), "{test}: {}", printed.err);
        assert!(printed.err.contains("reads global memory before griddepcontrol.wait"), "{test}: {}", printed.err);
    }
}
