// Matrix products of f16 on Hopper's tensor cores. Parameters, launch and contract: gemm_wgmma.cuh.
//
//   gemm_f16_{nn, nt, tn, tt}_wgmma_{128x256, 128x160, 128x128, 64x160, 64x64}
// targets: sm_90a
#include "gemm_wgmma.cuh"

// budget: 168 registers
GEMM(gemm_f16_nn_wgmma_128x256, f16, Widest, true, false)
GEMM(gemm_f16_nt_wgmma_128x256, f16, Widest, true, true)
GEMM(gemm_f16_tn_wgmma_128x256, f16, Widest, false, false)
GEMM(gemm_f16_tt_wgmma_128x256, f16, Widest, false, true)
GEMM(gemm_f16_nn_wgmma_128x128, f16, Middle, true, false)
GEMM(gemm_f16_nt_wgmma_128x128, f16, Middle, true, true)
GEMM(gemm_f16_tn_wgmma_128x128, f16, Middle, false, false)
GEMM(gemm_f16_tt_wgmma_128x128, f16, Middle, false, true)
GEMM(gemm_f16_nn_wgmma_64x64, f16, Least, true, false)
GEMM(gemm_f16_nt_wgmma_64x64, f16, Least, true, true)
GEMM(gemm_f16_tn_wgmma_64x64, f16, Least, false, false)
GEMM(gemm_f16_tt_wgmma_64x64, f16, Least, false, true)
GEMM(gemm_f16_nn_wgmma_128x160, f16, Fifth, true, false)
GEMM(gemm_f16_nt_wgmma_128x160, f16, Fifth, true, true)
GEMM(gemm_f16_tn_wgmma_128x160, f16, Fifth, false, false)
GEMM(gemm_f16_tt_wgmma_128x160, f16, Fifth, false, true)
GEMM(gemm_f16_nn_wgmma_64x160, f16, Low, true, false)
GEMM(gemm_f16_nt_wgmma_64x160, f16, Low, true, true)
GEMM(gemm_f16_tn_wgmma_64x160, f16, Low, false, false)
GEMM(gemm_f16_tt_wgmma_64x160, f16, Low, false, true)
