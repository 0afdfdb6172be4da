// Convolutions of bf16 on Hopper's tensor cores. Parameters, launch and contract: conv_wgmma.cuh.
//
//   {conv2d, conv2d_input_grad, conv2d_weight_grad}_bf16_wgmma_{128x256, 128x160, 128x128, 64x160, 64x64}
// targets: sm_90a
#include "conv_wgmma.cuh"

// budget: 168 registers
CONV(conv2d_bf16_wgmma_128x256, conv2d, bf16, Widest)
CONV(conv2d_bf16_wgmma_128x128, conv2d, bf16, Middle)
CONV(conv2d_bf16_wgmma_64x64, conv2d, bf16, Least)
CONV(conv2d_input_grad_bf16_wgmma_128x256, conv2d_input_grad, bf16, Widest)
CONV(conv2d_input_grad_bf16_wgmma_128x128, conv2d_input_grad, bf16, Middle)
CONV(conv2d_input_grad_bf16_wgmma_64x64, conv2d_input_grad, bf16, Least)
CONV(conv2d_weight_grad_bf16_wgmma_128x256, conv2d_weight_grad, bf16, Widest)
CONV(conv2d_weight_grad_bf16_wgmma_128x128, conv2d_weight_grad, bf16, Middle)
CONV(conv2d_weight_grad_bf16_wgmma_64x64, conv2d_weight_grad, bf16, Least)
CONV(conv2d_bf16_wgmma_128x160, conv2d, bf16, Fifth)
CONV(conv2d_input_grad_bf16_wgmma_128x160, conv2d_input_grad, bf16, Fifth)
CONV(conv2d_weight_grad_bf16_wgmma_128x160, conv2d_weight_grad, bf16, Fifth)
CONV(conv2d_bf16_wgmma_64x160, conv2d, bf16, Low)
CONV(conv2d_input_grad_bf16_wgmma_64x160, conv2d_input_grad, bf16, Low)
CONV(conv2d_weight_grad_bf16_wgmma_64x160, conv2d_weight_grad, bf16, Low)
