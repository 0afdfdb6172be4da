// Matrix products of bf16 with layer norms of their rows. Parameters, launch and contract: gemm_norm_wgmma.cuh.
//
//   gemm_bf16_{nn, nt}_norm_{128x160, 64x160}x{2, 4, 8}
// targets: sm_90a
#include "gemm_norm_wgmma.cuh"

// budget: 168 registers
GEMM_NORM(gemm_bf16_nn_norm_128x160x2, bf16, Halved, 2, false)
GEMM_NORM(gemm_bf16_nt_norm_128x160x2, bf16, Halved, 2, true)
GEMM_NORM(gemm_bf16_nn_norm_64x160x2, bf16, Low, 2, false)
GEMM_NORM(gemm_bf16_nt_norm_64x160x2, bf16, Low, 2, true)
GEMM_NORM(gemm_bf16_nn_norm_128x160x4, bf16, Halved, 4, false)
GEMM_NORM(gemm_bf16_nt_norm_128x160x4, bf16, Halved, 4, true)
GEMM_NORM(gemm_bf16_nn_norm_64x160x4, bf16, Low, 4, false)
GEMM_NORM(gemm_bf16_nt_norm_64x160x4, bf16, Low, 4, true)
GEMM_NORM(gemm_bf16_nn_norm_128x160x8, bf16, Halved, 8, false)
GEMM_NORM(gemm_bf16_nt_norm_128x160x8, bf16, Halved, 8, true)
GEMM_NORM(gemm_bf16_nn_norm_64x160x8, bf16, Low, 8, false)
GEMM_NORM(gemm_bf16_nt_norm_64x160x8, bf16, Low, 8, true)
