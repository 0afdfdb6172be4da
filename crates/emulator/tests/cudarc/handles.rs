//! The C boundary itself: wrong handles, null pointers, functions that are not there, threads.

use std::ffi::{CStr, c_void};
use std::{mem, ptr};

use cudarc::driver::sys::{self, CUdriverProcAddressQueryResult as Found, CUresult};
use cudarc::driver::{CudaContext, result};

use crate::harness::{emulated, on_a_driver, on_gpu, run};
use crate::kernels::function;

/// Every function that cudarc 0.19 can ask a driver for, of all CUDA versions.
const SYMBOLS: &str = include_str!("symbols.txt");

emulated! {
    fn null_pointers_are_refused() {
        if on_gpu() {
            return println!("skipped on a GPU: its driver follows some of these pointers");
        }
        let context = CudaContext::new(0).unwrap();
        let axpy = function(&context, "axpy");
        let invalid = CUresult::CUDA_ERROR_INVALID_VALUE;
        unsafe {
            assert_eq!(sys::cuDeviceGetCount(ptr::null_mut()), invalid);
            let warp = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE;
            assert_eq!(sys::cuDeviceGetAttribute(ptr::null_mut(), warp, 0), invalid);
            assert_eq!(sys::cuCtxGetCurrent(ptr::null_mut()), invalid);
            assert_eq!(sys::cuMemAlloc_v2(ptr::null_mut(), 4), invalid);
            assert_eq!(sys::cuStreamCreate(ptr::null_mut(), 0), invalid);
            assert_eq!(sys::cuEventCreate(ptr::null_mut(), 0), invalid);
            assert_eq!(sys::cuModuleLoadData(ptr::null_mut(), c"".as_ptr().cast()), invalid);
            let mut module = ptr::null_mut();
            assert_eq!(sys::cuModuleLoadData(&mut module, ptr::null()), invalid);
            assert_eq!(sys::cuMemcpyHtoD_v2(0x10, ptr::null(), 4), invalid);
            assert_eq!(sys::cuMemHostAlloc(ptr::null_mut(), 4, 0), invalid);
            let (f, stream, none) = (axpy.cu_function(), ptr::null_mut(), ptr::null_mut());
            assert_eq!(sys::cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, none, none), invalid);
            assert_eq!(sys::cuGetErrorName(invalid, ptr::null_mut()), invalid);
        }
    }

    fn destroyed_and_invented_handles_are_refused() {
        if on_gpu() {
            return println!("skipped on a GPU: its driver follows these handles");
        }
        let context = CudaContext::new(0).unwrap();
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).unwrap();
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).unwrap();
        let invalid = Err(CUresult::CUDA_ERROR_INVALID_HANDLE);
        let code = |outcome: Result<(), result::DriverError>| outcome.map_err(|error| error.0);
        let invented = 0x1234_5678_usize;
        unsafe {
            result::stream::synchronize(stream).unwrap();
            result::stream::destroy(stream).unwrap();
            result::event::destroy(event).unwrap();
            for stream in [stream, ptr::without_provenance_mut(invented)] {
                assert_eq!(code(result::stream::synchronize(stream)), invalid);
                assert_eq!(code(result::stream::destroy(stream)), invalid);
                assert_eq!(code(result::memset_d8_async(0x10, 0, 1, stream)), invalid);
            }
            for event in [event, ptr::without_provenance_mut(invented)] {
                assert_eq!(code(result::event::record(event, ptr::null_mut())), invalid);
                assert_eq!(code(result::event::destroy(event)), invalid);
            }
            // A handle of one kind is none of another.
            let function = function(&context, "axpy");
            assert_eq!(code(result::module::unload(function.cu_function().cast())), invalid);
            assert_eq!(code(result::graph::launch(function.cu_function().cast(), ptr::null_mut())), invalid);
            assert_eq!(code(result::graph::destroy(ptr::null_mut())), invalid);
            let (f, stream, none) = (ptr::without_provenance_mut(invented), ptr::null_mut(), ptr::null_mut());
            let launched = sys::cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, none, none);
            assert_eq!(code(launched.result()), invalid);
            assert!(result::ctx::set_current(ptr::without_provenance_mut(invented)).is_err());
        }
        context.bind_to_thread().unwrap();
        CudaContext::new(0).unwrap().synchronize().unwrap();
    }

    fn contexts_are_current_on_one_thread_each() {
        let mut before = ptr::null_mut();
        let mut address = 0;
        assert_eq!(unsafe { sys::cuCtxGetCurrent(&mut before) }, CUresult::CUDA_ERROR_NOT_INITIALIZED);
        result::init().unwrap();
        assert_eq!(unsafe { sys::cuMemAlloc_v2(&mut address, 4) }, CUresult::CUDA_ERROR_INVALID_CONTEXT);
        let primary = CudaContext::new(0).unwrap();
        let again = CudaContext::new(0).unwrap();
        assert_eq!(primary.cu_ctx(), again.cu_ctx());
        let other = CudaContext::new_non_primary(0, 0).unwrap();
        assert_ne!(primary.cu_ctx(), other.cu_ctx());
        assert_eq!(result::ctx::get_current().unwrap(), Some(other.cu_ctx()));
        let elsewhere = std::thread::spawn(|| result::ctx::get_current().unwrap().is_none());
        assert!(elsewhere.join().unwrap());
        let event = other.new_event(None).unwrap();
        let stream = primary.new_stream().unwrap();
        let mixed = unsafe { result::event::record(event.cu_event(), stream.cu_stream()) };
        assert_eq!(mixed.unwrap_err().0, CUresult::CUDA_ERROR_INVALID_HANDLE);
        let handle = other.cu_ctx();
        drop((event, other));
        // A GPU's driver may take it.
        assert!(on_gpu() || unsafe { result::ctx::set_current(handle) }.is_err());
        primary.bind_to_thread().unwrap();
        let (mut flags, mut active) = (0, 0);
        unsafe { sys::cuDevicePrimaryCtxGetState(0, &mut flags, &mut active) }.result().unwrap();
        assert_eq!(active, 1);
        drop((stream, primary, again));
        unsafe { sys::cuDevicePrimaryCtxGetState(0, &mut flags, &mut active) }.result().unwrap();
        assert_eq!(active, 0);
    }

    fn limits_and_preferences_are_kept() {
        let context = CudaContext::new(0).unwrap();
        context.set_limit(sys::CUlimit::CU_LIMIT_STACK_SIZE, 4096).unwrap();
        assert_eq!(context.get_limit(sys::CUlimit::CU_LIMIT_STACK_SIZE).unwrap(), 4096);
        context.set_cache_config(sys::CUfunc_cache::CU_FUNC_CACHE_PREFER_SHARED).unwrap();
        assert_eq!(context.get_cache_config().unwrap(), sys::CUfunc_cache::CU_FUNC_CACHE_PREFER_SHARED);
        context.set_blocking_synchronize().unwrap();
        let (least, greatest) = result::stream::get_priority_range().unwrap();
        assert!(least >= greatest);
        let _profiled = cudarc::driver::Profiler::new().unwrap();
    }

    fn errors_have_names_and_texts() {
        let error = CudaContext::new(1000).unwrap_err();
        assert_eq!(error.error_name().unwrap(), c"CUDA_ERROR_INVALID_DEVICE");
        assert_eq!(error.error_string().unwrap(), c"invalid device ordinal");
        let mut text = ptr::null();
        unsafe { sys::cuGetErrorString(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, &mut text) }.result().unwrap();
        assert_eq!(unsafe { CStr::from_ptr(text) }, c"an illegal memory access was encountered");
    }

    fn functions_are_found_by_name() {
        result::init().unwrap();
        let mut found = ptr::null_mut::<c_void>();
        let mut status = Found::CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
        let mut find = |name: &CStr, found: *mut *mut c_void| {
            unsafe { sys::cuGetProcAddress_v2(name.as_ptr(), found, 12_000, 0, &mut status) }.result().unwrap();
            status
        };
        assert_eq!(find(c"cuDriverGetVersion", &mut found), Found::CU_GET_PROC_ADDRESS_SUCCESS);
        let version = unsafe { mem::transmute::<*mut c_void, extern "C" fn(*mut i32) -> CUresult>(found) };
        let mut number = 0;
        version(&mut number).result().unwrap();
        assert!(number >= 13_000);
        assert_eq!(find(c"cuNothing", &mut found), Found::CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
        assert!(found.is_null());
    }
}

mod emulator {
    use super::*;

    on_a_driver! {
        fn every_symbol_of_cudarc_is_there() {
            let library = unsafe { sys::culib() };
            let is_missing = |name: &&str| unsafe { library.get::<*const ()>(*name) }.is_err();
            assert_eq!(SYMBOLS.lines().filter(is_missing).collect::<Vec<_>>(), [""; 0]);
        }

        fn what_is_not_there_says_so() {
            let context = CudaContext::new(0).unwrap();
            context.bind_to_thread().unwrap();
            let (mut size, mut handle) = (0, 0);
            let properties = unsafe { mem::zeroed::<sys::CUmemAllocationProp>() };
            let created = unsafe { sys::cuMemCreate(&mut handle, 1 << 21, &properties, 0) };
            assert_eq!(created, CUresult::CUDA_ERROR_NOT_SUPPORTED);
            assert_eq!(unsafe { sys::cuMemCreate(&mut handle, 1 << 21, &properties, 0) }, created);
            let minimum = sys::CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM;
            assert_eq!(unsafe { sys::cuMemGetAllocationGranularity(&mut size, &properties, minimum) }, created);
        }
    }
}

/// What only the emulator does.
#[test]
fn every_function_is_there_and_what_is_not_supported_is_named_once() {
    if on_gpu() {
        return;
    }
    let symbols = run("cudarc::handles::emulator", "every_symbol_of_cudarc_is_there", &[]);
    assert!(symbols.passed, "{}{}", symbols.out, symbols.err);
    let printed = run("cudarc::handles::emulator", "what_is_not_there_says_so", &[]);
    assert!(printed.passed, "{}{}", printed.out, printed.err);
    let lines: Vec<&str> = printed.err.lines().filter(|line| line.contains("cuMemCreate")).collect();
    assert_eq!(lines, ["yuragi-emulator: cuMemCreate: the emulator has no cuMemCreate (CUDA_ERROR_NOT_SUPPORTED)"]);
}
