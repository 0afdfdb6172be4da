// Rows, each held by a team of threads: 1, 2, 4, .. or 32 neighbouring lanes, or a block.
#pragma once

#include "reduce.cuh"

struct Team {
    u32 threads; // a power of two up to 32, or blockDim.x

    u32 thread() const { return threadIdx.x % threads; }

    // Over the team's threads; all threads of the block must call it.
    template <class Op> float reduce(float x) const {
        if (threads > WARP) return block_reduce<Op>(x);
        for (u32 lane = threads / 2; lane > 0; lane /= 2) x = Op::of(x, __shfl_xor_sync(~0u, x, lane));
        return x;
    }

    // Calls f(row) for every row of this team, and with some rows ≥ `rows` so that the threads of a block stay together.
    template <class F> void each_row(u32 rows, const F& f) const {
        const u32 teams = blockDim.x / threads;
        for (u64 first = u64(blockIdx.x) * teams; first < rows; first += u64(gridDim.x) * teams) {
            f(first + threadIdx.x / threads);
        }
    }
};

// The part of a row of n elements that a thread holds in registers: packs of 16 bytes, those of its team side by side.
template <class T> struct Part {
    enum : u32 { SIZE = 16, LANES = 16 / sizeof(T), PACKS = SIZE / LANES };
    float value[SIZE];

    // Whether a team can hold rows that begin at multiples of 16 bytes.
    static bool fits(u32 n, const Team& team) { return n % LANES == 0 && n <= SIZE * team.threads; }

    // Calls f(the pack's place in the row, its LANES values in registers) for the packs within the row.
    template <class F> void each(u32 n, const Team& team, const F& f) {
#pragma unroll
        for (u32 p = 0; p < PACKS; p++) {
            const u32 at = (p * team.threads + team.thread()) * LANES;
            if (at < n) f(at, value + p * LANES);
        }
    }
};

template <class T> void load(float* value, const T* from) {
    const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(from);
#pragma unroll
    for (u32 k = 0; k < Part<T>::LANES; k++) value[k] = widen(pack.lane[k]);
}

template <class T> void store(T* to, const float* value) {
    Pack<T> pack;
#pragma unroll
    for (u32 k = 0; k < Part<T>::LANES; k++) pack.lane[k] = narrow<T>(value[k]);
    *reinterpret_cast<Pack<T>*>(to) = pack;
}
