// Convolutions of bf16 and their gradients on tensor cores. Parameters, launch and contract: conv_16.cuh.
//
//   {conv2d, conv2d_input_grad, conv2d_weight_grad}_bf16_{256x128, 64x64}
#include "conv_16.cuh"

// budget: 255 registers
CONV(conv2d_bf16_256x128, conv2d, bf16, Large, Aligned, false)
CONV(conv2d_input_grad_bf16_256x128, conv2d_input_grad, bf16, Large, Aligned, false)
CONV(conv2d_weight_grad_bf16_256x128, conv2d_weight_grad, bf16, Large, Aligned, false)
// budget: 128 registers
CONV(conv2d_bf16_64x64, conv2d, bf16, Small, Aligned, false)
CONV(conv2d_input_grad_bf16_64x64, conv2d_input_grad, bf16, Small, Aligned, false)
CONV(conv2d_weight_grad_bf16_64x64, conv2d_weight_grad, bf16, Small, Aligned, false)
