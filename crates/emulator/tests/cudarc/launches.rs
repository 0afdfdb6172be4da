//! Launches: parameters, shared memory, limits, clusters, occupancy.

use std::ffi::c_void;
use std::ptr;

use cudarc::driver::sys::{CUfunction_attribute as Attribute, CUresult};
use cudarc::driver::{CudaContext, DevicePtrMut, DeviceRepr, LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;

use crate::harness::{emulated, on_gpu, run};
use crate::kernels::{CLUSTER_PTX, function, linear};

const MOST_SHARED: Attribute = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;

#[repr(C)]
#[derive(Clone, Copy)]
struct Member {
    count: u32,
    value: f64,
    tag: u8,
}

unsafe impl DeviceRepr for Member {}

emulated! {
    fn parameters_of_all_kinds_arrive() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let member = function(&context, "member");
        let mut out = stream.alloc_zeros::<f64>(1).unwrap();
        let value = Member { count: 3, value: 0.25, tag: 200 };
        unsafe { stream.launch_builder(&member).arg(&mut out).arg(&value).launch(linear(1, 1)) }.unwrap();
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [203.25]);
    }

    fn parameters_can_come_in_one_buffer() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let member = function(&context, "member");
        let mut out = stream.alloc_zeros::<f64>(1).unwrap();
        let mut buffer = [0_u8; 32];
        buffer[..8].copy_from_slice(&out.device_ptr_mut(&stream).0.to_ne_bytes());
        buffer[8..12].copy_from_slice(&5_u32.to_ne_bytes());
        buffer[16..24].copy_from_slice(&0.5_f64.to_ne_bytes());
        buffer[24] = 1;
        let mut size = buffer.len();
        let mark = ptr::without_provenance_mut::<c_void>;
        let mut extra = [mark(1), buffer.as_mut_ptr().cast(), mark(2), (&raw mut size).cast(), mark(0)];
        let handle = member.cu_function();
        let launch = |extra: *mut *mut c_void| unsafe {
            sys::cuLaunchKernel(handle, 1, 1, 1, 1, 1, 1, 0, stream.cu_stream(), ptr::null_mut(), extra)
        };
        assert_eq!(launch(extra.as_mut_ptr()), CUresult::CUDA_SUCCESS);
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [6.5]);
        assert_eq!(launch(ptr::null_mut()), CUresult::CUDA_ERROR_INVALID_VALUE);
    }

    fn large_shared_memory_must_be_asked_for() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let reverse = function(&context, "reverse");
        let n = 25_000_u32;
        let input = stream.clone_htod(&(0..n).collect::<Vec<u32>>()).unwrap();
        let mut out = stream.alloc_zeros::<u32>(n as usize).unwrap();
        let config = LaunchConfig { shared_mem_bytes: 4 * n, ..linear(1, 256) };
        let mut launch = stream.launch_builder(&reverse);
        launch.arg(&input).arg(&mut out).arg(&n);
        let refused = unsafe { launch.launch(config) }.unwrap_err();
        assert_eq!(refused.0, CUresult::CUDA_ERROR_INVALID_VALUE);
        reverse.set_attribute(MOST_SHARED, 4 * n as i32).unwrap();
        assert_eq!(reverse.get_attribute(MOST_SHARED).unwrap(), 4 * n as i32);
        unsafe { launch.launch(config) }.unwrap();
        assert_eq!(stream.clone_dtoh(&out).unwrap(), (0..n).rev().collect::<Vec<u32>>());
        assert!(reverse.set_attribute(MOST_SHARED, 1 << 20).is_err());
    }

    fn impossible_extents_are_refused_and_do_no_harm() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let axpy = function(&context, "axpy");
        let x = stream.clone_htod(&[1.0_f32; 4]).unwrap();
        let mut y = stream.alloc_zeros::<f32>(4).unwrap();
        let mut launch = stream.launch_builder(&axpy);
        launch.arg(&x).arg(&mut y).arg(&1.0_f32).arg(&4_u32);
        for (grid_dim, block_dim) in [
            ((0, 1, 1), (1, 1, 1)),
            ((1, 1, 1), (0, 1, 1)),
            ((1, 1, 1), (1025, 1, 1)),
            ((1, 1, 1), (1, 1, 65)),
            ((1, 1, 1), (32, 33, 1)),
            ((1, 65_536, 1), (1, 1, 1)),
        ] {
            let config = LaunchConfig { grid_dim, block_dim, shared_mem_bytes: 0 };
            let refused = unsafe { launch.launch(config) }.unwrap_err();
            assert_eq!(refused.0, CUresult::CUDA_ERROR_INVALID_VALUE, "{config:?}");
        }
        unsafe { launch.launch(linear(1, 4)) }.unwrap();
        assert_eq!(stream.clone_dtoh(&y).unwrap(), [1.0; 4]);
    }

    fn clusters_are_an_attribute_of_a_launch() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let module = context.load_module(Ptx::from_src(CLUSTER_PTX)).unwrap();
        let ranks = module.load_function("ranks").unwrap();
        let mut out = stream.alloc_zeros::<u32>(8).unwrap();
        let mut address = out.device_ptr_mut(&stream).0;
        let mut cluster: sys::CUlaunchAttribute = unsafe { std::mem::zeroed() };
        cluster.id = sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        let mut launch = |blocks: u32, extent: u32| {
            cluster.value.clusterDim.x = extent;
            cluster.value.clusterDim.y = 1;
            cluster.value.clusterDim.z = 1;
            let config = sys::CUlaunchConfig {
                gridDimX: blocks,
                gridDimY: 1,
                gridDimZ: 1,
                blockDimX: 32,
                blockDimY: 1,
                blockDimZ: 1,
                sharedMemBytes: 0,
                hStream: stream.cu_stream(),
                attrs: &raw mut cluster,
                numAttrs: 1,
            };
            let mut params = [(&raw mut address).cast::<c_void>()];
            unsafe { sys::cuLaunchKernelEx(&config, ranks.cu_function(), params.as_mut_ptr(), ptr::null_mut()) }
        };
        assert_eq!(launch(8, 4), CUresult::CUDA_SUCCESS);
        assert!(launch(6, 4).result().is_err());
        assert!(launch(32, 32).result().is_err());
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [0, 1, 2, 3, 0, 1, 2, 3]);
    }

    fn a_kernel_may_require_its_clusters() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let text = CLUSTER_PTX.replace("(.param .u64 out)", "(.param .u64 out) .reqnctapercluster 2");
        let ranks = context.load_module(Ptx::from_src(text)).unwrap().load_function("ranks").unwrap();
        let width = Attribute::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH;
        assert_eq!(ranks.get_attribute(width).unwrap(), 2);
        let refused = ranks.set_attribute(width, 4).unwrap_err();
        assert_eq!(refused.0, CUresult::CUDA_ERROR_NOT_PERMITTED);
        let mut out = stream.alloc_zeros::<u32>(4).unwrap();
        unsafe { stream.launch_builder(&ranks).arg(&mut out).launch(linear(4, 32)) }.unwrap();
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [0, 1, 0, 1]);
        let refused = unsafe { stream.launch_builder(&ranks).arg(&mut out).launch(linear(3, 32)) }.unwrap_err();
        assert_eq!(refused.0, CUresult::CUDA_ERROR_INVALID_CLUSTER_SIZE);
    }

    fn a_cooperative_grid_must_fit_at_once() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let axpy = function(&context, "axpy");
        let x = stream.clone_htod(&[1.0_f32; 64]).unwrap();
        let mut y = stream.alloc_zeros::<f32>(64).unwrap();
        let mut launch = stream.launch_builder(&axpy);
        launch.arg(&x).arg(&mut y).arg(&1.0_f32).arg(&64_u32);
        unsafe { launch.launch_cooperative(linear(2, 32)) }.unwrap();
        let refused = unsafe { launch.launch_cooperative(linear(100_000, 1024)) }.unwrap_err();
        assert_eq!(refused.0, CUresult::CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
        assert_eq!(stream.clone_dtoh(&y).unwrap(), [1.0; 64]);
    }

    fn occupancy_follows_threads_and_shared_memory() {
        extern "C" fn none(_threads: i32) -> usize {
            0
        }
        let context = CudaContext::new(0).unwrap();
        let axpy = function(&context, "axpy");
        let blocks = |threads, shared| {
            axpy.occupancy_max_active_blocks_per_multiprocessor(threads, shared, None).unwrap()
        };
        assert_eq!(blocks(1024, 0), 2);
        assert!(blocks(64, 40 << 10) <= 5);
        let (grid, block) = axpy.occupancy_max_potential_block_size(none, 0, 0, None).unwrap();
        assert!(grid > 0 && block.is_multiple_of(32) && block <= 1024);
        assert!(axpy.occupancy_available_dynamic_smem_per_block(1, 256).unwrap() >= 48 << 10);
        assert_eq!(axpy.max_threads_per_block().unwrap(), 1024);
        assert!((1..=255).contains(&axpy.num_regs().unwrap()));
        assert_eq!(axpy.ptx_version().unwrap(), 80);
    }
}

#[test]
fn counters_are_printed_when_asked_for() {
    let printed = run(module_path!(), "a_cooperative_grid_must_fit_at_once", &[("YURAGI_EMULATOR_COUNTERS", "1")]);
    if on_gpu() {
        return;
    }
    assert!(printed.passed, "{}{}", printed.out, printed.err);
    assert!(printed.err.contains("yuragi-emulator: axpy, 2×1×1 blocks of 32×1×1 threads"), "{}", printed.err);
    assert!(printed.err.contains("sectors"), "{}", printed.err);
}
