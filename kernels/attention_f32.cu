// Attention of single precision: softmax(scale · Q·Kᵀ + mask) · V, without a matrix of scores (Dao et al. 2022).
//
//   attention_f32_DEPTH(const float* q, const float* k, const float* v, const float* mask, float* y, u32 queries,
//                       u32 keys, u32 depth, u32 value_depth, u32 heads, float scale, u64 q_outer, u64 q_inner,
//                       u64 q_pitch, .. of k, v, y, u64 mask_outer, u64 mask_inner, u64 mask_query, u64 mask_key)
//
// DEPTH: the kernel for value_depth ≤ DEPTH; `depth` is any.
// Batch item b: q [queries, depth], k [keys, depth], v [keys, value_depth], y [queries, value_depth]. Rows are `pitch`
// elements apart; a matrix begins at element b / heads · outer + b % heads · inner of its operand. The mask's number for
// (query, key) lies `query·mask_query + key·mask_key` further; mask may be null. All extents ≥ 1 and below 2^24. y lies
// apart from the others.
// Launch: grid (batch · ⌈queries/64⌉, 1, 1). Block (128, 1, 1) for DEPTH = 64, else (256, 1, 1). No dynamic shared memory.
// Alignment: 4 bytes.
// Contract: with u = 2^-24, scores are off by (depth + 3)·u·|scale|·Σ|q·k| + u·(|score| + |mask|), weights e^(score - M),
// M the largest so far, by another relative (2 + |score - M|)·u for each of the ⌈keys/64⌉ steps, sums of weights and of
// weighted values by (keys + 2·⌈keys/64⌉)·u. A query whose scores hold NaN or +∞, or nothing but -∞, becomes NaN, as
// the formula has it.
//
// A block computes 64 queries for 64 keys at a time; a thread holds R × 4 scores, R = 8 or 4, and, of the same R
// queries, four of every 64 columns of the result.
#include "attention.cuh"

enum : u32 {
    QUERIES = 64, KEYS = 64,
    STEP = 16,          // columns of q and k, or rows of v, that are in shared memory at a time
    LINE = QUERIES + 4, // a multiple of 16 bytes
};

constexpr u32 rows_of_thread(u32 depth) { return depth <= 64 ? 8 : 4; }

// Copies rows first .. and columns column .. of a matrix, transposed; what lies beyond it becomes 0.
static void transpose(float (*to)[LINE], const float* from, u64 pitch, u32 first, u32 rows, u32 column, u32 columns) {
#pragma unroll 1
    for (u32 i = threadIdx.x; i < 64 * STEP; i += blockDim.x) {
        const u32 row = first + i / STEP, x = column + i % STEP;
        to[i % STEP][i / STEP] = row < rows && x < columns ? from[row * pitch + x] : 0;
    }
}

template <u32 DEPTH>
void attention(const float* q, u64 q_pitch, const float* k, u64 k_pitch, const float* v, u64 v_pitch,
               Mask<float> mask, float* y, u64 y_pitch, u32 block, u32 queries, u32 keys, u32 depth, u32 value_depth,
               float scale) {
    constexpr u32 GROUPS = DEPTH / 64, ROWS = rows_of_thread(DEPTH);
    __shared__ __align__(16) union {
        struct {
            float q[STEP][LINE], k[STEP][LINE];
        };
        float v[STEP][DEPTH];
    } part;
    __shared__ __align__(16) float weights[KEYS][LINE];
    const u32 column = threadIdx.x % 16 * 4, row = threadIdx.x / 16 * ROWS, first_query = block * QUERIES;

    float sums[GROUPS][ROWS][4] = {}, largest[ROWS], total[ROWS] = {};
#pragma unroll
    for (float& most : largest) most = Max::identity();

#pragma unroll 1
    for (u32 first = 0; first < keys; first += KEYS) {
        float scores[ROWS][4] = {};
#pragma unroll 1
        for (u32 d = 0; d < depth; d += STEP) {
            __syncthreads();
            transpose(part.q, q, q_pitch, first_query, queries, d, depth);
            transpose(part.k, k, k_pitch, first, keys, d, depth);
            __syncthreads();
#pragma unroll 1
            for (u32 s = 0; s < STEP; s++) {
                const Pack<float, 4> b = *reinterpret_cast<const Pack<float, 4>*>(&part.k[s][column]);
                const Pack<float, ROWS> a = *reinterpret_cast<const Pack<float, ROWS>*>(&part.q[s][row]);
#pragma unroll
                for (u32 i = 0; i < ROWS; i++) {
#pragma unroll
                    for (u32 j = 0; j < 4; j++) scores[i][j] += a.lane[i] * b.lane[j];
                }
            }
        }
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
        const u32 last = min(keys - first, u32(KEYS));
#pragma unroll 1
        for (u32 begin = 0; begin < last; begin += STEP) {
            __syncthreads();
#pragma unroll 1
            for (u32 i = threadIdx.x; i < STEP * DEPTH; i += blockDim.x) {
                const u32 key = first + begin + i / DEPTH, x = i % DEPTH;
                part.v[i / DEPTH][x] = key < keys && x < value_depth ? v[key * v_pitch + x] : 0;
            }
            __syncthreads();
#pragma unroll 1
            for (u32 s = 0; s < STEP; s++) {
                const Pack<float, ROWS> a = *reinterpret_cast<const Pack<float, ROWS>*>(&weights[begin + s][row]);
#pragma unroll
                for (u32 g = 0; g < GROUPS; g++) {
                    if (g * 64 >= value_depth) break;
                    const Pack<float, 4> b = *reinterpret_cast<const Pack<float, 4>*>(&part.v[s][g * 64 + column]);
#pragma unroll
                    for (u32 i = 0; i < ROWS; i++) {
#pragma unroll
                        for (u32 j = 0; j < 4; j++) sums[g][i][j] += a.lane[i] * b.lane[j];
                    }
                }
            }
        }
    }
#pragma unroll
    for (u32 i = 0; i < ROWS; i++) {
#pragma unroll
        for (u32 lane = 1; lane < 16; lane *= 2) total[i] += __shfl_xor_sync(~0u, total[i], lane);
        const float factor = 1.0f / total[i];
        const u32 query = first_query + row + i;
#pragma unroll
        for (u32 g = 0; g < GROUPS; g++) {
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                const u32 x = g * 64 + column + j;
                if (query < queries && x < value_depth) y[query * y_pitch + x] = sums[g][i][j] * factor;
            }
        }
    }
}

#define ATTENTION(name, DEPTH) \
    extern "C" __global__ void __launch_bounds__(16 * QUERIES / rows_of_thread(DEPTH), 2) name(ATTENTION_PARAMETERS(float)) { \
        ATTENTION_CALL(attention<DEPTH>, (queries + QUERIES - 1) / QUERIES) \
    }

// budget: 255 registers
ATTENTION(attention_f32_64, 64)
ATTENTION(attention_f32_256, 256)
