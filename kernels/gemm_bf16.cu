// Matrix products of bf16 on tensor cores. Parameters, launch and contract: gemm_16.cuh.
//
//   gemm_bf16_{nn, nt, tn}_{256x128, 64x64}
#include "gemm_16.cuh"

// budget: 255 registers
GEMM(gemm_bf16_nn_256x128, bf16, Large, Aligned, true, false, step_a_row, 1, step_b_row, 1)
GEMM(gemm_bf16_nt_256x128, bf16, Large, Aligned, true, true, step_a_row, 1, 1, step_b_column)
GEMM(gemm_bf16_tn_256x128, bf16, Large, Aligned, false, false, 1, step_a_column, step_b_row, 1)
// budget: 128 registers
GEMM(gemm_bf16_nn_64x64, bf16, Small, Aligned, true, false, step_a_row, 1, step_b_row, 1)
GEMM(gemm_bf16_nt_64x64, bf16, Small, Aligned, true, true, step_a_row, 1, 1, step_b_column)
GEMM(gemm_bf16_tn_64x64, bf16, Small, Aligned, false, false, 1, step_a_column, step_b_row, 1)
