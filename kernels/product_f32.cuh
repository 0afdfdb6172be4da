// Products of float: elements are copied one by one to shared memory, so that any layout and alignment will do.
//
// A block computes BLOCK_M × BLOCK_N of the result in steps of 16 along the sums. While one step is multiplied, the
// elements of the next are on their way. A step's elements lie in shared memory as 16 rows of neighbours along the
// result's rows (first factor) or columns (second factor).
#pragma once

#include "mma.cuh"
#include "product.cuh"

// One step of a factor in shared memory: rows of EXTENT + PAD elements, of eight the last four SHIFT elements further
// on, so that neither writing nor reading meets a bank twice.
template <class Factor, class Shape, u32 EXTENT> struct Slice {
    enum : u32 { DEPTH = 16, PITCH = EXTENT + Shape::PAD, SIZE = DEPTH * PITCH };
    enum : u32 { LINE = Shape::THREADS / 8, LINES = EXTENT / LINE, APART = 16 / Shape::PAD };

    u32 outer, depth; // this thread copies outer + i·LINE, depth + 8·j
    typename Factor::Part places[LINES];

    Slice(const Factor& factor, u32 first) {
        // Where a warp copies two lines they are so far apart that their banks differ.
        const u32 line = threadIdx.x / LINE, spread = line % 2 * APART + line / 2 % APART + line / 2 / APART * 2 * APART;
        outer = factor.deep ? threadIdx.x / 8 : threadIdx.x % LINE;
        depth = factor.deep ? threadIdx.x % 8 : spread;
#pragma unroll
        for (u32 i = 0; i < LINES; i++) places[i] = factor.outer.at(first + outer + i * LINE);
    }

    void copy(const Factor& factor, float* to, u32 step) const {
        const u32 shared = shared_address(to + (depth * PITCH + depth / 4 * Shape::SHIFT + outer));
#pragma unroll
        for (u32 j = 0; j < DEPTH / 8; j++) {
            const auto below = factor.depth.at(step * DEPTH + depth + 8 * j);
#pragma unroll
            for (u32 i = 0; i < LINES; i++) {
                u32 count;
                const float* from = factor.element(places[i], below, count);
                copy_async_word(shared + (8 * j * PITCH + i * LINE) * 4, from, count * 4);
            }
        }
    }
};

// Sums by fused multiply-add. A thread holds ROWS × COLUMNS of them, in groups of four neighbours; a warp's 4 × 8
// threads hold 4·ROWS × 8·COLUMNS.
template <u32 M, u32 N, u32 ROWS, u32 COLUMNS> struct Scalar {
    enum : u32 { BLOCK_M = M, BLOCK_N = N, BLOCK_K = 16, PAD = 4, SHIFT = 0, THREADS = M * N / (ROWS * COLUMNS) };
    enum : u32 { WARP_M = 4 * ROWS, WARP_N = 8 * COLUMNS, WARPS_N = N / WARP_N };
    enum : u32 { PITCH_A = M + PAD, PITCH_B = N + PAD, TOGETHER = 4, ACROSS = COLUMNS / 4 };

    u32 row, column; // of this thread's first sum
    float sums[ROWS][COLUMNS] = {};

    Scalar() {
        const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        row = warp / WARPS_N * WARP_M + lane / 8 * 4;
        column = warp % WARPS_N * WARP_N + lane % 8 * 4;
    }

    void multiply(const float* a, const float* b) {
        a += row, b += column;
#pragma unroll 2
        for (u32 k = 0; k < BLOCK_K; k++) {
            float x[ROWS], y[COLUMNS];
#pragma unroll
            for (u32 i = 0; i < ROWS; i += 4) load(x + i, a + (k * PITCH_A + i * 4));
#pragma unroll
            for (u32 j = 0; j < COLUMNS; j += 4) load(y + j, b + (k * PITCH_B + j * 8));
#pragma unroll
            for (u32 i = 0; i < ROWS; i++) {
#pragma unroll
                for (u32 j = 0; j < COLUMNS; j++) sums[i][j] = fmaf(x[i], y[j], sums[i][j]);
            }
        }
    }

    static void load(float* to, const float* from) {
        const float4 four = *reinterpret_cast<const float4*>(from);
        to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
    }

    // Gives f which of a thread's columns of neighbours it is, and the first of them.
    template <class F> void columns(u32 first_column, const F& f) const {
#pragma unroll
        for (u32 j = 0; j < COLUMNS; j += TOGETHER) f(j / TOGETHER, first_column + column + j * 8);
    }
    // Gives f the place of a row in the result, and the same of neighbours and their sums, one group after the other.
    template <class Out, class F> void each(const Out& out, u32 first_row, u32 first_column, const F& f) {
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) {
            const auto place = out.rows.at(first_row + row + i / 4 * 16 + i % 4);
            columns(first_column, [&](u32 j, u32 at) {
                float four[TOGETHER];
#pragma unroll
                for (u32 e = 0; e < TOGETHER; e++) four[e] = sums[i][j * TOGETHER + e];
                f(place, j, at, four);
#pragma unroll
                for (u32 e = 0; e < TOGETHER; e++) sums[i][j * TOGETHER + e] = four[e];
            });
        }
    }
};

// Sums on tensor cores, of factors that are rounded to 11 bits (to nearest, ties away from zero). A warp holds
// TILES_M × TILES_N tiles of mma.m16n8k8.
template <u32 M, u32 N, u32 TILES_M, u32 TILES_N> struct Tensor {
    enum : u32 { WARP_M = 16 * TILES_M, WARP_N = 8 * TILES_N, WARPS_N = N / WARP_N };
    enum : u32 { BLOCK_M = M, BLOCK_N = N, BLOCK_K = 16, PAD = 8, SHIFT = 4, THREADS = M / WARP_M * WARPS_N * 32 };
    enum : u32 { PITCH_A = M + PAD, PITCH_B = N + PAD, TOGETHER = 2, ACROSS = TILES_N };
    enum : u32 { LOW_A = 4 * PITCH_A + SHIFT, LOW_B = 4 * PITCH_B + SHIFT }; // from a row to the fourth below

    u32 row, column, group, member;
    float sums[TILES_M][TILES_N][4] = {};

    Tensor() {
        const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        row = warp / WARPS_N * WARP_M, column = warp % WARPS_N * WARP_N;
        group = lane / 4, member = lane % 4;
    }

    void multiply(const float* a, const float* b) {
        a += member * PITCH_A + row + group, b += member * PITCH_B + column + group;
#pragma unroll
        for (u32 k = 0; k < BLOCK_K; k += 8) {
            u32 x[TILES_M][4], y[TILES_N][2];
#pragma unroll
            for (u32 i = 0; i < TILES_M; i++) {
#pragma unroll
                for (u32 e = 0; e < 4; e++) x[i][e] = round_tf32(a[k * PITCH_A + e / 2 * LOW_A + i * 16 + e % 2 * 8]);
            }
#pragma unroll
            for (u32 j = 0; j < TILES_N; j++) {
#pragma unroll
                for (u32 e = 0; e < 2; e++) y[j][e] = round_tf32(b[k * PITCH_B + e * LOW_B + j * 8]);
            }
#pragma unroll
            for (u32 i = 0; i < TILES_M; i++) {
#pragma unroll
                for (u32 j = 0; j < TILES_N; j++) multiply_add_tf32(sums[i][j], x[i], y[j]);
            }
        }
    }

    // As above, of two neighbours.
    template <class F> void columns(u32 first_column, const F& f) const {
#pragma unroll
        for (u32 j = 0; j < TILES_N; j++) f(j, first_column + column + j * 8 + member * 2);
    }
    template <class Out, class F> void each(const Out& out, u32 first_row, u32 first_column, const F& f) {
#pragma unroll
        for (u32 i = 0; i < 2 * TILES_M; i++) {
            const auto place = out.rows.at(first_row + row + i * 8 + group);
            columns(first_column, [&](u32 j, u32 at) {
                float pair[TOGETHER] = {sums[i / 2][j][i % 2 * 2], sums[i / 2][j][i % 2 * 2 + 1]};
                f(place, j, at, pair);
                sums[i / 2][j][i % 2 * 2] = pair[0], sums[i / 2][j][i % 2 * 2 + 1] = pair[1];
            });
        }
    }
};

// Computes the block's part.
template <class Shape, class A, class B, class Out>
void product(const A& a, const B& b, const Out& out, const Shares& shares, u32 depth) {
    using SliceA = Slice<A, Shape, Shape::BLOCK_M>;
    using SliceB = Slice<B, Shape, Shape::BLOCK_N>;
    __shared__ __align__(16) float stages[2][SliceA::SIZE + SliceB::SIZE];
    const Part part = ::part<Shape>(a.outer.extent, b.outer.extent, depth);
    if (!part.exists) return;
    const SliceA slice_a(a, part.row);
    const SliceB slice_b(b, part.column);
    Shape shape;
    for (u32 step = part.first; step <= part.last; step++) {
        copy_wait<0>();  // this thread's elements of the step before are there,
        __syncthreads(); // everybody's are, and nobody reads those before them any more
        if (step < part.last) {
            float* const to = stages[step % 2];
            slice_a.copy(a, to, step);
            slice_b.copy(b, to + SliceA::SIZE, step);
        }
        copy_commit();
        if (step > part.first) shape.multiply(stages[(step - 1) % 2], stages[(step - 1) % 2] + SliceA::SIZE);
    }
    // Computed anew, so that the steps have these registers.
    u32 rows = a.outer.extent;
    asm volatile("" : "+r"(rows));
    const auto [row, column, first, last, exists] = ::part<Shape>(rows, b.outer.extent, depth);
    if (shares.exist()) {
        shape.each(out, row, column,
                   [&](const auto& at, u32, u32 column, auto& sums) { out.keep(shares, at, column, sums); });
        if (!shares.block_arrives(blockIdx.z * gridDim.x + blockIdx.x)) return;
        shape.each(out, row, column, [](const auto&, u32, u32, auto& sums) {
            for (float& sum : sums) sum = -0.0f;
        });
#pragma unroll 1
        for (u32 share = 0; share < shares.number; share++) {
            shape.each(out, row, column,
                       [&](const auto& at, u32, u32 column, auto& sums) { out.add(shares, share, at, column, sums); });
        }
    }
    float biases[Shape::ACROSS][Shape::TOGETHER];
    shape.columns(column, [&](u32 j, u32 column) { out.biases(biases[j], column); });
    shape.each(out, row, column, [&](const auto& at, u32 j, u32 column, const auto& sums) {
        out.store(at, column, sums, biases[j]);
    });
}
