// Matrix products of float, summed by fused multiply-add. Parameters and launch: gemm_f32.cuh.
//
//   gemm_f32_128x128 (256 threads), gemm_f32_64x64 (128 threads)
//
// Contract: with u = 2^-24, an element is off by at most k·u/(1 − k·u)·Σ|a·b|, before the bias is added and the sum
// rounded again.
#include "gemm_f32.cuh"

// budget: 128 registers
GEMM(gemm_f32_128x128, Scalar<128, 128, 8, 8>)
GEMM(gemm_f32_64x64, Scalar<64, 64, 8, 4>)
