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

    // Neighbours of one row, of which `columns` may cut off some; a row outside is not stored.
    template <class Offset, u32 N>
    void store(const Place<Offset>& row, u32 column, const float (&sums)[N], const float (&biases)[N]) const {
        if (row.y == OUTSIDE || column >= columns) return;
        C* const at = to + (row.offset + column);
        const u64 place = first + row.offset + column;
        const bool together = whole && column + N <= columns;
        float x[N];
#pragma unroll
        for (u32 i = 0; i < N; i++) x[i] = sums[i];
        if (together) epilogue(to, x, place, column);
        Pack<C, N> pack;
#pragma unroll
        for (u32 i = 0; i < N; i++) {
            if (!together && column + i < columns) {
                float one[1] = {x[i]};
                epilogue(to, one, place + i, column + i);
                x[i] = one[0];
            }
            pack.lane[i] = narrow<C>(widen(narrow<C>(x[i])) + biases[i]);
        }
        if (together) {
            *reinterpret_cast<Pack<C, N>*>(at) = pack;
        } else {
#pragma unroll
            for (u32 i = 0; i < N; i++) {
                if (column + i < columns) at[i] = pack.lane[i];
            }
        }
    }
};

template <class C> bool whole(const C* to, u64 stride) {
    return (reinterpret_cast<u64>(to) % (4 * sizeof(C)) | stride % 4) == 0;
}
