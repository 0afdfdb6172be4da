// Attention of f16: formula, parameters, launch and contract stand in attention_16.cuh.
#include "attention_16.cuh"

// budget: 255 registers
ATTENTION(attention_f16_80, f16, 80)
ATTENTION(attention_f16_160, f16, 160)
ATTENTION(attention_f16_256, f16, 256)
