// Convolutions of float and their gradients on tensor cores. Parameters and launch: conv_f32.cuh.
//
//   conv2d_tf32_MxN, conv2d_input_grad_tf32_MxN, conv2d_weight_grad_tf32_MxN
//
// for M×N = 128×128 (256 threads) and 64×64 (128 threads).
// Contract: factors are rounded to 11 bits, each off by at most 2^-11 of itself; the sums of k of their products are
// off by at most (5/4·k + 2)·2^-23·Σ|a·b|, before the bias is added and the sum rounded again.
#include "conv_f32.cuh"

using Large = Tensor<128, 128, 4, 4>;
using Small = Tensor<64, 64, 2, 4>;

// budget: 128 registers
CONV(conv2d_tf32_128x128, conv2d, Large)
CONV(conv2d_tf32_64x64, conv2d, Small)
CONV(conv2d_input_grad_tf32_128x128, conv2d_input_grad, Large)
CONV(conv2d_input_grad_tf32_64x64, conv2d_input_grad, Small)
CONV(conv2d_weight_grad_tf32_128x128, conv2d_weight_grad, Large)
CONV(conv2d_weight_grad_tf32_64x64, conv2d_weight_grad, Small)
