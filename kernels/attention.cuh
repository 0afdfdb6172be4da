// What the kernels of attention share: operands of any layout, and the softmax that goes along the keys.
#pragma once

#include "reduce.cuh"

// Matrices of an operand: the one of batch item b has its rows `pitch` elements apart and begins at element
// b / heads · outer + b % heads · inner.
struct Layout {
    u64 outer, inner, pitch;

    u64 start(u32 item, u32 heads) const { return item / heads * outer + item % heads * inner; }
};

// Numbers that are added to the scores, if there are any.
template <class T> struct Mask {
    const T* from;
    u64 query, key; // elements from one to the next, perhaps 0
};

// The parameters of a kernel that takes elements T; where nothing is said, elements.
#define ATTENTION_PARAMETERS(T) \
    const T *q, const T *k, const T *v, const T *mask, T *y, u32 queries, u32 keys, u32 depth, u32 value_depth, \
        u32 heads, float scale, u64 q_outer, u64 q_inner, u64 q_pitch, u64 k_outer, u64 k_inner, u64 k_pitch, \
        u64 v_outer, u64 v_inner, u64 v_pitch, u64 y_outer, u64 y_inner, u64 y_pitch, u64 mask_outer, u64 mask_inner, \
        u64 mask_query, u64 mask_key

// A call of a function that takes the matrices of this block's batch item, which is blockIdx.x / blocks.
#define ATTENTION_CALL(function, blocks) \
    const u32 item = blockIdx.x / (blocks), block = blockIdx.x % (blocks); \
    const Layout at_q{q_outer, q_inner, q_pitch}, at_k{k_outer, k_inner, k_pitch}, at_v{v_outer, v_inner, v_pitch}; \
    const Layout at_y{y_outer, y_inner, y_pitch}, at_mask{mask_outer, mask_inner, 0}; \
    function(q + at_q.start(item, heads), q_pitch, k + at_k.start(item, heads), k_pitch, v + at_v.start(item, heads), \
             v_pitch, {mask ? mask + at_mask.start(item, heads) : mask, mask_query, mask_key}, \
             y + at_y.start(item, heads), y_pitch, block, queries, keys, depth, value_depth, scale);
