// Where the results of a norm go: to a plan's own code, if there is any, then rounded to memory.
#pragma once

#include "epilogue.cuh"

// N neighbours of a row: `place` is the first one's in the whole result, `column` its place in the row.
template <u32 N, class Y> void finish(Y* y, const float* z, u64 place, u64 column) {
    constexpr u32 TOGETHER = N < 4 ? N : 4;
    Pack<Y, N> pack;
    bool stores = true;
#pragma unroll
    for (u32 first = 0; first < N; first += TOGETHER) {
        float x[TOGETHER];
#pragma unroll
        for (u32 k = 0; k < TOGETHER; k++) x[k] = z[first + k];
        stores &= epilogue(y, x, place + first, column + first);
#pragma unroll
        for (u32 k = 0; k < TOGETHER; k++) pack.lane[first + k] = narrow<Y>(x[k]);
    }
    if (stores) *reinterpret_cast<Pack<Y, N>*>(y) = pack;
}
