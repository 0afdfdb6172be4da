//! Modules: texts, files, variables, logs, and images that are no text.

use std::ffi::{CStr, CString, c_void};
use std::fs;
use std::ptr;

use cudarc::driver::sys::CUresult;
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

    /// Texts are put together, one with what another declares, and the image is loaded like any other.
    fn texts_are_linked() {
        let context = CudaContext::new(0).unwrap();
        context.bind_to_thread().unwrap();
        let head = ".version 9.0\n.target sm_80\n.address_size 64\n";
        let declared = ".func (.param .b32 r) five()";
        let texts = [
            format!("{head}.extern {declared};\n.visible .entry kernel(.param .u64 p)\n{{\n .reg .b64 %p; .reg .b32 %w;\n ld.param.u64 %p, [p];\n \
                {{ .param .b32 r; call.uni (r), five, (); ld.param.b32 %w, [r]; }}\n st.global.u32 [%p], %w; ret;\n}}\n"),
            format!("{head}.visible {declared} {{ st.param.b32 [r], 5; ret; }}\n"),
        ];
        let (mut link, mut image, mut bytes, none) = (ptr::null_mut(), ptr::null_mut(), 0, ptr::null_mut());
        let kind = sys::CUjitInputType::CU_JIT_INPUT_PTX;
        unsafe {
            sys::cuLinkCreate_v2(0, ptr::null_mut(), none, &mut link).result().unwrap();
            for text in texts {
                let data = CString::new(text).unwrap();
                let len = data.as_bytes_with_nul().len();
                let data = data.as_ptr().cast_mut().cast();
                sys::cuLinkAddData_v2(link, kind, data, len, c"text".as_ptr(), 0, ptr::null_mut(), none).result().unwrap();
            }
            sys::cuLinkComplete(link, &mut image, &mut bytes).result().unwrap();
        }
        let image = unsafe { std::slice::from_raw_parts(image.cast::<u8>(), bytes) }.to_vec();
        unsafe { sys::cuLinkDestroy(link) }.result().unwrap();
        let kernel = context.load_module(Ptx::from_binary(image)).unwrap().load_function("kernel").unwrap();
        let stream = context.default_stream();
        let mut out = stream.alloc_zeros::<u32>(1).unwrap();
        unsafe { stream.launch_builder(&kernel).arg(&mut out).launch(linear(1, 1)) }.unwrap();
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [5]);
    }

    /// A program whose default streams are those of its threads asks for other forms of the functions.
    fn default_streams_of_threads_are_found() {
        let context = CudaContext::new(0).unwrap();
        context.bind_to_thread().unwrap();
        let find = |flags| {
            let (mut function, mut status) = (ptr::null_mut(), sys::CUdriverProcAddressQueryResult::CU_GET_PROC_ADDRESS_SUCCESS);
            let found = unsafe {
                sys::cuGetProcAddress_v2(c"cuStreamGetId".as_ptr(), &mut function, 13_000, flags, &mut status)
            };
            found.result().unwrap();
            unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void, &mut u64) -> CUresult>(function) }
        };
        let id = |get: extern "C" fn(*mut c_void, &mut u64) -> CUresult, stream: usize| {
            let mut id = 0;
            get(ptr::without_provenance_mut(stream), &mut id).result().unwrap();
            id
        };
        let (plain, threads) = (find(0), find(2));
        assert_eq!(id(threads, 0), id(plain, 2));
        assert_eq!(id(plain, 0), id(plain, 1));
        assert_ne!(id(plain, 0), id(threads, 0));
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
