// Gradients of attention on tensor cores, without a matrix of scores (Dao et al. 2022, appendix B.2; 2023).
//
//   attention_OF_grad_T_DEPTH(const T* g, const T* q, const T* k, const T* v, const float* log_sum, const float* delta,
//                             const T* mask, T* y, u32 queries, u32 keys, u32 depth, u32 value_depth, u32 heads,
//                             float scale, u64 g_outer, u64 g_inner, u64 g_pitch, .. of q, k, v, y, u64 mask_outer,
//                             u64 mask_inner, u64 mask_query, u64 mask_key)
//
// With weights p = e^(scale·q·kᵀ + mask - log_sum) and s = p∘(g·vᵀ - delta), y becomes
//
//   OF = query: scale·s·k    key: scale·sᵀ·q    value: pᵀ·g
//
// T: f16, bf16. DEPTH: the kernel for depth ≤ DEPTH and value_depth ≤ DEPTH.
// Batch item b: g [queries, value_depth]; log_sum and delta: [batch, queries], contiguous; y is as the operand. The
// rest is as attention_16.cuh has it; value's gradient does not read v and delta.
// Launch: grid (batch · ⌈rows of y/64⌉, 1, 1). Block (128, 1, 1).
// Dynamic shared memory: 2·(128 + 2·K)·(DEPTH + 8) + 2·64·(K + 8) + 8·K bytes, K = 64 for DEPTH = 80, else 32.
// Contract: scores as attention_16.cuh has them; weights by a relative 2^-21 + 2^-23·|log_sum|; products g·v off by
// (5/4·value_depth + 2)·2^-23·Σ|g·v|; p and s are rounded to T for the second product, whose sums over n rows are off by
// (5/4·n + 2)·2^-23·Σ|p·g| or the like. Sums go along the rows in their order, whatever the grid: the same bits always.
//
// A block computes 64 rows of y, a warp 16, and goes along the rows of the other side, K at a time.
#pragma once

#include "attention_tiles.cuh"

template <class T, u32 DEPTH, Of OF> struct AttentionGrad {
    enum : u32 {
        OWN = THREADS / 32 * 16,
        INNER = DEPTH <= 80 ? 64 : 32,
        LINE = DEPTH + 8,
        BIAS_LINE = INNER + 8,
    };
    using Rows = Matrix<T, LINE>;

    static void run(const Sides<T>& sides, u32 block, float scale) {
        extern __shared__ __align__(128) uint4 dynamic[];
        T *const own = reinterpret_cast<T*>(dynamic), *const own_other = own + OWN * LINE;
        T *const inner = own_other + OWN * LINE, *const inner_other = inner + INNER * LINE;
        T* const bias = inner_other + INNER * LINE;
        float *const log_sums = reinterpret_cast<float*>(bias + OWN * BIAS_LINE), *const deltas = log_sums + INNER;
        const u32 lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 * 16, first_own = block * OWN;
        const Rows rows(sides.inner, sides.inner_pitch, sides.inner_rows, sides.depth);
        const Rows others(sides.inner_other, sides.inner_other_pitch, sides.inner_rows, sides.other_depth);

        Rows(sides.own, sides.own_pitch, sides.own_rows, sides.depth).copy(own, first_own, OWN);
        if (OF != VALUE) {
            Rows(sides.own_other, sides.own_other_pitch, sides.own_rows, sides.other_depth)
                .copy(own_other, first_own, OWN);
        }
        const u32 left = left_rows<LINE>(own + warp_row * LINE), left_other = left_rows<LINE>(own_other + warp_row * LINE);
        const u32 right = right_columns<LINE>(inner), right_other = right_columns<LINE>(inner_other);
        const u32 terms = right_terms<LINE>(OF == VALUE ? inner_other : inner);
        const u32 width = OF == VALUE ? sides.other_depth : sides.depth;

        // Of the queries in rows g and g + 8.
        float log_sum[2] = {}, delta[2] = {};
        if (OF == QUERY) {
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                const u32 query = first_own + warp_row + half * 8 + lane / 4;
                log_sum[half] = query < sides.own_rows ? sides.log_sum[query] : 0;
                delta[half] = query < sides.own_rows ? sides.delta[query] : 0;
            }
        }

        float sums[1][DEPTH / 8][4] = {};
#pragma unroll 1
        for (u32 first = 0; first < sides.inner_rows; first += INNER) {
            rows.copy(inner, first, INNER);
            others.copy(inner_other, first, INNER);
            if (OF != QUERY) {
                // Queries beyond the last have no weight.
                for (u32 i = threadIdx.x; i < INNER; i += THREADS) {
                    const bool there = first + i < sides.inner_rows;
                    log_sums[i] = there ? sides.log_sum[first + i] : -Max::identity();
                    if (OF == KEY) deltas[i] = there ? sides.delta[first + i] : 0;
                }
            }
            // What is added to scores, -∞ where there is no key. A warp brings the numbers of its own rows.
            const bool biased = sides.mask || OF == QUERY && first + INNER > sides.inner_rows;
            if (biased) {
#pragma unroll 1
                for (u32 i = lane; i < 16 * INNER; i += 32) {
                    const u32 row = warp_row + i / INNER, column = first + i % INNER;
                    const bool there = column < sides.inner_rows;
                    T number = narrow<T>(there || OF != QUERY ? 0 : Max::identity());
                    if (sides.mask && there) {
                        const u32 at = min(first_own + row, sides.own_rows - 1);
                        number = sides.mask[at * sides.mask_own + column * sides.mask_inner];
                    }
                    bias[row * BIAS_LINE + i % INNER] = number;
                }
            }
            copy_wait<0>();
            __syncthreads();

            float scores[1][INNER / 8][4] = {}, of_weights[1][INNER / 8][4] = {};
            multiply_rows<T, LINE>(scores, left, right, sides.depth);
            if (OF != VALUE) multiply_rows<T, LINE>(of_weights, left_other, right_other, sides.other_depth);

            u32 weights[1][INNER / 8][2];
            const T* const line = bias + (warp_row + lane / 4) * BIAS_LINE + lane % 4 * 2;
#pragma unroll
            for (u32 j = 0; j < INNER / 8; j++) {
                const u32 column = j * 8 + lane % 4 * 2;
#pragma unroll
                for (u32 half = 0; half < 2; half++) {
                    Pack<T, 2> added = {};
                    if (biased) added = *reinterpret_cast<const Pack<T, 2>*>(line + half * 8 * BIAS_LINE + j * 8);
                    float result[2];
#pragma unroll
                    for (u32 e = 0; e < 2; e++) {
                        float score = scores[0][j][2 * half + e] * scale;
                        if (biased) score += widen(added.lane[e]);
                        result[e] = exp_fast(score, OF == QUERY ? log_sum[half] : log_sums[column + e]);
                        if (OF != VALUE) {
                            result[e] *= of_weights[0][j][2 * half + e] - (OF == QUERY ? delta[half] : deltas[column + e]);
                        }
                    }
                    weights[0][j][half] = pair<T>(result[0], result[1]);
                }
            }
            multiply_weights<T, LINE>(sums, weights, terms, width);
            __syncthreads(); // nobody reads the rows of the other side any more
        }
        // Where there was nothing to go along, either.
        copy_wait<0>();
        __syncthreads();
        store_rows<T, LINE>(sums, own + warp_row * LINE, sides.y, sides.y_pitch, first_own + warp_row, sides.own_rows, width,
                            [&](u32, u32) { return OF == VALUE ? 1.0f : scale; });
    }
};

#define ATTENTION_GRAD(name, T, DEPTH, OF) \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) name(ATTENTION_GRAD_PARAMETERS(T)) { \
        const u32 rows = OF == QUERY ? queries : keys; \
        ATTENTION_GRAD_CALL((AttentionGrad<T, DEPTH, OF>::run), T, OF, (rows + 63) / 64) \
    }
