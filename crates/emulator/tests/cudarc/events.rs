//! Streams and events: order, time, and host functions that take theirs.

use std::ffi::c_void;
use std::sync::mpsc::{Receiver, Sender, channel};

use cudarc::driver::sys::{CUevent_flags, CUresult};
use cudarc::driver::{CudaContext, CudaStream, result};

use crate::harness::emulated;
use crate::kernels::{function, run_axpy};

/// Blocks its stream until the returned sender is used or dropped.
fn hold(stream: &CudaStream) -> Sender<()> {
    unsafe extern "C" fn wait(data: *mut c_void) {
        let receiver = unsafe { Box::from_raw(data.cast::<Receiver<()>>()) };
        let _ = receiver.recv();
    }
    let (sender, receiver) = channel();
    let data = Box::into_raw(Box::new(receiver)).cast();
    unsafe { result::stream::launch_host_function(stream.cu_stream(), wait, data) }.unwrap();
    sender
}

emulated! {
    fn events_tell_when_they_happened() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let start = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).unwrap();
        let held = hold(&stream);
        std::thread::sleep(std::time::Duration::from_millis(20));
        held.send(()).unwrap();
        let end = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).unwrap();
        assert!(start.elapsed_ms(&end).unwrap() >= 19.0);
        assert!(end.elapsed_ms(&start).unwrap() <= -19.0);
        assert!(start.is_complete() && end.is_complete());
        let untimed = stream.record_event(None).unwrap();
        assert_eq!(start.elapsed_ms(&untimed).unwrap_err().0, CUresult::CUDA_ERROR_INVALID_HANDLE);
        let never = context.new_event(None).unwrap();
        assert!(never.is_complete());
        stream.wait(&never).unwrap();
    }

    fn what_follows_a_host_function_waits_for_it() {
        let context = CudaContext::new(0).unwrap();
        let (first, second) = (context.new_stream().unwrap(), context.new_stream().unwrap());
        let axpy = function(&context, "axpy");
        let x = first.clone_htod(&[1.0_f32; 64]).unwrap();
        let mut y = first.alloc_zeros::<f32>(64).unwrap();
        first.synchronize().unwrap();

        let held = hold(&first);
        // The source is gone before the copy can be made.
        first.memcpy_htod(&vec![3.0_f32; 64], &mut y).unwrap();
        run_axpy(&first, &axpy, 2.0, &x, &mut y);
        let launched = first.record_event(None).unwrap();
        second.wait(&launched).unwrap();
        let waited = second.record_event(None).unwrap();
        let third = context.new_stream().unwrap();
        let free = third.record_event(None).unwrap();
        assert_eq!((launched.try_is_complete(), waited.try_is_complete()), (Ok(false), Ok(false)));
        free.synchronize().unwrap();

        held.send(()).unwrap();
        waited.synchronize().unwrap();
        assert!(launched.is_complete());
        assert_eq!(second.clone_dtoh(&y).unwrap(), [5.0; 64]);
    }

    fn many_streams_keep_the_order_that_events_say() {
        let context = CudaContext::new(0).unwrap();
        let axpy = function(&context, "axpy");
        let main = context.new_stream().unwrap();
        let one = main.clone_htod(&[1.0_f32; 100]).unwrap();
        let mut sum = main.alloc_zeros::<f32>(100).unwrap();
        for round in 0..10 {
            let side = main.fork().unwrap();
            run_axpy(&side, &axpy, 1.0, &one, &mut sum);
            main.join(&side).unwrap();
            assert_eq!(main.clone_dtoh(&sum).unwrap(), [round as f32 + 1.0; 100]);
        }
        main.synchronize().unwrap();
        let low = context.new_stream_with_priority(0).unwrap();
        low.synchronize().unwrap();
        context.check_err().unwrap();
    }
}
