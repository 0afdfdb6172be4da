//! Arrays, texture objects and surface objects through the driver's own functions.

use std::ffi::c_void;
use std::time::Duration;
use std::{mem, ptr, thread};

use cudarc::driver::sys::{self, CUarray_format as Format, CUmemorytype as Memory, CUresult};
use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg, result};
use cudarc::nvrtc::Ptx;

use crate::harness::{emulated, on_gpu, run};

/// `blend`: outᵢ = the texture at (xᵢ, 1.5, 1.0), of 2 or 3 dimensions; `twice`: doubles a row of a surface.
const TEXT: &str = r"
.version 8.0
.target sm_80
.address_size 64

.visible .entry plane(.param .u64 texture, .param .u64 out)
{
    .reg .b32 %t; .reg .b64 %o; .reg .b64 %out; .reg .f32 %x; .reg .f32 %y; .reg .f32 %a<4>;
    ld.param.u64 %o, [texture]; ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x; cvt.rn.f32.u32 %x, %t; mul.f32 %x, %x, 0f3F000000; mov.f32 %y, 0f3FC00000;
    tex.2d.v4.f32.f32 {%a0, %a1, %a2, %a3}, [%o, {%x, %y}];
    mad.wide.u32 %out, %t, 4, %out; st.global.f32 [%out], %a0;
    ret;
}

.visible .entry body(.param .u64 texture, .param .u64 out)
{
    .reg .b32 %t; .reg .b64 %o; .reg .b64 %out; .reg .f32 %x; .reg .f32 %y; .reg .f32 %z; .reg .f32 %a<4>;
    ld.param.u64 %o, [texture]; ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x; cvt.rn.f32.u32 %x, %t; mul.f32 %x, %x, 0f3F000000; mov.f32 %y, 0f3FC00000; mov.f32 %z, 0f3F800000;
    tex.3d.v4.f32.f32 {%a0, %a1, %a2, %a3}, [%o, {%x, %y, %z, %z}];
    mad.wide.u32 %out, %t, 4, %out; st.global.f32 [%out], %a0;
    ret;
}

.visible .entry twice(.param .u64 surface)
{
    .reg .b32 %x; .reg .b32 %y; .reg .b32 %v; .reg .b64 %o; .reg .f32 %f;
    ld.param.u64 %o, [surface];
    mov.u32 %x, %tid.x; shl.b32 %x, %x, 2; mov.u32 %y, 2;
    suld.b.2d.b32.trap {%v}, [%o, {%x, %y}];
    mov.b32 %f, %v; add.f32 %f, %f, %f; mov.b32 %v, %f;
    sust.b.2d.b32.trap [%o, {%x, %y}], {%v};
    ret;
}
";

const WIDTH: usize = 4;
const HEIGHT: usize = 3;
const DEPTH: usize = 2;

fn ok(code: CUresult) {
    assert_eq!(code, CUresult::CUDA_SUCCESS);
}

fn descriptor(depth: usize) -> sys::CUDA_ARRAY3D_DESCRIPTOR {
    sys::CUDA_ARRAY3D_DESCRIPTOR {
        Width: WIDTH,
        Height: HEIGHT,
        Depth: depth,
        Format: Format::CU_AD_FORMAT_FLOAT,
        NumChannels: 1,
        Flags: 2,
    }
}

/// A copy of whole slices from the host into an array.
fn slices(values: &[f32], to: sys::CUarray, depth: usize) -> sys::CUDA_MEMCPY3D {
    sys::CUDA_MEMCPY3D {
        srcXInBytes: 0,
        srcY: 0,
        srcZ: 0,
        srcLOD: 0,
        srcMemoryType: Memory::CU_MEMORYTYPE_HOST,
        srcHost: values.as_ptr().cast(),
        srcDevice: 0,
        srcArray: ptr::null_mut(),
        reserved0: ptr::null_mut(),
        srcPitch: 4 * WIDTH,
        srcHeight: HEIGHT,
        dstXInBytes: 0,
        dstY: 0,
        dstZ: 0,
        dstLOD: 0,
        dstMemoryType: Memory::CU_MEMORYTYPE_ARRAY,
        dstHost: ptr::null_mut(),
        dstDevice: 0,
        dstArray: to,
        reserved1: ptr::null_mut(),
        dstPitch: 0,
        dstHeight: 0,
        WidthInBytes: 4 * WIDTH,
        Height: HEIGHT,
        Depth: depth,
    }
}

/// An array with single numbers, for surfaces too.
fn array(depth: usize, values: &[f32]) -> sys::CUarray {
    let descriptor = descriptor(depth);
    let mut made = ptr::null_mut();
    ok(unsafe { sys::cuArray3DCreate_v2(&mut made, &descriptor) });
    ok(unsafe { sys::cuMemcpy3D_v2(&slices(values, made, depth.max(1))) });
    made
}

/// A copy within a plane from host to host, to be said otherwise.
fn copy() -> sys::CUDA_MEMCPY2D {
    sys::CUDA_MEMCPY2D {
        srcXInBytes: 0,
        srcY: 0,
        srcMemoryType: Memory::CU_MEMORYTYPE_HOST,
        srcHost: ptr::null(),
        srcDevice: 0,
        srcArray: ptr::null_mut(),
        srcPitch: 0,
        dstXInBytes: 0,
        dstY: 0,
        dstMemoryType: Memory::CU_MEMORYTYPE_HOST,
        dstHost: ptr::null_mut(),
        dstDevice: 0,
        dstArray: ptr::null_mut(),
        dstPitch: 0,
        WidthInBytes: 4 * WIDTH,
        Height: HEIGHT,
    }
}

fn of_array(array: sys::CUarray) -> sys::CUDA_RESOURCE_DESC {
    let mut resource: sys::CUDA_RESOURCE_DESC = unsafe { mem::zeroed() };
    resource.resType = sys::CUresourcetype::CU_RESOURCE_TYPE_ARRAY;
    resource.res.array.hArray = array;
    resource
}

/// A texture that weights, and clamps coordinates.
fn texture(resource: &sys::CUDA_RESOURCE_DESC) -> u64 {
    let mut descriptor: sys::CUDA_TEXTURE_DESC = unsafe { mem::zeroed() };
    descriptor.addressMode = [sys::CUaddress_mode::CU_TR_ADDRESS_MODE_CLAMP; 3];
    descriptor.filterMode = sys::CUfilter_mode::CU_TR_FILTER_MODE_LINEAR;
    let mut object = 0;
    ok(unsafe { sys::cuTexObjectCreate(&mut object, resource, &descriptor, ptr::null()) });
    object
}

fn one_block(threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// Halves between the columns of the second row: x = 0, 0.5, 1, ...
const BLENDED: [f32; 8] = [5.0, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0];

emulated! {
    fn textures_of_arrays_and_of_rows_in_memory() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let module = context.load_module(Ptx::from_src(TEXT)).unwrap();
        let values: Vec<f32> = (1..=24).map(|i| i as f32).collect();
        let mut out = stream.alloc_zeros::<f32>(8).unwrap();
        let mut fetch = |kernel: &str, object: u64| {
            let kernel = module.load_function(kernel).unwrap();
            unsafe { stream.launch_builder(&kernel).arg(&object).arg(&mut out).launch(one_block(8)) }.unwrap();
            let found = stream.clone_dtoh(&out).unwrap();
            ok(unsafe { sys::cuTexObjectDestroy(object) });
            found
        };
        let plane = array(0, &values[..12]);
        assert_eq!(fetch("plane", texture(&of_array(plane))), BLENDED);
        let body = array(DEPTH, &values);
        // Between the two slices, 12 apart.
        assert_eq!(fetch("body", texture(&of_array(body))), BLENDED.map(|x| x + 6.0));
        let (mut address, mut pitch) = (0, 0);
        ok(unsafe { sys::cuMemAllocPitch_v2(&mut address, &mut pitch, 4 * WIDTH, HEIGHT, 4) });
        let mut copy = copy();
        (copy.srcMemoryType, copy.srcArray) = (Memory::CU_MEMORYTYPE_ARRAY, plane);
        (copy.dstMemoryType, copy.dstDevice, copy.dstPitch) = (Memory::CU_MEMORYTYPE_DEVICE, address, pitch);
        ok(unsafe { sys::cuMemcpy2D_v2(&copy) });
        let mut resource: sys::CUDA_RESOURCE_DESC = unsafe { mem::zeroed() };
        resource.resType = sys::CUresourcetype::CU_RESOURCE_TYPE_PITCH2D;
        let rows = unsafe { &mut resource.res.pitch2D };
        (rows.devPtr, rows.format, rows.numChannels) = (address, Format::CU_AD_FORMAT_FLOAT, 1);
        (rows.width, rows.height, rows.pitchInBytes) = (WIDTH, HEIGHT, pitch);
        assert_eq!(fetch("plane", texture(&resource)), BLENDED);
        ok(unsafe { sys::cuMemFree_v2(address) });
        for array in [plane, body] {
            ok(unsafe { sys::cuArrayDestroy(array) });
        }
    }

    fn surfaces_of_arrays_are_written() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let module = context.load_module(Ptx::from_src(TEXT)).unwrap();
        let values: Vec<f32> = (1..=12).map(|i| i as f32).collect();
        let array = array(0, &values);
        let mut object = 0;
        ok(unsafe { sys::cuSurfObjectCreate(&mut object, &of_array(array)) });
        let twice = module.load_function("twice").unwrap();
        unsafe { stream.launch_builder(&twice).arg(&object).launch(one_block(4)) }.unwrap();
        stream.synchronize().unwrap();
        let mut row = [0.0_f32; WIDTH];
        let mut copy = copy();
        (copy.srcMemoryType, copy.srcArray, copy.srcY) = (Memory::CU_MEMORYTYPE_ARRAY, array, 2);
        (copy.dstMemoryType, copy.dstHost) = (Memory::CU_MEMORYTYPE_HOST, row.as_mut_ptr().cast());
        copy.Height = 1;
        ok(unsafe { sys::cuMemcpy2D_v2(&copy) });
        assert_eq!(row, [18.0, 20.0, 22.0, 24.0]);
        let mut back = descriptor(1);
        ok(unsafe { sys::cuArray3DGetDescriptor_v2(&mut back, array) });
        assert_eq!((back.Width, back.Height, back.Depth, back.Flags), (WIDTH, HEIGHT, 0, 2));
        copy.srcY = 3;
        assert_eq!(unsafe { sys::cuMemcpy2D_v2(&copy) }, CUresult::CUDA_ERROR_INVALID_VALUE);
        ok(unsafe { sys::cuSurfObjectDestroy(object) });
        ok(unsafe { sys::cuArrayDestroy(array) });
    }

    fn kernels_find_objects_that_are_destroyed_behind_them() {
        if on_gpu() {
            return println!("skipped on a GPU: nothing says that it waits");
        }
        unsafe extern "C" fn rest(_data: *mut c_void) {
            thread::sleep(Duration::from_millis(50));
        }
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let module = context.load_module(Ptx::from_src(TEXT)).unwrap();
        let array = array(0, &(1..=12).map(|i| i as f32).collect::<Vec<_>>());
        let object = texture(&of_array(array));
        let mut out = stream.alloc_zeros::<f32>(8).unwrap();
        let plane = module.load_function("plane").unwrap();
        unsafe { result::stream::launch_host_function(stream.cu_stream(), rest, ptr::null_mut()) }.unwrap();
        unsafe { stream.launch_builder(&plane).arg(&object).arg(&mut out).launch(one_block(8)) }.unwrap();
        ok(unsafe { sys::cuTexObjectDestroy(object) });
        assert_eq!(stream.clone_dtoh(&out).unwrap(), BLENDED);
        ok(unsafe { sys::cuArrayDestroy(array) });
    }

    fn what_the_driver_checks_of_rows_is_checked() {
        let _context = CudaContext::new(0).unwrap();
        let invalid = CUresult::CUDA_ERROR_INVALID_VALUE;
        let values = [0.0_f32; 40];
        let array = array(2, &values[..24]);
        let mut copy = copy();
        (copy.srcHost, copy.srcPitch) = (values.as_ptr().cast(), 4 * WIDTH);
        (copy.dstMemoryType, copy.dstArray) = (Memory::CU_MEMORYTYPE_ARRAY, array);
        ok(unsafe { sys::cuMemcpy2D_v2(&copy) });
        // The row begins at its second number, and so needs more than the distance of the rows.
        copy.srcXInBytes = 4;
        assert_eq!(unsafe { sys::cuMemcpy2D_v2(&copy) }, invalid);
        copy.WidthInBytes -= 4;
        ok(unsafe { sys::cuMemcpy2D_v2(&copy) });
        copy.WidthInBytes -= 2;
        assert_eq!(unsafe { sys::cuMemcpy2D_v2(&copy) }, invalid, "half a texel");
        let mut slices = slices(&values, array, 2);
        slices.srcY = 1;
        assert_eq!(unsafe { sys::cuMemcpy3D_v2(&slices) }, invalid);
        slices.srcHeight = HEIGHT + 1;
        ok(unsafe { sys::cuMemcpy3D_v2(&slices) });
        let (mut address, mut pitch) = (0, 0);
        ok(unsafe { sys::cuMemAllocPitch_v2(&mut address, &mut pitch, 4 * WIDTH, 2 * HEIGHT, 4) });
        let mut descriptor: sys::CUDA_TEXTURE_DESC = unsafe { mem::zeroed() };
        descriptor.filterMode = sys::CUfilter_mode::CU_TR_FILTER_MODE_POINT;
        for (begin, width, pitch, wanted) in [
            (0, WIDTH, pitch, CUresult::CUDA_SUCCESS),
            (pitch, WIDTH, 32, CUresult::CUDA_SUCCESS),
            (16, WIDTH, pitch, invalid),
            (0, WIDTH, 48, invalid),
            (0, 9, 32, invalid),
        ] {
            let mut resource: sys::CUDA_RESOURCE_DESC = unsafe { mem::zeroed() };
            resource.resType = sys::CUresourcetype::CU_RESOURCE_TYPE_PITCH2D;
            let rows = unsafe { &mut resource.res.pitch2D };
            (rows.devPtr, rows.format, rows.numChannels) = (address + begin as u64, Format::CU_AD_FORMAT_FLOAT, 1);
            (rows.width, rows.height, rows.pitchInBytes) = (width, HEIGHT, pitch);
            let mut object = 0;
            let made = unsafe { sys::cuTexObjectCreate(&mut object, &resource, &descriptor, ptr::null()) };
            assert_eq!(made, wanted, "{begin} {width} {pitch}");
            if made == CUresult::CUDA_SUCCESS {
                ok(unsafe { sys::cuTexObjectDestroy(object) });
            }
        }
        ok(unsafe { sys::cuMemFree_v2(address) });
        ok(unsafe { sys::cuArrayDestroy(array) });
    }

    fn other_kinds_of_textures_are_not_there() {
        if on_gpu() {
            return;
        }
        let _context = CudaContext::new(0).unwrap();
        let mut descriptor = descriptor(4);
        descriptor.Flags = 1;
        let mut made = ptr::null_mut();
        assert_eq!(unsafe { sys::cuArray3DCreate_v2(&mut made, &descriptor) }, CUresult::CUDA_ERROR_NOT_SUPPORTED);
        descriptor.Flags = 0;
        descriptor.NumChannels = 3;
        assert_eq!(unsafe { sys::cuArray3DCreate_v2(&mut made, &descriptor) }, CUresult::CUDA_ERROR_INVALID_VALUE);
    }
}

#[test]
fn what_is_not_there_is_named() {
    if on_gpu() {
        return;
    }
    let printed = run(module_path!(), "other_kinds_of_textures_are_not_there", &[]);
    assert!(printed.err.contains("layered arrays (array flag 0x1)"), "{}", printed.err);
    assert!(printed.err.contains("3 channels; legal are 1, 2 and 4"), "{}", printed.err);
}
