// Matrix products of float: C[b] = A[b]·B[b], plus a row of biases. A kernel's parameters:
//
//   (const float* a, const float* b, float* c, const float* bias, u32 m, u32 n, u32 k,
//    u64 a_row, u64 a_column, u64 b_row, u64 b_column, u64 c_row, u64 a_batch, u64 b_batch, u64 c_batch, float* shares,
//    u32* arrived, u64 share)
//
// A: m × k, B: k × n, C: m × n, m and n ≥ 1, k ≥ 0, each below 2^29. A row begins x_row elements after the one before
// it, a column x_column elements, a matrix of the batch x_batch elements; C's columns are neighbours. bias: n, or null.
// C is apart from the others. Any alignment will do.
// Launch: grid (⌈m/M⌉·⌈n/N⌉, shares, batch) for the kernel named M×N, y and z ≤ 65535.
// Shares: each block sums over its part of k (as equal as steps of 16 allow). If there are several of a tile, C is one row
// of numbers, `share` of them; each keeps its sums in `shares` (as many times that, aligned to 16 bytes), and the last one
// adds them up in order. `arrived` has a counter for each block of x and z, 0 before the launch and after it.
#pragma once

#include "product_f32.cuh"

#define GEMM(name, ...) \
    extern "C" __global__ void __launch_bounds__(__VA_ARGS__::THREADS, 2) \
        name(const float* a, const float* b, float* c, const float* bias, u32 m, u32 n, u32 k, u64 a_row, \
             u64 a_column, u64 b_row, u64 b_column, u64 c_row, u64 a_batch, u64 b_batch, u64 c_batch, float* shares, \
             u32* arrived, u64 share) { \
        using Matrix = Operand<float, Strided<u64>, Strided<u64>>; \
        const u64 batch = blockIdx.z; \
        float* const to = c + batch * c_batch; \
        const Matrix first = {a + batch * a_batch, 1, 1, a_column == 1, {m, a_row}, {k, a_column}}; \
        const Matrix second = {b + batch * b_batch, 1, 1, b_row == 1, {n, b_column}, {k, b_row}}; \
        const Output<float, Strided<u64>> out = {to, bias, n, whole(to, c_row), batch * c_batch, {m, c_row}}; \
        product<__VA_ARGS__>(first, second, out, {shares, arrived, gridDim.y, blockIdx.y, share}, k); \
    }
