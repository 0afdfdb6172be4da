// Gradients of attention of bf16 on Hopper's tensor cores: formula, parameters, launch and contract stand in
// attention_grad_wgmma.cuh.
// targets: sm_90a
#include "attention_grad_wgmma.cuh"

// budget: 168 registers
ATTENTION_QUERY_GRAD(attention_query_grad_bf16_wgmma_64, bf16, 64, 128, 3)
ATTENTION_QUERY_GRAD(attention_query_grad_bf16_wgmma_80, bf16, 80, 128, 2)
ATTENTION_QUERY_GRAD(attention_query_grad_bf16_wgmma_128, bf16, 128, 64, 3)
ATTENTION_QUERY_GRAD(attention_query_grad_bf16_wgmma_160, bf16, 160, 64, 2)
ATTENTION_KEY_VALUE_GRAD(attention_key_value_grad_bf16_wgmma_64, bf16, 64, 64, 4)
ATTENTION_KEY_VALUE_GRAD(attention_key_value_grad_bf16_wgmma_80, bf16, 80, 64, 3)
ATTENTION_KEY_VALUE_GRAD(attention_key_value_grad_bf16_wgmma_128, bf16, 128, 48, 4)
ATTENTION_KEY_VALUE_GRAD(attention_key_value_grad_bf16_wgmma_160, bf16, 160, 32, 3)
