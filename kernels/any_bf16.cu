// Matrix products and convolutions of bf16 on tensor cores, of factors that lie anyhow. Parameters, launch and contract:
// gemm_16.cuh and conv_16.cuh.
//
//   gemm_bf16_any_64x64, {conv2d, conv2d_input_grad, conv2d_weight_grad}_bf16_any_64x64
#include "conv_16.cuh"
#include "gemm_16.cuh"

// budget: 128 registers
GEMM(gemm_bf16_any_64x64, bf16, Small, Gathered, true, true, step_a_row, step_a_column, step_b_row, step_b_column)
CONV(conv2d_bf16_any_64x64, conv2d, bf16, Small, Gathered, true)
CONV(conv2d_input_grad_bf16_any_64x64, conv2d_input_grad, bf16, Small, Gathered, true)
CONV(conv2d_weight_grad_bf16_any_64x64, conv2d_weight_grad, bf16, Small, Gathered, true)
