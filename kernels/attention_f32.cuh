// What kernels of attention of single precision share: a block has 64 × 64 scores at a time, a thread R × 4 of them, R =
// 8 or 4, and then, of the same R rows, four of every 64 columns of a product with them.
#pragma once

#include "attention.cuh"

enum : u32 {
    SIDE = 64,
    STEP = 16,       // columns of factors, or rows of the second product's, that are in shared memory at a time
    LINE = SIDE + 4, // a multiple of 16 bytes
};

constexpr u32 rows_of_thread(u32 depth) { return depth <= 64 ? 8 : 4; }

template <u32 DEPTH> union Stage {
    struct {
        float a[STEP][LINE], b[STEP][LINE];
    };
    float rows[STEP][DEPTH];
};

// Rows that are `pitch` elements apart.
struct Matrix {
    const float* from;
    u64 pitch;
    u32 rows;

    // Copies rows first .. and columns column .., transposed; what lies beyond becomes 0.
    void transpose(float (*to)[LINE], u32 first, u32 column, u32 columns) const {
#pragma unroll 1
        for (u32 i = threadIdx.x; i < SIDE * STEP; i += blockDim.x) {
            const u32 row = first + i / STEP, x = column + i % STEP;
            to[i % STEP][i / STEP] = row < rows && x < columns ? from[row * pitch + x] : 0;
        }
    }
};

// sums += the products of 64 rows of a and 64 of b, `depth` terms each: the thread's rows and columns of them.
template <u32 DEPTH, u32 ROWS>
void multiply_rows(float (&sums)[ROWS][4], Stage<DEPTH>& stage, const Matrix& a, u32 first_a, const Matrix& b, u32 first_b,
                   u32 depth, u32 row, u32 column) {
#pragma unroll 1
    for (u32 d = 0; d < depth; d += STEP) {
        __syncthreads();
        a.transpose(stage.a, first_a, d, depth);
        b.transpose(stage.b, first_b, d, depth);
        __syncthreads();
#pragma unroll 1
        for (u32 s = 0; s < STEP; s++) {
            const Pack<float, 4> right = *reinterpret_cast<const Pack<float, 4>*>(&stage.b[s][column]);
            const Pack<float, ROWS> left = *reinterpret_cast<const Pack<float, ROWS>*>(&stage.a[s][row]);
#pragma unroll
            for (u32 i = 0; i < ROWS; i++) {
#pragma unroll
                for (u32 j = 0; j < 4; j++) sums[i][j] += left.lane[i] * right.lane[j];
            }
        }
    }
}

// sums += weights · 64 rows of b, of which `width` columns count. weights[term][row].
template <u32 DEPTH, u32 ROWS>
void multiply_weights(float (&sums)[DEPTH / 64][ROWS][4], Stage<DEPTH>& stage, const float (*weights)[LINE],
                      const Matrix& b, u32 first, u32 width, u32 row, u32 column) {
    const u32 last = min(b.rows - first, u32(SIDE));
#pragma unroll 1
    for (u32 begin = 0; begin < last; begin += STEP) {
        __syncthreads();
#pragma unroll 1
        for (u32 i = threadIdx.x; i < STEP * DEPTH; i += blockDim.x) {
            const u32 term = first + begin + i / DEPTH, x = i % DEPTH;
            stage.rows[i / DEPTH][x] = term < b.rows && x < width ? b.from[term * b.pitch + x] : 0;
        }
        __syncthreads();
#pragma unroll 1
        for (u32 s = 0; s < STEP; s++) {
            const Pack<float, ROWS> left = *reinterpret_cast<const Pack<float, ROWS>*>(&weights[begin + s][row]);
#pragma unroll
            for (u32 g = 0; g < DEPTH / 64; g++) {
                if (g * 64 >= width) continue;
                const Pack<float, 4> right = *reinterpret_cast<const Pack<float, 4>*>(&stage.rows[s][g * 64 + column]);
#pragma unroll
                for (u32 i = 0; i < ROWS; i++) {
#pragma unroll
                    for (u32 j = 0; j < 4; j++) sums[g][i][j] += left.lane[i] * right.lane[j];
                }
            }
        }
    }
}
