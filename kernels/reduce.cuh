// Reductions over a warp and over a block, by a tree that depends on the number of threads alone: the same bits
// every time. Every thread gets the result.
#pragma once

#include "storage.cuh"

enum : u32 { WARP = 32, MAX_WARPS = 32 };

struct Sum {
    static float identity() { return 0; }
    static float of(float a, float b) { return a + b; }
};

// NaN only if both are.
struct Max {
    static float identity() { return __int_as_float(0xff800000); } // -∞
    static float of(float a, float b) { return fmaxf(a, b); }
};

template <class Op> float warp_reduce(float x) {
#pragma unroll
    for (u32 lane = WARP / 2; lane > 0; lane /= 2) x = Op::of(x, __shfl_xor_sync(~0u, x, lane));
    return x;
}

// All threads of a block of (32·w, 1, 1), 1 ≤ w ≤ 32, must call it. The first barrier waits for those that still read
// the partial results of the call before.
template <class Op> float block_reduce(float x) {
    __shared__ float partial[MAX_WARPS];
    const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    x = warp_reduce<Op>(x);
    __syncthreads();
    if (lane == 0) partial[warp] = x;
    __syncthreads();
    return warp_reduce<Op>(lane < warps ? partial[lane] : Op::identity());
}
