// Attention on Hopper's tensor cores: softmax(scale · Q·Kᵀ + mask) · V, without a matrix of scores (Dao et al. 2022; Shah et
// al. 2024).
//
//   attention_T_wgmma_DEPTH(TensorMap q, TensorMap k, TensorMap v, T* y, float* log_sum, u32 queries, u32 keys,
//                           u32 value_depth, u32 heads, float scale, u64 y_outer, u64 y_inner, u64 y_pitch)
//   attention_T_wgmma_masked_DEPTH(.. the same .., const T* mask, u64 mask_outer, u64 mask_inner, u64 mask_query,
//                                  u64 mask_key)
//
// T: f16, bf16. DEPTH: the kernel for depth ≤ DEPTH and value_depth ≤ DEPTH; what lies beyond them is zeros that the
// hardware copies from outside of the tensors.
// q, k, v: axes depth (value_depth), rows, heads, batch; boxes of 64 columns × 128 rows of q, 64 × KEYS of k and v. y,
// log_sum and mask, which is not null, as in attention_16.cuh; all extents ≥ 1 and below 2^24.
// Launch: grid (batch · ⌈queries/128⌉, 1, 1), block (384, 1, 1). Dynamic shared memory: BYTES of Flash below.
// Contract: as in attention_16.cuh, K = KEYS.
//
// A block has 128 queries, each of two groups of warps half of them. A thread of a third group copies keys and values in
// turns, KEYS at a time. Scores stay in registers, where weights are the left factor of the second product: that of one
// step goes on while the scores of the next become weights. The groups begin their steps in turns, so that one has the
// tensor cores while the other has its exponentials.
#pragma once

#include "attention_groups.cuh"

template <class T, u32 D, u32 K, u32 S, bool MASKED = false> struct Flash {
    enum : u32 { DEPTH = D, KEYS = K, STAGES = S, QUERIES = 128, CHUNKS = (D + 63) / 64 };
    enum : u32 { WARPS = 8, ROOM_BYTES = 16 * 64 * 4, Q_BYTES = QUERIES * 128 * CHUNKS, STAGE_BYTES = K * 128 * CHUNKS };
    enum : u32 { RING = Q_BYTES, ROOMS = RING + S * STAGE_BYTES, FULL = ROOMS + WARPS * ROOM_BYTES };
    enum : u32 { EMPTY = FULL + S * 8, ORDER = EMPTY + S * 8, READY = ORDER + 16, BYTES = READY + 8 };
    static_assert(D % 16 == 0 && BYTES <= 227 * 1024, "whole terms that fit");

    // Scores become weights; `factor` is that of what was summed before. total and largest are those of rows g and g + 8.
    static void soften(float (&scores)[K / 2], float (&largest)[2], float (&total)[2], float (&factor)[2]) {
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            float most = largest[half];
#pragma unroll
            for (u32 i = 0; i < K / 2; i++) {
                if (i / 2 % 2 == half) most = fmaxf(most, scores[i]);
            }
            most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
            most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
            // Where all scores are -∞, any finite shift gives weights 0.
            const float shift = fmaxf(most, -1e38f);
            factor[half] = exp_fast(largest[half], shift);
            largest[half] = most;
            total[half] *= factor[half];
#pragma unroll
            for (u32 i = 0; i < K / 2; i++) {
                if (i / 2 % 2 == half) total[half] += scores[i] = exp_fast(scores[i], shift);
            }
        }
    }

    // What is wanted of scores from their products; none of keys that there are not. The mask begins at the step's first key
    // and the thread's first query; its other one is `below` elements further.
    static void scale_scores(float (&scores)[K / 2], float scale, u32 keys, Mask<T> mask, u64 below) {
#pragma unroll
        for (u32 i = 0; i < K / 2; i++) {
            const u32 key = i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2;
            scores[i] *= scale;
            if (MASKED && key < keys) scores[i] += widen(mask.from[i / 2 % 2 * below + key * mask.key]);
            if (key >= keys) scores[i] = Max::identity();
        }
    }

    static void run(const TensorMap& q, const TensorMap& k, const TensorMap& v, T* y, u64 y_pitch, float* log_sum,
                    u32 block, u32 item, u32 queries, u32 keys, u32 value_depth, u32 heads, float scale,
                    Mask<T> mask = {}) {
        extern __shared__ __align__(1024) uint4 memory[];
        const u32 shared = shared_address(memory), full = shared + FULL, empty = shared + EMPTY;
        const u32 order = shared + ORDER, ready = shared + READY;
        if (threadIdx.x == 0) {
#pragma unroll 1
            for (u32 stage = 0; stage < STAGES; stage++) {
                barrier_init(full + stage * 8, 1);
                barrier_init(empty + stage * 8, WARPS);
            }
            barrier_init(order, 4);
            barrier_init(order + 8, 4);
            barrier_init(ready, 1);
            barriers_made();
        }
        __syncthreads();
        const u32 warp = __shfl_sync(~0u, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
        const u32 steps = (keys + KEYS - 1) / KEYS, first_query = block * QUERIES;
        Turn<STAGES> turn;
        if (warp >= WARPS) {
            registers_lower<40>();
            if (threadIdx.x != WARPS * 32) return;
            const u32 batch = item / heads, head = item - batch * heads;
            barrier_expect(ready, Q_BYTES);
            copy_rows<DEPTH, QUERIES>(shared, q, ready, first_query, head, batch);
#pragma unroll 1
            for (u32 step = 0; step < 2 * steps; step++, turn.advance(1)) {
                const u32 barrier = full + turn.stage * 8, to = shared + RING + turn.stage * STAGE_BYTES;
                barrier_wait(empty + turn.stage * 8, turn.parity ^ 1);
                barrier_expect(barrier, STAGE_BYTES);
                copy_rows<DEPTH, KEYS>(to, step % 2 == 0 ? k : v, barrier, step / 2 * KEYS, head, batch);
            }
            return;
        }
        registers_raise<232>();
        const u32 group = warp / 4;
        const u32 own = shared + group * 64 * 128, ring = shared + RING;
        float sums[DEPTH / 2] = {}, scores[KEYS / 2] = {}, largest[2] = {Max::identity(), Max::identity()};
        float total[2] = {}, factor[2];
        u32 weights[KEYS / 16][4];
        u64 below = 0;
        if (MASKED) {
            const u32 query = first_query + warp * 16 + lane / 4;
            below = query + 8 < queries ? 8 * mask.query : 0;
            mask.from += min(query, queries - 1) * mask.query;
        }
        barrier_wait(ready, 0);
        barrier_wait(full, 0);
        hold(scores);
        products_begin();
        begin_scores<T, DEPTH, QUERIES, KEYS>(scores, own, ring);
        products_wait<0>();
        hold(scores);
        if (lane == 0) barrier_arrive(empty);
        scale_scores(scores, scale, keys, mask, below);
        soften(scores, largest, total, factor);
        pack<T, KEYS>(weights, scores);
        Turn<STAGES> values; // of the last step; its keys lie before them
        values.advance(1);
#pragma unroll 1
        for (u32 step = 1; step < steps; step++) {
            turn = values, turn.advance(1);
            barrier_wait(full + turn.stage * 8, turn.parity);
            barrier_wait(full + values.stage * 8, values.parity);
            // The other group has begun as many steps as this one, or one fewer.
            barrier_wait(order + group * 8, step - group & 1);
            hold(scores), hold(sums);
            products_begin();
            begin_scores<T, DEPTH, QUERIES, KEYS>(scores, own, ring + turn.stage * STAGE_BYTES);
            begin_sums<T, DEPTH, KEYS>(sums, weights, ring + values.stage * STAGE_BYTES);
            if (lane == 0) barrier_arrive(order + (1 - group) * 8);
            products_wait<1>();
            hold(scores);
            if (lane == 0) barrier_arrive(empty + turn.stage * 8);
            if (MASKED) mask.from += KEYS * mask.key;
            scale_scores(scores, scale, keys - step * KEYS, mask, below);
            soften(scores, largest, total, factor);
            products_wait<0>();
            hold(sums);
            if (lane == 0) barrier_arrive(empty + values.stage * 8);
#pragma unroll
            for (u32 i = 0; i < DEPTH / 2; i++) sums[i] *= factor[i / 2 % 2];
            pack<T, KEYS>(weights, scores);
            values = turn, values.advance(1);
        }
        barrier_wait(full + values.stage * 8, values.parity);
        hold(sums);
        products_begin();
        begin_sums<T, DEPTH, KEYS>(sums, weights, ring + values.stage * STAGE_BYTES);
        products_wait<0>();
        hold(sums);

        const u32 first_row = first_query + warp * 16, room = shared + ROOMS + warp * ROOM_BYTES;
        float inverse[2];
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            float sum = total[half];
            sum += __shfl_xor_sync(~0u, sum, 1);
            sum += __shfl_xor_sync(~0u, sum, 2);
            const u32 query = first_row + half * 8 + lane / 4;
            if (log_sum && lane % 4 == 0 && query < queries) log_sum[query] = log_of(sum) + largest[half];
            inverse[half] = 1.0f / sum;
        }
#pragma unroll
        for (u32 i = 0; i < DEPTH / 2; i++) sums[i] *= inverse[i / 2 % 2];
        store_sums(sums, room, y, y_pitch, first_row, queries, value_depth);
    }
};

#define ATTENTION(name, T, DEPTH, KEYS, STAGES) \
    extern "C" __global__ void __launch_bounds__(384, 1) \
        name(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k, \
             const __grid_constant__ TensorMap v, T* y, float* log_sum, u32 queries, u32 keys, u32 value_depth, \
             u32 heads, float scale, u64 y_outer, u64 y_inner, u64 y_pitch) { \
        const u32 blocks = (queries + 127) / 128, item = blockIdx.x / blocks, block = blockIdx.x - item * blocks; \
        const Layout at_y{y_outer, y_inner, y_pitch}; \
        Flash<T, DEPTH, KEYS, STAGES>::run(q, k, v, y + at_y.start(item, heads), y_pitch, \
                                           log_sum ? log_sum + u64(item) * queries : log_sum, block, item, queries, \
                                           keys, value_depth, heads, scale); \
    }

#define ATTENTION_MASKED(name, T, DEPTH, KEYS, STAGES) \
    extern "C" __global__ void __launch_bounds__(384, 1) \
        name(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k, \
             const __grid_constant__ TensorMap v, T* y, float* log_sum, u32 queries, u32 keys, u32 value_depth, \
             u32 heads, float scale, u64 y_outer, u64 y_inner, u64 y_pitch, const T* mask, u64 mask_outer, \
             u64 mask_inner, u64 mask_query, u64 mask_key) { \
        const u32 blocks = (queries + 127) / 128, item = blockIdx.x / blocks, block = blockIdx.x - item * blocks; \
        const Layout at_y{y_outer, y_inner, y_pitch}, at_mask{mask_outer, mask_inner, 0}; \
        Flash<T, DEPTH, KEYS, STAGES, true>::run(q, k, v, y + at_y.start(item, heads), y_pitch, \
                                                 log_sum ? log_sum + u64(item) * queries : log_sum, block, item, \
                                                 queries, keys, value_depth, heads, scale, \
                                                 {mask + at_mask.start(item, heads), mask_query, mask_key}); \
    }
