//! Memory: device, pinned and managed, copies and fills.

use std::ffi::c_void;
use std::ptr;

use cudarc::driver::{CudaContext, DevicePtr, DevicePtrMut, PushKernelArg, result, sys};

use crate::harness::emulated;
use crate::kernels::{function, linear};

emulated! {
    fn a_context_describes_its_device() {
        assert!(unsafe { sys::is_culib_present() });
        let context = CudaContext::new(0).unwrap();
        assert_eq!(CudaContext::device_count().unwrap(), 1);
        assert!(CudaContext::new(1).is_err());
        assert!(!context.name().unwrap().is_empty());
        let (major, _) = context.compute_capability().unwrap();
        assert!(major >= 8);
        let (free, total) = context.mem_get_info().unwrap();
        assert!(free <= total && total == context.total_mem().unwrap());
        assert!(context.has_async_alloc());
        let warp = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE;
        assert_eq!(context.attribute(warp).unwrap(), 32);
        assert_ne!(context.uuid().unwrap().bytes, [0; 16]);
    }

    fn bytes_go_there_and_back() {
        let context = CudaContext::new(0).unwrap();
        for stream in [context.default_stream(), context.new_stream().unwrap(), context.per_thread_stream()] {
            let host: Vec<f32> = (0..1000).map(|i| i as f32).collect();
            let device = stream.clone_htod(&host).unwrap();
            let mut copy = stream.alloc_zeros::<f32>(1000).unwrap();
            assert_eq!(stream.clone_dtoh(&copy).unwrap(), vec![0.0; 1000]);
            stream.memcpy_dtod(&device.slice(10..20), &mut copy.slice_mut(990..1000)).unwrap();
            let back = stream.clone_dtoh(&copy).unwrap();
            assert_eq!((&back[..990], &back[990..]), (&[0.0; 990][..], &host[10..20]));
        }
    }

    fn memory_in_use_is_counted_until_it_is_freed() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let (before, _) = context.mem_get_info().unwrap();
        let big = stream.alloc_zeros::<u8>(100 << 20).unwrap();
        context.synchronize().unwrap();
        let (during, _) = context.mem_get_info().unwrap();
        assert!(before - during >= 100 << 20);
        drop(big);
        context.synchronize().unwrap();
        assert!(unsafe { stream.alloc::<u8>(1 << 50) }.is_err());
        let empty = stream.null::<f32>().unwrap();
        assert!(empty.is_empty());
        drop(empty);
        context.check_err().unwrap();
    }

    fn pinned_memory_is_a_source_and_a_target() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let mut pinned = unsafe { context.alloc_pinned::<u32>(300) }.unwrap();
        pinned.as_mut_slice().unwrap().iter_mut().enumerate().for_each(|(i, v)| *v = i as u32);
        let device = stream.clone_htod(&pinned).unwrap();
        pinned.as_mut_slice().unwrap().fill(0);
        stream.memcpy_dtoh(&device, &mut pinned).unwrap();
        assert!(pinned.as_slice().unwrap().iter().enumerate().all(|(i, &v)| v == i as u32));
    }

    fn kernels_see_managed_and_pinned_memory() {
        let context = CudaContext::new(0).unwrap();
        let axpy = function(&context, "axpy");
        let stream = context.default_stream();
        let mut x = unsafe { context.alloc_unified::<f32>(100, true) }.unwrap();
        let mut y = unsafe { context.alloc_pinned::<f32>(100) }.unwrap();
        x.as_mut_slice().unwrap().iter_mut().enumerate().for_each(|(i, v)| *v = i as f32);
        y.as_mut_slice().unwrap().fill(1.0);
        let y_address = y.as_mut_ptr().unwrap() as u64;
        let mut launch = stream.launch_builder(&axpy);
        launch.arg(&mut x).arg(&y_address).arg(&2.0_f32).arg(&100_u32);
        unsafe { launch.launch(linear(1, 128)) }.unwrap();
        stream.synchronize().unwrap();
        assert!(y.as_slice().unwrap().iter().enumerate().all(|(i, &v)| v == 1.0 + 2.0 * i as f32));
        stream.memset_zeros(&mut x).unwrap();
        stream.synchronize().unwrap();
        assert_eq!(x.as_slice().unwrap(), [0.0; 100]);
    }

    fn fills_have_three_widths_and_rows() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let mut bytes = stream.alloc_zeros::<u8>(64).unwrap();
        let handle = stream.cu_stream();
        {
            let (address, _record) = bytes.device_ptr_mut(&stream);
            unsafe {
                sys::cuMemsetD16Async(address, 0x0201, 4, handle).result().unwrap();
                sys::cuMemsetD32Async(address + 8, 0x0605_0403, 2, handle).result().unwrap();
                sys::cuMemsetD2D8Async(address + 16, 16, 9, 3, 2, handle).result().unwrap();
                assert!(sys::cuMemsetD32Async(address + 2, 0, 1, handle).result().is_err());
                assert!(sys::cuMemsetD8Async(address, 0, 65, handle).result().is_err());
            }
        }
        let host = stream.clone_dtoh(&bytes).unwrap();
        let mut expected = [0; 64];
        expected[..16].copy_from_slice(&[1, 2, 1, 2, 1, 2, 1, 2, 3, 4, 5, 6, 3, 4, 5, 6]);
        expected[16..19].fill(9);
        expected[32..35].fill(9);
        assert_eq!(host, expected);
    }

    fn rectangles_are_copied_row_by_row() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let device = stream.clone_htod(&(0..100).collect::<Vec<u8>>()).unwrap();
        let mut host = [0_u8; 12];
        let mut copy = sys::CUDA_MEMCPY2D {
            srcXInBytes: 3,
            srcY: 2,
            srcMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_DEVICE,
            srcHost: ptr::null(),
            srcDevice: device.device_ptr(&stream).0,
            srcArray: ptr::null_mut(),
            srcPitch: 10,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_HOST,
            dstHost: host.as_mut_ptr().cast(),
            dstDevice: 0,
            dstArray: ptr::null_mut(),
            dstPitch: 4,
            WidthInBytes: 3,
            Height: 3,
        };
        unsafe { sys::cuMemcpy2D_v2(&copy) }.result().unwrap();
        assert_eq!(host, [23, 24, 25, 0, 33, 34, 35, 0, 43, 44, 45, 0]);
        copy.Height = 9;
        assert!(unsafe { sys::cuMemcpy2D_v2(&copy) }.result().is_err(), "past the end of the source");
    }

    fn addresses_tell_what_they_are() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let device = stream.alloc_zeros::<u32>(64).unwrap();
        let address = device.device_ptr(&stream).0;
        let (mut base, mut bytes, mut kind) = (0, 0, 0_u32);
        unsafe {
            sys::cuMemGetAddressRange_v2(&mut base, &mut bytes, address + 40).result().unwrap();
            let memory_type = sys::CUpointer_attribute::CU_POINTER_ATTRIBUTE_MEMORY_TYPE;
            sys::cuPointerGetAttribute((&raw mut kind).cast(), memory_type, address).result().unwrap();
        }
        assert_eq!((base, bytes >= 256), (address, true));
        assert_eq!(kind, sys::CUmemorytype::CU_MEMORYTYPE_DEVICE as u32);
    }

    fn pools_count_what_is_allocated_from_them() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let pool = unsafe { result::device::get_default_mem_pool(context.cu_device()) }.unwrap();
        let used = || {
            let mut bytes = 0_u64;
            let kind = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT;
            unsafe { result::mem_pool::get_attribute(pool, kind, (&raw mut bytes).cast::<c_void>()) }.unwrap();
            bytes
        };
        let before = used();
        let slice = stream.alloc_zeros::<u8>(4096).unwrap();
        stream.synchronize().unwrap();
        assert!(used() >= before + 4096);
        drop(slice);
        stream.synchronize().unwrap();
        assert_eq!(used(), before);
        let address = unsafe { result::mem_pool::alloc_async(pool, 100, stream.cu_stream()) }.unwrap();
        unsafe { result::free_async(address, stream.cu_stream()) }.unwrap();
        unsafe { result::mem_pool::trim_to(pool, 0) }.unwrap();
    }

    fn memory_can_be_used_from_many_threads() {
        let context = CudaContext::new(0).unwrap();
        let axpy = function(&context, "axpy");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (context, axpy) = (&context, &axpy);
                scope.spawn(move || {
                    let stream = context.new_stream().unwrap();
                    let x = stream.clone_htod(&[thread as f32; 200]).unwrap();
                    let mut y = stream.alloc_zeros::<f32>(200).unwrap();
                    for _ in 0..20 {
                        let mut launch = stream.launch_builder(axpy);
                        launch.arg(&x).arg(&mut y).arg(&1.0_f32).arg(&200_u32);
                        unsafe { launch.launch(linear(2, 128)) }.unwrap();
                    }
                    assert_eq!(stream.clone_dtoh(&y).unwrap(), [20.0 * thread as f32; 200]);
                });
            }
        });
        context.check_err().unwrap();
    }
}
