// Attention of single precision: softmax(scale · Q·Kᵀ + mask) · V, without a matrix of scores (Dao et al. 2022).
//
//   attention_f32_DEPTH(const float* q, const float* k, const float* v, const float* mask, float* y, float* log_sum,
//                       u32 queries, u32 keys, u32 depth, u32 value_depth, u32 heads, float scale, u64 q_outer,
//                       u64 q_inner, u64 q_pitch, .. of k, v, y, u64 mask_outer, u64 mask_inner, u64 mask_query,
//                       u64 mask_key)
//
// DEPTH: the kernel for value_depth ≤ DEPTH; `depth` is any.
// Batch item b: q [queries, depth], k [keys, depth], v [keys, value_depth], y [queries, value_depth]. Rows are `pitch`
// elements apart; a matrix begins at element b / heads · outer + b % heads · inner of its operand. The mask's number for
// (query, key) lies `query·mask_query + key·mask_key` further; mask may be null. All extents ≥ 1 and below 2^24. y lies
// apart from the others. log_sum [batch, queries], if it is not null, becomes the logarithm of Σ e^score over the keys;
// where that alone is wanted value_depth is 0, and v and y are null.
// Launch: grid (batch · ⌈queries/64⌉, 1, 1). Block (128, 1, 1) for DEPTH = 64, else (256, 1, 1). No dynamic shared memory.
// Alignment: 4 bytes.
// Contract: with u = 2^-24, scores are off by (depth + 3)·u·|scale|·Σ|q·k| + u·(|score| + |mask|), weights e^(score - M),
// M the largest so far, by another relative (2 + |score - M|)·u for each of the ⌈keys/64⌉ steps, sums of weights and of
// weighted values by (keys + 2·⌈keys/64⌉)·u. A query whose scores hold NaN or +∞, or nothing but -∞, becomes NaN, as
// the formula has it.
#include "attention_f32.cuh"

template <u32 DEPTH>
void attention(const float* q, u64 q_pitch, const float* k, u64 k_pitch, const float* v, u64 v_pitch,
               Mask<float> mask, float* y, u64 y_pitch, float* log_sum, u32 block, u32 queries, u32 keys, u32 depth,
               u32 value_depth, float scale) {
    constexpr u32 GROUPS = DEPTH / 64, ROWS = rows_of_thread(DEPTH);
    __shared__ __align__(16) Stage<DEPTH> stage;
    __shared__ __align__(16) float weights[SIDE][LINE];
    const u32 column = threadIdx.x % 16 * 4, row = threadIdx.x / 16 * ROWS, first_query = block * SIDE;
    const Matrix matrix_q{q, q_pitch, queries}, matrix_k{k, k_pitch, keys}, matrix_v{v, v_pitch, keys};

    float sums[GROUPS][ROWS][4] = {}, largest[ROWS], total[ROWS] = {};
#pragma unroll
    for (float& most : largest) most = Max::identity();

#pragma unroll 1
    for (u32 first = 0; first < keys; first += SIDE) {
        float scores[ROWS][4] = {};
        multiply_rows(scores, stage, matrix_q, first_query, matrix_k, first, depth, row, column);
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) {
            const u32 query = min(first_query + row + i, queries - 1);
            float most = largest[i];
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                const u32 key = first + column + j;
                scores[i][j] *= scale;
                if (mask.from && key < keys) scores[i][j] += mask.from[query * mask.query + key * mask.key];
                if (key >= keys) scores[i][j] = Max::identity();
                most = fmaxf(most, scores[i][j]);
            }
#pragma unroll
            for (u32 lane = 1; lane < 16; lane *= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, lane));
            // Where all scores are -∞, any finite shift gives weights 0.
            const float shift = fmaxf(most, -3.402823466e38f), factor = expf(largest[i] - shift);
            largest[i] = most;
            total[i] *= factor;
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                const float weight = expf(scores[i][j] - shift);
                weights[column + j][row + i] = weight;
                total[i] += weight;
            }
#pragma unroll
            for (u32 g = 0; g < GROUPS; g++) {
#pragma unroll
                for (float& sum : sums[g][i]) sum *= factor;
            }
        }
        if (value_depth > 0) multiply_weights(sums, stage, weights, matrix_v, first, value_depth, row, column);
    }
#pragma unroll
    for (u32 i = 0; i < ROWS; i++) {
#pragma unroll
        for (u32 lane = 1; lane < 16; lane *= 2) total[i] += __shfl_xor_sync(~0u, total[i], lane);
        const float factor = 1.0f / total[i];
        const u32 query = first_query + row + i;
        if (query >= queries) continue;
        if (log_sum && column == 0) log_sum[query] = log_of(total[i]) + largest[i];
#pragma unroll
        for (u32 g = 0; g < GROUPS; g++) {
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                const u32 x = g * 64 + column + j;
                if (x < value_depth) y[query * y_pitch + x] = sums[g][i][j] * factor;
            }
        }
    }
}

#define ATTENTION(name, DEPTH) \
    extern "C" __global__ void __launch_bounds__(16 * SIDE / rows_of_thread(DEPTH), 2) name(ATTENTION_PARAMETERS(float)) { \
        ATTENTION_CALL(attention<DEPTH>, (queries + SIDE - 1) / SIDE) \
    }

// budget: 255 registers
ATTENTION(attention_f32_64, 64)
ATTENTION(attention_f32_256, 256)
