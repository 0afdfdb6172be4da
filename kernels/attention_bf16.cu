// Attention of bf16: formula, parameters, launch and contract stand in attention_16.cuh.
#include "attention_16.cuh"

// budget: 255 registers
ATTENTION(attention_bf16_80, bf16, 80)
ATTENTION(attention_bf16_160, bf16, 160)
ATTENTION(attention_bf16_256, bf16, 256)
