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

template <u32 M, u32 N, u32 K, u32 W_M, u32 W_N, u32 S, u32 R> struct Tiling {
    enum : u32 { BLOCK_M = M, BLOCK_N = N, BLOCK_K = K, STAGES = S };
    enum : u32 { RESIDENT = R }; // blocks on a multiprocessor
    enum : u32 { WARP_M = W_M, WARP_N = W_N, WARPS_N = N / W_N, THREADS = M / W_M * WARPS_N * 32 };
    enum : u32 { TILES_M = W_M / 16, TILES_N = W_N / 8 }; // instructions that share a row or a column
    enum : u32 { BYTES_A = M * K * 2, STAGE_BYTES = (M + N) * K * 2 };
    // So many parts of the sums fit one after the other where the factors were.
    enum : u32 { PASSES = (M * N * 4 + S * STAGE_BYTES - 1) / (S * STAGE_BYTES), PASS_M = M / PASSES };
    static_assert(K % 32 == 0 && PASS_M % W_M == 0, "two sets of fragments take turns; a warp's sums go together");
};

// One step of a factor in shared memory. DEEP: the rows are those of the result (or its columns) and neighbours are
// terms of a sum; otherwise the rows are terms.
template <bool DEEP, u32 EXTENT, u32 DEPTH> struct Stage {
    enum : u32 { ROWS = DEEP ? EXTENT : DEPTH, CHUNKS = (DEEP ? DEPTH : EXTENT) / 8 };

    static u32 offset(u32 row, u32 chunk) { return ((row * CHUNKS + chunk) ^ (row & 7)) * 16; }

    // From the offset of a chunk to that of one `rows` (a multiple of 8) further on, `chunks` further along the row if
    // these are bits that its number has not.
    static u32 further(u32 offset, u32 rows, u32 chunks) { return (offset ^ chunks * 16) + rows * CHUNKS * 16; }
};

// Copies chunks that are aligned in memory and of which each is zeros or begins with elements next to each other.
template <class Factor, bool DEEP, u32 EXTENT, u32 DEPTH, u32 THREADS> struct Aligned {
    using Stage = ::Stage<DEEP, EXTENT, DEPTH>;
    enum : u32 { STEP = THREADS / Stage::CHUNKS, LINES = Stage::ROWS / STEP };
    static_assert(STEP % 8 == 0, "chunks of a thread change places alike");

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
        copy_async(to + Stage::further(Stage::offset(row, chunk), i * STEP, 0), from, within * min(rest, 8) * 2);
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

// Gives f the place of a row in the result, a column, and where in shared memory the sums of four neighbours lie, one
// group after the other.
template <class Shape, class Out, class F> void each_sums(const Out& out, u32 shared, u32 first_row, u32 column, const F& f) {
    enum : u32 { GROUPS = Shape::BLOCK_N / 4, STEP = Shape::THREADS / GROUPS };
    const u32 within = threadIdx.x % GROUPS * 4;
#pragma unroll 2
    for (u32 row = threadIdx.x / GROUPS; row < Shape::PASS_M; row += STEP) {
        f(out.rows.at(first_row + row), column + within, shared + sum_offset<Shape::BLOCK_N>(row, within));
    }
}

template <class Shape, class Out> void store_sums(const Out& out, u32 shared, u32 first_row, u32 first_column) {
    float biases[4];
    out.biases(biases, first_column + threadIdx.x % (Shape::BLOCK_N / 4) * 4);
    each_sums<Shape>(out, shared, first_row, first_column, [&](const auto& row, u32 column, u32 at) {
        float sums[4];
        load_shared(sums, at);
        out.store(row, column, sums, biases);
    });
}

// Keeps a block's share of sums, and fetches what all shares add up to.
template <class Shape, class Out>
void keep_sums(const Out& out, const Shares& shares, u32 shared, u32 first_row, u32 first_column) {
    each_sums<Shape>(out, shared, first_row, first_column, [&](const auto& row, u32 column, u32 at) {
        float sums[4];
        load_shared(sums, at);
        out.keep(shares, row, column, sums);
    });
}
template <class Shape, class Out>
void add_sums(const Out& out, const Shares& shares, u32 shared, u32 first_row, u32 first_column) {
    each_sums<Shape>(out, shared, first_row, first_column, [&](const auto& row, u32 column, u32 at) {
        float sums[4] = {-0.0f, -0.0f, -0.0f, -0.0f};
        for (u32 share = 0; share < shares.number; share++) out.add(shares, share, row, column, sums);
        store_shared(at, sums);
    });
}

// The result of a product: of float if `wide`, otherwise of T.
template <class T, class Rows> struct Result {
    void* c;
    const void* bias;
    u32 wide, columns;
    u64 first, pitch; // the first element, and from one row to the next
    Rows rows;
    Shares shares;

    template <class C> Output<C, Rows> of() const {
        C* const to = static_cast<C*>(c) + first;
        return {to, static_cast<const C*>(bias), columns, whole(to, pitch), first, rows};
    }
};

// What a warp multiplies at a time: 16 terms of each of its sums.
template <class Shape> struct Fragments {
    u32 a[Shape::TILES_M][4] = {}, b[Shape::TILES_N][2] = {};

    // From term `depth` of the step on; from_a and from_b are where the lane's parts of its warp's fragments begin.
    template <class StageA, class StageB, bool DEEP_A, bool DEEP_B> void load(u32 from_a, u32 from_b, u32 depth) {
#pragma unroll
        for (u32 i = 0; i < Shape::TILES_M; i++) {
            if constexpr (DEEP_A) load_matrices(a[i], StageA::further(from_a, i * 16, depth / 8));
            else load_matrices_transposed(a[i], StageA::further(from_a, depth, i * 2));
        }
#pragma unroll
        for (u32 j = 0; j < Shape::TILES_N; j += 2) {
            u32 r[4];
            if constexpr (DEEP_B) load_matrices(r, StageB::further(from_b, j * 8, depth / 8));
            else load_matrices_transposed(r, StageB::further(from_b, depth, j));
            b[j][0] = r[0], b[j][1] = r[1], b[j + 1][0] = r[2], b[j + 1][1] = r[3];
        }
    }

    template <class T> void multiply(float (&sums)[Shape::TILES_M][Shape::TILES_N][4]) const {
#pragma unroll
        for (u32 i = 0; i < Shape::TILES_M; i++) {
#pragma unroll
            for (u32 j = 0; j < Shape::TILES_N; j++) multiply_add<T>(sums[i][j], a[i], b[j]);
        }
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

    // Where the lane's rows of matrices begin in a stage: of the first factor's fragments lie four, of the second's two
    // times two next to each other.
    const u32 low = lane % 16, high = lane / 16, inner = lane % 8, middle = lane / 8 % 2;
    const u32 lane_a = DEEP_A ? StageA::offset(warp_row + low, high)
                              : StageA::offset(high * 8 + inner, warp_row / 8 + middle);
    const u32 lane_b = Shape::BYTES_A + (DEEP_B ? StageB::offset(warp_column + high * 8 + inner, middle)
                                                : StageB::offset(low, warp_column / 8 + high));

    float sums[Shape::TILES_M][Shape::TILES_N][4] = {};
    Fragments<Shape> fragments[2]; // while one is multiplied the other is loaded, across steps, too
    const u32 end = shared + STAGES * Shape::STAGE_BYTES;
    u32 to = shared, from = shared, next = part.first;
    const auto copy = [&] {
        if (next < part.last) {
            copy_a.copy(a, to, next);
            copy_b.copy(b, to + Shape::BYTES_A, next);
        }
        copy_commit(); // also when empty, so that the number of groups tells the stage
        to = to + Shape::STAGE_BYTES == end ? shared : to + Shape::STAGE_BYTES;
        next++;
    };
#pragma unroll 1
    for (u32 stage = 0; stage < STAGES - 1; stage++) copy();
    for (u32 step = part.first; step < part.last; step++) {
        copy_wait<STAGES - 2>(); // this thread's copies of the stage are done,
        __syncthreads();         // everybody's are, and nobody reads the stage before it any more
        copy();
#pragma unroll
        for (u32 depth = 0; depth < K; depth += 16) {
            fragments[depth / 16 % 2].template load<StageA, StageB, DEEP_A, DEEP_B>(from + lane_a, from + lane_b,
                                                                                     depth);
            fragments[(depth / 16 + 1) % 2].template multiply<T>(sums); // at first zeros
        }
        from = from + Shape::STAGE_BYTES == end ? shared : from + Shape::STAGE_BYTES;
    }
    fragments[1].template multiply<T>(sums);

    // Eight columns further are two chunks: bits that the number of the lane's first one has not.
    const u32 first = sum_offset<N>(warp_row % Shape::PASS_M + lane / 4, warp_column + lane % 4 * 2);
    // Once for the block's own sums; if they are shares, the last block goes on with those of all.
    const Shares& shares = c.shares;
#pragma unroll 1
    for (bool own = true;; own = false) {
#pragma unroll 1
        for (u32 pass = 0; pass < Shape::PASSES; pass++) {
            const u32 row = part.row + pass * Shape::PASS_M;
            if (own) {
                __syncthreads();
                if (Shape::PASSES == 1 || warp_row / Shape::PASS_M == pass) {
#pragma unroll
                    for (u32 i = 0; i < Shape::TILES_M; i++) {
#pragma unroll
                        for (u32 j = 0; j < Shape::TILES_N; j++) {
#pragma unroll
                            for (u32 half = 0; half < 2; half++) {
                                const u32 to = shared + (first ^ j * 32) + (i * 16 + half * 8) * N * 4;
                                store_shared(to, sums[i][j][2 * half], sums[i][j][2 * half + 1]);
                            }
                        }
                    }
                }
                __syncthreads();
            } else {
                add_sums<Shape>(c.template of<float>(), shares, shared, row, part.column);
            }
            if (own && shares.exist()) keep_sums<Shape>(c.template of<float>(), shares, shared, row, part.column);
            else if (c.wide) store_sums<Shape>(c.template of<float>(), shared, row, part.column);
            else store_sums<Shape>(c.template of<T>(), shared, row, part.column);
        }
        if (!own || !shares.exist() || !shares.block_arrives(blockIdx.z * gridDim.x + blockIdx.x)) return;
    }
}

// A large part of the result for large products, as each element that is copied then serves many sums: 96 KiB of dynamic
// shared memory, one block on a multiprocessor. Small ones for small: 48 KiB.
using Large = Tiling<256, 128, 32, 64, 64, 4, 1>;
using Small = Tiling<64, 64, 64, 32, 32, 3, 4>;
