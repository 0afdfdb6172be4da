// Attention on tensor cores: softmax(scale · Q·Kᵀ + mask) · V, without a matrix of scores (Dao et al. 2022, 2023).
//
//   attention_T_DEPTH(const T* q, const T* k, const T* v, const T* mask, T* y, float* log_sum, u32 queries, u32 keys,
//                     u32 depth, u32 value_depth, u32 heads, float scale, u64 q_outer, u64 q_inner, u64 q_pitch,
//                     .. of k, v, y, u64 mask_outer, u64 mask_inner, u64 mask_query, u64 mask_key)
//
// T: f16, bf16. DEPTH: the kernel for depth ≤ DEPTH and value_depth ≤ DEPTH.
// Batch item b: q [queries, depth], k [keys, depth], v [keys, value_depth], y [queries, value_depth]. Rows are `pitch`
// elements apart; a matrix begins at element b / heads · outer + b % heads · inner of its operand. The mask's number for
// (query, key) lies `query·mask_query + key·mask_key` further; mask may be null. All extents ≥ 1 and below 2^24. y lies
// apart from the others. log_sum [batch, queries], if it is not null, becomes the logarithm of Σ e^score over the keys;
// where that alone is wanted value_depth is 0, and v and y are null.
// Launch: grid (batch · ⌈queries/Q⌉, 1, 1), Q = 128 for DEPTH = 80, else 64. Block (128, 1, 1).
// Dynamic shared memory: 2·(Q + 2·K)·(DEPTH + 8) + 2·Q·(K + 8) bytes, K = 32 for DEPTH = 256, else 64.
// Alignment: that of T. An operand whose matrices begin at multiples of 16 bytes, with a width and a pitch that are
// multiples of 8 elements, is moved by 16 bytes, and copied beside the arithmetic.
// Contract: scores are sums of exact products, off by (5/4·depth + 4)·2^-23·|scale|·Σ|q·k| + 2^-22·(|score| + |mask|);
// weights e^(score - M), M the largest so far, by another relative 2^-21, and are rounded to T for the product with v,
// whose sums are off by (5/4·keys + 2·⌈keys/K⌉ + 4)·2^-23·Σ weight·|v|; their own sum is of floats. A query whose
// scores hold NaN or +∞, or nothing but -∞, becomes NaN, as the formula has it, and so does its log_sum.
//
// A block computes Q queries, a warp a quarter of them, for K keys at a time. While the scores are computed the values
// are copied, and the next keys while the values are multiplied.
#pragma once

#include "attention_tiles.cuh"

template <class T, u32 DEPTH> struct Attention {
    enum : u32 {
        TILES = DEPTH <= 80 ? 2 : 1,   // of 16 queries, that a warp has
        KEYS = DEPTH <= 160 ? 64 : 32, // at a time
        QUERIES = THREADS / 32 * 16 * TILES,
        LINE = DEPTH + 8,              // of shared memory: 8 lines meet all banks
        BIAS_LINE = KEYS + 8,
    };
    using Rows = Matrix<T, LINE>;

    static void run(const T* q, u64 q_pitch, const T* k, u64 k_pitch, const T* v, u64 v_pitch, Mask<T> mask, T* y,
                    u64 y_pitch, float* log_sum, u32 block, u32 queries, u32 keys, u32 depth, u32 value_depth,
                    float scale) {
        extern __shared__ __align__(128) uint4 dynamic[];
        T *const shared_q = reinterpret_cast<T*>(dynamic), *const shared_k = shared_q + QUERIES * LINE;
        T *const shared_v = shared_k + KEYS * LINE, *const shared_bias = shared_v + KEYS * LINE;
        const u32 lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 * 16 * TILES;
        const u32 first_query = block * QUERIES;
        const Rows matrix_k(k, k_pitch, keys, depth), matrix_v(v, v_pitch, keys, value_depth);

        Rows(q, q_pitch, queries, depth).copy(shared_q, first_query, QUERIES);
        matrix_k.copy(shared_k, 0, KEYS);
        copy_wait<0>();
        __syncthreads();

        const u32 left = left_rows<LINE>(shared_q + warp_row * LINE);
        const u32 right = right_columns<LINE>(shared_k), value = right_terms<LINE>(shared_v);

        float sums[TILES][DEPTH / 8][4] = {};
        float largest[TILES][2], total[TILES][2] = {};
#pragma unroll
        for (u32 i = 0; i < TILES; i++) largest[i][0] = largest[i][1] = Max::identity();

#pragma unroll 1
        for (u32 first = 0; first < keys; first += KEYS) {
            matrix_v.copy(shared_v, first, KEYS);
            // What is added to scores, -∞ where there is no key. A warp brings the numbers of its own queries.
            const bool biased = mask.from || first + KEYS > keys;
            if (biased) {
#pragma unroll 1
                for (u32 i = lane; i < 16 * TILES * KEYS; i += 32) {
                    const u32 row = warp_row + i / KEYS, key = first + i % KEYS;
                    const u32 query = min(first_query + row, queries - 1);
                    T bias = narrow<T>(key < keys ? 0 : Max::identity());
                    if (mask.from && key < keys) bias = mask.from[query * mask.query + key * mask.key];
                    shared_bias[row * BIAS_LINE + i % KEYS] = bias;
                }
                __syncwarp();
            }

            float scores[TILES][KEYS / 8][4] = {};
            multiply_rows<T, LINE>(scores, left, right, depth);

            u32 weights[TILES][KEYS / 8][2];
#pragma unroll
            for (u32 i = 0; i < TILES; i++) {
#pragma unroll
                for (u32 j = 0; j < KEYS / 8; j++) {
#pragma unroll
                    for (float& score : scores[i][j]) score *= scale;
                }
                if (biased) {
                    const T* line = shared_bias + (warp_row + i * 16 + lane / 4) * BIAS_LINE + lane % 4 * 2;
#pragma unroll
                    for (u32 j = 0; j < KEYS / 8; j++) {
#pragma unroll
                        for (u32 e = 0; e < 4; e += 2) {
                            const T* from = line + e / 2 * 8 * BIAS_LINE + j * 8;
                            const Pack<T, 2> two = *reinterpret_cast<const Pack<T, 2>*>(from);
                            scores[i][j][e] += widen(two.lane[0]);
                            scores[i][j][e + 1] += widen(two.lane[1]);
                        }
                    }
                }
#pragma unroll
                for (u32 half = 0; half < 2; half++) {
                    float most = largest[i][half];
#pragma unroll
                    for (u32 j = 0; j < KEYS / 8; j++) {
                        most = fmaxf(most, fmaxf(scores[i][j][2 * half], scores[i][j][2 * half + 1]));
                    }
                    most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
                    most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
                    // Where all scores are -∞, any finite shift gives weights 0.
                    const float shift = fmaxf(most, -1e38f);
                    const float factor = exp_fast(largest[i][half], shift);
                    largest[i][half] = most;
                    total[i][half] *= factor;
#pragma unroll
                    for (u32 j = 0; j < DEPTH / 8; j++) {
                        sums[i][j][2 * half] *= factor;
                        sums[i][j][2 * half + 1] *= factor;
                    }
#pragma unroll
                    for (u32 j = 0; j < KEYS / 8; j++) {
                        const float a = exp_fast(scores[i][j][2 * half], shift);
                        const float b = exp_fast(scores[i][j][2 * half + 1], shift);
                        total[i][half] += a + b;
                        weights[i][j][half] = pair<T>(a, b);
                    }
                }
            }

            copy_wait<0>();
            __syncthreads(); // the values are there, and nobody reads the keys any more
            if (first + KEYS < keys) matrix_k.copy(shared_k, first + KEYS, KEYS);
            multiply_weights<T, LINE>(sums, weights, value, value_depth);
            copy_wait<0>();
            __syncthreads(); // the next keys are there, and nobody reads the values any more
        }

#pragma unroll
        for (u32 i = 0; i < TILES; i++) {
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                float& sum = total[i][half];
                sum += __shfl_xor_sync(~0u, sum, 1);
                sum += __shfl_xor_sync(~0u, sum, 2);
                const u32 query = first_query + warp_row + i * 16 + half * 8 + lane / 4;
                if (log_sum && lane % 4 == 0 && query < queries) log_sum[query] = log_of(sum) + largest[i][half];
            }
        }
        store_rows<T, LINE>(sums, shared_q + warp_row * LINE, y, y_pitch, first_query + warp_row, queries, value_depth,
                            [&](u32 i, u32 half) { return 1.0f / total[i][half]; });
    }
};

#define ATTENTION(name, T, DEPTH) \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) name(ATTENTION_PARAMETERS(T)) { \
        constexpr u32 QUERIES = Attention<T, DEPTH>::QUERIES; \
        ATTENTION_CALL((Attention<T, DEPTH>::run), (queries + QUERIES - 1) / QUERIES) \
    }
