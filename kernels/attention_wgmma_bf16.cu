// Attention of bf16 on Hopper's tensor cores: formula, parameters, launch and contract stand in attention_wgmma.cuh.
// targets: sm_90a
#include "attention_wgmma.cuh"

// budget: 168 registers
ATTENTION(attention_bf16_wgmma_48, bf16, 48, 128, 6)
ATTENTION(attention_bf16_wgmma_64, bf16, 64, 128, 6)
ATTENTION(attention_bf16_wgmma_80, bf16, 80, 128, 4)
ATTENTION(attention_bf16_wgmma_128, bf16, 128, 128, 4)
ATTENTION(attention_bf16_wgmma_160, bf16, 160, 64, 6)
ATTENTION_MASKED(attention_bf16_wgmma_masked_64, bf16, 64, 64, 6)
ATTENTION_MASKED(attention_bf16_wgmma_masked_128, bf16, 128, 64, 4)
