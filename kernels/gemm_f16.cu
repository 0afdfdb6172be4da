// Matrix products on tensor cores: C[b] = A[b]·B[b], 16-bit factors, sums in float.
//
//   gemm_f16, gemm_bf16 (C as A), gemm_f16_f32, gemm_bf16_f32 (C of float)
//     (const T* a, const T* b, C* c, u32 m, u32 n, u32 k, u32 lda, u32 ldb, u32 ldc,
//      u64 stride_a, u64 stride_b, u64 stride_c)
//
// Row-major A: m × k, B: k × n, C: m × n, each ≥ 1 and below 2^31; a row begins lda ≥ k, ldb ≥ n, ldc ≥ n elements
// after the one before it, a matrix of the batch `stride` elements after the one before it. Nothing beyond a row's
// k or n elements is read or written. C is apart from A and B.
// Launch: grid (⌈m/128⌉, ⌈n/128⌉, batch), y and z ≤ 65535. Block (256, 1, 1).
// Dynamic shared memory: 49,152 bytes (three stages of 16,384).
// Alignment: the pointers to 16 bytes; lda, ldb, ldc and the strides are multiples of 8.
// Contract: products are exact; an element is off by at most (5/4·k + 2)·2^-23·Σ|a·b| before it is rounded to C's type.
// (Tensor cores add eight products and the sum so far at once, and cut off what lies below the largest's last bit:
// Fasi et al. 2021.)
//
// A block computes 128 × 128 of C in steps of 32 along k. Eight warps, 2 × 4, hold 64 × 32 each, as 4 × 4 tiles of
// mma.m16n8k16. While one stage is multiplied the copies of the next two are under way. What lies beyond the matrices
// is copied as zeros.
#include "mma.cuh"

enum : u32 {
    BLOCK_M = 128, BLOCK_N = 128, BLOCK_K = 32,  // the part of C that a block computes, and its step along k
    WARP_M = 64, WARP_N = 32,                    // the part of a warp
    WARPS_M = BLOCK_M / WARP_M, WARPS_N = BLOCK_N / WARP_N, THREADS = 32 * WARPS_M * WARPS_N,
    TILES_M = WARP_M / 16, TILES_N = WARP_N / 8, // instructions that share a row or a column
    STAGES = 3,
};

// A part of a matrix in shared memory, in chunks of 8 elements (16 bytes). Chunks change places within 128 bytes, so
// that the same chunk of eight rows, what ldmatrix reads at a time, lies in eight different groups of banks.
template <u32 ROWS, u32 COLUMNS> struct Tile {
    enum : u32 { CHUNKS = COLUMNS / 8, BYTES = ROWS * COLUMNS * 2 };

    static u32 offset(u32 row, u32 chunk) { return ((row * CHUNKS + chunk) ^ (row & 7)) * 16; }

    // Begins to copy the part at (row, column) of a matrix of rows × columns.
    template <class T> static void copy(u32 to, const T* from, u32 ld, u32 row, u32 column, u32 rows, u32 columns) {
#pragma unroll
        for (u32 i = 0; i < ROWS * CHUNKS / THREADS; i++) {
            const u32 index = i * THREADS + threadIdx.x, r = index / CHUNKS, chunk = index % CHUNKS;
            const u32 y = row + r, x = column + chunk * 8;
            const u32 count = y < rows && x < columns ? min(columns - x, 8) : 0;
            copy_async(to + offset(r, chunk), count > 0 ? from + u64(y) * ld + x : from, count * 2);
        }
    }
};

using TileA = Tile<BLOCK_M, BLOCK_K>;
using TileB = Tile<BLOCK_K, BLOCK_N>;
enum : u32 { STAGE_BYTES = TileA::BYTES + TileB::BYTES };

template <class T, class C>
void gemm(const T* a, const T* b, C* c, u32 m, u32 n, u32 k, u32 lda, u32 ldb, u32 ldc) {
    extern __shared__ __align__(128) uint4 stages[];
    const u32 shared = shared_address(stages);
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 block_row = blockIdx.x * BLOCK_M, block_column = blockIdx.y * BLOCK_N;
    const u32 warp_row = warp / WARPS_N * WARP_M, warp_column = warp % WARPS_N * WARP_N;

    const u32 steps = (k + BLOCK_K - 1) / BLOCK_K;
    const auto copy = [&](u32 step) {
        if (step < steps) {
            const u32 to = shared + step % STAGES * STAGE_BYTES;
            TileA::copy(to, a, lda, block_row, step * BLOCK_K, m, k);
            TileB::copy(to + TileA::BYTES, b, ldb, step * BLOCK_K, block_column, k, n);
        }
        copy_commit(); // also when empty, so that the number of groups tells the stage
    };
#pragma unroll
    for (u32 step = 0; step < STAGES - 1; step++) copy(step);

    float sums[TILES_M][TILES_N][4] = {};
    for (u32 step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>(); // this thread's copies of the stage are done,
        __syncthreads();         // everybody's are, and nobody reads the stage before it any more
        copy(step + STAGES - 1);
        const u32 tile_a = shared + step % STAGES * STAGE_BYTES, tile_b = tile_a + TileA::BYTES;
#pragma unroll
        for (u32 depth = 0; depth < BLOCK_K; depth += 16) {
            u32 fragments_a[TILES_M][4], fragments_b[TILES_N][2];
#pragma unroll
            for (u32 i = 0; i < TILES_M; i++) {
                const u32 row = warp_row + i * 16 + lane % 16, chunk = depth / 8 + lane / 16;
                load_matrices(fragments_a[i], tile_a + TileA::offset(row, chunk));
            }
#pragma unroll
            for (u32 j = 0; j < TILES_N; j += 2) {
                const u32 row = depth + lane % 16, chunk = (warp_column + j * 8) / 8 + lane / 16;
                u32 r[4];
                load_matrices_transposed(r, tile_b + TileB::offset(row, chunk));
                fragments_b[j][0] = r[0], fragments_b[j][1] = r[1];
                fragments_b[j + 1][0] = r[2], fragments_b[j + 1][1] = r[3];
            }
#pragma unroll
            for (u32 i = 0; i < TILES_M; i++) {
#pragma unroll
                for (u32 j = 0; j < TILES_N; j++) multiply_add<T>(sums[i][j], fragments_a[i], fragments_b[j]);
            }
        }
    }

#pragma unroll
    for (u32 i = 0; i < TILES_M; i++) {
#pragma unroll
        for (u32 j = 0; j < TILES_N; j++) {
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                const u32 row = block_row + warp_row + i * 16 + half * 8 + lane / 4;
                const u32 column = block_column + warp_column + j * 8 + lane % 4 * 2;
                const Pack<C, 2> pair = {narrow<C>(sums[i][j][2 * half]), narrow<C>(sums[i][j][2 * half + 1])};
                C* to = c + u64(row) * ldc + column;
                if (row < m && column + 1 < n) *reinterpret_cast<Pack<C, 2>*>(to) = pair;
                else if (row < m && column < n) *to = pair.lane[0];
            }
        }
    }
}

#define GEMM(name, T, C) \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) \
        name(const T* a, const T* b, C* c, u32 m, u32 n, u32 k, u32 lda, u32 ldb, u32 ldc, u64 stride_a, \
             u64 stride_b, u64 stride_c) { \
        const u64 batch = blockIdx.z; \
        gemm(a + batch * stride_a, b + batch * stride_b, c + batch * stride_c, m, n, k, lda, ldb, ldc); \
    }

// budget: 128 registers
GEMM(gemm_f16, f16, f16)
GEMM(gemm_bf16, bf16, bf16)
GEMM(gemm_f16_f32, f16, float)
GEMM(gemm_bf16_f32, bf16, float)
