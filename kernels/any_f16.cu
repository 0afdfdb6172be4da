// Matrix products and convolutions of f16 on tensor cores, of factors that lie anyhow. Parameters, launch and contract:
// gemm_16.cuh and conv_16.cuh.
//
//   gemm_f16_any_64x64, {conv2d, conv2d_input_grad, conv2d_weight_grad}_f16_any_64x64
#include "conv_16.cuh"
#include "gemm_16.cuh"

// budget: 128 registers
GEMM(gemm_f16_any_64x64, f16, Small, Gathered, true, true, step_a_row, step_a_column, step_b_row, step_b_column)
CONV(conv2d_f16_any_64x64, conv2d, f16, Small, Gathered, true)
CONV(conv2d_input_grad_f16_any_64x64, conv2d_input_grad, f16, Small, Gathered, true)
CONV(conv2d_weight_grad_f16_any_64x64, conv2d_weight_grad, f16, Small, Gathered, true)
