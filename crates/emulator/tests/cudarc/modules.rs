//! Modules: texts, files, variables, logs, and images that are no text.

use std::ffi::{CStr, CString, c_void};
use std::fs;
use std::ptr;

use cudarc::driver::{CudaContext, CudaViewMut, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;

use crate::harness::{emulated, on_gpu};
use crate::kernels::{PTX, linear, module};

emulated! {
    fn variables_are_read_and_written_by_both_sides() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let module = module(&context);
        let table = module.load_function("table").unwrap();
        let mut out = stream.alloc_zeros::<f32>(4).unwrap();
        unsafe { stream.launch_builder(&table).arg(&mut out).launch(linear(1, 4)) }.unwrap();
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [10.0, 20.0, 30.0, 40.0]);

        let mut scale = module.get_global("scale", &stream).unwrap();
        let mut scale: CudaViewMut<f32> = unsafe { scale.transmute_mut(1) }.unwrap();
        stream.memcpy_htod(&[0.5_f32], &mut scale).unwrap();
        unsafe { stream.launch_builder(&table).arg(&mut out).launch(linear(1, 3)) }.unwrap();
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [0.5, 1.0, 1.5, 40.0]);

        let calls = module.get_global("calls", &stream).unwrap();
        let calls = unsafe { calls.transmute::<u32>(1) }.unwrap();
        assert_eq!(stream.clone_dtoh(&calls).unwrap(), [7]);
        assert!(module.get_global("nothing", &stream).is_err());
    }

    fn a_module_can_come_from_a_file() {
        let path = std::env::temp_dir().join(format!("yuragi-emulator-{}.ptx", std::process::id()));
        fs::write(&path, PTX).unwrap();
        let context = CudaContext::new(0).unwrap();
        let module = context.load_module(Ptx::from_file(&path)).unwrap();
        fs::remove_file(&path).unwrap();
        module.load_function("axpy").unwrap();
        let missing = context.load_module(Ptx::from_file(&path)).err().unwrap();
        assert_eq!(missing.0, sys::CUresult::CUDA_ERROR_FILE_NOT_FOUND);
        let unknown = module.load_function("axpx").err().unwrap();
        assert_eq!(unknown.0, sys::CUresult::CUDA_ERROR_NOT_FOUND);
    }

    fn what_is_no_ptx_is_refused_with_a_log() {
        let context = CudaContext::new(0).unwrap();
        context.bind_to_thread().unwrap();
        let text = CString::new(PTX.replace(".entry axpy", ".entri axpy")).unwrap();
        let mut log = [0x55_u8; 400];
        let mut options = [
            sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER,
            sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        ];
        let mut values = [log.as_mut_ptr().cast::<c_void>(), ptr::without_provenance_mut(log.len())];
        let mut handle = ptr::null_mut();
        let result = unsafe {
            let (options, values) = (options.as_mut_ptr(), values.as_mut_ptr());
            sys::cuModuleLoadDataEx(&mut handle, text.as_ptr().cast(), 2, options, values)
        };
        assert_eq!(result, sys::CUresult::CUDA_ERROR_INVALID_PTX);
        let said = CStr::from_bytes_until_nul(&log).unwrap().to_str().unwrap();
        let line = 1 + PTX.lines().position(|line| line.contains(".entry axpy")).unwrap();
        assert!(said.contains(&line.to_string()), "{said}");
        // What comes back as the size is each driver's own.
        assert!(on_gpu() || values[1].addr() == said.len() + 1);
    }

    fn a_cubin_is_refused() {
        let context = CudaContext::new(0).unwrap();
        let cubin = b"\x7fELF\x02\x01\x01 no machine code runs here".to_vec();
        let refused = context.load_module(Ptx::from_binary(cubin)).err().unwrap();
        assert_eq!(refused.0, sys::CUresult::CUDA_ERROR_INVALID_IMAGE);
    }

    fn libraries_are_modules_of_another_name() {
        let context = CudaContext::new(0).unwrap();
        context.bind_to_thread().unwrap();
        let text = CString::new(PTX).unwrap();
        let (mut library, mut kernel, mut function, mut count) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0);
        unsafe {
            let ((a, b), (c, d)) = ((ptr::null_mut(), ptr::null_mut()), (ptr::null_mut(), ptr::null_mut()));
            sys::cuLibraryLoadData(&mut library, text.as_ptr().cast(), a, b, 0, c, d, 0).result().unwrap();
            sys::cuLibraryGetKernelCount(&mut count, library).result().unwrap();
            sys::cuLibraryGetKernel(&mut kernel, library, c"member".as_ptr()).result().unwrap();
            sys::cuKernelGetFunction(&mut function, kernel).result().unwrap();
            let (mut offset, mut bytes) = (0, 0);
            sys::cuFuncGetParamInfo(function, 1, &mut offset, &mut bytes).result().unwrap();
            assert_eq!((offset, bytes), (8, 24));
            assert!(sys::cuFuncGetParamInfo(function, 2, &mut offset, &mut bytes).result().is_err());
            let mut name = ptr::null();
            sys::cuFuncGetName(&mut name, function).result().unwrap();
            assert_eq!(CStr::from_ptr(name), c"member");
            sys::cuLibraryUnload(library).result().unwrap();
            assert!(sys::cuFuncGetName(&mut name, function).result().is_err());
        }
        assert_eq!(count, PTX.matches(".entry").count() as u32);
    }
}
