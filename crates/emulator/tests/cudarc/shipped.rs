//! The kernels of this workspace through both faces: cudarc gives the bits that the Rust face gives, which
//! `tests/kernels.rs` compares with the kernels' formulas.

use std::ptr;

use cudarc::driver::{CudaContext, DevicePtr, DevicePtrMut, sys};
use cudarc::nvrtc::Ptx;
use yuragi_emulator::{Arguments, Launch};

use crate::common::{Bench, Number, blocks, noise, shipped};
use crate::harness::{on_a_driver, on_gpu, passes};

fn bytes<T: Number>(values: &[T]) -> Vec<u8> {
    values.iter().flat_map(|value| value.bytes()).collect()
}

/// Runs a kernel of a file with inputs and an output, whose addresses `arguments` takes, through both faces.
fn both_agree(
    file: &str,
    kernel: &str,
    launch: Launch,
    inputs: &[Vec<u8>],
    output: usize,
    arguments: impl Fn(&[u64], u64) -> Arguments,
) {
    let bench = Bench::emulated(|_| {});
    let places: Vec<u64> = inputs.iter().map(|input| bench.put(input)).collect();
    let place = bench.put(&vec![0_u8; output]);
    bench.run(&bench.shipped(file), kernel, launch, arguments(&places, place));
    let expected = bench.get::<u8>(place, output);

    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let module = context.load_module(Ptx::from_src(shipped(file))).unwrap();
    let function = module.load_function(kernel).unwrap();
    if launch.shared_bytes > 0 {
        let most = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        function.set_attribute(most, launch.shared_bytes as i32).unwrap();
    }
    let slices: Vec<_> = inputs.iter().map(|input| stream.clone_htod(input).unwrap()).collect();
    let places: Vec<u64> = slices.iter().map(|slice| slice.device_ptr(&stream).0).collect();
    let mut out = stream.alloc_zeros::<u8>(output).unwrap();
    let block = arguments(&places, out.device_ptr_mut(&stream).0);
    let mut size = block.bytes().len();
    let mark = ptr::without_provenance_mut;
    let mut extra = [mark(1), block.bytes().as_ptr().cast_mut().cast(), mark(2), (&raw mut size).cast(), mark(0)];
    let ([gx, gy, gz], [bx, by, bz], handle) = (launch.grid, launch.block, stream.cu_stream());
    let (none, extra) = (ptr::null_mut(), extra.as_mut_ptr());
    let f = function.cu_function();
    unsafe { sys::cuLaunchKernel(f, gx, gy, gz, bx, by, bz, launch.shared_bytes, handle, none, extra) }
        .result()
        .unwrap();
    assert!(stream.clone_dtoh(&out).unwrap() == expected, "{kernel}: the faces differ");
    assert!(expected.iter().any(|&byte| byte != 0), "{kernel} did nothing");
}

on_a_driver! {
    fn the_shipped_kernels_do_the_same_through_both_faces() {
        let n = 1027;
        let (a, b) = (bytes(&noise(1, n)), bytes(&noise(2, n)));
        both_agree("sm_80/elementwise.ptx", "add_f32", blocks([3, 1, 1], 64, 0), &[a.clone(), b], 4 * n, |x, y| {
            Arguments::new().u64(x[0]).u64(x[1]).u64(y).u64(n as u64)
        });
        both_agree("sm_80/elementwise.ptx", "gelu_f32", blocks([3, 1, 1], 64, 0), &[a], 4 * n, |x, y| {
            Arguments::new().u64(x[0]).u64(y).u64(n as u64)
        });
        let rows = bytes(&noise(3, 5 * 257));
        both_agree("sm_80/softmax.ptx", "softmax_f32", blocks([2, 1, 1], 128, 0), &[rows], 4 * 5 * 257, |x, y| {
            Arguments::new().u64(x[0]).u64(y).u32(5).u32(257).u32(128)
        });
        let normed = [bytes(&noise(4, 2 * 49 * 40)), bytes(&noise(5, 40)), bytes(&noise(6, 40))];
        let launch = blocks([16, 1, 1], 128, 0);
        both_agree("sm_80/group_norm_silu.ptx", "group_norm_silu_f32", launch, &normed, 4 * 2 * 49 * 40, |x, y| {
            Arguments::new().u64(x[0]).u64(x[1]).u64(x[2]).u64(y).u32(49).u32(40).u32(8).f32(1e-5)
        });
        let half = |seed, count| noise(seed, count).iter().map(|&x| half::f16::from_f32(x)).collect::<Vec<_>>();
        let (m, n, k) = (130, 70, 65_usize);
        let (lda, ldb) = (72, 72);
        let factors = [bytes(&half(7, m * lda)), bytes(&half(8, k * ldb))];
        let launch = blocks([6, 1, 1], 128, 49_152);
        both_agree("sm_80/gemm_f16.ptx", "gemm_f16_nn_64x64", launch, &factors, 4 * m * ldb, |x, y| {
            let list = Arguments::new().u64(x[0]).u64(x[1]).u64(y).u64(0);
            let list = [m, n, k].iter().fold(list, |list, &extent| list.u32(extent as u32));
            [lda, 1, ldb, 1, ldb, 0, 0, 0, 0, 0, 0].iter().fold(list, |list, &step| list.u64(step as u64)).u32(1)
        });
        both_agree("sm_80/philox_normal.ptx", "philox_normal_f32", blocks([2, 1, 1], 96, 0), &[], 4 * 1001, |_, y| {
            Arguments::new().u64(y).u64(1001).u32(11).u32(22).u32(33).u64(1 << 40)
        });
        let tiles = Launch { block: [32, 8, 1], ..blocks([6, 2, 1], 32, 0) };
        let x = bytes(&noise(9, 2 * 33 * 65));
        both_agree("sm_80/transpose.ptx", "transpose_f32", tiles, &[x], 4 * 2 * 33 * 65, |x, y| {
            Arguments::new().u64(x[0]).u64(y).u32(33).u32(65)
        });
    }
}

#[test]
fn the_shipped_kernels_do_the_same_through_both_faces() {
    // A GPU rounds what it may round otherwise.
    if !on_gpu() {
        passes(module_path!(), "the_shipped_kernels_do_the_same_through_both_faces");
    }
}
