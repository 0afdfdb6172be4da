// Matrix products of float on tensor cores. Parameters and launch: gemm_f32.cuh.
//
//   gemm_tf32_128x128 (256 threads), gemm_tf32_64x64 (128 threads)
//
// Contract: factors are rounded to 11 bits, each off by at most 2^-11 of itself; the sums of their products are off by
// at most (5/4·k + 2)·2^-23·Σ|a·b|, before the bias is added and the sum rounded again.
#include "gemm_f32.cuh"

// budget: 128 registers
GEMM(gemm_tf32_128x128, Tensor<128, 128, 4, 4>)
GEMM(gemm_tf32_64x64, Tensor<64, 64, 2, 4>)
