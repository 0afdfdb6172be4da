// Attention of f16 on Hopper's tensor cores: formula, parameters, launch and contract stand in attention_wgmma.cuh.
// targets: sm_90a
#include "attention_wgmma.cuh"

// budget: 168 registers
ATTENTION(attention_f16_wgmma_48, f16, 48, 128, 6)
ATTENTION(attention_f16_wgmma_64, f16, 64, 128, 6)
ATTENTION(attention_f16_wgmma_80, f16, 80, 128, 4)
ATTENTION(attention_f16_wgmma_128, f16, 128, 128, 4)
ATTENTION(attention_f16_wgmma_160, f16, 160, 64, 6)
ATTENTION_MASKED(attention_f16_wgmma_masked_64, f16, 64, 64, 6)
ATTENTION_MASKED(attention_f16_wgmma_masked_128, f16, 128, 64, 4)
