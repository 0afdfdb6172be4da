// What the kernels of attention share: operands of any layout, and the softmax that goes along the keys.
#pragma once

#include "reduce.cuh"

// Matrices of an operand: the one of batch item b has its rows `pitch` elements apart and begins at element
// b / heads · outer + b % heads · inner.
struct Layout {
    u64 outer, inner, pitch;

    u64 start(u32 item, u32 heads) const { return item / heads * outer + item % heads * inner; }
};

// The logarithm of a sum of weights; NaN of none, as where all scores are -∞.
float log_of(float sum) { return sum > 0 ? logf(sum) : __int_as_float(0x7fffffff); }

// Numbers that are added to the scores, if there are any.
template <class T> struct Mask {
    const T* from;
    u64 query, key; // elements from one to the next, perhaps 0
};

// The parameters of a kernel that takes elements T; where nothing is said, elements.
#define ATTENTION_PARAMETERS(T) \
    const T *q, const T *k, const T *v, const T *mask, T *y, float *log_sum, u32 queries, u32 keys, u32 depth, \
        u32 value_depth, u32 heads, float scale, u64 q_outer, u64 q_inner, u64 q_pitch, u64 k_outer, u64 k_inner, u64 k_pitch, \
        u64 v_outer, u64 v_inner, u64 v_pitch, u64 y_outer, u64 y_inner, u64 y_pitch, u64 mask_outer, u64 mask_inner, \
        u64 mask_query, u64 mask_key

// A call of a function that takes the matrices of this block's batch item, which is blockIdx.x / blocks.
#define ATTENTION_CALL(function, blocks) \
    const u32 item = blockIdx.x / (blocks), block = blockIdx.x % (blocks); \
    const Layout at_q{q_outer, q_inner, q_pitch}, at_k{k_outer, k_inner, k_pitch}, at_v{v_outer, v_inner, v_pitch}; \
    const Layout at_y{y_outer, y_inner, y_pitch}, at_mask{mask_outer, mask_inner, 0}; \
    function(q + at_q.start(item, heads), q_pitch, k + at_k.start(item, heads), k_pitch, v + at_v.start(item, heads), \
             v_pitch, {mask ? mask + at_mask.start(item, heads) : mask, mask_query, mask_key}, \
             y + at_y.start(item, heads), y_pitch, log_sum ? log_sum + u64(item) * queries : log_sum, block, queries, \
             keys, depth, value_depth, scale);

// The operand whose gradient a kernel gives: a block has rows of it, its own, and goes along those of the other side.
enum Of { QUERY, KEY, VALUE };

// The parameters of a kernel of gradients.
#define ATTENTION_GRAD_PARAMETERS(T) \
    const T *g, const T *q, const T *k, const T *v, const float *log_sum, const float *delta, const T *mask, T *y, \
        u32 queries, u32 keys, u32 depth, u32 value_depth, u32 heads, float scale, u64 g_outer, u64 g_inner, \
        u64 g_pitch, u64 q_outer, u64 q_inner, u64 q_pitch, u64 k_outer, u64 k_inner, u64 k_pitch, u64 v_outer, \
        u64 v_inner, u64 v_pitch, u64 y_outer, u64 y_inner, u64 y_pitch, u64 mask_outer, u64 mask_inner, \
        u64 mask_query, u64 mask_key

// What a block of gradients works on: scores are products of rows of `own` and `inner`, their gradients have to do with
// products of rows of `own_other` and `inner_other`.
template <class T> struct Sides {
    const T *own, *inner, *own_other, *inner_other;
    u64 own_pitch, inner_pitch, own_other_pitch, inner_other_pitch;
    u32 own_rows, inner_rows, depth, other_depth;
    const float *log_sum, *delta;
    u64 mask_own, mask_inner;
    const T* mask;
    T* y;
    u64 y_pitch;
};

// Calls function(sides, block, scale) for this block's batch item, which is blockIdx.x / blocks.
#define ATTENTION_GRAD_CALL(function, T, OF, blocks) \
    const u32 item = blockIdx.x / (blocks), block = blockIdx.x % (blocks); \
    const Layout at_g{g_outer, g_inner, g_pitch}, at_q{q_outer, q_inner, q_pitch}, at_k{k_outer, k_inner, k_pitch}; \
    const Layout at_v{v_outer, v_inner, v_pitch}, at_y{y_outer, y_inner, y_pitch}, at_mask{mask_outer, mask_inner, 0}; \
    g += at_g.start(item, heads), q += at_q.start(item, heads), k += at_k.start(item, heads); \
    v += at_v.start(item, heads), y += at_y.start(item, heads); \
    if (mask) mask += at_mask.start(item, heads); \
    log_sum += u64(item) * queries, delta += u64(item) * queries; \
    const bool by_query = OF == QUERY; \
    const Sides<T> sides{by_query ? q : k, by_query ? k : q, by_query ? g : v, by_query ? v : g, \
                         by_query ? q_pitch : k_pitch, by_query ? k_pitch : q_pitch, by_query ? g_pitch : v_pitch, \
                         by_query ? v_pitch : g_pitch, by_query ? queries : keys, by_query ? keys : queries, depth, \
                         value_depth, log_sum, delta, by_query ? mask_query : mask_key, \
                         by_query ? mask_key : mask_query, mask, y, y_pitch}; \
    function(sides, block, scale);
