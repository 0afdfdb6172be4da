// Gradients of attention on Hopper's tensor cores, without a matrix of scores (Dao 2023; Shah et al. 2024).
//
//   attention_query_grad_T_wgmma_DEPTH(TensorMap q, TensorMap g, TensorMap k, TensorMap v, const float* log_sum,
//                                      const float* delta, T* y, u32 queries, u32 keys, u32 depth, u32 heads,
//                                      float scale, u64 y_outer, u64 y_inner, u64 y_pitch)
//   attention_key_value_grad_T_wgmma_DEPTH(TensorMap k, TensorMap v, TensorMap q, TensorMap g, const float* log_sum,
//                                          const float* delta, T* y, T* z, u32 queries, u32 keys, u32 depth,
//                                          u32 value_depth, u32 heads, float scale, u64 y_outer, u64 y_inner,
//                                          u64 y_pitch, .. of z)
//
// With weights p = e^(scale·q·kᵀ - log_sum) and s = p∘(g·vᵀ - delta), the first makes y = scale·s·k, the second
// y = scale·sᵀ·q and z = pᵀ·g, each unless it is null.
// T: f16, bf16. DEPTH: the kernel for depth ≤ DEPTH and value_depth ≤ DEPTH; what lies beyond them is zeros that the
// hardware copies from outside of the tensors.
// Tensors: axes depth (value_depth), rows, heads, batch; boxes of 64 columns × 128 rows of the first two, × INNER rows of
// the others. y, z, log_sum and delta as in attention_grad_16.cuh; all extents ≥ 1 and below 2^24.
// Launch: grid (batch · ⌈rows of y/128⌉, 1, 1), block (384, 1, 1). Dynamic shared memory: BYTES of FlashGrad below.
// Contract: as in attention_grad_16.cuh.
//
// A block has 128 rows of one side, each of two groups of warps half of them. A thread of a third group copies rows of the
// other side, INNER at a time of both operands, into a ring of stages; where these are queries, a second warp of that
// group puts their numbers beside them. Weights stay in registers, where they are the left factor of the second products:
// those of one step go on while the scores of the next are computed, if registers suffice (AHEAD).
#pragma once

#include "attention_groups.cuh"

template <class T, u32 DEPTH, u32 INNER, u32 STAGES, Of SIDE> struct FlashGrad {
    enum : u32 { OWN = 128, WARPS = 8, ROOM_BYTES = 16 * 64 * 4 };
    enum : u32 { ROW = (DEPTH + 63) / 64 * 128, OWN_BYTES = OWN * ROW };
    enum : u32 { INNER_BYTES = INNER * ROW, STAGE_BYTES = 2 * INNER_BYTES };
    enum : u32 { RING = 2 * OWN_BYTES, ROOMS = RING + STAGES * STAGE_BYTES, NUMBERS = ROOMS + WARPS * ROOM_BYTES };
    enum : u32 { NUMBERS_BYTES = SIDE == KEY ? INNER * 8 : 0, FULL = NUMBERS + STAGES * NUMBERS_BYTES };
    enum : u32 { EMPTY = FULL + STAGES * 8, READY = EMPTY + STAGES * 8, BYTES = READY + 8 };
    // Whether registers suffice for scores while the step before has its last products.
    enum : bool { AHEAD = SIDE == QUERY || DEPTH <= 128 };
    static_assert(DEPTH % 16 == 0 && INNER % 16 == 0 && BYTES <= 227 * 1024, "whole terms that fit");

    // Scores become weights. `shift` is added to the exponents: of rows g and g + 8 where these are queries; otherwise the
    // numbers lie at `shifts`. `rest` rows of the other side are left.
    template <bool LAST>
    static void weigh(float (&scores)[INNER / 2], float factor, const float (&shift)[2], u32 shifts, u32 rest) {
        const u32 column = threadIdx.x % 4 * 2;
#pragma unroll
        for (u32 j = 0; j < INNER / 8; j++) {
            float along[2];
            if (SIDE == KEY) load_shared(along, shifts + (j * 8 + column) * 4);
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                float& score = scores[j * 4 + i];
                score = exp2_fast(fmaf(score, factor, SIDE == KEY ? along[i % 2] : shift[i / 2]));
                if (SIDE == QUERY && LAST && j * 8 + column + i % 2 >= rest) score = 0;
            }
        }
    }

    // Gradients of weights become those of scores; `delta` and `deltas` alike.
    static void chain(float (&of_weights)[INNER / 2], const float (&weights)[INNER / 2], const float (&delta)[2],
                      u32 deltas) {
#pragma unroll
        for (u32 j = 0; j < INNER / 8; j++) {
            float along[2];
            if (SIDE == KEY) load_shared(along, deltas + (j * 8 + threadIdx.x % 4 * 2) * 4);
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                float& x = of_weights[j * 4 + i];
                x = weights[j * 4 + i] * (x - (SIDE == KEY ? along[i % 2] : delta[i / 2]));
            }
        }
    }

    // Copies the block's rows, and those of the other side in turns.
    static void copy(u32 shared, const TensorMap& own, const TensorMap& own_other, const TensorMap& inner,
                     const TensorMap& inner_other, u32 first_own, u32 steps, u32 head, u32 batch) {
        barrier_expect(shared + READY, 2 * OWN_BYTES);
        copy_rows<DEPTH, OWN>(shared, own, shared + READY, first_own, head, batch);
        copy_rows<DEPTH, OWN>(shared + OWN_BYTES, own_other, shared + READY, first_own, head, batch);
        Turn<STAGES> turn;
#pragma unroll 1
        for (u32 step = 0; step < steps; step++, turn.advance(1)) {
            const u32 barrier = shared + FULL + turn.stage * 8, to = shared + RING + turn.stage * STAGE_BYTES;
            barrier_wait(shared + EMPTY + turn.stage * 8, turn.parity ^ 1);
            barrier_expect(barrier, STAGE_BYTES);
            copy_rows<DEPTH, INNER>(to, inner, barrier, step * INNER, head, batch);
            copy_rows<DEPTH, INNER>(to + INNER_BYTES, inner_other, barrier, step * INNER, head, batch);
        }
    }

    // Puts the numbers of queries into the stages; those beyond the last have no weight.
    static void number(u32 shared, const float* log_sum, const float* delta, u32 queries, u32 steps) {
        enum : u32 { EACH = (INNER + 31) / 32 };
        const u32 lane = threadIdx.x % 32;
        Turn<STAGES> turn;
#pragma unroll 1
        for (u32 step = 0; step < steps; step++, turn.advance(1)) {
            float shifts[EACH], deltas[EACH];
#pragma unroll
            for (u32 i = 0; i < EACH; i++) {
                const u32 query = step * INNER + i * 32 + lane;
                shifts[i] = query < queries ? -log_sum[query] * LOG2_E : Max::identity();
                deltas[i] = query < queries ? delta[query] : 0;
            }
            barrier_wait(shared + EMPTY + turn.stage * 8, turn.parity ^ 1);
            const u32 to = shared + NUMBERS + turn.stage * NUMBERS_BYTES + lane * 4;
#pragma unroll
            for (u32 i = 0; i < EACH; i++) {
                if (i * 32 + lane >= INNER) continue;
                store_shared(to + i * 128, shifts[i]);
                store_shared(to + INNER * 4 + i * 128, deltas[i]);
            }
            __syncwarp();
            if (lane == 0) barrier_arrive(shared + FULL + turn.stage * 8);
        }
    }

    // y and z are the block's matrices, null where they are not wanted.
    static void run(const TensorMap& own, const TensorMap& own_other, const TensorMap& inner,
                    const TensorMap& inner_other, const float* log_sum, const float* delta, T* y, u64 y_pitch, T* z,
                    u64 z_pitch, u32 block, u32 item, u32 own_rows, u32 inner_rows, u32 depth, u32 value_depth,
                    u32 heads, float scale) {
        extern __shared__ __align__(1024) uint4 memory[];
        const u32 shared = shared_address(memory), full = shared + FULL, empty = shared + EMPTY;
        if (threadIdx.x == 0) {
#pragma unroll 1
            for (u32 stage = 0; stage < STAGES; stage++) {
                barrier_init(full + stage * 8, SIDE == KEY ? 2 : 1);
                barrier_init(empty + stage * 8, WARPS);
            }
            barrier_init(shared + READY, 1);
            barriers_made();
        }
        __syncthreads();
        const u32 warp = __shfl_sync(~0u, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
        const u32 steps = (inner_rows + INNER - 1) / INNER, first_own = block * OWN;
        if (warp >= WARPS) {
            registers_lower<24>();
            const u32 batch = item / heads, head = item - batch * heads;
            if (threadIdx.x == WARPS * 32) {
                copy(shared, own, own_other, inner, inner_other, first_own, steps, head, batch);
            }
            if (SIDE == KEY && warp == WARPS + 1) number(shared, log_sum, delta, inner_rows, steps);
            return;
        }
        registers_raise<240>();
        const u32 left = shared + warp / 4 * 64 * 128, ring = shared + RING, first_row = first_own + warp * 16;
        const float factor = scale * LOG2_E;
        float sums[DEPTH / 2] = {}, sums_other[DEPTH / 2] = {}, scores[INNER / 2], of_weights[INNER / 2];
        u32 weights[INNER / 16][4], of_scores[INNER / 16][4];
        float shift_of[2] = {}, delta_of[2] = {};
        if (SIDE == QUERY) {
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                const u32 query = first_row + half * 8 + lane / 4;
                shift_of[half] = query < own_rows ? -log_sum[query] * LOG2_E : 0;
                delta_of[half] = query < own_rows ? delta[query] : 0;
            }
        }
        Turn<STAGES> turn;
        const auto begin = [&](u32 stage) {
            const u32 rows = ring + stage * STAGE_BYTES;
            hold(scores), hold(of_weights);
            products_begin();
            begin_scores<T, DEPTH, OWN, INNER>(scores, left, rows);
            begin_scores<T, DEPTH, OWN, INNER>(of_weights, left + OWN_BYTES, rows + INNER_BYTES);
        };
        const auto numbers = [&] { return shared + NUMBERS + turn.stage * NUMBERS_BYTES; };
        // From a step's weights to its last products.
        const auto sum = [&] {
            const u32 rows = ring + turn.stage * STAGE_BYTES;
            products_wait<0>();
            if (SIDE == KEY) {
                pack<T, INNER>(weights, scores);
                hold(sums_other);
                products_begin();
                begin_sums<T, DEPTH, INNER>(sums_other, weights, rows + INNER_BYTES);
            }
            hold(of_weights);
            chain(of_weights, scores, delta_of, numbers() + INNER * 4);
            pack<T, INNER>(of_scores, of_weights);
            hold(sums);
            products_begin();
            begin_sums<T, DEPTH, INNER>(sums, of_scores, rows);
        };
        barrier_wait(shared + READY, 0);
        barrier_wait(full, 0);
        begin(0);
        products_wait<1>();
        hold(scores);
#pragma unroll 1
        for (u32 step = 1; step < steps; step++) {
            weigh<false>(scores, factor, shift_of, numbers(), INNER);
            sum();
            if (!AHEAD) products_wait<0>();
            Turn<STAGES> next = turn;
            next.advance(1);
            barrier_wait(full + next.stage * 8, next.parity);
            begin(next.stage);
            // Then the sums are there, too.
            products_wait<1>();
            hold(scores), hold(sums);
            if (SIDE == KEY) hold(sums_other);
            __syncwarp();
            if (lane == 0) barrier_arrive(empty + turn.stage * 8);
            turn = next;
        }
        weigh<true>(scores, factor, shift_of, numbers(), inner_rows - (steps - 1) * INNER);
        sum();
        products_wait<0>();
        hold(sums);
        if (SIDE == KEY) hold(sums_other);

        const u32 room = shared + ROOMS + warp * ROOM_BYTES;
        if (y) {
#pragma unroll
            for (float& x : sums) x *= scale;
            store_sums(sums, room, y, y_pitch, first_row, own_rows, depth);
        }
        if (SIDE == KEY && z) store_sums(sums_other, room, z, z_pitch, first_row, own_rows, value_depth);
    }
};

#define ATTENTION_QUERY_GRAD(name, T, DEPTH, INNER, STAGES) \
    extern "C" __global__ void __launch_bounds__(384, 1) \
        name(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap g, \
             const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v, const float* log_sum, \
             const float* delta, T* y, u32 queries, u32 keys, u32 depth, u32 heads, float scale, u64 y_outer, \
             u64 y_inner, u64 y_pitch) { \
        const u32 blocks = (queries + 127) / 128, item = blockIdx.x / blocks, block = blockIdx.x - item * blocks; \
        const Layout at_y{y_outer, y_inner, y_pitch}; \
        FlashGrad<T, DEPTH, INNER, STAGES, QUERY>::run( \
            q, g, k, v, log_sum + u64(item) * queries, delta + u64(item) * queries, y + at_y.start(item, heads), y_pitch, \
            nullptr, 0, block, item, queries, keys, depth, 0, heads, scale); \
    }

#define ATTENTION_KEY_VALUE_GRAD(name, T, DEPTH, INNER, STAGES) \
    extern "C" __global__ void __launch_bounds__(384, 1) \
        name(const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v, \
             const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap g, const float* log_sum, \
             const float* delta, T* y, T* z, u32 queries, u32 keys, u32 depth, u32 value_depth, u32 heads, float scale, \
             u64 y_outer, u64 y_inner, u64 y_pitch, u64 z_outer, u64 z_inner, u64 z_pitch) { \
        const u32 blocks = (keys + 127) / 128, item = blockIdx.x / blocks, block = blockIdx.x - item * blocks; \
        const Layout at_y{y_outer, y_inner, y_pitch}, at_z{z_outer, z_inner, z_pitch}; \
        FlashGrad<T, DEPTH, INNER, STAGES, KEY>::run( \
            k, v, q, g, log_sum + u64(item) * queries, delta + u64(item) * queries, \
            y ? y + at_y.start(item, heads) : y, y_pitch, z ? z + at_z.start(item, heads) : z, z_pitch, block, item, \
            keys, queries, depth, value_depth, heads, scale); \
    }
