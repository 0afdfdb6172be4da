// Matrix products of 16-bit factors on Hopper's tensor cores: C[b] = A[b]·B[b], plus a row of biases. Parameters:
//
//   (TensorMap a, TensorMap b, void* c, const void* bias, u32 m, u32 n, u32 k, u32 batch, u32 shares, u32 a_step,
//    u32 b_step, u64 c_row, u64 c_batch, float* sums, u32* arrived, u64 share, u32 wide)
//
// a, b: three axes, of which the last are the matrices of the batch: in the b-th product lies matrix b·a_step, and
// b·b_step. Of A stored m × k the first axis has k elements and the second m, in boxes of 64 × BLOCK_M; of A stored k × m
// the first has m and the second k, in boxes of 64 × 64. B likewise: stored n × k in boxes of 64 × BLOCK_N, k × n in boxes
// of 64 × 64. The letters in a kernel's name say how A and B are stored: n as they are, t transposed. hopper.cuh says how
// boxes lie in shared memory.
// C and bias: of float if wide ≠ 0, otherwise of T; any alignment will do. `shares` blocks each sum a part of the terms. If
// there are several, C is one row of numbers, `share` of them; their sums are kept in `sums` (as many times that, aligned to
// 16 bytes), and the last one adds them up in order. `arrived` has counters for BLOCK_M / 16 · ⌈BLOCK_N / 64⌉ pieces of each
// part, 0 before the launch and after it.
// Launch: any grid along x (a block a multiprocessor), blocks of 384 threads, and dynamic shared memory: 229,456 bytes for
// 128×256, 229,488 for 128×128 and 64×160, 196,688 for 128×160, 163,984 for 64×64.
// Contract: as in gemm_16.cuh.
#pragma once

#include "product_wgmma.cuh"

template <class Shape, bool DEEP_A, bool DEEP_B> struct Matrices {
    const TensorMap &a, &b;
    void* c;
    const void* bias;
    u32 m, n, a_step, b_step, wide;
    u64 c_row, c_batch;
    Shares shares;
    Parts<Shape> parts;

    u32 origin(const Work&) const { return 0; }

    void fetch(u32 to, u32 barrier, const Work& work, u32, u32 step) const {
        enum : u32 { M = Shape::BLOCK_M, N = Shape::BLOCK_N };
        const u32 term = step * Shape::BLOCK_K;
        copy<DEEP_A, M>(to, a, barrier, work.row, term, work.batch * a_step);
        copy<DEEP_B, N>(to + Shape::BYTES_A, b, barrier, work.column, term, work.batch * b_step);
    }

    template <bool DEEP, u32 EXTENT>
    static void copy(u32 to, const TensorMap& from, u32 barrier, u32 first, u32 term, u32 matrix) {
        if constexpr (DEEP) {
            copy_box(to, from, barrier, term, first, matrix);
        } else {
#pragma unroll
            for (u32 i = 0; i < (EXTENT + 63) / 64; i++) {
                copy_box(to + i * Boxes::BYTES, from, barrier, first + i * 64, term, matrix);
            }
        }
    }

    template <class C> Output<C, Strided<u64>> result(const Work& work) const {
        const u64 start = work.batch * c_batch;
        C* const to = static_cast<C*>(c) + start;
        const u32 end = min(n, work.column + Shape::BLOCK_N);
        return {to, static_cast<const C*>(bias), end, whole(to, c_row), start, {m, c_row}};
    }
};

#define GEMM(name, T, Shape, deep_a, deep_b) \
    extern "C" __global__ void __launch_bounds__(Shape::THREADS, 1) \
        name(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, void* c, const void* bias, \
             u32 m, u32 n, u32 k, u32 batch, u32 shares, u32 a_step, u32 b_step, u64 c_row, u64 c_batch, float* sums, \
             u32* arrived, u64 share, u32 wide) { \
        const u32 steps = (k + Shape::BLOCK_K - 1) / Shape::BLOCK_K; \
        const Matrices<Shape, deep_a, deep_b> matrices = { \
            a, b, c, bias, m, n, a_step, b_step, wide, c_row, c_batch, {sums, arrived, shares, 0, share}, \
            {m, n, steps, batch, shares}}; \
        group_product<Shape, deep_a, deep_b, T>(matrices); \
    }
