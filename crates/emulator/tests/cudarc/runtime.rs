//! The CUDA runtime that the library poses as, called as a program that `nvcc -cudart shared` made calls it.
//! This program holds it already, so nothing is started again.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use crate::harness::on_gpu;

/// `scaled`: xᵢ ← factor · xᵢ for i < n, and counts its threads.
const TEXT: &[u8] = b".version 8.0
.target sm_80
.address_size 64
.visible .const .align 4 .b8 factor[8];
.visible .global .align 4 .u32 count;

.visible .entry scaled(.param .u64 x, .param .u32 n)
{
    .reg .b32 %r<4>; .reg .b64 %l<3>; .reg .f32 %f<3>; .reg .pred %p;
    ld.param.u64 %l1, [x]; ld.param.u32 %r1, [n];
    mov.u32 %r2, %tid.x;
    red.global.add.u32 [count], 1;
    setp.ge.u32 %p, %r2, %r1;
    @%p ret;
    mad.wide.u32 %l2, %r2, 4, %l1;
    ld.global.f32 %f1, [%l2]; ld.const.f32 %f2, [factor];
    mul.f32 %f1, %f1, %f2;
    st.global.f32 [%l2], %f1;
    ret;
}
";

#[repr(C)]
#[derive(Clone, Copy)]
struct Extents(u32, u32, u32);

#[repr(C)]
struct Wrapper(u32, u32, *const u8, *const u8);

type Handle = *mut c_void;

unsafe extern "C" {
    fn __cudaRegisterFatBinary(image: *const Wrapper) -> Handle;
    fn __cudaRegisterFatBinaryEnd(binary: Handle);
    fn __cudaInitModule(binary: Handle) -> i8;
    fn __cudaRegisterFunction(
        binary: Handle,
        host: *const u8,
        device: *const c_char,
        name: *const c_char,
        limit: i32,
        tid: Handle,
        bid: Handle,
        block: Handle,
        grid: Handle,
        warp: Handle,
    );
    fn __cudaRegisterVar(
        binary: Handle,
        host: *const u8,
        address: *const c_char,
        name: *const c_char,
        external: i32,
        bytes: usize,
        constant: i32,
        global: i32,
    );
    fn __cudaPushCallConfiguration(grid: Extents, block: Extents, shared: usize, stream: Handle) -> u32;
    fn __cudaPopCallConfiguration(
        grid: *mut Extents,
        block: *mut Extents,
        shared: *mut usize,
        stream: *mut Handle,
    ) -> u32;
    fn __cudaGetKernel(out: *mut Handle, host: *const u8) -> u32;
    fn __cudaLaunchKernel(
        kernel: Handle,
        grid: Extents,
        block: Extents,
        params: *mut *mut c_void,
        shared: usize,
        stream: Handle,
    ) -> u32;
    fn cudaLaunchKernel(
        host: *const u8,
        grid: Extents,
        block: Extents,
        params: *mut *mut c_void,
        shared: usize,
        stream: Handle,
    ) -> u32;
    fn cudaDeviceReset() -> u32;
    fn cudaMalloc(out: *mut *mut f32, bytes: usize) -> u32;
    fn cudaFree(address: *mut f32) -> u32;
    fn cudaMemcpy(to: *mut c_void, from: *const c_void, bytes: usize, kind: i32) -> u32;
    fn cudaMemcpyToSymbol(symbol: *const u8, from: *const c_void, bytes: usize, offset: usize, kind: i32) -> u32;
    fn cudaMemcpyFromSymbol(to: *mut c_void, symbol: *const u8, bytes: usize, offset: usize, kind: i32) -> u32;
    fn cudaStreamCreate(out: *mut Handle) -> u32;
    fn cudaStreamSynchronize(stream: Handle) -> u32;
    fn cudaStreamDestroy(stream: Handle) -> u32;
    fn cudaGetLastError() -> u32;
    fn cudaPeekAtLastError() -> u32;
    fn cudaGetErrorName(code: u32) -> *const c_char;
    fn cudaGetErrorString(code: u32) -> *const c_char;
}

/// A fat binary with the text as it is.
fn fat_binary() -> Vec<u8> {
    let room = (TEXT.len() + 1).next_multiple_of(8);
    let mut all = 0xBA55_ED50_u32.to_le_bytes().to_vec();
    all.extend([1, 0, 16, 0]);
    all.extend((64 + room as u64).to_le_bytes());
    all.extend([1, 0, 1, 1, 64, 0, 0, 0]);
    all.extend((room as u64).to_le_bytes());
    all.extend([0; 12]);
    all.extend(80_u32.to_le_bytes());
    all.extend([0; 32]);
    all.extend(TEXT);
    all.resize(16 + 64 + room, 0);
    all
}

fn said(text: *const c_char) -> String {
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

#[test]
fn a_program_of_the_runtime_runs() {
    if on_gpu() {
        return;
    }
    static KERNEL: u8 = 0;
    static FACTOR: [u8; 8] = [1; 8];
    static COUNT: [u8; 4] = [2; 4];
    let fat = fat_binary();
    let wrapper = Wrapper(0x4662_43B1, 1, fat.as_ptr(), ptr::null());
    let none = ptr::null_mut();
    unsafe {
        // As a program does it before it begins.
        let binary = __cudaRegisterFatBinary(&wrapper);
        let name = c"scaled".as_ptr();
        __cudaRegisterFunction(binary, &KERNEL, name, name, -1, none, none, none, none, none);
        let (factor, count) = (c"factor".as_ptr(), c"count".as_ptr());
        __cudaRegisterVar(binary, FACTOR.as_ptr(), factor, factor, 0, 8, 1, 0);
        __cudaRegisterVar(binary, COUNT.as_ptr(), count, count, 0, 4, 0, 1);
        __cudaRegisterFatBinaryEnd(binary);
        assert_eq!(__cudaInitModule(binary), 1);
        let (mut x, mut stream) = (ptr::null_mut(), none);
        assert_eq!((cudaMalloc(&mut x, 40), cudaStreamCreate(&mut stream)), (0, 0));
        let mut values: [f32; 10] = std::array::from_fn(|i| i as f32);
        assert_eq!(cudaMemcpy(x.cast(), values.as_ptr().cast(), 40, 1), 0);
        assert_eq!(cudaMemcpyToSymbol(FACTOR.as_ptr(), (&raw const values[3]).cast(), 4, 0, 1), 0);
        // scaled<<<1, 32, 0, stream>>>(x, 10)
        let (one, threads) = (Extents(1, 1, 1), Extents(32, 1, 1));
        assert_eq!(__cudaPushCallConfiguration(one, threads, 0, stream), 0);
        let (mut kernel, mut grid, mut block, mut shared, mut on) = (none, threads, one, 7, none);
        assert_eq!(__cudaGetKernel(&mut kernel, &KERNEL), 0);
        assert_eq!(__cudaPopCallConfiguration(&mut grid, &mut block, &mut shared, &mut on), 0);
        assert!(grid.0 == 1 && block.0 == 32 && shared == 0 && on == stream);
        let mut n = 10_u32;
        let mut params = [(&raw mut x).cast::<c_void>(), (&raw mut n).cast()];
        assert_eq!(__cudaLaunchKernel(kernel, grid, block, params.as_mut_ptr(), shared, on), 0);
        assert_eq!(cudaStreamSynchronize(stream), 0);
        assert_eq!(cudaMemcpy(values.as_mut_ptr().cast(), x.cast(), 40, 2), 0);
        assert_eq!(values, std::array::from_fn(|i| 3.0 * i as f32));
        let mut threads = 0_u32;
        assert_eq!(cudaMemcpyFromSymbol((&raw mut threads).cast(), COUNT.as_ptr(), 4, 0, 2), 0);
        assert_eq!(threads, 32);
        // An error is kept until it is asked for.
        assert_eq!(cudaGetLastError(), 0);
        assert_eq!(cudaMemcpyToSymbol(FACTOR.as_ptr(), values.as_ptr().cast(), 8, 4, 1), 1);
        assert_eq!((cudaPeekAtLastError(), cudaGetLastError(), cudaGetLastError()), (1, 1, 0));
        assert_eq!(said(cudaGetErrorName(1)), "cudaErrorInvalidValue");
        assert_eq!(said(cudaGetErrorName(700)), "cudaErrorIllegalAddress");
        assert_eq!(said(cudaGetErrorString(2)), "out of memory");
        // Of the runtime alone: the form of a launch, and addresses that stand for nothing.
        let mut params = [(&raw mut x).cast::<c_void>(), (&raw mut n).cast()];
        let launched = |host: *const u8, grid: Extents, block: Extents, params: &mut [Handle; 2]| {
            cudaLaunchKernel(host, grid, block, params.as_mut_ptr(), 0, none)
        };
        for (grid, block) in [(one, Extents(1025, 1, 1)), (one, Extents(32, 64, 1)), (Extents(1, 0, 1), one)] {
            assert_eq!(launched(&KERNEL, grid, block, &mut params), 9);
        }
        assert_eq!(launched(FACTOR.as_ptr(), one, one, &mut params), 98);
        assert_eq!(cudaMemcpyFromSymbol(values.as_mut_ptr().cast(), &KERNEL, 4, 0, 2), 13);
        assert_eq!(cudaMemcpy(x.cast(), values.as_ptr().cast(), 4, 5), 21);
        assert_eq!(cudaGetLastError(), 21);
        for (code, name, text) in [
            (9, "cudaErrorInvalidConfiguration", "invalid configuration argument"),
            (13, "cudaErrorInvalidSymbol", "invalid device symbol"),
            (98, "cudaErrorInvalidDeviceFunction", "invalid device function"),
            (201, "cudaErrorDeviceUninitialized", "invalid device context"),
            (209, "cudaErrorNoKernelImageForDevice", "no kernel image is available for execution on the device"),
        ] {
            assert_eq!((said(cudaGetErrorName(code)).as_str(), said(cudaGetErrorString(code)).as_str()), (name, text));
        }
        assert_eq!((cudaFree(x), cudaStreamDestroy(stream)), (0, 0));
        // After a reset the program's kernels and variables are made anew.
        assert_eq!((cudaDeviceReset(), cudaMalloc(&mut x, 40)), (0, 0));
        assert_eq!(cudaMemcpyFromSymbol((&raw mut threads).cast(), COUNT.as_ptr(), 4, 0, 2), 0);
        assert_eq!(threads, 0);
        assert_eq!(cudaMemcpy(x.cast(), values.as_ptr().cast(), 40, 1), 0);
        let mut params = [(&raw mut x).cast::<c_void>(), (&raw mut n).cast()];
        let one_warp = Extents(32, 1, 1);
        assert_eq!(cudaLaunchKernel(&KERNEL, one, one_warp, params.as_mut_ptr(), 0, none), 0);
        assert_eq!(cudaMemcpyFromSymbol((&raw mut threads).cast(), COUNT.as_ptr(), 4, 0, 2), 0);
        assert_eq!((threads, cudaFree(x)), (32, 0));
    }
}
