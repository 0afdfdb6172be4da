// Products of 16-bit factors on tensor cores.
//
// A block computes BLOCK_M × BLOCK_N of the result in steps of BLOCK_K along the sums. While one step is multiplied the
// next ones are on their way to shared memory, in STAGES places. Each factor lies there as it does in memory: rows of
// neighbours, in chunks of 8 elements (16 bytes) that change places within 128 bytes, so that the same chunk of eight
// rows, what ldmatrix reads at a time, lies in eight different groups of banks. Sums return through shared memory, too,
// so that neighbours are stored together.
#pragma once

#include "mma.cuh"
#include "product.cuh"

template <u32 M, u32 N, u32 K, u32 W_M, u32 W_N, u32 S> struct Tiling {
    enum : u32 { BLOCK_M = M, BLOCK_N = N, BLOCK_K = K, STAGES = S };
    enum : u32 { WARP_M = W_M, WARP_N = W_N, WARPS_N = N / W_N, THREADS = M / W_M * WARPS_N * 32 };
    enum : u32 { TILES_M = W_M / 16, TILES_N = W_N / 8 }; // instructions that share a row or a column
    enum : u32 { BYTES_A = M * K * 2, STAGE_BYTES = (M + N) * K * 2 };
    static_assert(S * STAGE_BYTES >= M * N * 4, "the sums fit where the factors were");
};

// One step of a factor in shared memory. DEEP: the rows are those of the result (or its columns) and neighbours are
// terms of a sum; otherwise the rows are terms.
template <bool DEEP, u32 EXTENT, u32 DEPTH> struct Stage {
    enum : u32 { ROWS = DEEP ? EXTENT : DEPTH, CHUNKS = (DEEP ? DEPTH : EXTENT) / 8 };

    static u32 offset(u32 row, u32 chunk) { return ((row * CHUNKS + chunk) ^ (row & 7)) * 16; }
};

// Copies chunks that are aligned in memory and of which each is zeros or begins with elements next to each other.
template <class Factor, bool DEEP, u32 EXTENT, u32 DEPTH, u32 THREADS> struct Aligned {
    using Stage = ::Stage<DEEP, EXTENT, DEPTH>;
    enum : u32 { STEP = THREADS / Stage::CHUNKS, LINES = Stage::ROWS / STEP };

    u32 row, chunk; // this thread copies a chunk of row + i·STEP
    u32 count;      // elements from it to the end of the factor, if chunks go along the result
    typename Factor::Part places[DEEP ? u32(LINES) : 1];

    Aligned(const Factor& factor, u32 first) {
        row = threadIdx.x / Stage::CHUNKS, chunk = threadIdx.x % Stage::CHUNKS;
        if constexpr (DEEP) {
#pragma unroll
            for (u32 i = 0; i < LINES; i++) places[i] = factor.outer.at(first + row + i * STEP);
        } else {
            places[0] = factor.outer.at(first + chunk * 8);
            count = factor.outer.extent - min(first + chunk * 8, factor.outer.extent);
        }
    }

    void copy(const Factor& factor, u32 to, u32 step) const {
        if constexpr (DEEP) {
            const u32 first = step * DEPTH + chunk * 8;
            const auto below = factor.depth.at(first);
            const u32 rest = factor.depth.extent - min(first, factor.depth.extent);
#pragma unroll
            for (u32 i = 0; i < LINES; i++) copy(factor, to, i, places[i], below, rest);
        } else {
#pragma unroll
            for (u32 i = 0; i < LINES; i++) {
                copy(factor, to, i, places[0], factor.depth.at(step * DEPTH + row + i * STEP), count);
            }
        }
    }

    template <class Outer, class Depth>
    void copy(const Factor& factor, u32 to, u32 i, const Outer& outer, const Depth& depth, u32 rest) const {
        u32 within;
        const auto* const from = factor.element(outer, depth, within);
        copy_async(to + Stage::offset(row + i * STEP, chunk), from, within * min(rest, 8) * 2);
    }
};

// Copies element by element, from anywhere.
template <class Factor, bool DEEP, u32 EXTENT, u32 DEPTH, u32 THREADS> struct Gathered {
    static_assert(DEEP, "chunks go along the sums");
    using Stage = ::Stage<true, EXTENT, DEPTH>;

    u32 first;

    Gathered(const Factor&, u32 first) : first(first) {}

    void copy(const Factor& factor, u32 to, u32 step) const {
#pragma unroll 1
        for (u32 index = threadIdx.x; index < EXTENT * Stage::CHUNKS; index += THREADS) {
            // Neighbouring threads read what lies close together.
            const u32 row = factor.deep ? index / Stage::CHUNKS : index % EXTENT;
            const u32 chunk = factor.deep ? index % Stage::CHUNKS : index / EXTENT;
            const auto outer = factor.outer.at(first + row);
            u32 words[4];
#pragma unroll
            for (u32 i = 0; i < 8; i++) {
                u32 within;
                const auto* const from = factor.element(outer, factor.depth.at(step * DEPTH + chunk * 8 + i), within);
                const u32 bits = within ? *reinterpret_cast<const unsigned short*>(from) : 0;
                words[i / 2] = i % 2 == 0 ? bits : words[i / 2] | bits << 16;
            }
            store_shared(to + Stage::offset(row, chunk), words);
        }
    }
};

// The sums of a block, in chunks of 4 (16 bytes) that change places like those of the factors.
template <u32 COLUMNS> u32 sum_offset(u32 row, u32 column) {
    return (row * (COLUMNS / 4) + (column / 4 ^ (row & 3) * 2)) * 16 + column % 4 * 4;
}

template <class Shape, class Out> void store_sums(const Out& out, u32 shared, u32 first_row, u32 first_column) {
    enum : u32 { GROUPS = Shape::BLOCK_N / 4, STEP = Shape::THREADS / GROUPS };
    const u32 column = threadIdx.x % GROUPS * 4;
    float biases[4];
    out.biases(biases, first_column + column);
#pragma unroll 2
    for (u32 row = threadIdx.x / GROUPS; row < Shape::BLOCK_M; row += STEP) {
        float sums[4];
        load_shared(sums, shared + sum_offset<Shape::BLOCK_N>(row, column));
        out.store(out.rows.at(first_row + row), first_column + column, sums, biases);
    }
}

// The result of a product: of float if `wide`, otherwise of T.
template <class T, class Rows> struct Result {
    void* c;
    const void* bias;
    u32 wide, columns;
    u64 first, pitch; // the first element, and from one row to the next
    Rows rows;

    template <class C> Output<C, Rows> of() const {
        C* const to = static_cast<C*>(c) + first;
        return {to, static_cast<const C*>(bias), columns, whole(to, pitch), rows};
    }
};

// Computes the block's part.
template <class Shape, bool DEEP_A, bool DEEP_B, template <class, bool, u32, u32, u32> class Copy, class T, class A,
          class B, class Rows>
void product(const A& a, const B& b, const Result<T, Rows>& c) {
    enum : u32 { M = Shape::BLOCK_M, N = Shape::BLOCK_N, K = Shape::BLOCK_K, STAGES = Shape::STAGES };
    using StageA = Stage<DEEP_A, M, K>;
    using StageB = Stage<DEEP_B, N, K>;
    extern __shared__ __align__(128) uint4 stages[];
    const Part part = ::part<Shape>(a.outer.extent, b.outer.extent, a.depth.extent);
    if (!part.exists) return;
    const u32 shared = shared_address(stages);
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 warp_row = warp / Shape::WARPS_N * Shape::WARP_M, warp_column = warp % Shape::WARPS_N * Shape::WARP_N;
    const Copy<A, DEEP_A, M, K, Shape::THREADS> copy_a(a, part.row);
    const Copy<B, DEEP_B, N, K, Shape::THREADS> copy_b(b, part.column);

    float sums[Shape::TILES_M][Shape::TILES_N][4] = {};
    const auto multiply = [&](u32 tile_a) {
        const u32 tile_b = tile_a + Shape::BYTES_A;
#pragma unroll
        for (u32 depth = 0; depth < K; depth += 16) {
            u32 fragments_a[Shape::TILES_M][4], fragments_b[Shape::TILES_N][2];
#pragma unroll
            for (u32 i = 0; i < Shape::TILES_M; i++) {
                const u32 row = warp_row + i * 16;
                if constexpr (DEEP_A) {
                    load_matrices(fragments_a[i], tile_a + StageA::offset(row + lane % 16, depth / 8 + lane / 16));
                } else {
                    const u32 term = depth + lane / 16 * 8 + lane % 8, chunk = row / 8 + lane / 8 % 2;
                    load_matrices_transposed(fragments_a[i], tile_a + StageA::offset(term, chunk));
                }
            }
#pragma unroll
            for (u32 j = 0; j < Shape::TILES_N; j += 2) {
                const u32 column = warp_column + j * 8;
                u32 r[4];
                if constexpr (DEEP_B) {
                    const u32 row = column + lane / 16 * 8 + lane % 8, chunk = depth / 8 + lane / 8 % 2;
                    load_matrices(r, tile_b + StageB::offset(row, chunk));
                } else {
                    const u32 term = depth + lane % 16, chunk = column / 8 + lane / 16;
                    load_matrices_transposed(r, tile_b + StageB::offset(term, chunk));
                }
                fragments_b[j][0] = r[0], fragments_b[j][1] = r[1];
                fragments_b[j + 1][0] = r[2], fragments_b[j + 1][1] = r[3];
            }
#pragma unroll
            for (u32 i = 0; i < Shape::TILES_M; i++) {
#pragma unroll
                for (u32 j = 0; j < Shape::TILES_N; j++) multiply_add<T>(sums[i][j], fragments_a[i], fragments_b[j]);
            }
        }
    };

    const u32 end = shared + STAGES * Shape::STAGE_BYTES;
    u32 to = shared, from = shared;
    // The first turns only copy.
    for (u32 turn = 0; turn < part.last - part.first + STAGES - 1; turn++) {
        copy_wait<STAGES - 2>(); // this thread's copies of the stage are done,
        __syncthreads();         // everybody's are, and nobody reads the stage before it any more
        if (part.first + turn < part.last) {
            copy_a.copy(a, to, part.first + turn);
            copy_b.copy(b, to + Shape::BYTES_A, part.first + turn);
            to = to + Shape::STAGE_BYTES == end ? shared : to + Shape::STAGE_BYTES;
        }
        copy_commit(); // also when empty, so that the number of groups tells the stage
        if (turn >= STAGES - 1) {
            multiply(from);
            from = from + Shape::STAGE_BYTES == end ? shared : from + Shape::STAGE_BYTES;
        }
    }

    __syncthreads();
#pragma unroll
    for (u32 i = 0; i < Shape::TILES_M; i++) {
#pragma unroll
        for (u32 j = 0; j < Shape::TILES_N; j++) {
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                const u32 row = warp_row + i * 16 + half * 8 + lane / 4, column = warp_column + j * 8 + lane % 4 * 2;
                store_shared(shared + sum_offset<N>(row, column), sums[i][j][2 * half], sums[i][j][2 * half + 1]);
            }
        }
    }
    __syncthreads();
    if (c.wide) store_sums<Shape>(c.template of<float>(), shared, part.row, part.column);
    else store_sums<Shape>(c.template of<T>(), shared, part.row, part.column);
}

// A large part of the result for large products: 64 KiB of dynamic shared memory. Small ones for small: 48 KiB.
using Large = Tiling<128, 128, 32, 64, 64, 4>;
using Small = Tiling<64, 64, 64, 32, 32, 3>;
