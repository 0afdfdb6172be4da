// Gradients of attention of f16: formula, parameters, launch and contract stand in attention_grad_16.cuh.
#include "attention_grad_16.cuh"

// budget: 255 registers
ATTENTION_GRAD(attention_query_grad_f16_80, f16, 80, QUERY)
ATTENTION_GRAD(attention_key_grad_f16_80, f16, 80, KEY)
ATTENTION_GRAD(attention_value_grad_f16_80, f16, 80, VALUE)
ATTENTION_GRAD(attention_query_grad_f16_160, f16, 160, QUERY)
ATTENTION_GRAD(attention_key_grad_f16_160, f16, 160, KEY)
ATTENTION_GRAD(attention_value_grad_f16_160, f16, 160, VALUE)
