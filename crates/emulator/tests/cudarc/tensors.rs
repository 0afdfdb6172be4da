//! Descriptions of tensors, as bulk copies take them.

use std::ffi::c_void;
use std::{mem, ptr};

use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{CudaContext, DevicePtr, DeviceRepr, PushKernelArg};
use cudarc::nvrtc::Ptx;

use crate::harness::emulated;
use crate::kernels::linear;

/// `tile`: copies the box of 8 rows of 16 floats at (x, y) to shared memory, and from there to `out`.
const PTX: &str = r"
.version 8.0
.target sm_90
.address_size 64

.visible .entry tile(.param .align 64 .b8 map[128], .param .u64 out, .param .u32 x, .param .u32 y)
{
    .reg .pred %p<3>;
    .reg .b32 %r<9>;
    .reg .b64 %rd<7>;
    .shared .align 128 .b8 box[512];
    .shared .align 8 .b64 full;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [x];
    ld.param.u32 %r2, [y];
    mov.u32 %r3, %tid.x;
    mov.u32 %r4, box;
    mov.u32 %r5, full;
    setp.ne.u32 %p1, %r3, 0;
    @%p1 bra STARTED;
    mbarrier.init.shared::cta.b64 [%r5], 1;
    fence.proxy.async;
    mbarrier.arrive.expect_tx.shared::cta.b64 %rd2, [%r5], 512;
    mov.b64 %rd3, map;
    cvta.param.u64 %rd4, %rd3;
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r4], [%rd4, {%r1, %r2}], [%r5];
STARTED:
    bar.sync 0;
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r5], 0;
    @!%p2 bra WAIT;
    shl.b32 %r6, %r3, 2;
    add.s32 %r7, %r4, %r6;
    ld.shared.u32 %r8, [%r7];
    mul.wide.u32 %rd5, %r3, 4;
    add.s64 %rd6, %rd1, %rd5;
    st.global.u32 [%rd6], %r8;
    ret;
}
";

#[repr(transparent)]
#[derive(Clone, Copy)]
struct Map(sys::CUtensorMap);

unsafe impl DeviceRepr for Map {}

/// Describes floats in rows of `extents[0]`, in boxes of 16 by 8.
fn describe(address: u64, extents: [u64; 2], stride: u64) -> Result<Map, CUresult> {
    let mut map = Map(unsafe { mem::zeroed() });
    let result = unsafe {
        sys::cuTensorMapEncodeTiled(
            &mut map.0,
            sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
            2,
            ptr::with_exposed_provenance_mut::<c_void>(address as usize),
            extents.as_ptr(),
            [stride].as_ptr(),
            [16, 8].as_ptr(),
            [1, 1].as_ptr(),
            sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_NONE,
            sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_NONE,
            sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    if result == CUresult::CUDA_SUCCESS { Ok(map) } else { Err(result) }
}

emulated! {
    /// The box hangs over the right and lower edge, where zeros come.
    fn a_box_of_a_described_tensor_is_copied() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let module = context.load_module(Ptx::from_src(PTX)).unwrap();
        let tile = module.load_function("tile").unwrap();
        let (width, height) = (40, 20);
        let matrix: Vec<f32> = (0..width * height).map(|i| i as f32 + 1.0).collect();
        let source = stream.clone_htod(&matrix).unwrap();
        let mut out = stream.alloc_zeros::<f32>(16 * 8).unwrap();
        let map = describe(source.device_ptr(&stream).0, [width as u64, height as u64], 4 * width as u64).unwrap();
        for (x, y) in [(0, 0), (8, 5), (32, 15)] {
            let mut launch = stream.launch_builder(&tile);
            launch.arg(&map).arg(&mut out).arg(&x).arg(&y);
            unsafe { launch.launch(linear(1, 128)) }.unwrap();
            let expected = (0..8).flat_map(|row| (0..16).map(move |column| (x + column, y + row)));
            let expected = expected.map(|(x, y): (i32, i32)| {
                let (x, y) = (x as usize, y as usize);
                if x < width && y < height { matrix[y * width + x] } else { 0.0 }
            });
            assert_eq!(stream.clone_dtoh(&out).unwrap(), expected.collect::<Vec<_>>(), "({x}, {y})");
        }
        // 28 bytes are no multiple of 16, and the error stays.
        unsafe { stream.launch_builder(&tile).arg(&map).arg(&mut out).arg(&7).arg(&0).launch(linear(1, 128)) }
            .and_then(|_| stream.synchronize())
            .unwrap_err();
        assert_eq!(stream.synchronize().unwrap_err().0, CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION);
        let strides = describe(source.device_ptr(&stream).0, [width as u64, height as u64], 20);
        assert_eq!(strides.err(), Some(CUresult::CUDA_ERROR_INVALID_VALUE));
    }
}
