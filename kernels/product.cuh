// What all products share: which part of the result a block computes, which part of the sums, and how results are
// stored.
#pragma once

#include "epilogue.cuh"
#include "place.cuh"

// The block's part of the result, and its steps along the sums: gridDim.y blocks share those of one part.
struct Part {
    u32 row, column, first, last;
    bool exists;
};

// Eight rows of parts are gone through together, so that blocks under way at a time share operands in the cache.
template <class Shape> Part part(u32 rows, u32 columns, u32 depth) {
    enum : u32 { GROUP = 8 };
    const u32 down = (rows + Shape::BLOCK_M - 1) / Shape::BLOCK_M;
    const u32 across = (columns + Shape::BLOCK_N - 1) / Shape::BLOCK_N;
    const u32 group = blockIdx.x / (GROUP * across), within = blockIdx.x - group * (GROUP * across);
    const u32 height = min(down - min(group * GROUP, down), u32(GROUP)), safe = max(height, 1u);
    const u32 steps = (depth + Shape::BLOCK_K - 1) / Shape::BLOCK_K, share = (steps + gridDim.y - 1) / gridDim.y;
    const u32 first = min(share * blockIdx.y, steps);
    return {(group * GROUP + within % safe) * Shape::BLOCK_M, within / safe * Shape::BLOCK_N, first,
            min(first + share, steps), height > 0 && within / safe < across};
}

// Sums that several blocks share, each a part of the terms. They keep their shares in memory, and whoever comes last adds
// them up: in order, so that the bits do not depend on who that is.
struct Shares {
    float* sums;  // number × stride
    u32* arrived; // for each piece of the result how many blocks have kept their share: 0 before the launch and after it
    u32 number, own;
    u64 stride;

    bool exist() const { return number > 1; }

    // Keeps the own share of neighbours at a place of the result, of which there are `rest`; `whole` ones are aligned.
    template <u32 N> void keep(const float (&x)[N], u64 place, u32 rest, bool whole) const {
        float* const to = sums + own * stride + place;
        if (whole && rest >= N) {
            Pack<float, N> pack;
#pragma unroll
            for (u32 i = 0; i < N; i++) pack.lane[i] = x[i];
            *reinterpret_cast<Pack<float, N>*>(to) = pack;
        } else {
#pragma unroll
            for (u32 i = 0; i < N; i++) {
                if (i < rest) to[i] = x[i];
            }
        }
    }
    // Adds the share of this number.
    template <u32 N> void add(float (&x)[N], u32 share, u64 place, u32 rest, bool whole) const {
        const float* const from = sums + share * stride + place;
        float more[N] = {};
        if (whole && rest >= N) {
            load_far(more, from);
        } else {
#pragma unroll
            for (u32 i = 0; i < N; i++) {
                if (i < rest) more[i] = __ldcg(from + i);
            }
        }
#pragma unroll
        for (u32 i = 0; i < N; i++) x[i] += more[i];
    }
    static void load_far(float (&x)[4], const float* from) {
        const float4 four = __ldcg(reinterpret_cast<const float4*>(from));
        x[0] = four.x, x[1] = four.y, x[2] = four.z, x[3] = four.w;
    }
    static void load_far(float (&x)[2], const float* from) {
        const float2 two = __ldcg(reinterpret_cast<const float2*>(from));
        x[0] = two.x, x[1] = two.y;
    }

    // Whether all shares of a piece are there, as one thread asks for all those that have kept this one and met before.
    bool arrive(u32 piece) const {
        __threadfence();
        const bool last = atomicInc(arrived + piece, number - 1) == number - 1;
        __threadfence();
        return last;
    }
    // The same for a warp, and for a block.
    bool warp_arrives(u32 piece) const {
        __syncwarp();
        const u32 last = threadIdx.x % 32 == 0 ? arrive(piece) : 0;
        __syncwarp();
        return __shfl_sync(~0u, last, 0);
    }
    bool block_arrives(u32 piece) const {
        __syncthreads();
        return __syncthreads_or(threadIdx.x == 0 ? arrive(piece) : 0);
    }
};

// Where sums go: to a plan's own code, if there is any, then rounded to C; then, where there is one, a row of biases is
// added and the sum is rounded again.
template <class C, class Rows> struct Output {
    using Row = typename Rows::Part;
    C* to;
    const C* bias;
    u32 columns;
    bool whole; // groups of four neighbours are aligned
    u64 first;  // the place in the whole result of what lies at `to`
    Rows rows;

    // The biases of neighbours; those that there are not are the neutral -0.
    template <u32 N> void biases(float (&values)[N], u32 column) const {
#pragma unroll
        for (u32 i = 0; i < N; i++) values[i] = bias && column + i < columns ? widen(bias[column + i]) : -0.0f;
    }

    static C rounded(float sum, float bias) { return narrow<C>(widen(narrow<C>(sum)) + bias); }

    // Neighbours of one row, of which `columns` may cut off some; a row outside is not stored.
    template <class Offset, u32 N>
    void store(const Place<Offset>& row, u32 column, const float (&sums)[N], const float (&biases)[N]) const {
        if (row.y == OUTSIDE || column >= columns) return;
        C* const at = to + (row.offset + column);
        const u64 place = first + row.offset + column;
        if (whole && column + N <= columns) {
            float x[N];
#pragma unroll
            for (u32 i = 0; i < N; i++) x[i] = sums[i];
            if (!epilogue(to, x, place, column)) return;
            Pack<C, N> pack;
#pragma unroll
            for (u32 i = 0; i < N; i++) pack.lane[i] = rounded(x[i], biases[i]);
            *reinterpret_cast<Pack<C, N>*>(at) = pack;
        } else {
#pragma unroll
            for (u32 i = 0; i < N; i++) {
                if (column + i >= columns) continue;
                float one[1] = {sums[i]};
                if (epilogue(to, one, place + i, column + i)) at[i] = rounded(one[0], biases[i]);
            }
        }
    }

    // The same as a block's share.
    template <class Offset, u32 N>
    void keep(const Shares& shares, const Place<Offset>& row, u32 column, const float (&sums)[N]) const {
        if (row.y == OUTSIDE || column >= columns) return;
        shares.keep(sums, first + row.offset + column, columns - column, whole);
    }
    // Adds the share of this number to neighbours of one row.
    template <class Offset, u32 N>
    void add(const Shares& shares, u32 share, const Place<Offset>& row, u32 column, float (&sums)[N]) const {
        if (row.y == OUTSIDE || column >= columns) return;
        shares.add(sums, share, first + row.offset + column, columns - column, whole);
    }
};

template <class C> bool whole(const C* to, u64 stride) {
    return (reinterpret_cast<u64>(to) % (4 * sizeof(C)) | stride % 4) == 0;
}
