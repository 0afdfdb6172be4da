// Gradients of attention of single precision, without a matrix of scores (Dao et al. 2022, appendix B.2).
//
//   attention_OF_grad_f32_DEPTH(const float* g, const float* q, const float* k, const float* v, const float* log_sum,
//                               const float* delta, const float* mask, float* y, u32 queries, u32 keys, u32 depth,
//                               u32 value_depth, u32 heads, float scale, u64 g_outer, u64 g_inner, u64 g_pitch,
//                               .. of q, k, v, y, u64 mask_outer, u64 mask_inner, u64 mask_query, u64 mask_key)
//
// With weights p = e^(scale·q·kᵀ + mask - log_sum) and s = p∘(g·vᵀ - delta), y becomes
//
//   OF = query: scale·s·k    key: scale·sᵀ·q    value: pᵀ·g
//
// DEPTH: the kernel for results of at most DEPTH columns; the depth of the other products is any.
// Batch item b: g [queries, value_depth]; log_sum and delta: [batch, queries], contiguous; y is as the operand. The
// rest is as attention_f32.cu has it; value's gradient does not read v and delta.
// Launch: grid (batch · ⌈rows of y/64⌉, 1, 1). Block (128, 1, 1) for DEPTH = 64, else (256, 1, 1). No dynamic shared
// memory.
// Contract: with u = 2^-24, scores as attention_f32.cu has them, weights by another relative (2 + |score - log_sum|)·u,
// products g·v by value_depth·u·Σ|g·v|, sums over n rows by n·u. They go along the rows in their order, whatever the
// grid: the same bits always.
#include "attention_f32.cuh"

template <u32 DEPTH, Of OF> void attention_grad(const Sides<float>& sides, u32 block, float scale) {
    constexpr u32 GROUPS = DEPTH / 64, ROWS = rows_of_thread(DEPTH);
    __shared__ __align__(16) Stage<DEPTH> stage;
    __shared__ __align__(16) float weights[SIDE][LINE];
    const u32 column = threadIdx.x % 16 * 4, row = threadIdx.x / 16 * ROWS, first_own = block * SIDE;
    const Matrix own{sides.own, sides.own_pitch, sides.own_rows};
    const Matrix own_other{sides.own_other, sides.own_other_pitch, sides.own_rows};
    const Matrix inner{sides.inner, sides.inner_pitch, sides.inner_rows};
    const Matrix inner_other{sides.inner_other, sides.inner_other_pitch, sides.inner_rows};
    const u32 width = OF == VALUE ? sides.other_depth : sides.depth;

    float sums[GROUPS][ROWS][4] = {};
#pragma unroll 1
    for (u32 first = 0; first < sides.inner_rows; first += SIDE) {
        float scores[ROWS][4] = {}, of_weights[ROWS][4] = {};
        multiply_rows(scores, stage, own, first_own, inner, first, sides.depth, row, column);
        if (OF != VALUE) {
            multiply_rows(of_weights, stage, own_other, first_own, inner_other, first, sides.other_depth, row, column);
        }
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) {
            const u32 at = min(first_own + row + i, sides.own_rows - 1);
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                const u32 along = first + column + j, query = OF == QUERY ? at : along;
                float weight = 0;
                if (along < sides.inner_rows) {
                    float score = scores[i][j] * scale;
                    if (sides.mask) score += sides.mask[at * sides.mask_own + along * sides.mask_inner];
                    weight = expf(score - sides.log_sum[query]);
                    if (OF != VALUE) weight *= of_weights[i][j] - sides.delta[query];
                }
                weights[column + j][row + i] = weight;
            }
        }
        multiply_weights(sums, stage, weights, OF == VALUE ? inner_other : inner, first, width, row, column);
    }
#pragma unroll
    for (u32 i = 0; i < ROWS; i++) {
        const u32 at = first_own + row + i;
#pragma unroll
        for (u32 g = 0; g < GROUPS; g++) {
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                const u32 x = g * 64 + column + j;
                if (at < sides.own_rows && x < width) {
                    sides.y[at * sides.y_pitch + x] = OF == VALUE ? sums[g][i][j] : sums[g][i][j] * scale;
                }
            }
        }
    }
}

#define ATTENTION_GRAD(name, DEPTH, OF) \
    extern "C" __global__ void __launch_bounds__(16 * SIDE / rows_of_thread(DEPTH), DEPTH <= 64 ? 2 : 1) \
        name(ATTENTION_GRAD_PARAMETERS(float)) { \
        const u32 rows = OF == QUERY ? queries : keys; \
        ATTENTION_GRAD_CALL((attention_grad<DEPTH, OF>), float, OF, (rows + SIDE - 1) / SIDE) \
    }

// budget: 255 registers
ATTENTION_GRAD(attention_query_grad_f32_64, 64, QUERY)
ATTENTION_GRAD(attention_key_grad_f32_64, 64, KEY)
ATTENTION_GRAD(attention_value_grad_f32_64, 64, VALUE)
ATTENTION_GRAD(attention_query_grad_f32_256, 256, QUERY)
ATTENTION_GRAD(attention_key_grad_f32_256, 256, KEY)
ATTENTION_GRAD(attention_value_grad_f32_256, 256, VALUE)
