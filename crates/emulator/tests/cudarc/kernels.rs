//! PTX for the tests.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

/// `axpy`: yᵢ ← a xᵢ + yᵢ for i < n.
/// `reverse`: outᵢ = in₍ₙ₋₁₋ᵢ₎ within one block, through dynamic shared memory of 4 n bytes.
/// `table`: outᵢ = factorsᵢ scale, from variables of the module, and counts its threads in `calls`.
/// `member`: out = value of `struct { u32 count; f64 value; u8 tag; }` + count + tag.
/// `ranks`: outᵢ = the rank in its cluster of block i.
/// `trap`: gives up.
/// `store`: writes 7 at an address, 4 bytes; `claim`: each block's number.
pub const PTX: &str = r"
.version 8.0
.target sm_80
.address_size 64

.visible .global .align 4 .f32 factors[4] = {0f3F800000, 0f40000000, 0f40400000, 0f40800000};
.visible .const .align 4 .f32 scale = 0f41200000;
.visible .global .align 4 .u32 calls;
.extern .shared .align 16 .b8 buffer[];

.visible .entry axpy(.param .u64 x, .param .u64 y, .param .f32 a, .param .u32 n)
{
    .reg .pred %p1;
    .reg .b32 %r<6>;
    .reg .f32 %f<5>;
    .reg .b64 %rd<8>;
    ld.param.u64 %rd1, [x];
    ld.param.u64 %rd2, [y];
    ld.param.f32 %f1, [a];
    ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra DONE;
    cvta.to.global.u64 %rd3, %rd1;
    cvta.to.global.u64 %rd4, %rd2;
    mul.wide.u32 %rd5, %r5, 4;
    add.s64 %rd6, %rd3, %rd5;
    add.s64 %rd7, %rd4, %rd5;
    ld.global.f32 %f2, [%rd6];
    ld.global.f32 %f3, [%rd7];
    fma.rn.f32 %f4, %f1, %f2, %f3;
    st.global.f32 [%rd7], %f4;
DONE:
    ret;
}

.visible .entry reverse(.param .u64 in, .param .u64 out, .param .u32 n)
{
    .reg .pred %p<3>;
    .reg .b32 %r<12>;
    .reg .b64 %rd<10>;
    ld.param.u64 %rd1, [in];
    ld.param.u64 %rd2, [out];
    ld.param.u32 %r1, [n];
    mov.u32 %r2, %tid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, buffer;
    mov.u32 %r5, %r2;
LOAD:
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra LOADED;
    mul.wide.u32 %rd3, %r5, 4;
    add.s64 %rd4, %rd1, %rd3;
    ld.global.u32 %r6, [%rd4];
    shl.b32 %r7, %r5, 2;
    add.s32 %r8, %r4, %r7;
    st.shared.u32 [%r8], %r6;
    add.s32 %r5, %r5, %r3;
    bra LOAD;
LOADED:
    bar.sync 0;
    mov.u32 %r5, %r2;
STORE:
    setp.ge.u32 %p2, %r5, %r1;
    @%p2 bra STORED;
    sub.s32 %r9, %r1, %r5;
    shl.b32 %r10, %r9, 2;
    add.s32 %r11, %r4, %r10;
    ld.shared.u32 %r6, [%r11+-4];
    mul.wide.u32 %rd5, %r5, 4;
    add.s64 %rd6, %rd2, %rd5;
    st.global.u32 [%rd6], %r6;
    add.s32 %r5, %r5, %r3;
    bra STORE;
STORED:
    ret;
}

.visible .entry table(.param .u64 out)
{
    .reg .b32 %r<4>;
    .reg .f32 %f<4>;
    .reg .b64 %rd<8>;
    ld.param.u64 %rd1, [out];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    mov.u64 %rd3, factors;
    add.s64 %rd4, %rd3, %rd2;
    ld.global.f32 %f1, [%rd4];
    ld.const.f32 %f2, [scale];
    mul.f32 %f3, %f1, %f2;
    add.s64 %rd5, %rd1, %rd2;
    st.global.f32 [%rd5], %f3;
    mov.u64 %rd6, calls;
    atom.global.add.u32 %r2, [%rd6], 1;
    ret;
}

.visible .entry member(.param .u64 out, .param .align 8 .b8 s[24])
{
    .reg .b32 %r<4>;
    .reg .f64 %fd<6>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [s];
    ld.param.f64 %fd1, [s+8];
    ld.param.u8 %r2, [s+16];
    cvt.rn.f64.u32 %fd2, %r1;
    cvt.rn.f64.u32 %fd3, %r2;
    add.f64 %fd4, %fd1, %fd2;
    add.f64 %fd5, %fd4, %fd3;
    st.global.f64 [%rd1], %fd5;
    ret;
}

.visible .entry trap()
{
    trap;
    ret;
}

.visible .entry store(.param .u64 to)
{
    .reg .b32 %r1;
    .reg .b64 %rd1;
    ld.param.u64 %rd1, [to];
    mov.u32 %r1, 7;
    st.global.u32 [%rd1], %r1;
    ret;
}

.visible .entry claim(.param .u64 to)
{
    .reg .b32 %r1;
    .reg .b64 %rd1;
    ld.param.u64 %rd1, [to];
    mov.u32 %r1, %ctaid.x;
    st.global.u32 [%rd1], %r1;
    ret;
}
";

/// `ranks`: outᵢ = the rank of block i in its cluster.
pub const CLUSTER_PTX: &str = r"
.version 8.0
.target sm_90
.address_size 64

.visible .entry ranks(.param .u64 out)
{
    .reg .b32 %r<3>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [out];
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %cluster_ctarank;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
    st.global.u32 [%rd3], %r2;
    ret;
}
";

/// The module of the tests in a context.
pub fn module(context: &Arc<CudaContext>) -> Arc<CudaModule> {
    context.load_module(Ptx::from_src(PTX)).expect("the PTX is sound")
}

pub fn function(context: &Arc<CudaContext>, name: &str) -> CudaFunction {
    module(context).load_function(name).expect("the module has it")
}

/// So many blocks of so many threads.
pub fn linear(blocks: u32, threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// y ← a x + y for all elements, in one block.
pub fn run_axpy(stream: &CudaStream, axpy: &CudaFunction, a: f32, x: &CudaSlice<f32>, y: &mut CudaSlice<f32>) {
    let n = y.len() as u32;
    let mut launch = stream.launch_builder(axpy);
    launch.arg(x).arg(y).arg(&a).arg(&n);
    unsafe { launch.launch(linear(1, n.next_multiple_of(32))) }.unwrap();
}
