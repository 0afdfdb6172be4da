//! Graphs: captured, replayed, and refused.

use std::ptr;

use cudarc::driver::sys::{CUgraphInstantiate_flags as Flags, CUresult, CUstreamCaptureMode, CUstreamCaptureStatus};
use cudarc::driver::{CudaContext, CudaGraph, CudaSlice, CudaStream, DevicePtr, sys};

use crate::harness::emulated;
use crate::kernels::{function, run_axpy};

const THREAD: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
const GLOBAL: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;
const RELAXED: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;

/// A context whose slices wait for nothing by themselves, as captures need it.
fn untracked() -> std::sync::Arc<CudaContext> {
    let context = CudaContext::new(0).unwrap();
    unsafe { context.disable_event_tracking() };
    context
}

/// How many nodes of each type a graph has.
fn node_types(graph: &CudaGraph) -> Vec<u32> {
    let mut count = 0;
    unsafe { sys::cuGraphGetNodes(graph.cu_graph(), ptr::null_mut(), &mut count) }.result().unwrap();
    let mut nodes = vec![ptr::null_mut(); count];
    unsafe { sys::cuGraphGetNodes(graph.cu_graph(), nodes.as_mut_ptr(), &mut count) }.result().unwrap();
    let kind = |node| {
        let mut kind = sys::CUgraphNodeType::CU_GRAPH_NODE_TYPE_EMPTY;
        unsafe { sys::cuGraphNodeGetType(node, &mut kind) }.result().unwrap();
        kind as u32
    };
    nodes.into_iter().map(kind).collect()
}

fn read(stream: &std::sync::Arc<CudaStream>, slice: &CudaSlice<f32>) -> Vec<f32> {
    let values = stream.clone_dtoh(slice).unwrap();
    stream.synchronize().unwrap();
    values
}

emulated! {
    /// y ← 0; x ← a copy of c; y ← y + 1·x on a second stream; sum ← sum + 2 y: replayed, it adds 2 c each time.
    fn a_graph_of_two_streams_is_replayed_100_times() {
        let context = untracked();
        let axpy = function(&context, "axpy");
        let (main, side) = (context.new_stream().unwrap(), context.new_stream().unwrap());
        let constants: Vec<f32> = (0..333).map(|i| i as f32).collect();
        let c = main.clone_htod(&constants).unwrap();
        let [mut x, mut y, mut sum] = [(); 3].map(|()| main.alloc_zeros::<f32>(333).unwrap());
        context.synchronize().unwrap();

        main.begin_capture(THREAD).unwrap();
        assert_eq!(main.capture_status().unwrap(), CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE);
        main.memset_zeros(&mut y).unwrap();
        side.join(&main).unwrap();
        side.memcpy_dtod(&c, &mut x).unwrap();
        // The parameters are gone when the launch is replayed: they must have been copied.
        run_axpy(&side, &axpy, 1.0, &x, &mut y);
        main.join(&side).unwrap();
        run_axpy(&main, &axpy, 2.0, &y, &mut sum);
        let graph = main.end_capture(Flags(0)).unwrap().unwrap();
        assert_eq!(main.capture_status().unwrap(), CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE);
        assert_eq!(side.capture_status().unwrap(), CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE);

        // Capturing did nothing yet.
        assert_eq!(read(&main, &sum), [0.0; 333]);
        let mut types = node_types(&graph);
        types.sort_unstable();
        assert_eq!(types, [0, 0, 1, 2]);
        graph.upload().unwrap();
        for _ in 0..100 {
            graph.launch().unwrap();
        }
        let expected: Vec<f32> = constants.iter().map(|c| 200.0 * c).collect();
        assert_eq!(read(&main, &sum), expected);
        drop(graph);
        context.check_err().unwrap();
    }

    fn pinned_memory_is_read_and_written_at_each_replay() {
        let context = untracked();
        let axpy = function(&context, "axpy");
        let stream = context.new_stream().unwrap();
        let x = unsafe { stream.alloc::<f32>(8) }.unwrap();
        let mut y = stream.alloc_zeros::<f32>(8).unwrap();
        let mut pinned = unsafe { context.alloc_pinned_with_flags::<f32>(16, 0) }.unwrap();
        let host = pinned.as_mut_ptr().unwrap();
        context.synchronize().unwrap();

        stream.begin_capture(GLOBAL).unwrap();
        unsafe {
            let handle = stream.cu_stream();
            sys::cuMemcpyHtoDAsync_v2(x.device_ptr(&stream).0, host.cast(), 32, handle).result().unwrap();
            run_axpy(&stream, &axpy, 1.0, &x, &mut y);
            sys::cuMemcpyDtoHAsync_v2(host.add(8).cast(), y.device_ptr(&stream).0, 32, handle).result().unwrap();
        }
        let graph = stream.end_capture(Flags(0)).unwrap().unwrap();
        let mut expected = 0.0;
        for round in 1..=5 {
            pinned.as_mut_slice().unwrap()[..8].fill(round as f32);
            graph.launch().unwrap();
            stream.synchronize().unwrap();
            expected += round as f32;
            assert_eq!(pinned.as_slice().unwrap()[8..], [expected; 8]);
        }
    }

    fn memory_of_a_graph_has_one_address() {
        let context = untracked();
        let axpy = function(&context, "axpy");
        let stream = context.new_stream().unwrap();
        let x = stream.clone_htod(&[1.0_f32; 50]).unwrap();
        let mut y = stream.alloc_zeros::<f32>(50).unwrap();
        context.synchronize().unwrap();
        stream.begin_capture(RELAXED).unwrap();
        let mut scratch = stream.alloc_zeros::<f32>(50).unwrap();
        run_axpy(&stream, &axpy, 3.0, &x, &mut scratch);
        run_axpy(&stream, &axpy, 1.0, &scratch, &mut y);
        drop(scratch);
        let graph = stream.end_capture(Flags(0)).unwrap().unwrap();
        assert_eq!(node_types(&graph), [10, 2, 0, 0, 11]);
        (0..4).for_each(|_| graph.launch().unwrap());
        assert_eq!(read(&stream, &y), [12.0; 50]);
    }

    fn what_cannot_be_captured_is_refused_and_spoils_the_capture() {
        let context = untracked();
        let stream = context.new_stream().unwrap();
        let begin = || stream.begin_capture(THREAD).unwrap();
        let end = || stream.end_capture(Flags(0)).err().map(|error| error.0);
        let spoilt = Some(CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        let outside = stream.record_event(None).unwrap();

        assert!(context.default_stream().begin_capture(THREAD).is_err());
        assert_eq!(end(), Some(CUresult::CUDA_ERROR_ILLEGAL_STATE));

        begin();
        assert_eq!(stream.begin_capture(THREAD).unwrap_err().0, CUresult::CUDA_ERROR_ILLEGAL_STATE);
        assert_eq!(stream.synchronize().unwrap_err().0, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(stream.capture_status().unwrap(), CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_INVALIDATED);
        assert_eq!(end(), spoilt);

        begin();
        assert_eq!(context.synchronize().unwrap_err().0, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(end(), spoilt);

        begin();
        assert_eq!(stream.wait(&outside).unwrap_err().0, CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
        assert_eq!(end(), spoilt);

        begin();
        let inside = stream.record_event(None).unwrap();
        assert_eq!(inside.try_is_complete().unwrap_err().0, CUresult::CUDA_ERROR_CAPTURED_EVENT);
        assert_eq!(end(), spoilt);

        begin();
        let mut address = 0;
        let allocated = unsafe { sys::cuMemAlloc_v2(&mut address, 16) };
        assert_eq!(allocated, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(end(), spoilt);

        begin();
        let other = context.new_stream().unwrap();
        other.join(&stream).unwrap();
        let mut slice = unsafe { other.alloc::<f32>(4) }.unwrap();
        other.memset_zeros(&mut slice).unwrap();
        assert_eq!(other.end_capture(Flags(0)).err().unwrap().0, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
        assert_eq!(end(), spoilt);
        std::mem::forget(slice);

        // After all of that the stream is as good as new.
        begin();
        let graph = stream.end_capture(Flags(0)).unwrap().unwrap();
        graph.launch().unwrap();
        stream.synchronize().unwrap();
    }

    fn all_streams_of_a_capture_must_come_back() {
        let context = untracked();
        let (main, side) = (context.new_stream().unwrap(), context.new_stream().unwrap());
        let mut y = main.alloc_zeros::<f32>(4).unwrap();
        context.synchronize().unwrap();
        main.begin_capture(THREAD).unwrap();
        side.join(&main).unwrap();
        side.memset_zeros(&mut y).unwrap();
        let unjoined = main.end_capture(Flags(0)).err().unwrap();
        assert_eq!(unjoined.0, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
        side.synchronize().unwrap();
        main.synchronize().unwrap();
    }

    fn a_global_capture_forbids_other_threads_what_a_relaxed_one_allows() {
        let context = untracked();
        let stream = context.new_stream().unwrap();
        let allocate_elsewhere = || {
            std::thread::scope(|scope| {
                let task = || {
                    context.bind_to_thread().unwrap();
                    let mut address = 0;
                    let code = unsafe { sys::cuMemAlloc_v2(&mut address, 16) };
                    unsafe { sys::cuMemFree_v2(address) };
                    code
                };
                scope.spawn(task).join().unwrap()
            })
        };
        stream.begin_capture(RELAXED).unwrap();
        assert_eq!(allocate_elsewhere(), CUresult::CUDA_SUCCESS);
        stream.end_capture(Flags(0)).unwrap();
        stream.begin_capture(GLOBAL).unwrap();
        assert_eq!(allocate_elsewhere(), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert!(stream.end_capture(Flags(0)).is_err());
    }

    fn a_graph_cannot_be_launched_into_another() {
        let context = untracked();
        let axpy = function(&context, "axpy");
        let stream = context.new_stream().unwrap();
        let x = stream.clone_htod(&[1.0_f32; 10]).unwrap();
        let mut y = stream.alloc_zeros::<f32>(10).unwrap();
        context.synchronize().unwrap();
        stream.begin_capture(THREAD).unwrap();
        run_axpy(&stream, &axpy, 1.0, &x, &mut y);
        let inner = stream.end_capture(Flags(0)).unwrap().unwrap();
        stream.begin_capture(THREAD).unwrap();
        assert_eq!(inner.launch().unwrap_err().0, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert!(stream.end_capture(Flags(0)).is_err());
        (0..3).for_each(|_| inner.launch().unwrap());
        assert_eq!(read(&stream, &y), [3.0; 10]);
    }
}
