// Matrix products of 16-bit factors on tensor cores: C[b] = A[b]·B[b], plus a row of biases. A kernel's parameters:
//
//   (const T* a, const T* b, void* c, const void* bias, u32 m, u32 n, u32 k, u64 a_row, u64 a_column, u64 b_row,
//    u64 b_column, u64 c_row, u64 a_batch, u64 b_batch, u64 c_batch, float* shares, u32* arrived, u64 share, u32 wide)
//
// Sizes and shares as in gemm_f32.cuh. C and bias: of float if wide ≠ 0, otherwise of T; any alignment will do.
// The letters in a kernel's name say how A and B are stored:
//
//   nn   a_column = b_column = 1      nt   a_column = b_row = 1      tn   a_row = b_column = 1      any   anyhow
//
// Alignment: but for `any`, A and B lie at multiples of 16 bytes, and the steps that are not 1 are multiples of 8.
// Launch: as in gemm_f32.cuh, with blocks of 256 threads and 98,304 bytes of dynamic shared memory for 256×128, 128
// threads and 49,152 bytes for 64×64.
// Contract: products are exact; an element is off by at most (5/4·k + 2)·2^-23·Σ|a·b| before it is rounded to C's type
// and the bias is added and the sum rounded again. (Tensor cores add the products of an instruction and the sum so far
// at once, and cut off what lies below the largest's last bits: Fasi et al. 2021.)
#pragma once

#include "product_16.cuh"

template <class Shape, bool DEEP_A, bool DEEP_B, template <class, bool, u32, u32, u32> class Copy, class T>
void gemm(const T* a, const T* b, void* c, const void* bias, u32 m, u32 n, u32 k, u64 a_row, u64 a_column, u64 b_row,
          u64 b_column, u64 c_row, u64 a_batch, u64 b_batch, u64 c_batch, const Shares& shares, u32 wide) {
    using Matrix = Operand<T, Strided<u64>, Strided<u64>>;
    const u64 batch = blockIdx.z;
    const Matrix first = {a + batch * a_batch, 1, 1, a_column == 1, {m, a_row}, {k, a_column}};
    const Matrix second = {b + batch * b_batch, 1, 1, b_row == 1, {n, b_column}, {k, b_row}};
    const Result<T, Strided<u64>> result = {c, bias, wide, n, batch * c_batch, c_row, {m, c_row}, shares};
    product<Shape, DEEP_A, DEEP_B, Copy>(first, second, result);
}

#define GEMM(name, T, Shape, Copy, deep_a, deep_b, a_row, a_column, b_row, b_column) \
    extern "C" __global__ void __launch_bounds__(Shape::THREADS, Shape::RESIDENT) \
        name(const T* a, const T* b, void* c, const void* bias, u32 m, u32 n, u32 k, u64 step_a_row, \
             u64 step_a_column, u64 step_b_row, u64 step_b_column, u64 c_row, u64 a_batch, u64 b_batch, u64 c_batch, \
             float* shares, u32* arrived, u64 share, u32 wide) { \
        gemm<Shape, deep_a, deep_b, Copy>(a, b, c, bias, m, n, k, a_row, a_column, b_row, b_column, c_row, a_batch, \
                                          b_batch, c_batch, {shares, arrived, gridDim.y, blockIdx.y, share}, wide); \
    }
