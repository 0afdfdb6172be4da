// How much of couplings and fields is satisfied, in sums of bits: where all are multiples of one unit, energies follow
// from these counts exactly, in whichever order they are added.
#pragma once

#include "storage.cuh"

// Of each of 32 reads a sum up to 255: its bit b is the read's bit of plane[b].
struct Sums {
    enum : u32 { PLANES = 8, MOST = 255 };
    u32 plane[PLANES] = {};

    // Adds 1 where the bit is set.
    void add(u32 bits) {
#pragma unroll
        for (u32& plane : plane) {
            const u32 carry = plane & bits;
            plane ^= bits, bits = carry;
        }
    }

    // Adds those of all lanes, the sum of read r to counts[r], and begins anew.
    void flush(u64* counts, u32 lane) {
        enum : u32 { ROUNDS = 5 };
        u32 all[PLANES + ROUNDS] = {}, count = 0;
#pragma unroll
        for (u32 b = 0; b < PLANES; b++) all[b] = plane[b], plane[b] = 0;
#pragma unroll
        for (u32 round = 0; round < ROUNDS; round++) {
            u32 carry = 0;
#pragma unroll
            for (u32 b = 0; b < PLANES + round; b++) {
                const u32 mine = all[b], other = __shfl_xor_sync(~0u, mine, 1 << round);
                all[b] = mine ^ other ^ carry;
                carry = (mine & other) | (mine & carry) | (other & carry);
            }
            all[PLANES + round] = carry;
        }
#pragma unroll
        for (u32 b = 0; b < PLANES + ROUNDS; b++) count |= (all[b] >> lane & 1) << b;
        atomicAdd(&counts[lane], u64(count));
    }
};
