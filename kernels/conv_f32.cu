// Convolutions of float and their gradients, summed by fused multiply-add. Parameters and launch: conv_f32.cuh.
//
//   conv2d_f32_MxN, conv2d_input_grad_f32_MxN, conv2d_weight_grad_f32_MxN
//
// for M×N = 128×128 (256 threads) and 64×64 (128 threads).
// Contract: with u = 2^-24 and k terms, an element is off by at most k·u/(1 − k·u)·Σ|a·b|, before the bias is added and
// the sum rounded again.
#include "conv_f32.cuh"

using Large = Scalar<128, 128, 8, 8>;
using Small = Scalar<64, 64, 8, 4>;

// budget: 128 registers
CONV(conv2d_f32_128x128, conv2d, Large)
CONV(conv2d_f32_64x64, conv2d, Small)
CONV(conv2d_input_grad_f32_128x128, conv2d_input_grad, Large)
CONV(conv2d_input_grad_f32_64x64, conv2d_input_grad, Small)
CONV(conv2d_weight_grad_f32_128x128, conv2d_weight_grad, Large)
CONV(conv2d_weight_grad_f32_64x64, conv2d_weight_grad, Small)
