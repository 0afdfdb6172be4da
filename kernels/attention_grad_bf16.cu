// Gradients of attention of bf16: formula, parameters, launch and contract stand in attention_grad_16.cuh.
#include "attention_grad_16.cuh"

// budget: 255 registers
ATTENTION_GRAD(attention_query_grad_bf16_80, bf16, 80, QUERY)
ATTENTION_GRAD(attention_key_grad_bf16_80, bf16, 80, KEY)
ATTENTION_GRAD(attention_value_grad_bf16_80, bf16, 80, VALUE)
ATTENTION_GRAD(attention_query_grad_bf16_160, bf16, 160, QUERY)
ATTENTION_GRAD(attention_key_grad_bf16_160, bf16, 160, KEY)
ATTENTION_GRAD(attention_value_grad_bf16_160, bf16, 160, VALUE)
